"""The loss taken apart by Vega, in a real browser, against the same sums in numpy."""

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from core.course import CLASSES
from core.distillation.temperature import examples
from core.distillation.terms import lengths, take_apart
from core.inference.predict import open_session, run_batches
from tests.browser.waiting import until_still
from tests.pages import shelf

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

CHART = ".st-key-distillation svg.marks"


def marks(page: "Page", kind: str) -> list[dict[str, str]]:
    """What the browser says of each mark of a kind: its fields, with six digits at least."""
    said: list[str] = page.evaluate(
        "([chart, kind]) => [...document.querySelectorAll("
        "`${chart} [aria-roledescription='${kind}']`)].map(e => e.getAttribute('aria-label'))",
        [CHART, kind],
    )
    return [dict(part.split(": ", 1) for part in one.split("; ") if ": " in part) for one in said]


def number(said: str) -> float:
    return float(said.replace("−", "-"))


def example() -> tuple[np.ndarray, np.ndarray, int]:
    """Student's and teacher's logits of the page's default example, and its class."""
    pixels, labels = shelf.test_pictures()
    teacher, student = (
        run_batches(open_session(shelf.colour_graph(shelf.NOISE[name])), pixels)
        for name in (shelf.TEACHER, shelf.SCRATCH)
    )
    row = examples(teacher, student, labels)["hesitates"][0]
    return student[row], teacher[row], int(labels[row])


def open_page(page: "Page", server: str, query: str = "") -> None:
    page.goto(f"{server}/distillation?{query}")
    page.wait_for_selector(CHART)
    for name in ("Just show me", "More choices", "Change a logit"):  # for all that can be shown
        page.click(f'text="{name}"')
    page.wait_for_selector('.vega-bindings select[name="pick"]')
    page.wait_for_selector(f'{CHART} text:text("soft, without T²")')
    until_still(page)
    page.keyboard.press("Escape")


def wait_for_total(page: "Page", shown: str) -> None:
    page.wait_for_function(
        "([chart, shown]) => [...document.querySelectorAll(`${chart} text`)]"
        ".some(t => t.textContent == shown)",
        arg=[CHART, shown],
    )


def compare(page: "Page", alpha: float, t: float, pick: int = 0, move: float = 0.0) -> None:
    """Everything in the picture is what numpy makes of the same logits."""
    student, teacher, label = example()
    student = student.astype(float)
    student[pick] += move
    parts = take_apart(student, teacher, label, alpha, t)
    total = f"◆ {alpha:.2f} soft + {1 - alpha:.2f} hard = {parts.total:.2f}"
    wait_for_total(page, total)
    texts = page.eval_on_selector_all(f"{CHART} text", "all => all.map(t => t.textContent)")
    assert f"● soft loss: {parts.soft:.2f}" in texts
    assert f"✓ hard loss: {parts.hard:.2f}" in texts

    bars: dict[str, Any] = {"soft": {}, "hard": {}}
    for bar in marks(page, "bar"):
        bars[bar["term"]][bar["food"].removeprefix("✓ ")] = number(bar["to"])
    for term, expected in (("soft", parts.soft_gradient), ("hard", parts.hard_gradient)):
        drawn = [bars[term][name] for name in CLASSES]
        np.testing.assert_allclose(drawn, expected, atol=2e-5)

    points = marks(page, "point")
    sums = {one["food"].removeprefix("✓ "): number(one["from"]) for one in points if "food" in one}
    np.testing.assert_allclose([sums[name] for name in CLASSES], parts.gradient, atol=2e-5)
    lengths_here = sorted(number(one["length"]) for one in points if "length" in one)
    expected_here = lengths(student, teacher, label, t)
    np.testing.assert_allclose(
        lengths_here,
        sorted([expected_here.hard, expected_here.soft, expected_here.without_t2]),
        rtol=2e-5,
    )
    follow = page.inner_text(".st-key-follows_loss")
    other = int(np.abs(np.where(np.arange(11) == label, 0, parts.soft_gradient)).argmax())
    if alpha:
        pull = "lowers" if parts.soft_gradient[other] > 0 else "raises"
        part = f"{parts.soft_gradient[other]:+.3f}".replace("-", "−")
        both = [f"{100 * p[other]:.0f}\u202f%" for p in (parts.teacher, parts.student)]
        assert (
            f"changes {CLASSES[other]} most: at T = {t:g} it gives {both[0]}, the student "
            f"{both[1]}, so it {pull} that logit (gradient {part}," in follow
        )
    long = re.findall(r"length ([\d.]+), the hard one ([\d.]+)\. .* one has ([\d.]+):", follow)
    expected_long = (expected_here.soft, expected_here.hard, expected_here.without_t2)
    np.testing.assert_allclose([float(one) for one in long[0]], expected_long, rtol=0.06)


def test_every_input_moves_the_picture_as_the_formulas_say(page: "Page", server: str) -> None:
    frames: list[object] = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda frame: frames.append(frame)))
    open_page(page, server)
    compare(page, 0.5, 4.0)
    assert frames
    sent = len(frames)
    page.focus('input[name="T"]')
    for _press in range(3):
        page.keyboard.press("ArrowRight")
    compare(page, 0.5, 5.5)
    page.focus('input[name="alpha"]')
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    compare(page, 0.6, 5.5)
    page.select_option('select[name="pick"]', "4")
    page.focus('input[name="move"]')
    for _press in range(9):
        page.keyboard.press("ArrowLeft")
    compare(page, 0.6, 5.5, pick=4, move=-2.25)
    page.wait_for_timeout(300)
    assert len(frames) == sent  # the browser did it alone
    open_page(page, server, "T=20&alpha=1")
    compare(page, 1.0, 20.0)


def test_a_guess_leaves_the_sliders_where_they_are(page: "Page", server: str) -> None:
    """The curves make the chart another one, drawn anew before the server knows of the sliders."""
    page.goto(f"{server}/distillation")
    page.wait_for_selector(CHART)
    until_still(page)
    page.focus('input[name="T"]')
    for _press in range(3):
        page.keyboard.press("ArrowRight")
    page.click('text="hundreds of times"')
    page.wait_for_selector(f'{CHART} text:text("soft, without T²")')
    page.wait_for_selector(f'{CHART} text:text("T = 5.5")')
    assert page.input_value('input[name="T"]') == "5.5"
    page.wait_for_function(
        "document.querySelector('.st-key-follows_loss').innerText.includes('at T = 5.5 it gives')"
    )


def test_the_axis_stands_still_and_bars_have_their_lengths(page: "Page", server: str) -> None:
    open_page(page, server)

    def geometry() -> tuple[np.ndarray, np.ndarray]:
        found = page.evaluate(
            "chart => [...document.querySelectorAll(`${chart} [aria-roledescription='point']`)]"
            ".filter(e => e.getAttribute('aria-label').includes('food'))"
            ".map(e => [e.getBoundingClientRect().x + e.getBoundingClientRect().width / 2,"
            " e.getAttribute('aria-label')])",
            CHART,
        )
        values = [number(re.findall(r"from: ([^;]+)", said)[0]) for _x, said in found]
        return np.array([x for x, _said in found]), np.array(values)

    lines = []
    for _setting in range(2):
        x, value = geometry()
        slope, start = np.polyfit(value, x, 1)
        assert slope > 0
        np.testing.assert_allclose(start + slope * value, x, atol=0.6)
        lines.append((slope, start))
        page.focus('input[name="T"]')
        for _press in range(12):
            page.keyboard.press("ArrowRight")
        until_still(page)
    np.testing.assert_allclose(lines[0], lines[1], atol=1.0)


def test_the_picture_comes_early_and_a_phone_needs_no_sideways_scroll(
    page: "Page", server: str
) -> None:
    for width, height in ((1280, 800), (390, 844)):
        page.set_viewport_size({"width": width, "height": height})
        page.goto(f"{server}/distillation")
        page.wait_for_selector(CHART)
        top = page.locator(".st-key-distillation .vega-embed").bounding_box()
        assert top is not None and top["y"] < 420
    open_page(page, server)
    outside = page.evaluate(
        "chart => [...document.querySelectorAll(`svg.marks, .vega-bindings input, ${chart} text`)]"
        ".filter(e => e.getBoundingClientRect().right > window.innerWidth + 1)"
        ".map(e => e.textContent)",
        CHART,
    )
    assert outside == []
    assert not page.query_selector('[data-testid="stException"]')
