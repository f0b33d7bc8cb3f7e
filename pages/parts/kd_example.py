"""What the distillation page talks about: a teacher, a student, one test picture, a guess."""

import math

import numpy as np
import streamlit as st

from core.charts import numbers
from core.charts.theme import role_of
from core.checkpoints import Checkpoint
from core.serving.kd_parts import Lengths
from core.serving.softening import Kind
from core.words import _
from pages.parts import example, shelf
from pages.parts.linked import one_of

BLANK = "blank"
"""The student that knows nothing: all logits 0, every class equally likely."""


def choose_networks(found: list[Checkpoint]) -> tuple[Checkpoint, Checkpoint | None]:
    """Two menus: a teacher, and a student; None for the student that knows nothing yet."""
    left, right = st.columns(2)
    teachers = shelf.teachers(found) or found
    with left:
        teacher = shelf.choose_one(_("Teacher"), teachers, "teacher")
    students = {
        one.id: one for one in found if one.id != teacher.id and one.family != "teacher"
    }  # a student from scratch first: what could it still learn?
    first = shelf.starters(found)
    order = sorted(
        students.values(),
        key=lambda one: (role_of(one.family, one.recipe) != "scratch", one.id not in first),
    )
    titles = {one.id: shelf.name_of(one) for one in order}
    titles[BLANK] = _("A student that knows nothing yet (all logits 0)")
    default = next(iter(titles))
    chosen = one_of(right.selectbox, _("Student"), titles, "student", default=default)
    return teacher, students.get(chosen)


def choose_picture(teacher: Checkpoint, student: Checkpoint | None) -> example.Example | None:
    """One test picture: logits of teacher and student, and the label; None while there is none."""
    kinds: dict[Kind, str] = {
        "hesitates": _("the teacher hesitates"),
        "sure": _("the teacher is sure"),
        "disagree": _("only the teacher is right"),
        "both_wrong": _("both are wrong"),
    }
    if student is not None:
        return example.from_bank([teacher, student], kinds)
    kinds["both_wrong"] = _("the teacher is wrong")
    del kinds["disagree"]
    found = example.from_bank([teacher], kinds)
    if found is None:
        return None
    return found._replace(logits=[found.logits[0], np.zeros_like(found.logits[0])])


def start(name: str, low: float, high: float, default: float) -> float:
    """Where a slider begins: the address bar's number, kept inside the range, else `default`."""
    try:
        wanted = float(st.query_params.get(name, default))
    except ValueError:
        return default
    return round(min(max(wanted, low), high), 2) if math.isfinite(wanted) else default


def lay_out_sliders(key: str) -> None:
    """Names, sliders and figures of the chart `key` in columns; on a phone names on top."""
    place = f".st-key-{key} .vega-bindings"
    st.html(
        f"<style>{place} .vega-bind label {{display: grid !important; width: 100%; gap: 0 1rem;"
        "grid-template-columns: 15rem minmax(6rem, 32rem) 3rem}"
        f"{place} label input[type='range'] {{width: 100% !important}}"
        f"{place} select {{justify-self: start; min-width: 10rem}}"
        "@media (max-width: 640px) {"
        f"{place} .vega-bind label {{grid-template-columns: minmax(0, 1fr) 3rem}}"
        f"{place} .vega-bind-name {{grid-column: 1 / -1}}}}</style>"
    )


def predict_first() -> str | None:
    """One tap before dragging: what becomes of the soft gradient without T^2?"""
    titles = {
        "same": _("it stays about as long"),
        "twenty": _("about 20 times shorter"),
        "hundreds": _("hundreds of times shorter"),
    }
    return st.pills(
        _(
            "First, a guess: leave T² out of the loss and raise T from 1 to 20. What becomes of "
            "the soft gradient?"
        ),
        list(titles),
        format_func=titles.__getitem__,
        key="guess_t2",
    )


def reveal(guess: str | None, cold: Lengths, warm: Lengths) -> None:
    """The guess beside the lengths for this picture; room is kept so that nothing jumps."""
    if guess is None:
        st.caption(_("Make a guess above: the answer appears here."))
        return
    if not (cold.without_t2 > 0 and warm.without_t2 > 0):
        st.markdown(_("Here student and teacher answer alike: there is no gradient to compare."))
        return
    times = cold.without_t2 / warm.without_t2
    sizes = {"same": 1.0, "twenty": 20.0, "hundreds": 400.0}
    nearest = min(sizes, key=lambda name: abs(math.log(sizes[name] / times)))
    told = _("Right:") if guess == nearest else _("Not so:")
    st.markdown(
        told
        + " "
        + _(
            "for this picture it shrinks {times} times, from {cold} to {warm}. One factor T is "
            "lost because the logits are divided by T, another because both answers grow alike. "
            "With T² it goes from {cold} to {full}."
        ).format(
            times=numbers.count(round(times)),
            cold=f"{cold.without_t2:.3g}",
            warm=f"{warm.without_t2:.2g}",
            full=f"{warm.soft:.3g}",
        )
    )
