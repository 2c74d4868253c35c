"""Cuts text into chunks that an engine speaks well. Nothing is ever dropped.

Text is cut where a speaker would breathe: at sentences, within a long one at clauses, and at words
only where a clause is too long. The first chunk is short, so that audio starts early. All of it
works on spans of one string, so that a character can be neither lost nor moved.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from serve_app.text.borders import clause_ends, sentence_ends
from serve_app.text.speakable import has_speech

SHORT_CHARS = 20
"""Engines speak less text than this badly: alone it is joined with its neighbour."""

Span = tuple[int, int]
"""Start and end offset of a piece of text, with no space at its ends."""


@dataclass(frozen=True, slots=True)
class Splitting:
    """How text is cut; lengths are in characters.

    Without `group` a chunk is one sentence. With it, sentences are joined up to a limit that is
    `first_chars` for the first chunk and doubles with each, up to `max_chars`.
    """

    max_chars: int
    first_chars: int
    merge_short: bool = True
    group: bool = False

    def __post_init__(self) -> None:
        if self.max_chars < 1 or self.first_chars < 1:
            raise ValueError("A chunk of text holds at least one character.")

    @property
    def short_chars(self) -> int:
        """What is shorter than this does not stand alone."""
        return min(SHORT_CHARS, self.max_chars) if self.merge_short else 1


def split(text: str, rules: Splitting) -> tuple[str, ...]:
    """Cut `text` into chunks of at most `rules.max_chars` characters, in order.

    Joined and without white space, the chunks equal the text without white space. A chunk has no
    white space at its ends and single spaces within. Line breaks are sentence borders. Text without
    a character that shows gives no chunk. Linear in the length of the text.
    """
    lines = (" ".join(line.split()) for line in text.splitlines())
    text = "\n".join(filter(None, lines))
    spans = _join_weak(text, list(_pieces(text, rules)), rules)
    if rules.group:
        spans = _group(spans, rules)
    return tuple(text[start:end].replace("\n", " ") for start, end in spans)


def _pieces(text: str, rules: Splitting) -> Iterator[Span]:
    """Yield the opening, then sentence after sentence, each in pieces of at most `max_chars`."""
    sentences = list(_sentences(text))
    opening = _opening_end(text, sentences, rules)
    if opening:
        yield 0, opening
    for start, end in sentences:
        if end > opening:
            yield from _cut(text, _after(text, opening) if start < opening else start, end, rules)


def _sentences(text: str) -> Iterator[Span]:
    line_start = 0
    for line in text.split("\n"):
        start, line_end = line_start, line_start + len(line)
        for end in sentence_ends(text, start, line_end):
            if end > start:
                yield start, end
            start = _after(text, end)
        line_start = line_end + 1


def _after(text: str, end: int) -> int:
    """Return where the piece after the one that ends at `end` starts."""
    return end + 1 if text[end : end + 1].isspace() else end


def _opening_end(text: str, sentences: Sequence[Span], rules: Splitting) -> int:
    """Return the end of the first chunk, or 0 if the text is too short to have one of its own.

    That is the longest border within `first_chars`; if there is none, the first border after it,
    for a cut between words is heard; but words are the border of what has to be cut at words
    anyway.
    """
    best = 0
    for border in _opening_borders(text, sentences, rules):
        if border > rules.max_chars:
            break
        if border > rules.first_chars:
            return best or border
        best = border
    else:
        return best
    return best or _opening_word(text, rules)


def _opening_word(text: str, rules: Splitting) -> int:
    end = min(rules.first_chars, rules.max_chars)
    return max(0, text.rfind(" ", rules.short_chars, end + 1))


def _opening_borders(text: str, sentences: Sequence[Span], rules: Splitting) -> Iterator[int]:
    """Yield the borders at which the text can open, up to the first sentence that stands alone.

    A border that leaves a stump on either side is none.
    """
    for start, end in sentences:
        for clause_end in clause_ends(text, start, end):
            if clause_end >= rules.short_chars <= end - clause_end:
                yield clause_end
        if end >= rules.short_chars:
            yield end
            return


def _cut(text: str, start: int, end: int, rules: Splitting) -> Iterator[Span]:
    """Yield pieces of about the same length, so that no tiny tail remains."""
    clauses = list(clause_ends(text, start, end)) if end - start > rules.max_chars else []
    while end - start > rules.max_chars:
        target = start + _even_share(end - start, rules.max_chars)
        cut = _clause_cut(clauses, start, end, target, rules.max_chars)
        cut = cut or _word_cut(text, start, end, target, rules.max_chars)
        yield start, cut
        start = _after(text, cut)
    yield start, end


def _even_share(length: int, most: int) -> int:
    """Return the length of the longest of the fewest even parts that hold at most `most` each."""
    parts = -(-length // most)
    return -(-length // parts)


def _clause_cut(
    clauses: Sequence[int], start: int, end: int, target: int, max_chars: int
) -> int | None:
    """Return the clause border nearest to `target` that leaves no stump on either side."""
    stump = max(1, max_chars // 4)
    index = bisect_left(clauses, target)
    near = (
        border
        for border in clauses[max(0, index - 1) : index + 1]
        if start + stump <= border <= min(start + max_chars, end - stump)
    )
    return min(near, key=lambda border: abs(border - target), default=None)


def _word_cut(text: str, start: int, end: int, target: int, max_chars: int) -> int:
    """Return the word border nearest to `target`, or a place inside a word longer than a chunk."""
    before = text.rfind(" ", start, target + 1)
    after = text.find(" ", target, start + max_chars + 1)
    near = [space for space in (before, after) if space > start]
    if near:
        return min(near, key=lambda space: abs(space - target))
    # Looking no further than two chunks keeps a text without a space linear.
    horizon = min(end, start + 2 * max_chars)
    word_end = text.find(" ", start, horizon)
    return start + _even_share((horizon if word_end < 0 else word_end) - start, max_chars)


def _join_weak(text: str, spans: Sequence[Span], rules: Splitting) -> list[Span]:
    """Join what does not stand alone with a neighbour, where a chunk has room for both.

    Marks without a letter belong to what is before them; a short sentence is joined with the next,
    or with the one before if it is the last or the next is too long.
    """

    def is_mute(span: Span) -> bool:
        return not has_speech(text[span[0] : span[1]])

    def is_weak(span: Span) -> bool:
        return span[1] - span[0] < rules.short_chars or is_mute(span)

    def fits(first: Span, second: Span) -> bool:
        return second[1] - first[0] <= rules.max_chars

    spans = _join(spans, lambda first, second: is_mute(second) and fits(first, second))
    spans = _join(spans, lambda first, second: is_weak(first) and fits(first, second))
    return _join(spans, lambda first, second: is_weak(second) and fits(first, second))


def _join(spans: Iterable[Span], belong: Callable[[Span, Span], bool]) -> list[Span]:
    joined: list[Span] = []
    for span in spans:
        if joined and belong(joined[-1], span):
            joined[-1] = (joined[-1][0], span[1])
        else:
            joined.append(span)
    return joined


def _group(spans: Iterable[Span], rules: Splitting) -> list[Span]:
    grouped: list[Span] = []
    limit = rules.first_chars
    for start, end in spans:
        if grouped and end - grouped[-1][0] <= min(limit, rules.max_chars):
            grouped[-1] = (grouped[-1][0], end)
            continue
        if grouped:
            limit *= 2
        grouped.append((start, end))
    return grouped
