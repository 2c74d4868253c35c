"""What of a string is text at all: line breaks unified, invisible characters out, Unicode NFC."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

SENTENCE_ENDS = ".!?…؟۔।॥。！？｡"
CLOSERS = "\"'”’»›)]}」』）】》〉"
OPENERS = "\"'“‘„«‹([{¿¡「『（【《〈"

MARKS_IN_A_ROW = 30
"""Most combining marks kept after a letter: the bound of the Stream-Safe Text Format (UAX 15)."""

# C0 and C1 controls but tab and newline, soft hyphen, joiners and spaces of no width, marks of
# direction, byte order mark, interlinear notes, tags, and lone surrogates.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\U000e0000-\U000e007f\ud800-\udfff]"
)


def plain_text(text: str) -> str:
    """Return `text` in NFC with `\\n` as its only line break and without invisible characters.

    White space between words is left as it is. Linear in the length of the text.
    """
    visible = _INVISIBLE.sub("", "\n".join(text.splitlines()))
    if visible.isascii():
        return visible
    return unicodedata.normalize("NFC", "".join(_bounded_marks(visible)))


def _bounded_marks(text: str) -> Iterator[str]:
    # Unicode sorts a run of marks by insertion: without a bound, quadratic in a hostile text.
    marks = 0
    for character in text:
        marks = marks + 1 if unicodedata.combining(character) else 0
        if marks <= MARKS_IN_A_ROW:
            yield character
