"""What is written but not spoken is cleaned away; what is spoken stays."""

from __future__ import annotations

import sys
import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_app.text.cleanup import SoundWord, TextSwitches, clean, parse_sound_words

NOTHING = TextSwitches(
    normalize_spacing=False, fix_dot_letters=False, remove_reference_numbers=False
)
SPACING = TextSwitches(fix_dot_letters=False, remove_reference_numbers=False)
DOT_LETTERS = TextSwitches(normalize_spacing=False, remove_reference_numbers=False)
REFERENCES = TextSwitches(normalize_spacing=False, fix_dot_letters=False)

any_text = st.text(alphabet=st.characters(codec=None), max_size=200)


def say(text: str, field: str) -> str:
    return clean(text, TextSwitches(sound_words=parse_sound_words(field)))


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("J.R.R.", "J R R"),
        ("J.R.R. Tolkien wrote it.", "J R R Tolkien wrote it."),
        ("J.R.R.Tolkien", "J R R Tolkien"),
        ("the U.S. Army", "the U S Army"),
        ("the U.S.-based firm, U.S.'s", "the U S-based firm, U S's"),
        ("the U.S.A is", "the U S A is"),
        ("made in the U.S.A.", "made in the U S A."),
        ('"I love the U.S.A."', '"I love the U S A."'),
        ('He said "U.S.A." twice', 'He said "U S A" twice'),
        ("in the U.S.A. The rest left", "in the U S A. The rest left"),
        ("in the U.S.A.\nMr. Li left", "in the U S A.\nMr. Li left"),
        ("in the U.S.A., or the U.K.?", "in the U S A, or the U K?"),
        ("the U.S.A... perhaps", "the U S A... perhaps"),
        ("at 5 p.m. sharp, e.g. today", "at 5 p m sharp, e g today"),
    ],
)
def test_dotted_letters_are_spelled_and_keep_the_sentence_end(written: str, spoken: str) -> None:
    assert clean(written, DOT_LETTERS) == spoken


@pytest.mark.parametrize(
    "text", ["Dr. No", "the end. Go", "a.b.com", "www.a.b.net", "main.c and a.c", "3.14", "I. Go"]
)
def test_other_periods_are_not_dotted_letters(text: str) -> None:
    assert clean(text, DOT_LETTERS) == text


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("The end.2 Next", "The end. Next"),
        ("The end.12", "The end."),
        ("The end!3 Next?4 Last", "The end! Next? Last"),
        ("The end.2,3 Next", "The end. Next"),
        ("The end.4–6 Next", "The end. Next"),
        ("The end.² Next", "The end. Next"),
        ("a word.”3 he said", "a word.” he said"),
        ("(as seen in 2019).3 Next", "(as seen in 2019). Next"),
        ("a fact [12].", "a fact."),
        ("a fact[3] and [4, 5] more[6][7]", "a fact and more"),
    ],
)
def test_footnote_marks_are_removed(written: str, spoken: str) -> None:
    assert clean(written, REFERENCES) == spoken


@pytest.mark.parametrize(
    "text",
    [
        "Pi is 3.14 Today",
        "Python 3.2 Next",
        "v1.2 Next",
        "libc.so.6 Next",
        "in Rome. 1984 was",
        "in Rome.1984 Was",
        "for $3.50 Only",
        "for $.50 Only",
        "for Rs.500 Only",
        "No.5 Chanel",
        "Dec.25 Next",
        "he was done.3 people left",
        "[1] Smith",
        "array[1984]",
    ],
)
def test_numbers_that_are_spoken_stay(text: str) -> None:
    assert clean(text, REFERENCES) == text


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("  a  b\t\tc\u00a0 d ", "a b c d"),
        ("One.\r\n\r\n \r\nTwo.", "One.\nTwo."),
        ("Chapter One\nIt was dark.", "Chapter One\nIt was dark."),
        ("A line that a mail program has wrapped at\nsome width.", None),
        ("A line that is as long as one that was wrapped.\nNext.", ...),
    ],
)
def test_spacing_is_collapsed_but_paragraphs_stay(written: str, spoken: object) -> None:
    expected = {None: written.replace("\n", " "), ...: written}.get(spoken, spoken)
    assert clean(written, SPACING) == expected


def test_a_switch_that_is_off_changes_nothing() -> None:
    text = "A  B.C.D. is\n\nin  it.2 Next [3]"
    assert clean(text, NOTHING) == text


def test_lower_case_comes_last_so_that_capitals_still_tell_sentences() -> None:
    assert clean("In the U.S.A. The End.2 Next", TextSwitches(to_lowercase=True)) == (
        "in the u s a. the end. next"
    )


@pytest.mark.parametrize(
    ("text", "field", "spoken"),
    [
        (
            "Tolkien's TOLKIEN, Tolkienist",
            "tolkien=>Toll keen",
            "Toll keen's Toll keen, Tolkienist",
        ),
        ("C++, C and [laughs] again", "C++=>see plus,[laughs]", "see plus, C and again"),
        ("New  york and York", "York=>Jork\nNew York=>Gotham", "Gotham and Jork"),
        ("a b", "a=>b,b=>a", "b a"),
        ("a—b", "—=>dash", "a dash b"),
        ("a—b", "—", "a b"),
        ("Um, yes. Well, um, no.", "um", "yes. Well, no."),
        ("I um think um.", "um", "I think."),
        ("one\num two", "um=>", "one\ntwo"),
        ("x", "x=>1\nx=>2", "2"),
        ("cafe\u0301", "CAFÉ=>coffee", "coffee"),
        (r"a\1b $", r"$=>\1\g<0>", r"a\1b \1\g<0>"),
    ],
)
def test_sound_words_replace_whole_words_in_one_pass(text: str, field: str, spoken: str) -> None:
    assert say(text, field) == spoken


def test_sound_words_are_read_from_lines_and_commas() -> None:
    assert parse_sound_words(" a => b ,, c\r\nd=>\n") == (
        SoundWord("a", "b"),
        SoundWord("c", ""),
        SoundWord("d", ""),
    )
    assert parse_sound_words("") == ()


@pytest.mark.parametrize("entry", ["=>x", "=>", "a=>b=>c", "\u200b=>x"])
def test_a_bad_sound_word_is_named(entry: str) -> None:
    with pytest.raises(ValueError, match=r"The sound word entry '.*=>.*' has"):
        parse_sound_words(f"good=>word\n{entry}")


@pytest.mark.parametrize("category", ["Cc", "Cs"])
def test_controls_and_surrogates_are_no_text(category: str) -> None:
    characters = [c for c in map(chr, range(sys.maxunicode)) if unicodedata.category(c) == category]
    assert clean("a" + "".join(characters), NOTHING).split() == ["a"]


@pytest.mark.parametrize("name", ["ZERO WIDTH SPACE", "ZERO WIDTH JOINER", "SOFT HYPHEN", "BOM"])
def test_characters_of_no_width_are_no_text(name: str) -> None:
    assert clean(f"a{unicodedata.lookup(name)}b", NOTHING) == "ab"


@given(any_text)
def test_cleaned_text_is_normal_and_trimmed(text: str) -> None:
    cleaned = clean(text, NOTHING)
    assert unicodedata.is_normalized("NFC", cleaned)
    assert cleaned == cleaned.strip()
    cleaned.encode("utf-8")


@given(any_text)
def test_cleaning_plain_text_again_changes_nothing(text: str) -> None:
    assert clean(clean(text, SPACING), SPACING) == clean(text, SPACING)


@pytest.mark.parametrize("unit", ["x", " ", ".", ")", "U.", "[1", "a.1,", "\u0301\u0327", "\n"])
def test_hostile_text_takes_linear_time(unit: str) -> None:
    text = unit * (200_000 // len(unit))
    switches = TextSwitches(sound_words=parse_sound_words("[[[[x, x x, um"))
    began = time.process_time()
    clean(text, switches)
    assert time.process_time() - began < 2  # quadratic takes minutes
