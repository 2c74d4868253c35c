"""A text on its way to speech: T3 makes the tokens of one chunk while S3Gen speaks another."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence as Several
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from serve_app.domain.errors import GenerationFailed
from serve_app.domain.types import PcmChunk, WordTiming
from serve_app.engines.chatterbox.models import SAMPLES_PER_TOKEN
from serve_app.engines.chatterbox.s3gen.synthesizer import FloatSamples
from serve_app.engines.chatterbox.s3gen.utterance import Utterance
from serve_app.engines.chatterbox.s3gen.windows import Hops
from serve_app.engines.chatterbox.t3.decoder import TokenDecoder
from serve_app.engines.chatterbox.t3.sequence import Sequence, TokenRequest
from serve_app.engines.chatterbox.task import Need, Tokens, Window, pcm
from serve_app.engines.chatterbox.words import SpokenWord, WordClock

SILENCE = 4299
"""The token that S3Gen was taught to make silence of (`S3GEN_SIL` upstream)."""

_ATTEMPTS = 3
"""Times that a text is tried of which T3 makes nothing, each with another seed."""


class Marking(Protocol):
    """A watermark on its way into one stream."""

    def push(self, samples: FloatSamples) -> FloatSamples: ...

    def finish(self) -> FloatSamples: ...


@dataclass(frozen=True, slots=True)
class Manner:
    """What is the same for every chunk."""

    hops: Hops
    closing_silence: int  # tokens after the last of each chunk


@dataclass(slots=True, eq=False)
class _Chunk:
    """A chunk of the text while it is spoken."""

    sequence: Sequence
    utterance: Utterance
    clock: WordClock | None  # where it matters when words are said
    heard: int = 0  # samples

    def tell(self) -> list[SpokenWord]:
        """The words that can be told by now, each once; all of them when it is finished."""
        if self.clock is None:
            return []
        self.clock.extend_to(self.utterance.seen, self.sequence.looks)
        if self.utterance.is_finished:
            return self.clock.tell_rest()
        return self.clock.tell(self.heard / SAMPLES_PER_TOKEN)


class Speaking:
    """The `Work` of one request for speech."""

    def __init__(
        self,
        requests: Several[TokenRequest],
        decoder: TokenDecoder,
        manner: Manner,
        marking: Marking | None,
    ) -> None:
        """`requests` are the chunks of the text, in order; at least one."""
        self._decoder = decoder
        self._manner = manner
        self._marking = marking
        self._waiting = deque(requests)
        self._chunks: deque[_Chunk] = deque()
        self._spoken = 0  # samples of chunks that are finished
        self._words: list[WordTiming] = []  # to go with the next samples
        self._attempt = 1
        self._sequence: Sequence | None = None

    def begin(self) -> None:
        """See `Work`."""
        self._decode_next()

    def need(self) -> Need | None:
        """See `Work`."""
        self._take_over_tokens()
        if not self._chunks:
            return None
        utterance = self._chunks[0].utterance
        span = utterance.span()
        if span is not None:
            return Window(utterance, span)
        assert self._sequence is not None  # or the utterance would be whole
        return Tokens(self._sequence)

    def take_samples(self, samples: FloatSamples) -> PcmChunk:
        """See `Work`."""
        self._count(self._chunks[0], samples)
        marked = self._mark(samples)
        words = tuple(self._words) if len(marked) else ()
        del self._words[: len(words)]
        return pcm(marked, words)

    def abandon(self) -> None:
        """See `Work`."""
        if self._sequence is not None:
            self._decoder.cancel(self._sequence)

    def _count(self, chunk: _Chunk, samples: FloatSamples) -> None:
        chunk.heard += len(samples)
        self._words += [word.timing(self._spoken) for word in chunk.tell()]
        if chunk.utterance.is_finished:
            self._spoken += chunk.heard
            self._chunks.popleft()

    def _mark(self, samples: FloatSamples) -> FloatSamples:
        if self._marking is None:
            return samples
        marked = self._marking.push(samples)
        return marked if self._chunks else np.concatenate([marked, self._marking.finish()])

    def _take_over_tokens(self) -> None:
        sequence = self._sequence
        if sequence is None:
            return
        utterance = self._chunks[-1].utterance
        utterance.extend_to(sequence.tokens)
        if sequence.finish is None:
            return
        if not sequence.tokens:
            self._try_again(sequence.request)
            return
        utterance.close(sequence.tokens, closing=[SILENCE] * self._manner.closing_silence)
        self._decode_next()

    def _decode_next(self) -> None:
        self._attempt = 1
        self._sequence = None
        if self._waiting:
            self._decode(self._waiting.popleft())

    def _decode(self, request: TokenRequest) -> None:
        self._sequence = self._decoder.add(request)
        utterance = Utterance(request.voice.prompt, request.seed, self._manner.hops)
        clock = WordClock(request.words()) if request.words else None
        self._chunks.append(_Chunk(self._sequence, utterance, clock))

    def _try_again(self, request: TokenRequest) -> None:
        if self._attempt == _ATTEMPTS:
            raise GenerationFailed("The model made no speech of the text.", "Try another seed.")
        self._attempt += 1
        self._chunks.pop()
        self._decode(replace(request, seed=request.seed + 1))
