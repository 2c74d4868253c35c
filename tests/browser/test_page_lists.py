"""Voices and history on the page: added, found, heard, taken away."""

from __future__ import annotations

import re

import httpx
from playwright.sync_api import Locator, Page, Route, expect

from tests.browser.acting import (
    button,
    drop,
    eventually,
    player,
    recording,
    saved,
    speak,
    visit,
)
from tests.support.direct import RunningApi
from tests.support.uploads import speak_files, upload_voice

HOSTILE = "<img src=x onerror=alert(1)>"


def rows(page: Page, name: str) -> Locator:
    """The rows of the list called `voice` or `history`."""
    return page.locator(f"#{name}-list li")


def test_a_voice_is_added_spoken_with_and_deleted(page: Page, api: RunningApi) -> None:
    visit(page, api.url, "voices")
    expect(page.get_by_text("No voices yet.")).to_be_visible()
    drop(page, "#voice-drop", recording("another.wav"))
    drop(page, "#voice-drop", recording("anna.wav"))
    expect(page.get_by_label("Name", exact=True)).to_have_value("anna")
    page.get_by_label("Name", exact=True).fill("Anna")
    page.get_by_label("Tags").fill("warm, slow")
    button(page, "Add").click()
    expect(rows(page, "voice")).to_contain_text("warm · slow")
    button(page, "Listen to Anna").click()
    expect(player(page, "dock")).to_have_attribute("data-state", "ended")
    button(page, "Speak with Anna").click()
    expect(page.get_by_label("Text to speak")).to_be_focused()
    assert page.locator("#voice").input_value() == "anna.wav"
    page.get_by_role("link", name="Voices").click()
    button(page, "Delete Anna").click()
    button(page, "Keep it").click()
    expect(rows(page, "voice")).to_have_count(1)
    button(page, "Delete Anna").click()
    button(page, "Delete").click()
    expect(rows(page, "voice")).to_have_count(0)
    assert api.client.get("/api/v1/voices").json()["voices"] == []
    expect(page.locator("#voice option", has_text="Anna")).to_have_count(0)


def test_a_voice_that_is_there_already_is_refused_in_words(page: Page, api: RunningApi) -> None:
    upload_voice(api, "anna.wav", name="Anna")
    visit(page, api.url, "voices")
    page.locator("#voice-file").set_input_files(recording("anna.wav"))
    button(page, "Add").click()
    expect(page.get_by_role("alert")).to_contain_text("There is already a file")
    expect(button(page, "Add")).to_be_enabled()


def test_names_are_text_and_never_markup(page: Page, api: RunningApi) -> None:
    upload_voice(api, "hostile.wav", name=HOSTILE, tags=HOSTILE, description=HOSTILE)
    speak_files(api, f"Say {HOSTILE} please.")
    visit(page, api.url, "voices")
    expect(rows(page, "voice").locator(".item-title")).to_have_text(HOSTILE)
    page.get_by_role("link", name="Convert").click()
    expect(page.locator("#target option", has_text=HOSTILE)).to_have_count(1)
    page.get_by_role("link", name="History").click()
    expect(rows(page, "history").locator(".item-title")).to_contain_text(HOSTILE)
    expect(page.locator("main img")).to_have_count(0)


def test_voices_are_searched(page: Page, api: RunningApi) -> None:
    for name in ("Anna", "Bert"):
        upload_voice(api, f"{name}.wav", name=name)
    visit(page, api.url, "voices")
    expect(rows(page, "voice")).to_have_count(2)
    held: list[Route] = []
    page.route(re.compile("search=ann"), lambda route: held.append(route))
    page.get_by_label("Search voices").fill("ann")
    eventually(page, lambda: held)
    page.get_by_label("Search voices").fill("ber")
    expect(rows(page, "voice")).to_have_count(1)
    late = api.client.get("/api/v1/voices", params={"search": "ann"}).json()
    held[0].fulfill(json=late)
    page.evaluate("fetch('api/v1/voices').then(answer => answer.text())")
    expect(rows(page, "voice").locator(".item-title")).to_have_text(["Bert"])
    page.get_by_label("Search voices").fill("nobody")
    expect(page.get_by_text("No voice matches “nobody”.")).to_be_visible()


def test_what_was_spoken_is_in_the_history(page: Page, api: RunningApi) -> None:
    visit(page, api.url, "history")
    expect(page.get_by_text("Nothing was made yet.")).to_be_visible()
    page.get_by_role("link", name="Speak").click()
    speak(page, "To be kept.")
    expect(player(page, "speak")).to_have_attribute("data-state", "ended")
    page.get_by_role("link", name="History").click()
    expect(rows(page, "history")).to_have_count(1)
    button(page, "Play To be kept.").click()
    expect(player(page, "dock")).to_have_attribute("data-state", "ended")
    link = page.get_by_role("link", name="Download To be kept. as mp3")
    assert saved(page, link) == httpx.get(str(link.get_attribute("href"))).content
    button(page, "Delete To be kept.").click()
    button(page, "Delete").click()
    expect(page.get_by_text("Nothing was made yet.")).to_be_visible()
    assert api.files() == []


def test_the_history_is_turned_page_by_page(page: Page, api: RunningApi) -> None:
    _fill_two_pages(api)
    visit(page, api.url, "history")
    expect(page.get_by_text("Page 1 of 2")).to_be_visible()
    expect(rows(page, "history")).to_have_count(21)
    button(page, "Next").click()
    expect(rows(page, "history").locator(".item-title")).to_have_text(["Take 1.", "Take 0."])
    expect(page.locator("#history-list")).to_be_focused()
    button(page, "Previous").click()
    expect(page.get_by_text("Page 1 of 2")).to_be_visible()


def test_a_take_is_deleted_whole_and_the_page_stays(page: Page, api: RunningApi) -> None:
    _fill_two_pages(api)
    visit(page, api.url, "history")
    button(page, "Next").click()
    _delete(page, "Take 1.")
    expect(page.get_by_text("Page 2 of 2")).to_be_visible()
    expect(rows(page, "history").locator(".item-title")).to_have_text(["Take 0."])
    expect(button(page, "Delete Take 0.")).to_be_focused()
    _delete(page, "Take 0.")
    expect(rows(page, "history")).to_have_count(20)
    left = api.client.get("/api/v1/outputs").json()["files"]
    assert len(left) == 39, "the files that the page before showed are gone, too"
    api.client.delete("/api/v1/outputs?confirm=true")
    _delete(page, "Odd.")
    expect(page.get_by_text("Nothing was made yet.")).to_be_visible()
    expect(page.get_by_role("alert")).to_be_hidden()


def _fill_two_pages(api: RunningApi) -> None:
    """The end of the first one comes between the two files of Take 1."""
    for number in range(21):
        speak_files(api, f"Take {number}.", export_formats=["wav", "pcm"])
    speak_files(api, "Odd.", export_formats=["wav"])


def _delete(page: Page, title: str) -> None:
    button(page, f"Delete {title}").click()
    button(page, "Delete").click()
