"""What strangers upload: refused with the right status, and nothing of it is left."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from serve_app.engines.fake import FakeEngine
from tests.support.direct import RunningApi, running_api, settings_in
from tests.support.hostile import HOSTILE, MAX_BYTES, MAX_EXPANSION, MAX_SECONDS, HostileFile
from tests.support.uploads import (
    accepted,
    assert_refused,
    every_file,
    multipart,
    post_form,
    spoken,
    upload_voice,
    wav_of,
)

LIMITS = {
    "max_upload_bytes": MAX_BYTES,
    "max_voice_seconds": MAX_SECONDS,
    "max_input_seconds": MAX_SECONDS,
    "max_expansion": MAX_EXPANSION,
}
WAV = wav_of(spoken())
FORM_ROUTES = {
    "/api/v1/voice": "voice_file",
    "/api/v1/vc_input": "vc_input_file",
    "/api/v1/vc": "input_audio",
    "/api/v1/concat/mixed": "uploaded_files",
}
TOO_LARGE = MAX_BYTES + (3 << 20)
"""More than a file and the rest of its form may have."""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApi]:
    """One service for all attacks: each must leave it as it was."""
    folder = tmp_path_factory.mktemp("hostile")
    with running_api(FakeEngine(), folder, settings_in(folder, limits=LIMITS)) as running:
        accepted(upload_voice(running, "alice.wav"))
        yield running


@pytest.fixture(autouse=True)
def unharmed(shared: RunningApi) -> Iterator[None]:
    """After each attack no file is left, and the service still speaks."""
    before = every_file(shared)
    yield
    assert every_file(shared) == before
    assert shared.client.get("/api/v1/health").status_code == 200


def send(api: RunningApi, path: str, field: str, filename: str, content: bytes) -> httpx.Response:
    """A form written by hand, so that no client repairs the name of the file."""
    return post_form(api, path, (f'name="{field}"; filename="{filename}"', content))


def assert_sound(response: httpx.Response) -> None:
    """Some refusal in the one shape, without a trace of what is inside."""
    assert 400 <= response.status_code < 500, response.text
    assert_refused(response, response.status_code, response.json()["error_code"])
    for leak in ("Traceback", "/tmp", "serve_app", "site-packages"):
        assert leak not in response.text


@pytest.mark.parametrize("file", HOSTILE, ids=lambda file: file.name)
def test_hostile_files(shared: RunningApi, file: HostileFile) -> None:
    response = send(shared, "/api/v1/voice", "voice_file", file.filename, file.content())
    if "\r" in file.filename or not file.filename:  # then the form itself is broken
        assert_sound(response)
    else:
        assert_refused(response, file.status, file.code)
        assert_sound(response)


def test_there_are_enough_of_them() -> None:
    assert len({file.name for file in HOSTILE}) >= 40


@pytest.mark.parametrize("path", FORM_ROUTES)
@pytest.mark.parametrize("content", [b"", b"no audio" * 99], ids=["empty", "text"])
def test_every_route_that_takes_files_refuses_what_is_no_audio(
    shared: RunningApi, path: str, content: bytes
) -> None:
    segments = b'{"segments": [{"type": "upload", "index": 0}, {"type": "upload", "index": 0}]}'
    response = post_form(
        shared, path,
        (f'name="{FORM_ROUTES[path]}"; filename="a.wav"', content),
        ('name="target_voice_source"', b"alice"), ('name="request_json"', segments),
    )  # fmt: skip
    assert_refused(response, 400, "INVALID_AUDIO")


@pytest.mark.parametrize("path", FORM_ROUTES)
def test_a_form_without_anything(shared: RunningApi, path: str) -> None:
    assert_refused(post_form(shared, path), 400, "MISSING_REQUIRED_FIELD")


@pytest.mark.parametrize("path", FORM_ROUTES)
def test_a_file_in_the_wrong_field(shared: RunningApi, path: str) -> None:
    response = send(shared, path, "attachment", "a.wav", WAV)
    assert_refused(response, 400, "MISSING_REQUIRED_FIELD")


def test_text_in_the_field_of_the_file(shared: RunningApi) -> None:
    response = post_form(shared, "/api/v1/voice", ('name="voice_file"', WAV))
    assert_refused(response, 400, "VALIDATION_ERROR")


def test_two_files_where_one_is_meant(shared: RunningApi) -> None:
    part = ('name="voice_file"; filename="a.wav"', WAV)
    assert_sound(post_form(shared, "/api/v1/voice", part, part))
    assert_sound(post_form(shared, "/api/v1/voice", *[part] * 50))


@pytest.mark.parametrize("path", FORM_ROUTES)
@pytest.mark.parametrize("chunked", [False, True], ids=["with a length", "chunked"])
def test_a_body_beyond_all_limits(shared: RunningApi, path: str, chunked: bool) -> None:
    disposition = f'name="{FORM_ROUTES[path]}"; filename="a.wav"'
    body, content_type = multipart((disposition, WAV.ljust(TOO_LARGE, b"\0")))
    headers = {"Content-Type": content_type}
    content = iter([body[at : at + 65536] for at in range(0, len(body), 65536)])
    response = _sent(shared, path, content if chunked else body, headers)
    if response is not None:
        assert_refused(response, 413, "FILE_TOO_LARGE")


def _sent(
    api: RunningApi, path: str, content: bytes | Iterator[bytes], headers: dict[str, str]
) -> httpx.Response | None:
    """The answer; None where the service closed the door while we were still talking."""
    try:
        return api.client.post(path, content=content, headers=headers)
    except httpx.WriteError:
        return None


def test_a_file_one_byte_too_large_sent_without_a_length(shared: RunningApi) -> None:
    large = WAV.ljust(MAX_BYTES + 1, b"\0")
    body, content_type = multipart(('name="voice_file"; filename="a.wav"', large))
    headers = {"Content-Type": content_type}
    response = shared.client.post("/api/v1/voice", content=iter([body]), headers=headers)
    assert_refused(response, 413, "FILE_TOO_LARGE")


def test_a_valid_file_sent_without_a_length_is_accepted(api: RunningApi) -> None:
    body, content_type = multipart(('name="voice_file"; filename="chunked.wav"', WAV))
    pieces = iter([body[:1000], body[1000:]])
    headers = {"Content-Type": content_type}
    accepted(api.client.post("/api/v1/voice", content=pieces, headers=headers))


_BODY, _TYPE = multipart(('name="voice_file"; filename="a.wav"', WAV))
BROKEN_FORMS = {
    "truncated in the file": (_BODY[: len(_BODY) // 2], _TYPE),
    "truncated in a header": (_BODY[:30], _TYPE),
    "without its last border": (_BODY[: -len("--x-border--\r\n")], _TYPE),
    "empty": (b"", _TYPE),
    "another border": (_BODY, "multipart/form-data; boundary=another"),
    "no border": (_BODY, "multipart/form-data"),
    "an empty border": (_BODY, "multipart/form-data; boundary="),
    "a border of 10,000 characters": (_BODY, "multipart/form-data; boundary=" + "x" * 10_000),
    "no form at all": (b"\0" * 10_000, _TYPE),
    "a part without a name": multipart(('filename="a.wav"', WAV)),
    "a part without anything": multipart(("", WAV)),
    "10,000 fields": multipart(*[(f'name="field{n}"', b"x") for n in range(10_000)]),
    "10,000 times the same field": multipart(*[('name="name"', b"x")] * 10_000),
    "10,000 files": multipart(*[('name="voice_file"; filename="a.wav"', b"x")] * 10_000),
    "a name of a megabyte": multipart((f'name="voice_file"; filename="{"x" * 10**6}.wav"', WAV)),
    "10,000 headers": multipart(('name="voice_file"' + "\r\nX-A: b" * 10_000, WAV)),
    "a field of two megabytes": multipart(('name="description"', b"x" * 2_000_000),
                                          ('name="voice_file"; filename="a.wav"', WAV)),
    "deep metadata": multipart(('name="metadata"', b"[" * 100_000),
                               ('name="voice_file"; filename="a.wav"', WAV)),
    "a number of many digits": multipart(('name="metadata"', b'{"tags": ' + b"9" * 10_000 + b"}"),
                                         ('name="voice_file"; filename="a.wav"', WAV)),
    "half a surrogate pair": multipart(('name="metadata"', b'{"folder": "\\ud800"}'),
                                       ('name="voice_file"; filename="a.wav"', WAV)),
    "NUL in a folder": multipart(('name="folder"', b"a\0b"),
                                 ('name="voice_file"; filename="a.wav"', WAV)),
}  # fmt: skip


@pytest.mark.filterwarnings(  # starlette leaves the file of a form that ends early to the collector
    "ignore:Exception ignored in. <function SpooledTemporaryFile"
)
@pytest.mark.parametrize("form", BROKEN_FORMS)
def test_broken_forms(shared: RunningApi, form: str) -> None:
    body, content_type = BROKEN_FORMS[form]
    headers = {"Content-Type": content_type}
    response = shared.client.post("/api/v1/voice", content=body, headers=headers)
    assert_sound(response)


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "audio/wav", "application/x-www-form-urlencoded", "multipart/mixed", ""],
)
def test_bodies_that_are_no_forms(shared: RunningApi, content_type: str) -> None:
    headers = {"Content-Type": content_type}
    response = shared.client.post("/api/v1/voice", content=WAV, headers=headers)
    assert_refused(response, 415, "UNSUPPORTED_MEDIA_TYPE")


def test_a_client_that_leaves_in_the_middle_of_its_upload(shared: RunningApi) -> None:
    address = urlsplit(shared.url)
    head = (
        f"POST /api/v1/voice HTTP/1.1\r\nHost: x\r\nContent-Type: {_TYPE}\r\n"
        f"Content-Length: {len(_BODY)}\r\n\r\n"
    )
    with socket.create_connection((address.hostname or "", address.port or 0)) as connection:
        connection.sendall(head.encode() + _BODY[: len(_BODY) // 2])
    accepted(shared.client.get("/api/v1/voices"))


def test_a_length_that_lies(shared: RunningApi) -> None:
    """More is declared than may be sent: it is refused before it is read."""
    address = urlsplit(shared.url)
    head = (
        f"POST /api/v1/voice HTTP/1.1\r\nHost: x\r\nContent-Type: {_TYPE}\r\n"
        f"Content-Length: {10**12}\r\n\r\n"
    )
    with socket.create_connection((address.hostname or "", address.port or 0), 5) as connection:
        connection.sendall(head.encode() + _BODY[:1000])
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")


def test_after_all_that_the_voice_still_speaks(shared: RunningApi) -> None:
    body = {"text": "Hello.", "reference_audio_filename": "alice", "export_formats": ["pcm"]}
    assert shared.client.post("/api/v1/tts", json=body).status_code == 200
    name = accepted(shared.client.get("/api/v1/outputs"))["files"][0]["filename"]
    accepted(shared.client.delete(f"/api/v1/output/{name}?confirm=true"))
    note = [path for path in every_file(shared) if ".derived/" in path]
    assert [path.startswith("reference_audio/.derived/") for path in note] == [True]
    (shared.voices / note[0].removeprefix("reference_audio/")).unlink()
