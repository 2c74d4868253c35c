"""The other commands that talk to a server: `voices`, `convert`, `status`, and what all share."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from serve_app.engines.fake import speech_of
from serve_app.engines.fake_conversion import converted_of
from tests.support.cli import CommandLine
from tests.support.direct import RunningApi, files_below, wait_until
from tests.support.uploads import wav_of

VOICE = speech_of("A voice that is long enough to be known again.", 1)
TALK = speech_of("What somebody said at some other time.", 2)


@pytest.fixture
def cli(api: RunningApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """With two recordings in the folder where the commands run."""
    here = tmp_path / "here"
    here.mkdir()
    (here / "alice.wav").write_bytes(wav_of(VOICE))
    (here / "talk.wav").write_bytes(wav_of(TALK))
    monkeypatch.chdir(here)
    return CommandLine(api.url)


def test_a_voice_is_added_listed_and_removed(cli: CommandLine) -> None:
    added = cli(
        "voices", "add", "alice.wav", "--name", "Alice [UK]", "--tag", "calm", "--tag", "en"
    )
    assert added.text == f"Added alice.wav: {len(VOICE) / 24_000:.1f} s.\n"
    listed = cli("voices", "list").text
    assert "Alice [UK]" in listed
    assert "calm, en" in listed
    assert cli("voices", "remove", "alice.wav", "--yes").code == 0
    assert "alice" not in cli("voices", "list").text


def test_every_name_that_a_voice_can_have_is_listed(cli: CommandLine) -> None:
    cli("voices", "add", "alice.wav", "--folder", "uk")
    kinds = {one["voice"]: one["kind"] for one in cli("voices", "list", "--json").json}
    one_of_each = {"uk/alice.wav": "library", "sine": "engine", "nova": "preset"}
    assert kinds.items() >= one_of_each.items()
    for name in one_of_each:
        assert cli("say", "Hello.", "--voice", name, "-o", "a.wav").code == 0, name


def test_voices_are_searched(cli: CommandLine) -> None:
    cli("voices", "add", "alice.wav")
    assert [one["voice"] for one in cli("voices", "list", "--search", "ALI", "--json").json] == [
        "alice.wav"
    ]
    assert [one["voice"] for one in cli("voices", "list", "--search", "nov", "--json").json] == [
        "nova"
    ]


def test_a_voice_is_replaced_only_when_told_to(cli: CommandLine) -> None:
    assert cli("voices", "add", "alice.wav").code == 0
    refused = cli("voices", "add", "alice.wav")
    assert (refused.code, len(refused.errors.splitlines())) == (1, 1)
    assert cli("voices", "add", "alice.wav", "--overwrite").code == 0


def test_nothing_is_removed_without_being_sure(cli: CommandLine) -> None:
    cli("voices", "add", "alice.wav")
    assert cli("voices", "remove", "alice.wav").code == 2
    assert at_terminal(cli, b"n\n", "voices", "remove", "alice.wav") == 1
    assert "alice" in cli("voices", "list").text
    assert at_terminal(cli, b"y\n", "voices", "remove", "alice.wav") == 0
    assert "alice" not in cli("voices", "list").text


@pytest.mark.parametrize("name", ["..", "../voices", "a/../../voices", "", "..\\\\voices"])
def test_a_name_that_no_voice_can_have_removes_nothing(cli: CommandLine, name: str) -> None:
    cli("voices", "add", "alice.wav")
    done = cli("voices", "remove", name, "--yes")
    assert (done.code, len(done.errors.splitlines())) == (2, 1)
    assert "alice" in cli("voices", "list").text


def test_nobody_is_asked_through_a_closed_input(cli: CommandLine) -> None:
    done = cli.redirected("<&-", "voices", "remove", "alice.wav")
    assert (done.code, "--yes" in done.errors) == (2, True)


def at_terminal(cli: CommandLine, answer: bytes, *arguments: str) -> int:
    """Run the program with a terminal as its input, on which somebody answers."""
    person, terminal = pty.openpty()
    os.write(person, answer)
    done = subprocess.run(
        [sys.executable, "-m", "serve_app", *arguments],
        env={**os.environ, **cli.environment()},
        stdin=terminal,
        capture_output=True,
        timeout=60,
    )
    os.close(person)
    os.close(terminal)
    return done.returncode


def test_a_recording_here_is_said_again_in_a_voice_of_the_server(
    cli: CommandLine, api: RunningApi
) -> None:
    cli("voices", "add", "alice.wav")
    assert cli("convert", "talk.wav", "alice", "-o", "a.pcm").code == 0
    assert Path("a.pcm").read_bytes() == converted_of(TALK, VOICE).tobytes()
    wait_until(lambda: files_below(api.vc_inputs) == [])  # the upload was for this alone


def test_both_recordings_can_be_files_here(cli: CommandLine, api: RunningApi) -> None:
    done = cli("convert", "talk.wav", "alice.wav", "--format", "pcm")
    assert done.text.startswith("Saved talk-as-alice.pcm: ")
    assert Path("talk-as-alice.pcm").read_bytes() == converted_of(TALK, VOICE).tobytes()
    wait_until(lambda: files_below(api.voices) == [])


def test_a_conversion_can_be_piped_on_and_told_as_json(cli: CommandLine) -> None:
    converted = converted_of(TALK, VOICE).tobytes()
    pair = ("convert", "talk.wav", "alice.wav", "--format", "pcm")
    assert cli(*pair, "-o", "-").data == converted
    facts = cli(*pair, "-o", "a.pcm", "--json").json
    assert (facts["path"], facts["bytes"]) == ("a.pcm", len(converted))
    assert cli(*pair, "-o", "-", "--json").code == 2


def test_a_file_that_is_no_recording_is_refused(cli: CommandLine) -> None:
    Path("notes.txt").write_text("not a recording")
    for arguments in (("convert", "notes.txt", "alice.wav"), ("voices", "add", "notes.txt")):
        refused = cli(*arguments)
        assert (refused.code, len(refused.errors.splitlines())) == (1, 1)
    assert files_below(Path()) == ["alice.wav", "notes.txt", "talk.wav"]


def test_the_status_of_a_healthy_server(cli: CommandLine) -> None:
    done = cli("status")
    assert done.code == 0
    assert "healthy" in done.text
    assert "Speech: fake, 1 replica" in done.text
    told = cli("status", "--json").json
    assert (told["status"], told["engines"]["tts"]["name"]) == ("healthy", "fake")
    assert "sine" in told["voices"]


@pytest.mark.parametrize("broken", ["speech", "conversion"])
def test_the_status_of_a_server_that_is_not_well(
    cli: CommandLine, api: RunningApi, broken: str
) -> None:
    (api.backend if broken == "speech" else api.conversion).running = 0
    done = cli("status")
    assert (done.code, "degraded" in done.text) == (1, True)


def test_a_shell_completes_commands_and_voices(cli: CommandLine) -> None:
    cli("voices", "add", "alice.wav")

    def offered(line: str) -> list[str]:
        words = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split()) - 1)}
        done = cli(_SERVE_APP_COMPLETE="complete_bash", **words)
        return done.text.split()

    assert offered("serve-app vo") == ["voices"]
    assert offered("serve-app say --voice al") == ["alice.wav", "alloy"]
    assert offered("serve-app say --url http://127.0.0.1:9 --voice al") == []


def test_a_command_that_talks_to_a_server_loads_nothing_that_runs_one() -> None:
    heavy = ("ray", "fastapi", "numpy", "yaml", "serve_app.settings", "miniaudio")
    engine = "serve_app.engines.chatterbox.weights"
    script = f"""if True:
        import sys, serve_app.cli.program
        print([name for name in {(*heavy, engine)} if name in sys.modules])"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done
