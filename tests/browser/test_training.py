"""A training outlives its tab: start, watch, close, come back, stop, resume, finish, compare."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.browser.conftest import PATIENCE_MS, REPO
from tests.food import make_food11
from tests.visitor import run_server

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """The app over a small generated Food-11, with runs of its own and no shipped checkpoint."""
    photographs = make_food11(
        tmp_path / "food", per_class={"training": 8, "validation": 2, "testing": 2}, size=(80, 70)
    )
    environment = os.environ | {
        "SMALL_PLATES_PRETRAINED": str(tmp_path / "pretrained"),
        "SMALL_PLATES_RUNS": str(tmp_path / "runs"),
        "SMALL_PLATES_TRAIN_THREADS": "1",
        "FOOD11_ROOT": str(photographs),
        "PYTHONPATH": str(REPO),
    }
    with run_server(tmp_path, environment=environment) as running:
        try:
            yield running.address
        finally:
            subprocess.run(  # whatever is training still is not the server's child any more
                [sys.executable, "-c", STOP_ALL], cwd=REPO, env=environment, timeout=60, check=False
            )


STOP_ALL = """
from core.training.queue.line import ANYBODY, JobQueue
for job in JobQueue().jobs(ANYBODY):
    JobQueue().stop(job.id, ANYBODY)
"""


def open_tab(context: "BrowserContext", server: str, query: str = "") -> "Page":
    tab = context.new_page()
    tab.set_default_timeout(PATIENCE_MS)
    tab.goto(f"{server}/training{query}")
    tab.wait_for_selector("text=Link to this setting")  # the foot: all of the page is drawn
    tab.wait_for_function("!document.querySelector('[data-testid=\"stStatusWidget\"]')")
    return tab


START_MS = 180_000
"""A process that imports torch, on a machine that has other things to do."""


def wait_for_epoch(tab: "Page", least: int) -> int:
    """Until the progress bar says epoch `least` or later; the epoch it says."""
    tab.wait_for_function(
        "least => [...document.querySelectorAll('[data-testid=\"stProgress\"]')]"
        ".some(bar => Number((bar.innerText.match(/Epoch (\\d+)/) || [])[1]) >= least)",
        arg=least,
        timeout=START_MS,
    )
    said = re.search(r"Epoch (\d+)", tab.inner_text('[data-testid="stProgress"]'))
    assert said
    return int(said[1])


def finished(tab: "Page") -> None:
    """Until the run has finished; then its tab is open."""
    tab.wait_for_selector("text=/Done:/", timeout=START_MS)
    tab.get_by_role("tab", name="The finished run").click()
    tab.wait_for_selector("text=Confusion matrix")


def button(tab: "Page", name: str) -> str:
    return f'[data-testid="stMain"] button:has-text("{name}")'


def worker_of(run: Path) -> psutil.Process:
    """The process that trains into this folder."""
    return psutil.Process(json.loads((run / ".process.json").read_text())["pid"])


def epochs_in(run: Path) -> int:
    return len((run / "metrics.jsonl").read_text().splitlines())


def test_a_run_outlives_its_tab_and_becomes_a_checkpoint(
    browser: "Browser", server: str, tmp_path: Path
) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    tab = open_tab(context, server)
    tab.click(button(tab, "Recipe"))
    tab.fill('[data-testid="stNumberInput"]:has-text("Epochs") input', "50")
    tab.keyboard.press("Enter")
    tab.wait_for_function("location.search.includes('epochs=50')")  # the link follows
    tab.keyboard.press("Escape")
    tab.click(button(tab, "Start"))
    tab.wait_for_selector("text=/After [0-9,]+ of [0-9,]+ steps its loss is/", timeout=START_MS)
    assert tab.locator(".st-key-answers img").count() == 6
    assert tab.locator(".st-key-answers").inner_text().count("%") == 6  # answers, with how sure
    seen = wait_for_epoch(tab, 3)  # two have arrived, without reloading anything
    (run,) = (tmp_path / "runs").glob("*-*")
    worker = worker_of(run)
    worker.suspend()  # however slow what follows is, it is not at its end
    tab.wait_for_selector("svg.marks")
    loaded = tab.evaluate("performance.getEntriesByType('navigation').length")
    assert loaded == 1
    tab.close()
    worker.resume()
    deadline = time.monotonic() + PATIENCE_MS / 1000
    while epochs_in(run) < seen + 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    worker.suspend()
    assert epochs_in(run) >= seen + 2  # nobody was looking

    stranger = browser.new_context()
    other = open_tab(stranger, server)
    other.wait_for_selector("text=somebody else's")
    assert not other.query_selector(button(other, "Pause"))
    stranger.close()

    tab = open_tab(context, server)
    assert wait_for_epoch(tab, seen + 1) > seen
    tab.click(button(tab, "Pause"))
    tab.wait_for_selector("text=Resume continues from there")
    tab.click(button(tab, "Resume"))
    assert wait_for_epoch(tab, seen + 1) > seen
    finished(tab)
    tab.wait_for_selector("text=Confusion matrix")
    tab.wait_for_selector('[data-testid="stDownloadButton"] >> text=Model card')
    assert not tab.query_selector('[data-testid="stException"]')
    tab.click("text=open it in Compare")
    tab.wait_for_selector("h1 >> text=plate")
    tab.get_by_text("More networks", exact=True).click()
    tab.wait_for_selector('[data-testid="stMultiSelect"] >> text=run')
    context.close()


def test_the_running_epoch_moves_and_the_result_opens_in_pruning(
    browser: "Browser", server: str
) -> None:
    """Steps of an epoch that takes seconds; another page in between; a link with all settings."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    query = "?epochs=8&px=224&batch_size=16&share=100&T=1e999&augment=none"
    tab = open_tab(context, server, query)
    tab.click(button(tab, "Recipe"))
    tab.wait_for_function(
        "[...document.querySelectorAll('[data-testid=\"stNumberInput\"]')].some(box =>"
        " box.innerText.includes('Epochs') && box.querySelector('input').value === '8')"
    )
    tab.keyboard.press("Escape")
    tab.click(button(tab, "Start"))
    tab.wait_for_selector("text=/images.s · about .* left/", timeout=START_MS)
    seen = wait_for_share(tab, 0)
    tab.click('[data-testid="stSidebarNavLink"]:has-text("Temperature")')
    tab.wait_for_function("location.pathname.includes('temperature')")
    tab.click('[data-testid="stSidebarNavLink"]:has-text("Training")')
    tab.wait_for_function("location.pathname.includes('training')")
    assert wait_for_share(tab, seen) > seen
    finished(tab)
    tab.click("text=open it in Pruning")
    tab.wait_for_function("location.pathname.includes('pruning')")
    tab.wait_for_function(
        "[...document.querySelectorAll('[data-testid=\"stSelectbox\"]')].some(box =>"
        " box.innerText.includes('Network') &&"
        " [box.innerText, ...[...box.querySelectorAll('input')].map(one => one.value)]"
        ".some(said => said.includes(', run ')))"
    )
    assert not tab.query_selector('[data-testid="stException"]')
    context.close()


def test_a_design_goes_from_its_drawing_to_a_pruned_network(
    browser: "Browser", server: str, tmp_path: Path
) -> None:
    """“Train this student” hands over the design and its side; the finished run opens by name."""
    line = "px48-silu-nobias-stem8p-inv8t2d-sep16"
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    tab = context.new_page()
    tab.set_default_timeout(PATIENCE_MS)
    tab.goto(f"{server}/architecture?mode=design&design={line}&tab=take")
    tab.click("text=Train this student")
    tab.wait_for_function("location.pathname.includes('training')")
    tab.wait_for_selector("text=Link to this setting")
    field = tab.get_by_label("The design", exact=True)
    assert field.input_value() == line
    tab.click(button(tab, "Recipe"))
    for said in ("Your own design", "48 px"):
        tab.wait_for_function(
            "said => [...document.querySelectorAll('[data-testid=\"stSelectbox\"]')].some(box =>"
            " [box.innerText, ...[...box.querySelectorAll('input')].map(one => one.value)]"
            ".some(text => text.includes(said)))",
            arg=said,
        )
    tab.keyboard.press("Escape")
    tab.click(button(tab, "Start"))
    finished(tab)
    (run,) = (tmp_path / "runs").glob("design_*")
    assert json.loads((run / "run.json").read_text())["config"]["model"] == f"design:{line}"
    for page, widget in (("Compare", "stMultiSelect"), ("Pruning", "stSelectbox")):
        tab.click(f"text=open it in {page}")
        tab.wait_for_function("page => location.pathname.includes(page)", arg=page.lower())
        if page == "Compare":
            tab.get_by_text("More networks", exact=True).click()
        tab.wait_for_function(
            "([widget, name]) => [...document.querySelectorAll('[data-testid=' + widget + ']')]"
            ".some(box =>"
            " [box.innerText, ...[...box.querySelectorAll('input')].map(one => one.value)]"
            ".some(text => text.includes(name)))",
            arg=[widget, f"Designed student, 1 k, run {run.name.rpartition('-')[2]}"],
        )
        tab.wait_for_function("!document.querySelector('[data-testid=\"stStatusWidget\"]')")
        assert not tab.query_selector('[data-testid="stException"]')
        tab.keyboard.press("Escape")
        tab.click('[data-testid="stSidebarNavLink"]:has-text("Training")')
        finished(tab)
    context.close()


def wait_for_share(tab: "Page", more_than: float) -> float:
    """Until the bar has more behind it, within an epoch; in epochs and parts of one."""
    found = tab.wait_for_function(
        "more => [...document.querySelectorAll('[data-testid=\"stProgress\"]')]"
        ".map(bar => bar.innerText.match(/Epoch (\\d+) of 8: (\\d+)\\s*%/))"
        ".map(said => said ? said[1] - 1 + said[2] / 100 : 0).find(done => done > more)",
        arg=more_than,
        timeout=START_MS,
    )
    return float(found.json_value())
