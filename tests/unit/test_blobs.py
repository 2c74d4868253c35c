"""Blobs are whole or absent, in a folder as in an object store, and a folder keeps to itself."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from serve_app.domain.errors import InvalidRequest, NotFound, StorageUnavailable
from serve_app.library.blobs import PIECE_BYTES, Blobs, open_blobs
from tests.support.library import keys

if TYPE_CHECKING:
    from tests.support.s3 import ObjectStore

pytest_plugins = ("tests.support.s3",)

NAMES = (
    "ü ö.wav", "a#1.wav", "x#1", "x%20y.wav", "[b].wav", "a~&=+b.wav", "deep/down/c.wav",
    "日本語/声.wav", "x.wav.json", ".hidden/d.wav", "e/.f.wav", "'\"$(x)`.wav",
)  # fmt: skip
NO_NAMES = ("", "..", "../evil", "a/../../evil", "/etc/passwd", "a//b", "./a", "a/", "nul\0.wav")


@pytest.fixture(params=["folder", "s3"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    if request.param == "folder":
        return open_blobs(str(tmp_path / "root"))
    store: ObjectStore = request.getfixturevalue("object_store")
    return open_blobs(f"{request.getfixturevalue('bucket')}/some/prefix", store.options)


@pytest.fixture
def folder(tmp_path: Path) -> Blobs:
    return open_blobs(str(tmp_path / "root"))


@pytest.mark.parametrize("name", NAMES)
async def test_what_is_stored_comes_back_under_any_name(blobs: Blobs, name: str) -> None:
    stored = await blobs.put_bytes(name, b"content")
    found = await blobs.head(name)
    assert found is not None
    assert (found.key, found.size, found.e_tag) == (name, 7, stored.e_tag)
    assert await blobs.read_all(name, 100) == b"content"
    assert [(info.key, info.e_tag) async for info in blobs.list(hidden=True)] == [
        (name, found.e_tag)
    ]
    await blobs.delete([name])
    assert await blobs.head(name) is None


@pytest.mark.parametrize("name", [*NO_NAMES, "missing", "x" * 300, "a.wav/b"])
async def test_what_is_not_there_is_not_found(blobs: Blobs, name: str) -> None:
    await blobs.put_bytes("a.wav", b"content")
    assert await blobs.head(name) is None
    with pytest.raises(NotFound):
        await blobs.read_all(name, 100)
    with pytest.raises(NotFound):
        async with blobs.local_copy(name):
            pass
    await blobs.delete([name])
    assert await keys(blobs) == {"a.wav"}


@pytest.mark.parametrize("name", NO_NAMES)
async def test_nothing_is_stored_outside(blobs: Blobs, name: str, tmp_path: Path) -> None:
    before = set(tmp_path.rglob("evil"))
    with pytest.raises((InvalidRequest, NotFound)):
        await blobs.put_bytes(name, b"evil")
    assert await keys(blobs) == set()
    assert set(tmp_path.rglob("evil")) == before


async def test_a_blob_is_read_in_bounded_pieces_from_anywhere(blobs: Blobs) -> None:
    data = os.urandom(5_000_000)
    await blobs.put_bytes("big", data)
    pieces = [piece async for piece in blobs.read("big")]
    assert b"".join(pieces) == data
    assert max(map(len, pieces)) <= PIECE_BYTES
    for start, end in ((0, 10), (4_194_300, 4_194_310), (4_999_990, None), (7, 9_999_999)):
        assert b"".join([p async for p in blobs.read("big", start, end)]) == data[start:end]
    assert [piece async for piece in blobs.read("big", 6_000_000)] == []
    assert [piece async for piece in blobs.read("big", 5, 5)] == []
    assert await blobs.read_all("big", 100) == data[:100]


async def test_a_stored_file_is_taken_away_and_replaces_another(blobs: Blobs) -> None:
    infos = []
    for content in (b"first", b"second" * 3_000_000):  # the second goes up in parts
        scratch = blobs.scratch()
        scratch.write_bytes(content)
        infos.append(await blobs.put_file("a/b.wav", scratch))
        assert not scratch.exists()
        assert await blobs.read_all("a/b.wav", len(content) + 1) == content
    found = await blobs.head("a/b.wav")
    assert found is not None
    assert found.e_tag == infos[1].e_tag != infos[0].e_tag
    assert await keys(blobs) == {"a/b.wav"}


async def test_a_reader_never_gets_a_mixture(blobs: Blobs) -> None:
    await blobs.put_bytes("a", b"1" * 9_000_000)
    reading = blobs.read("a")
    got = await anext(reading)
    await blobs.put_bytes("a", b"2" * 9_000_000)
    try:
        got += b"".join([piece async for piece in reading])
    except StorageUnavailable:
        pass
    else:
        assert len(got) == 9_000_000
    assert set(got) == {ord("1")}


async def test_many_are_deleted_at_once_and_missing_ones_do_not_matter(blobs: Blobs) -> None:
    for name in ("a", "b/c", ".d"):
        await blobs.put_bytes(name, b"x")
    await blobs.delete(["missing", "a", "b/c", "b/missing"])
    assert await keys(blobs) == {".d"}
    await blobs.delete([])


async def test_hidden_ones_are_listed_when_asked_for_and_folders_one_by_one(blobs: Blobs) -> None:
    for name in ("a", "b/c", "b/.d", ".e/f", "bb/g"):
        await blobs.put_bytes(name, b"x")
    assert {info.key async for info in blobs.list()} == {"a", "b/c", "bb/g"}
    assert {info.key async for info in blobs.list("b", hidden=True)} == {"b/c", "b/.d"}
    assert {info.key async for info in blobs.list(".e", hidden=True)} == {".e/f"}
    assert [info async for info in blobs.list("missing")] == []


async def test_a_local_copy_outlives_the_blob(blobs: Blobs) -> None:
    await blobs.put_bytes("a", b"content")
    async with blobs.local_copy("a") as path:
        await blobs.delete(["a"])
        assert path.read_bytes() == b"content"
    assert not path.exists()
    assert await keys(blobs) == set()


async def test_old_scratch_files_are_cleared(blobs: Blobs) -> None:
    scratch = blobs.scratch()
    scratch.write_bytes(b"left by a crash")
    await blobs.clear_scratch(datetime.now(UTC) - timedelta(minutes=1))
    assert scratch.exists()
    await blobs.clear_scratch(datetime.now(UTC) + timedelta(minutes=1))
    assert not scratch.exists()


async def test_writers_of_one_key_never_show_half(blobs: Blobs) -> None:
    contents = [bytes([65 + number]) * 100_000 for number in range(8)]
    await asyncio.gather(*(blobs.put_bytes("a", content) for content in contents))
    assert await blobs.read_all("a", 200_000) in contents


async def test_a_store_that_does_not_answer_is_unavailable() -> None:
    options = {
        "endpoint": "http://127.0.0.1:9", "region": "us-east-1", "allow_http": "true",
        "access_key_id": "test", "secret_access_key": "test",
    }  # fmt: skip
    blobs = open_blobs("s3://bucket", options)
    for attempt in (blobs.head("a"), blobs.put_bytes("a", b""), blobs.delete(["a"]), keys(blobs)):
        with pytest.raises(StorageUnavailable):
            await attempt


@pytest.mark.parametrize("url", ["nothing://x", "s3://"])
def test_a_url_that_is_not_understood_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=url):
        open_blobs(url)


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder beside the root, with a secret in it."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.wav").write_bytes(b"secret")
    return tmp_path / "outside"


async def test_no_link_leads_out_of_a_folder(folder: Blobs, outside: Path, tmp_path: Path) -> None:
    (tmp_path / "root" / "linked").symlink_to(outside)
    (tmp_path / "root" / "link.wav").symlink_to(outside / "secret.wav")
    for name in ("linked/secret.wav", "link.wav"):
        assert await folder.head(name) is None
        with pytest.raises(NotFound):
            await folder.read_all(name, 100)
        with pytest.raises(NotFound):
            async with folder.local_copy(name):
                pass
    for name in ("linked/new.wav", "linked/new/new.wav"):
        with pytest.raises(InvalidRequest):
            await folder.put_bytes(name, b"x")
    await folder.delete(["linked/secret.wav", "linked"])
    assert {path.name for path in outside.iterdir()} == {"secret.wav"}
    assert [info async for info in folder.list()] == []


async def test_writing_over_a_link_replaces_the_link(
    folder: Blobs, outside: Path, tmp_path: Path
) -> None:
    (tmp_path / "root" / "link.wav").symlink_to(outside / "secret.wav")
    await folder.put_bytes("link.wav", b"mine")
    assert (outside / "secret.wav").read_bytes() == b"secret"
    assert await folder.read_all("link.wav", 100) == b"mine"


async def test_a_link_within_a_folder_is_a_file_and_circles_do_not_matter(
    folder: Blobs, tmp_path: Path
) -> None:
    """As Kubernetes mounts the files of a ConfigMap."""
    root = tmp_path / "root"
    (root / "..data").mkdir()
    (root / "..data" / "a.wav").write_bytes(b"voice")
    (root / "a.wav").symlink_to("..data/a.wav")
    (root / "circle").symlink_to(".")
    (root / "itself").symlink_to("itself")
    (root / "broken").symlink_to("nowhere")
    assert {info.key async for info in folder.list()} == {"a.wav"}
    assert await folder.read_all("a.wav", 100) == b"voice"


async def test_folders_and_other_things_are_no_blobs(folder: Blobs, tmp_path: Path) -> None:
    (tmp_path / "root" / "a.wav").mkdir()
    os.mkfifo(tmp_path / "root" / "fifo.wav")
    await folder.put_bytes("file", b"x")
    for name in ("a.wav", "fifo.wav"):
        assert await folder.head(name) is None
        with pytest.raises(NotFound):
            await folder.read_all(name, 1)
    assert {info.key async for info in folder.list()} == {"file"}
    for name in ("a.wav", "file/b.wav", "x" * 300):
        with pytest.raises(InvalidRequest):
            await folder.put_bytes(name, b"x")
    await folder.delete(["a.wav"])
    assert (tmp_path / "root" / "a.wav").is_dir()


async def test_a_file_changed_by_hand_has_another_tag(folder: Blobs, tmp_path: Path) -> None:
    first = await folder.put_bytes("a.wav", b"content")
    (tmp_path / "root" / "a.wav").write_bytes(b"CONTENT")
    second = await folder.head("a.wav")
    assert second is not None
    assert second.e_tag != first.e_tag
