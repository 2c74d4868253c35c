"""Long text is cut where a speaker would breathe, and every character is spoken."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from serve_app.text.speakable import has_speech
from serve_app.text.split import Splitting, split

SENTENCES = Splitting(max_chars=300, first_chars=300, merge_short=False)

rules = st.builds(
    Splitting,
    max_chars=st.integers(1, 60),
    first_chars=st.integers(1, 60),
    merge_short=st.booleans(),
    group=st.booleans(),
)
prose = st.lists(
    st.sampled_from(
        [
            "Dr.",
            "word",
            "U.S.",
            "a,",
            "end.",
            "“Why?”",
            "…",
            "1.",
            "—",
            "\n",
            "好。",
            "* * *",
            "x" * 70,
        ]
    )
).map(" ".join)
texts = st.one_of(st.text(alphabet=st.characters(codec=None)), st.text('aB.,!?…"” \n。，-1'), prose)


def squeezed(text: str) -> str:
    return "".join(text.split())


@given(texts, rules)
@example("a\x1cb\u2028c\ud800", Splitting(1, 1))
def test_nothing_is_lost_and_the_order_is_kept(text: str, rules: Splitting) -> None:
    assert squeezed("".join(split(text, rules))) == squeezed(text)


@given(texts, rules)
def test_no_chunk_is_too_long_or_empty_or_padded(text: str, rules: Splitting) -> None:
    for chunk in split(text, rules):
        assert 0 < len(chunk) <= rules.max_chars
        assert chunk == " ".join(chunk.split())


@given(texts, rules)
def test_the_same_text_is_always_cut_the_same_way(text: str, rules: Splitting) -> None:
    assert split(text, rules) == split(text, rules)


@given(prose, rules)
def test_a_word_that_fits_is_never_cut(text: str, rules: Splitting) -> None:
    words = set(text.split())
    for chunk in split(text, rules):
        for part in (chunk.split()[0], chunk.split()[-1]):
            long = any(part in word and len(word) > rules.max_chars for word in words)
            assert long or part in words


@given(texts, rules)
def test_a_chunk_without_speech_has_no_neighbour_with_room(text: str, rules: Splitting) -> None:
    chunks = split(text, rules)
    for first, second in pairwise(chunks):
        silent = not has_speech(first) or not has_speech(second)
        assert not silent or len(first) + len(second) + 1 >= rules.max_chars


@given(texts, st.integers(20, 60))
def test_a_short_chunk_has_no_neighbour_with_room(text: str, max_chars: int) -> None:
    chunks = split(text, Splitting(max_chars, max_chars))
    for first, second in pairwise(chunks):
        assert min(len(first), len(second)) >= 20 or len(first) + len(second) + 1 >= max_chars


@pytest.mark.parametrize(
    "text",
    [
        "One two.| Three four!| Five?| Six…| Seven",
        "“Quoted.”| Next (in brackets.)| Last",
        "No border\n|within a line\n\n|but between",
        "你好，世界。|今天很好！|「真的？」|他说。",
        "क्या हाल है।| ठीक।",
        "Dr. Smith met Mrs. Jones vs. Prof. Li at St. Paul, e.g. here, i.e. there.",
        "J. K. Rowling and George W. Bush of the U.S. Army.",
        "It moved to Main St.| The U.S.| They left.",
        "Apples, pears etc. and so on at Apple Inc. today.",
        "He works at Apple Inc.| Nobody knows.",
        "At 5 p.m. sharp.| At 5 p.m.| Nobody came.",
        "So said John Jr. again.| So said John Jr.| Nobody heard.",
        "See No. 5 and vol. 2 of Jan. 3.| I said no.| Then we left in Jan.| Fine.",
        "It is 3.14 or 1,000.5 at v1.2 of example.com now.",
        "And so... it goes … on.| And so...| It went.",
        "“Really?” she asked.| “Yes!” he said.",
        "1. First comes this\n|2. Then comes that",
        "It is I.| Nobody else.",
        "Made in the U S A.| The rest is not.",
        "hello there.| how are you?| fine!| and you?",
        "« Bonjour ! » dit-il.| « Oui. »| Elle rit.",
    ],
)
def test_sentence_borders(text: str) -> None:
    sentences = tuple(sentence.strip() for sentence in text.split("|"))
    assert split(text.replace("|", ""), SENTENCES) == sentences


def test_a_long_sentence_is_cut_at_clauses_into_even_pieces() -> None:
    text = "He took apples and pears, he saw the town and sea; and he went home, alone."
    assert split(f"Listen to this story. {text}", Splitting(60, 25))[1:] == (
        "He took apples and pears, he saw the town and sea;",
        "and he went home, alone.",
    )


def test_a_long_clause_is_cut_at_words_into_even_pieces() -> None:
    pieces = split("Listen to this story. " + "word " * 25, Splitting(60, 25))[1:]
    assert [len(piece) for piece in pieces] == [44, 39, 39]


def test_a_word_longer_than_a_chunk_is_cut_evenly() -> None:
    assert [len(piece) for piece in split("x" * 61, Splitting(60, 60))] == [31, 30]


def test_the_first_chunk_ends_at_the_last_border_within_its_limit() -> None:
    text = "When it rains, which is often, the streets are empty and the lamps are lit. Good."
    assert split(text, Splitting(300, 40))[0] == "When it rains, which is often,"


def test_the_first_chunk_ends_at_the_first_clause_if_none_is_within_its_limit() -> None:
    text = "When it rains in this small town by the sea, the streets are empty, and dark they are."
    assert split(text, Splitting(300, 25))[0] == "When it rains in this small town by the sea,"


def test_the_first_chunk_is_cut_at_a_word_only_if_its_clause_is_longer_than_a_chunk() -> None:
    assert split("word " * 30, Splitting(200, 30))[0] == ("word " * 30).strip()
    assert split("word " * 30, Splitting(100, 30))[0] == ("word " * 6).strip()


def test_a_first_clause_that_leaves_a_stump_is_no_border() -> None:
    text = "It was a long and windy road, right? And then it was over for all of us."
    assert split(text, Splitting(300, 30))[0] == "It was a long and windy road, right?"


def test_a_clause_that_would_be_a_stump_is_no_border() -> None:
    text = "Listen to this story. Well, he took apples and pears and went to see the town and sea."
    assert split(text, Splitting(60, 25))[1:] == (
        "Well, he took apples and pears",
        "and went to see the town and sea.",
    )


def test_short_sentences_are_joined_with_the_next_or_the_last_one() -> None:
    text = "Hi. This is a sentence of some length. Yes. And this is another one. Bye."
    assert split(text, Splitting(300, 60)) == (
        "Hi. This is a sentence of some length.",
        "Yes. And this is another one. Bye.",
    )
    assert len(split(text, Splitting(300, 60, merge_short=False))) == 5


def test_groups_grow_from_the_first_chunk_on() -> None:
    text = " ".join(["This sentence has 30 letters."] * 12)
    lengths = [len(chunk) for chunk in split(text, Splitting(130, 35, group=True))]
    assert lengths == [29, 59, 119, 119, 29]


def test_text_without_characters_gives_no_chunk() -> None:
    assert split(" \n\t\u00a0", SENTENCES) == ()


@pytest.mark.parametrize(("max_chars", "first_chars"), [(0, 1), (1, 0)])
def test_a_chunk_of_no_characters_is_refused(max_chars: int, first_chars: int) -> None:
    with pytest.raises(ValueError, match="at least one character"):
        Splitting(max_chars, first_chars)


@pytest.mark.parametrize("unit", ["x", " ", ".", ",", ".)", "a. ", "U.S. ", "— ", "a\n", "1 "])
def test_hostile_text_takes_linear_time(unit: str) -> None:
    text = unit * (200_000 // len(unit))
    began = time.process_time()
    split(text, Splitting(300, 60, group=True))
    assert time.process_time() - began < 2  # quadratic takes minutes
