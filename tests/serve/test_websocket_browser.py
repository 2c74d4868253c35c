"""The example page in a real browser: Chromium, headless, speaks and is interrupted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from serve_app.engines.fake import FakeEngine
from tests.support.direct import RunningApi, running_api, wait_until
from tests.support.sockets import serving_folder

EXAMPLES = Path(__file__).parents[2] / "examples"
TEXT = "The first sentence is here. The second one comes later."
LONG = " ".join(f"This is sentence number {n} of many." for n in range(100))


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """The folder of examples, as a site of its own."""
    with serving_folder(EXAMPLES) as address:
        yield address


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApi]:
    """The service, whose engine takes 100 ms for each sentence."""
    with running_api(FakeEngine(chunk_delay_s=0.1), tmp_path_factory.mktemp("api")) as running:
        yield running


@pytest.fixture(scope="module")
def page(api: RunningApi, site: str, need_program: Callable[[str], str]) -> Iterator[Page]:
    """The page, connected."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=need_program("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page()
        page.goto(f"{site}/websocket_page.html?service={api.url}")
        expect(page.locator("#status")).to_have_text("ready")
        yield page
        browser.close()


def test_the_page_plays_and_shows_every_word(page: Page) -> None:
    page.fill("#text", TEXT)
    page.click("#speak")
    expect(page.locator("#status")).to_have_text("heard to the end", timeout=20_000)
    expect(page.locator("#words")).to_have_text(TEXT)


def test_a_click_interrupts_it(page: Page, api: RunningApi) -> None:
    page.fill("#text", LONG)
    page.click("#speak")
    expect(page.locator("#words")).to_contain_text("This is sentence", timeout=20_000)
    page.click("#interrupt")
    expect(page.locator("#status")).to_have_text("interrupted", timeout=5_000)
    wait_until(lambda: api.backend.open_streams == 0)
    test_the_page_plays_and_shows_every_word(page)
