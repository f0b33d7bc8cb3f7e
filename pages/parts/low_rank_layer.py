"""One layer: its singular values, what each rank keeps and costs, and the numbers filled in."""

import streamlit as st

from core.charts import low_rank_words, numbers
from core.charts.low_rank import HEIGHT_PX, layer_chart
from core.charts.low_rank_data import layer_data
from core.compression.lowrank_curve import LayerCurve
from core.compression.lowrank_factors import separable_energy
from core.words import _
from pages.parts.figure import data_button, show_with_slider
from pages.parts.low_rank_controls import Guess, Setting, rank_guess_title

SLIDER_PX = 50


def layer(at: Setting, guess: Guess) -> None:
    """The chart with its slider, then what it shows."""
    curve = at.curve
    if curve is None:
        return
    with st.spinner(_("Taking the layer apart ...")):
        chart = layer_chart(curve, max(1, curve.full // 4))
    show_with_slider(chart, low_rank_words.layer_alt(curve), "spectrum", HEIGHT_PX + SLIDER_PX)
    st.caption(
        _(
            "Drag the rank: filled marks stay, hollow ones go. Solid: the energy kept, that is, "
            "the share of the squared weights. Dashed: parameters, as a share of the whole layer's."
        )
    )
    data_button(layer_data(curve), "low-rank-layer")
    if guess.ranks is None:
        st.caption(_("Make a guess above: the answer appears here."))
        return
    _answer(curve, guess.ranks)
    lines = low_rank_words.layer_lines(curve)
    st.markdown(f"**{_('What you see')}**\n" + "\n".join(f"- {line}" for line in lines))


def _answer(curve: LayerCurve, guess: str) -> None:
    right = low_rank_words.guess_of(curve)
    told = _("Well seen.") if guess == right else _("Not quite.")
    st.markdown(
        told
        + " "
        + _("You guessed “{guess}”; in this layer it is {share} of the ranks.").format(
            guess=rank_guess_title(guess),
            share=numbers.share(curve.rank_for(0.9) / curve.full),
        )
    )


def filled_in(at: Setting) -> None:
    """The layer's own numbers in the formulas, at a quarter of its ranks."""
    curve = at.curve
    if curve is None:
        return
    shape, ranks = curve.shape, curve.ranks(max(1, curve.full // 4))
    high, wide = shape.out_size
    bias = f" + {shape.outputs}" if shape.bias else ""
    kernel = "" if shape.kernel == (1, 1) else f"·{shape.kernel[0]}·{shape.kernel[1]}"
    st.markdown(
        _("- the layer: {a}·{b}{kernel}{bias} = {params} parameters, {macs} MACs").format(
            a=shape.inputs,
            b=shape.outputs,
            kernel=kernel,
            bias=bias,
            params=numbers.count(shape.params),
            macs=numbers.count(shape.macs),
        )
    )
    st.markdown(
        _(
            "- its factors at rank {rank}: {sum} parameters, {macs} MACs; what they write is "
            "{high} × {wide} places large"
        ).format(
            rank=" / ".join(map(str, ranks)),
            sum=low_rank_words.filled_formula(shape, ranks),
            macs=numbers.count(shape.factored_macs(ranks)),
            high=high,
            wide=wide,
        )
    )


def separable(at: Setting) -> str:
    """How much of this layer's own weights a depthwise + pointwise pair could keep; may be ""."""
    curve = at.curve
    if curve is None or curve.shape.kernel == (1, 1):
        return ""
    share = separable_energy(at.layers.parts.weight(curve.shape.name))
    return _(
        "Of {layer}'s own weights the best depthwise + pointwise pair would keep {share} of the "
        "energy. The rest would be lost: such a network is *trained* in that form from the start."
    ).format(layer=curve.shape.name, share=numbers.percent(share))
