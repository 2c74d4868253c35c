"""The embedded engine: early audio without a seam, and no word lost."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from itertools import zip_longest

import numpy as np
import pytest
from hibari import Hibari

from serve_app.domain.errors import InvalidRequest, VoiceNotFound
from serve_app.engines.hibari import splice
from serve_app.engines.hibari.capabilities import CAPABILITIES
from serve_app.engines.hibari.engine import HibariEngine
from serve_app.engines.hibari.pronounce import Pronouncer
from tests.engines.hearing import (
    FRAME,
    RATE,
    log_spectral_distance,
    pieces,
    recognise,
    request,
    say,
    uncut,
)

SENTENCE = (
    "The old lighthouse keeper climbed the stairs every evening to light the lamp for the ships."
)
LONG = (
    "He had done so for forty years, and he never once complained about the cold wind or the long "
    "nights that came with the work. On Sundays his daughter rowed out with bread, oil and news."
)


@pytest.fixture(scope="module")
def engine() -> HibariEngine:
    return HibariEngine()


@pytest.fixture
def planned_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """No sentence is long enough to be begun before it is planned."""
    monkeypatch.setattr(splice, "BEGINNING", 10_000)


@pytest.fixture(scope="module")
def pronouncer() -> Pronouncer:
    return Pronouncer()


@pytest.fixture(scope="module")
def library() -> Hibari:
    return Hibari()


def test_the_first_piece_is_about_half_a_second(engine: HibariEngine) -> None:
    first, *rest = pieces(engine, SENTENCE)
    assert 0.45 <= len(first) / RATE <= 0.75
    assert sum(map(len, rest)) > len(first)


def test_only_the_first_piece_of_a_request_is_short(engine: HibariEngine) -> None:
    lengths = [len(samples) / RATE for samples in pieces(engine, SENTENCE, LONG, SENTENCE)]
    assert min(lengths[1:]) > 1.0
    assert max(lengths) <= 450 / 80


@pytest.mark.usefixtures("planned_whole")
def test_the_cut_sentence_is_as_long_as_the_uncut(
    engine: HibariEngine, library: Hibari, pronouncer: Pronouncer
) -> None:
    samples = say(engine, SENTENCE)
    assert len(samples) == len(uncut(SENTENCE, pronouncer)) == len(library(SENTENCE))


@pytest.mark.usefixtures("planned_whole")
def test_the_cut_sentence_differs_from_the_uncut_by_quantisation_noise_only(
    engine: HibariEngine, pronouncer: Pronouncer
) -> None:
    whole, parts = uncut(SENTENCE, pronouncer), pieces(engine, SENTENCE)
    cut, seam = np.concatenate(parts).astype(np.float64), len(parts[0])
    around = slice(seam - 4 * FRAME, seam + 4 * FRAME)
    assert log_spectral_distance(cut, whole) < 0.5
    assert log_spectral_distance(cut[around], whole[around]) < 0.6


def test_the_uncut_sentence_is_the_librarys(library: Hibari, pronouncer: Pronouncer) -> None:
    ours = uncut(SENTENCE, pronouncer)
    assert pronouncer.phonemes(SENTENCE) == library.phonemize(SENTENCE)[0]
    takes = [library(SENTENCE, seed=seed).astype(np.float64) * 32_767 for seed in (1, 2)]
    assert log_spectral_distance(ours, takes[0]) < 1.2 * log_spectral_distance(*takes)


@pytest.mark.usefixtures("planned_whole")
def test_the_signal_at_a_seam_is_as_smooth_as_elsewhere(
    engine: HibariEngine, pronouncer: Pronouncer
) -> None:
    whole = uncut(LONG, pronouncer)
    parts = pieces(engine, LONG)
    joined = np.concatenate(parts).astype(np.float64)
    assert len(parts) > 2
    for seam in np.cumsum([len(part) for part in parts])[:-1]:
        around = slice(seam - FRAME, seam + FRAME)
        step = abs(np.diff(joined[seam - 2 : seam + 2], 2)).max()
        assert step <= abs(np.diff(whole[around], 2)).max() * 1.5 + 20


@pytest.mark.usefixtures("planned_whole")
def test_no_pause_is_added_at_a_seam(engine: HibariEngine, pronouncer: Pronouncer) -> None:
    whole, cut = uncut(LONG, pronouncer), say(engine, LONG).astype(np.float64)
    loudness = [np.sqrt((x.reshape(-1, FRAME) ** 2).mean(axis=1)) for x in (whole, cut)]
    assert np.corrcoef(*loudness)[0, 1] > 0.995
    quiet = [int((x < 60).sum()) for x in loudness]
    assert abs(quiet[0] - quiet[1]) <= 0.03 * len(loudness[0])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (SENTENCE, {"old", "keeper", "climbed", "stairs", "evening", "light", "ships"}),
        ("Seven children played in the garden until their mother called.", {"children", "garden"}),
        ("I bought a new computer with the money from my grandfather.", {"computer", "money"}),
    ],
)
def test_the_words_are_heard(engine: HibariEngine, text: str, words: set[str]) -> None:
    heard = set(recognise(say(engine, text)).split())
    missed = words - heard
    assert len(missed) <= len(words) // 4, f"missed {missed} in {heard}"


def test_the_same_request_gives_the_same_samples_however_it_is_scheduled(
    engine: HibariEngine,
) -> None:
    requests = [request(SENTENCE, LONG, seed=5), request(LONG, SENTENCE, seed=6)]
    alone = [[chunk.samples for chunk in engine.speak(each)] for each in requests]
    by_turns = zip_longest(*(engine.speak(each) for each in requests))
    together = [[c.samples for c in column if c] for column in zip(*by_turns, strict=True)]
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(np.concatenate(one), np.concatenate(other))


def test_another_seed_is_another_take(engine: HibariEngine) -> None:
    one, other = say(engine, SENTENCE, seed=1), say(engine, SENTENCE, seed=2)
    assert len(one) == len(other)
    assert not np.array_equal(one, other)


def test_a_chunk_said_twice_has_fresh_noise(engine: HibariEngine) -> None:
    both = say(engine, "Hello there.", "Hello there.")
    half = len(both) // 2
    assert not np.array_equal(both[:half], both[half:])


def test_speed_is_the_speed_of_speech(engine: HibariEngine) -> None:
    normal = len(say(engine, SENTENCE))
    assert len(say(engine, SENTENCE, speed=2.0)) == pytest.approx(normal / 2, rel=0.15)
    assert len(say(engine, SENTENCE, speed=0.5)) == pytest.approx(normal * 2, rel=0.15)


def test_it_reaches_for_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    assert len(say(HibariEngine(), "Hello.")) > 0


def test_voices_that_would_be_downloaded_are_not_found(engine: HibariEngine) -> None:
    with pytest.raises(VoiceNotFound):
        next(engine.speak(request("Hello.", voice="emma")))
    assert next(engine.speak(request("Hello.", voice="heart"))).samples.size


@pytest.mark.parametrize("text", ["你好", "Привет, мир!", "Καλημέρα", "مرحبا", "hello 你好"])
def test_letters_it_cannot_read_are_refused_before_any_audio(
    engine: HibariEngine, text: str
) -> None:
    with pytest.raises(InvalidRequest):
        next(engine.speak(request("This can be read.", text)))


@pytest.mark.parametrize("text", ["", "...", "— ?!", "😀", "🎉 … 🎉", '"'])
def test_text_without_words_makes_no_sound(engine: HibariEngine, text: str) -> None:
    assert list(engine.speak(request(text))) == []


def test_capabilities_load_no_model_library() -> None:
    code = (
        "import sys, json; import serve_app.engines.hibari.capabilities;"
        "print(json.dumps([m for m in ('hibari', 'onnx', 'onnxruntime') if m in sys.modules]))"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    assert json.loads(output) == []


def test_capabilities_are_those_of_the_engine(engine: HibariEngine) -> None:
    assert engine.capabilities is CAPABILITIES
    assert CAPABILITIES.sample_rate == RATE
    assert re.fullmatch(r"[a-z]+", CAPABILITIES.name)
