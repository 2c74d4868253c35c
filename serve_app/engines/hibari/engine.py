"""The embedded engine: audio after the first half second of a sentence has been rendered."""

from __future__ import annotations

from collections.abc import Generator, Iterator

import numpy as np

from serve_app.domain.errors import VoiceNotFound
from serve_app.domain.types import Capabilities, PcmChunk, Samples, SpeechRequest
from serve_app.engines.hibari import splice, windows
from serve_app.engines.hibari.capabilities import CAPABILITIES
from serve_app.engines.hibari.graph import AcousticModel, Plan
from serve_app.engines.hibari.pronounce import Pronouncer, refuse_foreign_letters
from serve_app.engines.hibari.splice import Opening
from serve_app.engines.hibari.upstream import Floats, voice_model
from serve_app.engines.hibari.vocoder import Scratch, Vocoder

_WARM_UP = SpeechRequest(
    chunks=(
        "Ready.",
        "The quick brown fox jumps over the lazy dog, 12 times, in Xanthippolis.",
        "She sells sea shells by the sea shore, and the shells that she sells are sea shells, "
        "I am quite sure. So if she sells shells on the sea shore, then they are shore shells.",
    ),
    seed=1,
)


class HibariEngine:
    """Speaks English with hibari's built-in voice, a step at a time. Never uses the network."""

    def __init__(self) -> None:
        self._pronouncer = Pronouncer()
        self._scratch = Scratch()
        self._model = AcousticModel(voice_model(CAPABILITIES.voices[0]))
        for _ in self.speak(_WARM_UP):
            pass

    @property
    def capabilities(self) -> Capabilities:
        """What it can do, the same before and after loading."""
        return CAPABILITIES

    def speak(self, request: SpeechRequest) -> Generator[PcmChunk, None, None]:
        """Yield the speech of `request`: about half a second first, then a few seconds a step.

        Raises:
            VoiceNotFound: a voice other than the built-in one.
            InvalidRequest: letters the voice cannot read; before any audio.
        """
        _check_voice(request.voice)
        refuse_foreign_letters(request.chunks)
        first = True
        for index, text in enumerate(request.chunks):
            rng = np.random.default_rng(np.random.SeedSequence((request.seed, index)))
            for ids in self._pronouncer.utterances(text):
                yield from self._utter(ids, request.speed, rng, first)
                first = False

    def _utter(
        self, ids: list[int], speed: float, rng: np.random.Generator, first: bool
    ) -> Iterator[PcmChunk]:
        opening = self._open(ids, speed) if first else None
        if opening is not None:
            yield from self._continue(opening, ids, speed, rng)
            return
        plan = self._model.plan(ids, speed)
        vocoder = Vocoder(plan.f0, rng, self._scratch)
        for window in self._windows(ids, plan, first):
            yield self._say(vocoder, plan, window)

    def _open(self, ids: list[int], speed: float) -> Opening | None:
        """Plan the first words of a long utterance by themselves."""
        part = splice.beginning(ids, self._pronouncer.space_positions(ids), speed)
        if part is None:
            return None
        spaces, pauses = (
            self._pronouncer.space_positions(part),
            self._pronouncer.pause_positions(part),
        )
        return splice.opening(self._model.plan(part, speed), spaces, pauses)

    def _continue(
        self, opening: Opening, ids: list[int], speed: float, rng: np.random.Generator
    ) -> Iterator[PcmChunk]:
        """Say the opening, and only then plan the whole."""
        vocoder = Vocoder(opening.plan.f0, rng, self._scratch)
        yield self._say(vocoder, opening.plan, (0, opening.stop))
        plan = opening.continued(self._model.plan(ids, speed))
        vocoder.revise(plan.f0)
        for window in windows.windows_after_first(opening.stop, len(plan.f0)):
            yield self._say(vocoder, plan, window)

    def _say(self, vocoder: Vocoder, plan: Plan, window: tuple[int, int]) -> PcmChunk:
        samples = vocoder.push(self._model.render(plan, *window))
        return PcmChunk(_to_int16(samples), CAPABILITIES.sample_rate)

    def _windows(self, ids: list[int], plan: Plan, first: bool) -> Iterator[tuple[int, int]]:
        frames = len(plan.f0)
        if first:
            end = windows.first_window(frames, self._word_borders(ids, plan))
            later = windows.windows_after_first
        else:
            end = windows.window_after_plan(frames)
            later = windows.even_windows
        yield 0, end
        if end < frames:
            yield from later(end, frames)

    def _word_borders(self, ids: list[int], plan: Plan) -> list[int]:
        """Frames in the middle of the spaces between words."""
        middles = np.cumsum(plan.durations) - plan.durations // 2
        return [int(middles[position]) for position in self._pronouncer.space_positions(ids)]


def _check_voice(voice: str | None) -> None:
    if voice is not None and voice not in CAPABILITIES.voices:
        raise VoiceNotFound(
            f"The embedded engine has no voice {voice!r}.",
            f"It has: {', '.join(CAPABILITIES.voices)}.",
        )


def _to_int16(samples: Floats) -> Samples:
    scaled = np.rint(samples * 32_767.0)
    return np.clip(scaled, -32_768, 32_767).astype(np.int16)
