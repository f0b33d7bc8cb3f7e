"""Ratio against accuracy, and ratio against time and size: what was measured, drawn and told."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from core.charts import numbers, pruning_words
from core.charts.pruning import Measured, accuracy_chart, accuracy_frame, guess_curve, method_title
from core.charts.pruning_times import COSTS, TIMES, time_chart, time_frame, timed_row
from core.compression.prune import forms_of
from core.compression.prune_select import METHODS
from core.measure.accuracy import Score
from core.measure.pruning_grid import TIMED_RATIOS, PruningGrid, PruningRow, RowKey
from core.training.pruning_live import RUNS
from core.words import _, ngettext
from pages.parts.figure import data_button, show
from pages.parts.linked import one_of
from pages.parts.pruning_controls import Guess, Setting, speed_title


def explain_missing(ids: Sequence[str]) -> None:
    """Say that nothing was measured yet and how to get it."""
    st.info(
        _(
            "The curves of these networks are not measured yet. That takes some minutes for each; "
            "meanwhile everything below works, and “Run it here” measures single points."
        ),
        icon=":material/query_stats:",
    )
    st.code(f"python -m core prune-grid {' '.join(ids)}", language="bash")


def accuracy(known: Sequence[Measured], at: Setting, guess: Guess) -> pd.DataFrame:
    """The first chart with its controls and sentences; returns what it shows."""
    with st.container(horizontal=True, vertical_alignment="center"):
        reveal = st.toggle(_("Show what was measured"), key="reveal", bind="query-params")
        by_method = st.toggle(
            _("All methods on this network"), key="all_methods", bind="query-params"
        )
        finetuned = st.toggle(
            _("Also after fine-tuning"), key="finetuned", bind="query-params",
            help=_("A short training after pruning, with the zeros kept: hollow marks."),
        )  # fmt: skip
    own = [one for one in known if one.grid.checkpoint == at.checkpoint.id]
    networks, methods = (own, METHODS) if by_method and own else (known, (at.method,))
    frame = accuracy_frame(networks, methods, finetuned)
    if frame.empty:
        st.info(
            _("These curves were made without photographs: no accuracy. See: python -m core data")
        )
        return frame
    start = float(frame.loc[frame["ratio"] == 0, "accuracy"].max())
    show(
        accuracy_chart(
            frame,
            at.ratio,
            None if guess.curve is None else guess_curve(guess.curve, start),
            _live_points(at),
            reveal,
        ),
        pruning_words.accuracy_alt(frame, reveal),
        key="accuracy",
    )
    shown = "" if by_method and own else method_title(at.method) + ". "
    st.caption(
        shown
        + _("Bands and bars: 95 % interval. Dashed grey: one in eleven, pure chance. Thick "
            "dots: your guess. Stars: measured here, just now.")
    )  # fmt: skip
    if not reveal:
        st.caption(_("Make your guess, then switch on “Show what was measured”."))
        return frame[frame["ratio"] == 0]
    st.markdown(f"**{_('What you see')}**")
    lines = pruning_words.accuracy_lines(frame) + pruning_words.tuned_lines(frame)
    st.markdown("\n".join(f"- {line}" for line in lines))
    return frame


def _live_points(at: Setting) -> pd.DataFrame | None:
    """What visitors measured of this network and method since the server started."""
    done = RUNS.finished(at.checkpoint.id, at.sha256, at.method)
    rows = [
        {"ratio": job.point.ratio, "accuracy": job.rows[0].score.accuracy}
        for job in done
        if job.rows[0].score is not None
    ]
    return pd.DataFrame(rows) if rows else None


def times(at: Setting, guess: Guess, reveal: bool) -> None:
    """The second chart: what each form costs, and every figure at this ratio."""
    grid = at.grid
    known = [name for name in COSTS if grid and timed_row(grid, "removed", 0.0, name)]
    if grid is None or not set(known) & set(TIMES):
        st.info(
            _("Times of this network are not measured yet. “Run it here” measures one point, or:"),
            icon=":material/timer_off:",
        )
        st.code(f"python -m core prune-grid {at.checkpoint.id} --stages times", language="bash")
    if grid is None or not known:
        return
    if not reveal:
        st.caption(_("Shown together with the curves: make your guess first."))
        return
    column = one_of(
        st.segmented_control,
        _("Show"),
        {name: pruning_words.column_title(name) for name in known},
        "time_with",
        default=known[0],
        required=True,
    )
    frame = time_frame(grid, column)
    show(
        time_chart(frame, at.ratio, column),
        pruning_words.time_alt(grid, column, TIMED_RATIOS),
        key="times",
    )
    st.caption(_how_measured(grid, column))
    data_button(frame, "pruning-times")
    _told_times(grid, column, at.ratio, guess)
    _table(grid, at)


def _how_measured(grid: PruningGrid, column: str) -> str:
    forms = _("Masked and removed: L1; narrower: channels by L2.")
    if column not in TIMES:
        return forms + " " + _("Counted, so there is no spread. The state dict is float32.")
    said = ngettext(
        "Median of repeated calls, quartiles as bars, {threads} thread, on {machine}. All forms "
        "took turns. An ONNX file holds no masks: exporting removes them.",
        "Median of repeated calls, quartiles as bars, {threads} threads, on {machine}. All forms "
        "took turns. An ONNX file holds no masks: exporting removes them.",
        grid.threads,
    ).format(threads=grid.threads, machine=grid.machine)
    return f"{said} {forms}"


def _told_times(grid: PruningGrid, column: str, ratio: float, guess: Guess) -> None:
    nearest = min(TIMED_RATIOS[1:], key=lambda one: abs(one - ratio))
    st.markdown(
        _("**What you see**, at {ratio} ({column}):").format(
            ratio=numbers.share(nearest), column=pruning_words.column_title(column)
        )
    )
    lines = pruning_words.time_lines(grid, column, nearest)
    st.markdown("\n".join(f"- {line}" for line in lines))
    whole = timed_row(grid, "removed", 0.0, "torch_1")
    wearing = timed_row(grid, "masked", 0.9, "torch_1")
    if guess.speed and whole and wearing:
        truth = wearing.latency["torch_1"].against(whole.latency["torch_1"])
        told = _("Well seen.") if truth == guess.speed else _("Not quite.")
        st.markdown(
            told
            + " "
            + _("You guessed “{guess}” for 90 % pruned; with its masks it measured “{truth}”.")
            .format(guess=speed_title(guess.speed), truth=speed_title(truth))
        )  # fmt: skip


def _table(grid: PruningGrid, at: Setting) -> None:
    found = [grid.row(RowKey(at.method, at.ratio, form)) for form in forms_of(at.method)]
    rows = [row for row in found if row is not None]
    if not rows:
        st.caption(
            _("No figures are kept for {ratio}: choose 0 to 95 %, or run it here.").format(
                ratio=numbers.share(at.ratio)
            )
        )
        return
    st.markdown(
        _("**{method} at {ratio}**, every figure:").format(
            method=method_title(at.method), ratio=numbers.share(at.ratio)
        )
    )
    figures(rows)
    if not any(row.latency for row in rows):
        st.caption(
            _(
                "Not timed: arithmetic does not care where the zeros are, so times were measured "
                "for L1 and for channels by L2, at {ratios}. “Run it here” times this very point."
            ).format(ratios=", ".join(numbers.share(ratio) for ratio in TIMED_RATIOS))
        )


def figures(rows: Sequence[PruningRow]) -> None:
    """A table of rows; what was not measured is left empty."""
    table = pruning_words.rows_table(rows)
    table = table.dropna(axis="columns", how="all").fillna("–")
    titles = {
        "form": _("Form"),
        "right": _("Right"),
        "params": _("Parameters"),
        "nonzero": _("not zero"),
        "macs": _("MACs"),
        "size": _("State dict"),
        "zipped": _("zipped"),
        **{name: pruning_words.column_title(name) for name in TIMES},
    }
    st.dataframe(
        table,
        column_config={name: titles[name] for name in table.columns},
        hide_index=True,
        alt=_("Each form: accuracy, parameters, MACs, bytes and times."),
    )


def score_text(score: Score | None) -> str:
    """ "76.6 % (74.4 to 78.7 %)", or that it was not measured."""
    if score is None:
        return _("not measured (no photographs here)")
    return _("{accuracy} ({interval})").format(
        accuracy=numbers.percent(score.accuracy, score.n),
        interval=numbers.interval(*score.ci95, score.n),
    )
