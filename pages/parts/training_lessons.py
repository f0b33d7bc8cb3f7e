"""The training page's formula and source, its trap, and the homework's questions."""

import streamlit as st

from core.charts import numbers
from core.compression.written import source_of
from core.training.jobs_entry import Job
from core.words import _


def why() -> None:
    """The loss, its symbols, and the function that computes it."""
    st.latex(
        r"L = \alpha\, T^2\, \mathrm{KL}\bigl(p^{\text{teacher}}_T \,\|\, "
        r"p^{\text{student}}_T\bigr) + (1 - \alpha)\, \mathrm{CE}(y, p^{\text{student}}_1)"
    )
    st.markdown(
        _(
            "The **soft** loss asks the student to answer like the teacher, both softened by the "
            "temperature $T$; the **hard** one asks for the label $y$. $\\alpha$ weighs them. "
            "$T^2$ keeps the soft term's gradients, which shrink as $1/T^2$, on the scale of the "
            "hard ones. With mixup the picture is a blend of two, and the hard loss is blended "
            "likewise; the teacher has looked at the blend itself. This is the function that every "
            "step of every run here calls:"
        )
    )
    st.code(source_of("core.compression.distill", "loss_fn_kd"), language="python")


def trap(shown: list[Job]) -> None:
    """Comparing losses of different recipes; the best epoch flatters."""
    st.markdown(
        _(
            "**Two traps when reading these curves.** *Losses of different recipes cannot be "
            "compared*: with a teacher the total is another sum, and T and alpha stretch it. "
            "Compare accuracies on the validation split. *The best epoch flatters*: whoever picks "
            "the best of many epochs picks luck, too."
        )
    )
    for job in shown:
        entries = job.run.metrics()
        if len(entries) < 2:
            continue
        best = max(entry["val_accuracy"] for entry in entries)
        tail = entries[-max(2, len(entries) // 4) :]
        mean = sum(entry["val_accuracy"] for entry in tail) / len(tail)
        st.markdown(
            _(
                "- Here, really: the best of {n} epochs has {best}; the last {m} epochs have "
                "{mean} on average."
            ).format(n=len(entries), best=numbers.percent(best), m=len(tail),
                     mean=numbers.percent(mean))
        )  # fmt: skip
    st.markdown(
        _(
            "How to notice: look at the last quarter of the curve instead of its highest point, "
            "train several seeds (choose more than one above), and measure once, at the end, on "
            "the test split, which chose nothing."
        )
    )


def homework() -> None:
    """Where the homework's training questions are answered here."""
    st.markdown(
        _(
            "- **HW13 Q2.1**, write `loss_fn_kd`: under “Why” above, as it runs. The course's "
            "values are alpha = 0.5 and T = 1; the report's are 0.3 and 2 with mixup; HW7's "
            "reference is T = 20, alpha = 0.5.\n"
            "- **HW7 Q2**, does a student learn more from a teacher? Start the same student twice, "
            "with the teacher and with “No teacher”, on the same seeds: the curves lie over each "
            "other.\n"
            "- **HW13 Q1**, at most 100,000 parameters: choose a student that keeps to it, or "
            "draw one on the page Architecture and train it here.\n"
            "- The course trains with Adam at 3e-4 in batches of 64: both stand under “More "
            "settings”."
        )
    )
