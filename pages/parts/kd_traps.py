"""The shelf of traps: pick one, read both cells, run all of them, see which number goes wrong."""

from typing import Literal, NamedTuple

import streamlit as st

from core.charts import numbers
from core.checkpoints import TEST_LOGITS, WEIGHTS, Checkpoint
from core.compression.written import source_of
from core.errors import UserError
from core.serving.kd_trial import Trial, run_traps
from core.words import _
from pages.parts import kd_readings
from pages.parts.linked import one_of

CELLS = "core.compression.kd_traps"
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
    st.markdown(kd_readings.table(kd_readings.rows(chosen, found)))
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
    st.markdown(kd_readings.table(kd_readings.teacher_rows(tried.drift)))
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
