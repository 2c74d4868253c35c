"""What holds for every view: readable, reachable, within the screen, and sent as it should be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, Route, ViewportSize, expect

from tests.browser.acting import button, visit
from tests.support.direct import RunningApi
from tests.support.uploads import speak_files, upload_voice

VIEWS = ("speak", "convert", "voices", "history")
PHONE: ViewportSize = {"width": 360, "height": 740}

CONTRASTS = """() => {
  const parse = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => [r, g, b]
    .map((c) => c / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour[3] !== 0) return colour;
    }
  };
  const texts = [...document.querySelectorAll("body *")].filter((element) =>
    element.checkVisibility() && !element.matches(".visually-hidden, .skip, :disabled, option") &&
    !element.closest("canvas, svg, .visually-hidden, :disabled") &&
    ([...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim()) ||
      element.matches("input, select, textarea")));
  return texts.map((element) => {
    const [one, other] = [parse(getComputedStyle(element).color), behind(element)].map(luminance);
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    return {what: element.id || element.className || element.textContent.trim(), ratio};
  });
}"""


@pytest.fixture
def filled(api: RunningApi) -> RunningApi:
    """A service with something in every list."""
    upload_voice(api, "anna.wav", name="A rather long name of a voice" * 4)
    speak_files(api, "An unbreakableword" + "word" * 40)
    return api


def each_view(page: Page, api: RunningApi) -> Iterator[str]:
    """Open one view after the other, with its list where it has one."""
    for view in VIEWS:
        visit(page, api.url, view)
        if view in ("voices", "history"):
            expect(page.locator(f"#{view.removesuffix('s')}-list li")).to_have_count(1)
        yield view


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_have_the_contrast_of_wcag_aa(page: Page, filled: RunningApi, scheme: Any) -> None:
    page.emulate_media(color_scheme=scheme)
    for view in each_view(page, filled):
        expect(page.locator("html")).to_have_attribute("data-theme", scheme)
        measured = page.evaluate(CONTRASTS)
        assert len(measured) > 10
        assert [text for text in measured if text["ratio"] < 4.5] == [], view


def test_a_phone_needs_no_sideways_scrolling(page: Page, filled: RunningApi) -> None:
    page.set_viewport_size(PHONE)
    for view in each_view(page, filled):
        assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"], view


def test_whatever_can_be_reached_has_a_name_and_shows_its_focus(
    page: Page, filled: RunningApi
) -> None:
    for view in each_view(page, filled):
        stops = [_next_stop(page) for _ in range(24)]
        assert len({stop["what"] for stop in stops}) > 8, view
        assert [stop["what"] for stop in stops if not stop["ring"]] == [], view
        assert _nameless(page) == [], view


def _next_stop(page: Page) -> dict[str, Any]:
    """Where Tab leads, and whether a ring is seen there; beyond the last stop is none."""
    page.keyboard.press("Tab")
    return page.evaluate(
        """() => {
            const at = document.activeElement;
            const around = [at, at.closest("label"), at.closest(".sheet, .wave")].filter(Boolean);
            return {
                what: at.id || at.getAttribute("href") || at.textContent.trim(),
                ring: at === document.body ||
                    around.some((e) => getComputedStyle(e).outlineStyle === "solid"),
            };
        }"""
    )


def _nameless(page: Page) -> list[str]:
    """The roles of focusable things that screen readers have no name for."""
    session = page.context.new_cdp_session(page)
    nodes = session.send("Accessibility.getFullAXTree")["nodes"]
    focusable = [
        node
        for node in nodes
        if not node.get("ignored") and node["role"]["value"] != "RootWebArea"
        if any(p["name"] == "focusable" for p in node.get("properties", ()))
        if node["role"]["value"] not in ("main", "MenuListPopup")
    ]
    assert len(focusable) > 8
    return [n["role"]["value"] for n in focusable if not n.get("name", {}).get("value")]


def test_it_has_landmarks_and_one_heading_above_the_others(page: Page, api: RunningApi) -> None:
    visit(page, api.url)
    for role in ("banner", "main", "contentinfo"):
        expect(page.get_by_role(role)).to_have_count(1)
    expect(page.get_by_role("heading", level=1)).to_have_count(1)
    expect(page.get_by_role("heading", level=2)).to_have_text("Speak")
    expect(page.get_by_role("link", name="Speak")).to_have_attribute("aria-current", "page")


def test_the_chosen_theme_is_kept(page: Page, api: RunningApi) -> None:
    visit(page, api.url)
    expect(page.locator("html")).to_have_attribute("data-theme", "light")
    button(page, "Dark theme").click()
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(button(page, "Dark theme")).to_have_attribute("aria-pressed", "true")


def test_nothing_moves_for_those_who_do_not_want_it(page: Page, api: RunningApi) -> None:
    page.emulate_media(reduced_motion="reduce")
    visit(page, api.url)
    durations = "elements => elements.map(e => getComputedStyle(e).transitionProperty)"
    assert set(page.locator("button").evaluate_all(durations)) == {"none"}


def test_the_key_goes_with_every_request_and_stays_in_the_tab(
    page: Page, filled: RunningApi
) -> None:
    page.route("**/api/**", _only_with_the_key)
    page.goto(f"{filled.url}/#history")
    alert, shown = page.get_by_role("alert"), page.locator("#history-list")
    expect(alert).to_have_text("The server asks for an API key. Enter it at the top.")
    expect(shown).to_have_attribute("aria-busy", "false")
    page.locator("#key summary").click()
    page.locator("#key-input").fill("ключ")
    page.locator("#key-input").press("Enter")
    expect(alert).to_contain_text("A key has only English letters")
    page.locator("#key-input").fill("secret")
    page.locator("#key-input").press("Enter")
    expect(shown.locator("li")).to_have_count(1)
    expect(alert).to_be_hidden()
    expect(page.locator("#key summary")).to_be_focused()
    assert page.evaluate("Object.values(localStorage).join()") == ""


def _only_with_the_key(route: Route) -> None:
    if route.request.headers.get("authorization") == "Bearer secret":
        route.continue_()
    else:
        route.fulfill(status=401)


def test_an_unknown_part_of_the_page_is_not_found(api: RunningApi) -> None:
    for name in ("nothing.js", "..%2fsettings.py", "%2e%2e/settings.py"):
        assert api.client.get(f"/page/{name}").status_code == 404


def test_it_is_sent_once_and_then_only_confirmed(api: RunningApi) -> None:
    page = api.client.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'self'" in page.headers["content-security-policy"]
    assert "unsafe" not in page.headers["content-security-policy"]
    again = api.client.get("/", headers={"If-None-Match": page.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert api.client.head("/").status_code == 200
