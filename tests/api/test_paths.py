"""Names that lead outside the library: nothing there is read, written, deleted or named."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from serve_app.engines.fake import FakeEngine
from tests.support.direct import RunningApi, files_below, running_api
from tests.support.uploads import (
    accepted,
    assert_refused,
    post_form,
    speak_files,
    spoken,
    upload_input,
    upload_voice,
    wav_of,
)

SECRET = wav_of(spoken(99, 0.4))
WAV = wav_of(spoken())
ROOTS = ("reference_audio", "vc_inputs", "outputs")

NAMES = (
    "../secret.wav", "../secret", "../../secret.wav", "../outside/secret.wav", "x/../../secret.wav",
    "./../secret.wav", "linked/../../secret.wav", "....//secret.wav", "..;/secret.wav",
    "..\\secret.wav", "..\\..\\secret.wav", "x\\..\\..\\secret.wav", "\\secret.wav",
    "{root}/secret.wav", "//{root}/secret.wav", "{root}/outside/secret", "C:\\secret.wav",
    "\\\\server\\share\\secret.wav", "~/secret.wav", "%2e%2e/secret.wav", "..%2fsecret.wav",
    "%2e%2e%2fsecret.wav", "%252e%252e%252fsecret.wav", "..%5csecret.wav", "..%c0%afsecret.wav",
    "link.wav", "link", "linked/secret.wav", "linked/secret", "linked", "secret.wav\0.wav",
    "\0../secret.wav", "../secret.wav\0", "\uff0e\uff0e/secret.wav", "..\u2215secret.wav",
    "../serve_app.sqlite3", "../outputs/own.wav", "../reference_audio/own.wav", "..", ".", "/", "*",
    ".derived", "own.wav/../../secret.wav", "own.wav/secret.wav", "own.wav.json",
)  # fmt: skip
"""What a client may call a file that is none of ours; {root} is where the roots lie."""

FOLDERS = (
    "..", "../outside", "../../outside", "x/../../outside", "./x", ".", "a/./b", "a//b", ".hidden",
    "a/.hidden", "..\\outside", "a\\b", "C:", "C:\\x", "a\0b", "a\nb", "linked", "linked/deeper",
    "own.wav", "own.wav/x", "x" * 300, "/".join("abcdefghijkl"), "~/..", "a:b",
)  # fmt: skip
"""Folders in which nothing may be stored."""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApi]:
    """A service with own.wav on each shelf, and links that lead out of each."""
    folder = tmp_path_factory.mktemp("paths")
    (folder / "outside").mkdir()
    for path in ("secret.wav", "outside/secret.wav"):
        (folder / path).write_bytes(SECRET)
        (folder / f"{path}.json").write_text('{"name": "secret"}')
    with running_api(FakeEngine(), folder) as api:
        accepted(upload_voice(api, "own.wav"))
        accepted(upload_input(api, "own.wav"))
        (api.outputs / "own.wav").write_bytes(WAV)
        for root in ROOTS:
            (folder / root / "link.wav").symlink_to(folder / "outside/secret.wav")
            (folder / root / "linked").symlink_to(folder / "outside")
        yield api


def outside(api: RunningApi) -> dict[str, tuple[bytes, int]]:
    """Everything beside the roots: content and time of change."""
    folder = api.outputs.parent
    return {
        path: ((folder / path).read_bytes(), (folder / path).stat().st_mtime_ns)
        for path in files_below(folder)
        if not path.startswith((*(f"{root}/" for root in ROOTS), "serve_app.sqlite3"))
    }


@pytest.fixture(autouse=True)
def untouched(request: pytest.FixtureRequest) -> Iterator[None]:
    """After each attempt all is as it was, outside and in."""
    if "shared" not in request.fixturenames:
        yield
        return
    api: RunningApi = request.getfixturevalue("shared")
    inside = [files_below(api.outputs.parent / root) for root in ROOTS]
    before = outside(api)
    assert len(before) == 4
    yield
    assert outside(api) == before
    assert [files_below(api.outputs.parent / root) for root in ROOTS] == inside


def raw(api: RunningApi, method: str, path: str, body: object = None) -> tuple[int, bytes]:
    """A request whose path no client library tidies up: its status and body."""
    address = urlsplit(api.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=10)
    connection.putrequest(method, quote(path, safe="/%\\:;.~*?=&$"), skip_accept_encoding=True)
    data = b"" if body is None else json.dumps(body).encode()
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", str(len(data)))
    connection.endheaders(data)
    answer = connection.getresponse()
    status, content = answer.status, answer.read()
    connection.close()
    return status, content


def assert_nothing_given_away(api: RunningApi, status: int, content: bytes, name: str) -> None:
    assert status in (400, 404, 405), content[:300]
    assert json.loads(content)["success"] is False
    assert SECRET[44:100] not in content
    here = str(api.outputs.parent)
    assert here in name or here.encode() not in content


IN_ADDRESSES: dict[str, tuple[str, str, object]] = {
    "fetch": ("GET", "/outputs/{}", None),
    "describe": ("PUT", "/api/v1/voice/{}/metadata", {"description": "x", "folder": "taken"}),
    "delete a voice": ("DELETE", "/api/v1/voice/{}?confirm=true", None),
    "delete an input": ("DELETE", "/api/v1/vc_input/{}?confirm=true", None),
    "delete an output": ("DELETE", "/api/v1/output/{}?confirm=true", None),
}


@pytest.mark.parametrize("route", IN_ADDRESSES)
@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_names_in_addresses(shared: RunningApi, route: str, name: str) -> None:
    method, path, body = IN_ADDRESSES[route]
    name = name.format(root=shared.outputs.parent)
    if name.endswith("outputs/own.wav") and "output" in path:
        return  # a client that resolves dots means a file of ours
    for spelling in (name, quote(name, safe=""), quote(quote(name, safe=""), safe="")):
        status, content = raw(shared, method, path.format(spelling), body)
        assert_nothing_given_away(shared, status, content, name)


IN_BODIES: dict[str, Callable[[str], tuple[str, dict[str, Any]]]] = {
    "voice of speech": lambda name: ("tts", {"text": "Hi.", "reference_audio_filename": name}),
    "input": lambda name: ("vc", {"input_audio_source": name, "target_voice_source": "own.wav"}),
    "target": lambda name: ("vc", {"input_audio_source": "own.wav", "target_voice_source": name}),
    "part": lambda name: ("concat", {"files": ["own.wav", name]}),
}


@pytest.mark.parametrize("route", IN_BODIES)
@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_names_in_bodies(shared: RunningApi, route: str, name: str) -> None:
    name = name.format(root=shared.outputs.parent)
    path, body = IN_BODIES[route](name)
    response = shared.client.post(f"/api/v1/{path}", json=body)
    assert_nothing_given_away(shared, response.status_code, response.content, name)


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_names_in_mixed_parts(shared: RunningApi, name: str) -> None:
    name = name.format(root=shared.outputs.parent)
    segments = [{"type": "server_file", "source": source} for source in ("own.wav", name)]
    form = {"request_json": (None, json.dumps({"segments": segments}).encode())}
    response = shared.client.post("/api/v1/concat/mixed", files=form)
    assert_nothing_given_away(shared, response.status_code, response.content, name)


@pytest.mark.parametrize("listing", ["voices", "vc_inputs", "outputs"])
@pytest.mark.parametrize(
    "name", [name for name in NAMES if name not in ("/", "..", ".")], ids=ascii
)
def test_names_in_deletions_of_many(shared: RunningApi, listing: str, name: str) -> None:
    name = name.format(root=shared.outputs.parent)
    for member in ("filenames", "folder"):
        query = {"confirm": "true", member: name}
        response = shared.client.delete(f"/api/v1/{listing}", params=query)
        assert_nothing_given_away(shared, response.status_code, response.content, name)


UPLOADS = {"/api/v1/voice": "voice_file", "/api/v1/vc_input": "vc_input_file"}
FILENAMES = (
    "../up.wav", "../../outside/up.wav", "/etc/up.wav", "..\\up.wav", "C:\\up.wav", "C:up.wav",
    "x/../../up.wav", "up\0.wav", ".up.wav", "..", ".", "x" * 300 + ".wav", "\u00e4" * 150 + ".wav",
    "a:b.wav", "\x01.wav", "link/up.wav", "linked/up.wav",
    "~/up.wav",
)  # fmt: skip


@pytest.mark.parametrize("path", UPLOADS)
@pytest.mark.parametrize("filename", FILENAMES, ids=lambda name: ascii(name)[:30])
def test_names_of_uploads(shared: RunningApi, path: str, filename: str) -> None:
    disposition = f'name="{UPLOADS[path]}"; filename="{filename}"'
    for overwrite in (b"false", b"true"):
        response = post_form(shared, path, (disposition, WAV), ('name="overwrite"', overwrite))
        assert_refused(response, 400, "VALIDATION_ERROR")


@pytest.mark.parametrize("path", UPLOADS)
def test_an_upload_does_not_write_through_a_link(shared: RunningApi, path: str) -> None:
    """The link itself is a file in the way, or is replaced; what it leads to stays."""
    part = (f'name="{UPLOADS[path]}"; filename="link.wav"', WAV)
    response = post_form(shared, path, part)
    assert response.status_code in (200, 400, 409)
    if response.status_code == 200:
        root = shared.voices if path == "/api/v1/voice" else shared.vc_inputs
        assert not (root / "link.wav").is_symlink()
        for file in ("link.wav", "link.wav.json"):
            (root / file).unlink()
        (root / "link.wav").symlink_to(root.parent / "outside/secret.wav")


@pytest.mark.parametrize("path", UPLOADS)
@pytest.mark.parametrize("folder", FOLDERS, ids=lambda name: ascii(name)[:30])
def test_folders_of_uploads(shared: RunningApi, path: str, folder: str) -> None:
    part = (f'name="{UPLOADS[path]}"; filename="up.wav"', WAV)
    for member in ("folder_path", "folder", "project"):
        response = post_form(shared, path, part, (f'name="{member}"', folder.encode()))
        assert_refused(response, 400, "VALIDATION_ERROR")


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda name: ascii(name)[:30])
def test_folders_to_move_to(shared: RunningApi, folder: str) -> None:
    response = shared.client.put("/api/v1/voice/own.wav/metadata", json={"folder_path": folder})
    assert_refused(response, 400, "VALIDATION_ERROR")


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda name: ascii(name)[:30])
@pytest.mark.parametrize("route", ["tts", "vc", "concat"])
def test_folders_of_outputs(shared: RunningApi, route: str, folder: str) -> None:
    body = {
        "tts": {"text": "Hi."},
        "vc": {"input_audio_source": "own.wav", "target_voice_source": "own.wav"},
        "concat": {"files": ["own.wav", "own.wav"]},
    }[route]
    files = [files_below(root) for root in (shared.voices, shared.vc_inputs, shared.outputs)]
    response = shared.client.post(
        f"/api/v1/{route}", json={**body, "project": folder, "response_mode": "url"}
    )
    assert_refused(response, 400, "VALIDATION_ERROR")
    now = [files_below(root) for root in (shared.voices, shared.vc_inputs, shared.outputs)]
    assert [_without_notes(names) for names in now] == [_without_notes(names) for names in files]
    for note in set(now[0]) - set(files[0]):
        (shared.voices / note).unlink()


def _without_notes(names: list[str]) -> list[str]:
    """What an engine knows of a voice is kept beside the voices."""
    return [name for name in names if not name.startswith(".derived/")]


@pytest.mark.parametrize(
    "name",
    [
        "../up",
        "a/b",
        "/etc/up",
        "..",
        ".hidden",
        "a\\b",
        "a\0b",
        "a\nb",
        "x" * 300,
        "a:b",
        "link/x",
    ],
    ids=lambda name: ascii(name)[:30],
)
def test_names_of_outputs(shared: RunningApi, name: str) -> None:
    body = {"files": ["own.wav", "own.wav"], "output_filename": name}
    assert_refused(shared.client.post("/api/v1/concat", json=body), 400, "VALIDATION_ERROR")


def test_an_absolute_folder_is_one_below_the_root(tmp_path: Path) -> None:
    with running_api(FakeEngine(), tmp_path) as api:
        accepted(upload_voice(api, "a.wav", folder_path="/etc/speech"))
        assert (api.voices / "etc/speech/a.wav").exists()
        (file,) = speak_files(api, export_formats=["wav"], project="/etc/speech")
        assert file["path"].startswith("/outputs/etc/speech/")


def test_links_are_not_listed(shared: RunningApi) -> None:
    for listing in ("voices", "vc_inputs", "outputs"):
        answer = accepted(shared.client.get(f"/api/v1/{listing}"))
        names = [file["filename"] for file in answer["files"]]
        assert "link.wav" not in names
        assert "secret.wav" not in names


def test_the_librarys_own_files_are_neither_served_nor_named(tmp_path: Path) -> None:
    with running_api(FakeEngine(), tmp_path) as api:
        (file,) = speak_files(api, export_formats=["mp3"])
        hidden = [name for name in api.files() if name.startswith(".")]
        assert hidden
        for name in hidden:
            assert raw(api, "GET", f"/outputs/{name}")[0] == 404
            assert raw(api, "DELETE", f"/api/v1/output/{name}?confirm=true")[0] == 404
            body = {"files": [name, file["filename"]]}
            assert api.client.post("/api/v1/concat", json=body).status_code == 404
        assert [name for name in api.files() if name.startswith(".")] == hidden
