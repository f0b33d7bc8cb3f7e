"""Home: the way from a large network to a small one in one picture, all networks, three doors."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import streamlit as st
from PIL.Image import Image

from core.charts import numbers
from core.charts.libraries import pd
from core.charts.names import versions
from core.charts.theme import ROLES, glyph, role_title
from core.checkpoints import Checkpoint
from core.checkpoints.by_recipe import collect, is_trial, on_one_set
from core.collection.chart import (
    COSTS,
    Cost,
    accuracy_text,
    collection_chart,
    cost_of,
    cost_text,
    cost_title,
    frontier,
)
from core.collection.homework import NetworkRow, network_rows
from core.course import BASELINES, CLASSES
from core.data.dreams import SHOW_PX, dreams_dir
from core.data.find import food11_folder
from core.errors import DataError, PhotoError
from core.export.chart import STORY, STORY_PX, story_chart, story_title
from core.export.stack import Dish, Stack, StackRow
from core.i18n import _, bracketed, food_class, paragraph
from core.photos import read_photo
from pages.kit import frame, networks, room, stage, url_state
from pages.kit.figure import data_button, kept, show, show_with_slider, table
from pages.kit.provenance import (
    explain_missing_times,
    latency,
    latency_provenance,
    measured_elsewhere,
    measured_line,
    provenance,
)
from pages.kit.url_state import choice, in_browser, next_of, one_of, toggle

_welcome = st.components.v2.component(
    "small_plates_welcome",
    css=Path(__file__).with_suffix(".css").read_text(encoding="utf-8"),
    js=Path(__file__).with_suffix(".js").read_text(encoding="utf-8"),
)


def main() -> None:
    """Draw the page."""
    is_first = not (url_state.settings() or room.seat() or url_state.is_on(stage.STAGE))
    st.title(frame.entry("home").question)
    st.markdown(
        _(
            "A **teacher** trains a small **student**. Some channels of the student are **cut**, "
            "and its weights get **8 bits**."
        )
    )
    shipped = networks.checkpoints()
    if not shipped:
        networks.explain_empty()
    else:
        stack = Stack.first_of(shipped, lambda error: st.error(str(error), icon=":material/error:"))
        if stack is not None:
            story(stack)
        all_networks(shipped, stack)
    doors()
    frame.foot("home")
    if is_first:
        welcome()


class Served(NamedTuple):
    """A dish that can be shown here."""

    dish: Dish
    number: int
    """Its place among the stack's dishes."""


@frame.section
def story(stack: Stack) -> None:
    """One dish, and one network that shrinks step by step: what each step costs and saves."""
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
                    steps=_("; ").join(
                        _(", ").join([story_title(row.step), numbers.size(row.size_bytes),
                                   *figures(row, None)]) for row in rows
                    )
                ),
                "story",
                STORY_PX + 60,
            )  # fmt: skip
    sentences = paragraph(story_sentences(rows, served))
    st.markdown(_("**What you see.** {sentences}").format(sentences=sentences))


def serve(stack: Stack) -> Served | None:
    """Show a dish: a photograph where those are here, else a generated picture."""
    numbered = list(enumerate(stack.dishes))
    place, below = st.container(), st.container()
    captions = {
        "photograph": _("A test photograph of {food}."),
        "generated": _("{food}, a generated picture (made from a teacher's weights)."),
    }
    for source, caption in captions.items():
        dishes = [(number, dish) for number, dish in numbered if dish.source == source]
        if not dishes or picture_of(dishes[0][1]) is None:
            continue
        number, dish = dishes[next_of(below, _("Another dish"), "dish") % len(dishes)]
        picture = picture_of(dish)
        if picture is None:
            continue
        food = food_class(CLASSES[dish.label])
        place.image(
            picture, caption=caption.format(food=food), width="stretch",
            alt=_("The dish that each network was shown: {food}").format(food=food),
        )  # fmt: skip
        return Served(dish, number)
    return None


def picture_of(dish: Dish) -> Image | None:
    """The dish's picture; None where its file is not here, or is another one."""
    folders = os.environ.get("FOOD11_ROOT"), os.environ.get("SMALL_PLATES_PRETRAINED")
    return _picture(dish, *folders)


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
        else _("time not measured")
    ]
    if row.score:
        accuracy = numbers.percent(row.score.accuracy, row.n)
        lines.append(_("{accuracy} right").format(accuracy=accuracy))
        lines.append(bracketed("", numbers.interval(*row.score.ci95, row.n)).lstrip())
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


def story_sentences(rows: Sequence[StackRow], served: Served | None) -> list[str]:
    """Two to four sentences on the way from the first row to the last."""
    first, last = rows[0], rows[-1]
    sentences = [
        _("The area is the file's size: {large} become {small}, {ratio} smaller.").format(
            large=numbers.size(first.size_bytes),
            small=numbers.size(last.size_bytes),
            ratio=numbers.ratio(first.size_bytes / last.size_bytes),
        )
    ]
    if first.score and last.score:
        sentences.append(
            _(
                "The price: the first is right on {before} of {n} test photographs, the last on "
                "{after}."
            ).format(
                n=numbers.count(first.score.n),
                before=numbers.percent(first.score.accuracy, first.n),
                after=numbers.percent(last.score.accuracy, last.n),
            )
        )
    timed = [(row.step, row.latency) for row in rows if row.latency]
    sentences += [
        _("*{step}* is smaller but slower: see *Export*.").format(step=story_title(step))
        for (_before, time_before), (step, time) in itertools.pairwise(timed)
        if time.against(time_before) == "slower"
    ]
    if served and served.dish.source == "generated":
        sentences.append(_("The picture was made from a teacher's weights: easy for the teacher."))
    return sentences


NO_BASELINES = "none"
TABLE_PX = 420
"""Of the table of networks: the doors below it stay near."""


def all_networks(shipped: Sequence[Checkpoint], stack: Stack | None) -> None:
    """Every network, accuracy against one of its costs; those of the most common test set."""
    times = latency()
    same, elsewhere = on_one_set(collect(shipped))
    seeds = [seed for group in same for seed in group.seeds]
    rows = kept(partial(network_rows, same, times), "all networks", of=[*seeds, times])
    if not rows:
        st.info(
            _("These networks have no test accuracy yet. Measure it with: python -m core check")
        )
        return

    def sources() -> None:
        measured_elsewhere(elsewhere)
        provenance(seeds)
        latency_provenance(times)
        if stack is not None:
            measured_line(_("The steps above"), stack)

    st.header(_("How small can it get and still be right?"))
    explore(rows, frame.Tab("sources", _("Sources"), sources))


@frame.section
def explore(rows: tuple[NetworkRow, ...], sources: frame.Tab) -> None:
    """Three choices, the chart, and what it says in tabs."""
    cost_names: dict[Cost, str] = dict(
        zip(COSTS, (_("Parameters"), _("MACs"), _("Bytes"), _("Time")), strict=True)
    )
    years = {NO_BASELINES: _("none")} | {year: year.removeprefix("HW13 ") for year in BASELINES}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        cost = one_of(
            st.segmented_control, _("Size counted in"), cost_names, "cost", default="params",
            required=True,
        )  # fmt: skip
        year = one_of(
            st.segmented_control, _("HW13 baselines, on Food-11"), years, "baselines",
            default=NO_BASELINES, required=True,
        )  # fmt: skip
        without_trials = tuple(row for row in rows if not is_trial(row.recipe))
        if 0 < len(without_trials) < len(rows) and not toggle(
            _("Short trainings too"), "trials",
            help=_("Trained for ten epochs or at 64 px, for one comparison each. See Results."),
        ):  # fmt: skip
            rows = without_trials
    shown = tuple(row for row in rows if cost_of(row, cost) is not None)
    if len(shown) < len(rows):
        explain_missing_times()
    if not shown:
        return
    edge = frontier(shown, cost)
    best, smallest = shown[0], edge[0]
    facts = {
        "best": short_name(best),
        "accuracy": numbers.percent(best.accuracy, best.n),
        "smallest": short_name(smallest),
        "its": numbers.percent(smallest.accuracy, smallest.n),
    }
    show(
        collection_chart(shown, cost, None if year == NO_BASELINES else year),
        _(
            "Accuracy on the test photographs against {cost}, one mark per network. Most accurate: "
            "{best}, {accuracy}. Smallest: {smallest}, {its}. On the frontier: {frontier}."
        ).format(cost=cost_title(cost), frontier=_("; ").join(map(short_name, edge)), **facts),
        key=f"collection-{cost}",
    )
    present = {row.role for row in shown}
    roles = " · ".join(
        f"{glyph(role)}\u00a0{role_title(role)}" for role in ROLES if role in present
    )
    st.caption(_("{roles}. Bars: 95 % interval.").format(roles=roles))

    def what_you_see() -> None:
        most, least = cost_of(best, cost) or 0.0, cost_of(smallest, cost) or 0.0
        less: dict[Cost, str] = {
            "params": _("fewer parameters"),
            "macs": _("fewer MACs"),
            "size_bytes": _("fewer bytes"),
            "latency_ms": _("less time"),
        }
        if most > least:
            st.markdown(
                _(
                    "*{best}* is right on {accuracy}, *{smallest}* on {its} with {ratio} {less}. "
                    "Ringed, the frontier: {n} of {all} networks. No other is smaller and better."
                ).format(
                    ratio=numbers.ratio(most / least),
                    less=less[cost],
                    n=len(edge),
                    all=len(shown),
                    **facts,
                )
            )
        if year != NO_BASELINES:
            text = _("Dotted: what {year} asked for, on that year's split of Food-11.")
            if not all(row.is_food11 for row in shown):
                text = _(
                    "Dotted: what {year} asked for, on Food-11. Our networks were measured on "
                    "other photographs: a comparison with these lines says nothing."
                )
            st.caption(text.format(year=year))

    frame.tabs(
        [
            frame.Tab("see", _("What you see"), what_you_see),
            frame.Tab("networks", _("Every network"), lambda: every_network(shown, cost)),
            sources,
        ]
    )


def short_name(row: NetworkRow) -> str:
    """What a network is called beside its mark."""
    return versions(row.model, row.recipe, _(row.title), row.derived)[-1]


def every_network(shown: Sequence[NetworkRow], cost: Cost) -> None:
    """The chart as a table."""
    if any(len(row.seeds) > 1 for row in shown):
        st.caption(_("A mark is the mean of its seeds; each seed is a faint mark behind it."))
    table(
        {
            _("Network"): [f"{glyph(row.role)} {_(row.title)}" for row in shown],
            _("Right"): [accuracy_text(row) for row in shown],
            cost_title(cost): [cost_text(cost, cost_of(row, cost) or 0.0) for row in shown],
            _("Seeds"): [str(len(row.seeds)) for row in shown],
        },
        extra=[_("Seeds")],
        key="networks",
        height_px=TABLE_PX,
    )
    data_button(lambda: pd.DataFrame(shown), "networks")


def doors() -> None:
    """Three ways in, the first page of each as a link; the sidebar has all pages."""
    offered = {
        "compare": _("**See** your own photo."),
        "architecture": _("**Build** your own network."),
        "pruning": _("**Cut** what is not needed."),
    }
    for column, (page, words) in zip(st.columns(len(offered)), offered.items(), strict=True):
        with column.container(border=True, height="stretch"):
            st.markdown(words)
            entry = frame.entry(page)
            frame.page_link(entry, entry.name)


def welcome() -> None:
    """Three lines for who has never been here, over the page; nothing below moves for them."""
    st.html(
        "<style>[data-testid='stLayoutWrapper']:has(> .st-key-welcome) {position: fixed; "
        "z-index: 100; right: 1rem; bottom: 1rem; width: min(23rem, calc(100vw - 2rem))}</style>"
    )
    with st.container(key="welcome"):
        _welcome(
            key="welcome_card",
            data={  # no list or dict inside: Streamlit would import pandas to look at it
                "title": _("New here?"),
                "steps": (
                    (_("Guess."), _("Most pages ask you before they show the answer.")),
                    (_("See."), _("Move a control: the picture changes with it.")),
                    (_("Try it."), _("On Compare, the networks look at your own photo.")),
                ),
                "dismiss": _("Got it"),
            },
        )


if __name__ == "__main__":
    main()
