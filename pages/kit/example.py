"""What the temperature page talks about: two networks, an example, a guess, a question."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from PIL.Image import Image

from core.charts import numbers
from core.charts.theme import role_of
from core.checkpoints import TEST_LOGITS, Checkpoint, test_logits
from core.distillation.temperature import Kind, Softening, examples, sureness
from core.errors import CheckpointError
from core.i18n import _
from pages.kit import networks, photos
from pages.kit import photos as answers
from pages.kit.url_state import guess, number_of, one_of


class Example(NamedTuple):
    """Logits of one picture by each network, and what else is known of it."""

    logits: list[NDArray[np.float32]]
    """(11,) each."""
    label: int | None = None
    thumb: Image | None = None
    caption: str | None = None
    """What must stand under it."""


class Bank(NamedTuple):
    """A network's stored answers to the test split: logits (n, 11), true classes (n,)."""

    logits: NDArray[np.float32]
    labels: NDArray[np.int64]


def choose_pair(found: list[Checkpoint]) -> list[Checkpoint]:
    """Two menus: a teacher, and a student to stand beside it; one network where there is one."""
    if len(found) < 2:
        return found
    left, right = st.columns(2)
    teachers = networks.teachers(found) or found
    with left:
        teacher = networks.choose_one(_("Teacher"), teachers, "teacher")
    students = [one for one in found if one.id != teacher.id]
    students.sort(key=lambda one: role_of(one) != "distilled")
    with right:
        student = networks.choose_one(_("Student"), students, "student")
    return [teacher, student]


def short_names(pair: list[Checkpoint]) -> list[str]:
    """A word for each of the pair, to head its panel."""
    return [_("Teacher") if one.family == "teacher" else _("Student") for one in pair]


def speaker(one: Checkpoint) -> str:
    """How a sentence calls this network."""
    return _("the teacher") if one.family == "teacher" else _("the student")


@st.cache_data(max_entries=32, show_spinner=False)
def _bank(id: str, sha256: str) -> Bank:
    del sha256  # only part of the cache's key: a checkpoint published anew is read anew
    return Bank(*test_logits(id))


def bank(checkpoint: Checkpoint) -> Bank | None:
    """The stored test answers of a checkpoint; None where it has none, or a damaged one (said)."""
    stored = checkpoint.files.get(TEST_LOGITS)
    if stored is None:
        return None
    try:
        return _bank(checkpoint.id, stored.sha256)
    except CheckpointError as error:
        st.error(str(error), icon=":material/error:")
        return None


def choose(pair: list[Checkpoint]) -> Example | None:
    """The example: from the stored test answers, or a photo; None while there is none."""
    sources = {"bank": _("A test example"), "photo": _("A photo")}
    left, right = st.columns(2)
    source = one_of(left.segmented_control, _("Answers to"), sources, "answers_to", default="bank")
    if source == "photo":
        return _from_photo(pair)
    with right:
        return from_bank(pair)


def _from_photo(pair: list[Checkpoint]) -> Example | None:
    seen = answers.look(photos.pick(many=False), pair)
    if not seen or len(seen[0].answers) < len(pair):
        return None
    photo = seen[0].photo
    logits = [one.logits for one in seen[0].answers]
    return Example(logits, photo.label, seen[0].thumb, photo.caption)


def from_bank(pair: list[Checkpoint], kinds: Mapping[Kind, str] | None = None) -> Example | None:
    """A picture of the test split by kind and number; None, and said why, where there is none.

    `kinds`: which kinds to offer, and what to call them; all of them without it.
    """
    banks = [bank(one) for one in pair]
    stored = [one for one in banks if one is not None]
    if len(stored) < len(pair):
        st.info(_("These networks were shipped without their test answers. Take a photo instead."))
        return None
    if any(not np.array_equal(one.labels, stored[0].labels) for one in stored):
        st.info(_("These two were not measured on the same pictures. Choose another pair."))
        return None
    found = examples(stored[0].logits, stored[-1].logits, stored[0].labels)
    found = {kind: rows for kind, rows in found.items() if kinds is None or kind in kinds}
    if not found:
        st.info(_("There is no test picture with a known class."))
        return None
    titles: Mapping[Kind, str] = kinds or {
        "hesitates": _("the teacher hesitates"),
        "sure": _("the teacher is sure"),
        "disagree": _("only the teacher is right"),
        "both_wrong": _("both are wrong"),
    }
    left, right = st.columns([5, 3], vertical_alignment="bottom")
    kind = one_of(
        left.selectbox,
        _("A picture where"),
        {one: titles[one] for one in found},
        "kind",
        default=next(iter(found)),
    )
    rows = found[kind]
    number = number_of(
        right.number_input,
        _("Number, 1 to {n}").format(n=numbers.count(len(rows))),
        1,
        len(rows),
        1,
        1,
        f"number_{kind}",
    )
    row = int(rows[number - 1])
    return Example([one.logits[row] for one in stored], int(stored[0].labels[row]))


GUESSES = ("top", "small", "none")


def predict_first() -> str | None:
    """One tap before dragging: which bars grow as T goes up?"""
    titles = {
        "top": _("the longest bar"),
        "small": _("the short bars"),
        "none": _("none: only the scale changes"),
    }
    return guess(
        _("First, a guess: which bars grow when T goes up? Then drag the slider."),
        GUESSES,
        format_func=titles.__getitem__,
        key="guess_grows",
    )


def reveal(guess: str | None, name: str, plain: Softening, soft: Softening) -> None:
    """The guess beside what happened; room is kept so that nothing jumps."""
    if guess is None:
        st.caption(_("Make a guess above: the answer appears here."))
        return
    told = _("Right: the short bars grow.") if guess == "small" else _("Look again.")
    st.markdown(
        told
        + " "
        + _(
            "From T = 1 to T = 4 the longest bar of {name} shrinks from {p} to {q}; what it loses "
            "goes to the short ones."
        ).format(name=name, p=numbers.share(plain.confidence), q=numbers.share(soft.confidence))
    )


def homework() -> None:
    """The course's question on T, with an answer that explains."""
    answers_to = {"softer": _("softer"), "harder": _("harder")}
    answer = guess(
        _("Does a higher temperature give a softer or a harder distribution?"),
        answers_to,
        "homework_t",
        widget=st.radio,
        index=None,
        horizontal=True,
    )
    if answer is None:
        return
    said = _("Yes, softer.") if answer == "softer" else _("No: softer.")
    st.markdown(
        said
        + " "
        + _(
            "Dividing by a larger T brings the logits closer together: a lead of 4 becomes a lead "
            "of 1 at T = 4, so the first class is e times likelier than the second instead of e⁴ "
            "times. In the picture: drag T up, the bars even out and the mark climbs the entropy "
            "curve. In distillation teacher and student are softened with the same T."
        )
    )


def trap(teacher: Checkpoint, higher: float) -> None:
    """How often this teacher leaves nothing to learn at T = 1, counted over its test answers."""
    answered = bank(teacher)
    if answered is None:
        st.markdown(_("{name} was shipped without its test answers.").format(name=teacher.title))
        return
    now, later = sureness(answered.logits), sureness(answered.logits, higher)
    st.markdown(
        _(
            "On {sure} of {n} test photographs {name} is more than 99 % sure. On those, T = 1 "
            "teaches hardly more than the label would. The mean entropy over all of them is {low} "
            "nats at T = 1 and {high} at T = {higher}. On photographs it was *trained* on, a "
            "teacher is surer still. How to notice: watch the entropy of the soft answers; near 0, "
            "raise T."
        ).format(
            n=numbers.count(now.n),
            name=speaker(teacher),
            sure=numbers.count(now.sure),
            low=f"{now.mean_entropy:.2f}",
            high=f"{later.mean_entropy:.2f}",
            higher=f"{higher:g}",
        )
    )
