"""From windows of tokens to samples: the flow and the vocoder, many utterances at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from serve_app.engines.chatterbox.s3gen.flow import Flow
from serve_app.engines.chatterbox.s3gen.utterance import Utterance
from serve_app.engines.chatterbox.s3gen.vocoder import Vocoder
from serve_app.engines.chatterbox.s3gen.windows import Span

FloatSamples = npt.NDArray[np.float32]
"""Samples in [-1, 1], shape [n]."""


class Synthesizer:
    """S3Gen without its tokenizer."""

    def __init__(self, flow: Flow, vocoder: Vocoder) -> None:
        self._flow = flow
        self._vocoder = vocoder

    def run(self, ready: Sequence[tuple[Utterance, Span]]) -> list[FloatSamples]:
        """The samples that the next window of each utterance brings out, some perhaps none."""
        mels = self._flow.run([utterance.take(span) for utterance, span in ready])
        pieces = [
            (utterance.vocoder, mel, span.final)
            for (utterance, span), mel in zip(ready, mels, strict=True)
        ]
        return [samples.cpu().numpy() for samples in self._vocoder.push(pieces)]
