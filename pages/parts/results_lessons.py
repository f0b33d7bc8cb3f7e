"""Around the results: why studies differ, the trap of a single training, where questions live."""

from collections.abc import Mapping, Sequence

import streamlit as st

from core.charts.numbers import points
from core.charts.results_words import claim_title, why_lines
from core.compression.written import source_of
from core.serving.collected import Collected
from core.serving.results import Tested, flattery, single_differences
from core.words import _
from pages.parts import contents
from pages.parts.foot import page_link

Groups = Mapping[str, Collected]


def why(groups: Groups) -> None:
    """What differs between their runs and ours, and how the intervals are made."""
    shown = [one for group in groups.values() for one in group.seeds if one.family != "teacher"]
    st.markdown("\n".join(f"- {line}" for line in why_lines(groups, shown)))
    st.markdown(
        _(
            "The interval of an accuracy $\\hat p$ holds two kinds of luck, which know nothing of "
            "each other, so their squares add:"
        )
    )
    st.latex(
        r"w = \sqrt{w_{\mathrm{pictures}}^2 + w_{\mathrm{seeds}}^2}, \qquad "
        r"w_{\mathrm{seeds}} = t_{k-1}\, s / \sqrt{k}"
    )
    st.markdown(
        _(
            "$w_{\\mathrm{pictures}}$ is Wilson's interval for $n$ test photographs, $s$ the "
            "spread of $k$ seeds, $t$ Student's. With one seed the second part is not known, and "
            "left out. Two networks are compared on the same photographs and the same seed, which "
            "cancels what both share."
        )
    )
    st.code(source_of("core.measure.seeds", "accuracy_interval"), language="python",
            wrap_lines=True)  # fmt: skip


def trap(answers: Sequence[Tested], groups: Groups) -> None:
    """What single trainings could have reported; what the best epoch flatters. From our runs."""
    st.markdown(
        _(
            "A report with one training each states one difference. These are all the differences "
            "that our seeds could have given it:"
        )
    )
    lines = []
    for one in answers:
        if one.found is None:
            continue
        could = single_differences(one.found)
        if len(could) < 2:
            continue
        against = sum(value < 0 for value in could)
        lines.append(
            _(
                "*{claim}* {n} pairs of trainings: from {low} to {high} points; {against} of them "
                "say the opposite of the others."
            ).format(
                claim=claim_title(one), n=len(could), low=points(could[0]), high=points(could[-1]),
                against=min(against, len(could) - against),
            )
        )  # fmt: skip
    if not lines:
        lines.append(_("No network here has a second seed yet, so this trap cannot be shown."))
    st.markdown("\n".join(f"- {line}" for line in lines))
    flattered = flattery(groups)
    if flattered:
        gap = sum(one.best - one.typical for one in flattered) / len(flattered)
        most = max(flattered, key=lambda one: one.best - one.typical)
        st.markdown(
            _(
                "The second half of the trap: the epoch that is best on the validation split is "
                "also the luckiest. Over {n} runs it stands {gap} points above the median of the "
                "five epochs around it; most in `{id}` ({most}). That is why accuracies here are "
                "those of the test split, which chose nothing."
            ).format(
                n=len(flattered), gap=points(gap), id=most.checkpoint,
                most=points(most.best - most.typical),
            )
        )  # fmt: skip


def homework() -> None:
    """Every question of the two homeworks, and where its answer can be seen."""
    known = {one.key: one for one in contents.entries()}
    for question, what, pages in _questions():
        st.markdown(f"**{question}** {what}")
        with st.container(horizontal=True):
            for key in pages:
                if key in known:
                    page_link(known[key], known[key].name)


def _questions() -> list[tuple[str, str, tuple[str, ...]]]:
    here = _("Above: figure {key}.")
    return [
        ("HW7 Q1", _("Compress by depthwise convolutions; name four families of compression.")
         + " " + here.format(key="1, 4"),
         ("convolutions", "pruning", "quantization", "distillation", "low_rank")),
        ("HW7 Q2", _("Distil, from a teacher and from a better one.") + " " + here.format(key="9"),
         ("distillation",)),
        ("HW7 Q4", _("Three kinds of convolution at about 1 MB.") + " " + here.format(key="16"),
         ("convolutions",)),
        ("HW13 Q1", _("A student of at most 100,000 parameters.") + " " + here.format(key="HW13"),
         ("architecture", "training")),
        ("HW13 Q2.1", _("Write the distillation loss."), ("distillation",)),
        ("HW13 Q2.2", _("What does a higher temperature do?"), ("temperature",)),
        ("HW13 Q3.1", _("Pruning ratio against accuracy, teacher and student."), ("pruning",)),
        ("HW13 Q3.2", _("Does that pruning save time?"), ("pruning",)),
    ]  # fmt: skip
