"""Distillation: the KD loss of one picture taken apart; whether it helps; how to get it wrong."""

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import pandas as pd
import streamlit as st

from core import i18n
from core.charts import numbers
from core.charts.compiled import Spec
from core.charts.numbers import points, points_interval
from core.charts.theme import role_of
from core.checkpoints import TEST_LOGITS, WEIGHTS, Checkpoint
from core.checkpoints.by_recipe import Contrast
from core.course import CLASSES
from core.data.dreams import TRAIN_PX, Dreams, load_dreams
from core.distillation.chart import (
    DISTILLATION_HEIGHT_PX,
    INPUTS,
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
from pages.kit import example, frame, guess, networks, url_state
from pages.kit.example import Example
from pages.kit.figure import data_button, show, show_with_slider
from pages.kit.guess import Guess
from pages.kit.live_text import live_text
from pages.kit.photos import how_made, recognised, thumbs
from pages.kit.provenance import provenance
from pages.kit.url_state import in_browser, number, one_of, toggle

if TYPE_CHECKING:
    from core.distillation.traps import Drift, Readings

BLANK = "blank"
"""The student that knows nothing: all logits 0, every class equally likely."""

_follow_the_sliders = live_text(
    "follows_loss",
    """
const norm = (values) => Math.sqrt(sum(values.map((value) => value * value)));
const signed = (value) => (value < 0 ? "\\u2212" : "+") + Math.abs(value).toFixed(3);
const short = (value) => (value && value < 0.01 ? value.toPrecision(2) : value.toPrecision(3));

function numbers({student, teacher, label, foods, raises, lowers}, {T, alpha, move, pick}) {
  const z = student.map((logit, k) => logit + (k === pick ? move : 0));
  const [p, q, q1] = [softmax(teacher, T), softmax(z, T), softmax(z, 1)];
  const of_soft = q.map((share, k) => T * (share - p[k]));
  const of_hard = q1.map((share, k) => share - (k === label ? 1 : 0));
  const others = of_soft.map((value, k) => (k === label ? 0 : Math.abs(value)));
  const most = others.indexOf(Math.max(...others));
  return {T: String(T), other: foods[most], pull: of_soft[most] > 0 ? lowers : raises,
    soft_part: signed(alpha * of_soft[most]), hard_part: signed((1 - alpha) * of_hard[most]),
    long: short(norm(of_soft)), bare: short(norm(of_soft) / T / T),
    hard_long: short(norm(of_hard))};
}
""",
)


def main() -> None:
    """Draw the page."""
    st.title(frame.entry("distillation").question)
    st.markdown(
        _(
            "A distilled student learns from labels and a teacher. The loss adds both up; here it "
            "is taken apart."
        )
    )
    found = networks.checkpoints()
    if not found:
        networks.explain_empty()
        st.stop()
    loss_and_more(found)
    frame.foot("distillation")


@frame.section
def loss_and_more(found: list[Checkpoint]) -> None:
    """The instrument, what it shows, and the tabs, some of which follow its settings."""
    with frame.instrument() as (controls, picture):
        with controls:
            teacher, student = choose_networks(found)
            shown = choose_picture(teacher, student)
            moves = toggle(_("Change a logit"), "moves", default=is_moved())
        with picture:
            guessed = loss(shown, moves) if shown is not None else Guess(None, True)
        if shown is not None:
            with controls:  # beside the sliders: the numbers follow them
                st.header(_("What you see"))
                what_you_see(shown, guessed, moves)

    compared = comparisons(i18n.language(), marks_of(found), found)
    offered = [
        frame.Tab("helps", _("Does it help?"), partial(does_it_help, compared), ["pairs"]),
        frame.Tab("settings", _("Which T, which alpha?"), sweep),
        frame.Tab("traps", _("Traps"), partial(traps, teacher, student), ["trap", "cell_T"]),
        frame.Tab("generated", _("Without photographs"), partial(dream_verdict, found)),
        frame.Tab("homework", _("Homework"), homework),
    ]
    if shown is not None:
        offered.insert(4, frame.Tab("why", _("Why"), partial(why, shown, guessed)))
    frame.tabs(offered)
    spoken_of = [teacher, *([student] if student else []), *compared.networks]
    for trial in dream_trials(marks_of(found), found):
        groups = [trial.dreamed, *(against.b for against in trial.twins)]
        spoken_of += [one for group in groups for one in group.seeds]
    with st.container(horizontal=True, vertical_alignment="center"):
        provenance(list({one.id: one for one in spoken_of}.values()))
        if shown is not None and shown.label is not None:
            data_button(
                partial(parts_frame, shown.logits[1], shown.logits[0], shown.label), "distillation"
            )


# ------------------------------------------------------------------------------------------------
# The instrument: a teacher, a student, a picture; the loss taken apart; a guess about its T².


def choose_networks(found: list[Checkpoint]) -> tuple[Checkpoint, Checkpoint | None]:
    """Two menus: a teacher, and a student; None for the student that knows nothing yet."""
    menus, offered = st.container(), example.offer(found)
    with menus:
        teacher = example.choose_teacher(offered)
    students = {
        one.id: one for one in offered if one.id != teacher.id and one.family != "teacher"
    }  # a student from scratch first: what could it still learn?
    first = networks.starters(found)
    order = sorted(
        students.values(),
        key=lambda one: (role_of(one) != "scratch", one.id not in first),
    )
    titles = {one.id: networks.name_of(one) for one in order}
    titles[BLANK] = _("A student that knows nothing yet (all logits 0)")
    chosen = one_of(menus.selectbox, _("Student"), titles, "student", default=next(iter(titles)))
    return teacher, students.get(chosen)


def choose_picture(teacher: Checkpoint, student: Checkpoint | None) -> Example | None:
    """A picture with a class: logits of teacher and student; None while there is none."""
    kinds: dict[Kind, str] = example.kind_titles()
    if student is not None:
        return example.choose([teacher, student], kinds, own_photo=False)
    kinds["both_wrong"] = _("the teacher is wrong")
    del kinds["disagree"]
    chosen = example.choose([teacher], kinds, own_photo=False)
    if chosen is None:
        return None
    return chosen._replace(logits=[chosen.logits[0], np.zeros_like(chosen.logits[0])])


def is_moved() -> bool:
    """Whether a link has something to add to a logit: then its inputs are there."""
    return bool(url_state.texts("move") or url_state.texts("pick"))


def starts(moves: bool) -> tuple[float, float, float, int]:
    """Where the chart's inputs begin: temperature, alpha, what is added to which logit.

    Unless a logit `moves`, nothing is added.
    """
    temperature, alpha, move = (
        in_browser(name, number(span.low, span.high, 2), span.start)
        for name, span in INPUTS.items()
    )
    move = move if moves else 0.0
    return temperature, alpha, move, in_browser("pick", number(0, len(CLASSES) - 1), 0)


def loss(shown: Example, moves: bool) -> Guess[str]:
    """The picture, the guess, the chart, the verdict."""
    assert shown.label is not None  # a photo of one's own, whose class nobody knows, is not offered
    example.show_picture(shown)
    teacher, student = shown.logits
    sizes = {"same": 1.0, "twenty": 20.0, "hundreds": 400.0}
    guessed = guess.ask(
        _("Guess: leave T² out and raise T from 1 to 20. What becomes of the soft gradient?"),
        {
            "same": _("no shorter"),
            "twenty": _("20 × shorter"),
            "hundreds": _("400 × shorter"),
        },
        "guess_t2",
    )
    lay_out_sliders("distillation")
    show_with_slider(
        distillation_chart(
            student, teacher, shown.label, *starts(moves), moves=moves, is_open=guessed.is_open
        ),
        # the same words for every example: other words would make the chart, and its sliders, anew
        _(
            "Hard and soft gradient of each of the student's eleven logits, and their sum, at the "
            "sliders' temperature and alpha; below, the lengths of both gradients against the "
            "temperature, with and without T squared. The text beside the chart gives the numbers."
        ),
        "distillation",
        DISTILLATION_HEIGHT_PX[guessed.is_open] + (190 if moves else 130),
    )
    cold, warm = (lengths(student, teacher, shown.label, t) for t in (T_LOW, T_HIGH))
    if not (cold.without_t2 > 0 and warm.without_t2 > 0):
        st.markdown(_("Here student and teacher answer alike: there is no gradient to compare."))
        return guessed
    times = cold.without_t2 / warm.without_t2
    nearest = min(sizes, key=lambda name: abs(math.log(sizes[name] / times)))
    guess.verdict(
        guessed,
        guessed.value == nearest,
        _(
            "For this picture it shrinks {times} times, from {cold} to {warm}. One factor T is "
            "lost because the logits are divided by T, another because both answers grow alike. "
            "With T² it goes from {cold} to {full}."
        ).format(
            times=numbers.count(round(times)),
            cold=f"{cold.without_t2:.3g}",
            warm=f"{warm.without_t2:.2g}",
            full=f"{warm.soft:.3g}",
        ),
    )
    return guessed


def lay_out_sliders(key: str) -> None:
    """Names, sliders and figures of the chart `key` in columns; on a phone names on top."""
    place = f".st-key-{key} .vega-bindings"
    st.html(
        f"<style>{place} .vega-bind label {{display: grid !important; width: 100%; gap: 0 1rem;"
        "grid-template-columns: 10.5rem minmax(6rem, 32rem) 3rem}"
        f"{place} label input[type='range'] {{width: 100% !important}}"
        f"{place} select {{justify-self: start; min-width: 10rem}}"
        "@media (max-width: 640px) {"
        f"{place} .vega-bind label {{grid-template-columns: minmax(0, 1fr) 3rem}}"
        f"{place} .vega-bind-name {{grid-column: 1 / -1}}}}</style>"
    )


def what_you_see(shown: Example, guessed: Guess[str], moves: bool) -> None:
    """Both terms of this picture in numbers that follow the sliders."""
    assert shown.label is not None
    teacher, student = shown.logits
    food = food_class(CLASSES[shown.label])
    names = "T other pull soft_part hard_part long bare hard_long"
    now = {name: f"{{{name}}}" for name in names.split()}  # what the browser writes
    paragraphs = [
        _(
            "✓ **The label** raises {food} and lowers the other ten. ● **The teacher** also says "
            "what else it looks like: at T = {T} it {pull} the logit of **{other}** most (gradient "
            "{soft_part}; the label's: {hard_part}). If the two bars of a class point opposite "
            "ways, alpha decides."
        ).format(food=food, **now),
    ]
    if guessed.is_open:
        paragraphs.append(
            _(
                "The soft gradient is {long} long, the hard one {hard_long}. Without T² the soft "
                "one would be {bare}: T² keeps alpha's meaning whatever T."
            ).format(**now)
        )
    _follow_the_sliders(
        paragraphs,
        dict(zip((*INPUTS, "pick"), starts(moves), strict=True)),
        student=[float(logit) for logit in student],
        teacher=[float(logit) for logit in teacher],
        label=shown.label,
        foods=[food_class(name) for name in CLASSES],
        raises=_("raises"),
        lowers=_("lowers"),
    )


# ------------------------------------------------------------------------------------------------
# "Does it help?": each distilled student minus its twin from scratch, by recipe.


class Shown(NamedTuple):
    """Some of the comparisons as they are drawn."""

    contrasts: tuple[Contrast, ...]
    chart: Spec
    alt: str
    summary: str


class Compared(NamedTuple):
    """All comparisons; made once for each language, shared by all sessions."""

    by_one_seed: dict[bool, Shown]
    """With those of one seed, whose intervals hold the luck of photographs alone, or without;
    what would be empty is missing."""
    single: tuple[Contrast, ...]
    """Those of one seed."""
    left_out: tuple[str, ...]
    """Ids of distilled students without a twin."""
    networks: tuple[Checkpoint, ...]


def marks_of(found: list[Checkpoint]) -> str:
    """The key of what is worked out of stored answers: a checkpoint published anew is new."""
    return "\n".join(
        f"{one.id} {one.files[TEST_LOGITS].sha256 if TEST_LOGITS in one.files else ''}"
        for one in found
    )


@st.cache_resource(max_entries=8, show_spinner=False)
def comparisons(language: str, marks: str, _found: list[Checkpoint]) -> Compared:
    """All comparisons among the networks found."""
    del language, marks  # the key of the cache
    contrasts, left_out = compare(_found)
    several = tuple(each for each in contrasts if each.over_seeds)
    single = tuple(each for each in contrasts if not each.over_seeds)
    return Compared(
        {
            one_seed: draw_comparisons(several + single if one_seed else several)
            for one_seed in (False, True)
            if several or (single and one_seed)
        },
        single,
        tuple(left_out),
        tuple(one for each in contrasts for pair in each.pairs for one in (pair.b, pair.a)),
    )


def draw_comparisons(contrasts: tuple[Contrast, ...]) -> Shown:
    """Their chart and their words."""
    rows = gain_frame(contrasts)
    alt = "; ".join(
        _("{row}: {gain} points").format(row=row, gain=text)
        for row, text in zip(rows["row"], rows["text"], strict=True)
    )
    return Shown(
        contrasts,
        gain_chart(contrasts),
        _("Accuracy of the distilled student minus the one from scratch. {rows}.").format(rows=alt),
        summary(contrasts),
    )


def does_it_help(compared: Compared) -> None:
    """Chart and sentences, single trainings behind a switch; or how to get the networks."""
    if not compared.by_one_seed:
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
        say_left_out(compared)
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        words = st.empty()
        everything = toggle(_("One by one"), "pairs")
    shown = compared.by_one_seed[everything or False not in compared.by_one_seed]
    words.markdown(shown.summary, width=560)
    show(shown.chart, shown.alt, key="gains")
    st.caption(
        _(
            "◆ mean over seeds; bar: 95 % interval over photographs and seeds; ticks: single "
            "seeds. If a bar includes 0, we cannot tell."
        )
    )
    if not all(each.over_seeds for each in shown.contrasts):
        seeds = sorted({each.pairs[0].a.seed for each in compared.single})
        st.warning(
            _(
                "Where there is only one seed (seed {seeds}), the bar covers the photographs, not "
                "the luck of training: another seed alone can move a student by a point or two."
            ).format(seeds=", ".join(map(str, seeds))),
            icon=":material/casino:",
        )
    if odd := "\n".join(filter(None, map(other_settings, shown.contrasts))):
        st.markdown(odd)
    if everything:
        table_of_pairs(verdict_frame(shown.contrasts))
        say_left_out(compared)
        data_button(partial(verdict_frame, shown.contrasts), "distillation-gains")


def summary(rows: Sequence[Contrast]) -> str:
    """In how many of the comparisons distillation helps, and what it is in the others."""
    sides = [each.side() for each in rows]
    parts = [
        _("**Distillation helps** in {helps} of {n} comparisons.").format(
            helps=sides.count("more"), n=len(rows)
        )
    ]
    if sides.count("less"):
        parts.append(_("**It hurts** in {n}.").format(n=sides.count("less")))
    if sides.count("unclear"):
        parts.append(
            _("**Not distinguishable** in {n}: the interval includes 0.").format(
                n=sides.count("unclear")
            )
        )
    return " ".join(parts)


def other_settings(each: Contrast) -> str:
    """What else differs between the two trainings, as a line of its own; empty if nothing does."""
    names = each.also_differs()
    if not names:
        return ""
    return _(
        "- {name}: the two were also trained with different settings: {names}. The difference is "
        "not the teacher's alone."
    ).format(name=_(each.a.first.title), names=", ".join(f"`{name}`" for name in names))


def say_left_out(compared: Compared) -> None:
    """Distilled students that nothing can be compared with."""
    if compared.left_out:
        st.caption(
            _(
                "Left out, no matching network from scratch (same seed and photographs): {names}."
            ).format(names=", ".join(f"`{name}`" for name in compared.left_out))
        )


def table_of_pairs(frame: pd.DataFrame) -> None:
    """Every pair of networks, picture by picture."""
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
# "Which T, which alpha?": the cached sweep of short trainings, drawn and said in words.


MODEL = "dwpw_256k"
COMMAND = "python -m core reproduce --steps sweep"


class Swept(NamedTuple):
    """The sweep with its chart; made once, shared by all sessions."""

    sweep: Sweep
    settings: list[Setting]
    chart: Spec


@st.cache_resource(max_entries=4, show_spinner=False)
def _swept(language: str, path: Path, state: tuple[int, int]) -> Swept | None:
    """None where nothing was swept. Raises CheckpointError for a file that cannot be read."""
    del language, path, state  # the key of the cache
    found = Sweep.load(MODEL)
    if found is None or not any(point.alpha is not None for point in found.points):
        return None
    return Swept(found, settings(found), sweep_chart(found))


def sweep() -> None:
    """Chart, sentences, table and provenance; or how to make the sweep."""
    path = Sweep.path(MODEL)
    try:
        stat = path.stat() if path.exists() else None
        state = (stat.st_mtime_ns, stat.st_size) if stat else (0, 0)
        swept = _swept(i18n.language(), path, state)
    except CheckpointError as error:
        st.error(str(error))
        return
    if swept is None:
        st.info(
            _(
                "Nobody has swept temperature and alpha with these networks yet. This line trains "
                "the student once for every pair, and this section fills itself:"
            ),
            icon=":material/grid_on:",
        )
        st.code(COMMAND, language="bash")
        return
    found, rows, chart = swept
    best = max((row for row in rows if row.alpha is not None), key=lambda row: row.mean)
    st.markdown(sweep_in_words(rows, best))
    show(
        chart,
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
    data_button(partial(points_frame, found), "sweep")
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
            data=named(found),
            teacher=found.teacher,
            date=found.date,
            device=found.device,
            commit=commit_text(found.commit, 10),
        )
    )
    table = st.expander(
        _("Every setting of the sweep"), icon=":material/table:", on_change="rerun", key="swept"
    )
    if table.open:
        with table:
            st.dataframe(sweep_frame(found), hide_index=True)
            st.json(found.shared, expanded=False)


def named(found: Sweep) -> str:
    """What its photographs are called; says so where they are not Food-11."""
    if found.is_food11 or "not food-11" in found.data.lower():
        return found.data
    return _("{name} (not Food-11)").format(name=found.data)


def sweep_in_words(rows: list[Setting], best: Setting) -> str:
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
# Traps: pick one, read both cells, run all of them, see which number goes wrong.


CELLS = "core.distillation.traps"
Trap = Literal["probabilities", "mean", "no_t2", "swapped", "twice", "train_mode"]


class TrapText(NamedTuple):
    """A trap in words: its name, what happens, how one would notice."""

    name: str
    what: str
    notice: str


def trap_texts() -> dict[Trap, TrapText]:
    """Every trap in the order of the menu, the homework's first."""
    return {
        "probabilities": TrapText(
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
        "mean": TrapText(
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
        "no_t2": TrapText(
            _("No T²"),
            _(
                "The loss looks fine and its gradient points the right way, but it is T² times "
                "too short. The higher T, the less the teacher counts."
            ),
            _(
                "At T = 1 there is nothing to notice: run the cells at T = 1. Print the length of "
                "both gradients, as the lower half of the chart does, or double T: the "
                "soft gradient should hardly change."
            ),
        ),
        "swapped": TrapText(
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
        "twice": TrapText(
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
        "train_mode": TrapText(
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


def traps(teacher: Checkpoint, student: Checkpoint | None) -> None:
    """The menu of traps, both cells of the chosen one, and the numbers once they were run."""
    st.markdown(_("Six ways to get the loss wrong. None of them raises an error."))
    every = trap_texts()
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
                "Runs every cell with torch, on stored test answers of the two "
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
        _train_mode(tried)
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


def _train_mode(tried: Trial) -> None:
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
# "Without photographs": students that learned from generated pictures alone.


SHOWN = (2, 6, 9)
"""Classes of which a generated picture is shown: Dessert, Noodles/Pasta, Soup."""


@st.cache_resource(max_entries=8, show_spinner=False)
def dream_trials(marks: str, _found: list[Checkpoint]) -> list[DreamTrial]:
    """Every recipe that learned from generated pictures, with its twins."""
    del marks  # the key of the cache: a checkpoint published anew is compared anew
    return trials(_found)


def dream_verdict(found: list[Checkpoint]) -> None:
    """Generated pictures, chart and sentences, or how to make what is missing."""
    st.markdown(
        _(
            "A teacher's weights remember what food looks like: start from noise, change it until "
            "the teacher sees soup, and match the BatchNorm statistics on the way. A student can "
            "be distilled on such generated pictures alone, without one photograph."
        )
    )
    try:
        dreams = load_dreams()
    except DataError as error:
        st.error(str(error), icon=":material/error:")
        return
    if dreams is None:
        st.info(
            _("No generated pictures are shipped yet. This makes them, in about half an hour:"),
            icon=":material/bedtime:",
        )
        st.code("python -m tools dreams", language="bash")
        return
    gallery(dreams)
    tried = dream_trials(marks_of(found), found)
    if not tried:
        st.info(_("No student has learned from them yet."), icon=":material/balance:")
        st.code("python -m core reproduce --steps training", language="bash")
        return
    dream_chart(tried)


def gallery(dreams: Dreams) -> None:
    """A few of the pictures, and what networks see in all of them."""
    with st.container(horizontal=True):
        for label in SHOWN:
            for picture in thumbs(dreams, label, 1):
                food = food_class(CLASSES[label])
                words = _("{food}, generated, not a photograph").format(food=food)
                st.image(picture, caption=words, alt=words, width=150)
    chosen = dreams.of(TRAIN_PX)
    if chosen is not None:
        st.caption(recognised(dreams, chosen) + " " + how_made(dreams, chosen))


def dream_chart(tried: list[DreamTrial]) -> None:
    """Accuracy by what was learned from, and a sentence for each comparison."""
    frame = shown_frame(trial_frame(tried))
    alt = "; ".join(f"{row}: {text}" for row, text in zip(frame["row"], frame["text"], strict=True))
    show(
        dreamed_chart(frame),
        _("Accuracy on real test photographs by what was learned from. {rows}.").format(rows=alt),
        key="dreamed",
    )
    st.caption(
        _(
            "◇ learned from generated pictures, ◆ from photographs; both from the same teacher. "
            "The dashed line is blind guessing. Intervals (95 %) hold the luck of the photographs "
            "and, with two seeds or more, that of training."
        )
    )
    data_button(frame.drop(columns=["role", "hollow", "place"]), "dreams")
    for trial in tried:
        for against in trial.twins:
            st.markdown(dreams_against(against))
        if not trial.twins:
            st.caption(_("A twin that learned from photographs is not shipped yet."))


def dreams_against(against: Contrast) -> str:
    """A recipe that learned from generated pictures against one that learned from photographs."""
    gap, low, high = against.interval()
    a, b = against.a.first, against.b.first
    sentence = _(
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
        "more": _("The generated pictures taught more."),
        "less": _("The photographs taught more."),
        "unclear": _("Not distinguishable: the interval includes 0."),
    }[against.side()]
    over = (
        _("The interval is over photographs and {n} seeds.").format(n=len(against.pairs))
        if against.over_seeds
        else _("One seed: the interval does not hold the luck of training.")
    )
    return f"{sentence} {verdict} {over}"


# ------------------------------------------------------------------------------------------------
# Why, and the homework.


HOT = 20.0
"""HW7's temperature."""


def why(shown: Example, guessed: Guess[str]) -> None:
    """The loss, its gradient, and the function that trains the students here."""
    if guess.waits(guessed):
        return
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
            "and do not belong in a column with ours: see *Does it help?*. Its "
            "reference setting is T = 20, alpha = 0.5: drag the slider there."
        )
    )


if __name__ == "__main__":
    main()
