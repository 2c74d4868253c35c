"""Where a stream is cut for tracking its F0, and how the tracks of the pieces are joined.

F0 is the one feature that depends on what is around a frame, some 0.2 s of it; all others follow
from the F0 and the nearest samples. So pieces overlap, with a margin at both ends whose F0 is not
used, and from one to the next F0 is cross-faded.

    |margin|------ trusted ------|margin|
                            |margin|------ trusted ------|margin|
                            overlap: ^^^^
"""

from __future__ import annotations

import numpy as np

from serve_app.domain.types import Joining
from serve_app.engines.world.analysis import FRAMES_PER_SECOND, Floats

MARGIN = FRAMES_PER_SECOND // 4  # frames

_FIRST_STEP = 40  # frames; each piece reaches twice as much further than the one before it
_LONGEST_STEP = 2 * FRAMES_PER_SECOND
_SAME_PITCH = 0.18  # of log F0; more apart are two opinions, between which there is nothing


class PitchTrack:
    """F0 of a stream, piece by piece. All positions are frames from its beginning; all are even,
    because frames are analysed in pairs."""

    def __init__(self, joining: Joining) -> None:
        longest = _even(joining.piece_seconds * FRAMES_PER_SECOND) - 2 * MARGIN
        self._overlap = min(_even(joining.overlap_seconds * FRAMES_PER_SECOND), _even(longest / 2))
        self._longest_step = min(longest - self._overlap, max(_LONGEST_STEP, self._overlap))
        self._step = min(_FIRST_STEP, self._longest_step)
        self._held: Floats = np.zeros(0)  # F0 in the overlap, as the last piece tracked it
        self._trusted_from = 0
        self._trusted_until = self._step

    @property
    def start(self) -> int:
        """Where the next piece begins."""
        return max(0, self._trusted_from - MARGIN)

    @property
    def stop(self) -> int:
        """The last frame of the next piece, unless the stream ends before it."""
        return self._trusted_until + MARGIN

    def add(self, f0: Floats) -> Floats:
        """Take the F0 [stop - start + 1] of the next piece; what is settled by it, [k]."""
        trusted = f0[self._trusted_from - self.start : self._trusted_until - self.start]
        overlap = min(self._overlap, _even(len(trusted) / 2))
        joined = _joined(self._held, trusted)
        settled, self._held = np.split(joined, [len(joined) - overlap])
        self._step = min(2 * self._step, self._longest_step)
        self._trusted_from = self._trusted_until - overlap
        self._trusted_until += self._step
        return settled

    def finish(self, f0: Floats) -> Floats:
        """Take the F0 of the last piece, from `start` to the end of the stream; all the rest."""
        return _joined(self._held, f0[self._trusted_from - self.start :])


def _joined(held: Floats, trusted: Floats) -> Floats:
    """The new piece's F0, with that of the one before fading out over the overlap."""
    count = min(len(held), len(trusted))
    old, new = held[:count], trusted[:count]
    weight = (np.arange(count) + 0.5) / max(count, 1)
    is_mixed = (old > 0) & (new > 0)
    logs = [np.log(np.where(is_mixed, f0, 1.0)) for f0 in (old, new)]
    is_mixed &= np.abs(logs[1] - logs[0]) < _SAME_PITCH
    mixed = np.exp(logs[0] * (1 - weight) + logs[1] * weight)
    chosen = np.where(weight < 0.5, old, new)
    return np.concatenate([np.where(is_mixed, mixed, chosen), trusted[count:]])


def _even(frames: float) -> int:
    return int(frames) // 2 * 2
