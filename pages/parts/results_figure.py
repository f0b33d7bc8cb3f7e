"""One figure of the reports at a time: our curves, then our test accuracies beside theirs."""

from collections.abc import Mapping

import pandas as pd
import streamlit as st

from core.charts.results import (
    curves_chart,
    drawn_frame,
    ladder_chart,
    ladder_frame,
    mean_frame,
    short_title,
)
from core.charts.results_words import (
    curves_alt,
    curves_lines,
    figure_question,
    figure_title,
    ladder_alt,
)
from core.recipes import recipes
from core.serving.collected import Collected
from core.serving.results import FIGURES, FigureKey, curves_frame, missing_ids
from core.words import _
from pages.parts.figure import data_button, show
from pages.parts.linked import one_of

Groups = Mapping[str, Collected]


def choose_figure() -> FigureKey:
    """Which figure, kept in the link."""
    titles: dict[FigureKey, str] = {key: figure_title(key) for key in FIGURES}
    return one_of(
        st.segmented_control, _("Figure of the report"), titles, "figure", default="9",
        required=True,
    )  # fmt: skip


def planned() -> dict[str, str]:
    """Ids that `python -m core reproduce` makes -> their stems."""
    return {one.id: one.id.removesuffix(f"-s{one.config.seed}") for one in recipes("quick")}


def curves(key: FigureKey, groups: Groups) -> None:
    """Accuracy per epoch, every seed; what is missing, and the command that makes it."""
    figure = FIGURES[key]
    st.markdown(f"**{figure_question(key)}**")
    frame, without = curves_frame(groups, figure)
    if len(frame):
        drawn = drawn_frame(frame, groups)
        show(curves_chart(drawn), curves_alt(mean_frame(drawn)), key=f"curves-{key}")
        said = [
            _("Training accuracy is on augmented photographs, while the weights still change.")
            if figure.both_splits
            else _("Right on the validation split, epoch by epoch.")
        ]
        if frame.groupby("stem")["seed"].nunique().max() > 1:
            said.insert(0, _("Thin lines: one seed each; thick: their mean."))
        st.caption(" ".join(said))
        st.markdown("\n".join(f"- {line}" for line in curves_lines(mean_frame(drawn))))
        data_button(frame, f"curves-{key}")
    _say_missing(figure.stems, groups, without)


def _say_missing(stems: tuple[str, ...], groups: Groups, without: list[str]) -> None:
    plan = planned()
    stems = tuple(stem for stem in stems if stem in plan.values() or stem in groups) or stems
    missing = [id for stem in stems for id in missing_ids(stem, plan, groups)]
    if missing:
        names = [short_title(stem) for stem in stems if missing_ids(stem, plan, groups)]
        st.info(
            _("Not trained yet, in part or at all: {names}. This line makes them:").format(
                names="; ".join(names)
            ),
            icon=":material/hourglass_empty:",
        )
        st.code(f"python -m core reproduce --only {' '.join(missing)}", language="bash",
                wrap_lines=True)  # fmt: skip
    if without:
        st.info(
            _(
                "The curves of {names} did not ship with them. On the machine that trained them, "
                "this line adds them; elsewhere it trains them again:"
            ).format(names=", ".join(f"`{name}`" for name in without)),
            icon=":material/show_chart:",
        )
        st.code(
            f"python -m core reproduce --steps training --only {' '.join(without)}",
            language="bash", wrap_lines=True,
        )  # fmt: skip


def ladder(key: FigureKey, groups: Groups) -> pd.DataFrame:
    """Our test accuracies and the reported ones of the figure's networks."""
    figure = FIGURES[key]
    frame = ladder_frame(groups, figure)
    if frame.empty:
        st.caption(_("Neither side has a figure for this one yet."))
        return frame
    show(ladder_chart(frame, groups), ladder_alt(frame), key=f"ladder-{key}")
    st.caption(
        _(
            "Filled mark: ours, on the test split, with its 95 % interval; faint: its seeds. "
            "Upright stroke: theirs, one training, measured on the real Food-11. Compare the "
            "order, not the heights: the photographs are not the same."
        )
    )
    data_button(frame.drop(columns=["text", "row"]), f"ladder-{key}")
    return frame
