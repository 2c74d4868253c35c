"""What pocketsphinx hears; its model is inside its package."""

from __future__ import annotations

from pocketsphinx import Decoder

from serve_app.domain.types import Samples
from tests.audio_tools import resample

_LISTENS_AT = 16_000  # Hz


def words_heard(samples: Samples, sample_rate: int) -> set[str]:
    """The words recognised in samples [n]."""
    decoder = Decoder(samprate=_LISTENS_AT, loglevel="FATAL")
    decoder.start_utt()
    decoder.process_raw(resample(samples, sample_rate, _LISTENS_AT).tobytes(), full_utt=True)
    decoder.end_utt()
    hypothesis = decoder.hyp()
    return set() if hypothesis is None else set(hypothesis.hypstr.split())
