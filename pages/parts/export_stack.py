"""The whole way as one picture: teacher, distilled, cut, fine-tuned, 8 bits, each step measured."""

import streamlit as st

from core.charts.pruning import method_title
from core.charts.shipping_stack import stack_alt, stack_chart, stack_frame, stack_lines, stack_table
from core.checkpoints import WEIGHTS, Checkpoint
from core.errors import CheckpointError
from core.measure.stack_rows import STEPS, Stack
from core.words import _, ngettext
from pages.parts.figure import data_button, show


def choose_stack(found: list[Checkpoint]) -> Stack | None:
    """The first way that was measured for a student that is here; damage is said."""
    for one in found:
        try:
            stack = Stack.load(one.id) if Stack.path(one.id).is_file() else None
        except CheckpointError as error:
            st.error(str(error), icon=":material/error:")
            continue
        if stack is not None and stack.weights_sha256 == one.files[WEIGHTS].sha256:
            return stack
    return None


def explain_missing() -> None:
    """Say how to take the way."""
    st.info(
        _("Nobody has gone this way yet: distil, cut, fine-tune, 8 bits. It takes photographs."),
        icon=":material/route:",
    )
    st.code("python -m core reproduce --steps stack", language="bash")


def way(stack: Stack) -> None:
    """The chart, what it says, and every figure."""
    epochs = stack.key.finetune_epochs * stack.key.rounds
    st.caption(
        _(
            "`{student}` learned from `{teacher}`. Then {ratio} % of its channels are cut out "
            "({method}); training goes on ({epochs}); and its numbers are written in 8 bits, in "
            "two ways."
        ).format(
            student=stack.student,
            teacher=stack.teacher,
            ratio=f"{100 * stack.key.ratio:.3g}",
            method=method_title(stack.key.method),
            epochs=ngettext("{n} epoch", "{n} epochs", epochs).format(n=epochs),
        )
    )
    frame = stack_frame(stack.rows)
    if frame.empty or frame["accuracy"].isna().all():
        st.info(_("These steps were taken without photographs: no accuracy, so no picture."))
    else:
        show(stack_chart(frame), stack_alt(frame), key="stack")
        data_button(frame.drop(columns=["role", "aside"]), "whole-way")
        st.caption(
            _(
                "Bars: 95 % interval, n = {n}. The dashed way goes from 1 to {last}; step 3 is a "
                "short cut beside it. Times: one photo by ONNX Runtime, one thread, in one "
                "sitting, on {device}."
            ).format(n=f"{int(frame['n'].max()):,}", last=len(STEPS), device=stack.device)
        )
    if lines := stack_lines(stack):
        st.markdown("\n".join(f"- {line}" for line in lines))
    table = stack_table(stack.rows)
    titles = {
        "step": _("Step"),
        "file": _("File"),
        "right": _("Right (95 % interval)"),
        "bytes": _("Bytes"),
        "time": _("One photo"),
        "params": _("Parameters"),
        "macs": _("MACs"),
    }
    st.dataframe(
        table,
        column_config={name: titles[name] for name in table.columns},
        hide_index=True,
        alt=_("Each step: file, accuracy, bytes, time, parameters, MACs."),
    )
    if len(stack.rows) < len(STEPS):
        st.caption(_("The way was not gone to its end: python -m core reproduce --steps stack"))
