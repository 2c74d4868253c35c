"""A request to T3, and what has become of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from serve_app.engines.chatterbox.models import SPEECH_VOCABULARY, Controls
from serve_app.engines.chatterbox.t3.guards import Finish, Watch
from serve_app.engines.chatterbox.voice import Voice


@dataclass(frozen=True, slots=True, eq=False)
class TokenRequest:
    """A text to make speech tokens of."""

    text_tokens: Tensor  # [n] int64 on the CPU, with the marks that the model wants
    voice: Voice
    controls: Controls
    exaggeration: float  # of models that are emotive
    seed: int
    max_tokens: int  # that may be drawn, marks included


@dataclass(slots=True, eq=False)
class Sequence:
    """One request on its way through the decoder, which alone writes here."""

    request: TokenRequest
    watch: Watch
    prompt_length: int  # positions that the prompt takes in the cache
    max_tokens: int  # of the request, or fewer where the cache has less room
    tokens: list[int] = field(default_factory=list)  # ids of speech; marks are left out
    finish: Finish | None = None
    cancelled: bool = False
    drawn: int = 0  # tokens, marks included

    @property
    def is_open(self) -> bool:
        """Whether more tokens may come."""
        return self.finish is None and not self.cancelled

    @property
    def cached(self) -> int:
        """Positions that it holds in the cache: the last token drawn is not in it yet."""
        return self.prompt_length + max(self.drawn - 1, 0)

    def accept(self, token: int, stop: int) -> None:
        """Take the token that was drawn next, and end if that is due."""
        self.drawn += 1
        if token == stop:
            self.finish = Finish.STOP
        elif token < SPEECH_VOCABULARY:
            self._speak(token)
        if self.finish is None and self.drawn >= self.max_tokens:
            self.finish = Finish.LENGTH

    def _speak(self, token: int) -> None:
        self.tokens.append(token)
        fault = self.watch.look(self.tokens)
        if fault is not None:
            self.finish = fault.finish
            del self.tokens[fault.tokens_before :]
