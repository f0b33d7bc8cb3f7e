"""Two servers behind `deploy/nginx.conf`: visitors stay with one, share a room, outlive a server.

Skipped where there is no nginx, but not with SMALL_PLATES_REQUIRE_NGINX=1.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from core.cli.app import Serve, app_command, nginx_folder
from tests.browser.conftest import PATIENCE_MS
from tests.browser.test_server import PHOTO, advised_headers, photo, wait_until
from tests.pages import shelf
from tests.visitor import Server, free_port, run_server, until_well

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
REQUIRED = os.environ.get("SMALL_PLATES_REQUIRE_NGINX", "") not in ("", "0")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(NGINX is None and not REQUIRED, reason="there is no nginx on this machine"),
]


def until(true: Callable[[], bool], patience_s: float = 120) -> None:
    """Wait for something; fails where it does not come."""
    give_up = monotonic() + patience_s
    while not true():
        assert monotonic() < give_up
        sleep(0.2)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the servers share."""
    monkeypatch.setenv("SMALL_PLATES_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("SMALL_PLATES_PRETRAINED", str(tmp_path / "pretrained"))
    shelf.fill(shelf.TEACHER, shelf.SCRATCH, shelf.DISTILLED)
    return tmp_path


@pytest.fixture
def replicas(folder: Path) -> Iterator[list[Server]]:
    with ExitStack() as running:
        servers = []
        for n in range(2):
            own = folder / f"server-{n}"
            own.mkdir()
            servers.append(running.enter_context(run_server(own)))
        yield servers


@pytest.fixture
def address(folder: Path, replicas: list[Server]) -> Iterator[str]:
    """Where nginx listens, with the configuration that `deploy/` has."""
    assert NGINX is not None
    own, port = folder / "nginx", free_port()
    own.mkdir()
    ports = [int(server.address.rpartition(":")[2]) for server in replicas]
    configuration = nginx_folder(own, Serve(host="127.0.0.1", port=port), ports)
    words = [NGINX, "-p", str(own), "-c", str(configuration), "-e", "stderr", "-g", "daemon off;"]
    with (own / "log").open("wb") as log:
        process = subprocess.Popen(words, stderr=log)
    try:
        until_well(Server(f"http://127.0.0.1:{port}", process, own / "log"))
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture
def open_tab(browser: "Browser") -> Iterator[Any]:
    """Opens an address in a browser of its own, which has no cookie yet."""
    with ExitStack() as contexts:

        def opened(address: str) -> "Page":
            context = contexts.enter_context(browser.new_context())
            tab = context.new_page()
            tab.set_default_timeout(2 * PATIENCE_MS)
            tab.goto(address)
            tab.wait_for_selector("h1")
            return tab

        yield opened


def visitors(server: Server) -> int:
    """How many browsers this server talks to: nginx keeps no other connection open."""
    port = int(server.address.rpartition(":")[2])
    calls = psutil.Process(server.process.pid).net_connections("tcp")
    return sum(call.status == "ESTABLISHED" and call.laddr.port == port for call in calls)


@contextmanager
def running_again(server: Server) -> Iterator[None]:
    """Another process in the place of a server that was killed."""
    port = int(server.address.rpartition(":")[2])
    with server.log.open("ab") as log:
        server.process = subprocess.Popen(
            app_command("127.0.0.1", port, "--server.headless=true"),
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        until_well(server)
        yield
    finally:
        server.process.kill()
        server.process.wait()


def upload(tab: "Page", name: str) -> None:
    """Give the page Compare a photo, and wait until a network has answered."""
    tab.wait_for_selector(PHOTO, state="attached")
    tab.set_input_files(PHOTO, photo(name))  # type: ignore[arg-type]
    tab.wait_for_selector(f'[data-testid="stImageCaption"] >> text="{name}"')
    tab.wait_for_selector("img[src*='/media/']")


def go(tab: "Page", page: str) -> None:
    """To another page over the same connection."""
    tab.click(f'[data-testid="stSidebarNavLink"]:has-text("{page}")')
    wait_until(tab, f"location.pathname.includes('{page.lower()}')")


def out_channels(tab: "Page") -> Any:
    """The box of this setting."""
    return tab.get_by_label("Output channels", exact=True)


def set_out_channels(tab: "Page", value: int) -> None:
    """Change a setting; the server writes it into the address."""
    box = out_channels(tab)
    box.fill(str(value))
    box.press("Enter")
    wait_until(tab, f"location.search.includes('out_channels={value}')")


@pytest.mark.browser
def test_a_class_over_two_servers_outlives_one(
    address: str, replicas: list[Server], open_tab: Any
) -> None:
    lecturer = open_tab(f"{address}/class")
    lecturer.click(".st-key-room_make button")
    lecturer.wait_for_selector("text=Pupils: 0")
    wait_until(lecturer, "location.search.includes('room=')")
    code = re.search(r"room=([A-Z]{6})", lecturer.url)
    assert code is not None
    until(lambda: sum(map(visitors, replicas)) == 1)
    (with_lecturer,) = (server for server in replicas if visitors(server))
    (other,) = (server for server in replicas if server is not with_lecturer)
    pupil = None
    for _visitor in range(12):  # nginx draws a server for each
        pupil = open_tab(f"{address}/compare?room={code[1]}")
        until(lambda: sum(map(visitors, replicas)) == 2)
        if visitors(other):
            break
        pupil.close()
        until(lambda: sum(map(visitors, replicas)) == 1)
    assert pupil is not None and visitors(other) == 1
    upload(pupil, "one.jpg")
    lecturer.wait_for_selector("text=Pupils:")

    # the room is one: the lecturer's call and the pupil's guess pass between the servers
    setting = f"convolutions?room={code[1]}&out_channels=24"
    lecturer.goto(f"{address}/{setting}")
    lecturer.click(".st-key-room_send button")
    pupil.wait_for_selector("text=Guess: what share")
    pupil.locator("[data-testid='stButtonGroup'] button", has_text="1/4").click()
    lecturer.wait_for_selector("text=Guesses of the class: 1")
    set_out_channels(pupil, 48)
    assert visitors(other) == 1

    other.process.kill()
    until(lambda: visitors(with_lecturer) >= 2)  # the browser connects again by itself
    assert "out_channels=48" in pupil.url and f"room={code[1]}" in pupil.url
    assert out_channels(pupil).input_value() == "48"
    lecturer.click(".st-key-room_send button")  # the pupil follows without a touch
    wait_until(pupil, "location.search.includes('out_channels=24')")
    lecturer.click("button:has-text('Show the answer to all')")
    pupil.wait_for_selector("text=Guesses of the class: 1")
    with running_again(other):  # its old visitors' photos go where their session is
        go(pupil, "Compare")
        upload(pupil, "second.jpg")
        assert not visitors(other)
    pupil.goto(f"{address}/{setting}")
    pupil.wait_for_selector(".st-key-room-bar")
    until(lambda: out_channels(pupil).input_value() == "24")


def asked(address: str, cookie: str = "") -> Any:
    """The headers of the first page."""
    request = urllib.request.Request(address, headers={"Cookie": cookie} if cookie else {})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request) as reply:
        return reply.headers


def test_nginx_names_a_visitor_once_and_adds_the_headers(address: str) -> None:
    first = asked(address)
    named = [text for text in first.get_all("Set-Cookie") if text.startswith("small_plates=")]
    (cookie,) = named
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie
    assert {name: first[name] for name in advised_headers()} == advised_headers()
    again = asked(address, cookie.partition(";")[0]).get_all("Set-Cookie") or []
    assert not [text for text in again if text.startswith("small_plates=")]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGSTOP")
def test_serve_starts_again_what_ends_and_what_stalls(folder: Path) -> None:
    port = free_port()
    words = ["serve", "--host", "127.0.0.1", "--port", str(port), "--replicas", "2"]
    log = folder / "serve.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "core", *words], stdout=out, stderr=subprocess.STDOUT
        )

    def replica(n: int) -> psutil.Process:
        return next(
            child
            for child in psutil.Process(process.pid).children()
            if f"--server.port={port + n}" in child.cmdline()
        )

    def is_another(n: int, before: psutil.Process) -> bool:
        try:
            return replica(n) != before and asked(f"http://127.0.0.1:{port + n}") is not None
        except (StopIteration, OSError, psutil.Error):
            return False

    try:
        until_well(Server(f"http://127.0.0.1:{port}", process, log))
        ended, stalled = replica(1), replica(2)
        ended.kill()
        until(lambda: is_another(1, ended))
        stalled.send_signal(signal.SIGSTOP)
        until(lambda: is_another(2, stalled))
        assert asked(f"http://127.0.0.1:{port}") is not None
        said = log.read_text(encoding="utf-8")
        assert f"2 servers share the visitors of http://127.0.0.1:{port}\n" in said
        assert said.count("http://") == 1  # the servers' own addresses are not for visitors
        left = psutil.Process(process.pid).children(recursive=True)
        process.terminate()
        assert process.wait(40) == 130
        assert not psutil.wait_procs(left, 5)[1]
    finally:
        process.kill()
        process.wait()
