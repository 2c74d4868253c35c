"""Where weights come from: sources, fetching, verification, and the command for it."""

from __future__ import annotations

import hashlib
import http.server
import json
import multiprocessing
import os
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import obstore
import pytest
from obstore.store import S3Store

from serve_app.engines.chatterbox import weights
from serve_app.engines.chatterbox.models import ENGLISH
from serve_app.engines.chatterbox.weight_files import (
    WeightsDamaged,
    WeightsMissing,
    fingerprint,
    verify,
)
from serve_app.engines.chatterbox.weights import (
    RELEASES,
    Kind,
    WeightsSource,
    cache_folder,
    ensure_weights,
)
from tests.support.s3 import ObjectStore, bucket, object_store

__all__ = ["bucket", "object_store"]

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TENSORS = json.dumps({"a": {"dtype": "F32", "shape": [500], "data_offsets": [0, 2000]}}).encode()
CHECKPOINT = struct.pack("<Q", len(TENSORS)) + TENSORS + bytes(range(250)) * 8
CONTENT = {name: name.encode() * 1000 for name in ENGLISH.files} | {
    name: CHECKPOINT for name in ENGLISH.files if name.endswith(".safetensors")
}
NAMES = ("t3_cfg.safetensors", "tokenizer.json")


def fill(folder: Path, **other: bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        (folder / name).write_bytes(other.get(name.split(".")[0], CONTENT[name]))
    return folder


def list_sums(folder: Path) -> None:
    lines = [f"{digest(CONTENT[name])}  {name}\n" for name in NAMES]
    (folder / "SHA256SUMS").write_text("".join(lines))


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def visible(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.startswith(".")}


class TestSources:
    def test_the_forms(self) -> None:
        hub = WeightsSource.parse(f"hub:ResembleAI/chatterbox@{COMMIT}")
        assert hub == WeightsSource(Kind.HUB, "ResembleAI/chatterbox", COMMIT)
        assert WeightsSource.parse("s3://a/b") == WeightsSource(Kind.BUCKET, "s3://a/b")
        assert WeightsSource.parse("/srv/it") == WeightsSource(Kind.FOLDER, "/srv/it")
        assert WeightsSource.parse("random:turbo") == WeightsSource(Kind.RANDOM, "turbo")

    @pytest.mark.parametrize(
        "text", [f"hub:a/b@{COMMIT}", "gs://a/b", "some/folder", "random:turbo"]
    )
    def test_is_written_as_it_is_read(self, text: str) -> None:
        assert str(WeightsSource.parse(text)) == text

    @pytest.mark.parametrize("text", ["hub:a/b@main", "hub:a/b", f"hub:a/b@{COMMIT[:12]}"])
    def test_a_branch_is_refused_with_the_reason(self, text: str) -> None:
        with pytest.raises(ValueError, match="exchanged for other weights at any time"):
            WeightsSource.parse(text)

    @pytest.mark.parametrize("text", ["", "ftp://host/x", "random:klingon"])
    def test_other_things_are_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match=r"is (no|not a valid)"):
            WeightsSource.parse(text)

    def test_the_release_of_a_model_is_one_commit(self) -> None:
        source = WeightsSource.released(ENGLISH)
        assert source.commit == RELEASES["ResembleAI/chatterbox"]
        assert WeightsSource.parse(str(source)) == source

    def test_two_sources_are_kept_apart(self) -> None:
        assert cache_folder(WeightsSource.parse("s3://a/b")) != cache_folder(
            WeightsSource.parse("s3://a/c")
        )


class TestVerification:
    def test_a_whole_folder_passes(self, tmp_path: Path) -> None:
        verify(fill(tmp_path), NAMES)

    def test_a_file_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        (fill(tmp_path) / "tokenizer.json").unlink()
        with pytest.raises(WeightsMissing, match=r"tokenizer\.json is not there"):
            verify(tmp_path, NAMES)

    @pytest.mark.parametrize("size", [0, 5, 50, len(CHECKPOINT) - 1])
    def test_a_file_cut_short_is_damaged(self, tmp_path: Path, size: int) -> None:
        fill(tmp_path, t3_cfg=CHECKPOINT[:size])
        with pytest.raises(WeightsDamaged, match=r"t3_cfg\.safetensors"):
            verify(tmp_path, NAMES)

    @pytest.mark.parametrize("position", [0, 5, 8, 8 + len(TENSORS) - 1])
    def test_a_flipped_byte_of_the_header_is_damage(self, tmp_path: Path, position: int) -> None:
        flipped = bytearray(CHECKPOINT)
        flipped[position] ^= 0x40
        fill(tmp_path, t3_cfg=bytes(flipped))
        with pytest.raises(WeightsDamaged, match=r"t3_cfg\.safetensors"):
            verify(tmp_path, NAMES)

    def test_a_flipped_byte_of_a_tensor_differs_from_the_sum(self, tmp_path: Path) -> None:
        list_sums(fill(tmp_path, t3_cfg=CHECKPOINT[:-1] + b"!"))
        with pytest.raises(WeightsDamaged, match="SHA256SUMS"):
            verify(tmp_path, NAMES)

    def test_an_unchanged_file_is_hashed_once(self, tmp_path: Path) -> None:
        list_sums(fill(tmp_path))
        verify(tmp_path, NAMES)
        self.damage_in_secret(tmp_path / "t3_cfg.safetensors")
        verify(tmp_path, NAMES)
        with pytest.raises(WeightsDamaged):
            verify(tmp_path, NAMES, full=True)

    def test_a_changed_file_is_hashed_again(self, tmp_path: Path) -> None:
        list_sums(fill(tmp_path))
        verify(tmp_path, NAMES)
        path = tmp_path / "t3_cfg.safetensors"
        path.write_bytes(CHECKPOINT[:-1] + b"!")
        os.utime(path, ns=(0, 0))
        with pytest.raises(WeightsDamaged):
            verify(tmp_path, NAMES)

    def damage_in_secret(self, path: Path) -> None:
        """Change a byte, and nothing that a directory tells."""
        status = path.stat()
        path.write_bytes(CHECKPOINT[:-1] + b"!")
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))

    @pytest.mark.parametrize("text", ["[", "[]", '{"t3_cfg.safetensors": 1}'])
    def test_stamps_that_cannot_be_read_count_for_nothing(self, tmp_path: Path, text: str) -> None:
        list_sums(fill(tmp_path))
        (tmp_path / ".verified.json").write_text(text)
        verify(tmp_path, NAMES)

    def test_the_fingerprint_tells_models_apart(self, tmp_path: Path) -> None:
        one, same = fill(tmp_path / "one"), fill(tmp_path / "same")
        other = fill(tmp_path / "other", t3_cfg=CHECKPOINT[:-1] + b"!")
        assert fingerprint(one, NAMES) == fingerprint(same, NAMES) != fingerprint(other, NAMES)
        list_sums(one)
        assert len(fingerprint(one, NAMES)) == 16


class TestFolders:
    def test_a_folder_is_used_where_it_is(self, tmp_path: Path) -> None:
        there = fill(tmp_path / "there")
        source = WeightsSource.parse(str(there))
        assert ensure_weights(source, NAMES, tmp_path / "unused") == there
        assert not (tmp_path / "unused").exists()


def put(bucket: str, store: ObjectStore, **other: bytes) -> None:
    options = {key: value for key, value in store.options.items() if key != "allow_http"}
    remote = S3Store.from_url(f"{bucket}/v1", client_options={"allow_http": True}, **options)  # type: ignore[arg-type]
    for name in NAMES:
        obstore.put(remote, name, other.get(name.split(".")[0], CONTENT[name]))
    lines = [f"{digest(CONTENT[name])}  {name}\n" for name in NAMES]
    obstore.put(remote, "SHA256SUMS", "".join(lines).encode())


class TestBuckets:
    def test_files_are_fetched_and_listed(
        self, bucket: str, object_store: ObjectStore, tmp_path: Path
    ) -> None:
        put(bucket, object_store)
        seen: list[tuple[str, int, int]] = []
        folder = ensure_weights(
            WeightsSource.parse(f"{bucket}/v1"),
            NAMES,
            tmp_path,
            object_store.options,
            lambda *step: seen.append(step),
        )
        assert visible(folder) == {*NAMES, "SHA256SUMS"}
        assert all((folder / name).read_bytes() == CONTENT[name] for name in NAMES)
        assert (NAMES[0], len(CHECKPOINT), len(CHECKPOINT)) in seen
        checked = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=folder, capture_output=True)
        assert checked.returncode == 0

    def test_long_files_come_in_ranges(
        self,
        bucket: str,
        object_store: ObjectStore,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("serve_app.engines.chatterbox.weight_stores._RANGE_BYTES", 999)
        put(bucket, object_store)
        source = WeightsSource.parse(f"{bucket}/v1")
        ensure_weights(source, NAMES, tmp_path, object_store.options)
        assert (tmp_path / NAMES[0]).read_bytes() == CHECKPOINT

    @pytest.mark.parametrize("damage", [CHECKPOINT[:-9], CHECKPOINT[:-1] + b"!"])
    def test_damage_on_the_way_leaves_nothing(
        self, bucket: str, object_store: ObjectStore, tmp_path: Path, damage: bytes
    ) -> None:
        put(bucket, object_store, t3_cfg=damage)
        source = WeightsSource.parse(f"{bucket}/v1")
        with pytest.raises(WeightsDamaged, match=r"t3_cfg\.safetensors"):
            ensure_weights(source, NAMES, tmp_path, object_store.options)
        assert visible(tmp_path) == set()
        assert not (tmp_path / ".incoming").exists()

    def test_a_file_the_bucket_lacks_is_named(
        self, bucket: str, object_store: ObjectStore, tmp_path: Path
    ) -> None:
        put(bucket, object_store)
        source = WeightsSource.parse(f"{bucket}/v1")
        with pytest.raises(WeightsMissing, match=r"has no conds\.pt"):
            ensure_weights(source, (*NAMES, "conds.pt"), tmp_path, object_store.options)
        assert visible(tmp_path) == {*NAMES, "SHA256SUMS"}

    def test_two_sources_do_not_meet_in_a_folder(
        self, bucket: str, object_store: ObjectStore, tmp_path: Path
    ) -> None:
        put(bucket, object_store)
        source = WeightsSource.parse(f"{bucket}/v1")
        ensure_weights(source, NAMES, tmp_path, object_store.options)
        other = WeightsSource.parse(f"{bucket}/v2")
        with pytest.raises(WeightsDamaged, match=r"not of s3://.*/v2"):
            ensure_weights(other, NAMES, tmp_path, object_store.options)


@dataclass
class FakeHub:
    """Serves CONTENT at one commit, as the Hugging Face hub does."""

    url: str = ""
    asked: list[str] = field(default_factory=list)
    content: dict[str, bytes] = field(default_factory=lambda: dict(CONTENT))
    wrong_tag: bool = False


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    fake = FakeHub()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer(with_body=True)

        def do_HEAD(self) -> None:
            self.answer(with_body=False)

        def answer(self, *, with_body: bool) -> None:
            if "/resolve/" in self.path:
                fake.asked.append(self.path)
            body = fake.content.get(self.path.rpartition("/")[2])
            tag = digest(b"other" if fake.wrong_tag else body or b"")
            self.send_response(200 if body else 404)
            if body is None:
                self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("ETag", f'"{tag}"')
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            if with_body and body:
                self.wfile.write(body)

        def log_message(self, *arguments: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    fake.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield fake
    server.shutdown()
    thread.join()
    server.server_close()


def fetch_weights(
    *arguments: str | Path, endpoint: str = "http://127.0.0.1:9"
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "serve_app", "fetch-weights", "--model", "english"]
    return subprocess.run(
        [*command, *map(str, arguments)],
        env={**os.environ, "HF_ENDPOINT": endpoint, "COLUMNS": "200", "TERM": "dumb"},
        capture_output=True,
        text=True,
    )


HUB_SOURCE = f"hub:ResembleAI/chatterbox@{COMMIT}"


class TestFetchWeights:
    def test_the_hub_is_asked_for_the_commit(self, hub: FakeHub, tmp_path: Path) -> None:
        done = fetch_weights("--from", HUB_SOURCE, "--to", tmp_path, endpoint=hub.url)
        assert done.returncode == 0, done.stderr
        assert "holds the model english" in done.stdout
        assert "t3_cfg.safetensors" in done.stderr
        assert visible(tmp_path) == {*ENGLISH.files, "SHA256SUMS"}
        assert all((tmp_path / name).read_bytes() == CONTENT[name] for name in ENGLISH.files)
        assert hub.asked
        assert all(f"/ResembleAI/chatterbox/resolve/{COMMIT}/" in line for line in hub.asked)

    def test_the_release_is_the_default(self, hub: FakeHub, tmp_path: Path) -> None:
        hub.content.clear()
        done = fetch_weights("--to", tmp_path, endpoint=hub.url)
        assert (done.returncode, "Traceback" in done.stderr) == (1, False)
        assert "has no t3_cfg.safetensors" in done.stderr
        assert f"resolve/{RELEASES['ResembleAI/chatterbox']}/" in hub.asked[0]

    def test_bytes_that_are_not_those_of_the_tag_are_refused(
        self, hub: FakeHub, tmp_path: Path
    ) -> None:
        hub.wrong_tag = True
        done = fetch_weights("--from", HUB_SOURCE, "--to", tmp_path, endpoint=hub.url)
        assert (done.returncode, "Traceback" in done.stderr) == (1, False)
        assert "was damaged on its way" in done.stderr
        assert visible(tmp_path) == set()

    def test_a_hub_that_does_not_answer_is_said(self, tmp_path: Path) -> None:
        done = fetch_weights("--from", HUB_SOURCE, "--to", tmp_path)
        assert (done.returncode, "Traceback" in done.stderr) == (1, False)
        assert "cannot be fetched from ResembleAI/chatterbox@" in done.stderr

    @pytest.mark.parametrize("source", ["hub:ResembleAI/chatterbox@main", "ftp://x/y", "/tmp"])
    def test_a_wrong_source_is_a_usage_error(self, tmp_path: Path, source: str) -> None:
        done = fetch_weights("--from", source, "--to", tmp_path)
        assert (done.returncode, "Traceback" in done.stderr) == (2, False)

    def test_verify_only_hashes_what_is_there(self, tmp_path: Path) -> None:
        for name in ENGLISH.files:
            (tmp_path / name).write_bytes(CONTENT[name])
        list_sums(tmp_path)
        assert fetch_weights("--to", tmp_path, "--verify-only").returncode == 0
        TestVerification().damage_in_secret(tmp_path / "t3_cfg.safetensors")
        done = fetch_weights("--to", tmp_path, "--verify-only")
        assert (done.returncode, "t3_cfg.safetensors" in done.stderr) == (1, True)


def fetch_at_once(source: str, folder: Path, options: dict[str, str], barrier: object) -> None:
    barrier.wait()  # type: ignore[attr-defined]
    ensure_weights(WeightsSource.parse(source), NAMES, folder, options)


def test_two_processes_at_once_end_with_one_good_folder(
    bucket: str, object_store: ObjectStore, tmp_path: Path
) -> None:
    put(bucket, object_store)
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(2)
    arguments = (f"{bucket}/v1", tmp_path, object_store.options, barrier)
    processes = [context.Process(target=fetch_at_once, args=arguments) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert visible(tmp_path) == {*NAMES, "SHA256SUMS"}
    verify(tmp_path, NAMES, full=True)


def test_one_waits_for_the_other(tmp_path: Path) -> None:
    waited = threading.Event()

    def second() -> None:
        with weights.locked(tmp_path):
            waited.set()

    with weights.locked(tmp_path):
        thread = threading.Thread(target=second)
        thread.start()
        assert not waited.wait(0.2)
    thread.join()
    assert waited.is_set()


def test_nothing_here_imports_torch() -> None:
    code = "import sys, serve_app.engines.chatterbox.weights; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
