"""The outputs' library: names nobody shares, files that are whole or absent."""

from __future__ import annotations

import asyncio
import shutil
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from serve_app.domain.errors import InvalidRequest, NotFound
from serve_app.domain.types import AudioFormat
from serve_app.library import outputs
from serve_app.library.outputs import OutputDraft, OutputLibrary

FORMATS = (AudioFormat.WAV, AudioFormat.MP3)
DRAFT = OutputDraft("tts", ("temp0.75", "seed42"), FORMATS)


def copying(master: Path, _: AudioFormat, destination: Path) -> None:
    shutil.copy(master, destination)


def library(root: Path, wait_s: float = 5) -> OutputLibrary:
    return OutputLibrary(root, copying, wait_s)


def test_names_say_when_and_how(tmp_path: Path) -> None:
    output = library(tmp_path).reserve(DRAFT)
    today = datetime.now(UTC).strftime("tts_%Y-%m-%d_")
    assert output.name.startswith(today)
    assert output.name.endswith("_temp0.75_seed42")
    assert output.url_path(AudioFormat.MP3) == f"/outputs/{output.name}.mp3"


def test_two_machines_in_the_same_microsecond_do_not_collide(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = datetime(2025, 6, 22, 14, 30, 22, 456789, UTC)

    class Frozen(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # noqa: ARG003
            return moment

    monkeypatch.setattr(outputs, "datetime", Frozen)
    machines = [library(tmp_path) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        names = list(pool.map(lambda n: machines[n % 8].reserve(DRAFT).name, range(64)))
    assert len(set(names)) == 64
    assert "tts_2025-06-22_143022_456789_temp0.75_seed42" in names


@pytest.mark.parametrize(
    "project", ["../up", "/etc", "a/../b", ".hidden", "a//b", "a\\b", "a\0b", "x" * 101, "a/" * 9]
)
def test_a_project_that_is_no_plain_folder_is_refused(tmp_path: Path, project: str) -> None:
    inside = tmp_path / "outputs"
    if project == "/etc":  # a leading slash is forgiven: it is below the root all the same
        assert (
            library(inside)
            .reserve(OutputDraft("tts", (), FORMATS, project))
            .folder.is_relative_to(inside)
        )
        return
    with pytest.raises(InvalidRequest):
        library(inside).reserve(OutputDraft("tts", (), FORMATS, project))


async def test_nothing_is_found_before_it_is_whole(tmp_path: Path) -> None:
    shelf = library(tmp_path)
    output = shelf.reserve(DRAFT)
    output.scratch.write_bytes(b"half")
    waiting = asyncio.create_task(shelf.find(output.filename(AudioFormat.MP3)))
    await asyncio.sleep(0.12)
    assert not waiting.done()
    output.scratch.write_bytes(b"whole")
    output.commit()
    assert (await waiting).read_bytes() == b"whole"


async def test_a_discarded_output_leaves_nothing(tmp_path: Path) -> None:
    shelf = library(tmp_path)
    output = shelf.reserve(DRAFT)
    output.scratch.write_bytes(b"half")
    output.discard()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(NotFound):
        await shelf.find(output.filename(AudioFormat.WAV))


async def test_a_crash_is_not_waited_for(tmp_path: Path) -> None:
    """A scratch file that nobody has touched for longer than a GET waits belongs to the dead."""
    shelf = library(tmp_path, wait_s=0.2)
    output = shelf.reserve(DRAFT)
    output.scratch.write_bytes(b"half")
    await asyncio.sleep(0.25)
    with pytest.raises(NotFound):
        await shelf.find(output.filename(AudioFormat.WAV))


async def test_a_format_that_fails_to_be_made_leaves_no_half_file(tmp_path: Path) -> None:
    def failing(_: Path, __: AudioFormat, destination: Path) -> None:
        destination.write_bytes(b"half")
        raise OSError("disk full")

    shelf = OutputLibrary(tmp_path, failing, 5)
    output = shelf.reserve(DRAFT)
    output.scratch.write_bytes(b"whole")
    output.commit()
    with pytest.raises(OSError, match="disk full"):
        await shelf.find(output.filename(AudioFormat.MP3))
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {f".{output.name}.json", f"{output.name}.wav"}


async def test_a_master_nobody_asked_for_is_not_served(tmp_path: Path) -> None:
    shelf = library(tmp_path)
    output = shelf.reserve(OutputDraft("tts", (), (AudioFormat.FLAC,)))
    output.scratch.write_bytes(b"whole")
    output.commit()
    assert (await shelf.find(output.filename(AudioFormat.FLAC))).read_bytes() == b"whole"
    for hidden in (output.filename(AudioFormat.WAV), f".{output.filename(AudioFormat.WAV)}"):
        with pytest.raises(NotFound):
            await shelf.find(hidden)
