"""The noise that the flow starts from, fixed for an utterance by one seed.

A mel frame must start from the same noise in every window that it is part of; fresh noise in each
window is most of what streaming would otherwise cost in quality.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

MEL_BANDS = 80

_BLOCK = 64  # frames that are drawn together
_WORD = 2**64 - 1


class FrameNoise:
    """Normal noise addressed by absolute mel frame, in any order and without memory.

    Frame 0 is the first of the utterance; those of the prompt come before it, at -2p .. -1. Blocks
    of frames are streams of Philox, a generator whose every key is a stream of its own (Salmon et
    al.: Parallel random numbers: as easy as 1, 2, 3; SC 2011). So the noise is the same on every
    device.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed & _WORD

    def frames(self, first: int, last: int) -> Tensor:
        """Noise of the frames from `first` up to `last`: [80, last - first] float32, CPU."""
        blocks = range(first // _BLOCK, -(-last // _BLOCK))
        noise = np.concatenate([np.empty((0, MEL_BANDS), np.float32), *map(self._block, blocks)])
        start = first - blocks.start * _BLOCK
        return torch.from_numpy(noise[start : start + last - first].T.copy())

    def _block(self, index: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
        philox = np.random.Philox(key=np.array([self._seed, index & _WORD], np.uint64))
        return np.random.Generator(philox).standard_normal((_BLOCK, MEL_BANDS), np.float32)
