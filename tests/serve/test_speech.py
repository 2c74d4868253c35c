"""The service as it comes, with its own voice: real speech, in every format, as the README says."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from serve_app.domain.types import AudioFormat
from tests.audio_tools import decode, lag, resample, snr
from tests.serve.test_library import wav_of
from tests.support.ears import words_heard
from tests.support.service import ROOT, RunningService
from tests.support.voices import Pitch, recording

README = (ROOT / "README.md").read_text()
PARAGRAPH = (
    "The old lighthouse keeper climbed the stairs every evening. He lit the lamp for the ships. "
    "Nobody had asked him to do it for thirty years. He did it all the same."
)


LOSSLESS = (AudioFormat.WAV, AudioFormat.PCM, AudioFormat.FLAC)


def speak(service: RunningService, text: str, **body: object) -> bytes:
    response = service.client.post("/api/v1/tts", json={"text": text, "seed": 1, **body})
    assert response.status_code == 200, response.text
    return response.content


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The weather is nice today, but it will rain tomorrow.", {"weather", "today", "tomorrow"}),
        ("Please open the window and close the door.", {"please", "open", "window", "door"}),
        (
            "Seven people waited at the station for the morning train.",
            {"people", "station", "train"},
        ),
    ],
)
def test_the_words_are_heard(real_service: RunningService, text: str, words: set[str]) -> None:
    samples, rate = decode(speak(real_service, text), AudioFormat.WAV)
    assert words <= words_heard(samples, rate)


@pytest.mark.parametrize("audio_format", list(AudioFormat))
def test_every_format_is_the_engines_speech(
    real_service: RunningService, audio_format: AudioFormat
) -> None:
    """Streamed and stored, decoded, against the PCM of the same seed: nothing lost at the end."""
    reference, rate = decode(
        speak(real_service, PARAGRAPH, export_formats=["pcm"]), AudioFormat.PCM
    )
    response = real_service.client.post(
        "/api/v1/tts",
        json={"text": PARAGRAPH, "seed": 1, "export_formats": [audio_format]},
    )
    filename = response.headers["content-disposition"].split('"')[1]
    stored = real_service.client.get(f"/outputs/{filename}")
    for content in (response.content, stored.content):
        container_rate = int(response.headers["x-sample-rate"])
        samples, decoded_rate = decode(content, audio_format, container_rate)
        compared = resample(reference, rate, decoded_rate)
        assert len(samples) >= len(compared) - decoded_rate // 500
        aligned = samples[max(0, lag(compared, samples)) :]  # less the codec's own delay
        assert snr(compared, aligned) > (90 if audio_format in LOSSLESS else 8)


def test_the_file_of_the_printed_curl_line_plays(
    real_service: RunningService, tmp_path: Path, need_program: Callable[[str], str]
) -> None:
    need_program("curl")
    printed = re.search(r"curl -N .*?hello\.wav", real_service.output(), re.DOTALL)
    assert printed
    subprocess.run(shlex.split(printed[0].replace("\\\n", " ")), cwd=tmp_path, check=True)
    file = tmp_path / "hello.wav"
    sent = (file.stat().st_size - 44) / 2 / 24_000
    with av.open(str(file)) as container:
        (track,) = container.streams
        assert track.codec_context.name == "pcm_s16le"
        assert (track.rate, track.channels) == (24_000, 1)
        assert container.duration / 1e6 == pytest.approx(sent, rel=0.02)
    samples, rate = decode(file, AudioFormat.WAV)
    assert {"hello", "speech"} & words_heard(samples, rate)


def example(language: str, containing: str, service: RunningService) -> str:
    """A code block of the README, its address replaced by that of the running service."""
    blocks = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    (block,) = (block for block in blocks if containing in block)
    return block.replace("http://127.0.0.1:7860", service.url)


def test_the_readmes_curl_example(
    real_service: RunningService, tmp_path: Path, need_program: Callable[[str], str]
) -> None:
    need_program("curl")
    script = example("sh", "tea.mp3", real_service)
    subprocess.run(["sh", "-ec", script], cwd=tmp_path, check=True)
    samples, rate = decode(tmp_path / "tea.mp3", AudioFormat.MP3)
    assert "minute" in words_heard(samples, rate)


def test_the_readmes_python_example(real_service: RunningService, tmp_path: Path) -> None:
    script = example("python", "train.wav", real_service)
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    assert "first audio after" in done.stdout
    assert "flac:/outputs/" in done.stdout
    samples, rate = decode(tmp_path / "train.wav", AudioFormat.WAV)
    assert "train" in words_heard(samples, rate)


def test_the_readmes_javascript_example(
    real_service: RunningService, tmp_path: Path, need_program: Callable[[str], str]
) -> None:
    node = need_program("node")
    script = tmp_path / "example.mjs"
    script.write_text(example("javascript", "fetch", real_service))
    done = subprocess.run([node, str(script)], check=True, capture_output=True, text=True)
    seconds, size = re.match(r"([\d.]+) seconds in (\d+) bytes", done.stdout).groups()
    assert 1 < float(seconds) < 5
    assert int(size) > 5000


def test_the_readmes_example_of_openais_sdk(real_service: RunningService, tmp_path: Path) -> None:
    script = example("python", "dinner.mp3", real_service)
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, capture_output=True)
    samples, rate = decode(tmp_path / "dinner.mp3", AudioFormat.MP3)
    assert "dinner" in words_heard(samples, rate)


def test_the_readmes_example_of_the_client(real_service: RunningService, tmp_path: Path) -> None:
    script = example("python", "window.mp3", real_service)
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    assert re.sub(r"[\d. ]*(\S+)\n", r"\1 ", done.stdout) == "And the door is shut. "
    samples, rate = decode(tmp_path / "window.mp3", AudioFormat.MP3)
    assert "window" in words_heard(samples, rate)


def test_the_readmes_examples_of_the_command_line(
    real_service: RunningService, tmp_path: Path
) -> None:
    program = Path(sys.executable).parent
    environment = {
        **os.environ, "PATH": f"{program}:{os.environ['PATH']}", "SERVE_APP_URL": real_service.url
    }  # fmt: skip
    script = example("sh", "soup.mp3", real_service)
    done = subprocess.run(
        ["sh", "-ec", script], cwd=tmp_path, env=environment,
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert "step" in done.stdout
    for name in ("soup.mp3", "step.wav"):
        samples, rate = decode(tmp_path / name, AudioFormat(name.rpartition(".")[2]))
        assert name.partition(".")[0] in words_heard(samples, rate)


def test_the_readmes_examples_of_voices_and_conversion(
    real_service: RunningService, tmp_path: Path, need_program: Callable[[str], str]
) -> None:
    """The words stay; the pitch becomes that of the recording."""
    need_program("curl")
    alice, talk = recording("en_kevin"), recording("en_susan")
    (tmp_path / "alice.wav").write_bytes(wav_of(alice))
    (tmp_path / "talk.wav").write_bytes(wav_of(talk))
    script = example("sh", "voice_file=@alice.wav", real_service)
    subprocess.run(["sh", "-ec", script], cwd=tmp_path, check=True, capture_output=True)
    own, rate = decode(tmp_path / "own.wav", AudioFormat.WAV)
    converted, _ = decode(tmp_path / "converted.mp3", AudioFormat.MP3)
    assert {"my", "own", "voice"} & words_heard(own, rate)
    for samples in (own, converted):
        assert Pitch.of(samples).median == pytest.approx(Pitch.of(alice).median, rel=0.06)
    assert Pitch.of(talk).median > 1.2 * Pitch.of(alice).median


def test_speed_is_the_engines_own_and_exact_enough(real_service: RunningService) -> None:
    normal = len(speak(real_service, PARAGRAPH, export_formats=["pcm"]))
    for speed in (0.8, 1.5):
        faster = len(speak(real_service, PARAGRAPH, export_formats=["pcm"], speed_factor=speed))
        assert faster == pytest.approx(normal / speed, rel=0.05)


def test_trim_cuts_the_silence_at_both_ends(real_service: RunningService) -> None:
    trimmed = np.frombuffer(
        speak(real_service, PARAGRAPH, trim=True, export_formats=["pcm"]), "<i2"
    )
    loud = np.flatnonzero(np.abs(trimmed) > 600)
    assert loud[0] < 0.12 * 24_000
    assert len(trimmed) - loud[-1] < 0.2 * 24_000


def test_what_the_voice_cannot_say_is_refused_before_any_audio(
    real_service: RunningService,
) -> None:
    response = real_service.client.post("/api/v1/tts", json={"text": "Hello. Привет, мир."})
    assert response.status_code == 400
    assert "cannot pronounce" in response.json()["error"]
    assert "languages" in real_service.client.get("/api/v1/config").json()["engines"]["tts"]


def test_the_longest_text_is_spoken_whole_and_memory_stays(real_service: RunningService) -> None:
    sentence = "The ferry captain counted the boats near the shore before the night was over. "
    text = (sentence * 130)[:10_000].rsplit(".", 1)[0] + "."
    speak(real_service, text, export_formats=["wav"])  # warm
    (ingress,) = real_service.replicas("Ingress")
    (replica,) = real_service.replicas("Speech")
    before = [process.memory_info().rss for process in (ingress, replica)]
    content = speak(real_service, text, export_formats=["wav"])
    after = [process.memory_info().rss for process in (ingress, replica)]
    assert len(content) / 48_000 > 400, "ten minutes of speech"
    growth = [(b - a) / 2**20 for a, b in zip(before, after, strict=True)]
    assert max(growth) < 20, growth
    assert after[0] < 250 * 2**20
    assert after[1] < 400 * 2**20
