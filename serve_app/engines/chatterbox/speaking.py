"""A text on its way to speech: T3 makes the tokens of one chunk while S3Gen speaks another."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence as Several
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from serve_app.domain.errors import GenerationFailed
from serve_app.domain.types import PcmChunk
from serve_app.engines.chatterbox.s3gen.synthesizer import FloatSamples
from serve_app.engines.chatterbox.s3gen.utterance import Utterance
from serve_app.engines.chatterbox.s3gen.windows import Hops
from serve_app.engines.chatterbox.t3.decoder import TokenDecoder
from serve_app.engines.chatterbox.t3.sequence import Sequence, TokenRequest
from serve_app.engines.chatterbox.task import Need, Tokens, Window, pcm

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
        self._utterances: deque[Utterance] = deque()
        self._attempt = 1
        self._sequence: Sequence | None = None

    def begin(self) -> None:
        """See `Work`."""
        self._decode_next()

    def need(self) -> Need | None:
        """See `Work`."""
        self._take_over_tokens()
        if not self._utterances:
            return None
        span = self._utterances[0].span()
        if span is not None:
            return Window(self._utterances[0], span)
        assert self._sequence is not None  # or the utterance would be whole
        return Tokens(self._sequence)

    def take_samples(self, samples: FloatSamples) -> PcmChunk:
        """See `Work`."""
        if self._utterances[0].is_finished:
            self._utterances.popleft()
        if self._marking is None:
            return pcm(samples)
        marked = self._marking.push(samples)
        if self._utterances:
            return pcm(marked)
        return pcm(np.concatenate([marked, self._marking.finish()]))

    def abandon(self) -> None:
        """See `Work`."""
        if self._sequence is not None:
            self._decoder.cancel(self._sequence)

    def _take_over_tokens(self) -> None:
        sequence = self._sequence
        if sequence is None:
            return
        utterance = self._utterances[-1]
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
        prompt = request.voice.prompt
        self._utterances.append(Utterance(prompt, request.seed, self._manner.hops))

    def _try_again(self, request: TokenRequest) -> None:
        if self._attempt == _ATTEMPTS:
            raise GenerationFailed("The model made no speech of the text.", "Try another seed.")
        self._attempt += 1
        self._utterances.pop()
        self._decode(replace(request, seed=request.seed + 1))
