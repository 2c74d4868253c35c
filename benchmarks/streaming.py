"""One streamed speech response, read from a plain socket and timed.

The client shares two cores with the server it measures, so it speaks just enough HTTP/1.1 by
itself: one POST a connection, a chunked body, nothing decoded. It keeps only what tells when audio
came.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import Literal

SAMPLE_RATE = 24_000
PCM_BYTES_PER_SECOND = SAMPLE_RATE * 2
READ_BYTES = 1 << 18
CONTAINER_PROBE_BYTES = 4096
MP3_KBIT = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
"""Bit rates of MPEG-2 layer III (ISO 13818-3), by the index in the frame's header."""

StreamFormat = Literal["wav", "mp3"]


class StreamError(Exception):
    """The response was not a whole stream of audio."""


@dataclass
class Playback:
    """A listener who starts to play at the first audio and plays in real time."""

    asked_at: float
    started_at: float | None = None
    seconds: float = 0.0  # of audio received
    least_in_hand: float = float("inf")  # audio not yet played when more came, at its scarcest
    longest_gap: float = 0.0
    _heard_last_at: float = 0.0

    def receive(self, seconds: float, now: float) -> None:
        """Count audio that has arrived now."""
        if self.started_at is None:
            self.started_at = now
        else:
            in_hand = self.started_at + self.seconds - now
            self.least_in_hand = min(self.least_in_hand, in_hand)
            self.longest_gap = max(self.longest_gap, now - self._heard_last_at)
        self.seconds += seconds
        self._heard_last_at = now


@dataclass
class ChunkedBody:
    """Takes the chunks of RFC 9112 section 7.1 apart, however they are cut into reads."""

    ended: bool = False
    _buffer: bytearray = field(default_factory=bytearray)
    _left: int = 0  # bytes of the current chunk, its CRLF included, still to come

    def feed(self, data: bytes) -> bytes:
        """Return the payload that has become readable."""
        self._buffer += data
        payload = bytearray()
        while self._buffer and not self.ended:
            if self._left == 0 and not self._open_chunk():
                break
            part = self._buffer[: self._left]
            payload += part[: max(0, self._left - 2)]
            self._left -= len(part)
            del self._buffer[: len(part)]
        return bytes(payload)

    def _open_chunk(self) -> bool:
        size_line, newline, rest = self._buffer.partition(b"\r\n")
        if not newline:
            return False
        size = int(size_line.split(b";")[0], 16)
        self.ended = size == 0
        self._left, self._buffer = size + 2, rest
        return True


@dataclass
class AudioMeter:
    """Turns bytes of a container into seconds of audio, its header not counted."""

    stream_format: StreamFormat
    _head: bytes = b""
    _bytes_per_second: float = 0.0

    def measure(self, payload: bytes) -> float:
        """Seconds of audio in the next bytes of the body."""
        if self._bytes_per_second:
            return len(payload) / self._bytes_per_second
        self._head += payload
        start = self._find_audio()
        if start is None:
            return 0.0
        return (len(self._head) - start) / self._bytes_per_second

    def _find_audio(self) -> int | None:
        found = _wav_data(self._head) if self.stream_format == "wav" else _mp3_frame(self._head)
        if found is None:
            if len(self._head) > CONTAINER_PROBE_BYTES:
                raise StreamError(f"no {self.stream_format} audio found")
            return None
        start, self._bytes_per_second = found
        return start


def _wav_data(head: bytes) -> tuple[int, float] | None:
    position = head.find(b"data")
    if position < 0 or len(head) <= position + 8:
        return None
    return position + 8, PCM_BYTES_PER_SECOND


def _mp3_frame(head: bytes) -> tuple[int, float] | None:
    """The first frame (after an ID3v2 tag, if any); a constant bit rate is assumed."""
    start = 0
    if head[:3] == b"ID3" and len(head) >= 10:
        start = 10 + sum(
            byte << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True)
        )
    if len(head) < start + 4:
        return None
    if head[start] != 0xFF or head[start + 1] & 0xE0 != 0xE0:
        raise StreamError("not an MP3 frame")
    return start, MP3_KBIT[head[start + 2] >> 4] * 1000 / 8


async def speak(
    port: int, text: str, stream_format: StreamFormat, seed: int, audio_limit: float | None = None
) -> Playback:
    """Ask for speech and listen to the end, or hang up after `audio_limit` seconds of wall time.

    Raises:
        StreamError: another status than 200, a cut body, or no audio.
        OSError: the connection failed.
    """
    playback = Playback(asked_at=time.perf_counter())
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=READ_BYTES)
    try:
        writer.write(_request(port, text, stream_format, seed))
        async with asyncio.timeout(audio_limit):
            await _listen(reader, playback, stream_format)
    except TimeoutError:
        if playback.started_at is None:
            raise StreamError("no audio in time") from None
    finally:
        writer.close()
    return playback


def _request(port: int, text: str, stream_format: StreamFormat, seed: int) -> bytes:
    body = json.dumps({"text": text, "export_formats": [stream_format], "seed": seed}).encode()
    head = (
        "POST /api/v1/tts HTTP/1.1\r\n"
        f"Host: 127.0.0.1:{port}\r\n"
        "Content-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode() + body


async def _listen(
    reader: asyncio.StreamReader, playback: Playback, stream_format: StreamFormat
) -> None:
    await _check_head(reader)
    body, meter = ChunkedBody(), AudioMeter(stream_format)
    while not body.ended:
        data = await reader.read(READ_BYTES)
        if not data:
            raise StreamError("the body was cut")
        seconds = meter.measure(body.feed(data))
        if seconds > 0:
            playback.receive(seconds, time.perf_counter())
    if playback.started_at is None:
        raise StreamError("no audio")


async def _check_head(reader: asyncio.StreamReader) -> None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        raise StreamError("no response") from error
    status = head.split(b"\r\n", 1)[0].decode()
    if " 200 " not in status + " ":
        raise StreamError(status)
    if b"transfer-encoding: chunked" not in head.lower():
        raise StreamError("not a chunked response")
