"""The export page's formula and source, its trap in measured figures, and the homework."""

import streamlit as st

from core.charts import numbers, shipping_words
from core.charts.shipping import format_title
from core.checkpoints import Checkpoint
from core.compression.written import source_of
from core.course import SIZE_LIMITS_BYTES
from core.measure.stack_rows import Stack
from core.words import _
from pages.parts.export_files import Known


def why(one: Checkpoint, known: Known | None) -> None:
    """Bytes from parameters, parity from logits, and the functions that made and compared."""
    st.latex(r"B = \sum_t \frac{n_t\, b_t}{8} + H")
    st.markdown(
        _(
            "$B$ bytes of a file: $n_t$ are the numbers in tensor $t$, $b_t$ their bits (32, 16 or "
            "8), $H$ what describes them: names, shapes, scales, the graph. {params} parameters in "
            "8 bits are {least} at least."
        ).format(params=numbers.count(one.params), least=numbers.size(one.params))
    )
    # two formulas, not one line of both: that is wider than a phone
    st.latex(r"\Delta = \max_{x, i} |z'_i(x) - z_i(x)|")
    st.latex(r"a = \frac{1}{N} \sum_x [\hat{y}'(x) = \hat{y}(x)]")
    st.markdown(
        _(
            "Parity: $z$ are the original's logits, $z'$ the file's, $\\hat{y}$ the class with the "
            "largest, on $N$ photos $x$. A file that only moves numbers to another place should "
            "agree to the last digits (elsewhere, float arithmetic adds up in another order); 8 "
            "bits may not. Equal accuracy is not parity: two networks can be right equally often "
            "on different photos."
        )
    )
    st.markdown(_("This function compared them:"))
    st.code(source_of("core.training.shipping", "parity_of"), language="python")
    st.markdown(_("And this one put graph and weights into one file, without torch:"))
    st.code(source_of("core.serving.inline", "as_stored"), language="python")


def trap(known: Known | None) -> None:
    """Bytes are not time: what the two smaller ONNX files measured."""
    st.markdown(
        _(
            "“Half the bytes, so half the time.” A file is read once; after that the arithmetic "
            "counts. Float16 weights are widened to float32 when the file is opened, so nothing "
            "is gained by then. Int8 is faster only where the processor has fast kernels for these "
            "very layers: depthwise convolutions often have none, and every step between 8 bits "
            "and float costs time. Measured:"
        )
    )
    lines = shipping_words.time_lines(known.rows) if known else []
    if lines:
        st.markdown("\n".join(f"- {line}" for line in lines))
    else:
        st.caption(_("Not measured yet: “Make it here” does it."))
    st.markdown(
        _(
            "How to notice: time both files in one sitting, on the very device they are for. A "
            "phone's kernels are not this machine's."
        )
    )


def homework(one: Checkpoint, known: Known | None, stack: Stack | None) -> None:
    """HW7's two limits, and which files of this network keep them."""
    st.markdown(
        _(
            "**HW7** weighs the file that is handed in: about {one} for the architectures of "
            "question 4, and {three} for the compressed student in 8 bits."
        ).format(
            one=numbers.size(SIZE_LIMITS_BYTES["HW7 2020, about 1 MB"]),
            three=numbers.size(SIZE_LIMITS_BYTES["HW7 2020, 8 bit"]),
        )
    )
    if known is None:
        st.caption(_("The files of this network are not measured yet."))
    else:
        small, large = sorted(SIZE_LIMITS_BYTES.values())
        for row in known.rows:
            kept = (
                _("under both limits")
                if row.size_bytes <= small
                else _("under {limit}").format(limit=numbers.size(large))
                if row.size_bytes <= large
                else _("over both limits")
            )
            st.markdown(f"- {format_title(row.format)}: {numbers.count(row.size_bytes)} B, {kept}")
    if stack is not None and (last := stack.row("tuned_8bit")) is not None:
        right = shipping_words.accuracy_text(last.score) or _("accuracy not measured")
        st.markdown(
            _(
                "The way above ends at {size} and {right}. The best 8-bit file published for HW7 "
                "has 263 KB and 0.85475, on the real Food-11 (self-reported): its photographs are "
                "not ours, so the two figures do not belong in one column."
            ).format(size=numbers.count(last.size_bytes) + " B", right=right)
        )
