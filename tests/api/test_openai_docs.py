"""The examples of docs/openai.md do what they say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from serve_app.domain.types import AudioFormat
from tests.audio_tools import decode
from tests.support.direct import RunningApi
from tests.support.uploads import spoken, wav_of

ROOT = Path(__file__).parents[2]
NODE_MODULES = ROOT / "tests" / "node" / "node_modules"
BLOCKS = re.findall(
    r"^```(\w+)\n(.*?)^```$", (ROOT / "docs" / "openai.md").read_text(), re.M | re.S
)


def runner(language: str, script: Path, need_program: Callable[[str], str]) -> list[str]:
    """The command that runs a script of this language."""
    if language == "python":
        return [sys.executable, str(script)]
    if language == "sh":
        need_program("curl")
        return ["bash", "-e", str(script)]
    program = need_program("node")
    if not NODE_MODULES.is_dir() and os.environ.get("CI") != "true":
        pytest.skip("the Node SDK is not installed: make setup-node")
    (script.parent / "node_modules").symlink_to(NODE_MODULES)
    return [program, str(script)]


@pytest.mark.parametrize(
    ("language", "code"), BLOCKS, ids=[f"{n}-{b[0]}" for n, b in enumerate(BLOCKS)]
)
def test_an_example_makes_a_file_that_plays(
    api: RunningApi,
    tmp_path: Path,
    need_program: Callable[[str], str],
    language: str,
    code: str,
) -> None:
    folder = tmp_path / "example"
    folder.mkdir()
    (folder / "me.wav").write_bytes(wav_of(spoken()))
    script = folder / ("script.mjs" if language == "js" else "script")
    script.write_text(code.replace("http://127.0.0.1:7860", api.url))
    command = runner(language, script, need_program)
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    (made,) = folder.glob("*.mp3")
    samples, rate = decode(made.read_bytes(), AudioFormat.MP3, 24_000)
    assert len(samples) > 0.2 * rate


def test_the_examples_are_found() -> None:
    assert [language for language, _ in BLOCKS] == ["sh", "python", "js", "sh"]
