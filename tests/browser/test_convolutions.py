"""The convolution calculator in a browser: drawings, links, timing, narrow screens."""

from typing import TYPE_CHECKING

import pytest

from tests.browser.conftest import PATIENCE_MS
from tests.browser.waiting import until_still

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

PATH = "convolutions"
SMALL = "in_channels=8&out_channels=8&groups=2&map_size=8"
CHARTS = 4
"""Parameters, and three drawings."""


def open_page(page: "Page", server: str, query: str = "", charts: int = CHARTS) -> None:
    """Open the page with its settings, and wait until all charts are drawn."""
    page.goto(f"{server}/{PATH}?{query}")
    page.wait_for_function("n => document.querySelectorAll('svg.marks').length >= n", arg=charts)
    until_still(page)


DRAWING = "[...document.querySelectorAll(`[aria-label^='${kind}. '] svg.marks .mark-rule line`)]"
"""The lines of a drawing, found by the first words of its alt text."""


def inked(page: "Page", kind: str) -> list[list[float]]:
    """The thick lines of a drawing: where they begin and end, in pixels of their chart."""
    found: list[list[float]] = page.evaluate(
        f"kind => {DRAWING}.filter(l => +l.getAttribute('stroke-width') > 2)"
        ".map(l => { const t = l.transform.baseVal.consolidate().matrix;"
        " return [t.e, t.f, t.e + +l.getAttribute('x2'), t.f + +l.getAttribute('y2')] })",
        kind,
    )
    return found


def wait_for_lines(page: "Page", kind: str, number: int) -> None:
    """Until a drawing has this many lines, inked ones counted once more."""
    page.wait_for_function(f"([kind, n]) => {DRAWING}.length == n", arg=[kind, number])


def set_number(page: "Page", label: str, value: int) -> None:
    """Type a number as a visitor does."""
    box = page.get_by_label(label, exact=True)
    box.fill(str(value))
    box.press("Enter")


def test_the_drawing_follows_the_groups(page: "Page", server: str) -> None:
    open_page(page, server, "in_channels=8&out_channels=8&groups=2")
    assert len(inked(page, "Standard")) == 8  # output channel 1 reads them all
    assert len(inked(page, "Group")) == 4
    wait_for_lines(page, "Group", 2 * 4 * 4 + 4)
    set_number(page, "Groups", 4)
    wait_for_lines(page, "Group", 4 * 2 * 2 + 2)
    assert len(inked(page, "Group")) == 2
    assert len(inked(page, "Standard")) == 8
    page.wait_for_url("**groups=4**")


def test_pointing_at_a_channel_shows_what_it_reads(page: "Page", server: str) -> None:
    frames: list[object] = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda frame: frames.append(frame)))
    open_page(page, server, "in_channels=8&out_channels=8&groups=2")
    before = inked(page, "Group")
    sent = len(frames)
    assert sent
    last = page.locator("[aria-label^='Group. '] svg.marks .mark-symbol").last.locator("path").last
    last.scroll_into_view_if_needed()
    last.hover(force=True)
    page.wait_for_timeout(500)
    after = inked(page, "Group")
    assert len(after) == 4
    assert after != before
    assert len(frames) == sent


def test_a_guess_reveals_the_answer_and_leaves_the_title_alone(page: "Page", server: str) -> None:
    open_page(page, server)
    title = page.query_selector("h1")
    assert "8,960" not in page.inner_text('[data-testid="stMain"]')
    top = page.locator("svg.marks").first.bounding_box()
    assert top is not None and top["y"] < 420
    height = "document.querySelector('[data-testid=\"stMain\"]').scrollHeight"
    assert page.evaluate(height) < 1600
    page.get_by_text("1/16", exact=True).click()
    page.wait_for_selector("text=Not quite. It needs 8,960 of 73,856")
    assert title is not None and title.evaluate("e => e.isConnected")
    page.get_by_role("tab", name="Work and memory").click()
    page.wait_for_selector("text=6.17 MACs instead of 38.4")
    page.wait_for_url("**tab=work**")


def test_a_mistake_is_mended_by_a_button(page: "Page", server: str) -> None:
    open_page(page, server)
    page.get_by_label("Groups", exact=True).focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=7 groups can share neither")
    page.get_by_role("button", name="Groups: 8").click()
    page.wait_for_function("document.querySelectorAll('svg.marks').length >= 4")
    assert page.get_by_label("Groups", exact=True).input_value() == "8"
    assert "7 groups" not in page.inner_text('[data-testid="stMain"]')


def test_a_link_opens_its_setting(page: "Page", server: str) -> None:
    open_page(page, server, "in_channels=256&out_channels=256&map_size=8&bias=false")
    assert page.get_by_label("Input channels", exact=True).input_value() == "256"
    page.get_by_role("button", name="More of the layer").click()
    page.get_by_role("switch", name="Bias").wait_for()
    assert not page.get_by_role("switch", name="Bias").is_checked()
    texts = page.evaluate(
        "() => [...document.querySelectorAll('svg.marks text')].map(t => t.textContent)"
    )
    assert "589,824" in texts


def test_timing_gives_a_picture_and_a_verdict(page: "Page", server: str) -> None:
    open_page(page, server, f"{SMALL}&tab=time", charts=1)
    page.get_by_text("Just show me", exact=True).click()
    page.get_by_role("button", name="Time it here").click()
    picture = "[aria-label^='MACs and measured time'] svg.marks"
    page.wait_for_selector(picture, timeout=2 * PATIENCE_MS)
    words = page.inner_text('[data-testid="stMain"]')
    assert "of the standard layer's time at batch 1" in words
    assert "1 thread" in words
    assert not page.query_selector('[data-testid="stException"]')


def test_a_phone_shows_the_picture_first_and_needs_no_sideways_scroll(
    page: "Page", server: str
) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    open_page(page, server)
    top = page.locator("svg.marks").first.bounding_box()
    assert top is not None and top["y"] < 420
    wide = page.evaluate(
        "() => [document.documentElement, document.querySelector('[data-testid=\"stMain\"]')]"
        ".some(e => e.scrollWidth > e.clientWidth + 1)"
    )
    assert not wide
    cut = page.evaluate(
        "() => [...document.querySelectorAll('svg.marks, .katex')]"
        ".filter(s => s.getBoundingClientRect().right > window.innerWidth + 1).length"
    )
    assert cut == 0
