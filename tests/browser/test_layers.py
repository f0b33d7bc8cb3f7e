"""What a layer sees, in a browser: the kernel that slides, the maps and the sums behind them."""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from core import checkpoints
from core.convolutions.method import ConvSetting, compare
from core.convolutions.sliding import PICTURE_PX, SOURCES, Sliding, slidings
from core.data.dreams import SHOW_PX, load_dreams, tiles
from core.inference.layers import layers_of
from core.photos import prepare
from tests.browser.test_contrast import FAINT
from tests.browser.test_server import guarded  # noqa: F401
from tests.visitor import run_server

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

MAPS = 16 * 16
"""Values of a map behind the first layer."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app over the networks and generated pictures that it ships with."""
    environment = dict(os.environ)
    for name in ("SMALL_PLATES_PRETRAINED", "FOOD11_ROOT"):
        environment.pop(name, None)
    with run_server(tmp_path_factory.mktemp("layers"), environment=environment) as running:
        yield running.address


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    """The generated picture that a visitor sees first."""
    dreams = load_dreams()
    chosen = dreams.of(SHOW_PX) if dreams else None
    assert chosen is not None
    return Image.fromarray(np.ascontiguousarray(tiles(chosen, 0)[0].transpose(1, 2, 0)))


@pytest.fixture(scope="module")
def expected(picture: Image.Image) -> list[Sliding]:
    """The layers of that picture, worked out by ONNX Runtime."""
    listed = checkpoints.load_manifest().values()
    students = {
        key: next(c for c in listed if c.model == key and c.derived_from is None)
        for key, _number in SOURCES.values()
    }
    opened = {key: layers_of(student, PICTURE_PX) for key, student in students.items()}
    return slidings(opened, prepare(picture, PICTURE_PX, students["dwpw_256k"].crop))


def open_slide(page: "Page", server: str) -> None:
    """Open the tab with the sliding kernel."""
    page.goto(f"{server}/convolutions?tab=slide")
    page.wait_for_selector(".maps")
    page.wait_for_selector("text=Link to this setting")


def state(page: "Page", name: str) -> str:
    """What the sliding kernel says about itself."""
    return page.locator(".maps").get_attribute(f"data-{name}") or ""


def test_it_counts_to_the_formula_and_sends_nothing(
    page: "Page", server: str, expected: list[Sliding]
) -> None:
    frames: list[object] = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda frame: frames.append(frame)))
    open_slide(page, server)
    page.wait_for_timeout(1000)
    assert frames and state(page, "playing") == "true"
    sent = len(frames)
    page.get_by_role("slider", name="Speed").press("End")
    costs = compare(ConvSetting(16, 32, groups=8, map_size=16))
    macs = {
        "Standard": costs["standard"].macs,
        "Depthwise": costs["separable"].steps[0].macs,
        "Pointwise": costs["separable"].steps[1].macs,
        "8 groups": costs["group"].macs,
    }
    layers = {each.kind: each for each in expected}
    kinds = dict(zip(macs, ("standard", "depthwise", "pointwise", "group"), strict=True))
    for title, total in macs.items():
        page.get_by_role("button", name=title, exact=True).click()
        if state(page, "playing") == "false":
            page.get_by_role("button", name="Play", exact=True).click()
        page.wait_for_function(
            "([name, total]) => { const place = [...document.querySelectorAll('*')]"
            ".map(e => e.shadowRoot?.querySelector('.maps')).find(Boolean);"
            " return place.dataset.playing === 'false' && place.dataset.counted == total }",
            arg=[title, str(total)],
        )
        assert page.locator(".counter strong").inner_text() == f"{total:,}"
        output = layers[kinds[title]].output.ravel()  # type: ignore[index]
        assert float(state(page, "value")) == pytest.approx(output[-1], abs=1e-4)
    assert len(frames) == sent


def test_it_steps_by_keyboard_through_the_networks_own_numbers(
    page: "Page", server: str, expected: list[Sliding]
) -> None:
    open_slide(page, server)
    for each in expected:
        number = expected.index(each)
        page.locator(".maps .row button").nth(number).click()
        page.locator(".maps").focus()
        if state(page, "playing") == "true":
            page.keyboard.press(" ")
        assert state(page, "playing") == "false"
        page.keyboard.press("Home")
        assert (state(page, "at"), state(page, "counted")) == ("0", "0")
        per_value = each.step.macs // each.output.size
        moves = ["ArrowRight"] * 3 + ["ArrowLeft", "ArrowDown", "ArrowDown", "ArrowUp"]
        size = each.output.shape[1] ** 2
        at = 0
        for key in moves:
            page.keyboard.press(key)
            at += {"ArrowRight": 1, "ArrowLeft": -1, "ArrowDown": size, "ArrowUp": -size}[key]
            assert int(state(page, "at")) == at
            assert int(state(page, "counted")) == at * per_value
            value = each.output.ravel()[at - 1]
            assert float(state(page, "value")) == pytest.approx(value, abs=1e-4)
        page.keyboard.press("End")
        assert int(state(page, "counted")) == each.step.macs


def test_it_waits_where_the_visitor_wants_less_motion(page: "Page", server: str) -> None:
    page.emulate_media(reduced_motion="reduce")
    page.set_viewport_size({"width": 390, "height": 844})
    open_slide(page, server)
    page.wait_for_timeout(1000)
    assert (state(page, "playing"), state(page, "at")) == ("false", "1")
    page.get_by_role("button", name="One number on").click()
    assert state(page, "at") == "2"
    assert "Output 1, row 1, column 2 reads inputs 1 to 3" in page.locator(".sum").inner_text()
    main = page.locator('[data-testid="stMain"]')
    assert main.evaluate("e => e.scrollWidth <= e.clientWidth + 1")


def test_a_click_on_a_map_shows_the_sum_behind_its_values(
    page: "Page", server: str, picture: Image.Image
) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{server}/architecture?tab=sees&layer_dwpw_256k=9")
    page.wait_for_selector(".maps")
    page.wait_for_selector("text=Link to this setting")
    checkpoint = checkpoints.get("dwpw_256k-distilled-s0")
    opened = layers_of(checkpoint)
    layer = opened.layers[8]
    pixels = prepare(picture, checkpoint.input_px, checkpoint.crop)
    (after,) = opened.maps(pixels, [layer.after])

    def shown(wanted: str) -> None:
        """Until that place is shown; its sum ends at the network's own value."""
        page.wait_for_selector(f".maps[data-pixel='{wanted}']")
        channel, y, x = map(int, wanted.split(","))
        assert float(state(page, "value")) == pytest.approx(after[channel, y, x], abs=1e-4)
        total = page.locator(".maps tr:last-child td").inner_text().replace("\u2212", "-")
        assert float(total) == pytest.approx(after[channel, y, x], abs=6e-4)

    number = int(np.argsort(-np.abs(after).mean((1, 2)), kind="stable")[3])
    page.get_by_role("button", name=f"Map {number + 1}", exact=True).click()
    y, x = np.unravel_index(np.abs(after[number]).argmax(), after.shape[1:])
    shown(f"{number},{y},{x}")
    assert page.locator(".maps :focus").get_attribute("aria-label") == f"Map {number + 1}"
    large = page.locator("canvas[tabindex]")
    box = large.bounding_box()
    assert box is not None
    cell = box["width"] / after.shape[2]
    large.click(position={"x": 2.5 * cell, "y": 5.5 * cell})
    shown(f"{number},5,2")
    page.keyboard.press("ArrowRight")
    shown(f"{number},5,3")
    page.keyboard.press("ArrowUp")
    shown(f"{number},4,3")
    main = page.locator('[data-testid="stMain"]')
    assert main.evaluate("e => e.scrollWidth <= e.clientWidth + 1")


def test_the_kernel_and_the_maps_work_under_the_advised_headers(
    guarded: "Page",  # noqa: F811
    server: str,
) -> None:
    guarded.goto(f"{server}/convolutions?tab=slide")
    guarded.wait_for_selector(".maps")
    guarded.locator(".maps").focus()
    guarded.keyboard.press("Home")
    guarded.keyboard.press("ArrowRight")
    assert state(guarded, "at") == "1"
    guarded.goto(f"{server}/architecture?tab=sees")
    guarded.get_by_role("button", name="Map 2", exact=True).click()
    guarded.wait_for_selector(".maps[data-pixel^='1,']")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["convolutions?tab=slide", "architecture?tab=sees"])
def test_every_number_can_be_read(page: "Page", server: str, path: str, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
    page.goto(f"{server}/{path}")
    page.wait_for_selector(".maps .square")
    page.wait_for_selector("text=Link to this setting")
    seen, faint = page.locator(".maps").evaluate(FAINT)
    assert seen > 25 and faint == []
