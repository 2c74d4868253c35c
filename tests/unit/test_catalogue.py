"""The catalogue: what it knows of files and how it lists them, alike on both databases."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serve_app.library.catalogue import Catalogue, State
from serve_app.library.entries import (
    AudioFacts,
    Description,
    Entry,
    Filter,
    Folder,
    Origin,
    PageRequest,
    SortKey,
)
from tests.support.entries import MORNING, OUTPUTS, VOICES, output, paths, save, voice

pytest_plugins = ("tests.support.postgres", "tests.support.catalogues")


async def test_an_entry_comes_back_as_it_was_saved(catalogue: Catalogue) -> None:
    said = Description("warm", "Hello.", "Ann", ("b", "a"), {"temperature": 0.5, "list": [1]})
    saved = voice("a/b/Ä.wav", description=said, last_used=MORNING, usage_count=3, e_tag="e")
    made = output("tts.wav", size=None, master=".tts.wav")
    made = replace(made, origin=Origin("vc", {"seed": 42}, ("in.wav",)))
    await save(catalogue, saved, made)
    assert await catalogue.get(VOICES, saved.path) == saved
    assert await catalogue.get(OUTPUTS, made.path) == made
    assert await catalogue.get(VOICES, made.path) is None


async def test_paths_compare_exactly(catalogue: Catalogue) -> None:
    await save(catalogue, voice("A.wav"), voice("a.wav"))
    assert await paths(catalogue, VOICES, Filter(paths=("a.wav",))) == {"a.wav"}
    assert await catalogue.get(VOICES, "a.wav ") is None


async def test_what_a_database_cannot_hold_is_dropped_or_not_found(catalogue: Catalogue) -> None:
    said = Description("a\0b", "c\ud800d", tags=("t\0",), default_parameters={"x": "\0"})
    await save(catalogue, voice("a.wav", description=said))
    entry = await catalogue.get(VOICES, "a.wav")
    assert entry is not None
    assert entry.description.description == "ab"
    assert entry.description.text == "c?d"
    assert await paths(catalogue, VOICES, Filter(search="a\0b")) == {"a.wav"}
    assert await paths(catalogue, VOICES, Filter(tag="\0", folder="\ud800")) == set()


async def test_a_name_is_that_of_the_description_or_else_of_the_file(catalogue: Catalogue) -> None:
    ann = voice("x/1.wav", description=Description(name="Ann"))
    await save(catalogue, ann, voice("y/ann.wav"), voice("z/anna.wav"))
    assert await paths(catalogue, VOICES, Filter(names=("ANN",))) == {"x/1.wav"}
    assert await paths(catalogue, VOICES, Filter(names=("ann", "ann.wav"))) == {
        "x/1.wav", "y/ann.wav",
    }  # fmt: skip
    assert await paths(catalogue, VOICES, Filter(names=("\0",))) == set()


async def test_it_says_whether_any_file_is_meant(catalogue: Catalogue) -> None:
    await save(catalogue, voice("a.wav", description=Description(name="Ann")))
    by_path, by_name = Filter(paths=("a.wav",)), Filter(names=("ann",))
    other = Filter(names=("bob",))
    assert await catalogue.has_any(VOICES, other, by_path)
    assert await catalogue.has_any(VOICES, by_name, other)
    assert not await catalogue.has_any(VOICES, other)
    assert not await catalogue.has_any(OUTPUTS, by_path, by_name)


async def test_search_looks_everywhere_and_wildcards_mean_themselves(catalogue: Catalogue) -> None:
    await save(
        catalogue,
        voice("100%.wav"),
        voice("100x.wav", description=Description("Straße", "says_this", "ANN", ("Warm",))),
        voice("saysXthis/b.wav"),
    )
    found = {
        "100%": {"100%.wav"},
        "_": {"100x.wav"},
        "says_this": {"100x.wav"},
        "STRASSE": {"100x.wav"},
        "ann": {"100x.wav"},
        "warm": {"100x.wav"},
        "SAYSX": {"saysXthis/b.wav"},
        "\\": set(),
        "/": {"saysXthis/b.wav"},
    }
    for words, expected in found.items():
        assert await paths(catalogue, VOICES, Filter(search=words)) == expected, words


async def test_filters_all_hold_at_once(catalogue: Catalogue) -> None:
    hour = timedelta(hours=1)
    old = output("books/alice/1.wav", age=7200)
    await save(catalogue, old, output("books/2.wav"), output("booksellers/3.wav"))
    await save(catalogue, replace(output("4.wav"), origin=Origin("vc")))
    await save(catalogue, voice("v.wav", description=Description(tags=("a", "b", "a"))))
    for which, expected in [
        (Filter(folder="books"), {"books/alice/1.wav", "books/2.wav"}),
        (Filter(folder="books/alice"), {"books/alice/1.wav"}),
        (Filter(folder="book"), set()),
        (Filter(generation_type="vc"), {"4.wav"}),
        (Filter(created_to=MORNING - hour), {"books/alice/1.wav"}),
        (Filter(created_from=MORNING - hour, folder="books"), {"books/2.wav"}),
        (Filter(created_from=MORNING, created_to=MORNING, search="3"), {"booksellers/3.wav"}),
    ]:
        assert await paths(catalogue, OUTPUTS, which) == expected, which
    assert await paths(catalogue, VOICES, Filter(tag="a")) == {"v.wav"}
    assert await paths(catalogue, VOICES, Filter(tag="A")) == set()
    await save(catalogue, voice("v.wav", description=Description(tags=("b",))))
    assert await paths(catalogue, VOICES, Filter(tag="a")) == set()


async def test_folders_count_what_is_directly_in_them(catalogue: Catalogue) -> None:
    await save(catalogue, output("a/b/1.wav", size=5), output("a/b/2.wav", size=None))
    await save(catalogue, output("c/3.wav", size=7))
    await catalogue.reserve([output("d/4.wav")])
    assert await catalogue.folders(OUTPUTS) == (
        Folder("", 0, 0),
        Folder("a", 0, 0),
        Folder("a/b", 2, 5),
        Folder("c", 1, 7),
    )
    assert await catalogue.folders(VOICES) == ()


@pytest.mark.parametrize("sort_by", SortKey)
@pytest.mark.parametrize("descending", [False, True])
def test_pages_are_complete_and_in_order(
    sort_by: SortKey, descending: bool, database_url: str
) -> None:
    """Whatever is equal, no page repeats what another showed."""

    async def check(values: list[int], page_size: int) -> None:
        catalogue = await Catalogue.open(database_url)
        await catalogue.remove(await catalogue.doom(VOICES, Filter()))
        for number, value in enumerate(values):
            await save(catalogue, _of_value(number, value))
        pages = [PageRequest(n + 1, page_size, sort_by, descending) for n in range(len(values))]
        shown = [(await catalogue.page(VOICES, Filter(), page)) for page in pages]
        await catalogue.close()
        listed = [entry for page in shown for entry in page.entries]
        assert len({entry.path for entry in listed}) == len(values)
        assert all(page.total == len(values) for page in shown)
        keys = [entry.audio.seconds for entry in listed]
        assert keys == sorted(keys, reverse=descending)

    @settings(max_examples=3, deadline=None)
    @given(st.lists(st.integers(0, 3), min_size=1, max_size=8), st.integers(1, 4))
    def check_any(values: list[int], page_size: int) -> None:
        asyncio.run(check(values, page_size))

    check_any()


def _of_value(number: int, value: int) -> Entry:
    return Entry(
        VOICES,
        f"{number}.wav",
        AudioFacts("wav", value, 24000, value),
        MORNING + timedelta(days=value),
        Description(name="aBcD"[value]),
        usage_count=value,
    )


async def test_names_sort_alike_on_every_database(catalogue: Catalogue) -> None:
    names = ["b.wav", "B2.wav", "a_1.wav", "a-2.wav", "a 3.wav", "ä.wav"]
    await save(catalogue, *map(voice, names))
    request = PageRequest(sort_by=SortKey.NAME, descending=False)
    page = await catalogue.page(VOICES, Filter(), request)
    listed = [entry.path for entry in page.entries]
    assert listed == ["a 3.wav", "a-2.wav", "a_1.wav", "b.wav", "B2.wav", "ä.wav"]


async def test_the_snapshot_shows_all_states_in_batches(catalogue: Catalogue) -> None:
    reservations = [
        await catalogue.reserve([output(f"{group:02}/{n:03}.wav") for n in range(110)])
        for group in range(10)
    ]
    assert reservations[0] is not None
    await catalogue.publish(
        reservations[0], [output(f"00/{n:03}.wav", e_tag="e") for n in range(110)]
    )
    known = [each async for each in catalogue.snapshot(OUTPUTS)]
    assert [each.path for each in known] == sorted(each.path for each in known)
    assert len(known) == 1100
    assert [(each.state, each.claimed, each.e_tag) for each in (known[0], known[-1])] == [
        (State.PRESENT, False, "e"),
        (State.PENDING, True, ""),
    ]


async def test_expired_is_what_is_old_and_was_not_read_lately(catalogue: Catalogue) -> None:
    await save(catalogue, *(output(f"{age}.wav", age=age) for age in (10, 20, 30, 40)))
    await catalogue.touch(OUTPUTS, "30.wav", MORNING)
    await catalogue.touch(OUTPUTS, "40.wav", MORNING - timedelta(seconds=9))
    before = MORNING - timedelta(seconds=15)
    doomed = await catalogue.doom_expired(OUTPUTS, before, MORNING - timedelta(seconds=5))
    assert {file.path for file in doomed.entries} == {"20.wav", "40.wav"}


async def test_what_does_not_fit_goes_oldest_first_but_never_under_a_reader(
    catalogue: Catalogue,
) -> None:
    ages = (10, 20, 30, 40, 50)
    await save(catalogue, *(output(f"{age}.wav", age=age, size=100) for age in ages))
    await save(catalogue, output("unmade.flac", age=5, size=None))
    await catalogue.touch(OUTPUTS, "50.wav", MORNING)
    doomed = await catalogue.doom_beyond(OUTPUTS, 300, MORNING - timedelta(seconds=1))
    assert {file.path for file in doomed.entries} == {"30.wav", "40.wav"}
    doomed = await catalogue.doom_beyond(OUTPUTS, 300, MORNING - timedelta(seconds=1))
    assert doomed.entries == ()
