"""The whole network at lower rank: accuracy against parameters, fine-tuning, MACs against time."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from core.charts import low_rank_words, numbers
from core.charts.low_rank_data import accuracy_data
from core.charts.low_rank_network import accuracy_chart, accuracy_frame, others_frame
from core.charts.low_rank_times import time_chart, time_frame, whole_row
from core.charts.pruning_words import column_title
from core.checkpoints import Checkpoint
from core.compression.lowrank_shapes import Method
from core.measure.lowrank_grid import LowRankRow
from core.measure.pruning_grid import BATCHES, ENGINES
from core.training.lowrank_live import RUNS
from core.words import _
from pages.parts.figure import data_button, show
from pages.parts.linked import one_of
from pages.parts.low_rank_controls import Guess, Setting, Whole, speed_title

COLUMNS = tuple(f"{engine}_{batch}" for engine in ENGINES for batch in BATCHES)
ALL: tuple[Method, ...] = ("spatial", "tucker2", "svd")


def accuracy(
    at: Setting, how: Whole, found: Sequence[Checkpoint]
) -> tuple[pd.DataFrame | None, bool]:
    """The chart with its controls and sentences; returns what it shows, and whether all of it."""
    if how.grid is None:
        st.info(
            _(
                "The curves of this network are not measured yet; that takes some minutes. "
                "Meanwhile “Run it here” measures single points. To measure them all:"
            ),
            icon=":material/query_stats:",
        )
        st.code(f"python -m core lowrank-grid {at.checkpoint.id}", language="bash")
        return None, False
    with st.container(horizontal=True, vertical_alignment="center"):
        reveal = st.toggle(_("Show what was measured"), key="reveal", bind="query-params")
        every = st.toggle(_("All methods"), key="all_methods", bind="query-params")
        tuned = st.toggle(
            _("Also after fine-tuning"), True, key="finetuned", bind="query-params",
            help=_("A short training of the factored network: hollow marks."),
        )  # fmt: skip
    methods = how.grid.worth_showing(ALL) if every else (how.method,)
    frame = accuracy_frame(how.grid, methods, tuned and not every)
    if frame.empty:
        st.info(_("These curves were made without photographs: no accuracy."))
        return None, False
    others = others_frame(found, at.checkpoint, how.grid.fingerprint)
    show(
        accuracy_chart(frame, others, how.row, _live_points(at), reveal),
        low_rank_words.accuracy_alt(frame, reveal),
        key="accuracy",
    )
    st.caption(
        _("Bands and bars: 95 % interval. Dashed: one in eleven, pure chance. Hollow: after "
          "fine-tuning. Stars: measured here, just now. Named marks: other designs, "
          "trained as small as they are, in the same way.")
    )  # fmt: skip
    if not reveal:
        st.caption(_("Make your guess, then switch on “Show what was measured”."))
        return frame[frame["energy"] == 1], False
    data_button(accuracy_data(frame, others), "low-rank-accuracy")
    st.markdown(f"**{_('What you see')}**")
    lines = low_rank_words.accuracy_lines(frame)
    if tuned and not every:
        lines += low_rank_words.tuned_lines(how.grid)
    st.markdown("\n".join(f"- {line}" for line in lines))
    if how.row is not None:
        _plan(how, how.row)
    return frame, True


def _live_points(at: Setting) -> pd.DataFrame | None:
    """What visitors measured of this network since the server started."""
    rows = [
        {"params": job.rows[0].params, "accuracy": job.rows[0].score.accuracy}
        for job in RUNS.finished(at.checkpoint.id, at.sha256)
        if job.rows[0].score is not None
    ]
    return pd.DataFrame(rows) if rows else None


def _plan(how: Whole, row: LowRankRow) -> None:
    """Every layer at the nearest measured setting."""
    assert how.grid is not None
    with st.expander(
        _("Layer by layer at {energy} of the energy: {params} parameters, {score}").format(
            energy=numbers.share(row.energy),
            params=numbers.count(row.params),
            score=low_rank_words.score_text(row),
        )
    ):
        st.dataframe(
            low_rank_words.plan_frame(how.grid, row),
            column_config={
                "layer": _("Layer"),
                "done": _("What is done"),
                "before": st.column_config.NumberColumn(_("Parameters"), format="localized"),
                "after": st.column_config.NumberColumn(_("afterwards"), format="localized"),
            },
            hide_index=True,
        )


def figures(row: LowRankRow) -> None:
    """The figures of one row; what was not measured is left out."""
    told = {
        _("Right"): low_rank_words.score_text(row),
        _("Parameters"): numbers.count(row.params),
        _("MACs"): numbers.count(row.macs),
        _("Weights file"): numbers.size(row.size_bytes),
        _("Layers factored"): numbers.count(len(row.ranks)),
        _("Energy kept, all weights"): numbers.percent(row.kept),
    }
    st.markdown("\n".join(f"- {name}: {value}" for name, value in told.items()))


def times(at: Setting, how: Whole, guess: Guess, reveal: bool) -> None:
    """MACs against time, and in words which network is really faster."""
    grid = how.grid
    timed = [column for column in COLUMNS if grid and whole_row(grid, column)]
    if grid is None or not timed:
        st.info(
            _("Times of this network are not measured yet. “Run it here” measures one point, or:"),
            icon=":material/timer_off:",
        )
        st.code(f"python -m core lowrank-grid {at.checkpoint.id} --stages times", language="bash")
        return
    if not reveal:
        st.caption(_("Shown together with the curves: make your guess first."))
        return
    column = one_of(
        st.segmented_control,
        _("Measured with"),
        {name: column_title(name) for name in timed},
        "time_with",
        default=timed[0],
        required=True,
    )
    methods: tuple[Method, ...] = ("spatial", "tucker2")
    frame = time_frame(grid, methods, column)
    if frame.empty:
        st.info(_("At the timed energies no layer of this network is worth factoring."))
        return
    show(time_chart(frame), low_rank_words.time_alt(grid, methods, column), key="times")
    data_button(frame, "low-rank-times")
    st.caption(
        _(
            "Circles: k × 1, then 1 × k. Triangles: Tucker-2. The figure beside a mark is the "
            "energy kept. Median of repeated calls, quartiles as bars, {threads} thread, on "
            "{device}; all took turns. On the dashed line time would fall as the MACs do."
        ).format(threads=grid.threads, device=grid.device)
    )
    lines = low_rank_words.time_lines(grid, methods, column)
    st.markdown("\n".join(f"- {line}" for line in lines))
    if guess.speed:
        _answer(frame, guess.speed)


def _answer(frame: pd.DataFrame, guess: str) -> None:
    """The guess about half of the MACs beside the network that is nearest to that."""
    near = frame.iloc[int((frame["macs_share"] - 0.5).abs().argmin())]
    promised, gained = 1 - near["macs_share"], 1 - near["share"]
    truth = "slower" if gained < 0 else "faster" if gained > promised / 2 else "same"
    told = _("Well seen.") if truth == guess else _("Not quite.")
    st.markdown(
        told
        + " "
        + _("You guessed “{guess}”. Nearest to half: {macs} of the MACs took {time} of the time.")
        .format(
            guess=speed_title(guess),
            macs=numbers.share(near["macs_share"]),
            time=numbers.share(near["share"]),
        )
    )  # fmt: skip
