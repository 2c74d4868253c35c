"""The command line against the service as it is started, and as its manual says."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from serve_app.engines.fake import speech_of
from tests.support.cli import CommandLine
from tests.support.service import ROOT, RunningService
from tests.support.uploads import wav_of

MANUAL = (ROOT / "docs" / "cli.md").read_text()
EXAMPLES = "\n".join(re.findall(r"```sh\n(.*?)```", MANUAL, re.DOTALL))


def test_every_example_of_the_manual(service: RunningService, tmp_path: Path) -> None:
    (tmp_path / "alice.wav").write_bytes(wav_of(speech_of("This is how somebody sounds.", 1)))
    (tmp_path / "talk.wav").write_bytes(wav_of(speech_of("This is what somebody said.", 2)))
    (tmp_path / "story.txt").write_text("Once upon a time. The end.")
    programs = Path(sys.executable).parent
    done = subprocess.run(
        ["sh", "-exc", EXAMPLES],
        cwd=tmp_path,
        env={
            **os.environ,
            "PATH": f"{programs}:{os.environ['PATH']}",
            "SERVE_APP_URL": service.url,
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert {"tea.mp3", "once-upon-a-time-the-end.wav", "rain.ogg", "alice-talks.mp3"} <= {
        file.name for file in tmp_path.iterdir()
    }
    assert json.loads((tmp_path / "figures.json").read_text())["errors"] == {}


def test_clients_that_listen_together_are_all_served(service: RunningService) -> None:
    told = CommandLine(service.url)("bench", "--clients", 8, "--requests", 16, "--json").json
    assert (told["streams"], told["errors"]) == (16, {})


def test_what_is_saved_is_what_was_spoken(service: RunningService, tmp_path: Path) -> None:
    file = tmp_path / "a.pcm"
    assert CommandLine(service.url)("say", "Hello there.", "--seed", 7, "-o", file).code == 0
    assert file.read_bytes() == speech_of("Hello there.", 7).tobytes()
