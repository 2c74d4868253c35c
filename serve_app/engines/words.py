"""The words of a text as its reader sees them: what lies between white space."""

from __future__ import annotations

from collections.abc import Sequence


def written_words(chunks: Sequence[str]) -> list[list[str]]:
    """The words of each chunk, as they are written.

    What has no letter or digit, such as a lone dash, is no word of its own: it is joined to the
    word before it, or to the first, by a space. So a chunk can have no words. Joined by single
    spaces, the words of all chunks are the text again.
    """
    words: list[list[str]] = [[] for _ in chunks]
    last: list[str] | None = None
    lead: list[str] = []
    for found, chunk in zip(words, chunks, strict=True):
        for piece in chunk.split():
            if any(character.isalnum() for character in piece):
                found.append(" ".join([*lead, piece]))
                last, lead = found, []
            elif last is None:
                lead.append(piece)
            else:
                last[-1] += f" {piece}"
    if lead:
        words[0] = [" ".join(lead)]
    return words
