"""What is computed next, and that nothing is left behind: with stand-ins for the models."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from serve_app.domain.deadline import Stream
from serve_app.domain.errors import GenerationFailed, InvalidRequest
from serve_app.domain.protocols import Delivery
from serve_app.domain.types import PcmChunk
from serve_app.engines.chatterbox.models import SAMPLES_PER_TOKEN
from serve_app.engines.chatterbox.s3gen.synthesizer import FloatSamples
from serve_app.engines.chatterbox.s3gen.utterance import Utterance
from serve_app.engines.chatterbox.s3gen.windows import Hops, Span
from serve_app.engines.chatterbox.scheduler import Scheduler
from serve_app.engines.chatterbox.speaking import SILENCE, Manner, Speaking
from serve_app.engines.chatterbox.t3.guards import Finish
from serve_app.engines.chatterbox.task import Task
from serve_app.engines.chatterbox.voice import Prompt, Voice

PROMPT = Prompt(torch.zeros(5, dtype=torch.int64), torch.zeros(10, 80), torch.zeros(192))
VOICE = Voice(torch.zeros(256), torch.zeros(5, dtype=torch.int64), PROMPT)
HOPS = Hops((15, 25, 50), 10)


@dataclass(eq=False)
class Text:
    """In place of a `TokenRequest`: what T3 will make of it."""

    length: int
    seed: int = 0
    voice: Voice = VOICE
    refused: bool = False
    finish: Finish = Finish.STOP
    cut: int = 0  # tokens that a guard takes back at the end
    words: None = None


@dataclass(eq=False)
class Decoding:
    """In place of a `Sequence`."""

    request: Text
    tokens: list[int] = field(default_factory=list)
    finish: Finish | None = None
    drawn: int = 0


class Decoder:
    """A token for each of up to `slots` a step; token k of a text is k."""

    def __init__(self, slots: int = 4) -> None:
        self.slots = slots
        self.sequences: list[Decoding] = []
        self.steps = 0

    @property
    def active(self) -> int:
        return min(self.slots, len(self.sequences))

    @property
    def waiting(self) -> int:
        return max(0, len(self.sequences) - self.slots)

    @property
    def cache_use(self) -> float:
        return self.active / self.slots

    def add(self, request: Text) -> Decoding:
        if request.refused:
            raise InvalidRequest("no")
        self.sequences.append(Decoding(request))
        return self.sequences[-1]

    def cancel(self, sequence: Decoding) -> None:
        if sequence in self.sequences:
            self.sequences.remove(sequence)

    def step(self, urgency: Callable[[Decoding], float]) -> list[Decoding]:
        self.steps += 1
        running = [sequence for sequence in self.sequences if sequence.drawn]
        coming = [sequence for sequence in self.sequences if not sequence.drawn]
        stepped = (running + sorted(coming, key=urgency))[: self.slots]
        for sequence in stepped:
            if len(sequence.tokens) < sequence.request.length:
                sequence.tokens.append(len(sequence.tokens))
                sequence.drawn += 1
            else:
                sequence.finish = sequence.request.finish
                del sequence.tokens[sequence.request.length - sequence.request.cut :]
                self.sequences.remove(sequence)
        return stepped


class Singer:
    """In place of the synthesizer: a token's samples are its id in thousandths."""

    def __init__(self) -> None:
        self.batches: list[list[Utterance]] = []

    def run(self, ready: Sequence[tuple[Utterance, Span]]) -> list[FloatSamples]:
        self.batches.append([utterance for utterance, _ in ready])
        return [self._sing(*item) for item in ready]

    def _sing(self, utterance: Utterance, span: Span) -> FloatSamples:
        window = utterance.take(span)
        new = window.tokens[window.fresh : len(window.tokens) - (0 if window.final else 3)]
        return np.repeat(np.array(new, np.float32) / 10_000, SAMPLES_PER_TOKEN)


class Stage:
    """A scheduler with stand-ins."""

    def __init__(self, slots: int = 4, batch: int = 8) -> None:
        self.decoder, self.singer = Decoder(slots), Singer()
        self.core = Scheduler(self.singer, decoder=self.decoder, batch=batch)  # type: ignore[arg-type]

    def speak(self, *texts: Text, closing: int = 0) -> Stream[Task]:
        speaking = Speaking(texts, self.decoder, Manner(HOPS, closing), None)  # type: ignore[arg-type]
        stream = Stream(Task(speaking, self.core), time.monotonic())
        self.core.add(stream)
        return stream

    def run(self) -> list[Delivery[Task]]:
        delivered: list[Delivery[Task]] = []
        while self.core.busy:
            delivered += self.core.step()
        return delivered


def tokens_of(stream: Stream[Task], delivered: Sequence[Delivery[Task]]) -> list[int]:
    """The ids that a listener heard, in order."""
    chunks = [d.result for d in delivered if d.stream is stream and d.result is not None]
    samples = [c.samples[::SAMPLES_PER_TOKEN] for c in chunks if isinstance(c, PcmChunk)]
    return [round(s * 10_000 / 32767) for s in np.concatenate([np.zeros(0), *samples])]


def ending_of(stream: Stream[Task], delivered: Sequence[Delivery[Task]]) -> object:
    return [d.result for d in delivered if d.stream is stream][-1]


@pytest.mark.parametrize("length", [1, 2, 3, 14, 15, 17, 18, 40, 43, 44, 90, 400])
def test_every_token_is_heard_once_and_in_order(length: int) -> None:
    stage = Stage()
    stream = stage.speak(Text(length), Text(7))
    delivered = stage.run()
    assert tokens_of(stream, delivered) == [*range(length), *range(7)]
    assert ending_of(stream, delivered) is None


def test_closing_silence_follows_each_chunk() -> None:
    stage = Stage()
    stream = stage.speak(Text(4), Text(2), closing=2)
    heard = tokens_of(stream, stage.run())
    assert heard == [0, 1, 2, 3, SILENCE, SILENCE, 0, 1, SILENCE, SILENCE]


def test_what_a_guard_takes_back_is_not_heard_unless_it_was_already() -> None:
    stage = Stage()
    late = stage.speak(Text(60, cut=20, finish=Finish.REPETITION))
    early = stage.speak(Text(60, cut=58, finish=Finish.SILENCE))
    delivered = stage.run()
    assert tokens_of(late, delivered) == list(range(43))  # a window had looked ahead that far
    assert tokens_of(early, delivered) == list(range(43))
    assert ending_of(early, delivered) is None


def test_a_text_of_which_nothing_comes_is_tried_again_and_then_fails() -> None:
    stage = Stage()
    seeds: list[int] = []
    add = stage.decoder.add

    def watched(request: Text) -> Decoding:
        seeds.append(request.seed)
        return add(request)

    stage.decoder.add = watched  # type: ignore[method-assign]
    stream = stage.speak(Text(0, seed=5))
    assert isinstance(ending_of(stream, stage.run()), GenerationFailed)
    assert seeds == [5, 6, 7]
    assert not stage.decoder.sequences


def test_a_request_that_cannot_be_made_fails_alone() -> None:
    stage = Stage()
    refused, fine = stage.speak(Text(5, refused=True)), stage.speak(Text(5))
    delivered = stage.run()
    assert isinstance(ending_of(refused, delivered), InvalidRequest)
    assert tokens_of(fine, delivered) == list(range(5))


def test_windows_of_many_are_made_at_once_but_no_more_than_a_batch() -> None:
    stage = Stage(slots=8, batch=3)
    for _ in range(7):
        stage.speak(Text(15))
    stage.run()
    assert sorted(map(len, stage.singer.batches)) == [1, 3, 3]


def test_a_newcomer_overtakes_who_has_audio_in_hand() -> None:
    stage = Stage(batch=1)
    long = stage.speak(Text(300))
    while not long.delivered:
        stage.core.step()
    late = stage.speak(Text(60))
    while stage.decoder.sequences:  # windows of both are ready
        stage.decoder.step(lambda _: 0)
    stage.core.step()
    assert late.delivered > 0
    before = long.delivered
    while late.deadline < long.deadline:
        stage.core.step()
    assert long.delivered == before


def test_a_chunk_is_heard_before_the_next_one_is_decoded() -> None:
    stage = Stage()
    stream = stage.speak(Text(16), Text(400))
    while not stream.delivered:
        stage.core.step()
    assert stage.decoder.steps < 25


def test_who_waits_for_a_slot_does_not_keep_others_from_being_heard() -> None:
    stage = Stage(slots=1)
    first, waiting = stage.speak(Text(200)), stage.speak(Text(10))
    while first.delivered < 3:
        stage.core.step()
    assert stage.decoder.steps < 120  # its windows were made as its tokens came
    assert stage.core.load.waiting == 1
    assert tokens_of(waiting, stage.run()) == list(range(10))


def test_ten_thousand_comings_and_goings_leave_nothing_behind() -> None:
    dice, stage = random.Random(1), Stage(slots=8)
    there: list[Stream[Task]] = []
    for _ in range(10_000):
        if dice.random() < 0.5 or not there:
            texts = [Text(dice.randrange(1, 30)) for _ in range(dice.randrange(1, 3))]
            there.append(stage.speak(*texts))
        else:
            stage.core.remove(there.pop(dice.randrange(len(there))))
        for _ in range(dice.randrange(3)):
            ended = [d.stream for d in stage.core.step() if not isinstance(d.result, PcmChunk)]
            there = [stream for stream in there if stream not in ended]
        if len(there) > 20:
            stage.core.remove(there.pop(0))
    for stream in there:
        stage.core.remove(stream)
    assert not stage.core.busy
    assert not stage.decoder.sequences
    assert stage.core.load.running == stage.core.load.waiting == 0
    assert stage.core.load.cache_use == 0
