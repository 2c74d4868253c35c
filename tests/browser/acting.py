"""What the tests of the page do on it, and see."""

from __future__ import annotations

import time
from collections.abc import Callable

from playwright.sync_api import FilePayload, Locator, Page, expect

from tests.support.uploads import spoken, wav_of

_TURN_MS = 20


def visit(page: Page, url: str, view: str = "speak") -> None:
    """Open a view and wait until the page knows what the service can do."""
    page.goto(f"{url}/#{view}")
    expect(page.get_by_text("Spoken by")).to_be_visible()


def eventually(page: Page, condition: Callable[[], object], seconds: float = 20) -> None:
    """Wait for a condition to become true while the browser goes on; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not become true in time"
        page.wait_for_timeout(_TURN_MS)


def button(page: Page, name: str) -> Locator:
    """The button with exactly this name."""
    return page.get_by_role("button", name=name, exact=True)


def player(page: Page, place: str) -> Locator:
    """The player in `speak`, `convert` or `dock`."""
    return page.locator(f"#{place}-player .player")


def position(page: Page, place: str) -> float:
    """How far that player has played, in seconds."""
    return page.locator(f"#{place}-player .seek").evaluate("slider => slider.valueAsNumber")


def wait_until_heard(page: Page, place: str) -> None:
    """Wait until sound that is not silence really leaves the player."""
    level = "element => Number(element.style.getPropertyValue('--level'))"
    eventually(page, lambda: player(page, place).evaluate(level) > 0.02)


def speak(page: Page, text: str) -> None:
    """Write a text and have it spoken."""
    page.get_by_label("Text to speak").fill(text)
    button(page, "Speak").click()


def saved(page: Page, link: Locator) -> bytes:
    """What a click on a link saves."""
    with page.expect_download() as download:
        link.click()
    return download.value.path().read_bytes()


def recording(name: str, seed: int = 1, seconds: float = 1.0) -> FilePayload:
    """A file that a person could choose."""
    content = wav_of(spoken(seed, seconds))
    return {"name": name, "mimeType": "audio/wav", "buffer": content}


def drop(page: Page, place: str, file: FilePayload) -> None:
    """Drop a file on an element, as from a folder."""
    transfer = page.evaluate_handle(
        """({name, bytes}) => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([new Uint8Array(bytes)], name));
            return transfer;
        }""",
        {"name": file["name"], "bytes": list(file["buffer"])},
    )
    page.locator(place).dispatch_event("drop", {"dataTransfer": transfer})
