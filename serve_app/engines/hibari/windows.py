"""Where to cut an utterance into windows of frames. One frame is 12.5 ms of speech."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator

FIRST_AUDIO = 52  # frames, 0.65 s: what a listener starts with
FIRST_RANGE = range(46, 63)  # a border between words in here ends the first audio instead
SECOND = 88  # frames: small, for with many who start together it is due when all have had a first
AUDIO_DELAY = 2  # frames that the vocoder holds back until it has seen more
LARGEST = 400  # frames of one step, about 25 ms of computing
WHOLE = 450  # an utterance up to this long is rendered in one step
SMALLEST = 96


def first_window(frames: int, borders: Iterable[int]) -> int:
    """End of a request's first window; its audio ends between words if that is near enough.

    Returns `frames` when so little would remain that a second window is not worth it.
    """
    if frames <= 2 * FIRST_AUDIO:
        return frames
    near = [border for border in borders if border in FIRST_RANGE]
    audio = min(near, key=lambda border: abs(border - FIRST_AUDIO), default=FIRST_AUDIO)
    return audio + AUDIO_DELAY


def windows_after_first(start: int, frames: int) -> Iterator[tuple[int, int]]:
    """Cut what follows a request's first window: a small one, then as few as possible.

    Of n listeners who start together, each has its second piece after n second pieces were made,
    and by then has heard most of its first: the second must cost less than 1/n of the first's
    duration. 32 such listeners do not run dry with these sizes (benchmarks/scheduling.py).
    """
    end = start + SECOND
    if frames - end < SMALLEST:
        end = frames
    yield start, end
    if end < frames:
        yield from even_windows(end, frames)


def window_after_plan(frames: int) -> int:
    """End of the window rendered in the same step as the plan of a later utterance.

    Planning costs about 0.3 of rendering per frame, so a long plan leaves room for fewer frames.
    """
    if frames <= WHOLE:
        return frames
    return max(SMALLEST, LARGEST - 3 * (frames - WHOLE) // 10)


def even_windows(start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Cut [start, stop) into the fewest windows of at most `LARGEST` frames, all about as long."""
    count = max(1, math.ceil((stop - start) / LARGEST))
    ends = [start + (stop - start) * i // count for i in range(count + 1)]
    yield from itertools.pairwise(ends)
