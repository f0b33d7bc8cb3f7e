"""The button "run it here", the same on every page: it waits, stops, refuses, fails in words."""

from collections.abc import Callable
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from core.live import MAX_WAITING
from core.pruning.rows import RUNS, Point, PruningRow
from pages.kit.live import LivePoint
from tests.pages.live import Line, held_line, only_job
from tests.pages.test_app import said

LINES: list[Line] = []
"""The line that the page's button asks."""
STEPS = {"start": (0.0, "Starting ..."), "accuracy": (0.5, "Picture {at}: {done} of {of}")}


def button() -> LivePoint[Any, Any]:
    return LivePoint(
        LINES[-1], Point("a", "", "l1", 0.5), "About it.", "Run it", "Done already", STEPS,
        result_text=lambda job: f"{job.rows[0].correct} right",
    )  # fmt: skip


def page() -> None:
    from tests.pages.test_live import button

    button().draw()


@pytest.fixture
def line() -> Line:
    LINES.append(held_line(RUNS))
    return LINES[-1]


@pytest.fixture
def press(line: Line) -> Callable[[], AppTest]:
    """The page after its button was pressed."""

    def pressed() -> AppTest:
        app = AppTest.from_function(page).run()
        assert "About it." in said(app) and not app.exception
        return app.button(key="run_live").click().run()

    return pressed


def test_its_progress_and_then_its_result(press: Callable[[], AppTest], line: Line) -> None:
    app, job = press(), only_job(line)
    assert [button.key for button in app.button] == ["stop_live"]
    bar = app.get("progress")[0].proto
    assert (bar.value, bar.text) == (0, "Starting ...")
    job.step, job.done, job.of = "accuracy", 1, 2
    bar = app.run().get("progress")[0].proto
    assert (bar.value, bar.text) == (75, "Picture 2: 1 of 2")  # half of the second half
    job.rows = (PruningRow(method="l1", ratio=0.5, form="masked", params=9, nonzero=5, macs=7,
                           size_bytes=36, n=100, correct=41),)  # fmt: skip
    job.state = "done"
    app.run()
    assert "41 right" in app.success[0].value
    assert app.button(key="run_live").disabled and app.button[0].label == "Done already"


def test_it_can_be_stopped(press: Callable[[], AppTest], line: Line) -> None:
    app = press()
    app.button(key="stop_live").click().run()
    assert only_job(line).state == "stopped"
    assert "Nothing was kept" in said(app)
    assert not app.button(key="run_live").disabled


def test_a_full_line_is_said(press: Callable[[], AppTest], line: Line) -> None:
    for number in range(MAX_WAITING + 1):
        line.ask(("other", number), f"visitor {number}")
    app = press()
    assert "Try again" in app.warning[0].value
    assert not app.button(key="run_live").disabled and not app.get("progress")


def test_who_waits_is_told_so(press: Callable[[], AppTest], line: Line) -> None:
    line.ask(("other", 0), "somebody")
    assert "1 before you" in press().get("progress")[0].proto.text


@pytest.mark.parametrize(
    ("reason", "says"),
    [("too_long", "too long"), ("crashed", "broke off (no such"), ("said", "no such network")],
)
def test_a_failure_is_explained(
    press: Callable[[], AppTest], line: Line, reason: Any, says: str
) -> None:
    app, job = press(), only_job(line)
    job.state, job.reason, job.message = "failed", reason, "no such network"
    app.run()
    assert says in app.error[0].value
    assert not app.button(key="run_live").disabled
