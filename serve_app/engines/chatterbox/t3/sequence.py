"""A request to T3, and what has become of it."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence as Several
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from torch import Tensor

from serve_app.engines.chatterbox.models import SPEECH_VOCABULARY, Controls
from serve_app.engines.chatterbox.t3.guards import Finish, Watch
from serve_app.engines.chatterbox.voice import Voice
from serve_app.engines.chatterbox.words import LocatedWord

Look = npt.NDArray[np.float32]
"""How much T3 looked at each text token of a request when it drew a token, [n]."""


@dataclass(frozen=True, slots=True, eq=False)
class TokenRequest:
    """A text to make speech tokens of."""

    text_tokens: Tensor  # [n] int64 on the CPU, with the marks that the model wants
    voice: Voice
    controls: Controls
    exaggeration: float  # of models that are emotive
    seed: int
    max_tokens: int  # that may be drawn, marks included
    words: Callable[[], Several[LocatedWord]] | None = None  # where their times are wanted


@dataclass(slots=True, eq=False)
class Sequence:
    """One request on its way through the decoder, which alone writes here."""

    request: TokenRequest
    watch: Watch
    prompt_length: int  # positions that the prompt takes in the cache
    max_tokens: int  # of the request, or fewer where the cache has less room
    tokens: list[int] = field(default_factory=list)  # ids of speech; marks are left out
    looks: list[Look] = field(default_factory=list)  # one for each of `tokens`, if there are words
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

    def accept(self, token: int, stop: int, look: Look | None = None) -> None:
        """Take the token that was drawn next, and end if that is due."""
        self.drawn += 1
        if token == stop:
            self.finish = Finish.STOP
        elif token < SPEECH_VOCABULARY:
            self._speak(token, look)
        if self.finish is None and self.drawn >= self.max_tokens:
            self.finish = Finish.LENGTH

    def _speak(self, token: int, look: Look | None) -> None:
        self.tokens.append(token)
        if look is not None:
            self.looks.append(look)
        fault = self.watch.look(self.tokens)
        if fault is not None:
            self.finish = fault.finish
            del self.tokens[fault.tokens_before :]
            del self.looks[fault.tokens_before :]
