"""The embedded engine: audio after the first half second of a sentence has been rendered."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass

import numpy as np

from serve_app.domain.errors import VoiceNotFound
from serve_app.domain.types import Capabilities, PcmChunk, Samples, SpeechRequest
from serve_app.engines.hibari import splice, windows, word_times
from serve_app.engines.hibari.capabilities import CAPABILITIES
from serve_app.engines.hibari.graph import AcousticModel, Plan
from serve_app.engines.hibari.pronounce import Pronouncer, refuse_foreign_letters
from serve_app.engines.hibari.splice import Opening
from serve_app.engines.hibari.upstream import Floats, voice_model
from serve_app.engines.hibari.vocoder import Scratch, Vocoder
from serve_app.engines.hibari.word_times import Step, Stretch
from serve_app.engines.words import written_words

_WARM_UP = SpeechRequest(
    chunks=(
        "Ready.",
        "The quick brown fox jumps over the lazy dog, 12 times, in Xanthippolis.",
        "She sells sea shells by the sea shore, and the shells that she sells are sea shells, "
        "I am quite sure. So if she sells shells on the sea shore, then they are shore shells.",
    ),
    seed=1,
)


@dataclass(frozen=True, slots=True)
class _Utterance:
    ids: list[int]
    words: list[Stretch]  # none where nobody asked
    rng: np.random.Generator  # shared by the utterances of one chunk


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
        said = 0
        for utterance in self._utterances(request):
            steps = self._utter(utterance.ids, request.speed, utterance.rng, first=said == 0)
            for chunk in word_times.attach(steps, utterance.words, said, request.speed):
                said += len(chunk.samples)
                yield chunk

    def _utterances(self, request: SpeechRequest) -> Iterator[_Utterance]:
        words: list[list[str]] = [[] for _ in request.chunks]
        if request.word_timings:
            words = written_words(request.chunks)
        for index, text in enumerate(request.chunks):
            rng = np.random.default_rng(np.random.SeedSequence((request.seed, index)))
            reading = self._pronouncer.read(text)
            placed = word_times.place(words[index], reading)
            for phonemes, stretches in zip(reading.utterances, placed, strict=True):
                yield _Utterance(self._pronouncer.ids(phonemes), stretches, rng)

    def _utter(
        self, ids: list[int], speed: float, rng: np.random.Generator, first: bool
    ) -> Iterator[Step]:
        opening = self._open(ids, speed) if first else None
        if opening is not None:
            yield from self._continue(opening, ids, speed, rng)
            return
        plan = self._model.plan(ids, speed)
        vocoder = Vocoder(plan.f0, rng, self._scratch)
        for window in self._windows(ids, plan, first):
            yield Step(self._say(vocoder, plan, window), plan.durations, len(ids))

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
    ) -> Iterator[Step]:
        """Say the opening, and only then plan the whole."""
        vocoder = Vocoder(opening.plan.f0, rng, self._scratch)
        samples = self._say(vocoder, opening.plan, (0, opening.stop))
        yield Step(samples, opening.plan.durations, opening.settled)
        plan = opening.continued(self._model.plan(ids, speed))
        vocoder.revise(plan.f0)
        for window in windows.windows_after_first(opening.stop, len(plan.f0)):
            yield Step(self._say(vocoder, plan, window), plan.durations, len(ids))

    def _say(self, vocoder: Vocoder, plan: Plan, window: tuple[int, int]) -> Samples:
        return _to_int16(vocoder.push(self._model.render(plan, *window)))

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
