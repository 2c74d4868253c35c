"""`serve-app bench`: the load it puts on a server, and the figures it takes of it."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from serve_app.cli.listening import MEASURABLE, AudioMeter, Listener
from serve_app.engines.fake import FakeEngine
from serve_app.observability.metrics import Outcome
from tests.support.cli import CommandLine
from tests.support.direct import RunningApi, running_api, wait_until

TEXT = "Somebody speaks for a whole second now."
SECONDS = 0.02 * len(TEXT)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApi]:
    """One service for all of them."""
    with running_api(FakeEngine(), tmp_path_factory.mktemp("bench")) as running:
        yield running


@pytest.fixture
def cli(api: RunningApi) -> CommandLine:
    return CommandLine(api.url)


def test_so_many_requests_are_made_and_all_are_heard(cli: CommandLine, api: RunningApi) -> None:
    before = len(api.recorder.endings)
    told = cli("bench", "--clients", 3, "--requests", 7, "--text", TEXT, "--json").json
    assert len(api.recorder.endings) - before == 7
    assert (told["streams"], told["errors"], told["engine"]) == (7, {}, "fake")
    assert told["audio_seconds"] == pytest.approx(7 * SECONDS, abs=0.01)
    assert told["audio_seconds_per_second"] == pytest.approx(
        told["audio_seconds"] / told["wall_seconds"]
    )
    first, total = told["first_audio_seconds"], told["total_seconds"]
    assert 0 < first["p50"] <= first["p95"] <= first["p99"] <= total["p99"] <= told["wall_seconds"]


def test_clients_listen_at_the_same_time(tmp_path: Path) -> None:
    load = ("bench", "--clients", 3, "--requests", 3, "--text", TEXT)
    with (
        running_api(FakeEngine(chunk_delay_s=0.3), tmp_path) as api,
        CommandLine(api.url).start(*load, folder=tmp_path) as program,
    ):
        wait_until(lambda: api.backend.open_streams == 3, seconds=60)
        program.communicate(timeout=60)
    assert program.returncode == 0


def test_requests_are_begun_for_so_long(cli: CommandLine) -> None:
    told = cli("bench", "--seconds", 0.5, "--text", TEXT, "--json").json
    assert told["streams"] >= 2
    assert told["wall_seconds"] >= 0.5


@pytest.mark.parametrize("audio_format", MEASURABLE)
def test_audio_is_measured_in_every_format_on_offer(cli: CommandLine, audio_format: str) -> None:
    told = cli("bench", "--requests", 1, "--text", TEXT, "--format", audio_format, "--json").json
    assert told["format"] == audio_format
    assert told["audio_seconds"] == pytest.approx(SECONDS, abs=0.1)


def test_a_table_for_people(cli: CommandLine) -> None:
    done = cli("bench", "--requests", 2, "--text", TEXT)
    assert "first audio, ms" in done.text
    assert "2 streams to 1 clients" in done.text
    assert "0 ran dry" in done.text


def test_what_breaks_off_is_counted_by_its_reason(tmp_path: Path) -> None:
    with running_api(FakeEngine(fail_at_chunk=1), tmp_path) as api:
        done = CommandLine(api.url)("bench", "--requests", 1, "--json")
    assert done.code == 1
    assert done.json["streams"] == 0
    assert done.json["first_audio_seconds"] == {"p50": None, "p95": None, "p99": None}
    assert list(done.json["errors"].values()) == [1]


def test_a_request_that_is_wrong_is_not_repeated(cli: CommandLine) -> None:
    done = cli("bench", "--requests", 5, "--voice", "nobody")
    assert done.code == 1
    assert len(done.errors.splitlines()) == 1
    assert "nobody" in done.errors


def test_requests_and_seconds_exclude_each_other(cli: CommandLine) -> None:
    assert cli("bench", "--requests", 1, "--seconds", 1).code == 2


def test_ctrl_c_shows_what_was_measured_so_far(
    cli: CommandLine, api: RunningApi, tmp_path: Path
) -> None:
    def heard() -> int:
        return sum(outcome is Outcome.COMPLETED for _, outcome, _ in api.recorder.endings)

    before = heard()
    load = ("bench", "--clients", 2, "--seconds", 600, "--text", TEXT, "--json")
    with cli.start(*load, folder=tmp_path) as program:
        wait_until(lambda: heard() >= before + 6, seconds=60)
        program.send_signal(signal.SIGINT)
        output, errors = program.communicate(timeout=60)
    assert (program.returncode, errors) == (130, "")
    assert json.loads(output)["streams"] >= 3


def test_a_listener_runs_dry_when_audio_comes_later_than_it_is_needed() -> None:
    steady, late = Listener(asked_at=10.0), Listener(asked_at=10.0)
    for listener, second in ((steady, 11.9), (late, 12.1)):
        listener.receive(1.0, now=11.0)
        listener.receive(1.0, now=second)
        assert listener.first_audio == 1.0
        assert listener.longest_gap == pytest.approx(second - 11.0)
    assert not steady.ran_dry
    assert late.ran_dry


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_the_header_of_a_file_is_no_audio(size: int) -> None:
    header = b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0" + bytes(16) + b"data\xff\xff\xff\xff"
    stream, meter = header + bytes(48_000), AudioMeter("wav", 24_000)
    pieces = [stream[start : start + size] for start in range(0, len(stream), size)]
    assert sum(map(meter.measure, pieces)) == pytest.approx(1.0)


@pytest.mark.parametrize(("head", "bytes_per_second"), [("fff344c4", 4000), ("fffb94c4", 16_000)])
def test_mp3_is_measured_by_the_bit_rate_of_its_first_frame(
    head: str, bytes_per_second: int
) -> None:
    tag = b"ID3\x04\0\0\0\0\x01\0" + bytes(128)
    meter = AudioMeter("mp3", 24_000)
    assert meter.measure(tag) == 0
    assert meter.measure(bytes.fromhex(head) + bytes(bytes_per_second - 4)) == 1.0
