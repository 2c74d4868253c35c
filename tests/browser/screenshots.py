"""Draws the pictures in docs/screenshots: `python -m tests.browser.screenshots`."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.browser.acting import button, eventually, player, position, speak, visit
from tests.support.service import ROOT, RunningService, default_config, running_service
from tests.support.uploads import wav_of
from tests.support.voices import recording

FOLDER = ROOT / "docs" / "screenshots"
TEXT = (
    "The harbour was quiet before the sun came up. Three boats lay along the wall, and somebody, "
    "far out, was singing as if nobody could hear it."
)
DESKTOP, PHONE = (1240, 820), (360, 740)
VOICES = {"Karen": "en_karen", "Anton": "de_Anton"}


def main() -> None:
    """Start the service, act on its page, and take a picture of each view."""
    FOLDER.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        running_service(default_config(), Path(folder)) as service,
        sync_playwright() as playwright,
    ):
        fill(service)
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox", "--autoplay-policy=no-user-gesture-required"],
        )
        for scheme in ("light", "dark"):
            speaking(opened(browser, DESKTOP, scheme), service, f"page-{scheme}")
        speaking(opened(browser, PHONE, "light"), service, "page-phone")
        converting(opened(browser, DESKTOP, "light"), service, "page-convert")
        browser.close()


def fill(service: RunningService) -> None:
    """Voices for the library, read by volunteers."""
    for name, source in VOICES.items():
        files = {"voice_file": (f"{name.lower()}.wav", wav_of(recording(source)))}
        service.client.post("/api/v1/voice", files=files, data={"name": name}).raise_for_status()


def opened(browser: Browser, size: tuple[int, int], scheme: str) -> Page:
    """An empty page on a screen of two pixels a point."""
    width, height = size
    return browser.new_page(
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
        device_scale_factor=2,
        locale="en-GB",
    )


def speaking(page: Page, service: RunningService, name: str) -> None:
    """The middle of a speech."""
    visit(page, service.url)
    speak(page, TEXT)
    eventually(page, lambda: position(page, "speak") > 3.4)
    picture(page, name)


def converting(page: Page, service: RunningService, name: str) -> None:
    """The middle of a conversion."""
    visit(page, service.url, "convert")
    source = wav_of(recording(VOICES["Karen"]))
    page.locator("#source-file").set_input_files(
        {"name": "my recording.wav", "mimeType": "audio/wav", "buffer": source}
    )
    page.get_by_label("Voice of the library").select_option("Anton")
    button(page, "Convert").click()
    expect(player(page, "convert")).to_have_attribute("data-state", "playing")
    eventually(page, lambda: position(page, "convert") > 2)
    picture(page, name)


def picture(page: Page, name: str) -> None:
    """Save what is seen, and leave."""
    page.evaluate("scrollTo(0, 0)")
    page.mouse.move(0, 0)
    page.screenshot(path=FOLDER / f"{name}.png")
    page.close()


if __name__ == "__main__":
    main()
