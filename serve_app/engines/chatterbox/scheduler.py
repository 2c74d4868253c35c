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
from serve_app.engines.chatterbox.task import Need, Piece, Task, Tokens, Window
from serve_app.engines.chatterbox.tokenise import Tokeniser

Deliveries = list[Delivery[Task]]
Waiting = tuple[Stream[Task], Need]


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
            kind = min(needs, key=lambda kind: self._urgency(needs[kind]))
            delivered += self._do(kind, needs[kind], began)
        return delivered

    def _needs(self) -> tuple[dict[type[Need], list[Waiting]], Deliveries]:
        """Who waits for which kind of work, the most urgent of each first; and who has ended."""
        needs: dict[type[Need], list[Waiting]] = defaultdict(list)
        ended: Deliveries = []
        for stream in sorted(self._streams, key=lambda stream: stream.deadline):
            try:
                need = stream.work.work.need()
            except SpeechServiceError as error:
                stream.work.work.abandon()
                ended.append(Delivery(stream, error))
                continue
            if need is None:
                ended.append(Delivery(stream, None))
            else:
                needs[type(need)].append((stream, need))
        return needs, ended

    def _urgency(self, waiting: list[Waiting]) -> float:
        """When the first of them is due. Who waits for a slot is not: only others can end that."""
        due = (stream.deadline for stream, need in waiting if not self._waits_for_slot(need))
        return next(due, math.inf)

    def _waits_for_slot(self, need: Need) -> bool:
        if not isinstance(need, Tokens) or self._decoder is None:
            return False
        return need.sequence.drawn == 0 and self._decoder.active == self._decoder.slots

    def _do(self, kind: type[Need], waiting: list[Waiting], began: float) -> Deliveries:
        delivered: Deliveries = []
        if kind is Tokens:
            self._decode(waiting)
        elif kind is Piece:
            self._tokenise(waiting[: self._batch])
        else:
            delivered = self._synthesize(waiting[: self._batch])
        heard = sum(d.result.seconds for d in delivered if isinstance(d.result, PcmChunk))
        self._meter.count(time.monotonic() - began, heard)
        return delivered

    def _decode(self, waiting: list[Waiting]) -> None:
        assert self._decoder is not None
        due = {
            need.sequence: stream.deadline for stream, need in waiting if isinstance(need, Tokens)
        }
        stepped = self._decoder.step(lambda sequence: due.get(sequence, math.inf))
        self._meter.count_batch(len(stepped))

    def _tokenise(self, waiting: list[Waiting]) -> None:
        assert self._tokeniser is not None
        pieces = [need for _, need in waiting if isinstance(need, Piece)]
        made = self._tokeniser.run([need.piece for need in pieces])
        for need, tokens in zip(pieces, made, strict=True):
            need.take(tokens)

    def _synthesize(self, waiting: list[Waiting]) -> Deliveries:
        windows = [(n.utterance, n.span) for _, n in waiting if isinstance(n, Window)]
        pieces = self._synthesizer.run(windows)
        now = time.monotonic()
        delivered: Deliveries = []
        for (stream, _), samples in zip(waiting, pieces, strict=True):
            chunk = stream.work.work.take_samples(samples)
            stream.hear(chunk.seconds, now)
            if chunk.samples.size:
                delivered.append(Delivery(stream, chunk))
        return delivered
