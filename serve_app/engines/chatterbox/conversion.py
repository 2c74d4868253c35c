"""Chatterbox as a conversion engine: speech in, the same words in another voice out.

    source ─ tokenise ─ speech tokens ─ S3Gen in the target's voice ─ samples

The same way as speech without T3, through the same scheduler.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from serve_app.domain.protocols import Core
from serve_app.domain.types import (
    ConversionCapabilities,
    Joining,
    PcmChunk,
    Samples,
    VoiceShape,
)
from serve_app.engines.chatterbox.assembly import assemble
from serve_app.engines.chatterbox.capabilities import CONVERSION
from serve_app.engines.chatterbox.models import ENGLISH
from serve_app.engines.chatterbox.options import Options
from serve_app.engines.chatterbox.s3gen.synthesizer import FloatSamples
from serve_app.engines.chatterbox.s3gen.utterance import Utterance
from serve_app.engines.chatterbox.scheduler import Scheduler
from serve_app.engines.chatterbox.speaking import Marking
from serve_app.engines.chatterbox.task import Need, Piece, Task, Window, pcm
from serve_app.engines.chatterbox.tokenise import SourcePiece, SourceTokens, Tokeniser
from serve_app.engines.chatterbox.voice import Prompt
from serve_app.engines.chatterbox.voice_file import dump_prompt, load_prompt

_SEED = 1
"""Of the noise that S3Gen starts from: the same source and target give the same audio."""

_LIVE_FIRST_SECONDS = 5.0
"""Of a source that is being spoken, heard before the first piece becomes tokens."""


class ChatterboxConversionEngine:
    """S3Gen on one device; `ConversionEngine` and `BatchingEngine` of the domain."""

    def __init__(self, **options: Any) -> None:
        """Load the model. `options` are `Options`.

        Raises:
            WeightsMissing, WeightsDamaged: the model's files are not there or not whole.
            ValueError: an option is unknown or out of range.
        """
        chosen = Options(**options)
        self._parts = assemble(ENGLISH, chosen, with_t3=False, precision="float32")
        self._scheduler = Scheduler(
            self._parts.synthesizer,
            tokeniser=Tokeniser(self._parts.models.s3gen),
            batch=chosen.batch,
        )
        self._parts.warm_up(chosen.batch)

    @property
    def capabilities(self) -> ConversionCapabilities:
        """See `ConversionEngine`."""
        return CONVERSION

    def core(self) -> Core[Task]:
        """See `BatchingEngine`."""
        return self._scheduler

    def analyse(self, samples: Samples) -> Prompt:
        """See `VoiceLearner`."""
        return self._parts.listener.listen_prompt(samples)

    def dump(self, profile: Prompt) -> bytes:
        """See `VoiceLearner`."""
        return dump_prompt(profile, self._parts.fingerprint)

    def load(self, data: bytes) -> Prompt:
        """See `VoiceLearner`."""
        return load_prompt(data, self._parts.fingerprint)

    def convert(
        self, source: Prompt | None, target: Prompt | VoiceShape, joining: Joining
    ) -> ChatterboxConversion:
        """See `ConversionEngine`. Pieces are joined as tokens, so there is nothing to cross-fade:
        the overlap is what the tokenizer hears around a piece.

        Raises:
            ValueError: `target` is a shape, which this engine cannot speak in.
        """
        del source  # the tokens hold nothing of who spoke
        if isinstance(target, VoiceShape):
            raise ValueError("Chatterbox speaks in the voice of a recording, not in a shape.")
        tokens = SourceTokens(
            joining.piece_seconds,
            joining.overlap_seconds,
            first_seconds=_LIVE_FIRST_SECONDS if joining.is_live else math.inf,
        )
        utterance = Utterance(target, _SEED, self._parts.hops)
        return ChatterboxConversion(tokens, utterance, self._parts.marking(), self._scheduler)


class ChatterboxConversion:
    """One stream on its way into another voice."""

    def __init__(
        self,
        source: SourceTokens,
        utterance: Utterance,
        marking: Marking | None,
        core: Core[Task],
    ) -> None:
        self.source = source
        self.utterance = utterance
        self.marking = marking
        self.tokens: list[int] = []
        self.delivered = 0  # samples
        self._core = core

    def push(self, samples: Samples) -> Task:
        """See `Conversion`."""
        return Task(_Push(self, samples), self._core)

    def finish(self) -> Task:
        """See `Conversion`."""
        return Task(_Push(self, None), self._core)


class _Push:
    """The `Work` of one push: all that can be made of the source so far."""

    def __init__(self, conversion: ChatterboxConversion, samples: Samples | None) -> None:
        self._conversion = conversion
        self._samples = samples  # None ends the source
        self._piece: SourcePiece | None = None  # taken from the source, not yet tokens

    def begin(self) -> None:
        """See `Work`."""
        source = self._conversion.source
        if self._samples is not None:
            source.push(self._samples)
            return
        source.close()
        if source.samples == 0:
            self._conversion.utterance.close([])

    def need(self) -> Need | None:
        """See `Work`."""
        utterance = self._conversion.utterance
        if (span := utterance.span()) is not None:
            return Window(utterance, span)
        if self._piece is None:
            self._piece = self._conversion.source.take()
        return self._piece and Piece(self._piece, self._take_tokens)

    def take_samples(self, samples: FloatSamples) -> PcmChunk:
        """See `Work`: as many as the source has, the last token may go beyond."""
        conversion = self._conversion
        if conversion.marking is not None:
            samples = conversion.marking.push(samples)
            if conversion.utterance.is_finished:
                samples = np.concatenate([samples, conversion.marking.finish()])
        samples = samples[: conversion.source.samples - conversion.delivered]
        conversion.delivered += len(samples)
        return pcm(samples)

    def abandon(self) -> None:
        """See `Work`."""

    def _take_tokens(self, tokens: list[int]) -> None:
        conversion, piece = self._conversion, self._piece
        assert piece is not None
        self._piece = None
        conversion.tokens += tokens
        conversion.utterance.extend_to(conversion.tokens)
        if piece.is_final:
            conversion.utterance.close(conversion.tokens)
