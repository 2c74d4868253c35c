"""Windows over speech tokens: each token once and in order, early at first, never too long."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_app.engines.chatterbox.models import TOKEN_RATE
from serve_app.engines.chatterbox.s3gen.windows import LOOK_AHEAD, Hops, Span

HOPS = Hops()
RUNGS = st.lists(st.integers(LOOK_AHEAD, 120), min_size=1, max_size=5)
LADDERS = st.builds(
    Hops, sizes=RUNGS.map(lambda sizes: tuple(sorted(sizes))), context=st.integers(0, 80)
)
ARRIVALS = st.lists(st.integers(0, 60), min_size=1, max_size=40)


def spans(hops: Hops, arrivals: list[int]) -> list[Span]:
    """The windows of a stream whose tokens come in such portions, the last with the end."""
    made: list[Span] = []
    available = emitted = 0
    for index, portion in enumerate(arrivals, start=1):
        available += portion
        is_whole = index == len(arrivals)
        while span := hops.next(emitted=emitted, available=available, is_whole=is_whole):
            assert span.stop <= available
            made.append(span)
            emitted = span.emitted
    return made


@st.composite
def streams(draw: st.DrawFn) -> tuple[Hops, list[int], list[Span]]:
    """Any hops, any arrival of tokens, and the windows that come of them."""
    hops, arrivals = draw(LADDERS), draw(ARRIVALS)
    return hops, arrivals, spans(hops, arrivals)


@given(streams())
def test_every_token_is_emitted_once_and_in_order(
    stream: tuple[Hops, list[int], list[Span]],
) -> None:
    _, arrivals, windows = stream
    emitted = 0
    for span in windows:
        assert span.first + span.fresh == emitted < span.emitted
        emitted = span.emitted
    assert emitted == sum(arrivals)


@given(streams())
def test_only_the_last_window_is_final(stream: tuple[Hops, list[int], list[Span]]) -> None:
    _, _, windows = stream
    assert [span.final for span in windows] == [False] * (len(windows) - 1) + [True] * bool(windows)


@given(streams())
def test_windows_have_the_context_asked_for_and_no_more_than_the_longest(
    stream: tuple[Hops, list[int], list[Span]],
) -> None:
    hops, _, windows = stream
    for span in windows:
        assert span.fresh == min(hops.context, span.first + span.fresh)
        assert span.stop - span.first <= hops.longest


@given(LADDERS, ARRIVALS)
def test_the_windows_are_the_same_whenever_the_tokens_come(hops: Hops, arrivals: list[int]) -> None:
    assert spans(hops, arrivals) == spans(hops, [sum(arrivals)])


@given(streams())
def test_windows_that_are_not_final_have_the_sizes_in_their_order(
    stream: tuple[Hops, list[int], list[Span]],
) -> None:
    hops, _, windows = stream
    for index, span in enumerate(windows[:-1]):
        size = hops.sizes[min(index, len(hops.sizes) - 1)]
        assert span.emitted - span.first - span.fresh == size


def test_the_first_window_is_ready_with_the_smallest_hop_and_its_look_ahead() -> None:
    ready = [
        HOPS.next(emitted=0, available=count, is_whole=False) is not None for count in range(30)
    ]
    assert ready.index(True) == HOPS.sizes[0] + LOOK_AHEAD


def test_playback_goes_on_if_tokens_are_made_three_times_as_fast_as_they_are_played() -> None:
    held_back = 17 / 50  # seconds of mel that the vocoder keeps
    played_from = made = None
    for span in spans(HOPS, [1] * 2000)[:-1]:
        now = span.stop / (3.1 * TOKEN_RATE)
        if played_from is None:
            played_from = now
        else:
            assert now - played_from <= made
        made = span.emitted / TOKEN_RATE - held_back


@pytest.mark.parametrize(
    ("tokens", "emitted"),
    [
        (15, [15]),
        (17, [17]),
        (18, [15, 18]),
        (37, [15, 37]),
        (38, [15, 35, 38]),
        (400, [15, 35, 75, 155, 235, 315, 395, 400]),
    ],
)
def test_the_last_window_takes_what_is_left(tokens: int, emitted: list[int]) -> None:
    assert [span.emitted for span in spans(HOPS, [tokens])] == emitted


def test_an_utterance_shorter_than_a_hop_is_one_window() -> None:
    assert spans(HOPS, [0, 1, 0]) == [Span(0, 0, 1, final=True)]
    assert spans(HOPS, [0, 0]) == []


@pytest.mark.parametrize(
    "hops", [{"sizes": ()}, {"sizes": (2, 5)}, {"sizes": (15, 14)}, {"context": -1}]
)
def test_hops_that_cannot_work_are_refused(hops: dict) -> None:
    with pytest.raises(ValueError, match=r"[Hh]op|context"):
        Hops(**hops)
