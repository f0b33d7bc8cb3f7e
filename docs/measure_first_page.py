"""How long from starting a cold server to its first page drawn in a browser?

    .venv/bin/python docs/measure_first_page.py

Protocol: Chromium is open and waiting; then, for each of five rounds, a new server process is
started and the clock with it. The browser asks until the port answers. The clock stops when the
page shows its title and Streamlit says that its script has finished. Files may be in the system's
cache, as they are on any machine that ran the app since it was switched on. Needs
requirements-dev.txt and a Chromium.
"""

import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

from playwright.sync_api import Error, Page, sync_playwright

REPO = Path(__file__).resolve().parents[1]
ROUNDS = 5
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
DRAWN = """() => document.querySelector('h1')
    && document.querySelector('[data-testid="stApp"]')?.dataset.testScriptState === 'notRunning'"""


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def first_page(page: Page) -> float:
    """Seconds from starting a server to its first page."""
    port = free_port()
    command = [sys.executable, "-m", "streamlit", "run", "app.py"]
    options = ["--server.headless", "true", "--server.port", str(port)]
    began = time.perf_counter()
    server = subprocess.Popen([*command, *options], cwd=REPO, stdout=subprocess.DEVNULL)
    try:
        while True:
            try:
                page.goto(f"http://127.0.0.1:{port}/", wait_until="commit")
                break
            except Error:
                if server.poll() is not None or time.perf_counter() - began > 60:
                    raise
                time.sleep(0.02)
        page.wait_for_function(DRAWN, timeout=60_000)
        return time.perf_counter() - began
    finally:
        server.terminate()
        server.wait(10)


def main() -> None:
    """Measure and print one JSON document."""
    chromium = os.environ.get("SMALL_PLATES_CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page()
        seconds = [first_page(page) for _round in range(ROUNDS)]
        browser.close()
    told = {
        "median_s": round(statistics.median(seconds), 2),
        "each_s": [round(s, 2) for s in seconds],
        "cores": os.cpu_count(),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
