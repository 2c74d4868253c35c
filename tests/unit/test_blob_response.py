"""A stored file over HTTP: ranges, conditions, and bodies that break rather than end early."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import ClientDisconnect
from starlette.responses import FileResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Scope

from serve_app.api.blob_response import BlobResponse, Read
from serve_app.api.errors import STATUS_AND_CODE
from serve_app.api.request_id import RequestIdMiddleware
from serve_app.domain.errors import SpeechServiceError, StorageUnavailable

CONTENT = bytes(range(256)) * 4
MODIFIED = datetime(2025, 6, 22, 14, 30, 22, 456789, UTC)
E_TAG = '"v1"'
LAST_MODIFIED = "Sun, 22 Jun 2025 14:30:22 GMT"
IF = ("If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "If-Range")
EARLIER, LATER = "Sun, 22 Jun 2025 14:30:21 GMT", "Sun, 22 Jun 2025 14:30:23 GMT"


class Stored:
    """A file in memory that counts who reads it, and who has stopped."""

    def __init__(self, content: bytes = CONTENT, piece: int = 100) -> None:
        self.content = content
        self.piece = piece
        self.opened = 0
        self.closed = 0
        self.read_bytes = 0

    async def read(self, start: int, end: int) -> AsyncGenerator[bytes, None]:
        self.opened += 1
        try:
            for begin in range(start, end, self.piece):
                piece = self.content[begin : min(begin + self.piece, end)]
                self.read_bytes += len(piece)
                yield piece
        finally:
            self.closed += 1


def response(
    read: Read,
    size: int = len(CONTENT),
    e_tag: str = E_TAG,
    media_type: str = "audio/wav",
    filename: str = "a.wav",
) -> BlobResponse:
    return BlobResponse(size, e_tag, MODIFIED, media_type, read, filename)


async def ask(
    answer: ASGIApp,
    headers: dict[str, str] | list[tuple[str, str]] | None = None,
    method: str = "GET",
) -> httpx.Response:
    transport = httpx.ASGITransport(RequestIdMiddleware(answer))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.request(method, "/", headers=headers)


async def fetch(
    headers: dict[str, str] | list[tuple[str, str]] | None = None,
    method: str = "GET",
    **changes: Any,
) -> httpx.Response:
    return await ask(response(Stored().read, **changes), headers, method)


async def test_the_whole_file() -> None:
    answer = await fetch()
    assert answer.status_code == 200
    assert answer.content == CONTENT
    described = {name: value for name, value in answer.headers.items() if name != "x-request-id"}
    assert described == {
        "content-type": "audio/wav",
        "content-length": "1024",
        "content-disposition": 'inline; filename="a.wav"',
        "accept-ranges": "bytes",
        "last-modified": LAST_MODIFIED,
        "etag": E_TAG,
    }


async def test_the_media_type_is_sent_as_it_is() -> None:
    assert (await fetch(media_type="text/plain")).headers["content-type"] == "text/plain"


async def test_a_name_beyond_ascii_is_encoded() -> None:
    answer = await fetch(filename='früh "x".wav')
    encoded = "filename*=utf-8''fr%C3%BCh%20%22x%22.wav"
    assert answer.headers["content-disposition"] == f"inline; {encoded}"


@pytest.mark.parametrize(
    ("given", "sent"), [("v1", '"v1"'), ('"v1"', '"v1"'), ('W/"v1"', 'W/"v1"'), ("", None)]
)
async def test_an_e_tag_is_sent_in_quotes(given: str, sent: str | None) -> None:
    assert (await fetch(e_tag=given)).headers.get("etag") == sent


@pytest.mark.parametrize(
    ("wanted", "start", "end"),
    [
        ("bytes=0-0", 0, 1), ("bytes=100-199", 100, 200), ("bytes=1000-", 1000, 1024),
        ("bytes=-24", 1000, 1024), ("bytes=-5000", 0, 1024), ("bytes=0-99999", 0, 1024),
        ("bytes=1023-1023", 1023, 1024), ("BYTES=5-9", 5, 10), ("bytes=0-1023", 0, 1024),
    ],
)  # fmt: skip
async def test_a_range(wanted: str, start: int, end: int) -> None:
    answer = await fetch({"Range": wanted})
    assert answer.status_code == 206
    assert answer.content == CONTENT[start:end]
    assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/1024"
    assert answer.headers["content-length"] == str(end - start)
    assert answer.headers["etag"] == E_TAG


@pytest.mark.parametrize(
    "wanted",
    [
        "bytes=", "bytes=-", "bytes=5-4", "bytes=a-b", "bytes", "seconds=0-5", "bytes=0-1,5-6",
        "bytes=1--2", "bytes=--1", "bytes=٣-٤", "bytes=+1-2", "bytes=0x1-2", "", "bytes=0-1-2",
        "bytes=" + "9" * 5000 + "-", "bytes=1_0-20",
    ],
)  # fmt: skip
async def test_a_range_that_is_no_single_range_is_ignored(wanted: str) -> None:
    answer = await fetch([(b"Range", wanted.encode())])  # type: ignore[list-item]
    assert (answer.status_code, answer.content) == (200, CONTENT)
    assert "content-range" not in answer.headers


@pytest.mark.parametrize("wanted", ["bytes=1024-", "bytes=99999-100000", "bytes=-0"])
async def test_a_range_beyond_the_end_is_an_error_in_the_one_shape(wanted: str) -> None:
    stored = Stored()
    answer = await ask(response(stored.read), {"Range": wanted})
    assert answer.status_code == 416
    assert answer.headers["content-range"] == "bytes */1024"
    assert answer.json()["error_code"] == "INVALID_PARAMETERS"
    assert answer.json()["detail"] == "The file has 1024 bytes."
    assert stored.opened == 0


@pytest.mark.parametrize(
    ("wanted", "status"), [("", 200), ("bytes=-5", 200), ("bytes=0-", 416), ("bytes=0-0", 416)]
)
async def test_an_empty_file_has_no_ranges(wanted: str, status: int) -> None:
    answer = await fetch({"Range": wanted}, size=0)
    assert answer.status_code == status
    if status == 200:
        assert (answer.content, answer.headers["content-length"]) == (b"", "0")


@pytest.mark.parametrize("wanted", ["", "bytes=0-9", "bytes=5000-"])
async def test_head_tells_of_the_whole_and_reads_nothing(wanted: str) -> None:
    stored = Stored()
    head = await ask(response(stored.read), {"Range": wanted}, "HEAD")
    get = await fetch()
    assert (head.status_code, head.content, stored.opened) == (200, b"", 0)
    for answer in (head, get):
        del answer.headers["x-request-id"]
    assert head.headers == get.headers


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"If-None-Match": '"v1"'}, 304),
        ({"If-None-Match": 'W/"v1"'}, 304),
        ({"If-None-Match": '"v0", "v1"'}, 304),
        ({"If-None-Match": '"a,b",W/"v1"'}, 304),
        ({"If-None-Match": "*"}, 304),
        ({"If-None-Match": '"v2"'}, 200),
        ({"If-None-Match": "v1"}, 200),
        ({"If-None-Match": '"v1"', "Range": "bytes=0-9"}, 304),
        ({"If-Modified-Since": LAST_MODIFIED}, 304),
        ({"If-Modified-Since": LATER}, 304),
        ({"If-Modified-Since": EARLIER}, 200),
        ({"If-Modified-Since": "Sunday, 22-Jun-25 14:30:22 GMT"}, 304),
        ({"If-Modified-Since": "Sun Jun 22 14:30:22 2025"}, 304),
        ({"If-Modified-Since": "yesterday"}, 200),
        ({"If-Modified-Since": "Sun, 22 Jun 99999999999999999999 14:30:22 GMT"}, 200),
        ({"If-None-Match": '"v2"', "If-Modified-Since": LATER}, 200),
        ({"If-Match": '"v1"'}, 200),
        ({"If-Match": '"v0", "v1"'}, 200),
        ({"If-Match": "*"}, 200),
        ({"If-Match": '"v2"'}, 412),
        ({"If-Match": 'W/"v1"'}, 412),
        ({"If-Match": '"v1"', "If-None-Match": '"v1"'}, 304),
        ({"If-Match": '"v2"', "If-None-Match": '"v1"'}, 412),
        ({"If-Unmodified-Since": EARLIER}, 412),
        ({"If-Unmodified-Since": LAST_MODIFIED}, 200),
        ({"If-Match": '"v1"', "If-Unmodified-Since": EARLIER}, 200),
    ],
)  # fmt: skip
async def test_conditions(headers: dict[str, str], status: int, method: str) -> None:
    stored = Stored()
    answer = await ask(response(stored.read), headers, method)
    assert answer.status_code == status
    assert stored.opened == (1 if status == 200 and method == "GET" else 0)
    if status == 304:
        assert answer.content == b""
        del answer.headers["x-request-id"]
        assert answer.headers == {"etag": E_TAG, "last-modified": LAST_MODIFIED}


async def test_a_weak_e_tag_is_good_for_caches_but_not_for_ranges() -> None:
    weak = 'W/"v1"'
    assert (await fetch({"If-None-Match": '"v1"'}, e_tag=weak)).status_code == 304
    assert (await fetch({"If-None-Match": weak}, e_tag=weak)).status_code == 304
    assert (await fetch({"If-Match": weak}, e_tag=weak)).status_code == 412
    headers = {"Range": "bytes=0-9", "If-Range": weak}
    assert (await fetch(headers, e_tag=weak)).status_code == 200


async def test_a_repeated_if_none_match_counts_as_one_list() -> None:
    answer = await fetch([("If-None-Match", '"v0"'), ("If-None-Match", '"v1"')])
    assert answer.status_code == 304


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        (E_TAG, 206), ('"v2"', 200), ('W/"v1"', 200), (LAST_MODIFIED, 206), (EARLIER, 200),
        (LATER, 200), ("rubbish", 200), ("", 200),
    ],
)  # fmt: skip
async def test_if_range(condition: str, status: int) -> None:
    answer = await fetch({"Range": "bytes=10-19", "If-Range": condition})
    assert answer.status_code == status
    assert answer.content == (CONTENT[10:20] if status == 206 else CONTENT)


async def test_if_range_with_another_version_saves_from_an_unsatisfiable_range() -> None:
    answer = await fetch({"Range": "bytes=5000-", "If-Range": '"v2"'})
    assert (answer.status_code, answer.content) == (200, CONTENT)


async def test_a_failure_before_the_first_byte_is_a_status() -> None:
    async def broken(start: int, end: int) -> AsyncGenerator[bytes, None]:
        raise StorageUnavailable("The store does not answer.")
        yield CONTENT[start:end]

    async def endpoint(_: Any) -> Response:
        return response(broken)

    async def as_status(_: Any, error: Exception) -> Response:
        assert isinstance(error, SpeechServiceError)
        return Response(error.message, STATUS_AND_CODE[type(error)][0])

    app = Starlette(
        routes=[Route("/", endpoint)], exception_handlers={StorageUnavailable: as_status}
    )
    answer = await ask(app)
    assert (answer.status_code, answer.text) == (503, "The store does not answer.")


@pytest.mark.parametrize(("length", "sent_before"), [(0, 0), (1023, 1023), (1025, 1000)])
async def test_a_file_of_another_length_is_an_error(length: int, sent_before: int) -> None:
    sent = 0

    async def read(_: int, __: int) -> AsyncGenerator[bytes, None]:
        for begin in range(0, length, 1000):
            yield bytes(min(1000, length - begin))

    async def send(message: Message) -> None:
        nonlocal sent
        sent += len(message.get("body", b""))

    with pytest.raises(StorageUnavailable):
        await response(read)(scope_of("2.4"), nothing_more, send)
    assert sent == sent_before


def scope_of(spec_version: str) -> Scope:
    return {
        "type": "http", "method": "GET", "path": "/", "headers": [],
        "asgi": {"spec_version": spec_version},
    }  # fmt: skip


async def call(answer: ASGIApp, spec_version: str, gone_after: int) -> None:
    """Answer a client that leaves after so many messages."""
    sent: list[Message] = []
    left = asyncio.Event()

    async def receive() -> Message:
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if left.is_set() and spec_version == "2.4":
            raise OSError
        sent.append(message)
        if len(sent) == gone_after:
            left.set()
        await asyncio.sleep(0)

    await RequestIdMiddleware(answer)(scope_of(spec_version), receive, send)


@pytest.mark.parametrize("spec_version", ["2.3", "2.4"])
@pytest.mark.parametrize("gone_after", [1, 2, 4])
async def test_reading_ends_when_the_client_leaves(spec_version: str, gone_after: int) -> None:
    stored = Stored(bytes(1_000_000), piece=100)
    answer = response(stored.read, size=1_000_000)
    with nullcontext() if spec_version == "2.3" else pytest.raises(ClientDisconnect):
        await call(answer, spec_version, gone_after)
    assert (stored.opened, stored.closed) == (1, 1)
    assert stored.read_bytes < 2000


async def test_a_failure_after_the_first_byte_breaks_the_body() -> None:
    async def breaking(start: int, end: int) -> AsyncGenerator[bytes, None]:
        yield CONTENT[start : end - 1]
        raise StorageUnavailable("The store does not answer.")

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    with pytest.raises(StorageUnavailable):
        await response(breaking)(scope_of("2.4"), nothing_more, send)
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert sent[-1]["more_body"] is True


async def nothing_more() -> Message:
    raise AssertionError("a response asks for nothing of the request")


async def test_background_tasks_run_after_it() -> None:
    ran: list[str] = []
    answer = response(Stored().read)
    answer.background = BackgroundTask(ran.append, "task")
    await ask(answer)
    await ask(answer, {"If-None-Match": E_TAG})
    assert ran == ["task", "task"]


numbers = st.integers(0, 40)
well_formed_ranges = st.one_of(
    st.builds(lambda first, more: f"bytes={first}-{first + more}", numbers, numbers),
    st.builds(lambda first: f"bytes={first}-", numbers),
    st.builds(lambda length: f"bytes=-{length}", numbers),
)
if_ranges = st.sampled_from(["none", "tag", "date", '"another"', EARLIER])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(wanted=well_formed_ranges, size=st.integers(1, 20), if_range=if_ranges)
async def test_ranges_are_those_of_file_response(
    tmp_path: Path, wanted: str, size: int, if_range: str
) -> None:
    """For GET and well-formed ranges; elsewhere the two choose differently."""
    file = tmp_path / "a.wav"
    file.write_bytes(CONTENT[:size])
    os.utime(file, (MODIFIED.timestamp(),) * 2)
    e_tag = (await ask(FileResponse(file))).headers["etag"]
    headers = {"Range": wanted}
    if if_range != "none":
        headers["If-Range"] = {"tag": e_tag, "date": LAST_MODIFIED}.get(if_range, if_range)
    theirs = await ask(FileResponse(file, media_type="audio/wav"), headers)
    ours = await ask(response(Stored().read, size=size, e_tag=e_tag), headers)
    assert ours.status_code == theirs.status_code
    names = {"content-range"}
    if ours.status_code != 416:
        names |= {"content-length", "last-modified", "accept-ranges", "content-type", "etag"}
        assert ours.content == theirs.content
    for name in names:
        assert ours.headers.get(name) == theirs.headers.get(name)


@settings(deadline=None)
@given(st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0"), max_size=60))
async def test_no_header_breaks_it(text: str) -> None:
    for name in ("Range", *IF):
        raw = [(name.encode(), text.encode("latin-1"))]
        answer = await ask(response(Stored().read), raw)  # type: ignore[arg-type]
        assert answer.status_code in {200, 206, 304, 412, 416}
