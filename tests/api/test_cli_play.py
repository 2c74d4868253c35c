"""`serve-app say --play`: on a device that takes its time and makes no sound."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import miniaudio
import pytest

from serve_app.cli import playing
from serve_app.domain.types import AudioFormat
from serve_app.engines.fake import speech_of
from tests.audio_tools import decode
from tests.support.cli import CommandLine
from tests.support.direct import RunningApi

TEXT = "Hello there."
SPOKEN = speech_of(TEXT, 7).tobytes()


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> bytearray:
    """What the device has taken."""
    taken = bytearray()
    take: Callable[[playing.Player, int], bytes] = playing.Player._take  # pyright: ignore[reportPrivateUsage]

    def listening(player: playing.Player, wanted: int) -> bytes:
        data = take(player, wanted)
        taken.extend(data)
        return data

    device = partial(miniaudio.PlaybackDevice, backends=[miniaudio.Backend.NULL])
    monkeypatch.setattr(miniaudio, "PlaybackDevice", device)
    monkeypatch.setattr(playing.Player, "_take", listening)
    return taken


@pytest.fixture
def cli(api: RunningApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    monkeypatch.chdir(tmp_path)
    return CommandLine(api.url)


def test_speech_is_played_to_its_end(cli: CommandLine, played: bytearray) -> None:
    done = cli("say", TEXT, "--seed", 7, "--play")
    assert (done.code, done.text.startswith("Played")) == (0, True)
    assert played == SPOKEN


@pytest.mark.parametrize("name", ["a.pcm", "a.wav", "a.mp3"])
def test_it_can_be_saved_too(
    cli: CommandLine, played: bytearray, tmp_path: Path, name: str
) -> None:
    facts = cli("say", TEXT, "--seed", 7, "--play", "-o", name, "--json").json
    assert played == SPOKEN
    assert facts["format"] == name.partition(".")[2]
    assert facts["bytes"] == (tmp_path / name).stat().st_size
    samples, _ = decode(tmp_path / name, AudioFormat(facts["format"]))
    assert len(samples) == pytest.approx(len(SPOKEN) // 2, abs=2500)


def test_words_are_told_while_it_is_played(cli: CommandLine, played: bytearray) -> None:
    assert "Hello" in cli("say", TEXT, "--seed", 7, "--play", "--words").text
    assert played == SPOKEN


def test_words_are_told_while_it_is_played_and_saved(
    cli: CommandLine, played: bytearray, tmp_path: Path
) -> None:
    facts = cli("say", TEXT, "--seed", 7, "--play", "--words", "-o", "a.mp3", "--json").json
    assert played == SPOKEN
    assert " ".join(word["word"] for word in facts["words"]) == TEXT
    samples, _ = decode(tmp_path / "a.mp3", AudioFormat.MP3)
    assert len(samples) == pytest.approx(len(SPOKEN) // 2, abs=2500)


def test_samples_that_arrive_in_halves_are_played(played: bytearray) -> None:
    with playing.Player(24_000) as player:
        for start in range(0, 1000, 333):
            player.feed(SPOKEN[start : min(start + 333, 1000)])
        player.finish()
    assert played == SPOKEN[:1000]


def test_without_a_device_there_is_one_sentence(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(**_: object) -> None:
        raise miniaudio.MiniaudioError("failed to init device", -401)

    monkeypatch.setattr(miniaudio, "PlaybackDevice", none)
    done = cli("say", TEXT, "--play")
    assert done.code == 1
    assert len(done.errors.splitlines()) == 1
    assert "-o FILE" in done.errors
