"""Home: the way from a large network to a small one in one picture, all networks, three doors."""

import hashlib
import itertools
import os
from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd
import streamlit as st
from PIL.Image import Image

from core.charts import numbers
from core.charts.theme import ROLES, glyph, role_title
from core.checkpoints import Checkpoint
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
from core.collection.latency import LatencyTable
from core.course import BASELINES, CLASSES
from core.data.dreams import SHOW_PX, dreams_dir
from core.data.find import food11_folder
from core.errors import DataError, PhotoError
from core.export.chart import STORY, STORY_PX, story_chart, story_title
from core.export.stack import Dish, Stack, StackRow
from core.i18n import _, food_class
from core.photos import read_photo
from pages.kit import frame, networks
from pages.kit.figure import data_button, show, show_with_slider
from pages.kit.provenance import (
    explain_missing_times,
    latency,
    latency_provenance,
    measured_elsewhere,
    measured_line,
    provenance,
)
from pages.kit.url_state import choice, in_browser, next_of, one_of, toggle


def main() -> None:
    """Draw the page."""
    st.title(frame.entry("home").question)
    st.markdown(
        _(
            "By learning from it, by leaving parts out, and by writing its numbers shorter. Here "
            "is one network on its way to a phone: every figure was measured on a real file."
        )
    )
    found = networks.checkpoints()
    times = latency()
    table = collection_frame(found, times)
    if not found:
        networks.explain_empty()
    else:
        stack = Stack.first_of(found, lambda error: st.error(str(error), icon=":material/error:"))
        if stack is not None:
            story(stack)
        if table.empty:
            st.info(
                _("The networks here have no test accuracy yet. Measure it with: python -m core "
                  "check")
            )  # fmt: skip
        else:
            st.header(_("How small can it get and still be right?"))
            all_networks(table, found, times, stack)
    doors()
    frame.foot("home")


# ------------------------------------------------------------------------------------------------
# The story: one dish, one network that shrinks step by step.


class Served(NamedTuple):
    """A dish that can be shown here."""

    dish: Dish
    number: int
    """Its place among the stack's dishes."""
    picture: Image


@frame.section
def story(stack: Stack) -> None:
    """A dish, the steps as squares beside it, and what they cost and save."""
    rows = [row for step in STORY if (row := stack.row(step))]
    if not rows:
        return
    with frame.instrument() as (controls, picture):
        with controls:
            served = serve(stack)
        with picture:
            start = in_browser("step", choice([row.step for row in rows]), rows[0].step)
            show_with_slider(
                story_chart(rows, {row.step: figures(row, served) for row in rows}, start),
                _("A square for each step, its area the bytes of the file. {steps}.").format(
                    steps="; ".join(
                        ", ".join([story_title(row.step), numbers.size(row.size_bytes),
                                   *figures(row, None)]) for row in rows
                    )
                ),
                "story",
                STORY_PX + 60,
            )  # fmt: skip
    st.markdown(_("**What you see.** {sentences}").format(sentences=" ".join(told(rows, served))))


def serve(stack: Stack) -> Served | None:
    """Show a dish: a photograph where those are here, else a generated picture."""
    numbered = list(enumerate(stack.dishes))
    place, below = st.container(), st.container()
    for source in ("photograph", "generated"):
        dishes = [(number, dish) for number, dish in numbered if dish.source == source]
        if not dishes or (first := picture_of(dishes[0][1])) is None:
            continue
        turn = next_of(below, _("Another dish"), "dish") % len(dishes)
        number, dish = dishes[turn]
        picture = picture_of(dish) if turn else first
        if picture is None:
            continue
        food = food_class(CLASSES[dish.label])
        if source == "photograph":
            caption = _("A test photograph of {food}.")
        else:
            caption = _("{food}, a generated picture (made from a teacher's weights).")
        place.image(
            picture, caption=caption.format(food=food), width="stretch",
            alt=_("The dish that each network was shown: {food}").format(food=food),
        )  # fmt: skip
        return Served(dish, number, picture)
    return None


def picture_of(dish: Dish) -> Image | None:
    """The dish's picture; None where its file is not here, or is another one."""
    folder = os.environ.get("FOOD11_ROOT"), os.environ.get("SMALL_PLATES_PRETRAINED")
    return _picture(dish, *folder)


@st.cache_resource(max_entries=64, show_spinner=False)
def _picture(dish: Dish, *_folders: str | None) -> Image | None:
    try:
        folder = food11_folder() if dish.source == "photograph" else dreams_dir()
        data = (folder / dish.place).read_bytes()
        if hashlib.sha256(data).hexdigest() != dish.sha256:
            return None
        picture = read_photo(data)
    except (OSError, DataError, PhotoError):
        return None
    return picture if dish.source == "photograph" else picture.crop((0, 0, SHOW_PX, SHOW_PX))


def figures(row: StackRow, served: Served | None) -> list[str]:
    """What a step measures, a short line each: room for 24 letters on a phone."""
    lines = [
        _("{ms} a photo").format(ms=numbers.milliseconds(row.latency.median))
        if row.latency
        else _("no time of its own")
    ]
    if row.score:
        lines.append(
            _("{accuracy} right").format(accuracy=numbers.percent(row.score.accuracy, row.n))
        )
        lines.append(f"({numbers.interval(*row.score.ci95, row.n)})")
    else:
        lines.append(_("accuracy not measured"))
    if served and served.number < len(row.answers):
        answer = row.answers[served.number]
        lines.append(
            _("{food} {p} {mark}").format(
                food=food_class(CLASSES[answer.label]),
                p=numbers.share(answer.probability),
                mark=glyph("correct" if answer.label == served.dish.label else "wrong"),
            )
        )
    return lines


def told(rows: Sequence[StackRow], served: Served | None) -> list[str]:
    """Two or three sentences on the way from the first row to the last."""
    first, last = rows[0], rows[-1]
    said = [
        _("Area is bytes: {large} become {small}, {ratio} smaller.").format(
            large=numbers.size(first.size_bytes),
            small=numbers.size(last.size_bytes),
            ratio=numbers.ratio(first.size_bytes / last.size_bytes),
        )
    ]
    if first.score and last.score:
        said.append(
            _("It is not free: {before} right become {after} (on {n} test photographs).").format(
                n=numbers.count(first.score.n),
                before=numbers.percent(first.score.accuracy, first.n),
                after=numbers.percent(last.score.accuracy, last.n),
            )
        )
    timed = [row for row in rows if row.latency]
    for before, after in itertools.pairwise(timed):
        if after.latency.against(before.latency) == "slower":  # type: ignore[union-attr, arg-type]
            said.append(
                _("Smaller is not always faster: *{step}* takes longer; *Export* says why.")
                .format(step=story_title(after.step))
            )  # fmt: skip
    if served and served.dish.source == "generated":
        said.append(
            _("A picture made from its weights is easy for the teacher: trust the photographs.")
        )
    return said


# ------------------------------------------------------------------------------------------------
# Every network: accuracy against one of its costs.

NO_BASELINES = "none"


@frame.section
def all_networks(
    table: pd.DataFrame,
    found: Sequence[Checkpoint],
    times: LatencyTable | None,
    stack: Stack | None,
) -> None:
    """Three choices, the chart, and what it says in tabs; `table`: `collection_frame`."""
    costs: dict[Cost, str] = {one: cost_name(one) for one in COSTS}
    years = {NO_BASELINES: _("none")}
    years |= {year: year.removeprefix("HW13 ") for year in BASELINES}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        cost = one_of(
            st.segmented_control, _("Size counted in"), costs, "cost", default="params",
            required=True,
        )  # fmt: skip
        year = one_of(
            st.segmented_control, _("HW13 baselines, on Food-11"), years, "baselines",
            default=NO_BASELINES, required=True,
        )  # fmt: skip
        trial = table["recipe"].map(is_trial)
        if trial.any() and not trial.all():
            wanted = toggle(
                _("Short trainings too"), "trials",
                help=_("Trained for ten epochs or at 64 px, for one comparison each. See Results."),
            )  # fmt: skip
            table = table if wanted else table[~trial]
    shown = table[table[cost].notna()].reset_index(drop=True)
    if len(shown) < len(table):
        explain_missing_times()
    if shown.empty:
        return
    edge = shown[frontier(shown, cost)].sort_values(cost)
    best = shown.iloc[0]
    smallest = edge.iloc[0]
    show(
        collection_chart(shown, cost, None if year == NO_BASELINES else year),
        _(
            "Accuracy on the test photographs against {cost}, one mark per network. Most accurate: "
            "{best}, {accuracy}. Smallest: {smallest}, {its}. On the frontier: {frontier}."
        ).format(
            cost=cost_title(cost),
            best=_(best.title),
            accuracy=numbers.percent(best.accuracy, best.n),
            smallest=_(smallest.title),
            its=numbers.percent(smallest.accuracy, smallest.n),
            frontier="; ".join(_(title) for title in edge["title"]),
        ),
        key=f"collection-{cost}",
    )

    def what_you_see() -> None:
        if best[cost] > smallest[cost]:
            st.markdown(
                _(
                    "*{best}* is right on {accuracy} of the test photographs. *{smallest}* costs "
                    "{ratio} less ({small} against {large}) and is right on {its}. {n} of {all} "
                    "networks are on the frontier: no other is as small and as good."
                ).format(
                    best=_(best.title),
                    accuracy=numbers.percent(best.accuracy, best.n),
                    smallest=_(smallest.title),
                    ratio=numbers.ratio(best[cost] / smallest[cost]),
                    small=cost_text(cost, smallest[cost]),
                    large=cost_text(cost, best[cost]),
                    its=numbers.percent(smallest.accuracy, smallest.n),
                    n=len(edge),
                    all=len(shown),
                )
            )
        if year != NO_BASELINES:
            st.caption(baselines_line(shown, year))

    def every_network() -> None:
        st.caption(legend(shown))
        st.dataframe(
            pd.DataFrame(
                {
                    _("Network"): [
                        f"{glyph(role)} {_(title)}"
                        for role, title in zip(shown["role"], shown["title"], strict=True)
                    ],
                    _("Right"): [
                        f"{numbers.percent(p, n)} ({numbers.interval(low, high, n)})"
                        for p, low, high, n in zip(
                            shown["accuracy"], shown["low"], shown["high"], shown["n"], strict=True
                        )
                    ],
                    cost_title(cost): [cost_text(cost, value) for value in shown[cost]],
                    _("Seeds"): shown["seeds"],
                }
            ),
            hide_index=True,
            alt=_("Each network: accuracy with its interval, and its cost."),
        )
        data_button(shown.assign(of_seeds=shown["of_seeds"].map(str)), "networks")

    def sources() -> None:
        same, elsewhere = on_one_set(collect(found))
        measured_elsewhere(elsewhere)
        provenance([one for group in same for one in group.seeds])
        latency_provenance(times)
        if stack is not None:
            measured_line(_("The steps above"), stack)

    frame.tabs(
        [
            frame.Tab("see", _("What you see"), what_you_see),
            frame.Tab("networks", _("Every network"), every_network),
            frame.Tab("sources", _("Where the numbers come from"), sources),
        ]
    )


def legend(shown: pd.DataFrame) -> str:
    """What marks, bars and rings are."""
    present = [role for role in ROLES if role in set(shown["role"])]
    text = _("{roles}. Bars: 95 % interval. Rings and line: the frontier.").format(
        roles=" · ".join(f"{glyph(role)} {role_title(role)}" for role in present)
    )
    if (shown["seeds"] > 1).any():
        text += " " + _("A mark is the mean of its seeds, which stand faintly behind it.")
    return text


def baselines_line(shown: pd.DataFrame, year: str) -> str:
    """What the dotted lines are, and whether our networks may be held against them."""
    if shown["is_food11"].all():
        asked = _("Dotted: what {year} asked for, on that year's split of Food-11.")
    else:
        asked = _(
            "Dotted: what {year} asked for, on Food-11. Our networks were measured on other "
            "photographs, so being above or below such a line says nothing."
        )
    return asked.format(year=year)


# ------------------------------------------------------------------------------------------------
# Three doors to the other pages.


def doors() -> None:
    """Three ways in, the first page of each as a link; the sidebar has all pages."""
    offered = {
        "compare": _("**See.** Drop a photo of lunch: what does each network make of it?"),
        "architecture": _("**Build.** Put a network together, and let it learn from a larger one."),
        "pruning": _("**Cut and ship.** Leave out what is not needed, and take the file along."),
    }
    for column, (page, words) in zip(st.columns(len(offered)), offered.items(), strict=True):
        with column.container(border=True, height="stretch"):
            st.markdown(words)
            entry = frame.entry(page)
            frame.page_link(entry, entry.name)


if __name__ == "__main__":
    main()
