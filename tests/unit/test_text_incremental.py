"""Text that comes word by word is spoken in pieces, none of which cuts a word or a number."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from serve_app.text.clauses import ClauseBuffer

prose = st.lists(
    st.sampled_from(
        [
            "Dr.", "word", "U.S.", "The", "a,", "end.", "“Why?”", "…", "1.", "3.14", "1,000", "—",
            "\n", "\n\n", "\r\n", "好。你好", "* * *", "x" * 70, "http://a.b/c?d=e,f.", "fin. »",
            "-",
        ]
    ),
    max_size=60,
).map(" ".join)  # fmt: skip
texts = st.one_of(
    st.text(alphabet=st.characters(codec=None)), st.text('aB.,!?…"” \n。，、—-1'), prose
)
limits = st.integers(30, 120)


def pieces_of(messages: Iterable[str], max_chars: int = 200) -> list[str]:
    buffer = ClauseBuffer(max_chars)
    pieces = [piece for message in messages for piece in buffer.add(message)]
    return [piece for piece in (*pieces, buffer.flush()) if piece]


def squeezed(text: str) -> str:
    return "".join(text.split())


@st.composite
def messages(draw: st.DrawFn) -> tuple[str, Sequence[str]]:
    """A text, and the same text cut into messages."""
    text = draw(texts)
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=20)))
    starts, ends = [0, *cuts], [*cuts, len(text)]
    return text, [text[start:end] for start, end in zip(starts, ends, strict=True)]


@given(messages(), limits)
@example(("a\x1cb\u2028c\ud800", ["a\x1cb", "\u2028c\ud800"]), 30)
def test_nothing_is_lost_however_the_text_comes(
    sent: tuple[str, Sequence[str]], max_chars: int
) -> None:
    text, cut = sent
    assert squeezed("".join(pieces_of(cut, max_chars))) == squeezed(text)


@given(messages(), limits)
def test_the_pieces_do_not_depend_on_the_messages(
    sent: tuple[str, Sequence[str]], max_chars: int
) -> None:
    text, cut = sent
    assert pieces_of(cut, max_chars) == pieces_of(text, max_chars) == pieces_of([text], max_chars)


@given(prose, limits)
def test_no_word_is_ever_cut(text: str, max_chars: int) -> None:
    spaceless = text.replace("。", "。 ").replace("—", "— ").split()
    spoken = [word for piece in pieces_of(text, max_chars) for word in piece.split()]
    assert " ".join(spoken).replace("。", "。 ").replace("—", "— ").split() == spaceless


@given(prose, limits)
def test_a_piece_is_as_long_as_it_may_be_or_one_word(text: str, max_chars: int) -> None:
    for piece in pieces_of(text, max_chars)[:-1]:
        assert len(piece) <= max_chars or " " not in piece


@pytest.mark.parametrize(
    "whole",
    ["3.14", "Dr. Smith", "U.S. Army", "1,000", "http://example.org/a?b=c,d", "J. R. R. Tolkien",
     "No. 5", "e.g. this", "it's", "9:30"],
)  # fmt: skip
def test_what_belongs_together_stays_together(whole: str) -> None:
    text = f"This was long enough to be spoken, but {whole} must not be cut. Then it goes on."
    pieces = pieces_of(text)
    assert pieces == [
        "This was long enough to be spoken,", f"but {whole} must not be cut.", "Then it goes on.",
    ]  # fmt: skip


def test_the_first_clause_leaves_before_its_sentence_has_ended() -> None:
    buffer = ClauseBuffer(200)
    assert buffer.add("If you ask me about it, it ") == ["If you ask me about it,"]


def test_later_clauses_wait_for_their_sentence() -> None:
    buffer = ClauseBuffer(200)
    assert buffer.add("If you ask me about it, it is, by all means, a good ") != []
    assert buffer.add("thing. And ") == ["it is, by all means, a good thing."]


def test_a_sentence_leaves_when_the_word_after_it_is_known() -> None:
    buffer = ClauseBuffer(200)
    assert buffer.add("It costs about three dollars and 3.") == []
    assert buffer.add("14") == []
    assert buffer.add(" cents. No") == []
    assert buffer.add("w ") == ["It costs about three dollars and 3.14 cents."]


def test_a_blank_line_ends_a_piece_at_once() -> None:
    assert ClauseBuffer(200).add("The title of all of this\n\n") == ["The title of all of this"]


def test_an_endless_sentence_leaves_in_parts() -> None:
    pieces = ClauseBuffer(60).add("word " * 100)
    assert pieces[0] == " ".join(["word"] * 12)


def test_flush_gives_what_waits_once() -> None:
    buffer = ClauseBuffer(200)
    buffer.add("Dr.")
    assert (buffer.flush(), buffer.flush(), len(buffer)) == ("Dr.", "", 0)
