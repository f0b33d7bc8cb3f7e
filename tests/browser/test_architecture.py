"""The architecture page in a browser: pictures drawn, a design typed, linked, saved, reopened."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from core.models.design.cost import layer_rows, totals
from core.models.design.spec import read
from tests.browser.waiting import until_still

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

LINE = "px64-relu6-stem8p-sep16p-plain32"
PARAMS = """[...document.querySelectorAll("[data-testid='stMain'] p")]
  .map(e => /(?:^|[.] )([0-9,]+) parameters/.exec(e.innerText)).find(found => found)?.[1]"""
"""How many parameters the page says that the network has."""


def open_page(page: "Page", server: str, query: str = "", charts: int = 1) -> None:
    """Open the page with its settings, and wait until its charts are drawn."""
    page.goto(f"{server}/architecture?{query}")
    page.wait_for_function("n => document.querySelectorAll('svg.marks').length >= n", arg=charts)
    until_still(page)


def wait_for_params(page: "Page", line: str) -> None:
    """Until the page shows the number of parameters of this design."""
    expected = f"{totals(layer_rows(read(line))).params:,}"
    page.wait_for_function(f"n => ({PARAMS}) === n", arg=expected)


def test_every_part_of_the_network_is_drawn(page: "Page", server: str) -> None:
    open_page(page, server)
    main = page.locator("[data-testid='stMain']")
    assert "94" not in main.inner_text()
    top = page.locator("svg.marks").first.bounding_box()
    assert top is not None and top["y"] < 420
    assert main.evaluate("e => e.scrollHeight") < 1600
    page.get_by_text("Just show me", exact=True).click()
    page.wait_for_selector("text=second half 94")
    chart = page.locator("[aria-label^='Bars for each part of'] svg.marks")
    text = chart.text_content() or ""
    assert chart.locator(".mark-rect path").count() == 3 * 9
    for part in ("256,779", "29.6\u202fM", "stem", "classifier", "27\u202f%"):
        assert part in text.replace("  ", " ")
    page.get_by_role("combobox", name="Network").click()
    page.get_by_role("option", name="ResNet-18").click()
    page.wait_for_url("**model=resnet18**")
    page.wait_for_function(f"n => ({PARAMS}) === n", arg="11,182,155")


def test_side_by_side_then_to_the_designer(page: "Page", server: str) -> None:
    open_page(page, server, "mode=compare&model_a=resnet18")
    alt = page.locator("[aria-label^='What Depthwise']").get_attribute("aria-label") or ""
    assert "44× smaller" in alt
    page.get_by_role("radio", name="Design", exact=True).click()
    page.wait_for_url("**mode=design**")
    page.get_by_label("The design in one line", exact=True).wait_for()


def test_totals_follow_the_typing_without_enter(page: "Page", server: str) -> None:
    open_page(page, server, f"mode=design&design={LINE}&tab=take")
    wait_for_params(page, LINE)
    field = page.get_by_label("The design in one line", exact=True)
    field.press("End")
    field.type("x3", delay=40)
    wait_for_params(page, f"{LINE}x3")
    page.wait_for_url(f"**design={LINE}x3**")
    page.reload()
    wait_for_params(page, f"{LINE}x3")


def test_the_keyboard_alone_designs_a_student(page: "Page", server: str) -> None:
    open_page(page, server, f"mode=design&design={LINE}&tab=take")
    width = page.get_by_label("Width", exact=True)
    width.focus()
    width.press("Control+a")
    width.type("24")
    width.press("Enter")
    wait_for_params(page, LINE.replace("sep16p", "sep24p"))
    page.wait_for_url("**sep24p**")


def test_a_saved_design_opens_in_another_session(page: "Page", server: str, tmp_path: Path) -> None:
    open_page(page, server, f"mode=design&design={LINE}&tab=take")
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Design (JSON)").click()
    saved = tmp_path / waiting.value.suggested_filename
    waiting.value.save_as(saved)
    assert json.loads(saved.read_text())["input_px"] == 64
    with page.expect_download() as waiting:
        page.get_by_role("button", name="PyTorch source").click()
    assert waiting.value.suggested_filename == f"{saved.stem}.py"

    open_page(page, server, "mode=design")
    page.get_by_role("button", name="The whole network").click()
    page.locator("input[type=file]").set_input_files(saved)
    wait_for_params(page, LINE)
    page.wait_for_url(f"**design={LINE}**")


def test_a_hostile_link_is_words_only(page: "Page", server: str) -> None:
    open_page(page, server, "mode=design&design=%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E")
    page.get_by_text("is no part of a design").wait_for()
    assert page.locator("img[src='x']").count() == 0
    assert page.locator("[data-testid='stException']").count() == 0


@pytest.mark.parametrize("mode", ["look", "compare", "design"])
def test_a_phone_scrolls_down_only(page: "Page", server: str, mode: str) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    open_page(page, server, f"mode={mode}")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    top = page.locator("svg.marks").first.bounding_box()
    assert top is not None and top["y"] < 420
    assert page.locator("[data-testid='stException']").count() == 0
