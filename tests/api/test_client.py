"""The client against the API: every statement of the threaded client and of the one for asyncio."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_type_hints

import numpy as np
import pytest

import serve_app.client as package
from serve_app.api.tts_models import SpeechBody
from serve_app.api.vc import ConversionFields
from serve_app.client import (
    AsyncClient,
    AudioDelta,
    Client,
    ConversionOptions,
    Done,
    NotFound,
    RequestRefused,
    SavedAudio,
    SpeechOptions,
    Words,
    calls,
)
from serve_app.domain.types import Capabilities, PcmChunk, SpeechRequest
from serve_app.engines import fake
from serve_app.engines.fake import FakeEngine, speech_of
from serve_app.engines.fake_conversion import converted_of
from tests.support.clients import Connect, connected_by_asyncio
from tests.support.direct import RunningApi, files_below, running_api, wait_until
from tests.support.progress import CHUNKS
from tests.support.uploads import samples_in, spoken, upload_input, upload_voice, wav_of

FOUR = " ".join(CHUNKS)
TALK, ALICE = spoken(11, 2.0), spoken(1)
SECRET = "the-key"


@pytest.fixture(params=[Client, connected_by_asyncio], ids=["threads", "asyncio"])
def connect(request: pytest.FixtureRequest) -> Connect:
    """Connects a client; both are called alike."""
    return request.param


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApi]:
    """A service with an input and a voice, for tests that leave it as it is."""
    with running_api(FakeEngine(), tmp_path_factory.mktemp("client")) as running:
        upload_input(running, "talk.wav", wav_of(TALK))
        upload_voice(running, "alice.wav", wav_of(ALICE))
        yield running


@pytest.fixture
def client(shared: RunningApi, connect: Connect) -> Iterator[Client]:
    """A client of the shared service."""
    with connect(shared.url) as connected:
        yield connected


@dataclass(frozen=True, slots=True)
class WordlessEngine:
    """The fake engine, which does not know when it says which word."""

    @property
    def capabilities(self) -> Capabilities:
        return replace(fake.CAPABILITIES, word_timings=False)

    def speak(self, request: SpeechRequest) -> Generator[PcmChunk, None, None]:
        yield from FakeEngine().speak(request)


def test_the_pieces_of_a_stream_are_the_speech(client: Client) -> None:
    with client.stream(FOUR, format="pcm", seed=7) as speech:
        assert b"".join(speech) == b"".join(speech_of(chunk, 7).tobytes() for chunk in CHUNKS)


def test_a_stream_says_what_it_is(client: Client) -> None:
    with client.stream(FOUR, format="pcm", seed=7) as speech:
        assert (speech.format, speech.media_type) == ("pcm", "audio/pcm;rate=24000")
        assert (speech.sample_rate, speech.seed) == (24_000, 7)
        assert speech.filename.endswith("_seed7.pcm")
        assert speech.request_id
        assert speech.ignored == ()
        assert speech.alternatives == {}


def test_parameters_without_effect_are_named(client: Client) -> None:
    with client.stream(FOUR, top_p=0.5, project=None, min_p=0.1) as speech:
        assert speech.ignored == ("top_p", "min_p")


def test_the_other_formats_are_there_when_the_stream_has_ended(
    client: Client, tmp_path: Path
) -> None:
    with client.stream(FOUR, seed=3, format="pcm", formats=("wav", "pcm", "flac")) as speech:
        streamed = b"".join(speech)
    assert list(speech.alternatives) == ["wav", "flac"]
    client.download(speech.alternatives["wav"], tmp_path / "hello.wav")
    assert samples_in((tmp_path / "hello.wav").read_bytes()).tobytes() == streamed


def test_a_voice_and_a_speed_are_called_so(client: Client, tmp_path: Path) -> None:
    normal = client.save(FOUR, tmp_path / "normal.pcm", seed=1)
    fast = client.save(FOUR, tmp_path / "fast.pcm", seed=1, speed=2.0)
    assert fast.bytes == pytest.approx(normal.bytes / 2, rel=0.05)
    with pytest.raises(NotFound, match="nobody"):
        client.save(FOUR, tmp_path / "nobody.pcm", voice="nobody")


def test_leaving_a_stream_stops_the_server(slow_api: RunningApi, connect: Connect) -> None:
    with connect(slow_api.url) as client:
        with client.stream(FOUR) as speech:
            pieces = iter(speech)
            assert next(pieces)
            assert slow_api.backend.open_streams == 1
        wait_until(lambda: slow_api.backend.open_streams == 0, seconds=3)
        wait_until(lambda: slow_api.files() == [])


@pytest.mark.parametrize(
    ("name", "streamed"),
    [("a.wav", "wav"), ("a.MP3", "mp3"), ("a.ogg", "opus"), ("a.flac", "flac"), ("a", "wav")],
)
def test_the_extension_of_a_file_chooses_the_format(
    client: Client, tmp_path: Path, name: str, streamed: str
) -> None:
    magic = {"wav": b"RIFF", "mp3": b"\xff\xf3", "opus": b"OggS", "flac": b"fLaC"}[streamed]
    saved = client.save("Hello.", tmp_path / name)
    content = (tmp_path / name).read_bytes()
    assert content.startswith(magic)
    assert saved == SavedAudio(tmp_path / name, len(content))


def test_the_format_that_is_given_counts_more_than_the_extension(
    client: Client, tmp_path: Path
) -> None:
    client.save("Hello.", tmp_path / "a.bin", format="flac")
    assert (tmp_path / "a.bin").read_bytes().startswith(b"fLaC")


def test_a_file_has_its_name_only_when_it_is_whole(client: Client, tmp_path: Path) -> None:
    seen: list[tuple[int, list[str]]] = []
    (tmp_path / "a.wav").write_bytes(b"before")

    def progress(saved: int) -> None:
        (partial,) = set(files_below(tmp_path)) - {"a.wav"}
        assert (tmp_path / "a.wav").read_bytes() == b"before"
        seen.append((saved, [partial]))

    saved = client.save(FOUR, tmp_path / "a.wav", progress=progress)
    assert seen[-1][0] == saved.bytes == (tmp_path / "a.wav").stat().st_size > 6
    assert files_below(tmp_path) == ["a.wav"]


def test_a_symlink_stays_one_and_its_file_is_replaced(client: Client, tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "a.pcm").symlink_to("kept/b.pcm")
    saved = client.save(FOUR, tmp_path / "a.pcm")
    assert (tmp_path / "a.pcm").is_symlink()
    assert (saved.path, files_below(tmp_path / "kept")) == (tmp_path / "a.pcm", ["b.pcm"])
    assert (tmp_path / "kept/b.pcm").stat().st_size == saved.bytes


def test_a_pipe_that_has_a_name_gets_the_audio_and_stays(client: Client, tmp_path: Path) -> None:
    pipe, heard = tmp_path / "pipe", list[bytes]()
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: heard.append(pipe.read_bytes()), daemon=True)
    reader.start()
    client.save("Hello.", pipe, format="pcm", seed=7)
    reader.join(10)
    assert heard == [speech_of("Hello.", 7).tobytes()]
    assert pipe.is_fifo()


def test_speak_answers_with_files(client: Client, tmp_path: Path) -> None:
    spoken_files = client.speak(FOUR, formats=("pcm", "mp3"), seed=5, top_p=0.3)
    assert [file.format for file in spoken_files.files] == ["pcm", "mp3"]
    assert spoken_files.seed == 5
    assert spoken_files.words is None
    assert spoken_files.warnings == ("top_p is ignored: the fake engine has no such control.",)
    for address in (spoken_files.files[0].path, spoken_files.files[0].url):
        saved = client.download(address, tmp_path / "a.pcm")
        assert saved.bytes == pytest.approx(spoken_files.duration_seconds * 48_000, abs=48)


def test_speak_tells_when_each_word_is_said(client: Client) -> None:
    spoken_files = client.speak(FOUR, timestamps=True)
    assert spoken_files.words is not None
    assert " ".join(word.word for word in spoken_files.words) == FOUR
    assert spoken_files.words[0].start == 0
    assert spoken_files.words[-1].end == pytest.approx(spoken_files.duration_seconds, abs=0.001)


def test_an_engine_that_cannot_tell_words_is_said_to(tmp_path: Path, connect: Connect) -> None:
    with running_api(WordlessEngine(), tmp_path) as api, connect(api.url) as client:
        spoken_files = client.speak(FOUR, timestamps=True)
        assert spoken_files.words is None
        assert any("timestamps" in warning for warning in spoken_files.warnings)
        with client.events(FOUR, timestamps=True) as events:
            assert [event for event in events if isinstance(event, Words)] == [Words(None)]


def test_events_are_the_speech_its_words_and_its_end(client: Client) -> None:
    with client.events(FOUR, format="pcm", seed=7, timestamps=True) as events:
        assert (events.sample_rate, events.format) == (24_000, "pcm")
        told = list(events)
    audio = b"".join(event.data for event in told if isinstance(event, AudioDelta))
    assert audio == b"".join(speech_of(chunk, 7).tobytes() for chunk in CHUNKS)
    words = [word.word for event in told if isinstance(event, Words) for word in event.words or ()]
    assert " ".join(words) == FOUR
    assert told[-1] == Done(round(len(audio) / 48_000, 4), 7, events.request_id)
    assert sum(isinstance(event, Done) for event in told) == 1


@pytest.mark.parametrize("source", ["talk.wav", Path("talk.wav")], ids=["named", "uploaded"])
@pytest.mark.parametrize("target", ["alice", Path("alice.wav")], ids=["named", "uploaded"])
def test_a_conversion_takes_names_and_files(
    client: Client,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    source: str | Path,
    target: str | Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("talk.wav").write_bytes(wav_of(TALK))
    Path("alice.wav").write_bytes(wav_of(ALICE))
    with client.convert(
        source, target, format="wav", formats=("mp3",), chunk_sec=30, project="talks"
    ) as audio:
        assert (audio.format, audio.seed, list(audio.alternatives)) == ("wav", None, ["mp3"])
        assert "chunk30" in audio.filename
        assert audio.alternatives["mp3"].startswith("/outputs/talks/")
        content = b"".join(audio)
    np.testing.assert_array_equal(samples_in(content), converted_of(TALK, ALICE))


def test_a_voice_is_kept_described_and_removed(
    api: RunningApi, connect: Connect, tmp_path: Path
) -> None:
    recording = tmp_path / "ann.wav"
    recording.write_bytes(wav_of(ALICE))
    with connect(api.url) as client:
        added = client.voices.add(
            recording, name="Ann", tags=["low, calm"], folder="team",
            default_parameters={"temperature": 0.4},
        )  # fmt: skip
        assert (added.path, added.name, added.tags) == ("team/ann.wav", "Ann", ("low, calm",))
        assert added.default_parameters == {"temperature": 0.4}
        assert list(client.voices.list()) == [added]
        with pytest.raises(RequestRefused) as refused:
            client.voices.add(recording, folder="team")
        assert refused.value.code == "FILE_EXISTS"
        assert client.voices.add(recording, folder="team", overwrite=True).path == added.path
        moved = client.voices.update("team/ann.wav", description="A test.", folder="all of us")
        assert (moved.path, moved.description) == ("all of us/ann.wav", "A test.")
        client.voices.remove(moved.path)
        assert list(client.voices.list()) == []


def test_listings_go_through_all_pages(
    api: RunningApi, connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "_LARGEST_PAGE", "2")
    recording = tmp_path / "a.wav"
    recording.write_bytes(wav_of(ALICE))
    with connect(api.url) as client:
        for folder in ("a", "b", "b/c", "d", "e"):
            client.voices.add(recording, folder=folder, tags=[f"in {folder}"])
            client.save("Hello.", tmp_path / "out.wav", project=folder)
        assert len({voice.path for voice in client.voices.list()}) == 5
        assert [voice.path for voice in client.voices.list(tag="in d")] == ["d/a.wav"]
        assert len(list(client.voices.list(folder="b"))) == 2
        outputs = list(client.outputs.list(generation_type="tts"))
        assert [output.folder_path for output in outputs] == ["e", "d", "b/c", "b", "a"]
        assert list(client.outputs.list(generation_type="vc")) == []


def test_the_configuration_says_what_can_be_asked_for(client: Client) -> None:
    config = client.config()
    assert config.engines.tts.name == "fake"
    assert config.engines.tts.voices == ("sine",)
    assert "mp3" in config.supported_formats
    assert config.limits.max_text_length == 10_000
    assert "alloy" in [preset.name for preset in config.presets]
    assert config.control_ranges["speed_factor"].maximum == 2.0


def test_both_clients_have_one_surface() -> None:
    def surface(kind: type) -> dict[str, inspect.Signature]:
        methods = {name: value for name, value in vars(kind).items() if name[0] != "_"}
        return {
            name: inspect.signature(value).replace(return_annotation=None)
            for name, value in methods.items()
        }

    from serve_app.client import async_client, client

    assert surface(AsyncClient) == surface(Client)
    assert surface(async_client.AsyncVoices) == surface(client.Voices)
    assert surface(async_client.AsyncOutputs) == surface(client.Outputs)


def test_every_option_is_a_field_of_the_request() -> None:
    wire = {
        "voice": "reference_audio_filename",
        "speed": "speed_factor",
        "sound_words": "sound_words_field",
    }
    speech = {wire.get(name, name) for name in get_type_hints(SpeechOptions)}
    assert speech <= set(SpeechBody.model_fields)
    assert set(get_type_hints(ConversionOptions)) <= set(ConversionFields.model_fields)


def test_importing_it_is_light() -> None:
    heavy = (
        "ray", "fastapi", "starlette", "sqlalchemy", "numpy", "av", "onnxruntime", "hibari",
        "pydantic_settings", "serve_app.api", "serve_app.settings", "serve_app.domain",
    )  # fmt: skip
    script = f"import sys, {package.__name__}; print([n for n in {heavy} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done
