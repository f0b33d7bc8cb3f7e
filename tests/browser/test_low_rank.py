"""The low-rank page in a browser: a rank dragged without the server, and a live run."""

import os
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.browser.conftest import PATIENCE_MS
from tests.browser.waiting import until_still
from tests.food import make_food11
from tests.visitor import run_server

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app over two untrained networks, one with made-up curves."""
    from tests.pages import low_rank_shelf

    folder = tmp_path_factory.mktemp("low rank")
    counts = {"training": 1, "validation": 1, "testing": 20}
    food = make_food11(folder / "food", per_class=counts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SMALL_PLATES_PRETRAINED", str(folder / "pretrained"))
        low_rank_shelf.publish(food)
        low_rank_shelf.fill()
        with run_server(folder, environment=os.environ | {"FOOD11_ROOT": str(food)}) as running:
            yield running.address


def settle(page: "Page") -> None:
    page.wait_for_selector("h1 >> text=ranks")
    page.wait_for_selector("svg.marks")
    until_still(page)


def said(page: "Page") -> str:
    return re.sub(r"\s+", " ", page.inner_text('[data-testid="stMain"]'))


def words_in_chart(page: "Page") -> list[str]:
    """All words in the layer's chart."""
    words: list[str] = page.evaluate(
        "() => [...document.querySelector('svg.marks').querySelectorAll('text')]"
        ".map(t => t.textContent)"
    )
    return words


def drag_to(page: "Page", rank: int) -> None:
    page.evaluate(
        """rank => {
            const slider = document.querySelector('.vega-bindings input[type=range]');
            slider.value = rank;
            slider.dispatchEvent(new Event('input', {bubbles: true}));
        }""",
        rank,
    )


def test_dragging_the_rank_asks_the_server_for_nothing(page: "Page", server: str) -> None:
    """Figures against the formula of the layer: 64 -> 64 channels, 3 x 3, with bias."""
    frames: list[object] = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda frame: frames.append(frame)))
    page.goto(f"{server}/low_rank?reveal=true")
    settle(page)
    assert "r = 48 of 192" in words_in_chart(page)
    before = len(frames)
    whole, kept = 64 * 64 * 9 + 64, []
    for rank in (1, 100, 192):
        drag_to(page, rank)
        page.wait_for_function(
            "text => [...document.querySelectorAll('svg.marks text')]"
            ".some(t => t.textContent === text)",
            arg=f"r = {rank} of 192",
        )
        words = words_in_chart(page)
        params = rank * (64 * 3 + 64 * 3) + 64
        assert f"parameters: {rank}·(64·3 + 64·3) + 64" in words
        assert any(f"= {params:,}, {params / whole:.0%} of" in one for one in words), words
        assert f"At rank {rank} the layer keeps" in said(page)
        assert f"with {100 * params / whole:.0f} % of its parameters" in said(page)
        kept += [float(one.split()[-1].rstrip("%")) for one in words if "energy kept:" in one]
    assert kept == sorted(kept) and kept[-1] == 100 and kept[0] < 10
    assert len(frames) == before


def test_the_picture_hides_what_the_guess_is_about(page: "Page", server: str) -> None:
    page.goto(f"{server}/low_rank")
    settle(page)
    assert "energy kept: ?" in words_in_chart(page) and "energy kept" not in words_in_chart(page)
    drag_to(page, 150)
    page.wait_for_function(
        "() => [...document.querySelectorAll('svg.marks text')]"
        ".some(t => t.textContent === 'r = 150 of 192')"
    )
    assert "energy kept: ?" in words_in_chart(page)
    page.click('button:has-text("about a tenth")')
    page.wait_for_selector("text=Not quite.")
    page.wait_for_function(
        "() => [...document.querySelectorAll('svg.marks text')]"
        ".some(t => /energy kept: [0-9]/.test(t.textContent))"
    )
    assert "energy kept" in words_in_chart(page)
    assert "r = 150 of 192" in words_in_chart(page)  # where it was dragged to
    page.click('button:has-text("about half")')
    page.wait_for_selector("text=original is right")
    page.get_by_role("tab", name="Faster?").click()
    page.click('button:has-text("more time")')
    page.wait_for_selector("text=of the MACs, took")
    assert "tab=time" in page.url and "guess" not in page.url


def test_a_live_run_ends_in_the_chart(page: "Page", server: str) -> None:
    page.goto(f"{server}/low_rank?network=hw13_sample-scratch-s0&energy=30&tab=run")
    settle(page)
    page.click('button:has-text("Run it here")')
    page.wait_for_selector("text=Measured here at", timeout=3 * PATIENCE_MS)
    assert page.is_disabled('button:has-text("Measured already")')
    text = said(page)
    assert "Layers factored: " in text and "the original" in text
    page.reload()
    settle(page)
    page.wait_for_selector("text=Measured here at")  # kept for everybody who asks for this point


def test_it_fits_a_phone(page: "Page", server: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{server}/low_rank?reveal=true")
    settle(page)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth + 1")
    spilled = page.evaluate(
        """() => [...document.querySelectorAll('svg.marks')].flatMap(svg => {
            const box = svg.getBoundingClientRect();
            return [...svg.querySelectorAll('text')].filter(text => {
                const own = text.getBoundingClientRect();
                return text.textContent && (own.right > box.right + 2 || own.left < box.left - 2);
            }).map(text => text.textContent);
        })"""
    )
    assert not spilled
