"""Convolutions: what one layer costs, four ways to build it, and whether less work is less time."""

import inspect

import streamlit as st

from core.charts import conv_words
from core.charts.conv_formulas import QUANTITIES, RULES, formula
from core.charts.conv_wiring import note, wiring_chart
from core.charts.convolutions import (
    cost_chart,
    cost_frame,
    kind_title,
    quantity_title,
    share_text,
)
from core.charts.numbers import count
from core.measure import conv_cost
from core.measure.conv_setting import problems
from core.words import _
from pages.parts import contents, conv_controls, conv_lessons
from pages.parts.conv_timer import timer
from pages.parts.figure import show
from pages.parts.foot import foot

st.title(contents.entry("convolutions").question)
st.markdown(
    _(
        "A convolution mixes channels and looks around at the same time. Doing the two one after "
        "the other, or in groups, is how a small network saves. Move anything; all is counted anew."
    )
)

guess = conv_controls.predict_first()
with st.container(border=True):
    setting = conv_controls.setting()
if found := problems(setting):
    conv_controls.explain(found)
    foot("convolutions")
    st.stop()

costs = conv_cost.compare(setting)
frame = cost_frame(costs, setting)
conv_controls.reveal(guess, costs["standard"], costs["separable"])

for pair in (QUANTITIES[:2], QUANTITIES[2:]):
    for column, quantity in zip(st.columns(2, gap="medium"), pair, strict=True):
        with column:
            st.markdown(f"**{quantity_title(quantity)}**")
            show(
                cost_chart(frame, quantity, guess if quantity == "params" else None),
                conv_words.cost_alt(frame, quantity),
                key=f"cost-{quantity}",
            )
st.caption(
    _(
        "Bars are shares of the standard layer. Input {n} × {h} × {h}, output {m} × {out} × {out}, "
        "float32, one picture. Activation memory is what the layer writes."
    ).format(
        n=setting.in_channels, h=setting.map_size, m=setting.out_channels, out=setting.out_size
    )
)

st.subheader(_("What you see"))
st.markdown("\n".join(f"- {line}" for line in conv_words.seen(costs, setting)))

st.subheader(_("Who listens to whom"))
drawn = conv_words.wirings(setting)
for column, (kind, wiring) in zip(st.columns(3), drawn.items(), strict=True):
    words = f"{conv_words.wiring_words(kind, setting)} {note(wiring)}"
    with column:
        st.markdown(f"**{kind_title(kind)}**")
        show(wiring_chart(wiring), f"{kind_title(kind)}. {words}", key=f"wiring-{kind}")
        st.caption(words)
st.caption(
    _(
        "Thick lines: all that output channel 1 reads. Point at another, or tap it, to see its. "
        "Channels that are not drawn are wired alike."
    )
)

st.subheader(_("The sums"))
st.caption(
    _(
        "$C_\\text{in}$, $C_\\text{out}$: input and output channels. $k$: kernel. $g$: groups. "
        "$R$: rank. $H$, $H'$: side of the input and the output map."
    )
)
for tab, quantity in zip(
    st.tabs([quantity_title(quantity) for quantity in QUANTITIES]), QUANTITIES, strict=True
):
    with tab:
        columns = [*st.columns(2, gap="medium"), *st.columns(2, gap="medium")]
        for column, (kind, cost) in zip(columns, costs.items(), strict=True):
            sums = formula(quantity, cost, setting)
            share = frame.loc[frame["kind"] == kind, f"{quantity}_share"].item()
            lines = [f"**{kind_title(kind)}**: {share_text(share)}"]
            lines += [f"${sums.symbols}$", f"${sums.numbers}$"]
            if quantity in ("params", "macs") and kind != "standard":
                rule = share_text(conv_cost.rule_of_thumb(kind, setting))
                words = _("rule of thumb: ${rule}$ = {value}")
                lines.append(words.format(rule=RULES[kind], value=rule))
            column.markdown("  \n".join(lines))

st.subheader(_("Fewer MACs: less time, too?"))
timer(setting, costs)

with st.expander(_("Why: what is counted, and how"), icon=":material/function:"):
    st.markdown(
        _(
            "A **MAC** is one multiplication and one addition; every weight does one at each place "
            "of the output map. **Arithmetic intensity** is MACs per byte moved between processor "
            "and memory, counting the least there can be: input and parameters read once, outputs "
            "written once, and a map between two steps both written and read (twice the figure is "
            "FLOPs per byte). It is the x axis of the roofline model (Williams, Waterman & "
            "Patterson 2009): where it is low, memory sets the pace."
        )
    )
    st.markdown(
        _(
            "**Low-rank** here is k × 1 to R channels, then 1 × k to all output channels, the "
            "second scheme of Jaderberg, Vedaldi & Zisserman (2014). The other usual pair, k × k "
            "to R channels and then 1 × 1, would have {n} parameters at this rank."
        ).format(n=count(conv_cost.bottleneck_cost(setting).params))
    )
    st.code(inspect.getsource(conv_cost.Step), language="python")

with st.expander(_("Trap: groups in every layer"), icon=":material/warning:"):
    conv_lessons.trap(setting)

with st.expander(_("From the homework: HW7 Q1 and Q4, HW13 Q1"), icon=":material/school:"):
    conv_lessons.homework(costs)

st.caption(
    _("All sums are exact and made here; only the times are measured, when you press the button.")
)
foot("convolutions", frame)
