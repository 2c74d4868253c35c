"""A sentence begun before it is planned sounds like one planned as a whole."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from serve_app.engines.hibari import splice
from serve_app.engines.hibari.engine import HibariEngine
from serve_app.engines.hibari.graph import AcousticModel, Plan
from serve_app.engines.hibari.pronounce import PAD, Pronouncer
from serve_app.engines.hibari.splice import Opening
from serve_app.engines.hibari.upstream import Floats, voice_model
from tests.engines.hearing import FRAME, Signal, pieces, recognise, say, uncut

LIGHTHOUSE = (
    "The old lighthouse keeper climbed the stairs every evening to light the lamp for the ships."
)
KEY_WORDS = {
    LIGHTHOUSE: "old keeper climbed stairs evening ships",
    "Did you remember to bring the umbrella that your sister gave you for your birthday?": (
        "remember bring umbrella sister birthday"
    ),
    "We bought apples, oranges, bananas, two loaves of bread, and a large bottle of milk.": (
        "apples oranges bananas bread bottle"
    ),
    "In 1984, the company sold 12,500 units for $3.5 million, more than in any year before.": (
        "nineteen company sold units million year"
    ),
    "I do not know if he is in or if he is out, so go and see if it is so.": "do not know out see",
    LIGHTHOUSE[:-1] + ", and he never complained about the wind or the long nights that came.": (
        "old keeper climbed stairs evening never complained nights"
    ),
    "However, nobody at the station could tell us when the next train to the coast would leave.": (
        "however nobody station next train leave"
    ),
    "Please press one for sales, two for support, or stay on the line to talk to somebody.": (
        "please sales support line talk"
    ),
    "What a wonderful surprise it was to find all of you waiting for me at the airport!": (
        "wonderful surprise find waiting airport"
    ),
    "My phone number is 555 0173, and you can call me between nine and five on any weekday.": (
        "phone number five seven call nine"
    ),
}
SENTENCES = list(KEY_WORDS)
sentences = pytest.mark.parametrize("text", SENTENCES)
"""Statements, questions, lists, numbers, short words, long words."""


@pytest.fixture(scope="module")
def engine() -> HibariEngine:
    return HibariEngine()


@pytest.fixture(scope="module")
def pronouncer() -> Pronouncer:
    return Pronouncer()


@pytest.fixture(scope="module")
def model() -> AcousticModel:
    return AcousticModel(voice_model("heart"))


def plans(text: str, pronouncer: Pronouncer, model: AcousticModel) -> tuple[Opening, Plan]:
    """The opening of a sentence and the plan of all of it."""
    (ids,) = pronouncer.utterances(text)
    part = splice.beginning(ids, pronouncer.space_positions(ids), 1.0)
    assert part is not None
    spaces, pauses = pronouncer.space_positions(part), pronouncer.pause_positions(part)
    opening = splice.opening(model.plan(part, 1.0), spaces, pauses)
    assert opening is not None
    return opening, model.plan(ids, 1.0)


def longest_silence(signal: Signal) -> float:
    """Seconds, the ends excluded."""
    hops = signal[: len(signal) // 120 * 120].reshape(-1, 120)
    quiet = np.sqrt((hops**2).mean(axis=1)) < 60
    loud = np.flatnonzero(~quiet)
    runs = itertools.groupby(quiet[loud[0] : loud[-1]])
    return max((len(list(run)) for is_quiet, run in runs if is_quiet), default=0) * 0.005


def largest_leap(f0: Floats) -> float:
    """Semitones between neighbouring frames inside voiced stretches; at their ends f0 leaps."""
    voiced = np.convolve(f0 > 40, np.ones(3), "same") == 3
    pitch = 12 * np.log2(np.maximum(f0, 1))
    return float(np.abs(np.diff(pitch))[voiced[1:] & voiced[:-1]].max(initial=0))


def band_levels(signal: Signal) -> Signal:
    """dB in 20 bands of 600 Hz every frame: what is articulated, whatever the pitch."""
    frames = np.lib.stride_tricks.sliding_window_view(signal, 1200)[::FRAME] * np.hanning(1200)
    power = np.abs(np.fft.rfft(frames)[:, 1:601]) ** 2
    return 10 * np.log10(power.reshape(len(frames), 20, 30).mean(axis=2) + 40_000)


@sentences
def test_it_is_as_long_as_the_uncut_and_pauses_no_longer(
    engine: HibariEngine, pronouncer: Pronouncer, text: str
) -> None:
    whole, joined = uncut(text, pronouncer), say(engine, text).astype(np.float64)
    assert len(joined) == pytest.approx(len(whole), rel=0.03)
    assert longest_silence(joined) <= longest_silence(whole) + 0.04


@sentences
def test_the_voice_does_not_leap_at_the_border(
    pronouncer: Pronouncer, model: AcousticModel, text: str
) -> None:
    opening, whole = plans(text, pronouncer, model)
    spliced, later = opening.continued(whole), opening.shift(whole)
    around = slice(opening.stop - 6, opening.stop + 18)
    in_whole = whole.f0[around.start + later : around.stop + later]
    assert spliced.durations.sum() == len(spliced.f0) == spliced.features.shape[2]
    assert largest_leap(spliced.f0[around]) <= largest_leap(in_whole) + 0.5


@sentences
def test_the_same_is_articulated_around_the_border(
    engine: HibariEngine, pronouncer: Pronouncer, model: AcousticModel, text: str
) -> None:
    opening, plan = plans(text, pronouncer, model)
    later = opening.shift(plan)
    joined, whole = (
        band_levels(x) for x in (say(engine, text).astype(np.float64), uncut(text, pronouncer))
    )
    start, end = opening.stop - 8, opening.stop + 16
    distance = np.abs(joined[start:end] - whole[start + later : end + later])
    assert distance.mean() < 3.5


@sentences
def test_the_signal_at_the_border_is_as_smooth_as_elsewhere(
    engine: HibariEngine, text: str
) -> None:
    first, *rest = (part.astype(np.float64) for part in pieces(engine, text))
    joined, seam = np.concatenate([first, *rest]), len(first)
    bends = np.abs(np.diff(joined, 2))
    assert bends[seam - 3 : seam + 2].max() <= bends[: 4 * len(first)].max()
    near = np.abs(np.diff(joined[seam - 12 * FRAME : seam + 12 * FRAME]))
    assert np.abs(joined[seam] - joined[seam - 1]) <= near.max() * 0.8 + 20


@sentences
def test_the_words_are_heard(engine: HibariEngine, pronouncer: Pronouncer, text: str) -> None:
    words = set(KEY_WORDS[text].split())
    in_whole = words & set(recognise(uncut(text, pronouncer).astype(np.int16)).split())
    heard = words & set(recognise(say(engine, text)).split())
    assert len(heard) >= len(in_whole) - 1, f"{heard} of {in_whole}"


@pytest.mark.parametrize("speed", [0.5, 1.0, 1.6, 2.0])
def test_it_keeps_time_at_any_speed(
    engine: HibariEngine, model: AcousticModel, pronouncer: Pronouncer, speed: float
) -> None:
    for text in SENTENCES:
        (ids,) = pronouncer.utterances(text)
        samples = say(engine, text, speed=speed)
        assert len(samples) == pytest.approx(len(model.plan(ids, speed).f0) * FRAME, rel=0.03)


def test_the_border_is_in_a_pause_or_between_words_if_one_is_near() -> None:
    durations = np.full(40, 4, np.int64)
    plan = Plan(np.zeros((1, 130, 160), np.float32), np.full(160, 200, np.float32), durations)
    border = [
        splice.opening(plan, spaces, pauses) for spaces, pauses in (([12, 15], [15]), ([14], []))
    ]
    assert [(o.position, o.stop) for o in border if o] == [(15, 64), (14, 60)]


def test_a_word_is_never_left_in_its_middle(engine: HibariEngine, pronouncer: Pronouncer) -> None:
    plan = Plan(
        np.zeros((1, 130, 160), np.float32),
        np.full(160, 200, np.float32),
        np.full(40, 4, np.int64),
    )
    assert splice.opening(plan, [4, 30], []) is None
    text = "Notwithstanding international disagreements, telecommunications infrastructure grew."
    assert len(say(engine, text)) == len(uncut(text, pronouncer))


def test_far_from_normal_speed_an_utterance_is_planned_whole() -> None:
    ids = [PAD, *([1] * 5 + [2]) * 20, PAD]
    spaces = [p for p, symbol in enumerate(ids) if symbol == 2]
    assert splice.beginning(ids, spaces, 1.0) is not None
    assert splice.beginning(ids, spaces, 1.5) is None
    assert splice.beginning(ids, spaces, 0.6) is None


def test_short_sentences_are_planned_whole() -> None:
    ids = [PAD, *([1] * 5 + [2]) * 9, PAD]
    spaces = [p for p, symbol in enumerate(ids) if symbol == 2]
    assert splice.beginning(ids, spaces, 1.0) is None
    assert splice.beginning([PAD, *[1] * 90, PAD], [], 1.0) is None
    longer = [PAD, *([1] * 5 + [2]) * 12, PAD]
    assert splice.beginning(longer, spaces, 1.0) == [*longer[:25], PAD]
