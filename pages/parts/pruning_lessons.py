"""The pruning page's formula and source, its trap in measured bytes, and the homework."""

import inspect
from collections.abc import Sequence

import streamlit as st

from core.charts import numbers, pruning_words
from core.charts.pruning import Measured
from core.charts.pruning_times import timed_row
from core.compression import prune, prune_select
from core.compression.prune_select import CHANNEL_METHODS
from core.measure.pruning_grid import PruningGrid, RowKey
from core.words import _
from pages.parts.pruning_controls import Setting
from pages.parts.pruning_curves import score_text


def why(at: Setting) -> None:
    """What goes, as a formula, and the functions that decided and did it."""
    if at.method in CHANNEL_METHODS:
        st.latex(r"s_c = \sqrt{\sum_{w \text{ writes } c} w^2} \qquad\text{or}\qquad "
                 r"s_c = |\gamma_c|")  # fmt: skip
        st.markdown(
            _(
                "$s_c$ is the score of channel $c$: the norm of all weights that write it, or the "
                "scale $\\gamma_c$ of its BatchNorm. The lowest scores go, with everything that "
                "hangs on them: bias, BatchNorm, and the weights of the next layer that read them. "
                "A residual sum ties the channels of all its branches; a depthwise layer ties its "
                "output to its input (Torch-Pruning's dependency graph finds them all)."
            )
        )
    else:
        st.latex(
            r"\begin{gathered} m_i = \begin{cases} 0 & |w_i| \text{ among the lowest } \rho n \\ "
            r"1 & \text{otherwise} \end{cases} \\[6pt] y = (w \odot m) * x \end{gathered}"
        )
        st.markdown(
            _(
                "$w_i$ are the $n$ weights of a layer (or of all), $\\rho$ is the pruning ratio, "
                "$m$ the mask. The product $w \\odot m$ is computed in every forward pass: nothing "
                "is skipped because it is zero."
            )
        )
    chooser = (
        prune_select.dropped_channels if at.method in CHANNEL_METHODS else prune_select.kept_weights
    )
    st.markdown(_("This function chose what goes, here on this page, too:"))
    st.code(inspect.getsource(chooser), language="python")
    st.markdown(_("And this one put the masks on:"))
    st.code(inspect.getsource(prune.masked), language="python")


def trap(grid: PruningGrid | None) -> None:
    """A mask makes a network larger: the bytes that were measured."""
    st.markdown(
        _(
            "“Half of the weights are zero, so the file is half as large.” Save the masked network "
            "and look: torch keeps the old weights *and* the mask. And a masked network cannot be "
            "copied by `copy.deepcopy`, so whoever prunes a network that others share has pruned "
            "it for all of them: copy first, as this app does."
        )
    )
    rows = [grid.row(RowKey("l1", 0.5, form)) for form in ("masked", "removed")] if grid else []
    whole = grid.row(RowKey("l1", 0.0, "removed")) if grid else None
    if whole is None or None in rows:
        st.caption(_("Its bytes are shown here once the curves are measured."))
        return
    for row, name in zip(
        [whole, *rows], (_("whole"), _("50 % masked"), _("50 % masks removed")), strict=True
    ):
        assert row is not None
        zipped = "" if row.gzip_bytes is None else _(", zipped {size}").format(
            size=numbers.size(row.gzip_bytes)
        )  # fmt: skip
        st.markdown(
            _("- {name}: state dict {size}{zipped}; {n} parameters are not zero").format(
                name=name,
                size=numbers.size(row.size_bytes),
                zipped=zipped,
                n=numbers.count(row.nonzero),
            )
        )
    st.markdown(
        _(
            "How to notice: weigh the file. Zeros only save bytes where something packs them "
            "(gzip, or a sparse format with a kernel that skips them)."
        )
    )


def homework(known: Sequence[Measured]) -> None:
    """HW13 Q3.1 and Q3.2, HW7's slimming, and where on the page their answers stand."""
    st.markdown(
        _(
            "**HW13 Q3.1: plot pruning ratio against accuracy** (L1 on the `weight` of every "
            "`nn.Conv2d`, teacher and student). That is the first chart with “L1, per layer”:"
        )
    )
    for one in known:
        curve = {row.ratio: row.score for row in one.grid.of("l1", "removed")}
        points = [
            _("{ratio}: {score}").format(ratio=numbers.share(ratio), score=score_text(curve[ratio]))
            for ratio in (0.0, 0.5, 0.9)
            if ratio in curve
        ]
        if points:
            st.markdown(f"- {one.title}: {' · '.join(points)}")
    st.markdown(
        _(
            "**HW13 Q3.2: does that pruning reduce the time of inference?** No. It multiplies "
            "every weight with a mask and then does all the work it did before; the second chart "
            "shows it, masked and with the masks removed. Only cutting channels out does less work."
        )
    )
    for one in known:
        if timed_row(one.grid, "masked", 0.9, "torch_1"):
            lines = pruning_words.time_lines(one.grid, "torch_1", 0.9)
            st.markdown("\n".join(f"- {one.title}, 90 %, {line}" for line in lines))
    cut = [line for one in known if (line := pruning_words.narrow_line(one))]
    if cut:
        st.markdown(_("What cutting out half of the channels saved, with PyTorch:"))
        st.markdown("\n".join(f"- {line}" for line in cut))
    st.markdown(
        _(
            "**HW7: network slimming.** Rank channels by their BatchNorm gamma, keep 95 % of each "
            "layer, fine-tune, five times over:"
        )
    )
    slimmed = [(one, row) for one in known for row in one.grid.rows if row.rounds > 1]
    for one, row in slimmed:
        whole = one.grid.row(RowKey("l1", 0.0, "removed"))
        if whole is not None:
            st.markdown(
                _("- {name}: {before} to {after} parameters, {a} to {b} right").format(
                    name=one.title,
                    before=numbers.count(whole.params),
                    after=numbers.count(row.params),
                    a=score_text(whole.score),
                    b=score_text(row.score),
                )
            )
    if not slimmed:
        st.caption(_("Not measured yet: python -m core prune-grid --stages finetune"))
