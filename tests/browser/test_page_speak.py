"""Speaking on the page: heard while it is made, stopped at once, saved whole."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Locator, Page, expect

from serve_app.engines.fake import FakeEngine, speech_of
from tests.browser.acting import (
    button,
    eventually,
    player,
    position,
    saved,
    speak,
    visit,
    wait_until_heard,
)
from tests.support.direct import RunningApi, running_api
from tests.support.service import RunningService
from tests.support.uploads import samples_in, upload_voice

LONG = " ".join(f"This is sentence number {n} of many that are still to come." for n in range(30))


def test_sound_is_heard_before_the_answer_has_ended(page: Page, slow_api: RunningApi) -> None:
    visit(page, slow_api.url)
    speak(page, LONG)
    wait_until_heard(page, "speak")
    assert slow_api.backend.open_streams == 1
    assert slow_api.recorder.endings == []
    expect(page.locator("#speak-result")).to_be_hidden()
    button(page, "Stop").click()


def test_stop_stops_the_server_and_leaves_no_file(page: Page, slow_api: RunningApi) -> None:
    visit(page, slow_api.url)
    before = slow_api.files()
    speak(page, LONG)
    wait_until_heard(page, "speak")
    button(page, "Stop").click()
    eventually(page, lambda: slow_api.backend.open_streams == 0)
    eventually(page, lambda: slow_api.files() == before)
    expect(player(page, "speak")).to_have_attribute("data-state", "paused")
    expect(button(page, "Speak")).to_be_enabled()
    expect(page.get_by_role("alert")).to_be_hidden()


def test_it_plays_to_the_end_and_saves_what_the_api_made(page: Page, api: RunningApi) -> None:
    text = "It is all there."
    visit(page, api.url)
    page.get_by_label("Seed").fill("7")
    page.get_by_label("Download as").first.select_option("flac")
    speak(page, text)
    expect(player(page, "speak")).to_have_attribute("data-state", "ended")
    assert position(page, "speak") == pytest.approx(0.02 * len(text), abs=0.5)
    expect(page.locator("#speak-facts")).to_contain_text("Seed7")
    links = page.locator("#speak-downloads a")
    expect(links).to_have_text(["FLAC", "WAV"])
    listed = {f["format"]: f["path"] for f in api.client.get("/api/v1/outputs").json()["files"]}
    assert saved(page, links.first) == api.client.get(listed["flac"]).content
    np.testing.assert_array_equal(samples_in(saved(page, links.last)), speech_of(text, 7))


def test_a_refusal_is_said_in_words(page: Page, real_service: RunningService) -> None:
    visit(page, real_service.url)
    speak(page, "你好")
    expect(page.get_by_role("alert")).to_contain_text("cannot pronounce")
    expect(player(page, "speak")).to_have_attribute("data-state", "empty")
    speak(page, "Hello.")
    expect(page.get_by_role("alert")).to_be_hidden()


def test_a_server_that_is_gone_is_said_in_words(page: Page, api: RunningApi) -> None:
    visit(page, api.url)
    page.context.set_offline(True)
    speak(page, "Hello.")
    expect(page.get_by_role("alert")).to_contain_text("The server cannot be reached.")
    button(page, "Close the message").click()
    expect(page.get_by_role("alert")).to_be_hidden()


def test_a_server_that_still_starts_is_waited_for(page: Page, api: RunningApi) -> None:
    page.route("**/api/v1/config", lambda route: route.fulfill(status=503, body="starting"))
    page.goto(api.url)
    expect(page.get_by_role("alert")).to_have_text("The server answered 503.")
    page.get_by_label("Text to speak").fill("Hello.")
    expect(button(page, "Speak")).to_be_disabled()
    page.unroute_all()
    expect(button(page, "Speak")).to_be_enabled()
    expect(page.get_by_role("alert")).to_be_hidden()
    expect(page.get_by_text("Spoken by")).to_be_visible()


def test_events_that_just_end_are_no_success(page: Page, api: RunningApi) -> None:
    visit(page, api.url)
    event = 'data: {"type": "speech.words", "words": null}\n\n'
    page.route(
        "**/api/v1/tts", lambda route: route.fulfill(content_type="text/event-stream", body=event)
    )
    speak(page, "Hello.")
    expect(page.get_by_role("alert")).to_contain_text("The sound broke off")
    expect(page.locator("#speak-result")).to_be_hidden()


def test_speech_that_breaks_off_is_no_success(page: Page, tmp_path: Path) -> None:
    with running_api(FakeEngine(fail_at_chunk=2), tmp_path) as api:
        visit(page, api.url)
        speak(page, LONG)
        expect(page.get_by_role("alert")).to_be_visible()
        expect(page.locator("#speak-result")).to_be_hidden()
        assert api.files() == [], "what is not whole is not kept"


def test_the_words_are_marked_as_they_are_said(page: Page, real_service: RunningService) -> None:
    text = "One small step is all that it takes."
    visit(page, real_service.url)
    speak(page, text)
    marked: list[str] = []
    now = page.locator("#transcript .now")

    def note() -> bool:
        word = now.text_content() if now.count() else None
        if word and word not in marked:
            marked.append(word)
        return player(page, "speak").get_attribute("data-state") == "ended"

    eventually(page, note)
    assert page.locator("#transcript").inner_text().split() == text.split()
    assert len(marked) >= 4
    assert marked == [word for word in text.split() if word in marked], "in their order"


def test_only_what_has_an_effect_is_offered_and_is_sent(page: Page, api: RunningApi) -> None:
    visit(page, api.url)
    sliders = page.locator("#controls input")
    expect(sliders).to_have_count(2)
    with page.expect_request("**/api/v1/tts") as request:
        speak(page, "Hello.")
    assert "language" not in json.loads(request.value.post_data or ""), "a voice has its own"
    expect(player(page, "speak")).to_have_attribute("data-state", "ended")
    page.get_by_label("Temperature").fill("1.5")
    page.get_by_label("Language").select_option("de")
    with page.expect_request("**/api/v1/tts") as request:
        speak(page, "Guten Tag.")
    sent = json.loads(request.value.post_data or "")
    assert (sent["temperature"], sent["language"]) == (1.5, "de")
    assert "speed_factor" not in sent, "a voice's own defaults apply to what nobody moved"


def test_voices_are_offered_in_their_groups(page: Page, api: RunningApi) -> None:
    upload_voice(api, "anna.wav", name="Anna")
    visit(page, api.url)
    voice = _voice(page)
    for group, name in (("Presets", "nova"), ("Engine", "sine"), ("Library", "Anna")):
        expect(voice.locator(f"optgroup[label={group}] option", has_text=name)).to_have_count(1)
    voice.select_option("Anna")
    speak(page, "In her voice.")
    expect(player(page, "speak")).to_have_attribute("data-state", "ended")
    assert api.client.get("/api/v1/voices").json()["voices"][0]["usage_count"] == 1


def test_too_long_a_text_cannot_be_sent(page: Page, api: RunningApi) -> None:
    visit(page, api.url)
    page.get_by_label("Text to speak").fill("a" * 10_001)
    expect(page.locator("#count")).to_have_text("10,001 of 10,000 characters")
    expect(button(page, "Speak")).to_be_disabled()


def test_everything_is_done_by_keyboard(page: Page, slow_api: RunningApi) -> None:
    visit(page, slow_api.url)
    _tab_to(page, "text")
    page.keyboard.insert_text(LONG)
    _tab_to(page, "voice")
    page.keyboard.press("ArrowDown")
    assert _voice(page).input_value() == "alloy"
    _tab_to(page, "speak-button")
    page.keyboard.press("Enter")
    wait_until_heard(page, "speak")
    page.keyboard.press("Escape")
    expect(button(page, "Speak")).to_be_focused()
    eventually(page, lambda: slow_api.backend.open_streams == 0)
    page.get_by_label("Text to speak").press("Control+Enter")
    eventually(page, lambda: slow_api.backend.open_streams == 1)
    page.keyboard.press("Escape")
    eventually(page, lambda: slow_api.backend.open_streams == 0)


def _voice(page: Page) -> Locator:
    return page.get_by_role("combobox", name="Voice", exact=True)


def _tab_to(page: Page, wanted: str) -> None:
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == wanted:
            return
    pytest.fail(f"#{wanted} cannot be reached with Tab")
