"""What the tests of the API send and how they look at what comes back."""

from __future__ import annotations

import io
import wave
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import httpx
import numpy as np

from serve_app.domain.types import Samples
from tests.audio_tools import speechlike
from tests.support.direct import RunningApi, files_below

RATE = 24_000
WAV_HEADER_BYTES = 44
ERROR_MEMBERS = {
    "success", "error", "error_message", "error_code", "detail", "request_id", "timestamp",
}  # fmt: skip


@lru_cache
def spoken(seed: int = 1, seconds: float = 0.5) -> Samples:
    """A recording that is another for each seed."""
    return speechlike(seconds, RATE, seed)


def wav_of(samples: Samples, rate: int = RATE, channels: int = 1) -> bytes:
    """Samples [n] as a WAV file, the same in every channel."""
    file = io.BytesIO()
    with wave.open(file, "wb") as target:
        target.setparams((channels, 2, rate, 0, "NONE", ""))
        target.writeframes(np.repeat(samples, channels).astype("<i2").tobytes())
    return file.getvalue()


def samples_in(content: bytes) -> Samples:
    """The samples of a mono 16-bit WAV file, streamed or stored, behind its header."""
    assert content.startswith(b"RIFF"), content[:200]
    return np.frombuffer(content[WAV_HEADER_BYTES:], "<i2")


def upload_voice(
    api: RunningApi, filename: str, content: bytes | None = None, **fields: str
) -> httpx.Response:
    """POST /voice; `content` is some speech unless given."""
    files = {"voice_file": (filename, wav_of(spoken()) if content is None else content)}
    return api.client.post("/api/v1/voice", files=files, data=fields)


def upload_input(
    api: RunningApi, filename: str, content: bytes | None = None, **fields: str
) -> httpx.Response:
    """POST /vc_input; `content` is some speech unless given."""
    files = {"vc_input_file": (filename, wav_of(spoken()) if content is None else content)}
    return api.client.post("/api/v1/vc_input", files=files, data=fields)


def speak_files(api: RunningApi, text: str = "Hello there.", **body: Any) -> list[dict[str, Any]]:
    """The `output_files` of POST /tts?response_mode=url."""
    answer = api.client.post(
        "/api/v1/tts", params={"response_mode": "url"}, json={"text": text, "seed": 1, **body}
    )
    assert answer.status_code == 200, answer.text
    return answer.json()["output_files"]


def accepted(response: httpx.Response) -> dict[str, Any]:
    """The JSON of a successful answer."""
    assert response.status_code == 200, response.content[:500]
    answer = response.json()
    assert answer["success"] is True
    return answer


def assert_refused(response: httpx.Response, status: int, code: str) -> Mapping[str, Any]:
    """Is it this error, in the one shape that errors have? Its body."""
    assert response.status_code == status, response.content[:500]
    body = response.json()
    assert body.get("error_code") == code, body
    assert set(body) == ERROR_MEMBERS
    assert body["success"] is False
    assert body["error"] == body["error_message"] != ""
    assert body["request_id"] == response.headers["x-request-id"]
    return body


def every_file(api: RunningApi) -> list[str]:
    """Every file below the three roots, hidden ones too."""
    roots = (api.voices, api.vc_inputs, api.outputs)
    return [f"{root.name}/{path}" for root in roots for path in files_below(root)]


def multipart(*parts: tuple[str, bytes], boundary: str = "x-border") -> tuple[bytes, str]:
    """A form written by hand, so that nothing is escaped, and its Content-Type.

    A part is what follows `form-data; ` in its Content-Disposition, and its content.
    """
    pieces = [
        b"--%b\r\nContent-Disposition: form-data; %b\r\n\r\n%b\r\n"
        % (boundary.encode(), disposition.encode(), content)
        for disposition, content in parts
    ]
    body = b"".join(pieces) + f"--{boundary}--\r\n".encode()
    return body, f"multipart/form-data; boundary={boundary}"


def post_form(api: RunningApi, path: str, *parts: tuple[str, bytes]) -> httpx.Response:
    """POST a form written by hand."""
    body, content_type = multipart(*parts)
    return api.client.post(path, content=body, headers={"Content-Type": content_type})
