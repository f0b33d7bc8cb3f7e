"""The quantisation page in a browser: bits that move without the server, an upload, a live run."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser.waiting import until_still
from tests.food import make_food11
from tests.visitor import run_server

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

TEST_PICTURES_PER_CLASS = 4
SCRATCH = "hw13_sample-scratch-s0"
LINE = ".st-key-number_line"
BARS_PX = 110
"""Height of the number line's histogram."""


class Served:
    """Where the app is, and where its files are."""

    def __init__(self, address: str, pretrained: Path) -> None:
        self.address, self.pretrained = address, pretrained


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The app over two untrained networks with made-up rows."""
    from tests.pages import quantization_shelf

    folder = tmp_path_factory.mktemp("quantization")
    counts = {"training": 1, "validation": 1, "testing": TEST_PICTURES_PER_CLASS}
    food = make_food11(folder / "food", per_class=counts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SMALL_PLATES_PRETRAINED", str(folder / "pretrained"))
        quantization_shelf.publish(food)
        quantization_shelf.fill()
        with run_server(folder, environment=os.environ | {"FOOD11_ROOT": str(food)}) as running:
            yield Served(running.address, folder / "pretrained")


@pytest.fixture(scope="module")
def server(served: Served) -> str:
    return served.address


def open_page(page: "Page", server: str, query: str = "", awaited: str = LINE) -> None:
    page.goto(f"{server}/quantization{query}")
    page.wait_for_selector('h1 >> text="How few bits does a weight need?"')
    page.wait_for_selector(f"{awaited} svg.marks")
    until_still(page)


def said(page: "Page") -> str:
    return re.sub(r"\s+", " ", page.inner_text('[data-testid="stMain"]'))


def words_in_line(page: "Page") -> list[str]:
    words: list[str] = page.evaluate(
        f"() => [...document.querySelectorAll('{LINE} svg.marks text')].map(t => t.textContent)"
    )
    return words


def rules_in_line(page: "Page") -> int:
    """How many levels stand over the histogram: the rules that are as tall as the bars."""
    count: int = page.evaluate(
        f"""() => [...document.querySelectorAll('{LINE} svg.marks .mark-rule line')]
        .filter(l => Math.abs(Math.abs(+l.getAttribute('y2')) - {BARS_PX}) < 1).length"""
    )
    return count


def choose_bits(page: "Page", bits: int) -> None:
    page.click(f'{LINE} .vega-bindings input[type="radio"][value="{bits}"]')


def test_moving_the_bits_sends_nothing_to_the_server(page: "Page", server: str) -> None:
    frames: list[object] = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda sent: frames.append(sent)))
    open_page(page, server, f"?network={SCRATCH}")
    page.wait_for_selector(f'{LINE} svg.marks text >> text="4 bits: 16 levels"')
    until_still(page)
    frames.clear()
    for bits, levels in ((2, 4), (3, 8), (5, 32), (1, 2)):
        choose_bits(page, bits)
        head = f"{bits} bit{'s' if bits > 1 else ''}: {levels} levels"
        page.wait_for_selector(f'{LINE} svg.marks text >> text="{head}"')
        assert rules_in_line(page) == levels
    choose_bits(page, 16)
    page.wait_for_selector(f'{LINE} svg.marks text >> text="16 bits: float16"')
    assert rules_in_line(page) == 0
    page.wait_for_timeout(500)
    assert not frames


def test_levels_of_a_channel_scheme_stand_on_its_strips(page: "Page", server: str) -> None:
    open_page(page, server, f"?network={SCRATCH}&scheme=channel_symmetric&line_bits=2")
    page.wait_for_selector(f'{LINE} svg.marks text >> text="2 bits: 3 levels"')
    assert rules_in_line(page) == 0
    assert any(word.endswith("widest range") for word in words_in_line(page))


def test_a_guess_opens_the_curves_and_leaves_other_sections_alone(
    page: "Page", server: str
) -> None:
    open_page(page, server)
    assert "stays within" not in said(page)
    page.evaluate("document.querySelector('h1').marked = true")
    page.evaluate(f"document.querySelector('{LINE} svg').marked = true")
    frames: list[object] = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda sent: frames.append(sent)))
    page.click('.st-key-guess_bits button >> text="4"')
    page.wait_for_selector("text=stays within")
    page.wait_for_selector("text=first leaves the 95")
    page.click('button >> text="bytes"')
    page.wait_for_selector("svg.marks text >> text=/HW7: 300/")
    assert "options=bytes" in page.url
    # neither the title nor a chart that stays as it was is drawn anew
    assert page.evaluate("document.querySelector('h1').marked")
    assert page.evaluate(f"document.querySelector('{LINE} svg').marked")


def test_the_time_has_a_guess_of_its_own(page: "Page", server: str) -> None:
    open_page(page, server, "?tab=time", ".st-key-accuracy-room")
    assert "of float32's time" not in said(page)
    page.click('button >> text="slower"')
    page.wait_for_selector("text=Static int8 measured faster.")
    assert "stays within" not in said(page)
    page.click('.st-key-guess_bits button >> text="Just show me"')
    page.wait_for_selector("text=stays within")


def test_a_homeworks_file_is_dropped_and_read(
    page: "Page", served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from core.quantization.graph import quantized_file
    from core.quantization.upload import HOSTILE

    monkeypatch.setenv("SMALL_PLATES_PRETRAINED", str(served.pretrained))
    good, bad = tmp_path / "good.pkl", tmp_path / "bad.pkl"
    good.write_bytes(quantized_file(SCRATCH, "hw7_8bit"))
    bad.write_bytes(HOSTILE)
    open_page(page, served.address, "?tab=file", ".st-key-accuracy-room")
    picker = page.locator(".st-key-hw7_file input[type=file]")
    picker.set_input_files(bad)
    page.wait_for_selector("text=it would call 'os.system'")
    picker.set_input_files(good)
    page.wait_for_selector(f"text=Read: {good.stat().st_size:,} bytes")
    page.click('button:has-text("Test it on the test photographs")')
    page.wait_for_selector(f"text=of {11 * TEST_PICTURES_PER_CLASS} test photographs")


def test_a_live_run_ends_in_the_chart(page: "Page", server: str) -> None:
    link = f"?tab=run&reveal=true&bits=2&network={SCRATCH}"
    open_page(page, server, link, ".st-key-accuracy-room")
    page.click('button:has-text("Run it here")')
    page.wait_for_selector("text=Measured here at")
    assert page.is_disabled('button:has-text("Measured already")')
    page.reload()
    page.wait_for_selector("text=Measured here at")  # kept for everybody who asks for this point
