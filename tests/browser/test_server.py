"""What a visitor sees of the server's limits, and that the app opens by itself."""

import io
import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from tests.browser.conftest import FLAGS
from tests.pages import shelf
from tests.visitor import REPO, Server, run_server

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

pytestmark = pytest.mark.browser

PACKED = ("content-encoding", "content-length")  # it is fetched unpacked
PHOTO = '[data-testid="stFileUploader"] input[type="file"]'


@pytest.fixture
def small_server(tmp_path: Path) -> Iterator[Server]:
    """The files of a visitor may take 1 MB."""
    pretrained = tmp_path / "pretrained"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SMALL_PLATES_PRETRAINED", str(pretrained))
        shelf.fill(shelf.TEACHER)
        limit = {"SMALL_PLATES_UPLOAD_MB_PER_VISITOR": "1"}
        with run_server(tmp_path, environment=os.environ | limit) as server:
            yield server


def photo(name: str) -> dict[str, object]:
    """A photo of 0.6 to 0.7 MB, as Playwright takes it."""
    noise = np.random.default_rng(len(name)).integers(0, 255, (680, 800, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "JPEG", quality=95)
    assert 0.6e6 < len(file.getvalue()) < 0.7e6
    return {"name": name, "mimeType": "image/jpeg", "buffer": file.getvalue()}


def test_a_refused_photo_is_explained_and_room_can_be_made(
    browser: "Browser", small_server: Server
) -> None:
    page = browser.new_page()
    page.set_default_timeout(60_000)
    page.goto(f"{small_server.address}/compare")
    page.wait_for_selector(PHOTO, state="attached")
    page.set_input_files(PHOTO, photo("one.jpg"))  # type: ignore[arg-type]
    page.wait_for_selector('[data-testid="stImageCaption"] >> text="one.jpg"')
    page.set_input_files(PHOTO, photo("second.jpg"))  # type: ignore[arg-type]
    toast = page.wait_for_selector('[data-testid="stToast"]')
    assert toast and "your files may take 1 MB together" in toast.inner_text()
    assert page.is_visible('[data-testid="stImageCaption"] >> text="one.jpg"')
    page.click('[data-testid="stFileChipDeleteBtn"] button >> nth=0')
    page.wait_for_selector('[data-testid="stImageCaption"] >> text="one.jpg"', state="detached")
    page.set_input_files(PHOTO, photo("third one.jpg"))  # type: ignore[arg-type]
    page.wait_for_selector('[data-testid="stImageCaption"] >> text="third one.jpg"')
    page.close()


@pytest.mark.skipif(sys.platform != "linux", reason="xdg-open opens it on Linux")
def test_the_app_opens_in_a_browser_where_there_is_a_screen(tmp_path: Path) -> None:
    opened = tmp_path / "opened"
    (tmp_path / "xdg-open").write_text(f'#!/bin/sh\necho "$1" > {opened}\n')
    (tmp_path / "xdg-open").chmod(0o755)
    screen = {"DISPLAY": ":99", "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    environment = os.environ | screen
    with run_server(tmp_path, "--server.headless=false", environment=environment) as server:
        for _attempt in range(100):
            if opened.exists() and opened.read_text():
                break
            time.sleep(0.1)
        assert opened.read_text().strip() == server.address
        assert server.address in server.log.read_text()


def advised_headers() -> dict[str, str]:
    """The response headers that our nginx adds."""
    nginx = (REPO / "deploy" / "nginx.conf").read_text(encoding="utf-8")
    return dict(re.findall(r'add_header (\S+) "?([^"]+?)"? always;', nginx))


@pytest.fixture
def guarded(browser: "Browser", chromium_path: str, server: str) -> "Iterator[Page]":
    """A tab whose every answer has the advised headers, with a camera; it notes what they stop."""
    flags = [*FLAGS, "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    # An answer that passed through this test counts as one from elsewhere.
    flags += ["--disable-features=LocalNetworkAccessChecks"]
    chromium = browser.browser_type.launch(executable_path=chromium_path, args=flags)
    context = chromium.new_context(permissions=["camera"])
    headers = advised_headers()

    def with_headers(route: "Route") -> None:
        reply = route.fetch()
        own = {name: text for name, text in reply.headers.items() if name not in PACKED}
        route.fulfill(response=reply, headers=own | headers)

    context.route(f"{server}/**", with_headers)
    page = context.new_page()
    page.set_default_timeout(60_000)
    stopped: list[str] = []
    page.on("console", lambda one: stopped.append(one.text) if one.type == "error" else None)
    page.on("pageerror", lambda error: stopped.append(str(error)))
    yield page
    context.unroute_all(behavior="ignoreErrors")  # fonts may still be on their way
    chromium.close()
    about = [text for text in stopped if "Security Policy" in text or "Component" in text]
    # A line of Streamlit's first page that sets a mark for search engines.
    assert about, "the headers were not in force"
    assert all(text.startswith("Executing inline script") for text in about), about


def wait_until(page: "Page", true: str) -> None:
    """Playwright's own way to wait evaluates strings in the page, which these headers forbid."""
    for _attempt in range(600):
        if page.evaluate(true):
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"never: {true}")


def test_the_advised_headers_are_complete() -> None:
    headers = advised_headers()
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    rules = dict(rule.split(" ", 1) for rule in headers["Content-Security-Policy"].split("; "))
    assert rules["default-src"] == rules["frame-ancestors"] == "'self'"
    assert rules["object-src"] == "'none'"
    assert "unsafe" not in rules["script-src"]


def test_charts_and_components_work_under_the_advised_headers(guarded: "Page", server: str) -> None:
    guarded.goto(f"{server}/temperature?T=1.5")  # with a slider: nobody has to guess first
    guarded.wait_for_selector("svg.marks")
    guarded.focus('input[type="range"][name="T"]')
    for _press in range(5):
        guarded.keyboard.press("ArrowRight")
    wait_until(
        guarded,
        "[...document.querySelectorAll('svg.marks text')].some(t => t.textContent == 'T = 2.0')",
    )
    guarded.goto(f"{server}/training")  # keeps a visitor's name by a component of its own
    guarded.wait_for_selector("h1")
    wait_until(guarded, "localStorage.getItem('small-plates-visitor')")


def test_uploads_and_the_camera_work_under_the_advised_headers(
    guarded: "Page", server: str
) -> None:
    guarded.goto(f"{server}/compare?photo_from=camera")
    guarded.wait_for_selector(PHOTO, state="attached")
    guarded.set_input_files(PHOTO, photo("one.jpg"))  # type: ignore[arg-type]
    guarded.wait_for_selector('[data-testid="stImageCaption"] >> text="one.jpg"')
    guarded.wait_for_selector("img[src*='/media/']")
    guarded.click('[data-testid="stFileChipDeleteBtn"] button >> nth=0')
    guarded.click('text="Switch the camera on"')
    guarded.wait_for_selector('[data-testid="stCameraInput"] video')
    wait_until(guarded, "document.querySelector('video').readyState == 4")
    guarded.click('[data-testid="stCameraInputButton"]')
    guarded.wait_for_selector("img[src*='/media/']")
