"""What is computed next: the core of the Chatterbox engines.

There are three kinds of work: a step of T3, which makes a token for everybody who is being decoded;
the tokens of pieces of recorded sources; and windows of S3Gen, which make sound. Each is done for
many tasks at once. Of the kinds, that one is next which is needed by the listener who would run dry
first (`domain/deadline.py`): so a new request overtakes listeners who have seconds in hand.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Sequence

import torch

from serve_app.domain.deadline import Stream
from serve_app.domain.errors import SpeechServiceError
from serve_app.domain.protocols import Delivery
from serve_app.domain.types import EngineLoad, PcmChunk
from serve_app.engines.chatterbox.meter import Meter
from serve_app.engines.chatterbox.s3gen.synthesizer import Synthesizer
from serve_app.engines.chatterbox.t3.decoder import TokenDecoder
from serve_app.engines.chatterbox.task import Need, Task
from serve_app.engines.chatterbox.tokenise import Tokeniser

Deliveries = list[Delivery[Task]]


class Scheduler:
    """A `Core` whose tasks share T3 and S3Gen."""

    def __init__(
        self,
        synthesizer: Synthesizer,
        *,
        decoder: TokenDecoder | None = None,
        tokeniser: Tokeniser | None = None,
        batch: int = 8,
    ) -> None:
        """`batch` windows of S3Gen are synthesized at once at most."""
        self._synthesizer = synthesizer
        self._decoder = decoder
        self._tokeniser = tokeniser
        self._batch = batch
        self._streams: dict[Stream[Task], None] = {}  # in the order in which they came
        self._refused: Deliveries = []
        self._meter = Meter()

    @property
    def busy(self) -> bool:
        """See `Core`."""
        return bool(self._streams or self._refused)

    @property
    def load(self) -> EngineLoad:
        """See `Core`; safe to read from other threads."""
        waiting = self._decoder.waiting if self._decoder else 0
        return EngineLoad(
            running=max(0, len(self._streams) - waiting),
            waiting=waiting,
            batch_size=self._meter.batch_size,
            cache_use=self._decoder.cache_use if self._decoder else 0.0,
            real_time_factor=self._meter.real_time_factor,
        )

    def add(self, stream: Stream[Task]) -> None:
        """See `Core`."""
        try:
            stream.work.work.begin()
        except SpeechServiceError as error:
            self._refused.append(Delivery(stream, error))
        else:
            self._streams[stream] = None

    def remove(self, stream: Stream[Task]) -> None:
        """See `Core`."""
        if stream in self._streams:
            del self._streams[stream]
            stream.work.work.abandon()
        self._refused = [refusal for refusal in self._refused if refusal.stream is not stream]

    @torch.inference_mode()
    def step(self) -> Sequence[Delivery[Task]]:
        """See `Core`."""
        delivered, self._refused = self._refused, []
        began = time.monotonic()
        needs, ended = self._needs()
        for delivery in ended:
            del self._streams[delivery.stream]
        delivered += ended
        if needs:
            kind = min(needs, key=lambda need: self._urgency(needs[need]))
            delivered += self._do(kind, needs[kind], began)
        return delivered

    def _urgency(self, streams: list[Stream[Task]]) -> float:
        """When the first of them is due. Who waits for a slot is not: only others can end that."""
        return next((s.deadline for s in streams if not self._waits_for_slot(s)), math.inf)

    def _waits_for_slot(self, stream: Stream[Task]) -> bool:
        sequence, decoder = stream.work.work.sequence, self._decoder
        if sequence is None or decoder is None:
            return False
        return sequence.drawn == 0 and decoder.active == decoder.slots

    def _needs(self) -> tuple[dict[Need, list[Stream[Task]]], Deliveries]:
        """Who waits for which kind of work, the most urgent of each first; and who has ended."""
        needs: dict[Need, list[Stream[Task]]] = defaultdict(list)
        ended: Deliveries = []
        for stream in sorted(self._streams, key=lambda stream: stream.deadline):
            try:
                need = stream.work.work.need()
            except SpeechServiceError as error:
                stream.work.work.abandon()
                ended.append(Delivery(stream, error))
                continue
            if need is Need.NOTHING:
                ended.append(Delivery(stream, None))
            else:
                needs[need].append(stream)
        return needs, ended

    def _do(self, kind: Need, streams: list[Stream[Task]], now: float) -> Deliveries:
        match kind:
            case Need.TOKENS:
                self._decode(streams)
                delivered: Deliveries = []
            case Need.PIECE:
                self._tokenise(streams[: self._batch])
                delivered = []
            case _:
                delivered = self._synthesize(streams[: self._batch])
        heard = sum(d.result.seconds for d in delivered if isinstance(d.result, PcmChunk))
        self._meter.count(time.monotonic() - now, heard)
        return delivered

    def _decode(self, streams: list[Stream[Task]]) -> None:
        assert self._decoder is not None
        deadlines = {stream.work.work.sequence: stream.deadline for stream in streams}
        stepped = self._decoder.step(lambda sequence: deadlines.get(sequence, math.inf))
        self._meter.count_batch(len(stepped))

    def _tokenise(self, streams: list[Stream[Task]]) -> None:
        assert self._tokeniser is not None
        pieces = self._tokeniser.run([stream.work.work.piece() for stream in streams])
        for stream, tokens in zip(streams, pieces, strict=True):
            stream.work.work.take_tokens(tokens)

    def _synthesize(self, streams: list[Stream[Task]]) -> Deliveries:
        windows = [stream.work.work.window() for stream in streams]
        pieces = self._synthesizer.run(windows)
        now = time.monotonic()
        delivered: Deliveries = []
        for stream, samples in zip(streams, pieces, strict=True):
            chunk = stream.work.work.take_samples(samples)
            stream.hear(chunk.seconds, now)
            if chunk.samples.size:
                delivered.append(Delivery(stream, chunk))
        return delivered
