"""`serve-app say`: where the speech goes, and that no half of it is left anywhere."""

from __future__ import annotations

import dataclasses
import os
import pty
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from serve_app.domain.types import AudioFormat, Capabilities
from serve_app.engines.fake import CAPABILITIES, FakeEngine, speech_of
from tests.audio_tools import decode
from tests.support.cli import CommandLine
from tests.support.direct import RunningApi, running_api, wait_until
from tests.support.progress import CHUNKS

TEXT = "Hello there."
WAV_HEADER = 44


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, where the commands run."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApi]:
    """One service for all of them."""
    with running_api(FakeEngine(), tmp_path_factory.mktemp("say")) as running:
        yield running


@pytest.fixture
def cli(api: RunningApi) -> CommandLine:
    return CommandLine(api.url)


def pcm(text: str, seed: int) -> bytes:
    return speech_of(text, seed).tobytes()


@pytest.mark.parametrize(
    ("name", "audio_format"),
    [("a.wav", "wav"), ("a.mp3", "mp3"), ("a.ogg", "opus"), ("a.FLAC", "flac"), ("a", "wav")],
)
def test_the_name_of_the_file_says_the_format(
    here: Path, cli: CommandLine, name: str, audio_format: str
) -> None:
    assert cli("say", TEXT, "-o", name).code == 0
    samples, rate = decode(here / name, AudioFormat(audio_format))
    assert len(samples) / rate == pytest.approx(0.24, abs=0.15)


def test_another_format_can_be_chosen(here: Path, cli: CommandLine) -> None:
    assert cli("say", TEXT, "--seed", 7, "-o", "a.bin", "--format", "pcm").code == 0
    assert (here / "a.bin").read_bytes() == pcm(TEXT, 7)


def test_what_is_saved_is_what_was_spoken(here: Path, cli: CommandLine) -> None:
    done = cli("say", TEXT, "--seed", 7, "-o", "a.wav")
    assert done.text.startswith("Saved a.wav: ")
    assert "seed 7" in done.text
    assert (here / "a.wav").read_bytes()[WAV_HEADER:] == pcm(TEXT, 7)


def test_without_a_name_the_text_gives_one_and_nothing_is_overwritten(
    here: Path, cli: CommandLine
) -> None:
    first, second = cli("say", TEXT, "--seed", 1), cli("say", TEXT, "--seed", 2)
    assert "hello-there.wav" in first.text
    assert "hello-there-2.wav" in second.text
    assert (here / "hello-there.wav").read_bytes()[WAV_HEADER:] == pcm(TEXT, 1)
    assert (here / "hello-there-2.wav").read_bytes()[WAV_HEADER:] == pcm(TEXT, 2)


@pytest.mark.parametrize("arguments", [(), ("-",), ("--file", "text.txt")])
def test_the_text_can_come_from_elsewhere(
    here: Path, cli: CommandLine, arguments: tuple[str, ...]
) -> None:
    (here / "text.txt").write_text("Grüße.", "utf-8")
    assert cli("say", *arguments, "--seed", 3, "-o", "a.pcm", stdin="Grüße.").code == 0
    assert (here / "a.pcm").read_bytes() == pcm("Grüße.", 3)


@pytest.mark.parametrize(
    "arguments",
    [
        ("",),
        ("Text.", "--file", "text.txt"),
        ("--file", "none.txt"),
        ("--file", "binary.txt"),
        ("Text.", "-o", "none/a.wav"),
        ("Text.", "-o", ""),
        ("Text.", "-o", ".."),
        ("Text \udcff.",),
        ("Text.", "--set", "a=" + "[" * 100_000),
        ("Text.", "-o", "-", "--json"),
        ("Text.", "-o", "-", "--words"),
        ("Text.", "-o", "-", "--play"),
        ("Text.", "--set", "trim"),
        ("Text.", "--set", "export_formats=mp3"),
    ],
)
def test_a_wrong_command_line_is_told_and_asks_for_nothing(
    here: Path, cli: CommandLine, api: RunningApi, arguments: tuple[str, ...]
) -> None:
    (here / "text.txt").write_text("Text.")
    (here / "binary.txt").write_bytes(b"\xff\xfe\x00")
    before = api.files()
    done = cli("say", *arguments)
    assert done.code == 2
    assert "Error" in done.errors
    assert api.files() == before


@pytest.mark.parametrize(
    "options",
    [("--set", "seed=NaN"), ("--set", "seed=1e400"), ("--set", "a=[[-Infinity]]"),
     ("--voice", "\udcff")],
)  # fmt: skip
def test_what_no_request_can_hold_is_one_sentence(
    here: Path, cli: CommandLine, options: tuple[str, ...]
) -> None:
    done = cli("say", TEXT, "-o", "a.wav", *options)
    assert (done.code, len(done.errors.splitlines())) == (2, 1)
    assert list(here.iterdir()) == []


def test_input_that_is_no_text_is_told(here: Path, cli: CommandLine) -> None:
    assert "UTF-8" in cli("say", stdin=b"\xff\xfe").errors
    (here / "latin.txt").write_bytes("Grüße.".encode("latin-1"))
    done = cli.redirected("< latin.txt", "say", before="PYTHONIOENCODING=utf-8:surrogateescape")
    assert (done.code, "UTF-8" in done.errors) == (2, True)
    assert "Traceback" not in done.errors


def test_a_file_whose_name_is_no_text_is_told_all_the_same(here: Path, cli: CommandLine) -> None:
    done = cli.redirected("", "say", TEXT, "-o", "\udcff.wav", "--json")
    assert (done.code, done.errors) == (0, "")
    assert done.json["path"] == "\udcff.wav"
    assert [file.name for file in here.iterdir()] == ["\udcff.wav"]


@pytest.mark.parametrize(
    ("redirections", "arguments", "code"),
    [
        ("<&-", (), 2),
        ("<&-", ("-",), 2),
        ("<&-", (TEXT, "-o", "a.wav"), 0),
        (">&-", (TEXT, "-o", "a.wav"), 0),
        (">&-", (TEXT, "-o", "a.wav", "--json"), 1),
        (">&-", (TEXT, "-o", "-"), 2),
    ],
)
def test_a_stream_that_is_closed_is_no_surprise(
    here: Path, cli: CommandLine, redirections: str, arguments: tuple[str, ...], code: int
) -> None:
    done = cli.redirected(redirections, "say", *arguments)
    assert (done.code, "Traceback" in done.errors) == (code, False)
    assert (here / "a.wav").exists() is ("a.wav" in arguments)


@pytest.mark.parametrize("unbuffered", ["PYTHONUNBUFFERED=", "PYTHONUNBUFFERED=1"])
@pytest.mark.parametrize(
    "arguments", [("status", "--json"), ("status",), ("voices", "list"), ("say", TEXT, "-o", "-")]
)
def test_a_full_disk_behind_the_output_is_one_sentence(
    here: Path, cli: CommandLine, arguments: tuple[str, ...], unbuffered: str
) -> None:
    done = cli.redirected("> full", *arguments, before=f"ulimit -f 0; {unbuffered}")
    assert (done.code, len(done.errors.splitlines())) == (1, 1)
    assert (here / "full").stat().st_size == 0


def test_a_pipe_that_has_a_name_is_written_to_and_stays(here: Path, cli: CommandLine) -> None:
    heard: list[bytes] = []
    os.mkfifo(here / "pipe")
    reader = threading.Thread(
        target=lambda: heard.append((here / "pipe").read_bytes()), daemon=True
    )
    reader.start()
    assert cli("say", TEXT, "--seed", 7, "-o", "pipe", "--format", "pcm").code == 0
    reader.join(10)
    assert heard == [pcm(TEXT, 7)]
    assert (here / "pipe").is_fifo()


def test_audio_can_be_piped_on(here: Path, cli: CommandLine) -> None:
    done = cli("say", TEXT, "--seed", 7, "-o", "-", "--format", "pcm", "--exaggeration", 1)
    assert done.data == pcm(TEXT, 7)
    assert "exaggeration" in done.errors
    assert list(here.iterdir()) == []


def test_json_tells_the_facts_and_nothing_else_is_printed(here: Path, cli: CommandLine) -> None:
    done = cli("say", TEXT, "--seed", 7, "-o", "a.wav", "--exaggeration", 1, "--json")
    facts = done.json
    assert 0 < facts.pop("first_audio_seconds") <= facts.pop("total_seconds")
    assert facts.pop("request_id")
    assert facts == {
        "path": "a.wav",
        "format": "wav",
        "bytes": (here / "a.wav").stat().st_size,
        "audio_seconds": 0.24,
        "seed": 7,
        "ignored": ["exaggeration"],
    }


def test_any_field_of_a_request_can_be_set(here: Path, cli: CommandLine, api: RunningApi) -> None:
    assert cli("say", TEXT, "-o", "a.wav", "--set", "project=tales", "--set", "seed=5").code == 0
    assert (here / "a.wav").read_bytes()[WAV_HEADER:] == pcm(TEXT, 5)
    assert any(name.startswith("tales/") for name in api.files())


def test_words_are_told_with_their_times(here: Path, cli: CommandLine) -> None:
    done = cli("say", TEXT, "--seed", 7, "--words", "-o", "a.wav")
    assert [line.split() for line in done.text.splitlines()[:2]] == [
        ["0.000", "0.120", "Hello"],
        ["0.120", "0.240", "there."],
    ]
    assert (here / "a.wav").read_bytes()[WAV_HEADER:] == pcm(TEXT, 7)
    facts = cli("say", TEXT, "--seed", 7, "--words", "-o", "a.wav", "--json").json
    assert facts["words"][0] == {"word": "Hello", "start": 0.0, "end": 0.12}
    assert (facts["seed"], facts["audio_seconds"]) == (7, 0.24)


class WithoutTimings(FakeEngine):
    """Does not know when it says which word."""

    @property
    def capabilities(self) -> Capabilities:
        return dataclasses.replace(CAPABILITIES, word_timings=False)


def test_an_engine_that_cannot_tell_words_speaks_all_the_same(here: Path, tmp_path: Path) -> None:
    with running_api(WithoutTimings(), tmp_path) as api:
        cli = CommandLine(api.url)
        done = cli("say", TEXT, "--words", "-o", "a.wav")
        assert (done.code, "cannot tell" in done.errors) == (0, True)
        assert cli("say", TEXT, "--words", "-o", "a.wav", "--json").json["words"] is None
    assert (here / "a.wav").exists()


@pytest.mark.parametrize("options", [(), ("--words",), ("--json",)])
def test_speech_that_breaks_off_leaves_no_file(
    here: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    with running_api(FakeEngine(fail_at_chunk=2), tmp_path) as api:
        done = CommandLine(api.url)("say", " ".join(CHUNKS), "-o", "a.wav", *options)
    assert done.code == 1
    assert len(done.errors.splitlines()) == 1
    assert list(here.iterdir()) == []
    if "--json" in options:
        assert done.json["error"]["message"] == done.errors.strip()


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_being_interrupted_leaves_no_file(
    here: Path, slow_api: RunningApi, number: signal.Signals, code: int
) -> None:
    long = " ".join(f"This is sentence number {n} of many." for n in range(100))
    with CommandLine(slow_api.url).start("say", long, "-o", "a.wav", folder=here) as program:
        wait_until(lambda: any(file.stat().st_size for file in here.iterdir()), seconds=60)
        program.send_signal(number)
        output, errors = program.communicate(timeout=60)
    assert program.returncode == code
    assert (output, errors) == ("", "")
    assert list(here.iterdir()) == []
    wait_until(lambda: slow_api.backend.open_streams == 0)


def test_being_interrupted_while_it_loads_is_quiet(here: Path, cli: CommandLine) -> None:
    (here / "typer.py").write_text("raise KeyboardInterrupt")
    with cli.start("say", TEXT, folder=here) as program:
        assert program.communicate(timeout=60) == ("", "")
    assert program.returncode == 130


def test_a_person_at_a_terminal_sees_how_far_it_is(here: Path, cli: CommandLine) -> None:
    person, terminal = pty.openpty()
    with cli.start("say", TEXT, "-o", "a.wav", folder=here, errors=terminal) as program:
        output, _ = program.communicate(timeout=60)
    os.close(terminal)
    shown = os.read(person, 10_000).decode()
    os.close(person)
    assert "0.2 s of audio, the first after" in shown
    assert output.startswith("Saved a.wav")


def test_a_refusal_is_one_sentence(cli: CommandLine) -> None:
    done = cli("say", TEXT, "--voice", "nobody", "-o", "a.wav", "--json")
    assert done.code == 1
    assert len(done.errors.splitlines()) == 1
    assert "nobody" in done.errors
    assert done.json["error"].items() >= {"status": 404, "code": "VOICE_NOT_FOUND"}.items()


@pytest.mark.parametrize("command", ["say", "status", "bench", "voices list", "convert a b"])
def test_a_server_that_is_not_there_has_an_exit_code_of_its_own(here: Path, command: str) -> None:
    nobody = CommandLine("http://127.0.0.1:9")
    done = nobody(*command.split(), stdin=TEXT)
    assert done.code == 3
    assert "http://127.0.0.1:9" in done.errors
    assert len(done.errors.splitlines()) == 1
    assert nobody(*command.split(), "--json", stdin=TEXT).json["error"]["message"]
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("key", ["s3cret-key", "s3cret\nkey", "s3crét"])
def test_the_api_key_is_never_shown(key: str) -> None:
    nobody = CommandLine("http://127.0.0.1:9")
    for arguments in (("status",), ("status", "--json"), ("status", "--help"), ("say", "--oops")):
        done = nobody(*arguments, SERVE_APP_API_KEY=key)
        assert "s3cr" not in done.text + done.errors
        assert (done.code == 0) is ("--help" in arguments)


@pytest.mark.parametrize("command", ["status", "status --json", "voices list", "bench"])
def test_a_password_in_the_address_is_never_shown(command: str) -> None:
    done = CommandLine("http://me:s3cret@127.0.0.1:9")(*command.split())
    assert (done.code, len(done.errors.splitlines())) == (2, 1)
    assert "s3cret" not in done.text + done.errors
