"""A page's "run it here" in a test: its runs begin and end when the test says so.

A page's test file subclasses `LivePage`, names its page and line, and tests what its own result
shows; what the button does on every page is tested in `test_live.py`.
"""

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest
from streamlit.testing.v1 import AppTest

from core.live import Job, LiveRuns

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


def held_line(runs: LiveRuns[Any, Any]) -> Line:
    """A line like another, whose runs end when the test says so."""

    def begin(job: Job[Any, Any]) -> None:
        job.state, job.step = "running", "start"

    made: Line = LiveRuns(runs.row, "")
    made._start = begin  # type: ignore[method-assign]
    return made


def only_job(line: Line) -> Job[Any, Any]:
    """The only run of the line."""
    (job,) = line._jobs.values()
    return job


class LivePage:
    """What a page's own tests of a live run share."""

    page: ClassVar[str]
    key: ClassVar[str] = "run_live"
    link: ClassVar[dict[str, str]] = {}
    """What the page is opened with."""
    runs: ClassVar[LiveRuns[Any, Any]]
    """The page's own line; the tests use one like it."""
    module: ClassVar[str]
    """The module that names the line; the page takes it from there at every run."""

    @pytest.fixture
    def line(self, monkeypatch: pytest.MonkeyPatch) -> Line:
        """A line of this test's own."""
        made = held_line(self.runs)
        monkeypatch.setattr(f"{self.module}.RUNS", made)
        return made

    def started(self, open_page: Open, **link: str) -> AppTest:
        """The page after its button was pressed."""
        app = open_page(self.page, **self.link, **link)
        app.button(key=self.key).click().run()
        assert app.get("progress")[0].proto.text == "Starting ..."
        return app

    def finish(self, app: AppTest, job: Job[Any, Any], *rows: Any) -> None:
        """The run ends with these rows, and the page looks again."""
        job.rows, job.state = rows, "done"
        app.run()
        assert app.button(key=self.key).disabled
        (entry,) = app.session_state["lab_report"].measured
        assert entry.page == self.page and entry.result and entry.values
