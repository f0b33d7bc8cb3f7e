"""Students in the visitor's own browser: camera, photo, no camera; nothing leaves the device."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import parse_qs, urlencode, urlsplit

import numpy as np
import pytest
from PIL.Image import fromarray

from core.charts import numbers
from core.course import CLASSES
from core.inference.predict import predictor, softmax
from core.paths import REPO
from core.photos import STORED, prepare
from tests.browser.conftest import FLAGS, PATIENCE_MS
from tests.browser.test_server import guarded  # noqa: F401
from tests.visitor import run_server

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

# What goes over a socket that stood before is counted in the page itself.
COUNT_MESSAGES = (
    "() => { const send = WebSocket.prototype.send; window.messages = 0;"
    "WebSocket.prototype.send = function (...all) { window.messages++;"
    "return send.apply(this, all); }; }"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app over shipped students and generated pictures, without photographs."""
    folder = tmp_path_factory.mktemp("device")
    environment = os.environ | {"SMALL_PLATES_PRETRAINED": str(REPO / "pretrained")}
    environment |= {"SMALL_PLATES_DATA": str(folder / "data")}
    environment.pop("FOOD11_ROOT", None)
    with run_server(folder, environment=environment) as running:
        yield running.address


@pytest.fixture(scope="module")
def with_camera(chromium_path: str, browser: "Browser") -> "Iterator[Browser]":
    """Chromium with two made-up cameras: green, with a clock, allowed without asking."""
    fake = ["--use-fake-device-for-media-stream=device-count=2", "--use-fake-ui-for-media-stream"]
    chromium = browser.browser_type.launch(executable_path=chromium_path, args=[*FLAGS, *fake])
    yield chromium
    chromium.close()


def open_tab(context: Any, server: str, **query: str) -> "Page":
    """The tab, once its networks have answered to a generated picture."""
    page: Page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.goto(f"{server}/export?{urlencode({'tab': 'device', **query})}")
    page.wait_for_selector(".device .figures:has-text('ms a picture')", timeout=3 * PATIENCE_MS)
    return page


def cards(page: "Page") -> list[str]:
    return [" ".join(text.split()) for text in page.locator(".device .card").all_inner_texts()]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_camera_runs_live_and_nothing_leaves_the_device(
    with_camera: "Browser", server: str, scheme: Literal["light", "dark"]
) -> None:
    context = with_camera.new_context(viewport={"width": 390, "height": 844}, color_scheme=scheme)
    sent: list[str] = []
    try:
        page = open_tab(context, server, device_networks="dwpw_256k-distilled-s0")
        page.on("request", lambda request: sent.append(request.url))
        page.get_by_role("button", name="Start the camera").click()
        page.wait_for_selector("text=pictures a second")
        page.wait_for_timeout(1_000)
        sent.clear()
        page.evaluate(COUNT_MESSAGES)
        page.wait_for_timeout(4_000)
        assert not sent and page.evaluate("window.messages") == 0
        (card,) = cards(page)
        assert "Depthwise + pointwise CNN, distilled" in card
        assert re.search(r"[\d.]+ ms a picture on this device: [\d.]+ a second\. \d+ KB", card)
        assert len(re.findall(r"(<1|>99|\d+)\s?%", card)) == 3
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.get_by_role("button", name="Use the other camera").click()
        page.wait_for_selector("text=Live. Point the camera at food")
        # other weights are loaded while the camera goes on
        page.click('.st-key-device_weights button:has-text("8 bits")')
        before = re.findall(r"\d+ KB", card)[0].replace(" ", numbers.THIN)
        page.wait_for_selector(f".figures:not(:has-text('{before}'))")
        page.wait_for_selector(".figures:has-text('ms a picture')")
        assert page.get_by_role("button", name="Start the camera").count() == 0
        page.get_by_role("button", name="Stop the camera").click()
        page.wait_for_selector("text=Stopped.")
    finally:
        context.close()


def test_a_photo_is_cut_and_answered_as_the_server_would(
    browser: "Browser", server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The picture has just the size of the network's square: the browser has nothing to scale."""
    monkeypatch.setenv("SMALL_PLATES_PRETRAINED", str(REPO / "pretrained"))
    id, side = "dwpw_256k-distilled-s0", STORED(128)
    rows, columns = np.mgrid[:side, : side + 40]
    colours = np.stack([rows, columns, rows * columns // 90 % 256], -1).clip(0, 255)
    photo = fromarray(colours.astype(np.uint8))
    photo.save(tmp_path / "lunch.png")
    context = browser.new_context(reduced_motion="reduce")
    try:
        page = open_tab(context, server, device_networks=id)
        page.locator(".device input[type=file]").set_input_files(tmp_path / "lunch.png")
        page.wait_for_selector("text=/Your photo; it stays on this device. .*%/")  # at its end
        logits = predictor(id).logits(prepare(photo, 128)[None])[0]
        shares = softmax(logits)
        (card,) = cards(page)
        for label in np.argsort(-shares)[:3]:
            assert f"{CLASSES[label]} {numbers.share(shares[label])}".replace(
                numbers.THIN, " "
            ) in card.replace(numbers.THIN, " ")
        bar = page.locator(".device .bar > span").first
        assert bar.evaluate("each => getComputedStyle(each).transitionDuration") == "0s"
        text = tmp_path / "notes.png"
        text.write_text("no picture")
        page.locator(".device input[type=file]").set_input_files(text)
        page.wait_for_selector("text=Your browser cannot read this file")
    finally:
        context.close()


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (
            "Object.defineProperty(window, 'isSecureContext', { value: false });"
            "Object.defineProperty(navigator, 'mediaDevices', { value: undefined });",
            "this page uses plain http. Use a photo instead",
        ),
        (
            "navigator.mediaDevices.getUserMedia = () => "
            "Promise.reject(new DOMException('', 'NotAllowedError'));",
            "The camera was refused",
        ),
        ("", "No camera was found"),
    ],
    ids=["http", "refused", "none"],
)
def test_without_a_camera_the_page_says_why(
    browser: "Browser", server: str, script: str, words: str
) -> None:
    context = browser.new_context()
    context.add_init_script(script)
    try:
        page = open_tab(context, server, device_weights="hw7-8bit")
        page.get_by_role("button", name="Start the camera").click()
        page.wait_for_selector(f"text={words}")
        page.get_by_role("button", name="Use a generated picture").click()
        page.wait_for_selector("text=made as")
    finally:
        context.close()


def test_times_reach_the_class_when_the_button_is_pressed(browser: "Browser", server: str) -> None:
    """Nothing but the question for news leaves a phone in a room before; then one chart has both
    devices."""
    lecturer = browser.new_context()
    phone = browser.new_context(
        viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True,
        screen={"width": 390, "height": 844},
    )  # fmt: skip
    try:
        leading = lecturer.new_page()
        leading.set_default_timeout(PATIENCE_MS)
        leading.goto(f"{server}/class")
        leading.click(".st-key-room_make button")
        leading.wait_for_function("location.search.includes('room=')")
        code = parse_qs(urlsplit(leading.url).query)["room"][0]
        own = open_tab(lecturer, server, device_networks="dwpw_256k-distilled-s0", room=code)
        page = open_tab(phone, server, device_networks="dwpw_256k-distilled-s0", room=code)
        for tab in (own, page):
            tab.wait_for_selector(".device button:enabled:has-text('Send my times to the class')")
        page.wait_for_timeout(3_000)
        sent: list[str] = []
        page.on("request", lambda request: sent.append(request.url))
        page.evaluate(COUNT_MESSAGES)
        page.wait_for_timeout(6_000)
        assert page.evaluate("window.messages") == 0
        assert not [url for url in sent if "/room-news/" not in url]
        assert page.locator("text=Devices of the class").count() == 0
        for tab in (page, own):
            tab.click("text=Send my times to the class")
            tab.wait_for_selector("text=Sent: your times stand in the class")
        for tab in (page, own, leading):
            tab.wait_for_selector("text=/1 phone: median .*; 1 computer: median/")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
    finally:
        lecturer.close()
        phone.close()


def test_the_engine_and_the_camera_run_under_the_advised_headers(
    guarded: "Page",  # noqa: F811
    server: str,
) -> None:
    guarded.set_default_timeout(3 * PATIENCE_MS)
    guarded.goto(f"{server}/export?tab=device&device_networks=dwpw_256k-distilled-s0")
    guarded.wait_for_selector(".device .figures:has-text('ms a picture')")
    guarded.get_by_role("button", name="Start the camera").click()
    guarded.wait_for_selector("text=pictures a second")
