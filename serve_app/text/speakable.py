"""Whether text can be spoken at all, and which of its letters an engine does not know."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from itertools import islice

REPORTED_LETTERS = 10

_SPEECH = re.compile(r"[^\W_]")


def has_speech(text: str) -> bool:
    """Tell whether the text holds a letter or a digit; emoji and punctuation are silent."""
    return _SPEECH.search(text) is not None


def unspeakable(text: str, scripts: tuple[str, ...] | None) -> str:
    """Return the first ten distinct letters of scripts an engine does not pronounce, or "".

    Args:
        scripts: beginnings of Unicode character names ("LATIN", "CJK UNIFIED IDEOGRAPH"); None
            means that the engine takes any.
    """
    if scripts is None or (text.isascii() and "LATIN" in scripts):
        return ""
    letters = (letter for letter in dict.fromkeys(text) if not _is_pronounced(letter, scripts))
    return "".join(islice(letters, REPORTED_LETTERS))


def _is_pronounced(character: str, scripts: tuple[str, ...]) -> bool:
    name = _letter_name(character)
    # Modifier letters change the sound of the letter before them, in whatever script that is.
    return name is None or name.startswith((*scripts, "MODIFIER LETTER"))


@lru_cache(maxsize=4096)
def _letter_name(character: str) -> str | None:
    """Return the Unicode name of a letter, None for any other character.

    Letters in disguise (`ª`, full width, double-struck) go by the letter they stand for.
    """
    if not character.isalpha():
        return None
    return unicodedata.name(unicodedata.normalize("NFKC", character)[0], "")
