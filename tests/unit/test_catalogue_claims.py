"""Claims: who may change a path, among all processes; the same on both databases."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text

from serve_app.domain.errors import StorageUnavailable
from serve_app.library.catalogue import Catalogue, State
from serve_app.library.database import Database
from serve_app.library.entries import (
    AudioFacts,
    Description,
    Entry,
    Filter,
)
from tests.support.entries import MORNING, OUTPUTS, VOICES, crash, output, paths, save, voice

pytest_plugins = ("tests.support.postgres", "tests.support.catalogues")


async def test_a_claim_excludes_others_and_readers_see_the_old_facts(
    catalogue: Catalogue, elsewhere: Catalogue
) -> None:
    await save(catalogue, voice("a.wav", e_tag="old"))
    async with catalogue.claim(VOICES, "a.wav") as claim:
        with pytest.raises(StorageUnavailable):
            async with elsewhere.claim(VOICES, "a.wav", wait_s=0.05):
                pytest.fail("two hold the same claim")
        seen = await elsewhere.get(VOICES, "a.wav")
        assert seen is not None
        assert seen.e_tag == "old"
        assert claim.entry == seen
        await claim.save(replace(seen, e_tag="new"))
    async with elsewhere.claim(VOICES, "a.wav", wait_s=0) as claim:
        assert claim.entry is not None
        assert claim.entry.e_tag == "new"


async def test_who_waits_for_a_claim_gets_it(catalogue: Catalogue, elsewhere: Catalogue) -> None:
    has_claim = asyncio.Event()

    async def wait() -> Entry | None:
        has_claim.set()
        async with elsewhere.claim(VOICES, "a.wav") as claim:
            return claim.entry

    async with catalogue.claim(VOICES, "a.wav") as claim:
        waiting = asyncio.create_task(wait())
        await has_claim.wait()
        await claim.save(voice("a.wav"))
    assert await waiting == voice("a.wav")


async def test_one_at_a_time_among_many(catalogue: Catalogue, elsewhere: Catalogue) -> None:
    """A counter that is read and written under a claim loses nothing."""

    async def work(own: Catalogue) -> None:
        for _ in range(5):
            async with own.claim(VOICES, "a.wav", wait_s=60) as claim:
                seconds = claim.entry.audio.seconds if claim.entry else 0
                facts = AudioFacts("wav", seconds + 1, 24000, 1)
                await claim.save(Entry(VOICES, "a.wav", facts, MORNING))

    await asyncio.gather(*(work(own) for own in (catalogue, elsewhere) * 4))
    entry = await catalogue.get(VOICES, "a.wav")
    assert entry is not None
    assert entry.audio.seconds == 40


async def test_a_block_left_without_saving_changes_nothing(catalogue: Catalogue) -> None:
    await save(catalogue, voice("old.wav"))
    for path in ("old.wav", "new.wav"):
        with suppress(ZeroDivisionError):
            async with catalogue.claim(VOICES, path):
                raise ZeroDivisionError
    known = [each async for each in catalogue.snapshot(VOICES)]
    assert [(each.path, each.state, each.claimed) for each in known] == [
        ("old.wav", State.PRESENT, False)
    ]


async def test_a_cancelled_block_gives_its_claim_back(
    catalogue: Catalogue, elsewhere: Catalogue
) -> None:
    has_claim = asyncio.Event()

    async def hold() -> None:
        async with catalogue.claim(VOICES, "a.wav"):
            has_claim.set()
            await asyncio.Event().wait()

    holding = asyncio.create_task(hold())
    await has_claim.wait()
    holding.cancel()
    await asyncio.wait([holding])
    async with elsewhere.claim(VOICES, "a.wav", wait_s=0) as claim:
        assert claim.entry is None


async def test_the_claim_of_a_crashed_holder_can_be_taken(
    database_url: str, catalogue: Catalogue, elsewhere: Catalogue
) -> None:
    await save(catalogue, voice("a.wav", e_tag="old"))
    async with catalogue.claim(VOICES, "a.wav") as lost:
        await crash(database_url)
        async with elsewhere.claim(VOICES, "a.wav", wait_s=0) as claim:
            for attempt in (lost.save(voice("a.wav", e_tag="late")), lost.remove()):
                with pytest.raises(StorageUnavailable):
                    await attempt
            await claim.save(voice("a.wav", e_tag="new"))
        with pytest.raises(StorageUnavailable):
            await lost.save(voice("a.wav", e_tag="late"))
    entry = await catalogue.get(VOICES, "a.wav")
    assert entry is not None
    assert entry.e_tag == "new"


async def test_claims_are_renewed_while_somebody_holds_them(database_url: str) -> None:
    catalogue = await Catalogue.open(database_url, lease_s=0.4)
    database = await Database.open(database_url)
    until = text("SELECT claim_until FROM entries")
    async with catalogue.claim(VOICES, "a.wav"):
        (first,) = await database.run(until)
        while (await database.run(until))[0] == first:
            await asyncio.sleep(0.01)
    await database.close()
    await catalogue.close()


async def test_a_reservation_that_was_dropped_runs_out(database_url: str) -> None:
    catalogue = await Catalogue.open(database_url, lease_s=0.1)
    await catalogue.reserve([output("a.wav")])
    while not (abandoned := await catalogue.abandoned(OUTPUTS)):
        await asyncio.sleep(0.01)
    assert [each.path for each in abandoned] == ["a.wav"]
    async with catalogue.claim(OUTPUTS, "a.wav") as claim:
        assert claim.entry is None
        assert claim.reserved == output("a.wav")
    assert await catalogue.abandoned(OUTPUTS) == ()
    await catalogue.close()


async def test_no_use_is_lost(catalogue: Catalogue, elsewhere: Catalogue) -> None:
    await save(catalogue, voice("a.wav"))

    async def use(own: Catalogue) -> None:
        for second in range(50):
            await own.count_use(VOICES, "a.wav", MORNING + timedelta(seconds=second))

    await asyncio.gather(*(use(own) for own in (catalogue, elsewhere) * 5))
    entry = await catalogue.get(VOICES, "a.wav")
    assert entry is not None
    assert entry.usage_count == 500
    assert entry.last_used is not None


async def test_uses_during_a_change_are_kept(catalogue: Catalogue) -> None:
    await save(catalogue, voice("a.wav", usage_count=5))
    async with catalogue.claim(VOICES, "a.wav") as claim:
        assert claim.entry is not None
        await catalogue.count_use(VOICES, "a.wav", MORNING)
        await claim.save(replace(claim.entry, description=Description("new")))
    entry = await catalogue.get(VOICES, "a.wav")
    assert entry == voice("a.wav", description=Description("new"), usage_count=6, last_used=MORNING)


async def test_an_output_is_pending_until_it_is_published(
    catalogue: Catalogue, elsewhere: Catalogue
) -> None:
    files = [output("a.wav"), output("a.mp3", size=None)]
    reservation = await catalogue.reserve(files)
    assert reservation is not None
    assert await elsewhere.is_pending(OUTPUTS, "a.mp3")
    assert await elsewhere.get(OUTPUTS, "a.mp3") is None
    assert await paths(elsewhere, OUTPUTS, Filter()) == set()
    assert await elsewhere.reserve([output("b.wav"), output("a.mp3")]) is None
    assert not await elsewhere.is_pending(OUTPUTS, "b.wav")
    await catalogue.publish(reservation, files)
    assert await paths(elsewhere, OUTPUTS, Filter()) == {"a.wav", "a.mp3"}
    assert not await elsewhere.is_pending(OUTPUTS, "a.mp3")
    await elsewhere.set_size(OUTPUTS, "a.mp3", 77, "tag")
    entry = await catalogue.get(OUTPUTS, "a.mp3")
    assert entry is not None
    assert (entry.audio.size_bytes, entry.e_tag) == (77, "tag")


async def test_a_withdrawn_output_leaves_its_paths_free(catalogue: Catalogue) -> None:
    reservation = await catalogue.reserve([output("a.wav")])
    assert reservation is not None
    await catalogue.withdraw(reservation)
    await catalogue.withdraw(reservation)
    assert await catalogue.reserve([output("a.wav")]) is not None


async def test_a_reservation_is_published_whole_or_not_at_all(
    database_url: str, catalogue: Catalogue, elsewhere: Catalogue
) -> None:
    files = [output("a.wav"), output("b.wav")]
    reservation = await catalogue.reserve(files)
    assert reservation is not None
    await crash(database_url)
    async with elsewhere.claim(OUTPUTS, "b.wav") as claim:
        await claim.remove()
    with pytest.raises(StorageUnavailable):
        await catalogue.publish(reservation, files)
    assert await paths(catalogue, OUTPUTS, Filter()) == set()
    await catalogue.withdraw(reservation)


async def test_doomed_files_are_hidden_and_those_others_claim_are_left_alone(
    catalogue: Catalogue, elsewhere: Catalogue
) -> None:
    await save(catalogue, *(output(f"{name}.wav", master="m.wav") for name in "abc"))
    async with elsewhere.claim(OUTPUTS, "b.wav"):
        doomed = await catalogue.doom(OUTPUTS, Filter())
        assert {file.path for file in doomed.entries} == {"a.wav", "c.wav"}
        assert await paths(elsewhere, OUTPUTS, Filter()) == {"b.wav"}
        with pytest.raises(StorageUnavailable):
            async with elsewhere.claim(OUTPUTS, "a.wav", wait_s=0):
                pytest.fail("what is being deleted was claimed")
    await catalogue.remove(doomed)
    known = [each.path async for each in catalogue.snapshot(OUTPUTS)]
    assert known == ["b.wav"]


async def test_a_crashed_deletion_is_finished_by_another(
    database_url: str, catalogue: Catalogue, elsewhere: Catalogue
) -> None:
    await save(catalogue, output("a.wav", size=5, master="m.wav"))
    doomed = await catalogue.doom(OUTPUTS, Filter())
    assert (await elsewhere.doom_abandoned(OUTPUTS)).entries == ()
    await crash(database_url)
    taken = await elsewhere.doom_abandoned(OUTPUTS)
    assert taken.entries == doomed.entries
    await catalogue.remove(doomed)  # too late, and not his any more
    assert [each.state async for each in catalogue.snapshot(OUTPUTS)] == [State.DOOMED]
    await elsewhere.remove(taken)
    assert [each async for each in catalogue.snapshot(OUTPUTS)] == []


async def test_a_master_is_in_use_while_one_of_its_files_is(catalogue: Catalogue) -> None:
    await save(catalogue, output("a.wav", master="a"), output("a.mp3", master="a"))
    await save(catalogue, output("b.wav", master="b"))
    many = [str(number) for number in range(2500)]
    doomed = await catalogue.doom(OUTPUTS, Filter(paths=("a.wav", "b.wav")))
    assert await catalogue.masters_in_use(["a", *many, "b"]) == {"a"}
    await catalogue.remove(doomed)
    assert await catalogue.masters_in_use(["b", "a"]) == {"a"}


async def test_one_process_leads_a_task(
    catalogue: Catalogue, elsewhere: Catalogue, database_url: str
) -> None:
    assert await catalogue.lead("sweep", 60)
    assert await catalogue.lead("sweep", 60)
    assert not await elsewhere.lead("sweep", 60)
    assert await elsewhere.lead("another", 60)
    third = await Catalogue.open(database_url)
    assert await third.lead("third", 0)
    assert await elsewhere.lead("third", 60)
    await third.close()
    await catalogue.lead("brief", 60)
    assert not await elsewhere.lead("brief", 60)


async def test_who_closes_leads_no_longer(catalogue: Catalogue, database_url: str) -> None:
    other = await Catalogue.open(database_url)
    assert await other.lead("sweep", 60)
    await other.close()
    assert await catalogue.lead("sweep", 60)
