"""A real server on a free port, over tiny networks, and a real Chromium that sees only it."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.visitor import run_server

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

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
    "--process-per-site",
]
PATIENCE_MS = 60_000


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the app, run as a visitor runs it, with a teacher and two students."""
    from tests.pages import shelf

    folder = tmp_path_factory.mktemp("browser")
    environment = os.environ | {"SMALL_PLATES_PRETRAINED": str(folder / "pretrained")}
    environment.pop("FOOD11_ROOT", None)
    before = os.environ.get("SMALL_PLATES_PRETRAINED")
    os.environ["SMALL_PLATES_PRETRAINED"] = environment["SMALL_PLATES_PRETRAINED"]
    try:
        shelf.fill(shelf.TEACHER, shelf.SCRATCH, shelf.DISTILLED)
    finally:
        os.environ.pop("SMALL_PLATES_PRETRAINED")
        if before is not None:
            os.environ["SMALL_PLATES_PRETRAINED"] = before
    with run_server(folder, environment=environment) as running:
        yield running.address


@pytest.fixture(scope="session")
def browser(chromium_path: str) -> "Iterator[Browser]":
    """Chromium, headless."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=chromium_path, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def profile(browser: "Browser", server: str) -> "Iterator[BrowserContext]":
    """What the tabs of a test file share: the app's scripts, loaded and compiled once.

    That is most of what opening a page costs. The process that holds them lives as long as a tab of
    the same site, so one stays open.
    """
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.new_page().goto(f"{server}/_stcore/health")
    yield context
    context.close()


@pytest.fixture
def page(profile: "BrowserContext", server: str) -> "Iterator[Page]":
    """A new tab, 1280 x 900, in a session of its own. No request may leave this machine.

    Nothing is left over from another test: no cookie, and nothing that a page has stored.
    """
    tab = profile.new_page()
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
    stays, *opened = profile.pages
    for other in opened:
        other.close()
    profile.clear_cookies()
    stays.evaluate("localStorage.clear()")
    assert not outside, f"requests left this machine: {outside}"
