"""The presenter's screen, in a real browser."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.conftest import PATIENCE_MS
from tests.visitor import run_server

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the servers of this test share."""
    monkeypatch.setenv("SMALL_PLATES_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("SMALL_PLATES_PRETRAINED", str(tmp_path / "pretrained"))
    return tmp_path


@pytest.fixture
def server(folder: Path) -> Iterator[str]:
    with run_server(folder) as running:
        yield running.address


@pytest.fixture
def open_tab(browser: "Browser") -> Iterator[Any]:
    """Opens an address in a browser of its own."""
    with ExitStack() as contexts:

        def opened(address: str, width: int = 1280, height: int = 800) -> "Page":
            context = contexts.enter_context(
                browser.new_context(viewport={"width": width, "height": height})
            )
            tab = context.new_page()
            tab.set_default_timeout(4 * PATIENCE_MS)  # six browsers share a small machine
            tab.goto(address)
            return tab

        yield opened


SMALLEST_PX = """() => {
  const sizes = [];
  for (const e of document.querySelectorAll('[data-testid="stMainBlockContainer"] *')) {
    const words = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!words || ['STYLE', 'SCRIPT'].includes(e.tagName) || !e.checkVisibility()) continue;
    sizes.push(parseFloat(getComputedStyle(e).fontSize) * e.currentCSSZoom);
  }
  return Math.min(...sizes);
}"""


def test_a_presenter_sees_large_text_and_moves_on_with_keys(server: str, open_tab: Any) -> None:
    tab = open_tab(f"{server}/convolutions?stage=1", 1920, 1080)
    chart = "[data-testid='stVegaLiteChart'] svg"
    tab.wait_for_selector(chart)
    tab.wait_for_function(
        f"document.querySelector(`{chart}`).getBoundingClientRect().right <= 1700"
    )
    tab.wait_for_function("document.documentElement.dataset.stage === 'top'")
    assert not tab.is_visible("[data-testid='stSidebar']") and tab.is_visible("h1")
    assert not tab.is_visible("[data-testid='stTabs']")
    assert tab.evaluate(SMALLEST_PX) >= 24
    assert tab.evaluate("document.documentElement.scrollWidth") <= 1920
    for _screen in range(8):
        tab.keyboard.press("PageDown")
        tab.wait_for_timeout(1000)
        if tab.is_visible("[data-testid='stTabs']"):
            break
    assert tab.is_visible("[data-testid='stTabs']") and not tab.is_visible("h1")
    first = tab.inner_text("[role='tab'][aria-selected='true']")
    tab.keyboard.press("PageUp")
    tab.wait_for_selector("h1")
    assert not tab.is_visible("[data-testid='stTabs']") and first
    tab.keyboard.press("Escape")
    tab.wait_for_selector("[data-testid='stSidebar']")
    tab.wait_for_function("!location.search.includes('stage')")
