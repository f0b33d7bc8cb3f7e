""" "Run it here": one point measured on this machine, with progress and a way to stop it.

The pages differ in what a point is, in its words, and in how a result is drawn; the button, the
waiting, the running and the ways to end are the same for all of them.
"""

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

import pandas as pd
import streamlit as st
from pydantic import BaseModel

from core.classroom import Spot
from core.errors import UserError
from core.i18n import _, paragraph
from core.live import Job, LiveRuns
from core.own.network import is_visitors
from core.results import AccuracyRow
from pages.kit import frame, lab, room, url_state

POLL_S = 0.7
P = TypeVar("P", bound=tuple[Any, ...])
A = TypeVar("A", bound=AccuracyRow)
R = TypeVar("R", bound=BaseModel)


@dataclass(frozen=True)
class LivePoint(Generic[P, R]):
    """What a page measures live, and its words."""

    runs: LiveRuns[P, R]
    point: P
    about: str
    """What the button will do, for whom, and how long it is kept."""
    start: str
    again: str
    """What the button says before, and after."""
    steps: Mapping[str, tuple[float, str]]
    """What a job is doing, in order: the share done when it begins, and words that may name
    {at}, {done} and {of}. The bar moves on through a step that counts."""
    result_text: Callable[[Job[P, R]], str]
    """What was measured, in a few words: "75 % right"."""
    draw_rows: Callable[[Job[P, R]], None] = lambda job: None
    """Draws the rows."""
    on_start: Callable[[], None] = lambda: None
    """What happens first when the button is pressed; a UserError is shown, and nothing started."""
    method: str | None = None
    """What was done to the network, where the point lies on the page's curve of accuracies: its
    first field is the network, its last the place. A class gathers these points."""
    key: str = "run_live"

    def draw(self) -> None:
        """The button, the running measurement, its result; others' runs are waited for."""
        who = st.session_state.setdefault("live_who", uuid.uuid4().hex)
        st.caption(paragraph([self.about]))
        job = self.runs.look(self.point, who)
        going = job is not None and not job.is_over
        if not going:
            again = job is not None and job.state == "done"
            mine = again and job is not None and who in job.watchers
            st.button(
                self.again if mine else _("Add it to my report") if again else self.start,
                icon=":material/add:" if again and not mine else ":material/play_arrow:",
                type="primary",
                key=self.key,
                disabled=mine,
                on_click=self._ask,
                args=(who,),
            )
            if refused := st.session_state.pop("live_refused", ""):
                st.warning(refused, icon=":material/hourglass_top:")
        st.fragment(self._watch, run_every=POLL_S if going else None)(who)

    def _ask(self, who: str) -> None:
        try:
            self.on_start()
            self.runs.ask(self.point, who)
        except UserError as error:
            st.session_state["live_refused"] = str(error)

    def _watch(self, who: str) -> None:
        """What the run says now; when it is over the page is drawn anew, with its rows."""
        frame.speak()
        job = self.runs.look(self.point, who)
        if job is None:
            return
        if not job.is_over:
            st.session_state["live_watching"] = self.point
            st.progress(*self._progress(job))
            st.button(
                _("Stop"),
                icon=":material/stop:",
                key="stop_live",
                on_click=self.runs.leave,
                args=(self.point, who),
            )
            return
        if st.session_state.pop("live_watching", None) == self.point:
            st.rerun()
        self._result(job, who)

    def _progress(self, job: Job[P, R]) -> tuple[float, str]:
        if job.state == "waiting":
            return 0.0, _("{n} before you on this machine ...").format(n=self.runs.place(job.point))
        begun, words = self.steps[job.step]
        ends = min((begin for begin, _words in self.steps.values() if begin > begun), default=1.0)
        share = min(job.done / job.of, 1.0) if job.of else 0.0
        return begun + share * (ends - begun), words.format(
            at=job.done + 1, done=job.done, of=job.of
        )

    def _result(self, job: Job[P, R], who: str) -> None:
        if job.state == "stopped":
            st.info(_("Stopped. Nothing was kept."), icon=":material/stop_circle:")
            return
        if job.state == "failed":
            reason = _("The run broke off ({reason}). Try it again.").format(reason=job.message)
            reasons = {
                "said": job.message,
                "too_long": _("It took too long and was ended. Try a smaller network."),
                "crashed": reason,
            }
            st.error(reasons.get(job.reason, job.message), icon=":material/error:")
            return
        if who in job.watchers:
            self._report(job)
        st.success(
            _("Measured here at {when} UTC: {what}.").format(
                when=time.strftime("%Y-%m-%d %H:%M", time.gmtime(job.finished)),
                what=self.result_text(job),
            ),
            icon=":material/star:",
        )
        self.draw_rows(job)

    def _report(self, job: Job[P, R]) -> None:
        """Put what this visitor had measured into his lab report."""
        point: dict[str, Any] = cast(Any, job.point)._asdict()
        point.pop("weights_sha256", None)
        about = _(", ").join(map(str, point.values()))
        row = job.rows[0].model_dump()
        lab.measured(self.key, about, self.result_text(job), job.finished, point, row)
        first = job.rows[0]
        if self.method is not None and isinstance(first, AccuracyRow) and first.score is not None:
            network, *_middle, x = job.point
            if is_visitors(network):  # no other session has it
                return
            spot = Spot(url_state.page(), network, self.method, float(x))
            room.measured(spot, first.score, job.finished)


def run_it_here() -> tuple[str, str]:
    """The words of the button that measures a point of the curves: before, and after."""
    return _("Run it here"), _("Measured already: see below")


def live_points(
    runs: LiveRuns[P, A], start: tuple[Any, ...], columns: Sequence[str]
) -> pd.DataFrame | None:
    """What visitors measured since the server started, of the points that begin with `start`.

    A row a point: `columns`, fields of the measured rows, and accuracy (0..1). None where there is
    nothing yet, or no photographs were there.
    """
    rows = [
        {name: getattr(row, name) for name in columns} | {"accuracy": row.score.accuracy}
        for job in runs.finished(*start)
        for row in job.rows[:1]
        if row.score is not None
    ]
    return pd.DataFrame(rows) if rows else None
