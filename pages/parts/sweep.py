""" "Which T, which alpha?": the cached sweep of short trainings, drawn and said in words."""

import streamlit as st

from core.charts import numbers
from core.charts.kd_verdict import network_title
from core.charts.sweep import points_frame, sweep_chart, sweep_frame
from core.errors import CheckpointError
from core.measure.sweep import Setting, Sweep, settings
from core.words import _
from pages.parts.figure import data_button, show

MODEL = "dwpw_256k"
COMMAND = "python -m core reproduce --steps sweep"


def sweep() -> None:
    """Chart, sentences, table and provenance; or how to make the sweep."""
    try:
        found = Sweep.load(MODEL)
    except CheckpointError as error:
        st.error(str(error))
        return
    if found is None or not any(point.alpha is not None for point in found.points):
        st.info(
            _(
                "Nobody has swept temperature and alpha with these networks yet. This line trains "
                "the student once for every pair, and this section fills itself:"
            ),
            icon=":material/grid_on:",
        )
        st.code(COMMAND, language="bash")
        return
    rows = settings(found)
    best = max((row for row in rows if row.alpha is not None), key=lambda row: row.mean)
    show(
        sweep_chart(found),
        _(
            "Accuracy of {student} against the temperature, a line for each alpha. "
            "Best: T = {temperature:g}, alpha = {alpha:g} with {accuracy}."
        ).format(
            student=network_title(found.model),
            temperature=best.temperature,
            alpha=best.alpha,
            accuracy=numbers.percent(best.mean, best.n),
        ),
        key="sweep",
    )
    data_button(points_frame(found), "sweep")
    st.markdown(_said(rows, best))
    st.caption(
        _(
            "Small marks: single trainings ({seeds} seeds a setting). Each is short, {epochs} "
            "epochs at {px} px, so read differences, not heights. {n} test photographs of {data}; "
            "teacher `{teacher}`; made on {date} on {device}, commit `{commit}`."
        ).format(
            seeds=best.seeds,
            epochs=found.shared["epochs"],
            px=found.shared["px"],
            n=numbers.count(best.n),
            data=_data(found),
            teacher=found.teacher,
            date=found.date,
            device=found.device,
            commit=found.commit[:10],
        )
    )
    with st.expander(_("Every training of the sweep"), icon=":material/table:"):
        st.dataframe(sweep_frame(found), hide_index=True)
        st.json(found.shared, expanded=False)


def _data(found: Sweep) -> str:
    if found.is_food11 or "not food-11" in found.data.lower():
        return found.data
    return _("{name} (not Food-11)").format(name=found.data)


def _said(rows: list[Setting], best: Setting) -> str:
    """Whether the best setting is told from the worst, and from labels alone."""
    taught = [row for row in rows if row.alpha is not None]
    worst = min(taught, key=lambda row: row.mean)
    parts = [
        _(
            "The best of {n} settings is T = {t:g}, α = {a:g} ({high}), the worst T = {u:g}, "
            "α = {b:g} ({low})."
        ).format(
            n=len(taught),
            t=best.temperature,
            a=best.alpha,
            high=numbers.percent(best.mean, best.n),
            u=worst.temperature,
            b=worst.alpha,
            low=numbers.percent(worst.mean, worst.n),
        )
    ]
    if best.low <= worst.high:
        parts.append(
            _(
                "Their 95 % intervals over {seeds} seeds overlap: with so few seeds the two are "
                "not distinguishable."
            ).format(seeds=best.seeds)
        )
    alone = next((row for row in rows if row.alpha is None), None)
    if alone is not None:
        above = sum(row.mean > alone.mean for row in taught)
        parts.append(
            _(
                "Labels alone reach {alone}; {above} of the {n} taught settings lie above that."
            ).format(alone=numbers.percent(alone.mean, alone.n), above=above, n=len(taught))
        )
    return " ".join(parts)
