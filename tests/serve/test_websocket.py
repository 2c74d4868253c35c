"""Text in and audio out through real proxies: Serve's own, and HAProxy."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from serve_app.engines.fake import speech_of
from tests.support.direct import wait_until
from tests.support.service import RunningService, deployment, fake_config, running_service
from tests.support.sockets import talking

SENTENCES = ("The first sentence is here.", "The second one comes later.")
SPEECH = b"".join(speech_of(sentence, 1).tobytes() for sentence in SENTENCES)
LONG = " ".join(f"This is sentence number {n} of many." for n in range(100))  # 20 s of work


@pytest.fixture(scope="module", params=["serve", "haproxy"])
def narrow_service(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningService]:
    """A slow service that serves one at a time, so that others see whether it still serves one."""
    config = fake_config(chunk_delay_s=0.2)
    deployment(config, "Ingress")["max_ongoing_requests"] = 1
    folder = tmp_path_factory.mktemp(request.param)
    with running_service(config, folder, "--proxy", request.param) as running:
        yield running


def is_free(service: RunningService) -> bool:
    try:
        return httpx.get(f"{service.url}/livez", timeout=0.5).status_code == 200
    except httpx.TimeoutException:
        return False


def test_audio_and_words_come_while_text_goes(narrow_service: RunningService) -> None:
    with talking(narrow_service.url) as talker:
        talker.start(timestamps="word")
        talker.say(*SENTENCES[0], " The", " second")
        first = talker.hear("bytes")
        assert first.audio == speech_of(SENTENCES[0], 1).tobytes()
        talker.say(" one comes later.")
        talker.send("end")
        rest = talker.hear("done")
    assert first.audio + rest.audio == SPEECH
    words = [event["words"] for heard in (first, rest) for event in heard.events("alignment")]
    assert [word["word"] for told in words for word in told] == " ".join(SENTENCES).split()


def test_leaving_while_it_speaks_frees_it_at_once(narrow_service: RunningService) -> None:
    with talking(narrow_service.url) as talker:
        talker.start()
        talker.say(LONG)
        talker.hear("bytes")
        assert not is_free(narrow_service)
    wait_until(lambda: is_free(narrow_service), seconds=3)


def test_leaving_while_it_waits_frees_it_at_once(narrow_service: RunningService) -> None:
    with talking(narrow_service.url) as talker:
        talker.start()
        talker.hear("started")
    wait_until(lambda: is_free(narrow_service), seconds=3)


def test_a_connection_that_breaks_frees_it_too(narrow_service: RunningService) -> None:
    with talking(narrow_service.url) as talker:
        talker.start()
        talker.say(LONG)
        talker.hear("bytes")
        talker.connection.socket.shutdown(2)
        wait_until(lambda: is_free(narrow_service), seconds=3)


def test_an_interrupted_utterance_makes_room_for_the_next(narrow_service: RunningService) -> None:
    with talking(narrow_service.url) as talker:
        talker.start(utterance_id="long")
        talker.say(LONG)
        talker.hear("bytes")
        talker.send("cancel")
        assert talker.hear("done").messages[-1]["cancelled"] is True
        assert talker.speak(*SENTENCES[0]).audio == speech_of(SENTENCES[0], 1).tobytes()


def test_the_one_request_id_goes_back(narrow_service: RunningService) -> None:
    mine = {"X-Request-ID": "mine-1"}
    with talking(narrow_service.url, additional_headers=mine) as talker:
        response = talker.connection.response
        assert response is not None
        assert response.headers.get_all("x-request-id") == ["mine-1"]
        assert talker.speak(SENTENCES[0]).messages[0]["request_id"] == "mine-1"


def test_a_page_of_another_site_may_not_connect(narrow_service: RunningService) -> None:
    for origin, status in (("https://evil.example", 403), (narrow_service.url, 101)):
        try:
            with talking(narrow_service.url, origin=origin) as talker:
                response = talker.connection.response
        except InvalidStatus as refused:
            response = refused.response
        assert response is not None
        assert response.status_code == status
