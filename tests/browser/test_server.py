"""What a visitor sees of the server's limits, and that the app opens by itself."""

import io
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from tests.pages import shelf
from tests.visitor import Server, run_server

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.browser

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
    page.wait_for_selector('h3 >> text="one.jpg"')
    page.set_input_files(PHOTO, photo("second.jpg"))  # type: ignore[arg-type]
    toast = page.wait_for_selector('[data-testid="stToast"]')
    assert toast and "your files may take 1 MB together" in toast.inner_text()
    assert page.is_visible('h3 >> text="one.jpg"')
    page.click('[data-testid="stFileChipDeleteBtn"] button >> nth=0')
    page.wait_for_selector('h3 >> text="one.jpg"', state="detached")
    page.set_input_files(PHOTO, photo("third one.jpg"))  # type: ignore[arg-type]
    page.wait_for_selector('h3 >> text="third one.jpg"')
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
