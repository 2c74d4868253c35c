"""What is counted: each speech request once, by how it ended."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from serve_app.engines.fake import FakeEngine
from serve_app.observability.metrics import Outcome
from tests.support.direct import RunningApi, running_api, wait_until

FOUR = "The first one is here. The second one is here. The third one is here. The last one is here."


def test_a_stream_that_is_heard_to_its_end(api: RunningApi) -> None:
    response = api.client.post("/api/v1/tts", json={"text": FOUR, "export_formats": ["pcm"]})
    wait_until(lambda: api.recorder.endings)
    ((kind, outcome, seconds),) = api.recorder.endings
    assert kind == "tts"
    assert outcome is Outcome.COMPLETED
    assert seconds == pytest.approx(len(response.content) / 48_000)
    assert len(api.recorder.first_audios) == 1


def test_a_stream_that_its_client_leaves(slow_api: RunningApi) -> None:
    with slow_api.client.stream("POST", "/api/v1/tts", json={"text": FOUR}) as response:
        body = response.iter_raw()
        next(body)
    wait_until(lambda: slow_api.recorder.endings)
    assert slow_api.recorder.endings[0][1] is Outcome.CANCELLED


@pytest.mark.parametrize("chunk", [0, 2])
def test_a_stream_that_breaks(tmp_path: Path, chunk: int) -> None:
    with running_api(FakeEngine(fail_at_chunk=chunk), tmp_path) as api:
        try:
            api.client.post("/api/v1/tts", json={"text": FOUR})
        except httpx.RemoteProtocolError:
            assert chunk > 0
        wait_until(lambda: api.recorder.endings)
        assert [outcome for _, outcome, _ in api.recorder.endings] == [Outcome.FAILED]
        assert len(api.recorder.first_audios) == (1 if chunk else 0)


def test_a_request_that_is_refused_is_not_counted(api: RunningApi) -> None:
    assert api.client.post("/api/v1/tts", json={"text": ""}).status_code == 400
    assert api.recorder.endings == []
