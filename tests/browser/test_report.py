"""A visitor guesses, answers a quiz, writes, takes the report along, and opens it another day."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser
WORDS = "Depthwise needs <b>fewer</b> parameters."


def download(page: "Page", kind: str, folder: Path) -> Path:
    with page.expect_download() as started:
        page.click(f".st-key-report_{kind} button")
    path = folder / started.value.suggested_filename
    started.value.save_as(path)
    return path


def to_report(page: "Page") -> None:
    page.get_by_test_id("stSidebarNav").get_by_role("link", name="Report").click()
    page.wait_for_selector("h1:has-text('What did you find out?')")


def test_a_report_goes_along_and_comes_back(
    page: "Page", browser: "Browser", server: str, tmp_path: Path
) -> None:
    page.goto(f"{server}/convolutions")
    page.locator("[data-testid='stButtonGroup'] button", has_text="1/4").click()
    page.wait_for_selector("text=Not quite. It needs")
    page.get_by_role("tab", name="Quiz").click()
    page.locator(".st-key-quiz_groups label", has_text="9,344").click()
    page.wait_for_selector("text=Right. 9,344. Each output channel reads one group")
    page.wait_for_selector("text=Right: 1 of 3")
    to_report(page)
    page.locator("[data-testid='stButtonGroup'] button", has_text="HW7 Q4").click()
    page.wait_for_selector("td:has-text('It needs 8,960')")
    page.wait_for_selector("text=Quiz answers right: 1 of 1")
    page.fill("textarea", WORDS)
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("text=Questions answered: 1 of 8")

    shown = download(page, "html", tmp_path)
    other = browser.new_page()
    other.goto(shown.as_uri())
    assert "It needs 8,960" in other.inner_text("body") and WORDS in other.inner_text("body")
    assert other.locator("a").first.get_attribute("href") == f"{server}/convolutions"
    assert other.locator("b, script, img").count() == 0
    other.close()
    saved = download(page, "json", tmp_path)

    context = browser.new_context(viewport={"width": 390, "height": 844})
    fresh = context.new_page()
    fresh.set_default_timeout(60_000)
    fresh.goto(f"{server}/report?question=HW7+Q4")
    fresh.wait_for_selector("text=Nothing is in it yet")
    fresh.get_by_role("button", name="Name, open again").click()
    fresh.set_input_files("input[type=file]", saved)
    fresh.wait_for_selector("text=Questions answered: 1 of 8")
    assert fresh.input_value("textarea") == WORDS
    fresh.wait_for_selector("td:has-text('It needs 8,960')")
    fresh.wait_for_selector("td:has-text('9,344')")  # of the quiz
    assert fresh.evaluate("document.documentElement.scrollWidth") <= 390
    context.close()
