"""Distillation: the KD loss of one picture taken apart, six ways to get it wrong, does it help?"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import pandas as pd
import streamlit as st

from core.charts import numbers
from core.charts.numbers import accuracy_text, p_text, points, points_interval
from core.charts.theme import role_of
from core.checkpoints import TEST_LOGITS, WEIGHTS, Checkpoint
from core.checkpoints.by_recipe import Contrast
from core.course import CLASSES
from core.data.dreams import MARK, TRAIN_PX, Dreams, load_dreams
from core.distillation.chart import (
    DISTILLATION_HEIGHT_PX,
    INPUTS,
    INPUTS_PX,
    distillation_chart,
    dreamed_chart,
    gain_chart,
    gain_frame,
    network_title,
    points_frame,
    row_name,
    shown_frame,
    sweep_chart,
    sweep_frame,
)
from core.distillation.sweep import Setting, Sweep, settings
from core.distillation.temperature import Kind
from core.distillation.terms import (
    T_HIGH,
    T_LOW,
    Lengths,
    large_t_gradient,
    lengths,
    parts_frame,
    take_apart,
)
from core.distillation.trial import Trial, run_traps
from core.distillation.verdict import (
    DreamTrial,
    compare,
    pictures,
    trial_frame,
    trials,
    verdict_frame,
)
from core.errors import CheckpointError, DataError, UserError
from core.i18n import _, food_class
from core.provenance import commit_text
from core.source_text import source_of
from pages.kit import example, frame, networks
from pages.kit.example import Example
from pages.kit.figure import data_button, show, show_with_slider
from pages.kit.frame import foot
from pages.kit.photos import how_made, recognised, thumbs
from pages.kit.provenance import provenance
from pages.kit.url_state import guess, in_browser, number, one_of

if TYPE_CHECKING:
    from core.distillation.traps import Drift, Readings


# ------------------------------------------------------------------------------------------------
# What the distillation page talks about: a teacher, a student, one test picture, a guess.


BLANK = "blank"
"""The student that knows nothing: all logits 0, every class equally likely."""


def choose_networks(found: list[Checkpoint]) -> tuple[Checkpoint, Checkpoint | None]:
    """Two menus: a teacher, and a student; None for the student that knows nothing yet."""
    left, right = st.columns(2)
    teachers = networks.teachers(found) or found
    with left:
        teacher = networks.choose_one(_("Teacher"), teachers, "teacher")
    students = {
        one.id: one for one in found if one.id != teacher.id and one.family != "teacher"
    }  # a student from scratch first: what could it still learn?
    first = networks.starters(found)
    order = sorted(
        students.values(),
        key=lambda one: (role_of(one) != "scratch", one.id not in first),
    )
    titles = {one.id: networks.name_of(one) for one in order}
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


def starts() -> tuple[float, float, float, int]:
    """Where the chart's inputs begin: temperature, alpha, what is added to which logit."""
    temperature, alpha, move = (
        in_browser(name, number(span.low, span.high, 2), span.start)
        for name, span in INPUTS.items()
    )
    return temperature, alpha, move, in_browser("pick", number(0, len(CLASSES) - 1), 0)


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
    return guess(
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


# ------------------------------------------------------------------------------------------------
# The traps' numbers as rows of a small table: the measure, failing, fixed, what it must be.


class Row(NamedTuple):
    """One measure of both cells; all texts."""

    what: str
    failing: str
    fixed: str
    must: str
    """What it has to be, or what the comparison says."""


def rows(trap: str, found: "Readings") -> list[Row]:
    """The measures in which this trap shows, on the batch it was run on."""
    bad, good = found.cells[trap], found.cells["fixed"]
    loss = Row(_("Soft loss"), _nats(bad.loss), _nats(good.loss), "")
    same = Row(
        _("Soft loss of a student that equals its teacher"),
        _nats(bad.at_teacher), _nats(good.at_teacher), _("must be 0"),
    )  # fmt: skip
    gradient = Row(
        _("Length of the soft gradient"),
        f"{bad.gradient:.2g}", f"{good.gradient:.2g}", _times(good.gradient, bad.gradient),
    )  # fmt: skip
    label = Row(
        _("Soft loss at T = 1 if the teacher is as sure as the label"),
        _nats(bad.as_label), _nats(good.as_label),
        _("must be the hard loss, {loss}").format(loss=_nats(found.hard)),
    )  # fmt: skip
    left = Row(
        _("Right soft loss left after descending on the cell"),
        f"{bad.floor:.4f}", f"{good.floor:.4f}", _("the smaller, the more was learnt"),
    )  # fmt: skip
    surest = Row(
        _("Mean confidence at T after that descent"),
        numbers.share(bad.confidence), numbers.share(good.confidence),
        _("the teacher's: {share}").format(share=numbers.share(found.teacher_confidence)),
    )  # fmt: skip
    if trap == "probabilities":
        return [loss._replace(must=_("must not be negative")), same, left, surest]
    if trap == "mean":
        return [loss._replace(must=_times(good.loss, bad.loss)), gradient, label, left]
    if trap == "no_t2":
        return [loss._replace(must=_times(good.loss, bad.loss)), gradient, left]
    if trap == "swapped":
        angle = Row(
            _("Cosine between its gradient and the right one"),
            f"{bad.cosine:.3f}", f"{good.cosine:.3f}", _("1: the same direction"),
        )  # fmt: skip
        return [loss._replace(must=_("not the same divergence")), label, angle]
    harmless = found.cells["harmless"]
    again = Row(
        _("Soft loss with a log-softmax too many"),
        _nats(harmless.loss), _nats(good.loss), _("the same: harmless"),
    )  # fmt: skip
    return [again, same, gradient, left]


def teacher_rows(drift: "dict[str, Drift]") -> list[Row]:
    """What train mode did to the teacher, beside eval mode."""
    bad, good = drift["failing"], drift["fixed"]
    shown = bad.passes * bad.batch
    return [
        Row(
            _("Pictures answered otherwise than in eval mode, of {n}").format(n=shown),
            str(bad.flipped), str(good.flipped), _("must be 0"),
        ),
        Row(
            _("A picture's logit moves when its neighbours change, by up to"),
            f"{bad.together:.2f}", f"{good.together:.2f}", _("must be 0"),
        ),
        Row(
            _("Running means moved after {n} passes").format(n=bad.passes),
            f"{bad.moved:.2%}", f"{good.moved:.2%}", _("must be 0"),
        ),
        Row(
            _("Largest change of a logit afterwards, back in eval mode"),
            f"{bad.logits:.3f}", f"{good.logits:.3f}", _("must be 0"),
        ),
        Row(
            _("Other answers afterwards, back in eval mode, of {n}").format(n=bad.pictures),
            str(bad.changed), str(good.changed), _("must be 0"),
        ),
    ]  # fmt: skip


def table(found: Sequence[Row]) -> str:
    """Markdown: a table that wraps on a phone."""
    head = f"| {_('Measured')} | {_('✗ Failing')} | {_('✓ Fixed')} |"
    lines = [
        f"| {row.what}{f' · *{row.must}*' if row.must else ''} | **{row.failing}** | {row.fixed} |"
        for row in found
    ]
    return "\n".join([head, "|---|---:|---:|", *lines])


def _nats(value: float) -> str:
    return f"{value:.3f}".replace("-0.000", "0.000").replace("-", "−")


def _times(good: float, bad: float) -> str:
    if bad <= 0:
        return ""
    return _("{times} times too small").format(times=f"{good / bad:.4g}")


# ------------------------------------------------------------------------------------------------
# The shelf of traps: pick one, read both cells, run all of them, see which number goes wrong.


CELLS = "core.distillation.traps"
Trap = Literal["probabilities", "mean", "no_t2", "swapped", "twice", "train_mode"]


class Told(NamedTuple):
    """A trap in words: its name, what happens, how one would notice."""

    name: str
    what: str
    notice: str


def told() -> dict[Trap, Told]:
    """Every trap in the order of the shelf, the homework's first."""
    return {
        "probabilities": Told(
            _("Probabilities, not logarithms"),
            _(
                "`KLDivLoss` wants the student's *log*-probabilities. Given probabilities it "
                "computes Σ p (ln p − q): no divergence, and below 0. Its gradient "
                "pushes all weight onto the teacher's first class and forgets the small bars. The "
                "answer to HW13 Q2.1 that got half the points reads like this."
            ),
            _(
                "A KL divergence is never negative: a negative soft loss is proof. And give the "
                "teacher's logits to both sides: the loss must be 0."
            ),
        ),
        "mean": Told(
            _('reduction="mean"'),
            _(
                "The default of `nn.KLDivLoss` divides by pictures *and* classes. The soft loss, "
                "and its gradient, come out 11 times too small; alpha = 0.5 then weighs 1 to 11."
            ),
            _(
                "torch says so in a warning that scrolls past. Or check against something known: "
                "with a teacher as sure as the label, at T = 1, the soft loss must equal the "
                "cross-entropy."
            ),
        ),
        "no_t2": Told(
            _("No T²"),
            _(
                "The loss looks fine and its gradient points the right way, but it is T² times "
                "too short. The higher T, the less the teacher counts."
            ),
            _(
                "At T = 1 there is nothing to notice: run the cells at T = 1. Print the length of "
                "both gradients, as the lower half of the picture above does, or double T: the "
                "soft gradient should hardly change."
            ),
        ),
        "swapped": Told(
            _("Arguments swapped"),
            _(
                "`kl_div(input, target)` computes KL(target ‖ input): the student goes first. "
                "Swapped it is KL(student ‖ teacher), also 0 at the goal and never negative. But "
                "it punishes the student for what the teacher rules out, not for what the teacher "
                "sees and the student misses: a small student settles for part of the answer."
            ),
            _(
                "Give the labels as a very sure teacher, at T = 1. The right order gives the "
                "cross-entropy; the swapped one explodes, because it takes the logarithm of "
                "the teacher's zeros."
            ),
        ),
        "twice": Told(
            _("Log-softmax twice"),
            _(
                "Said to be a trap, and half of it is not: the log-softmax of a log-softmax is the "
                "same again, so that cell is harmless. What hurts is a *softmax* first, a network "
                "that ends in probabilities: they lie within 0 and 1, count as logits, and no "
                "student can be sure any more."
            ),
            _(
                "The loss stops far above 0, and the gradient is tiny from the start. Give the "
                "teacher's logits to both sides: the loss must be 0."
            ),
        ),
        "train_mode": Told(
            _("Teacher in train mode"),
            _(
                "`no_grad` stops gradients, not BatchNorm. Without `eval()` the teacher normalises "
                "each picture by its neighbours in the batch, so its answer depends on their "
                "company (and on dropout), and each pass moves its running statistics for good."
            ),
            _(
                "Ask the teacher about the same picture twice, in different batches. Measure its "
                "accuracy before and after an epoch of distilling: it must not move."
            ),
        ),
    }


def shelf(teacher: Checkpoint, student: Checkpoint | None) -> None:
    """The menu of traps, both cells of the chosen one, and the numbers once they were run."""
    every = told()
    titles = {name: each.name for name, each in every.items()}
    chosen = one_of(st.pills, _("Trap"), titles, "trap", default="probabilities")
    trap = every[chosen]
    st.markdown(trap.what)
    _cells(chosen)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        temperature = one_of(
            st.segmented_control,
            _("Temperature of the cells"),
            {"1": "T = 1", "4": "T = 4", "20": "T = 20"},
            "cell_T",
            default="4",
        )
        if st.button(_("Run the cells here"), icon=":material/play_arrow:", type="primary",
                     key="run_cells"):  # fmt: skip
            st.session_state["cells_run"] = True
    if not st.session_state.get("cells_run"):
        st.caption(
            _(
                "Runs every cell of the shelf with torch, on stored test answers of the two "
                "networks chosen above and on a copy of the teacher. Takes some seconds, once."
            )
        )
    else:
        _run(chosen, teacher, student, float(temperature))
    st.markdown(f"**{_('How to notice:')}** {trap.notice}")


def _cells(chosen: Trap) -> None:
    left, right = st.columns(2)
    good = "train_mode_fixed" if chosen == "train_mode" else "fixed"
    with left:
        st.markdown(_("✗ **Failing**"))
        st.code(source_of(CELLS, f"{chosen}_failing"), language="python", wrap_lines=True)
        if chosen == "twice":
            st.markdown(_("✓ **Harmless**"))
            st.code(source_of(CELLS, "twice_harmless"), language="python", wrap_lines=True)
    with right:
        st.markdown(_("✓ **Fixed**"))
        st.code(source_of(CELLS, good), language="python", wrap_lines=True)


@st.cache_data(max_entries=24, show_spinner=False)
def _tried(teacher: str, student: str | None, temperature: float, marks: tuple[str, ...]) -> Trial:
    del marks  # only part of the key: a checkpoint published anew is tried anew
    return run_traps(teacher, student, temperature)


def _run(chosen: Trap, teacher: Checkpoint, student: Checkpoint | None, t: float) -> None:
    both = [teacher] if student is None else [teacher, student]
    marks = tuple(
        one.files[name].sha256 for one in both for name in (TEST_LOGITS, WEIGHTS)
        if name in one.files
    )  # fmt: skip
    try:
        with st.spinner(_("Running the cells ...")):
            tried = _tried(teacher.id, student.id if student else None, t, marks)
    except UserError as error:
        st.warning(str(error), icon=":material/hourglass_top:")
        return
    if chosen == "train_mode":
        _teacher(tried)
        return
    cells, found = tried.readings.cells, tried.readings
    st.markdown(table(rows(chosen, found)))
    if cells[chosen].warned:
        st.markdown(_("torch warned:"))
        st.code(cells[chosen].warned, language=None, wrap_lines=True)
    st.caption(
        _(
            "{n} stored test answers at T = {t}, run here just now or by a visitor before you; "
            "all cells together took {seconds} s. Losses in nats, before alpha."
        ).format(n=found.n, t=f"{t:g}", seconds=f"{tried.seconds:.1f}")
    )


def _teacher(tried: Trial) -> None:
    if tried.problem:
        st.warning(tried.problem, icon=":material/error:")
        return
    if tried.drift is None:
        st.info(_("This teacher has no BatchNorm: train mode does not change it this way."))
        return
    st.markdown(table(teacher_rows(tried.drift)))
    failing = tried.drift["failing"]
    st.caption(
        _(
            "A copy of the teacher with {norms} BatchNorm layers saw {n} pictures in batches of "
            "{batch}: {pictures}. No gradient was computed, no weight changed."
        ).format(
            norms=failing.norms,
            n=numbers.count(failing.passes * failing.batch),
            batch=failing.batch,
            pictures=_("photographs of {data}").format(data=tried.data)
            if tried.data
            else _("coloured dots, because no copy of Food-11 is on this machine"),
        )
    )


# ------------------------------------------------------------------------------------------------
# "Does distillation help?": scratch against distilled, from the shipped checkpoints, in words.


@st.cache_data(max_entries=8, show_spinner=False)
def _compared(
    marks: tuple[tuple[str, str], ...], _found: list[Checkpoint]
) -> tuple[list[Contrast], list[str]]:
    del marks  # the key of the cache: a checkpoint published anew is compared anew
    return compare(_found)


def verdict(found: list[Checkpoint]) -> list[Checkpoint]:
    """Chart, sentences and table; how to get the networks where they are missing.

    Returns the checkpoints it speaks of.
    """
    marks = tuple(
        (one.id, one.files[TEST_LOGITS].sha256 if TEST_LOGITS in one.files else "") for one in found
    )
    comparisons, left_out = _compared(marks, found)
    if not comparisons:
        st.info(
            _(
                "This takes a student trained twice, with and without the teacher, from the same "
                "seed on the same photographs. None is shipped yet; these lines train them and "
                "this section fills itself:"
            ),
            icon=":material/balance:",
        )
        st.code(
            "python -m core reproduce --only dwpw_256k-scratch-s0 dwpw_256k-distilled-s0",
            language="bash",
        )
        _say_left_out(left_out)
        return []
    _say_all(comparisons)
    frame = gain_frame(comparisons)
    told = "; ".join(
        _("{row}: {gain} points").format(row=row, gain=text)
        for row, text in zip(frame["row"], frame["text"], strict=True)
    )
    show(
        gain_chart(frame),
        _("Accuracy of the distilled student minus the one from scratch. {rows}.").format(
            rows=told
        ),
        key="gains",
    )
    st.caption(
        _(
            "A seed's interval is over test photographs (Newcombe, paired); that of a mean is over "
            "photographs and seeds. If it includes 0, we cannot tell."
        )
    )
    _say_left_out(left_out)
    with st.expander(_("The numbers, pair by pair"), icon=":material/table:"):
        _table(verdict_frame(comparisons))
    data_button(verdict_frame(comparisons), "distillation-gains")
    return [one for each in comparisons for pair in each.pairs
            for one in (pair.b, pair.a)]  # fmt: skip


def _say_left_out(left_out: list[str]) -> None:
    if left_out:
        st.caption(
            _(
                "Left out, for want of a twin from scratch with the same seed and photographs: "
                "{names}."
            ).format(names=", ".join(f"`{name}`" for name in left_out))
        )


def _say_all(comparisons: list[Contrast]) -> None:
    """A sentence each; those of one seed together, with one word of warning for all of them."""
    several = [each for each in comparisons if each.over_seeds]
    single = [each for each in comparisons if not each.over_seeds]
    if several:
        st.markdown("\n".join(f"- {_over_seeds(each)}" for each in several))
    if single:
        seeds = ", ".join(str(seed) for seed in sorted({each.pairs[0].a.seed for each in single}))
        st.warning(
            _(
                "Only one seed (seed {seeds}) is shipped of what follows. The interval covers "
                "which photographs happened to be in the test split, not the luck of training: "
                "another seed alone can move a student by a point or two. Take each as one "
                "observation."
            ).format(seeds=seeds),
            icon=":material/casino:",
        )
        st.markdown("\n".join(f"- {_one_seed(each)}" for each in single))


def _over_seeds(each: Contrast) -> str:
    gain, low, high = each.interval()
    said = _(
        "{name}, {seeds} seeds: distilled minus scratch is {gain} points on average (95 % "
        "interval over seeds and photographs {interval}), on the same {n} test photographs."
    ).format(
        name=_(each.a.first.title),
        seeds=len(each.pairs),
        gain=points(gain),
        interval=points_interval(low, high),
        n=numbers.count(each.pairs[0].n),
    )
    return _judged(each, said)


def _one_seed(each: Contrast) -> str:
    gain, low, high = each.interval()
    (only,) = each.pairs
    said = _(
        "{name}: {distilled} right, {scratch} from scratch, on the same {n} test photographs: "
        "{gain} points (95 % interval {interval}). {only_distilled} photographs only the distilled "
        "one gets right, {only_scratch} only the other (McNemar's exact test: {p})."
    ).format(
        name=_(each.a.first.title),
        distilled=accuracy_text(int(only.right_a.sum()), only.n),
        scratch=accuracy_text(int(only.right_b.sum()), only.n),
        n=numbers.count(only.n),
        gain=points(gain),
        interval=points_interval(low, high),
        only_distilled=only.only_a,
        only_scratch=only.only_b,
        p=p_text(only.p),
    )
    return _judged(each, said)


def _judged(each: Contrast, said: str) -> str:
    short = {
        "more": _("**It helps.**"),
        "less": _("**It hurts.**"),
        "unclear": _("**Not distinguishable.**"),
    }[each.side()]
    parts = [short, said]
    if each.side() == "unclear":
        parts.append(_("The interval holds 0: this does not show that one is better."))
    also_differs = each.also_differs()
    if also_differs:
        parts.append(
            _(
                "The two were also trained with different settings: {names}. The difference is "
                "not the teacher's alone."
            ).format(names=", ".join(f"`{name}`" for name in also_differs))
        )
    return " ".join(parts)


def _table(frame: pd.DataFrame) -> None:
    percent = st.column_config.NumberColumn
    st.dataframe(
        frame.assign(**{name: 100 * frame[name] for name in ("difference", "low", "high")}),
        column_order=[
            "distilled", "scratch", "seed", "n", "distilled_accuracy", "scratch_accuracy",
            "difference", "low", "high", "only_distilled", "only_scratch", "p",
        ],
        column_config={
            "distilled": _("Distilled"),
            "scratch": _("From scratch"),
            "seed": _("Seed"),
            "n": percent(_("Photographs"), format="localized"),
            "distilled_accuracy": percent(_("Distilled, right"), format="percent"),
            "scratch_accuracy": percent(_("Scratch, right"), format="percent"),
            "difference": percent(_("Difference, points"), format="%.1f"),
            "low": percent(_("from"), format="%.1f"),
            "high": percent(_("to"), format="%.1f"),
            "only_distilled": _("Only distilled right"),
            "only_scratch": _("Only scratch right"),
            "p": percent(_("McNemar's p"), format="%.4f"),
        },
        hide_index=True,
        alt=_("Each pair of networks: accuracies, difference with interval, McNemar's test."),
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------
# The distillation page in words: the numbers on the screen, the formula, the homework.


ALPHA = 0.5
HOT = 20.0


def what_you_see(shown: Example, label: int) -> None:
    """Both terms of this picture in numbers, at the settings the homeworks use."""
    teacher, student = shown.logits
    plain, warm = (take_apart(student, teacher, label, ALPHA, t) for t in (1.0, 4.0))
    st.markdown(
        _(
            "With nothing added to a logit: at T = 1 and alpha = 0.5, HW13's setting, the hard "
            "loss is {hard}, the soft loss {soft}, the sum of their halves **{total}**. At T = 4 "
            "the soft loss is {warm}; the hard one does not know T."
        ).format(
            hard=f"{plain.hard:.2f}",
            soft=f"{plain.soft:.2f}",
            total=f"{plain.total:.2f}",
            warm=f"{warm.soft:.2f}",
        )
    )
    others = np.abs(np.where(np.arange(len(CLASSES)) == label, 0, warm.soft_gradient))
    other = int(others.argmax())
    pull = _("lowers") if warm.soft_gradient[other] > 0 else _("raises")
    st.markdown(
        _(
            "**The label** speaks of one class: it raises {food} and lowers the other ten by what "
            "the student gives them. **The teacher** has an opinion on each: at T = 4, besides "
            "{food}, it says most about {other}, whose logit it {pull}: soft gradient {soft}, hard "
            "gradient {hard}. Where both bars of a row point apart, label and teacher disagree, "
            "and alpha decides."
        ).format(
            food=food_class(CLASSES[label]),
            other=food_class(CLASSES[other]),
            pull=pull,
            soft=f"{warm.soft_gradient[other]:+.3f}",
            hard=f"{warm.hard_gradient[other]:+.3f}",
        )
    )
    hot = lengths(student, teacher, label, HOT)
    st.markdown(
        _(
            "At T = 20 the soft gradient is {soft} long and the hard one {hard}. Without T² the "
            "soft one would be {bare}: 400 times shorter, so that alpha = 0.5 would mean "
            "{share} teacher. T² keeps alpha's meaning whatever T."
        ).format(
            soft=f"{hot.soft:.3g}",
            hard=f"{hot.hard:.3g}",
            bare=f"{hot.without_t2:.2g}",
            share=numbers.share(hot.without_t2 / max(hot.without_t2 + hot.hard, 1e-12)),
        )
    )


def why(shown: Example) -> None:
    """The loss, its gradient, and the function that trains the students here."""
    st.latex(
        r"L = \alpha\, T^2\, \mathrm{KL}\big(p \,\|\, q\big) + (1 - \alpha)\, "
        r"\mathrm{CE}(z, y), \qquad p = \mathrm{softmax}(v / T),\; q = \mathrm{softmax}(z / T)"
    )
    st.latex(
        r"\frac{\partial L}{\partial z_i} = \alpha\, T\, (q_i - p_i) + "
        r"(1 - \alpha)\,\big(\mathrm{softmax}(z)_i - [i = y]\big)"
    )
    st.markdown(
        _(
            "$v$ are the teacher's logits, $z$ the student's, $y$ the label, $\\alpha$ the weight "
            "of the teacher. $\\mathrm{KL}(p \\| q) = \\sum_i p_i \\ln (p_i / q_i)$: how many nats "
            "$q$ wastes where $p$ is the truth; never negative, and 0 only for $q = p$. Its "
            "gradient carries $1/T$ from $z/T$, and $q_i - p_i$ itself shrinks as $1/T$: hence "
            "$T^2$ (Hinton, Vinyals & Dean 2015)."
        )
    )
    teacher, student = shown.logits
    far = large_t_gradient(student, teacher)
    top = int(np.abs(far).argmax())
    near = take_apart(student, teacher, 0, 1.0, HOT).soft_gradient[top]
    st.markdown(
        _(
            "For large $T$ the soft gradient becomes $(z_i - v_i)/11$ for centred logits: "
            "distilling is then matching logits. Here, for {food}: {near} at T = 20, {far} in the "
            "limit."
        ).format(food=food_class(CLASSES[top]), near=f"{near:+.3f}", far=f"{far[top]:+.3f}")
    )
    st.markdown(_("The function that trains the students of this app:"))
    st.code(source_of("core.training.loss", "loss_fn_kd"), language="python", wrap_lines=True)


def homework() -> None:
    """Where the course's two questions are answered on this page."""
    st.markdown(
        _(
            "**HW13 Q2.1** asks for `loss_fn_kd` with alpha = 0.5 and T = 1. It stands under "
            "*Why*, with mixup and label smoothing besides. At T = 1 the factor T² is 1: who "
            "leaves it out notices nothing until T changes. One answer handed in got 0.25 of 0.5 "
            "points: it gives `nn.KLDivLoss` softmax probabilities where log-probabilities belong. "
            "That line runs as the first trap; a reader of the report could tell only from the "
            "loss going wrong."
        )
    )
    st.markdown(
        _(
            "**HW7 Q2** asks what distillation brings. That report's own figures, on its own split "
            "of Food-11: the depthwise student 0.71010 without a teacher, 0.83801 with one, and a "
            "teacher of 88.41 % hardly taught better than one of 80.09 %. They were one run each "
            "and do not belong in a column with ours: see *Does distillation help?* above. Its "
            "reference setting is T = 20, alpha = 0.5: drag the slider there."
        )
    )


# ------------------------------------------------------------------------------------------------
# "Which T, which alpha?": the cached sweep of short trainings, drawn and said in words.


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
            "teacher `{teacher}`; made on {date} on {device}, commit {commit}."
        ).format(
            seeds=best.seeds,
            epochs=found.shared["epochs"],
            px=found.shared["px"],
            n=numbers.count(best.n),
            data=_data(found),
            teacher=found.teacher,
            date=found.date,
            device=found.device,
            commit=commit_text(found.commit, 10),
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


# ------------------------------------------------------------------------------------------------
# "What did it learn from its own dreams?": students taught without a single photograph.


SHOWN = (2, 6, 9)
"""Classes of which a dream is shown: Dessert, Noodles/Pasta, Soup."""


@st.cache_data(max_entries=8, show_spinner=False)
def _verdict_tried(
    marks: tuple[tuple[str, str], ...], _found: list[Checkpoint]
) -> list[DreamTrial]:
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
    tried = _verdict_tried(marks, found)
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
        _("The interval is over photographs and {n} seeds.").format(n=len(against.pairs))
        if against.over_seeds
        else _("One seed: the interval knows nothing of the luck of training.")
    )
    return f"{said} {verdict} {over}"


def main() -> None:
    """Draw the page."""
    st.title(frame.entry("distillation").question)
    st.markdown(
        _(
            "A distilled student learns from two masters: the label says which food it is, the "
            "teacher "
            "says what else it looks like. The loss adds both up; here it is taken apart."
        )
    )

    found = networks.checkpoints()
    if not found:
        networks.explain_empty()
        st.stop()

    with st.container(border=True):
        teacher, student = choose_networks(found)
        shown = choose_picture(teacher, student)
    guess = predict_first()

    if shown is not None and shown.label is not None:
        label = shown.label
        voice, pupil = shown.logits
        lay_out_sliders("distillation")
        show_with_slider(
            distillation_chart(
                pupil,
                voice,
                label,
                *starts(),
            ),
            # the same words for every example: other words would make the chart, and its sliders,
            # anew
            _(
                "Hard and soft gradient of each of the student's eleven logits, and their sum, "
                "at the "
                "sliders' temperature and alpha; below, the lengths of both gradients against the "
                "temperature, with and without T squared. The text below gives the numbers at "
                "T = 1, "
                "4 and 20."
            ),
            "distillation",
            DISTILLATION_HEIGHT_PX + INPUTS_PX,
        )
        st.caption(
            _(
                "● soft: from the teacher · ✓ hard: from the label · ◆ both together. Descent goes "
                "against the gradient: a bar to the left raises its logit. All of it is "
                "computed in "
                "your browser."
            )
        )
        reveal(guess, *(lengths(pupil, voice, label, t) for t in (T_LOW, T_HIGH)))

        st.subheader(_("What you see"))
        what_you_see(shown, label)

    st.subheader(_("Does distillation help?"))
    compared = verdict(found)

    st.subheader(_("Which temperature, which alpha?"))
    sweep()

    st.subheader(_("What does it learn from its teacher's dreams?"))
    dreamed = dream_verdict(found)

    if shown is not None:
        with st.expander(_("Why: two terms, and T²"), icon=":material/function:"):
            why(shown)

    st.subheader(_("Six traps, none of which raises an error"))
    with st.container(border=True):
        shelf(teacher, student)

    with st.expander(_("From the homework: HW7 Q2, HW13 Q2.1"), icon=":material/school:"):
        homework()

        chosen = [teacher] if student is None else [teacher, student]
    also = {one.id: one for one in (*compared, *dreamed)}
    provenance([*chosen, *(one for one in also.values() if one not in chosen)])
    foot(
        "distillation",
        parts_frame(shown.logits[1], shown.logits[0], shown.label)
        if shown is not None and shown.label is not None
        else None,
    )


if __name__ == "__main__":
    main()
