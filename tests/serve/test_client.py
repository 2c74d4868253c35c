"""The client against the service as it comes, and the examples of its documentation."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from serve_app.client import AudioDelta, Client, Done, Words
from serve_app.domain.types import AudioFormat
from tests.audio_tools import decode
from tests.serve.test_library import wav_of
from tests.support.direct import wait_until
from tests.support.ears import words_heard
from tests.support.service import ROOT, RunningService
from tests.support.voices import recording

EXAMPLES = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "client.md").read_text(), re.DOTALL)
SENTENCE = "Seven people waited at the station for the morning train."


def test_every_example_of_the_documentation_runs(
    real_service: RunningService, tmp_path: Path
) -> None:
    (tmp_path / "alice.wav").write_bytes(wav_of(recording("en_kevin")))
    (tmp_path / "talk.wav").write_bytes(wav_of(recording("en_susan")))
    printed = [
        subprocess.run(
            [sys.executable, "-c", example.replace("http://127.0.0.1:7860", real_service.url)],
            cwd=tmp_path, check=True, stdout=subprocess.PIPE, text=True,
        ).stdout
        for example in EXAMPLES
    ]  # fmt: skip
    assert "VOICE_NOT_FOUND" in printed[-1]
    for name, said in (("tea.mp3", "minute"), ("train.wav", "train"), ("own.wav", "voice")):
        samples, rate = decode(tmp_path / name, AudioFormat(name[-3:]))
        assert said in words_heard(samples, rate)
    files = {"alice.wav", "talk.wav", "tea.mp3", "train.wav", "own.wav", "converted.flac"}
    assert {file.name for file in tmp_path.iterdir()} == files | {"one.wav", "two.wav"}


def test_words_come_with_their_audio_and_never_later(real_service: RunningService) -> None:
    heard = told = 0.0
    said: list[str] = []
    with (
        Client(real_service.url) as client,
        client.events(SENTENCE, format="pcm", seed=1, timestamps=True) as events,
    ):
        for event in events:
            match event:
                case Words(words=words):
                    assert words, "the embedded voice knows its words"
                    assert words[0].start >= heard
                    said += [word.word for word in words]
                    told = words[-1].end
                case AudioDelta(data=data):
                    heard += len(data) / 2 / events.sample_rate
                case Done(duration_seconds=seconds):
                    assert seconds == pytest.approx(heard, abs=0.001)
    assert " ".join(said) == SENTENCE
    assert 0 < told <= heard


def test_leaving_a_stream_stops_the_service(real_service: RunningService) -> None:
    """All of the text would take the engine longer than the condition is waited for."""
    scratch = real_service.outputs / ".scratch"
    with Client(real_service.url) as client, client.stream((SENTENCE + " ") * 170) as speech:
        pieces = iter(speech)
        assert next(pieces)
        assert list(scratch.iterdir()), "it is being made"
    wait_until(lambda: not list(scratch.iterdir()))
