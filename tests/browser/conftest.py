"""A real server on a free port, over tiny networks, and a real Chromium that sees only it."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

REPO = Path(__file__).resolve().parents[2]
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]
PATIENCE_MS = 60_000


def free_port() -> int:
    with closing(socket.socket()) as place:
        place.bind(("127.0.0.1", 0))
        return int(place.getsockname()[1])


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the app, run as a visitor runs it, with a teacher and two students."""
    from tests.pages import shelf

    folder = tmp_path_factory.mktemp("browser")
    environment = os.environ | {
        "SMALL_PLATES_PRETRAINED": str(folder / "pretrained"),
        "PYTHONPATH": str(REPO),
    }
    environment.pop("FOOD11_ROOT", None)
    before = os.environ.get("SMALL_PLATES_PRETRAINED")
    os.environ["SMALL_PLATES_PRETRAINED"] = environment["SMALL_PLATES_PRETRAINED"]
    try:
        shelf.fill(shelf.TEACHER, shelf.SCRATCH, shelf.DISTILLED)
    finally:
        os.environ.pop("SMALL_PLATES_PRETRAINED")
        if before is not None:
            os.environ["SMALL_PLATES_PRETRAINED"] = before
    port = free_port()
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless=true"]
    command += [f"--server.port={port}", "--server.address=127.0.0.1"]
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=REPO, env=environment, stdout=log, stderr=subprocess.STDOUT
        )
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(f"{address}/_stcore/health", process, folder / "server.log")
        yield address
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()


def wait_for(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Until the server answers; its log is the message if it does not."""
    for _attempt in range(300):
        try:
            with urllib.request.urlopen(url, timeout=1) as answer:
                if answer.status == 200:
                    return
        except OSError:
            if process.poll() is not None:
                break
            time.sleep(0.1)
    pytest.fail(f"the server did not start:\n{log.read_text(encoding='utf-8')}")


@pytest.fixture(scope="session")
def browser(chromium_path: str) -> "Iterator[Browser]":
    """Chromium, headless."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=chromium_path, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: "Browser", server: str) -> "Iterator[Page]":
    """A new tab, 1280 x 900, in a session of its own. No request may leave this machine."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    tab = context.new_page()
    tab.set_default_timeout(PATIENCE_MS)
    outside: list[str] = []
    tab.on(
        "request",
        lambda request: (
            None
            if request.url.startswith((server, "data:", "blob:"))
            else outside.append(request.url)
        ),
    )
    yield tab
    context.close()
    assert not outside, f"requests left this machine: {outside}"
