"""What every page's "run it here" has to keep to: one set of checks, which each page's tests run.

A page's test file subclasses `LiveChecks`, names its page and line, and adds what its own result
shows. The runs begin and end when the test says so.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from streamlit.testing.v1 import AppTest

from core.live import MAX_WAITING, Job, LiveRuns
from tests.pages.test_app import said

Open = Callable[..., AppTest]
Line = LiveRuns[Any, Any]


def rows_named(part: Any, name: str) -> Iterator[list[dict[str, Any]]]:
    """The rows that stand inside a specification under a name."""
    if isinstance(part, dict):
        data = part.get("data", {})
        if data.get("name") == name and "values" in data:
            yield data["values"]
    for child in part.values() if isinstance(part, dict) else part if type(part) is list else ():
        yield from rows_named(child, name)


def texts_of(app: AppTest) -> list[str]:
    """All that the page says, alt texts included."""
    texts = [str(one.value) for kind in ("title", "header", "markdown", "caption", "info",
             "success", "warning") for one in getattr(app, kind)]  # fmt: skip
    widgets = [*app.selectbox, *app.slider, *app.button, *app.toggle, *app.button_group]
    texts += [str(one.label) for one in [*widgets, *app.expander]]
    texts += [chart.proto.alt for chart in app.get("vega_lite_chart")]
    return texts


class LiveChecks:
    """Progress, stopping, waiting, refusing and failing, in a browser's eyes."""

    page: ClassVar[str]
    key: ClassVar[str] = "run_live"
    link: ClassVar[dict[str, str]] = {}
    """What the page is opened with."""
    runs: ClassVar[LiveRuns[Any, Any]]
    """The page's own line; the tests use one like it."""
    module: ClassVar[str]
    """The module that names the line; the page takes it from there at every run."""

    def other(self, number: int) -> Any:
        """A point that the page does not ask for, another for every number."""
        raise NotImplementedError

    @pytest.fixture
    def ready(self, shipped: Path) -> Path:
        """A folder with networks to run."""
        return shipped

    @pytest.fixture
    def line(self, monkeypatch: pytest.MonkeyPatch) -> Line:
        """A line of this test's own, whose runs end when the test says so."""

        def begin(job: Job[Any, Any]) -> None:
            job.state, job.step = "running", "start"

        made: Line = LiveRuns(self.runs.row, "")
        monkeypatch.setattr(made, "_start", begin)
        monkeypatch.setattr(f"{self.module}.RUNS", made)
        return made

    def the_job(self, line: Line) -> Job[Any, Any]:
        """The only run of the line."""
        (job,) = line._jobs.values()
        return job

    def started(self, open_page: Open, **link: str) -> AppTest:
        """The page after its button was pressed."""
        app = open_page(self.page, **self.link, **link)
        app.button(key=self.key).click().run()
        return app

    def test_it_can_be_stopped(self, open_page: Open, ready: Path, line: Line) -> None:
        app = self.started(open_page)
        assert app.get("progress")[0].proto.text == "Starting ..."
        app.button(key="stop_live").click().run()
        assert self.the_job(line).state == "stopped"
        assert "Nothing was kept" in said(app)
        assert not app.button(key=self.key).disabled

    def test_a_full_line_is_said(self, open_page: Open, ready: Path, line: Line) -> None:
        app = open_page(self.page, **self.link)
        for number in range(MAX_WAITING + 1):
            line.ask(self.other(number), f"visitor {number}")
        app.button(key=self.key).click().run()
        assert "Try again" in app.warning[0].value

    def test_who_waits_is_told_so(self, open_page: Open, ready: Path, line: Line) -> None:
        line.ask(self.other(0), "somebody")
        app = self.started(open_page)
        assert "1 before you" in app.get("progress")[0].proto.text

    @pytest.mark.parametrize(
        ("reason", "says"),
        [("too_long", "too long"), ("crashed", "broke off"), ("said", "no such")],
    )
    def test_a_failure_is_explained(
        self, open_page: Open, ready: Path, line: Line, reason: Any, says: str
    ) -> None:
        app = self.started(open_page)
        job = self.the_job(line)
        job.state, job.reason, job.message = "failed", reason, "no such network"
        app.run()
        assert says in app.error[0].value
        assert not app.button(key=self.key).disabled

    def finish(self, app: AppTest, job: Job[Any, Any], *rows: Any) -> None:
        """The run ends with these rows, and the page looks again."""
        job.rows, job.state = rows, "done"
        app.run()
        assert app.button(key=self.key).disabled
