"""The low-rank page's extreme case, formulas and source, its trap, and the homework."""

from collections.abc import Sequence

import streamlit as st

from core.charts import low_rank_words, numbers
from core.charts.numbers import points, points_interval
from core.charts.theme import role_of
from core.checkpoints import Checkpoint
from core.compression.lowrank_curve import LayerCurve
from core.compression.written import source_of
from core.measure.lowrank_grid import LowRankGrid
from core.serving.collected import by_stem, collect, contrast, stem_of
from core.words import _
from pages.parts.low_rank_controls import Setting
from pages.parts.low_rank_layer import filled_in, separable
from pages.parts.provenance import accuracy_line
from pages.parts.shelf import name_of

BIG, SMALL = "plain_2m", "dwpw_256k"


def extreme(at: Setting, found: Sequence[Checkpoint]) -> None:
    """Depthwise + pointwise as the rank-1 case, and the two networks the homework compares."""
    st.latex(r"W_{o,i} = p_{o,i}\, d_i")
    st.markdown(
        _(
            "HW7 calls depthwise + pointwise its *low-rank approximation*, and it is one: every "
            "output $o$ reads channel $i$ through the same $k \\times k$ filter $d_i$, only times "
            "a number $p_{o,i}$, so the slice of the kernel that belongs to channel $i$ has rank "
            "1. Nothing can be lower."
        )
    )
    if said := separable(at):
        st.markdown(said)
    pair = [_plain(found, model) for model in (BIG, SMALL)]
    if None in pair:
        st.caption(
            _("{big} and {small} stand here side by side once both are trained: {command}").format(
                big=BIG, small=SMALL, command="python -m core reproduce"
            )
        )
        return
    for one in pair:
        assert one is not None
        st.markdown(
            _(
                "- **{name}** (seed {seed}): {params} parameters, {macs} MACs, {size}; {score}"
            ).format(
                name=name_of(one),
                seed=one.seed,
                params=numbers.count(one.params),
                macs=numbers.count(one.macs),
                size=numbers.size(one.size_bytes),
                score=accuracy_line(one),
            )
        )
    big, small = pair
    assert big is not None and small is not None
    if big.test and small.test:
        difference(found, big, small)


def _plain(found: Sequence[Checkpoint], model: str) -> Checkpoint | None:
    """A checkpoint of that model from scratch, whole, first seed."""
    return next(
        (
            one
            for one in sorted(found, key=lambda one: (one.recipe != "scratch", one.seed))
            if one.model == model and role_of(one.family, one.recipe) == "scratch"
        ),
        None,
    )


def difference(found: Sequence[Checkpoint], big: Checkpoint, small: Checkpoint) -> None:
    """Their recipes' accuracies on the same pictures, subtracted, with an interval."""
    if big.data.fingerprint != small.data.fingerprint:
        st.caption(_("They were measured on different photographs: no difference is formed."))
        return
    groups = by_stem(collect(found))
    told = contrast(groups[stem_of(big)], groups[stem_of(small)])
    if told is None:
        st.caption(
            _(
                "Their difference is missing: the stored answers of one of them cannot be read. "
                "{command} says which."
            ).format(command="`python -m core check`")
        )
        return
    gap, low, high = told.interval()
    form = (
        _(
            "The big one's accuracy minus the small one's, on the same {n} photographs: {gap} "
            "points (mean of {seeds} seeds, 95 % interval over seeds {interval}); {verdict}."
        )
        if told.over_seeds
        else _(
            "The big one's accuracy minus the small one's, on the same {n} photographs: {gap} "
            "points (95 % interval {interval}); {verdict}. One seed each: training's own luck is "
            "not in it."
        )
    )
    st.markdown(
        form.format(
            gap=points(gap),
            interval=points_interval(low, high),
            n=numbers.count(told.pairs[0].n),
            seeds=len(told.pairs),
            verdict=_("not distinguishable")
            if told.side() == "unclear"
            else _("more than chance explains"),
        )
    )


def why(at: Setting) -> None:
    """The formulas with this layer's numbers, and the functions that factored it."""
    st.latex(r"M = U \Sigma V^\top \approx \sum_{j \le r} \sigma_j u_j v_j^\top")
    st.latex(r"\text{energy kept} = \frac{\sum_{j \le r} \sigma_j^2}{\sum_j \sigma_j^2}")
    st.markdown(
        _(
            "$M$ is the layer's weight as a matrix, $\\sigma_j$ its singular values, $r$ the rank. "
            "No other matrix of rank $r$ is nearer to $M$ (Eckart and Young 1936). For a linear "
            "or 1 × 1 layer with $a$ inputs and $b$ outputs $M$ is $b \\times a$; for a k × k "
            "convolution, row ($i$, line) and column ($o$, column) give r filters of k × 1 and "
            "then 1 × k (Jaderberg et al. 2014). Tucker-2 takes the channels' singular vectors on "
            "both sides and a small k × k core between them (Kim et al. 2016):"
        )
    )
    st.latex(
        r"\begin{aligned} \text{SVD: } & r(a + b) \\ \text{spatial: } & r(ak + bk) \\ "
        r"\text{Tucker-2: } & a r_{in} + k^2 r_{in} r_{out} + r_{out} b \end{aligned}"
    )
    filled_in(at)
    st.markdown(_("This class took the layer apart, here on this page, too:"))
    st.code(source_of("core.compression.lowrank_factors", "Decomposition"), language="python")
    st.markdown(_("And this function puts the factors into a network:"))
    st.code(source_of("core.compression.lowrank", "factor"), language="python")


def trap(at: Setting, grid: LowRankGrid | None) -> None:
    """Factors with more parameters than the layer, counted; and factoring without fine-tuning."""
    st.markdown(
        _(
            "“Two small layers are smaller than one large one.” Only below the break-even rank. "
            "Take three quarters of the ranks, which sounds like saving a quarter:"
        )
    )
    if at.curve is not None:
        _grown(at, at.curve)
    st.markdown(
        _(
            "How to notice: count the parameters of what you built. And measure accuracy *after* "
            "factoring, before you believe the energy: 90 % of the energy of every layer, layer "
            "upon layer, is not 90 % of the answer."
        )
    )
    lines = low_rank_words.tuned_lines(grid) if grid else []
    if lines:
        st.markdown("\n".join(f"- {line}" for line in lines))
    else:
        st.caption(_("What fine-tuning repairs is shown here once it is measured."))


def _grown(at: Setting, curve: LayerCurve) -> None:
    """Factor the layer at three quarters of its ranks and count what comes out."""
    ranks = curve.ranks(max(1, round(0.75 * curve.full)))
    factors = at.layers.parts.of(curve.shape.name, curve.form).factors(ranks)
    made = sum(one.size for one in factors) + curve.shape.bias * curve.shape.outputs
    shapes = ", ".join(" × ".join(map(str, one.shape)) for one in factors)
    st.markdown(
        _(
            "- {layer} at rank {rank} of {full}: weights of {shapes}, together **{made}** "
            "parameters; the layer had **{whole}**. Break-even: rank {even}."
        ).format(
            layer=curve.shape.name,
            rank=" / ".join(map(str, ranks)),
            full=" / ".join(map(str, curve.ranks(curve.full))),
            shapes=shapes,
            made=numbers.count(made),
            whole=numbers.count(curve.shape.params),
            even=numbers.count(curve.break_even),
        )
    )


def homework(found: Sequence[Checkpoint]) -> None:
    """HW7 Q1's four families and its low-rank student; where the answers stand on this page."""
    st.markdown(
        _(
            "**HW7 Q1: name the four families of network compression.** Pruning, quantisation, "
            "knowledge distillation, and low-rank approximation: this page."
        )
    )
    st.markdown(
        _(
            "**HW7 Q1/Q2: train the depthwise + pointwise student and a plain network eight times "
            "its size.** The report found 0.71010 for the former on the test set, 5 to 7 points "
            "below the latter, and 0.83801 once it was distilled (real Food-11; see “The extreme "
            "case” above for the two networks trained here)."
        )
    )
    for model in (BIG, SMALL):
        one = _plain(found, model)
        if one is not None:
            st.markdown(f"- {name_of(one)}: {accuracy_line(one)}")
