"""Results and Home's chart in a browser: names beside their marks, figures by their links."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from tests.browser.waiting import until_still
from tests.visitor import run_server

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app over a full, made-up collection: seventeen recipes, five of them with three seeds."""
    from tests import results_shelf

    folder = tmp_path_factory.mktemp("results")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SMALL_PLATES_PRETRAINED", str(folder / "pretrained"))
        results_shelf.fill()
        with run_server(folder) as running:
            yield running.address


def settle(page: "Page") -> None:
    page.wait_for_selector("h1")
    page.wait_for_selector("svg.marks")
    until_still(page)


BOXES = """
() => {
  const svg = document.querySelector('svg.marks');
  const box = e => {
    const r = e.getBoundingClientRect();
    return [r.left, r.top, r.right, r.bottom];
  };
  const group = name => [...svg.querySelectorAll(`.mark-${name}:not(.role-axis-label)`)]
    .filter(g => !g.closest('.role-axis') && !g.closest('.role-legend'));
  return {
    names: group('text').flatMap(g => [...g.querySelectorAll('text')])
      .map(t => ({text: t.textContent, box: box(t)})).filter(n => n.text),
    marks: group('symbol').flatMap(g => [...g.querySelectorAll('path')])
      .filter(p => getComputedStyle(p).fill != 'none' && p.getAttribute('fill') != 'transparent'
                   && parseFloat(p.getAttribute('opacity') || p.style.opacity || 1) > 0.9)
      .map(box),
    frame: box(svg),
  };
}
"""


def overlap(a: list[float], b: list[float], slack: float) -> bool:
    return (
        a[0] < b[2] - slack and b[0] < a[2] - slack and a[1] < b[3] - slack and b[1] < a[3] - slack
    )


@pytest.mark.parametrize("width", [1280, 768, 390])
@pytest.mark.parametrize("cost", ["params", "size_bytes"])
def test_names_on_homes_chart_cover_neither_each_other_nor_marks(
    page: "Page", server: str, width: int, cost: str
) -> None:
    page.set_viewport_size({"width": width, "height": 1000})
    page.goto(f"{server}/?cost={cost}&trials=true")
    settle(page)
    found: dict[str, Any] = page.evaluate(BOXES)
    names, marks = found["names"], found["marks"]
    assert len(names) >= (2 if width == 390 else 3), [one["text"] for one in names]
    assert len(marks) >= 17
    for i, one in enumerate(names):
        left, _top, right, _bottom = one["box"]
        assert left >= found["frame"][0] - 1 and right <= found["frame"][2] + 1, one
        for other in names[i + 1 :]:
            assert not overlap(one["box"], other["box"], 4), (one, other)
        for mark in marks:
            assert not overlap(one["box"], mark, 4), (one, mark)


def test_the_cost_is_changed_and_kept_in_the_link(page: "Page", server: str) -> None:
    page.goto(server)
    settle(page)
    page.click('button:has-text("MACs")')
    page.wait_for_function(
        "[...document.querySelectorAll('svg.marks text')]"
        ".some(t => t.textContent == 'Multiply-accumulates')"
    )
    page.wait_for_url("**cost=macs**")
    assert "boss" not in page.inner_text('[data-testid="stMain"]')
    page.click('button:has-text("2022")')
    page.wait_for_function(
        "[...document.querySelectorAll('svg.marks text')]"
        ".some(t => t.textContent.startsWith('boss'))"
    )
    page.click('button:has-text("none")')
    page.wait_for_function(
        "![...document.querySelectorAll('svg.marks text')]"
        ".some(t => t.textContent.startsWith('boss'))"
    )


def test_a_figure_is_chosen_and_a_guess_answered(page: "Page", server: str) -> None:
    page.goto(f"{server}/results?figure=16")
    settle(page)
    page.wait_for_selector("text=which kind of convolution is best")
    page.click('button:has-text("1: depthwise")')
    page.wait_for_function(
        "[...document.querySelectorAll('svg.marks text')].some(t => t.textContent == 'training')"
    )
    assert "figure=1" in page.url
    page.evaluate("document.querySelector('h1').marked = true")
    page.click('button:has(:text-is("yes"))')
    page.wait_for_selector("text=/Right\\..*Agrees/")
    assert page.evaluate("document.querySelector('h1').marked")  # only the section is drawn anew


def test_sizes_are_compared_in_a_tab(page: "Page", server: str) -> None:
    page.goto(f"{server}/results")
    settle(page)
    page.click('[data-baseweb="tab"]:has-text("Same size"), [role="tab"]:has-text("Same size")')
    page.wait_for_selector("text=compress one big model by two methods to the same size")
    page.wait_for_url("**tab=size**")


def test_the_data_taken_along_are_those_of_the_figure_shown(page: "Page", server: str) -> None:
    page.goto(f"{server}/results?figure=16")
    settle(page)

    def taken() -> dict[str, pd.DataFrame]:
        buttons = page.get_by_role("button", name="This chart's data")
        tables = {}
        for index in range(buttons.count()):
            with page.expect_download() as waiting:
                buttons.nth(index).click()
            name = waiting.value.suggested_filename
            tables[name] = pd.read_csv(waiting.value.path(), encoding="utf-8-sig")
        return tables

    before = taken()
    page.click('button:has-text("1: depthwise")')
    page.wait_for_function(
        "[...document.querySelectorAll('svg.marks text')].some(t => t.textContent == 'training')"
    )
    settle(page)
    after = taken()
    assert all(len(table) for table in (before | after).values())
    shown = before["small-plates-curves-16.csv"], after["small-plates-curves-1.csv"]
    assert [set(table["stem"]) for table in shown] == [
        {"plain_275k-scratch", "group8_277k-scratch", "dwpw_256k-scratch"},
        {"dwpw_256k-scratch"},
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_needs_no_sideways_scroll(page: "Page", server: str, scheme: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.goto(f"{server}/results")
    settle(page)
    wide = page.evaluate(
        "() => [document.documentElement, document.querySelector('[data-testid=\"stMain\"]')]"
        ".some(e => e.scrollWidth > e.clientWidth + 1)"
    )
    assert not wide
    cut = page.evaluate(
        "() => [...document.querySelectorAll('svg.marks')]"
        ".some(s => s.getBoundingClientRect().right > window.innerWidth + 1)"
    )
    assert not cut
    assert not page.query_selector('[data-testid="stException"]')
