"""When words begin in the audio of hibari: by what was told, by its energy, by pocketsphinx."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

import numpy as np
from pocketsphinx import Decoder

from serve_app.domain.types import Samples, WordTiming
from tests.audio_tools import resample

_RATE = 24_000  # Hz
_FRAME = 240  # samples, 10 ms
_QUIET = 0.05  # of the loudest frame
_LISTENS_AT = 16_000  # Hz


def onsets_of_phrases(words: Sequence[WordTiming]) -> list[float]:
    """Seconds at which the first word begins, and each after a mark."""
    pairs = itertools.pairwise(words)
    return [words[0].start] + [b.start for a, b in pairs if not a.word[-1].isalnum()]


def onsets_after_silence(samples: Samples) -> list[float]:
    """Seconds at which there is sound after at least 80 ms of none, in steps of 10 ms."""
    frames = samples[: len(samples) // _FRAME * _FRAME].reshape(-1, _FRAME).astype(np.float64)
    loudness = np.sqrt((frames**2).mean(axis=1))
    loud = np.flatnonzero(loudness > _QUIET * loudness.max())
    return [frame * _FRAME / _RATE for frame in loud[np.diff(loud, prepend=-99) > 8].tolist()]


def onsets_of_words(samples: Samples, text: str) -> list[float]:
    """Seconds at which pocketsphinx, told the words, finds that they begin."""
    decoder = Decoder(samprate=_LISTENS_AT, loglevel="FATAL")
    decoder.set_align_text(" ".join(re.findall("[a-z]+", text.lower())))
    decoder.start_utt()
    decoder.process_raw(resample(samples, _RATE, _LISTENS_AT).tobytes(), full_utt=True)
    decoder.end_utt()
    return [part.start_frame / 100 for part in decoder.seg() if part.word[0] not in "<("]
