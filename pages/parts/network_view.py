"""One network laid open: totals, where its costs sit, its layer table, and what is to be seen."""

from collections.abc import Sequence

import streamlit as st

from core.charts import architecture, architecture_words, numbers
from core.charts.shape import Spec
from core.charts.theme import RoleKey
from core.models.design_cost import Row, Totals, totals
from core.models.design_plan import Plan
from core.models.summary_text import summary_text
from core.words import _
from pages.parts.figure import show

SHOWN = ("params", "macs", "activation_bytes", "receptive_field")


def drawn(chart: Spec, alt: str, key: str) -> None:
    """`show`, with the chart's height kept free while it loads, so that nothing below it jumps."""
    st.html(f"<style>.st-key-{key}-room {{min-height: {chart['height']}px}}</style>")
    with st.container(key=f"{key}-room"):
        show(chart, alt, key)


def metrics(sums: Totals) -> None:
    """The totals in a row of figures."""
    helps = {
        "params": _("Weights and biases, BatchNorm's included: torchsummary's total."),
        "macs": _("Multiply-accumulates for one photo: convolutions and the linear layer."),
        "activation_bytes": _("All layers' outputs for one photo, float32, together."),
        "receptive_field": _("Side of the square of the photo that one last value can see."),
    }
    st.html("<style>.st-key-totals [data-testid='stMetricValue'] {font-size: 1.8rem}</style>")
    with st.container(horizontal=True, key="totals"):
        for name in SHOWN:
            st.metric(
                architecture.measure_title(name),
                architecture.measure_text(name, getattr(sums, name)),
                help=helps[name],
                width=160,
            )
    st.caption(
        _("Weights and BatchNorm statistics: {float32} as float32, {int8} at 8 bit each.").format(
            float32=numbers.size(sums.float32_bytes), int8=numbers.size(sums.int8_bytes)
        )
    )


def picture(title: str, rows: Sequence[Row], plan: Plan, role: RoleKey, key: str) -> None:
    """The bars that say where parameters, MACs and memory sit."""
    frame = architecture.parts_frame(rows, plan)
    drawn(
        architecture.parts_chart(frame, role),
        architecture_words.parts_alt(title, frame, totals(rows)),
        key,
    )
    part = frame["part"].iloc[-2]
    place, shape = part.split(maxsplit=1)
    st.caption(
        _(
            "Shares of the whole, the input on top. “{part}” is stage.block {place}, and its "
            "output {shape} is so many maps of that side."
        ).format(part=part, place=place, shape=shape)
    )
    if plan[0].kind == "enlargement":
        st.caption(
            _(
                "This network first enlarges the photo, to {px} × {px} pixels: that has no "
                "parameters and no MACs of its own, but every map behind it is the larger."
            ).format(px=rows[0].output_shape[-1])
        )


def sentences(rows: Sequence[Row], plan: Plan, input_px: int) -> None:
    """What the picture shows, in words."""
    frame = architecture.parts_frame(rows, plan)
    lines = architecture_words.seen(frame, totals(rows), input_px)
    st.markdown("\n".join(f"- {line}" for line in lines))


def table(rows: Sequence[Row], input_px: int, key: str) -> None:
    """The layer table: torchsummary's columns and three more; and its very print, to copy."""
    frame = architecture.layers_frame(rows, input_px)
    st.dataframe(
        frame.assign(activation_kb=frame["activation_bytes"] / 1000).drop(
            columns="activation_bytes"
        ),
        hide_index=True,
        height=420,
        key=f"{key}-table",
        column_config={
            "layer": st.column_config.TextColumn(_("Layer (type)"), pinned=True),
            "output_shape": st.column_config.TextColumn(_("Output shape")),
            "params": st.column_config.NumberColumn(_("Param #"), format="localized"),
            "macs": st.column_config.NumberColumn(_("MACs"), format="localized"),
            "receptive_field": st.column_config.NumberColumn(_("Sees, px")),
            "activation_kb": st.column_config.NumberColumn(_("Output, KB"), format="%.1f"),
        },
        alt=_("Layer table: {n} rows, {params} parameters in all.").format(
            n=len(frame), params=numbers.count(int(frame["params"].sum()))
        ),
    )
    with st.expander(_("The same as torchsummary prints it"), icon=":material/terminal:"):
        st.code(summary_text(rows, input_px), language=None)
