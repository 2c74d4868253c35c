"""The page in a real browser: Chromium, headless, with a microphone that beeps.

Most tests run over the fake engines in this process, whose sound can be computed and whose open
streams can be counted; `real_service` is `serve-app up` with the embedded voice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, Request, expect, sync_playwright

from serve_app.engines.fake import FakeEngine
from tests.support.direct import RunningApi, running_api
from tests.support.service import RunningService, default_config, running_service

_FLAGS = (
    "--no-sandbox",
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
)
_WAIT_MS = 20_000
expect.set_options(timeout=_WAIT_MS)


@pytest.fixture
def api(tmp_path: Path) -> Iterator[RunningApi]:
    """A fresh service whose engine answers at once."""
    with running_api(FakeEngine(), tmp_path) as running:
        yield running


@pytest.fixture
def slow_api(tmp_path: Path) -> Iterator[RunningApi]:
    """A fresh service whose engine takes 300 ms for each sentence."""
    with running_api(FakeEngine(chunk_delay_s=0.3), tmp_path) as running:
        yield running


@pytest.fixture(scope="session")
def real_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """The service as it comes."""
    with running_service(default_config(), tmp_path_factory.mktemp("real")) as running:
        yield running


@pytest.fixture(scope="module")
def browser(need_program: Callable[[str], str]) -> Iterator[Browser]:
    """The system's Chromium; once a module, because async tests cannot run while it does."""
    path = need_program("chromium")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=list(_FLAGS))
        yield launched
        launched.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """An empty page. Whatever a test does on it, nothing may be asked of a host but the first,
    nothing may break its policy, and no script may fail.
    """
    context = browser.new_context(viewport={"width": 1240, "height": 860}, locale="en-GB")
    context.set_default_timeout(_WAIT_MS)
    page = context.new_page()
    hosts: set[str] = set()
    complaints: list[str] = []

    def note(request: Request) -> None:
        if not request.url.startswith("blob:"):
            hosts.add(urlsplit(request.url).netloc)

    context.on("request", note)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda line: complaints.append(line.text) if "Policy" in line.text else None)
    yield page
    context.close()
    assert len(hosts) <= 1
    assert complaints == []
