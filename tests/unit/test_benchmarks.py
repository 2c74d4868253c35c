"""The benchmarks' instruments: a wrong one would measure something else in silence."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.load_client import Load, LoadResult, drive
from benchmarks.report import Bound, Machine, Target, save_json
from benchmarks.streaming import (
    AudioMeter,
    ChunkedBody,
    Playback,
    StreamError,
    StreamFormat,
    speak,
)
from benchmarks.texts import Workload, make_text

WAV_HEADER = b"RIFF" + bytes(32) + b"data" + b"\xff" * 4
MP3_FRAME = bytes([0xFF, 0xF3, 0x84, 0xC4]) + bytes(380)  # MPEG-2 layer III, 64 kbit/s, 24 kHz


def _chunked(payloads: list[bytes]) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(each), each) for each in [*payloads, b""])


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=6), st.lists(st.integers(1, 20)))
def test_a_chunked_body_is_the_same_however_it_is_cut_into_reads(
    payloads: list[bytes], cuts: list[int]
) -> None:
    wire, body, heard = _chunked(payloads), ChunkedBody(), b""
    for cut in cuts:
        heard += body.feed(wire[:cut])
        wire = wire[cut:]
    heard += body.feed(wire)
    assert heard == b"".join(payloads)
    assert body.ended


def test_a_wav_header_alone_is_no_audio() -> None:
    meter = AudioMeter("wav")
    assert meter.measure(WAV_HEADER[:10]) == 0
    assert meter.measure(WAV_HEADER[10:]) == 0
    assert meter.measure(bytes(48_000)) == 1.0


def test_mp3_is_measured_by_its_bit_rate_after_the_tag() -> None:
    tag = b"ID3\x04\x00\x00" + bytes([0, 0, 0, 5]) + b"title"
    assert AudioMeter("mp3").measure(tag + MP3_FRAME) == pytest.approx(len(MP3_FRAME) / 8000)


@pytest.mark.parametrize("stream_format", get_args(StreamFormat))
def test_what_is_not_audio_is_an_error(stream_format: StreamFormat) -> None:
    with pytest.raises(StreamError):
        AudioMeter(stream_format).measure(b"<html>" * 1000)


def test_a_listener_runs_dry_when_audio_comes_later_than_playback_needs_it() -> None:
    in_time, late = Playback(asked_at=0.0), Playback(asked_at=0.0)
    for playback, second_at in ((in_time, 2.9), (late, 3.1)):
        playback.receive(2.0, now=1.0)
        playback.receive(2.0, now=second_at)
    assert in_time.least_in_hand == pytest.approx(0.1)
    assert late.least_in_hand == pytest.approx(-0.1)


async def _answer(response: bytes) -> asyncio.Server:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(response)
        await writer.drain()
        writer.close()

    return await asyncio.start_server(handle, "127.0.0.1", 0)


OK = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


def test_the_client_hears_all_of_a_stream() -> None:
    async def scenario() -> Playback:
        response = OK + _chunked([WAV_HEADER + bytes(4800), bytes(9600)])
        async with await _answer(response) as server:
            port = server.sockets[0].getsockname()[1]
            return await speak(port, "Hello.", "wav", seed=1)

    assert asyncio.run(scenario()).seconds == pytest.approx(0.3)


@pytest.mark.parametrize(
    "response",
    [
        b"",
        b"HTTP/1.1 503 Service Unavailable\r\n\r\n",
        OK + _chunked([]),
        OK + _chunked([WAV_HEADER]),
        OK + _chunked([WAV_HEADER + bytes(4800)])[:-5],
    ],
    ids=["nothing", "refused", "empty", "header only", "cut"],
)
def test_the_client_takes_no_broken_stream_for_a_whole_one(response: bytes) -> None:
    async def scenario() -> LoadResult:
        async with await _answer(response) as server:
            port = server.sockets[0].getsockname()[1]
            return await drive(Load(Workload.SHORT, clients=2, requests=1), port)

    result = asyncio.run(scenario())
    assert sum(result.errors.values()) == 2
    assert result.first_audio == []


@pytest.mark.parametrize("index", range(50))
def test_a_short_text_is_one_sentence_of_12_to_16_words(index: int) -> None:
    text = make_text(Workload.SHORT, index)
    assert text.count(".") == 1
    assert 12 <= len(text.split()) <= 16


def test_each_request_has_a_text_of_its_own_and_each_run_the_same() -> None:
    texts = [make_text(Workload.PARAGRAPH, index) for index in range(64)]
    assert len(set(texts)) == 64
    assert texts == [make_text(Workload.PARAGRAPH, index) for index in range(64)]


def test_the_longest_text_fits_a_request() -> None:
    assert 9_700 < len(make_text(Workload.LIMIT, 0)) <= 10_000


def test_figures_are_saved_with_the_machine_and_the_date(tmp_path: Path) -> None:
    save_json(tmp_path / "out" / "figures.json", {"a_ratio": 0.5}, Machine.this_one())
    record = json.loads((tmp_path / "out" / "figures.json").read_text())
    assert set(record) == {"figures", "machine", "date"}
    assert record["figures"] == {"a_ratio": 0.5}


@pytest.mark.parametrize(
    ("bound", "reached"),
    [(Bound.AT_LEAST, [False, True, True]), (Bound.AT_MOST, [True, True, False])],
)
def test_a_target_is_reached_on_its_own_side(bound: Bound, reached: list[bool]) -> None:
    target = Target("any", bound, 1.0)
    assert [target.is_reached(number) for number in (0.9, 1.0, 1.1)] == reached
