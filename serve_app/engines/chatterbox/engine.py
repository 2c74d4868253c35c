"""Chatterbox as a speech engine: text and a voice in, audio out, many requests at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from functools import partial
from typing import Any

from serve_app.domain.errors import InvalidRequest
from serve_app.domain.protocols import Core
from serve_app.domain.types import Capabilities, Samples, Sampling, SpeechRequest
from serve_app.engines.chatterbox.assembly import Parts, assemble
from serve_app.engines.chatterbox.capabilities import SPEECH
from serve_app.engines.chatterbox.models import SPECS, Controls, Family, ModelSpec
from serve_app.engines.chatterbox.options import SpeechOptions
from serve_app.engines.chatterbox.reading import open_reader
from serve_app.engines.chatterbox.scheduler import Scheduler
from serve_app.engines.chatterbox.speaking import Manner, Speaking
from serve_app.engines.chatterbox.t3.decoder import TokenDecoder
from serve_app.engines.chatterbox.t3.guards import max_tokens_for
from serve_app.engines.chatterbox.t3.sequence import TokenRequest
from serve_app.engines.chatterbox.task import Task
from serve_app.engines.chatterbox.voice import Voice
from serve_app.engines.chatterbox.voice_file import dump_voice, load_voice
from serve_app.engines.chatterbox.words import located_words
from serve_app.engines.words import written_words

_EXAGGERATION = 0.5
"""Upstream's default: neutral."""


class ChatterboxEngine:
    """One model on one device; `CloningEngine` and `BatchingEngine` of the domain."""

    def __init__(self, family: Family, **options: Any) -> None:
        """Load the model. `options` are `SpeechOptions`.

        Raises:
            WeightsMissing, WeightsDamaged: the model's files are not there or not whole.
            ValueError: an option is unknown or out of range.
        """
        chosen = SpeechOptions(**options)
        self._spec = SPECS[family]
        parts = assemble(self._spec, chosen, with_t3=True, precision=chosen.precision)
        assert parts.models.t3 is not None
        self._parts: Parts = parts
        self._reader = open_reader(self._spec, parts.models.folder)
        self._decoder = TokenDecoder(
            parts.models.t3,
            self._spec,
            slots=chosen.slots,
            max_length=chosen.positions,
            cuda_graphs=chosen.cuda_graphs,
        )
        self._scheduler = Scheduler(parts.synthesizer, decoder=self._decoder, batch=chosen.batch)
        self._manner = Manner(parts.hops, self._spec.closing_silence)
        self._decoder.warm_up()
        parts.warm_up(chosen.batch)

    @property
    def capabilities(self) -> Capabilities:
        """See `SpeechEngine`."""
        return SPEECH[self._spec.family]

    def core(self) -> Core[Task]:
        """See `BatchingEngine`."""
        return self._scheduler

    def speak(self, request: SpeechRequest) -> Task:
        """See `SpeechEngine`: in the voice that comes with the weights.

        Raises:
            InvalidRequest: there is none, or the text cannot be read.
        """
        voice = self._parts.models.default_voice
        if voice is None:
            raise InvalidRequest(
                "These weights have no voice of their own.", "Name a voice of the library."
            )
        return self.speak_as(request, voice)

    def speak_as(self, request: SpeechRequest, profile: Voice) -> Task:
        """See `CloningEngine`."""
        chunks = [
            self._tokens(request, text, profile, index) for index, text in enumerate(request.chunks)
        ]
        if request.word_timings and self.capabilities.word_timings:
            chunks = self._with_words(chunks, request)
        for chunk in chunks:  # the last one is to be refused before the first is heard
            self._decoder.check(chunk)
        speaking = Speaking(chunks, self._decoder, self._manner, self._parts.marking())
        return Task(speaking, self._scheduler)

    def analyse(self, samples: Samples) -> Voice:
        """See `VoiceLearner`."""
        return self._parts.listener.listen(samples)

    def dump(self, profile: Voice) -> bytes:
        """See `VoiceLearner`."""
        return dump_voice(profile, self._parts.fingerprint)

    def load(self, data: bytes) -> Voice:
        """See `VoiceLearner`."""
        return load_voice(data, self._parts.fingerprint)

    def _with_words(
        self, chunks: Sequence[TokenRequest], request: SpeechRequest
    ) -> list[TokenRequest]:
        """Each is to say which words it has, which takes some milliseconds, when it is begun."""

        def read(text: str) -> list[int]:
            return self._reader.read(text, request.language).tolist()

        texts = zip(written_words(request.chunks), request.chunks, strict=True)
        return [
            replace(chunk, words=partial(located_words, words, text, read))
            for chunk, (words, text) in zip(chunks, texts, strict=True)
        ]

    def _tokens(self, request: SpeechRequest, text: str, voice: Voice, index: int) -> TokenRequest:
        text_tokens = self._reader.read(text, request.language)
        exaggeration = request.sampling.exaggeration
        return TokenRequest(
            text_tokens=text_tokens,
            voice=voice,
            controls=_controls(request.sampling, self._spec),
            exaggeration=_EXAGGERATION if exaggeration is None else exaggeration,
            seed=request.seed + index,
            max_tokens=max_tokens_for(len(text_tokens)),
        )


def _controls(sampling: Sampling, spec: ModelSpec) -> Controls:
    """The model's own, with what was asked for of those that it has."""
    names = SPEECH[spec.family].controls & {field.name for field in fields(Controls)}
    asked = {name: getattr(sampling, name) for name in names}
    return replace(
        spec.controls, **{name: value for name, value in asked.items() if value is not None}
    )
