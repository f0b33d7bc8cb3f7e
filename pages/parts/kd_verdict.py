""" "Does distillation help?": scratch against distilled, from the shipped checkpoints, in words."""

import pandas as pd
import streamlit as st

from core.charts import numbers
from core.charts.kd_verdict import gain_chart, gain_frame
from core.charts.numbers import accuracy_text, p_text, points, points_interval
from core.checkpoints import TEST_LOGITS, Checkpoint
from core.serving.kd_verdict import Comparison, compare, verdict_frame
from core.words import _
from pages.parts.figure import data_button, show


@st.cache_data(max_entries=8, show_spinner=False)
def _compared(
    marks: tuple[tuple[str, str], ...], _found: list[Checkpoint]
) -> tuple[list[Comparison], list[str]]:
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
            "seeds (Student's t). An interval that holds 0 decides nothing."
        )
    )
    _say_left_out(left_out)
    with st.expander(_("The numbers, pair by pair"), icon=":material/table:"):
        _table(verdict_frame(comparisons))
    data_button(verdict_frame(comparisons), "distillation-gains")
    return [one for each in comparisons for pair in each.pairs
            for one in (pair.scratch, pair.distilled)]  # fmt: skip


def _say_left_out(left_out: list[str]) -> None:
    if left_out:
        st.caption(
            _(
                "Left out, for want of a twin from scratch with the same seed and photographs: "
                "{names}."
            ).format(names=", ".join(f"`{name}`" for name in left_out))
        )


def _say_all(comparisons: list[Comparison]) -> None:
    """A sentence each; those of one seed together, with one word of warning for all of them."""
    several = [each for each in comparisons if each.over_seeds]
    single = [each for each in comparisons if not each.over_seeds]
    if several:
        st.markdown("\n".join(f"- {_over_seeds(each)}" for each in several))
    if single:
        seeds = ", ".join(str(seed) for seed in sorted({each.pairs[0].seed for each in single}))
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


def _over_seeds(each: Comparison) -> str:
    gain, low, high = each.interval()
    said = _(
        "{name}, {seeds} seeds: distilled minus scratch is {gain} points on average (95 % "
        "interval over seeds {interval}), each seed measured on the same {n} test photographs."
    ).format(
        name=_(each.title),
        seeds=len(each.pairs),
        gain=points(gain),
        interval=points_interval(low, high),
        n=numbers.count(each.pairs[0].n),
    )
    return _judged(each, said)


def _one_seed(each: Comparison) -> str:
    gain, low, high = each.interval()
    (only,) = each.pairs
    said = _(
        "{name}: {distilled} right, {scratch} from scratch, on the same {n} test photographs: "
        "{gain} points (95 % interval {interval}). {only_distilled} photographs only the distilled "
        "one gets right, {only_scratch} only the other (McNemar's exact test: {p})."
    ).format(
        name=_(each.title),
        distilled=accuracy_text(only.distilled_correct, only.n),
        scratch=accuracy_text(only.scratch_correct, only.n),
        n=numbers.count(only.n),
        gain=points(gain),
        interval=points_interval(low, high),
        only_distilled=only.only_distilled,
        only_scratch=only.only_scratch,
        p=p_text(only.p),
    )
    return _judged(each, said)


def _judged(each: Comparison, said: str) -> str:
    short = {
        "helps": _("**It helps.**"),
        "hurts": _("**It hurts.**"),
        "unclear": _("**Not distinguishable.**"),
    }[each.verdict()]
    parts = [short, said]
    if each.verdict() == "unclear":
        parts.append(_("The interval holds 0: this does not show that one is better."))
    if each.also_differs:
        parts.append(
            _(
                "The two were also trained with different settings: {names}. The difference is "
                "not the teacher's alone."
            ).format(names=", ".join(f"`{name}`" for name in each.also_differs))
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
