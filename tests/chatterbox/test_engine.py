"""Chatterbox as an engine: what goes in changes what comes out, and nothing else does."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from serve_app.domain.deadline import Stream
from serve_app.domain.errors import InvalidAudio, InvalidRequest, SpeechServiceError
from serve_app.domain.types import Listening, PcmChunk, Samples
from serve_app.engines.chatterbox.capabilities import SPEECH
from serve_app.engines.chatterbox.engine import ChatterboxEngine
from serve_app.engines.chatterbox.models import SAMPLES_PER_TOKEN, SPECS, Family
from serve_app.engines.chatterbox.task import Task
from tests.chatterbox.engines import TOKENS, asked, joined, said, short, speaker
from tests.support.voices import recording

ROUNDING = 2
"""Of 16-bit samples: a batch is summed in another order."""


GREEDY = {"temperature": 0.0}


def together(engine: ChatterboxEngine, tasks: Sequence[Task]) -> list[Samples]:
    """What comes of tasks that the engine's core works on at once."""
    streams = [Stream(task, time.monotonic()) for task in tasks]
    heard: dict[Stream[Task], list[PcmChunk]] = {stream: [] for stream in streams}
    core = engine.core()
    for stream in streams:
        core.add(stream)
    while core.busy:
        for delivery in core.step():
            assert not isinstance(delivery.result, SpeechServiceError), delivery.result
            if delivery.result is not None:
                heard[delivery.stream].append(delivery.result)
    return [joined(heard[stream]) for stream in streams]


@pytest.mark.parametrize("family", Family)
def test_each_model_speaks(family: Family) -> None:
    samples = said(asked("Hello."), speaker(family))
    tokens, rest = divmod(len(samples), SAMPLES_PER_TOKEN)
    assert rest == 0
    assert TOKENS / 2 < tokens <= TOKENS + SPECS[family].closing_silence  # some drawn are marks
    assert np.abs(samples).max() > 100
    assert SPEECH[family].name == speaker(family).capabilities.name


def test_the_first_audio_comes_while_the_rest_is_still_to_be_decoded() -> None:
    engine = speaker()
    with short(200):
        speech = engine.speak(asked("Hello."))
        first = next(speech)
        assert engine.core().load.running == 1
        speech.close()
    assert 0 < len(first.samples) < 30 * SAMPLES_PER_TOKEN
    assert engine.core().load.running == 0


def test_every_chunk_is_spoken() -> None:
    chunks = ("One.", "Two.", "Three.")
    apart = [said(asked(text, seed=1 + index)) for index, text in enumerate(chunks)]
    np.testing.assert_allclose(said(asked(*chunks)), np.concatenate(apart), atol=ROUNDING)


def test_the_same_seed_gives_the_same_audio_and_another_seed_another() -> None:
    first = said(asked("Hello.", seed=5))
    np.testing.assert_array_equal(said(asked("Hello.", seed=5)), first)
    assert not np.array_equal(said(asked("Hello.", seed=6)), first)


@pytest.mark.parametrize(
    "change",
    [
        {"temperature": 0.8},
        {"top_p": 0.01, "temperature": 0.2},
        {"min_p": 0.9, "temperature": 0.2},
        {"repetition_penalty": 0.7},  # below 1 it favors what was said
        {"cfg_weight": 0.0},
        {"cfg_weight": 1.5},
        {"exaggeration": 1.7},
    ],
    ids=str,
)
def test_every_control_changes_what_is_said(change: dict[str, Any]) -> None:
    """A random model likes all tokens about as much: where it has a choice, noise decides."""
    plain = {"temperature": change.get("temperature", 0.0)} if len(change) > 1 else GREEDY
    assert set(change) <= SPEECH[Family.ENGLISH].controls
    assert not np.array_equal(
        said(asked("Hello.", **{**plain, **change})), said(asked("Hello.", **plain))
    )


@pytest.mark.parametrize("family", Family)
def test_what_is_not_a_control_of_a_model_changes_nothing(family: Family) -> None:
    engine = speaker(family)
    changes = {"exaggeration": 1.7, "cfg_weight": 0.0, "min_p": 0.9}
    idle = {name: value for name, value in changes.items() if name not in SPEECH[family].controls}
    np.testing.assert_array_equal(
        said(asked("Hello.", **idle), engine), said(asked("Hello."), engine)
    )


def test_the_language_is_heard_by_the_multilingual_model_alone() -> None:
    engine = speaker(Family.MULTILINGUAL)
    english, german = (
        said(asked("Hallo.", language=code, **GREEDY), engine) for code in ("en", "de")
    )
    assert not np.array_equal(english, german)


def test_neighbours_change_nothing() -> None:
    requests = [
        asked("Alone or not.", seed=3),
        asked("A neighbour.", seed=4, cfg_weight=0.0, temperature=1.3),
        asked("One.", "And another.", seed=5, top_p=0.5),
        asked("The fourth of three slots.", seed=6),
    ]
    engine = speaker()
    with short():
        crowd = together(engine, [engine.speak(request) for request in requests])
    for samples, request in zip(crowd, requests, strict=True):
        alone = said(request)
        assert len(samples) == len(alone)
        np.testing.assert_allclose(samples, alone, atol=ROUNDING)
    assert engine.core().load.cache_use == 0


def test_the_windows_do_not_depend_on_when_tokens_come() -> None:
    """A late request and an early one are cut alike, so that the same seed is the same audio."""
    engine = speaker()
    with short(90):
        alone = joined(engine.speak(asked("The same again.", seed=9)))
        late = engine.speak(asked("The same again.", seed=9))
        other = engine.speak(asked("Somebody else.", seed=2))
        streams = [Stream(task, time.monotonic()) for task in (other, late)]
        core, heard = engine.core(), []
        core.add(streams[0])
        for _ in range(37):
            core.step()
        core.add(streams[1])
        while core.busy:
            heard += [d.result for d in core.step() if d.stream is streams[1] and d.result]
    np.testing.assert_allclose(joined(heard), alone, atol=ROUNDING)  # type: ignore[arg-type]


def test_a_recorded_voice_is_spoken_in_and_kept() -> None:
    engine = speaker()
    voice = engine.analyse(recording("en_sarah"))
    with short():
        spoken = joined(engine.speak_as(asked("Hello."), voice))
        kept = joined(engine.speak_as(asked("Hello."), engine.load(engine.dump(voice))))
        other = joined(engine.speak_as(asked("Hello."), engine.analyse(recording("de_Anton"))))
    assert not np.array_equal(spoken, said(asked("Hello.")))
    assert not np.array_equal(spoken, other)
    np.testing.assert_array_equal(spoken, kept)


def test_a_kept_voice_of_other_settings_is_not_taken() -> None:
    kept = speaker().dump(speaker().analyse(recording("en_sarah")))
    with pytest.raises(ValueError, match=r"voice|weights|other"):
        speaker(Family.TURBO, prompt_seconds=2.0).load(kept)


def test_silence_is_no_voice() -> None:
    with pytest.raises(InvalidAudio):
        speaker().analyse(np.zeros(3 * 24_000, np.int16))


def test_a_text_that_cannot_be_read_is_refused_at_once() -> None:
    with pytest.raises(InvalidRequest):
        speaker().speak(asked("你好"))


def test_a_last_chunk_that_has_no_room_is_refused_before_the_first_is_heard() -> None:
    with pytest.raises(InvalidRequest, match="room"):
        speaker().speak(asked("Short.", "no end to it " * 50))


def test_it_says_how_much_of_a_reference_it_hears() -> None:
    for capabilities in SPEECH.values():
        assert capabilities.reference == Listening(30.0, spread=False)


@pytest.mark.parametrize(
    "options", [{"slot": 3}, {"slots": 0}, {"watermark": "maybe"}, {"precision": "int4"}], ids=str
)
def test_a_wrong_option_is_an_error_before_anything_is_loaded(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ChatterboxEngine(Family.ENGLISH, weights="/nowhere", **options)


def test_the_watermark_lags_but_loses_nothing() -> None:
    marking = speaker(watermark="always")
    with short():
        marked = joined(marking.speak(asked("Hello.")))
    plain = said(asked("Hello."))
    assert len(marked) == len(plain)
    assert not np.array_equal(marked, plain)
    error = marked.astype(float) - plain
    assert 10 * math.log10(np.mean(error**2) / np.mean(plain.astype(float) ** 2)) < -10
