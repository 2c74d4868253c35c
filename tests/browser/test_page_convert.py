"""Converting on the page: a file or the microphone, another voice, before and after."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import FilePayload, Page, expect

from tests.browser.acting import (
    button,
    drop,
    eventually,
    player,
    position,
    recording,
    saved,
    visit,
)
from tests.support.direct import RunningApi
from tests.support.uploads import samples_in, upload_voice

ASKING_MICROPHONE = """() => {
    const devices = navigator.mediaDevices;
    const open = devices.getUserMedia.bind(devices);
    Object.assign(window, {asked: 0, tracks: []});
    devices.getUserMedia = async (wanted) => {
        asked += 1;
        await new Promise((resolve) => { window.allow = resolve; });
        const stream = await open(wanted);
        tracks.push(...stream.getTracks());
        return stream;
    };
}"""
WITHOUT_WORKLETS = """() => {
    const {addModule} = AudioWorklet.prototype;
    AudioWorklet.prototype.addModule = () => Promise.reject(new DOMException("", "AbortError"));
    window.restore = () => { AudioWorklet.prototype.addModule = addModule; };
}"""


def test_a_dropped_file_becomes_a_voice_of_the_library(page: Page, api: RunningApi) -> None:
    upload_voice(api, "anna.wav", name="Anna")
    visit(page, api.url, "convert")
    drop(page, "#source-drop", recording("mine.wav", seconds=2.0))
    expect(page.locator("#source-name")).to_have_text("mine.wav, 2.0 seconds")
    page.get_by_label("Voice of the library").select_option("Anna")
    button(page, "Convert").click()
    expect(player(page, "convert")).to_have_attribute("data-state", "ended")
    links = page.locator("#convert-downloads a")
    expect(links).to_have_text(["MP3", "WAV"])
    (wav,) = (f for f in api.client.get("/api/v1/outputs").json()["files"] if f["format"] == "wav")
    assert saved(page, links.last) == api.client.get(wav["path"]).content
    assert wav["duration_seconds"] == pytest.approx(2.0, abs=0.02)


def test_the_microphone_is_converted_to_a_voice_from_a_file(page: Page, api: RunningApi) -> None:
    visit(page, api.url, "convert")
    button(page, "Record").click()
    name = page.locator("#source-name")
    expect(name).to_have_text(re.compile(r"Recording, [2-9]\.\d seconds"))
    button(page, "Stop recording").click()
    expect(name).to_have_text(re.compile(r"Your recording, [2-9]\.\d seconds"))
    page.get_by_label("Use a file instead").set_input_files(recording("her.wav", 2, 3.0))
    button(page, "Convert").click()
    sound = samples_in(saved(page, page.get_by_role("link", name="WAV")))
    assert len(sound) > 2 * 24_000
    assert abs(sound).max() > 1_000, "the microphone beeps"


def test_the_microphone_is_opened_once_and_always_let_go(page: Page, api: RunningApi) -> None:
    visit(page, api.url, "convert")
    page.evaluate(ASKING_MICROPHONE)
    name = page.locator("#source-name")

    def record() -> None:
        button(page, "Record").click()
        page.evaluate("allow()")

    def let_go() -> bool:
        return page.evaluate("tracks.length && tracks.every(t => t.readyState === 'ended')")

    page.evaluate(WITHOUT_WORKLETS)
    record()
    expect(page.get_by_role("alert")).to_contain_text("could not begin")
    assert let_go()
    page.evaluate("restore()")
    button(page, "Record").click()
    record()
    expect(name).to_have_text(re.compile("Recording"))
    assert page.evaluate("asked") == 2, "a press while the permission is asked for changes nothing"
    page.locator("#source-file").set_input_files(recording("mine.wav"))
    expect(name).to_have_text("mine.wav, 1.0 seconds")
    assert let_go()
    record()
    expect(name).to_have_text(re.compile("Recording"))
    page.get_by_role("link", name="History").click()
    eventually(page, let_go)
    expect(name).to_have_text(re.compile("Your recording"))


def test_before_and_after_are_compared_where_they_are(page: Page, api: RunningApi) -> None:
    visit(page, api.url, "convert")
    page.locator("#source-file").set_input_files(recording("mine.wav", seconds=8.0))
    page.locator("#target-file").set_input_files(recording("her.wav", 2))
    button(page, "Convert").click()
    eventually(page, lambda: position(page, "convert") >= 1)
    page.get_by_label("Before").check()
    expect(player(page, "convert")).to_have_attribute("data-state", "playing")
    assert 1 <= position(page, "convert") < 8
    page.get_by_label("Before").press("ArrowRight")
    expect(page.get_by_label("After")).to_be_checked()
    assert position(page, "convert") >= 1


def test_what_is_missing_is_said(page: Page, api: RunningApi) -> None:
    visit(page, api.url, "convert")
    button(page, "Convert").click()
    expect(page.get_by_role("alert")).to_have_text("Choose or record what is to be converted.")
    page.locator("#source-file").set_input_files(recording("mine.wav"))
    button(page, "Convert").click()
    expect(page.get_by_role("alert")).to_have_text("Choose the voice to convert to.")


def test_a_file_that_is_no_audio_is_refused_in_words(page: Page, api: RunningApi) -> None:
    visit(page, api.url, "convert")
    text: FilePayload = {
        "name": "notes.wav",
        "mimeType": "audio/wav",
        "buffer": b"not a sound" * 100,
    }
    page.locator("#source-file").set_input_files(text)
    page.locator("#target-file").set_input_files(recording("her.wav", 2))
    button(page, "Convert").click()
    expect(page.get_by_role("alert")).to_contain_text("not audio we can read")
    expect(player(page, "convert")).to_have_attribute("data-state", "empty")
