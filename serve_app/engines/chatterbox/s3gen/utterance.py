"""One stretch of speech tokens on its way to samples: what S3Gen keeps of it between windows."""

from __future__ import annotations

from collections.abc import Sequence

from serve_app.engines.chatterbox.s3gen.flow import FlowWindow
from serve_app.engines.chatterbox.s3gen.noise import FrameNoise
from serve_app.engines.chatterbox.s3gen.vocoder import VocoderStream
from serve_app.engines.chatterbox.s3gen.windows import LOOK_AHEAD, Hops, Span
from serve_app.engines.chatterbox.voice import Prompt


class Utterance:
    """Tokens come in at one end, windows over them go out at the other."""

    def __init__(self, prompt: Prompt, seed: int, hops: Hops) -> None:
        self.prompt = prompt
        self.vocoder = VocoderStream(seed)
        self._tokens: list[int] = []
        self._is_whole = False  # no token will follow
        self._noise = FrameNoise(seed)
        self._hops = hops
        self._emitted = 0

    @property
    def seen(self) -> Sequence[int]:
        """The tokens that windows have looked at: they stay."""
        return self._tokens[: self._emitted + LOOK_AHEAD] if self._emitted else []

    @property
    def is_finished(self) -> bool:
        """Whether all there will ever be is out."""
        return self._is_whole and self._emitted == len(self._tokens)

    def extend_to(self, tokens: Sequence[int]) -> None:
        """Take the tokens that are new; `tokens` are all there are so far."""
        self._tokens.extend(tokens[len(self._tokens) :])

    def close(self, tokens: Sequence[int], closing: Sequence[int] = ()) -> None:
        """There are no more. `tokens` may be fewer than before, where a fault at the end was cut
        off; what was heard stays. `closing` follow them.
        """
        self.extend_to(tokens)
        heard = self._emitted + LOOK_AHEAD if self._emitted else 0
        del self._tokens[max(len(tokens), heard) :]
        self._tokens.extend(closing)
        self._is_whole = True

    def span(self) -> Span | None:
        """The window that is ready, if one is."""
        return self._hops.next(
            emitted=self._emitted, available=len(self._tokens), is_whole=self._is_whole
        )

    def take(self, span: Span) -> FlowWindow:
        """The window of a span, which counts as emitted from now on."""
        self._emitted = span.emitted
        return FlowWindow.at(span, self.prompt, self._tokens, self._noise)
