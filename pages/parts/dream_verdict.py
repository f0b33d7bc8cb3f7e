""" "What did it learn from its own dreams?": students taught without a single photograph."""

import streamlit as st

from core.charts import numbers
from core.charts.dreamed import dreamed_chart, row_name, shown_frame
from core.charts.numbers import points, points_interval
from core.checkpoints import TEST_LOGITS, Checkpoint
from core.course import CLASSES
from core.data.dreams import MARK, TRAIN_PX, Dreams, load_dreams
from core.errors import DataError
from core.serving.collected import Contrast
from core.serving.dreamed import DreamTrial, pictures, trial_frame, trials
from core.words import _, food_class
from pages.parts.dreams import how_made, recognised, thumbs
from pages.parts.figure import data_button, show

SHOWN = (2, 6, 9)
"""Classes of which a dream is shown: Dessert, Noodles/Pasta, Soup."""


@st.cache_data(max_entries=8, show_spinner=False)
def _tried(marks: tuple[tuple[str, str], ...], _found: list[Checkpoint]) -> list[DreamTrial]:
    del marks  # the key of the cache: a checkpoint published anew is compared anew
    return trials(_found)


def dream_verdict(found: list[Checkpoint]) -> list[Checkpoint]:
    """Dreams, chart and sentences, or how to make what is missing; the checkpoints spoken of."""
    st.markdown(
        _(
            "A teacher's weights remember what food looks like: start from noise, change it until "
            "the teacher sees soup, and keep its BatchNorm layers' memory of photographs satisfied "
            "on the way. A student can be distilled on such dreams alone, without one photograph."
        )
    )
    try:
        dreams = load_dreams()
    except DataError as error:
        st.error(str(error), icon=":material/error:")
        return []
    if dreams is None:
        st.info(
            _("No dreams are shipped yet. This makes them, in about half an hour on one core:"),
            icon=":material/bedtime:",
        )
        st.code("python -m tools dreams", language="bash")
        return []
    _gallery(dreams)
    marks = tuple(
        (one.id, one.files[TEST_LOGITS].sha256 if TEST_LOGITS in one.files else "") for one in found
    )
    tried = _tried(marks, found)
    if not tried:
        st.info(_("No student has learned from them yet."), icon=":material/balance:")
        st.code("python -m core reproduce --steps training", language="bash")
        return []
    _picture(tried)
    return [
        one
        for trial in tried
        for group in (trial.dreamed, *(against.b for against in trial.twins))
        for one in group.seeds
    ]


def _gallery(dreams: Dreams) -> None:
    with st.container(horizontal=True):
        for label in SHOWN:
            for picture in thumbs(dreams, label, 1):
                food = food_class(CLASSES[label])
                said = f"{food}, {MARK()}"
                st.image(picture, caption=said, alt=said, width=150)
    chosen = dreams.of(TRAIN_PX)
    if chosen is not None:
        st.caption(recognised(dreams, chosen) + " " + how_made(dreams, chosen))


def _picture(tried: list[DreamTrial]) -> None:
    frame = shown_frame(trial_frame(tried))
    told = "; ".join(
        f"{row}: {text}" for row, text in zip(frame["row"], frame["text"], strict=True)
    )
    show(
        dreamed_chart(frame),
        _("Accuracy on real test photographs by what was learned from. {rows}.").format(rows=told),
        key="dreamed",
    )
    st.caption(
        _(
            "◇ learned from dreams, ◆ from photographs; both from the same teacher. The dashed "
            "line is blind guessing. Intervals (95 %) hold the luck of the photographs and, with "
            "two seeds or more, that of training."
        )
    )
    data_button(frame.drop(columns=["role", "hollow", "place"]), "dreams")
    for trial in tried:
        for against in trial.twins:
            st.markdown(_sentence(against))
        if not trial.twins:
            st.caption(_("A twin that learned from photographs is not shipped yet."))


def _sentence(against: Contrast) -> str:
    gap, low, high = against.interval()
    a, b = against.a.first, against.b.first
    said = _(
        "**{dreams}** against **{photographs}**: {gap} points ({interval}), on the same {n} test "
        "photographs."
    ).format(
        dreams=row_name("dreams", pictures(a)),
        photographs=row_name("photographs", pictures(b)),
        gap=points(gap),
        interval=points_interval(low, high),
        n=numbers.count(against.pairs[0].n),
    )
    verdict = {
        "more": _("The dreams taught more."),
        "less": _("The photographs taught more."),
        "unclear": _("Not distinguishable: the interval holds 0."),
    }[against.side()]
    over = (
        _("The interval is over {n} seeds.").format(n=len(against.pairs))
        if against.over_seeds
        else _("One seed: the interval knows nothing of the luck of training.")
    )
    return f"{said} {verdict} {over}"
