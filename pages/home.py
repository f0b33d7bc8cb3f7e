"""Home: what compression is for, every shipped network in one picture, and the way to each page."""

import pandas as pd
import streamlit as st

from core.charts import numbers
from core.charts.theme import ROLES, glyph, role_title
from core.checkpoints.by_recipe import collect, is_trial, on_one_set
from core.collection.chart import (
    COSTS,
    Cost,
    collection_chart,
    collection_frame,
    cost_name,
    cost_text,
    cost_title,
    frontier,
)
from core.course import BASELINES
from core.i18n import _
from pages.kit import frame as contents
from pages.kit import networks
from pages.kit.figure import show
from pages.kit.frame import foot, page_link
from pages.kit.provenance import (
    explain_missing_times,
    latency,
    latency_provenance,
    measured_elsewhere,
    provenance,
)
from pages.kit.url_state import one_of, toggle

# ------------------------------------------------------------------------------------------------
# Home's picture: every network's accuracy against one of its costs, and what it shows in words.


NO_BASELINES = "none"


def frontier_chart(frame: pd.DataFrame) -> None:
    """Two choices, the chart, and two sentences; `frame` as `collection_frame` gives it."""
    costs: dict[Cost, str] = {one: cost_name(one) for one in COSTS}
    with st.container(horizontal=True):
        cost = one_of(
            st.segmented_control, _("Size counted in"), costs, "cost", default="params",
            required=True,
        )  # fmt: skip
        years = {NO_BASELINES: _("none")}
        years |= {year: year.removeprefix("HW13 ") for year in BASELINES}
        year = one_of(
            st.segmented_control, _("HW13 baselines, on Food-11"), years, "baselines",
            default="HW13 2022", required=True,
        )  # fmt: skip
    frame = _with_or_without_trials(frame)
    shown = frame[frame[cost].notna()].reset_index(drop=True)
    if len(shown) < len(frame):
        explain_missing_times()
    if shown.empty:
        return
    trained = shown[shown["derived"] == ""]  # a copy of a network is no better training
    best = (shown if trained.empty else trained).iloc[0]
    smallest = shown.sort_values(cost).iloc[0]
    first = shown[frontier(shown, cost)].sort_values(cost)
    show(
        collection_chart(shown, cost, None if year == NO_BASELINES else year),
        _(
            "Accuracy on the test photographs against {cost}, one mark per network. "
            "Most accurate: {best}, {accuracy}. Smallest: {smallest}, {its}. On the frontier: "
            "{frontier}."
        ).format(
            cost=cost_title(cost),
            best=_(best.title),
            accuracy=numbers.percent(best.accuracy, best.n),
            smallest=_(smallest.title),
            its=numbers.percent(smallest.accuracy, smallest.n),
            frontier="; ".join(_(title) for title in first["title"]),
        ),
        key=f"collection-{cost}",
    )
    _caption(shown, year)
    if best[cost] > smallest[cost]:
        st.markdown(
            _(
                "**What you see.** *{best}* is right on {accuracy} of the test photographs. "
                "*{smallest}* costs {ratio} less ({small} against {large}) and is right on {its}. "
                "{n} of {all} networks are on the frontier: no other is as small and as good."
            ).format(
                best=_(best.title),
                accuracy=numbers.percent(best.accuracy, best.n),
                smallest=_(smallest.title),
                ratio=numbers.ratio(best[cost] / smallest[cost]),
                small=cost_text(cost, smallest[cost]),
                large=cost_text(cost, best[cost]),
                its=numbers.percent(smallest.accuracy, smallest.n),
                n=len(first),
                all=len(shown),
            )
        )


def _with_or_without_trials(frame: pd.DataFrame) -> pd.DataFrame:
    """All rows, or those that were trained in earnest; a switch where both kinds are there."""
    trial = frame["recipe"].map(is_trial)
    if not trial.any() or trial.all():
        return frame
    wanted = toggle(
        _("Short trainings too ({n} networks)").format(n=int(trial.sum())),
        "trials",
        help=_("Trained for ten epochs or at 64 px, for one comparison each. See Results."),
    )
    return frame if wanted else frame[~trial]


def _caption(shown: pd.DataFrame, year: str) -> None:
    present = [role for role in ROLES if role in set(shown["role"])]
    said = _("{roles}. Bars: 95 % interval. Rings and line: the frontier.").format(
        roles=" · ".join(f"{glyph(role)} {role_title(role)}" for role in present)
    )
    if (shown["seeds"] > 1).any():
        said += " " + _("A mark is the mean of its seeds, which stand faintly behind it.")
    if year != NO_BASELINES:
        said += " " + (
            _("Dotted: what {year} asked for, on that year's split of Food-11.").format(year=year)
            if shown["is_food11"].all()
            else _(
                "Dotted: what {year} asked for, on Food-11. Our networks were measured on other "
                "photographs, so being above or below such a line says nothing."
            ).format(year=year)
        )
    st.caption(said)


PER_ROW = 3


def main() -> None:
    """Draw the page."""
    st.title(contents.entry("home").question)
    st.markdown(
        _(
            "A network that knows food well is large: millions of numbers, too many for a "
            "small phone. "
            "Compression makes a small network that answers almost as well, by learning from "
            "the large "
            "one, by leaving things out, or by writing the numbers shorter. Here you can see "
            "what that "
            "costs and what it saves, on real photographs and with networks that were really "
            "trained."
        )
    )

    found = networks.checkpoints()
    times = latency()
    frame = collection_frame(found, times)
    if not found:
        networks.explain_empty()
    elif frame.empty:
        st.info(
            _("The networks here have no test accuracy yet. Measure it with: python -m core check")
        )
    else:
        st.subheader(_("How small can it get and still be right?"))
        frontier_chart(frame)
        same, elsewhere = on_one_set(collect(found))
        measured_elsewhere(elsewhere)
        provenance([one for group in same for one in group.seeds])
        latency_provenance(times)

    st.subheader(_("Where to go"))
    others = [one for one in contents.entries() if one.key != "home"]
    for start in range(0, len(others), PER_ROW):
        for column, one in zip(st.columns(PER_ROW), others[start : start + PER_ROW], strict=False):
            with column.container(border=True, height="stretch"):
                page_link(one, f"**{one.name}**")
                st.caption(one.question)

    foot("home", frame.assign(of_seeds=frame["of_seeds"].map(str)))


if __name__ == "__main__":
    main()
