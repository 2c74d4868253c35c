"""A quick start: the first words planned by themselves, the whole utterance in the next step.

Planning takes as long as its phonemes are many, and a listener's first half second needs few. So
the plan of a `beginning` is spoken first; the plan of the whole then takes over between two words.
There the two differ by little (a frame or two, a semitone), and are cross-faded.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from serve_app.engines.hibari import windows
from serve_app.engines.hibari.graph import Plan
from serve_app.engines.hibari.pronounce import PAD
from serve_app.engines.hibari.pulses import UNVOICED_BELOW
from serve_app.engines.hibari.upstream import Floats

BEGINNING = 24  # phonemes at least, at normal speed: about 1.4 s
_LATEST = 1.5  # of that; the beginning ends between words no later
_WORTH_IT = 2.4  # beginnings in an utterance that is begun by one
_AHEAD = 8  # phonemes between the border and the beginning's end, whose last word is drawn out
_BORDERS = range(40, 77)  # frames among which a border between words is worth taking
_NEAR_NORMAL = 0.8, 1.25  # speeds at which the two plans agree: 3 % in duration at the worst
_BLEND = 10  # frames of the cross-fade
_LOOK_AHEAD = 2  # frames of f0 that the vocoder has used beyond those it was given


@dataclass(frozen=True, slots=True)
class Opening:
    """The plan of an utterance's beginning, and where to leave it."""

    plan: Plan
    position: int  # of the space between words at whose end the plans are aligned
    stop: int  # frames in the first window
    settled: int  # phonemes before the last word, which is drawn out

    def continued(self, whole: Plan) -> Plan:
        """The plan of the whole utterance, with this beginning up to the border."""
        start = self.stop + _LOOK_AHEAD
        later = start + self.shift(whole)
        end, rest = start + _BLEND, later + _BLEND
        features, f0 = _cross_fade(
            (self.plan.features[:, :, start:end], self.plan.f0[start:end]),
            (whole.features[:, :, later:rest], whole.f0[later:rest]),
        )
        parts = self.plan.features[:, :, :start], features, whole.features[:, :, rest:]
        return Plan(
            np.concatenate(parts, axis=2),
            np.concatenate([self.plan.f0[:start], f0, whole.f0[rest:]]),
            self._durations(whole),
        )

    def shift(self, whole: Plan) -> int:
        """Frames from the border here to the border in `whole`. Even, for frames come in pairs."""
        count = self.position + 1
        shift = int(whole.durations[:count].sum() - self.plan.durations[:count].sum())
        earliest = int(whole.durations[: self.position].sum()) - self.stop - _LOOK_AHEAD
        return max(shift, earliest + earliest % 2)  # a shorter pause: say nothing twice

    def _durations(self, whole: Plan) -> npt.NDArray[np.int64]:
        count = self.position + 1
        durations = np.concatenate([self.plan.durations[:count], whole.durations[count:]])
        before = int(whole.durations[:count].sum()) - self.shift(whole)
        durations[self.position] += before - int(durations[:count].sum())
        return durations


def beginning(ids: list[int], spaces: Sequence[int], speed: float) -> list[int] | None:
    """The first words of a long utterance, and `PAD`; None if it is better planned whole.

    Args:
        ids: [L], with `PAD` at both ends.
        spaces: positions in `ids` of the spaces between words.
    """
    fewest = math.ceil(BEGINNING * max(1.0, speed))
    if len(ids) < _WORTH_IT * fewest or not _NEAR_NORMAL[0] <= speed <= _NEAR_NORMAL[1]:
        return None
    ends = (space + 1 for space in spaces if fewest <= space <= _LATEST * fewest)
    end = next(ends, None)
    return None if end is None else [*ids[:end], PAD]


def opening(plan: Plan, spaces: Sequence[int], pauses: Sequence[int]) -> Opening | None:
    """Where to leave the plan of a beginning, between two words; None if there is no such place.

    Best in the pause at a punctuation mark, then in a sound without voice.

    Args:
        spaces: positions of the spaces between words.
        pauses: those of them that follow a punctuation mark.
    """
    middles = np.cumsum(plan.durations) - plan.durations // 2
    room = len(plan.f0) - windows.AUDIO_DELAY - _LOOK_AHEAD - _BLEND

    def merit(position: int) -> tuple[bool, bool, int]:
        middle = int(middles[position])
        unvoiced = bool(plan.f0[middle] <= UNVOICED_BELOW)
        distance = abs(middle - windows.FIRST_AUDIO)
        return position in pauses, unvoiced, -distance

    reached = [p for p in spaces if p < len(middles) - 1 - _AHEAD and middles[p] <= room]
    near = [p for p in reached if middles[p] in _BORDERS]
    if not near:
        return None
    best = max(near, key=merit)
    stop = int(middles[best]) + windows.AUDIO_DELAY
    return Opening(plan, best, stop, settled=max([best, *spaces[:-1]]))


def _cross_fade(early: tuple[Floats, Floats], late: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
    """From one plan's features [1, 130, n] and f0 [n] to another's. Where only one is voiced f0
    changes at once, in the middle: half voiced is neither."""
    count = len(early[1])
    weight = ((np.arange(count) + 0.5) / count).astype(np.float32)
    features = early[0] + (late[0] - early[0]) * weight
    differ = (early[1] > UNVOICED_BELOW) != (late[1] > UNVOICED_BELOW)
    weight = np.where(differ, np.rint(weight), weight).astype(np.float32)
    f0 = early[1] + (late[1] - early[1]) * weight
    return features.astype(np.float32), f0.astype(np.float32)
