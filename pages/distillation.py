"""Distillation: the loss of one picture taken apart; whether it helps; how to get it wrong."""

import math
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
import streamlit as st

from core import i18n
from core.charts import numbers
from core.charts.compiled import Spec
from core.charts.numbers import p_text, points, points_interval
from core.charts.theme import role_of
from core.checkpoints import TEST_LOGITS, Checkpoint
from core.checkpoints.by_recipe import Contrast
from core.course import CLASSES
from core.data.dreams import DREAMS, TRAIN_PX
from core.distillation.against_scratch import DreamTrial, compare, contrast_frame, pictures, trials
from core.distillation.chart import (
    DISTILLATION_HEIGHT_PX,
    INPUTS,
    distillation_chart,
    dreamed_chart,
    dreamed_rows,
    gain_chart,
    gain_rows,
    row_name,
    sweep_chart,
)
from core.distillation.sweep import Setting, Sweep, points_frame, settings
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
from core.errors import CheckpointError, UserError
from core.i18n import _, bracketed, food_class, labelled, paragraph
from core.models.registry import MODELS
from core.provenance import commit_text
from core.source_text import source_of
from pages.kit import example, frame, guess, networks, photos, quiz, url_state
from pages.kit.example import Example
from pages.kit.figure import data_button, show, show_with_slider, source, table
from pages.kit.guess import Guess
from pages.kit.live_text import live_text
from pages.kit.provenance import provenance
from pages.kit.url_state import in_browser, number, one_of, toggle

if TYPE_CHECKING:
    from core.distillation.traps import Drift, Readings

PAIRS_PX = 420
"""Of the table of pairs."""
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
  return {T: String(T), other: foods[most], p: share(p[most]), q: share(q[most]),
    pull: of_soft[most] > 0 ? lowers : raises,
    soft_part: signed(alpha * of_soft[most]), hard_part: signed((1 - alpha) * of_hard[most]),
    long: short(norm(of_soft)), bare: short(norm(of_soft) / T / T),
    hard_long: short(norm(of_hard))};
}
""",
)


def main() -> None:
    """Draw the page."""
    st.title(frame.entry("distillation").question)
    st.markdown(_("A student learns from labels (hard loss) and a teacher (soft loss)."))
    checkpoints = networks.checkpoints()
    if not checkpoints:
        networks.explain_empty()
        st.stop()
    lay_out_sliders("distillation")
    loss_and_tabs(checkpoints)
    frame.foot("distillation")


@frame.section
def loss_and_tabs(checkpoints: list[Checkpoint]) -> None:
    """The instrument, what it shows, and the tabs, some of which follow its settings."""
    with frame.instrument() as (controls, picture):
        with controls:
            student_menu, picture_menu = st.container(), st.container()
            more = example.more_choices()
            with more:
                offered = example.offer(checkpoints)
                teacher = example.choose_teacher(offered)
            with student_menu:
                student = choose_student(checkpoints, offered, teacher)
            with picture_menu:
                shown = choose_picture(teacher, student, more)
            is_moved = bool(url_state.texts("move") or url_state.texts("pick"))  # by a link
            with more:
                moves = toggle(_("Change a logit"), "moves", default=is_moved)
        if shown is not None:
            starts: dict[str, float] = {
                name: in_browser(name, number(span.low, span.high, 2), span.start)
                for name, span in INPUTS.items()
            }
            if not moves:  # nothing is added to a logit
                starts["move"] = 0.0
            with picture:
                guessed = loss(shown, moves, starts)
            with controls:  # beside the sliders: the numbers follow them
                st.header(_("What you see"))
                what_you_see(shown, guessed, starts)
    tabs = [
        frame.Tab("helps", _("Does it help?"), partial(does_it_help, checkpoints), ["pairs"]),
        frame.Tab("settings", _("Which T and alpha?"), sweep),
        frame.Tab("traps", _("Traps"), partial(traps, teacher, student), ["trap", "cell_T"]),
        frame.Tab("generated", _("Without photographs"), partial(without_photographs, checkpoints)),
        frame.Tab("homework", _("Homework"), homework),
    ]
    if shown is not None:
        tabs.insert(4, frame.Tab("why", _("Why"), partial(why, shown, guessed)))
        tabs.append(quiz.tab(partial(_quiz, checkpoints), "", guessed))
    frame.tabs(tabs)


def choose_student(
    checkpoints: list[Checkpoint], offered: list[Checkpoint], teacher: Checkpoint
) -> Checkpoint | None:
    """The menu of students; None for the student that knows nothing yet."""
    students = {
        student.id: student
        for student in offered
        if student.id != teacher.id and student.family != "teacher"
    }
    first = networks.starters(checkpoints)
    order = sorted(  # a student from scratch first: what could it still learn?
        students.values(),
        key=lambda student: (role_of(student) != "scratch", student.id not in first),
    )
    titles = networks.menu_names(order)
    titles[BLANK] = _("A student that knows nothing yet (all logits 0)")
    chosen = one_of(st.selectbox, _("Student"), titles, "student", default=next(iter(titles)))
    return students.get(chosen)


def choose_picture(teacher: Checkpoint, student: Checkpoint | None, more: Any) -> Example | None:
    """A picture with a class: logits of teacher and student; None while there is none."""
    kinds: dict[Kind, str] = example.kind_titles()
    if student is not None:
        return example.choose([teacher, student], kinds, more, own_photo=False)
    kinds["both_wrong"] = _("the teacher is wrong")
    del kinds["disagree"]
    chosen = example.choose([teacher], kinds, more, own_photo=False)
    return chosen and chosen._replace(logits=[chosen.logits[0], np.zeros_like(chosen.logits[0])])


def loss(shown: Example, moves: bool, starts: dict[str, float]) -> Guess[str]:
    """The picture, the chart, the guess and its verdict."""
    assert shown.label is not None  # a photo of one's own, whose class nobody knows, is not offered
    example.show_picture(shown)
    chart = st.container()
    teacher, student = shown.logits
    sizes = {"same": 1.0, "twenty": 20.0, "hundreds": 400.0}
    guessed = guess.ask(
        _("Guess: T goes from 1 to 20. Without T², how much shorter does the soft gradient get?"),
        {
            "same": _("not shorter"),
            "twenty": _("about 20 times"),
            "hundreds": _("hundreds of times"),
        },
        "guess_t2",
    )
    cold, warm = (lengths(student, teacher, shown.label, t) for t in (T_LOW, T_HIGH))
    if cold.without_t2 > 0 and warm.without_t2 > 0:
        times = cold.without_t2 / warm.without_t2
        nearest = min(sizes, key=lambda name: abs(math.log(sizes[name] / times)))
        answer = _(
            "For this picture {times} times, from {cold} to {warm}. With T² it goes from {cold} to "
            "{full}."
        ).format(
            times=numbers.count(round(times)),
            cold=f"{cold.without_t2:.3g}",
            warm=f"{warm.without_t2:.2g}",
            full=f"{warm.soft:.3g}",
        )
        guess.verdict(guessed, guessed.value == nearest, answer)
    else:
        st.markdown(_("Student and teacher give the same answer: there is no soft gradient."))
    with chart:
        show_with_slider(
            distillation_chart(
                student, teacher, shown.label, starts, moves=moves, is_open=guessed.is_open
            ),
            # the same words for every example: others would make the chart, and its sliders, anew
            _(
                "Hard and soft gradient of each of the student's eleven logits, and their sum, at "
                "the sliders' temperature and alpha; below, the lengths of both gradients against "
                "the temperature, with and without T squared. The text beside gives the numbers."
            ),
            "distillation",
            DISTILLATION_HEIGHT_PX + (190 if moves else 130),
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


def what_you_see(shown: Example, guessed: Guess[str], starts: dict[str, float]) -> None:
    """Both terms of this picture in numbers that follow the sliders."""
    assert shown.label is not None
    names = "T other p q pull soft_part hard_part long bare hard_long"
    now = {name: f"{{{name}}}" for name in names.split()}  # what the browser writes
    paragraphs = [
        _(
            "✓ **The label** raises {food} and lowers the others. Of those ● **the teacher** "
            "changes **{other}** most: at T = {T} it gives {p}, the student {q}, so it {pull} that "
            "logit (gradient {soft_part}, from the label {hard_part})."
        ).format(food=food_class(CLASSES[shown.label]), **now),
    ]
    if guessed.is_open:
        paragraphs.append(
            _(
                "The soft gradient has length {long}, the hard one {hard_long}. Without T² the "
                "soft one has {bare}: the logits are divided by T, and both answers become nearly "
                "equal. T² keeps the balance that alpha sets, at every T."
            ).format(**now)
        )
    teacher, student = shown.logits
    _follow_the_sliders(
        paragraphs,
        starts,
        student=student.tolist(),
        teacher=teacher.tolist(),
        label=shown.label,
        foods=[food_class(name) for name in CLASSES],
        raises=_("raises"),
        lowers=_("lowers"),
    )


class Gains(NamedTuple):
    """Some of the comparisons as they are drawn."""

    contrasts: list[Contrast]
    chart: Spec
    alt: str
    summary: str


class Compared(NamedTuple):
    """All comparisons of shipped networks; made once for each language, shared by all sessions."""

    gains: dict[bool, Gains]
    """With those of one seed, whose intervals hold the luck of the photographs alone, and those
    whose trainings differ in more than the teacher, or without; what would be empty is missing."""
    left_out: list[str]
    """Ids of distilled students without a twin."""
    dream_trials: list[DreamTrial]


def compared(checkpoints: list[Checkpoint]) -> Compared:
    """The comparisons among the networks; a checkpoint published anew is compared anew."""
    marks = [
        network.id + (network.files[TEST_LOGITS].sha256 if TEST_LOGITS in network.files else "")
        for network in checkpoints
    ]
    return _compared(i18n.language(), "\n".join(marks), checkpoints)


@st.cache_resource(max_entries=8, show_spinner=False)
def _compared(language: str, marks: str, _checkpoints: list[Checkpoint]) -> Compared:
    del language, marks  # the key of the cache
    contrasts, left_out = compare(_checkpoints)
    # whose trainings differ in the teacher alone; most seeds come first
    several = [each for each in contrasts if each.over_seeds and not each.also_differs()]
    shown = {False: several, True: contrasts}
    return Compared(
        {one_by_one: draw_gains(some) for one_by_one, some in shown.items() if some},
        left_out,
        trials(_checkpoints),
    )


def draw_gains(contrasts: list[Contrast]) -> Gains:
    """The comparisons with their chart and words."""
    sides = [contrast.side() for contrast in contrasts]
    more, less, unclear = (sides.count(side) for side in ("more", "less", "unclear"))
    parts = [
        _("**Distillation helps** in {helps} of {n} comparisons.").format(helps=more, n=len(sides)),
        _("**It hurts** in {n}.").format(n=less) if less else "",
        _("**Not distinguishable** in {n}.").format(n=unclear) if unclear else "",
    ]
    rows = _("; ").join(row["full"] for row in gain_rows(contrasts))
    alt = _("Accuracy of the distilled student minus the one from scratch, in points. {rows}.")
    return Gains(
        contrasts, gain_chart(contrasts), alt.format(rows=rows), paragraph(filter(None, parts))
    )


def does_it_help(checkpoints: list[Checkpoint]) -> None:
    """Chart and sentences, single trainings behind a switch; or how to get the networks."""
    comparisons = compared(checkpoints)
    if not comparisons.gains:
        st.info(
            _(
                "A comparison needs a student trained twice, with and without the teacher, with "
                "the same seed and photographs. None is shipped yet; this trains them:"
            ),
            icon=":material/balance:",
        )
        ids = "dwpw_256k-scratch-s0 dwpw_256k-distilled-s0"
        st.code(f"python -m core reproduce --only {ids}", language="bash")
        say_left_out(comparisons)
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        summary = st.empty()
        one_by_one = toggle(_("Every pair"), "pairs")
    shown = comparisons.gains[one_by_one or False not in comparisons.gains]
    summary.markdown(shown.summary, width=560)
    show(shown.chart, shown.alt, key="gains")
    st.caption(_("Bars: 95 % intervals over photographs and seeds; ticks: seeds."))
    single = sorted({c.pairs[0].a.seed for c in shown.contrasts if not c.over_seeds})
    if single:
        st.warning(
            _(
                "Where there is only one seed (seed {seeds}), the bar covers the photographs, not "
                "the training. Another seed can move an accuracy by one or two points."
            ).format(seeds=_(", ").join(map(str, single))),
            icon=":material/casino:",
        )
    for contrast in shown.contrasts:
        if names := contrast.also_differs():
            st.markdown(
                _(
                    "- {name}: the two trainings also have different settings: {names}. The "
                    "difference is not only the teacher's."
                ).format(
                    name=_(contrast.a.first.title),
                    names=_(", ").join(f"`{name}`" for name in names),
                )
            )
    if one_by_one:
        pairs_table(shown.contrasts)
        say_left_out(comparisons)
        data_button(partial(contrast_frame, shown.contrasts), "distillation-gains")
    pairs = [pair for contrast in shown.contrasts for pair in contrast.pairs]
    provenance_of([network for pair in pairs for network in (pair.b, pair.a)])


def pairs_table(contrasts: Sequence[Contrast]) -> None:
    """Each pair of networks with the same seed: accuracies, difference, McNemar's test."""
    pairs = [pair for contrast in contrasts for pair in contrast.pairs]
    names = networks.menu_names(pair.a for pair in pairs)
    table(
        {
            _("Distilled student"): [names[pair.a.id] for pair in pairs],
            _("From scratch"): [numbers.percent(pair.right_b.mean(), pair.n) for pair in pairs],
            _("Distilled"): [numbers.percent(pair.right_a.mean(), pair.n) for pair in pairs],
            _("Difference, points"): [
                bracketed(points(pair.difference), points_interval(pair.low, pair.high))
                for pair in pairs
            ],
            _("McNemar's test"): [p_text(pair.p) for pair in pairs],
        },
        extra=[_("McNemar's test")],
        key="pairs",
        height_px=PAIRS_PX,
    )


def provenance_of(used: list[Checkpoint]) -> None:
    """Where the numbers of these networks come from, each named once."""
    provenance(list({network.id: network for network in used}.values()))


def say_left_out(comparisons: Compared) -> None:
    """Distilled students that nothing can be compared with."""
    if comparisons.left_out:
        st.caption(
            _(
                "Not shown, no matching network from scratch (same seed and photographs): {names}."
            ).format(names=_(", ").join(f"`{name}`" for name in comparisons.left_out))
        )


def sweep() -> None:
    """Chart, sentences, table and provenance; or how to make the sweep."""
    try:
        kept = Sweep.load("dwpw_256k")
    except CheckpointError as error:
        st.error(str(error))
        return
    rows = settings(kept) if kept else []
    taught = [row for row in rows if row.alpha is not None]
    if kept is None or not taught:
        st.info(
            _("No settings of temperature and alpha were compared yet. This does it:"),
            icon=":material/grid_on:",
        )
        st.code(Sweep.command, language="bash")
        return
    best = max(taught, key=lambda row: row.mean)
    alone = next((row for row in rows if row.alpha is None), None)
    st.markdown(sweep_in_words(taught, best, alone))
    show(
        sweep_chart(kept),
        _(
            "Accuracy of {student} against the temperature, a line for each alpha. "
            "Best: T = {temperature:g}, alpha = {alpha:g} with {accuracy}."
        ).format(
            student=_(MODELS[kept.model].title),
            temperature=best.temperature,
            alpha=best.alpha,
            accuracy=numbers.percent(best.mean, best.n),
        ),
        key="sweep",
    )
    data_button(partial(points_frame, kept), "sweep")
    is_named = kept.is_food11 or "not food-11" in kept.data.lower()
    st.caption(
        _(
            "Dashed line: labels alone. Small marks: single trainings ({seeds} seeds a setting), "
            "all short ({epochs} epochs at {px} px): compare them with each other only. {n} test "
            "photographs of {data}; teacher `{teacher}`; {date}, {device}, commit {commit}."
        ).format(
            seeds=best.seeds,
            epochs=kept.shared["epochs"],
            px=kept.shared["px"],
            n=numbers.count(best.n),
            data=_(kept.data) if is_named else _("{name} (not Food-11)").format(name=_(kept.data)),
            teacher=kept.teacher,
            date=kept.date,
            device=kept.device,
            commit=commit_text(kept.commit, 10),
        )
    )


def sweep_in_words(taught: list[Setting], best: Setting, alone: Setting | None) -> str:
    """Whether the best setting is told from the worst, and from labels alone."""
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
                "Their 95 % intervals over {seeds} seeds overlap: with so few seeds they are not "
                "distinguishable."
            ).format(seeds=best.seeds)
        )
    if alone is not None:
        parts.append(
            _(
                "Labels alone reach {alone}; {above} of the {n} settings with a teacher are higher."
            ).format(
                alone=numbers.percent(alone.mean, alone.n),
                above=sum(row.mean > alone.mean for row in taught),
                n=len(taught),
            )
        )
    return paragraph(parts)


def trap_texts() -> dict[str, tuple[str, str, str]]:
    """Every trap in the order of the menu: its name, what happens, how to notice."""
    return {
        "probabilities": (
            _("Probabilities, not logarithms"),
            _(
                "`KLDivLoss` needs the student's *log*-probabilities. With probabilities it "
                "computes Σ p (ln p − q), which is no divergence and is below 0. Its gradient "
                "favours only the teacher's first class. An answer to HW13 Q2.1 with this line got "
                "half the points."
            ),
            _(
                "A KL divergence is never negative; this soft loss is. Another test: give the "
                "teacher's logits to both sides. The loss must be 0."
            ),
        ),
        "mean": (
            _('reduction="mean"'),
            _(
                "The default of `nn.KLDivLoss` divides by the number of pictures *and* of classes. "
                "The soft loss and its gradient are 11 times too small: alpha = 0.5 then weighs "
                "them 1 to 11."
            ),
            _(
                "torch warns once. Or use a case with a known answer: if the teacher is as sure as "
                "the label, at T = 1, the soft loss must equal the cross-entropy."
            ),
        ),
        "no_t2": (
            _("No T²"),
            _(
                "The loss looks fine and its gradient has the right direction, but it is T² times "
                "too short. The higher T is, the less the teacher counts."
            ),
            _(
                "At T = 1 you see no difference: run the cells there, too. Print the length of "
                "both gradients. Or double T: the soft gradient should hardly change."
            ),
        ),
        "swapped": (
            _("Arguments swapped"),
            _(
                "`kl_div(input, target)` computes KL(target ‖ input): the student is the first "
                "argument. Swapped, it is KL(student ‖ teacher). That is also never negative, and "
                "0 at the goal. But it does not punish the student for a class that it leaves out: "
                "a small student learns only a part of the answer."
            ),
            _(
                "Use the labels as a very sure teacher, at T = 1. The right order gives the "
                "cross-entropy. The swapped order gives a huge number, because it takes the "
                "logarithm of the teacher's zeros."
            ),
        ),
        "twice": (
            _("Log-softmax twice"),
            _(
                "A second log-softmax changes nothing: that cell is harmless. A *softmax* first "
                "does harm, as in a network that ends in probabilities. They are between 0 and 1; "
                "used as logits, they are so close together that no student can be sure."
            ),
            _(
                "The loss stops far above 0, and the gradient is tiny from the start. Give the "
                "teacher's logits to both sides: the loss must be 0."
            ),
        ),
        "train_mode": (
            _("Teacher in train mode"),
            _(
                "`no_grad` stops gradients, not BatchNorm. Without `eval()` the teacher normalises "
                "each picture with the others in its batch, and each pass changes its running "
                "statistics permanently."
            ),
            _(
                "Show the teacher the same picture in two different batches: its answer must stay. "
                "Measure its accuracy before and after an epoch: it must not change."
            ),
        ),
    }


def traps(teacher: Checkpoint, student: Checkpoint | None) -> None:
    """The menu of traps, both cells of the chosen one, and the numbers once they were run."""
    st.markdown(_("Six mistakes in the loss. None of them raises an error."))
    texts = trap_texts()
    titles = {key: name for key, (name, _what, _notice) in texts.items()}
    trap = one_of(st.pills, _("Trap"), titles, "trap", default="probabilities")
    _name, what, notice = texts[trap]
    st.markdown(what)
    failing, right = st.columns(2)
    cells = [
        (failing, _("✗ **Failing**"), f"{trap}_failing"),
        (right, _("✓ **Fixed**"), "train_mode_fixed" if trap == "train_mode" else "fixed"),
    ]
    if trap == "twice":
        cells.append((failing, _("✓ **Harmless**"), "twice_harmless"))
    for column, head, function in cells:
        column.markdown(head)
        column.code(
            source_of("core.distillation.traps", function), language="python", wrap_lines=True
        )
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
    if st.session_state.get("cells_run"):
        run_cells(trap, teacher, student, float(temperature))
    else:
        st.caption(
            _(
                "Runs all cells with torch, on stored test answers of the two networks above and a "
                "copy of the teacher. It takes some seconds, once."
            )
        )
    st.markdown(labelled(f"**{_('How to notice')}**", notice))


def run_cells(trap: str, teacher: Checkpoint, student: Checkpoint | None, t: float) -> None:
    """The numbers of the chosen trap beside the right ones."""
    try:
        with st.spinner(_("Running the cells ...")):
            trial = run_traps(teacher, student, t)
    except UserError as error:
        st.warning(str(error), icon=":material/hourglass_top:")
        return
    if trap == "train_mode":
        teacher_in_train_mode(trial)
        return
    readings = trial.readings
    measured_table(cell_rows(trap, readings))
    if warned := readings.cells[trap].warned:
        st.markdown(_("torch warned:"))
        st.code(warned, language=None, wrap_lines=True)
    st.caption(
        _(
            "{n} stored test answers at T = {t}, run on this machine in {seconds} s. Losses in "
            "nats, before alpha."
        ).format(n=readings.n, t=f"{t:g}", seconds=f"{trial.seconds:.1f}")
    )


def teacher_in_train_mode(trial: Trial) -> None:
    """What train mode did to a copy of the teacher, beside eval mode."""
    if trial.problem:
        st.warning(trial.problem, icon=":material/error:")
        return
    if trial.drift is None:
        st.info(_("This teacher has no BatchNorm: train mode does not change it this way."))
        return
    measured_table(teacher_rows(trial.drift))
    failing = trial.drift["failing"]
    st.caption(
        _(
            "A copy of the teacher with {norms} BatchNorm layers saw {n} pictures in batches of "
            "{batch}: {pictures}. No gradient was computed, no weight changed."
        ).format(
            norms=failing.norms,
            n=numbers.count(failing.passes * failing.batch),
            batch=failing.batch,
            pictures=_("photographs of {data}").format(data=_(trial.data))
            if trial.data
            else _("coloured dots, because no copy of Food-11 is on this machine"),
        )
    )


Row = tuple[str, str, str, str]
"""A measure: what it is, in the failing cell, in the fixed one, what it must be or what follows."""


def cell_rows(trap: str, readings: "Readings") -> list[Row]:
    """The measures in which this trap shows, on the batch it was run on."""
    bad, good = readings.cells[trap], readings.cells["fixed"]

    def times(small: float, large: float) -> str:
        text = _("{times} times too small")
        return text.format(times=f"{large / small:.4g}") if small > 0 else ""

    remarks = {
        "probabilities": _("must not be negative"),
        "swapped": _("not the same divergence"),
    }
    measures = {
        "loss": (_("Soft loss"), ".3f", remarks.get(trap, times(bad.loss, good.loss))),
        "at_teacher": (
            _("Soft loss of a student that equals its teacher"), ".3f", _("must be 0"),
        ),
        "gradient": (
            _("Length of the soft gradient"), ".2g", times(bad.gradient, good.gradient),
        ),
        "as_label": (
            _("Soft loss at T = 1 if the teacher is as sure as the label"), ".3f",
            _("must be the hard loss, {loss}").format(loss=f"{readings.hard:.3f}"),
        ),
        "floor": (
            _("Correct soft loss after training with the cell"), ".4f",
            _("smaller is better"),
        ),
    }  # fmt: skip
    shown = {
        "probabilities": "loss at_teacher floor",
        "mean": "loss gradient as_label floor",
        "no_t2": "loss gradient floor",
        "swapped": "loss as_label",
        "twice": "at_teacher gradient floor",
    }
    rows = []
    for name in shown[trap].split():
        what, form, must = measures[name]
        failing, fixed = (figure(getattr(cell, name), form) for cell in (bad, good))
        rows.append((what, failing, fixed, must))
    if trap == "twice":
        harmless, right = (figure(readings.cells[c].loss, ".3f") for c in ("harmless", "fixed"))
        what = _("Soft loss with a log-softmax too many")
        rows.insert(0, (what, harmless, right, _("the same: harmless")))
    return rows


def figure(value: float, form: str) -> str:
    """A number with a true minus sign, and none before a zero."""
    return format(value, form).replace("-0.000", "0.000").replace("-", "−")


def teacher_rows(drift: "dict[str, Drift]") -> list[Row]:
    """What train mode did to the teacher, beside eval mode."""
    bad, good = drift["failing"], drift["fixed"]
    shown, pictures = bad.passes * bad.batch, bad.asked
    measures = {
        "flipped": (
            _("Other answers than in eval mode, of {n}").format(n=shown), "d",
        ),
        "together": (_("A picture's logit moves when its neighbours change, by up to"), ".2f"),
        "moved": (_("Running means moved after {n} passes").format(n=bad.passes), ".2%"),
        "changed": (
            _("Other answers afterwards, back in eval mode, of {n}").format(n=pictures), "d",
        ),
    }  # fmt: skip
    return [
        (what, format(getattr(bad, name), form), format(getattr(good, name), form), _("must be 0"))
        for name, (what, form) in measures.items()
    ]


def measured_table(rows: Sequence[Row]) -> None:
    """What was measured with the failing cell, and with the fixed one."""
    table(
        {
            _("Measured"): [
                f"{what}{f' · *{must}*' if must else ''}" for what, *_two, must in rows
            ],
            _("✗ Failing"): [f"**{failing}**" for _what, failing, _fixed, _must in rows],
            _("✓ Fixed"): [fixed for _what, _failing, fixed, _must in rows],
        }
    )


def without_photographs(checkpoints: list[Checkpoint]) -> None:
    """Generated pictures, chart and sentences, or how to make what is missing."""
    st.markdown(
        _(
            "Pictures can be made from a teacher's weights: start with noise, and change it until "
            "the teacher sees soup and its BatchNorm statistics match. A student can learn from "
            "such **generated pictures** alone, without photographs."
        )
    )
    dreams = photos.dreams_here()
    if dreams is None:
        st.info(_("No generated pictures are shipped. This makes them, in about half an hour:"))
        st.code("python -m tools dreams", language="bash")
        return
    with st.container(horizontal=True):
        for food in ("Dessert", "Noodles/Pasta", "Soup"):
            for picture in photos.thumbs(dreams, CLASSES.index(food), 1):
                caption = _("{food}, generated, not a photograph").format(food=food_class(food))
                st.image(picture, caption=caption, alt=caption, width=150)
    if (training := dreams.of(TRAIN_PX)) is not None:
        sentences = (photos.recognised(dreams, training), photos.how_made(dreams, training))
        st.caption(paragraph(sentences))
    dream_trials = compared(checkpoints).dream_trials
    if not dream_trials:
        st.info(_("No student has learned from them yet."), icon=":material/balance:")
        st.code("python -m core reproduce --steps training", language="bash")
        return
    rows = dreamed_rows(dream_trials)
    show(
        dreamed_chart(rows),
        _("Accuracy on real test photographs by what was learned from. {rows}.").format(
            rows=_("; ").join(row["full"] for row in rows)
        ),
        key="dreamed",
    )
    st.caption(
        _(
            "◇ learned from generated pictures, ◆ from photographs, both with the same teacher. "
            "Grey line: a blind guess. Bars: 95 % intervals over photographs, and over seeds where "
            "there are several."
        )
    )
    for trial in dream_trials:
        for contrast in trial.twins:
            st.markdown(dreams_against(contrast))
        if not trial.twins:
            st.caption(_("The same student trained on photographs is not shipped yet."))
    data_button(pd.DataFrame(rows), "dreams")
    groups = [group for t in dream_trials for group in (t.dreamed, *(c.b for c in t.twins))]
    provenance_of([network for group in groups for network in group.seeds])


def dreams_against(contrast: Contrast) -> str:
    """A recipe that learned from generated pictures against one that learned from photographs."""
    gap, low, high = contrast.interval()
    verdict = {
        "more": _("The generated pictures taught more."),
        "less": _("The photographs taught more."),
        "unclear": _("Not distinguishable: the interval includes 0."),
    }[contrast.side()]
    over = (
        _("The interval is over photographs and {n} seeds.").format(n=len(contrast.pairs))
        if contrast.over_seeds
        else _("One seed: the interval does not cover the luck of training.")
    )
    return _(
        "**{dreams}** against **{photographs}**: {gap} points ({interval}), on the same {n} test "
        "photographs. {verdict} {over}"
    ).format(
        dreams=row_name(DREAMS, pictures(contrast.a.first)),
        photographs=row_name("", pictures(contrast.b.first)),
        gap=points(gap),
        interval=points_interval(low, high),
        n=numbers.count(contrast.pairs[0].n),
        verdict=verdict,
        over=over,
    )


def why(shown: Example, guessed: Guess[str]) -> None:
    """The loss, its gradient, and the function that trains the students here."""
    assert shown.label is not None
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
            "of the teacher. $\\mathrm{KL}(p \\| q) = \\sum_i p_i \\ln (p_i / q_i)$ is never "
            "negative, and 0 only for $q = p$. Its gradient has a factor $1/T$ from $z/T$, and "
            "$q_i - p_i$ shrinks as $1/T$, too: therefore $T^2$ (Hinton, Vinyals & Dean 2015)."
        )
    )
    teacher, student = shown.logits
    far = large_t_gradient(student, teacher)
    top = int(np.abs(far).argmax())
    near = take_apart(student, teacher, 0, 1.0, T_HIGH).soft_gradient[top]
    st.markdown(
        _(
            "For large $T$ the soft gradient becomes $(z_i - v_i)/11$ for centred logits: the "
            "student then learns to match the logits. Here, for {food}: {near} at T = 20, {far} in "
            "the limit."
        ).format(
            food=food_class(CLASSES[top]), near=figure(near, "+.3f"), far=figure(far[top], "+.3f")
        )
    )
    source(
        _("The function that trains the students of this app:"),
        source_of("core.training.loss", "loss_fn_kd"),
    )
    data_button(partial(parts_frame, student, teacher, shown.label), "distillation")


def homework() -> None:
    """Where the course's two questions are answered on this page."""
    st.markdown(
        _(
            "**HW13 Q2.1** asks for `loss_fn_kd` with alpha = 0.5 and T = 1. It is under *Why*, "
            "with mixup and label smoothing. At T = 1 the factor T² is 1: if it is missing, nobody "
            "sees it until T changes. One answer got 0.25 of 0.5 points: it gives `nn.KLDivLoss` "
            "probabilities instead of log-probabilities. That line is the first trap."
        )
    )
    st.markdown(
        _(
            "**HW7 Q2** asks how much distillation helps. The report, on its own split of Food-11: "
            "the depthwise student 0.71010 without a teacher, 0.83801 with one; a teacher of "
            "88.41 % was hardly better than one of 80.09 %. Each is a single training on other "
            "photographs than ours: do not compare them with *Does it help?*. The reference "
            "setting is T = 20, alpha = 0.5."
        )
    )


def _quiz(checkpoints: list[Checkpoint]) -> list[quiz.Question]:
    """On the loss's factor, PyTorch's default, and the comparisons of these networks."""
    alpha, t, n = 0.5, 4.0, len(CLASSES)
    questions = [
        quiz.Question(
            "factor",
            _("alpha = {alpha}, T = {t}. By what is the KL divergence multiplied in the loss?")
            .format(alpha=f"{alpha:g}", t=f"{t:g}"),
            *quiz.among(alpha * t**2, (alpha, alpha * t, t**2), lambda factor: f"{factor:g}"),
            _("alpha · T²: T² makes up for the soft gradient, which shrinks as T grows."),
        ),
        quiz.Question(
            "mean",
            _("nn.KLDivLoss with reduction=\"mean\" instead of \"batchmean\": how many times too "
              "small is the soft loss?"),
            *quiz.among(n, (2, int(t**2), n**2), numbers.count),
            _("“mean” divides by the number of classes, too."),
        ),
    ]  # fmt: skip
    gains = compared(checkpoints).gains
    if gains:
        contrasts = gains[min(gains)].contrasts
        sides = [contrast.side() for contrast in contrasts]
        helps, every = sides.count("more"), len(sides)
        questions.append(
            quiz.Question(
                "helps",
                _("“Does it help?” compares {n} pairs of networks over several seeds. In how many "
                  "does distillation clearly help?").format(n=every),
                *quiz.among(helps, (0, every // 2, every, every - helps), numbers.count),
                _("In the others the 95 % interval includes 0, or distillation hurts."),
            )
        )  # fmt: skip
    return questions


if __name__ == "__main__":
    main()
