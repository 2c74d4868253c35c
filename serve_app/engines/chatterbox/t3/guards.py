"""When to end speech that the model will not end by itself.

T3 is a language model: now and then it falls into a loop or into silence and never stops. The
guards see the tokens only and change nothing until they end a sequence, so what comes before is
what upstream makes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from serve_app.engines.chatterbox.models import TOKEN_RATE

SILENT_TOKENS = frozenset({4137, 4215, 4218, 4299, 6162, 6324, 6405, 6486})
"""Tokens that S3Gen makes silence of. Upstream names one, 4299 (`S3GEN_SIL`); the public project
loudkit lists these, of which it measured all but 6162 to be rendered below -100 dBFS."""

_LEAST_TOKENS = 4 * TOKEN_RATE
_TOKENS_PER_TEXT_TOKEN = TOKEN_RATE
_MOST_TOKENS = 1000


class Finish(StrEnum):
    """Why a sequence ended."""

    STOP = "stop"  # the model said that this is all
    LENGTH = "length"  # it went on to the last token that it may draw
    REPETITION = "repetition"  # it repeated itself; the repetition is cut off
    SILENCE = "silence"  # it fell silent; the silence is cut off


def max_tokens_for(text_tokens: int) -> int:
    """The most speech tokens that a text may become.

    Four seconds, and one more for each text token, up to upstream's limit of 1,000 (40 s). A text
    token is a word at the most, and the slowest readers take less than a second for one; what
    exceeds it is no reading of that text.
    """
    return min(_LEAST_TOKENS + _TOKENS_PER_TEXT_TOKEN * text_tokens, _MOST_TOKENS)


@dataclass(frozen=True, slots=True)
class Guards:
    """How long a fault may last. In speech even a held vowel changes its token several times a
    second, and nobody says the same syllable for four; a pause of three seconds is not punctuation.
    """

    token_seconds: float = 2.0  # of one token, unless it is silent
    cycle_seconds: float = 4.0  # of the same few tokens over and over
    longest_cycle: int = 10  # tokens
    silence_seconds: float = 3.0
    silent_tokens: frozenset[int] = SILENT_TOKENS


@dataclass(frozen=True, slots=True)
class Fault:
    """What went wrong, and how many tokens came before it."""

    finish: Finish
    tokens_before: int


class Watch:
    """Looks at the tokens of one sequence as they come; the work for each does not grow."""

    def __init__(self, guards: Guards) -> None:
        self._guards = guards
        self._silent = 0  # tokens at the end that are silent
        self._repeated = [0] * (guards.longest_cycle + 1)  # at the end, equal to that of p before

    def look(self, tokens: list[int]) -> Fault | None:
        """Take notice of the last token; to be called once for each."""
        self._count(tokens)
        return self._silence(len(tokens)) or self._repetition(len(tokens))

    def _count(self, tokens: list[int]) -> None:
        last, count = tokens[-1], len(tokens)
        self._silent = self._silent + 1 if last in self._guards.silent_tokens else 0
        for period in range(1, min(count, len(self._repeated))):
            same = tokens[-1 - period] == last
            self._repeated[period] = self._repeated[period] + 1 if same else 0

    def _silence(self, count: int) -> Fault | None:
        if self._silent > self._guards.silence_seconds * TOKEN_RATE:
            return Fault(Finish.SILENCE, count - self._silent)
        return None

    def _repetition(self, count: int) -> Fault | None:
        """The first round of a cycle is speech; the second and all others are the fault."""
        for period in range(1, len(self._repeated)):
            limit = self._guards.token_seconds if period == 1 else self._guards.cycle_seconds
            repeated = self._repeated[period]
            lasting = repeated >= period and period + repeated > limit * TOKEN_RATE
            if lasting and self._silent < period:
                return Fault(Finish.REPETITION, count - repeated)
        return None
