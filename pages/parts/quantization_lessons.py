"""The quantisation page's formulas and source, and the homework's questions."""

import inspect
from collections.abc import Sequence

import streamlit as st

from core.charts import numbers
from core.charts.numbers import points, points_interval
from core.charts.quantization import Measured
from core.charts.quantization_words import score_text, verdict
from core.compression import quantize, quantize_hw7
from core.measure.quantization_grid import Form, QuantRow
from core.words import _
from pages.parts.quantization_controls import Setting

ASKED: tuple[Form, ...] = ("float32", "float16", "hw7_8bit")


def why(at: Setting) -> None:
    """What the codes stand for, as a formula, and the function that made them."""
    if at.scheme == "kmeans":
        st.latex(r"q_i = \operatorname*{arg\,min}_k |w_i - c_k| \qquad \hat w_i = c_{q_i}")
        st.markdown(
            _(
                "$c_k$ are the $2^b$ centres that k-means finds among the weights of a tensor; "
                "$q_i$, a code of $b$ bits, names the nearest. The codebook is kept in the file."
            )
        )
    else:
        st.latex(
            r"\begin{gathered} q_i = \operatorname{round}\!\left(\frac{w_i - m}{s}\right) \\[6pt] "
            r"\hat w_i = s\, q_i + m \qquad s = \frac{M - m}{2^b - 1} \end{gathered}"
            if at.scheme.endswith("minmax")
            else r"\begin{gathered} q_i = \operatorname{round}\!\left(\frac{w_i}{s}\right) \\[6pt] "
            r"\hat w_i = s\, q_i \qquad s = \frac{\max_i |w_i|}{2^{b-1} - 1} \end{gathered}"
        )
        st.markdown(
            _(
                "$w_i$ are the weights of a tensor (or of one output channel), $b$ the bits, $m$ "
                "and $M$ the smallest and the largest of them, $s$ the step, $q_i$ the code that "
                "is kept. No weight moves by more than half a step: $|w_i - \\hat w_i| \\le s/2$. "
                "With one bit, symmetric is $\\pm$ the mean size of the weights."
            )
        )
    st.latex(
        r"\begin{gathered} \text{MSE} = \frac{1}{n}\sum_i (w_i - \hat w_i)^2 \\[6pt] \text{SQNR} = "
        r"10 \log_{10} \frac{\sum_i w_i^2}{\sum_i (w_i - \hat w_i)^2}\ \text{dB} \end{gathered}"
    )
    st.markdown(_("This function made the codes, here on this page, too:"))
    st.code(inspect.getsource(quantize.quantise), language="python")
    st.markdown(_("And this one writes HW7's 8-bit file:"))
    st.code(inspect.getsource(quantize_hw7.encode8), language="python")


def homework(known: Sequence[Measured]) -> None:
    """HW7's question about 16- and 8-bit weights, with the numbers of this page."""
    st.markdown(
        _(
            "**HW7: keep the weights in 16 bits, and in 8.** 16 bits: float16. 8 bits: each tensor "
            "is kept as its minimum, its maximum and a byte per weight; BatchNorm's counters stay "
            "as they are. Written, weighed, read back, and asked about the test photographs:"
        )
    )
    for one in known:
        rows = [row for form in ASKED for row in _rows(one, form)]
        if rows:
            st.markdown(f"- **{one.title}**: " + " · ".join(map(_told, rows)))
    if not any(_rows(one, form) for one in known for form in ASKED):
        st.caption(_("Not measured yet: python -m core quantize-grid"))
    st.markdown(
        _(
            "“Bits against accuracy” shows how far one can go on. Quantisation is one of the four "
            "families HW7 asks about, beside pruning, distillation and low-rank approximation; it "
            "can be put on top of each."
        )
    )


def _rows(one: Measured, form: Form) -> list[QuantRow]:
    return one.grid.of(form)


def _told(row: QuantRow) -> str:
    name = {"float32": _("32 bits"), "float16": _("16 bits")}.get(row.scheme, _("8 bits"))
    said = _("{name}: {size}, {score}").format(
        name=name, size=numbers.size(row.size_bytes), score=score_text(row)
    )
    if row.difference is None or row.scheme == "float32":
        return said
    gap, low, high = row.difference
    return said + _(", {gap} points ({interval}, {verdict})").format(
        gap=points(gap), interval=points_interval(low, high), verdict=verdict(low, high)
    )
