"""Convolutions: what one layer costs, four ways to build it, and whether less work is less time."""

import inspect
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from core.charts import numbers
from core.charts.numbers import count, short_count
from core.convolutions import method
from core.convolutions.chart import (
    QUANTITIES,
    RULES,
    Column,
    Quantity,
    Wiring,
    cost_chart,
    cost_frame,
    formula,
    kind_title,
    note,
    quantity_text,
    quantity_title,
    share_text,
    time_text,
    timing_chart,
    timing_frame,
    wiring_chart,
)
from core.convolutions.method import (
    EXAMPLES,
    HW7_Q4_ACCURACY,
    LIMITS,
    ConvSetting,
    Cost,
    Field,
    Kind,
    Problem,
    changed_outputs,
    problems,
)
from core.convolutions.timing import BATCHES, ConvTimings, is_too_heavy, time_layers
from core.course import PARAM_LIMITS
from core.errors import UserError
from core.i18n import _
from pages.kit import frame, guess, url_state
from pages.kit.figure import data_button, show
from pages.kit.guess import Guess
from pages.kit.url_state import number_of, toggle

KEY = "convolutions"
SHARES = (1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32)
"""What a visitor may guess: depthwise + pointwise's share of the parameters."""
RANK_PERCENT = 25
"""Where the rank slider begins: a quarter of the full rank."""
DEFAULT = ConvSetting()
SLOWER_THAN_PROMISED = 1.25
"""A time share this many times the MACs share is worth a sentence; below it is noise."""
WIDE = 1.5
"""Upper over lower quartile from which a measurement is called unsteady."""
STACKED_LAYERS = 3
"""Layers of the stack that the trap nudges."""


def main() -> None:
    """Draw the page."""
    st.title(frame.entry(KEY).question)
    st.markdown(
        _(
            "A standard convolution looks around and mixes all channels in one step. Do it in two "
            "steps, **depthwise + pointwise**, or in **groups**, and it costs less."
        )
    )
    calculator()
    frame.foot(KEY)


@frame.section
def calculator() -> None:
    """The layer's controls, what the four layers cost, and the tabs that follow its settings."""
    with frame.instrument() as (controls, picture):
        with controls:
            setting = layer_controls()
        with picture:
            if found := problems(setting):
                explain(found)
                return
            costs = method.compare(setting)
            table = cost_frame(costs, setting)
            answer = parameters(costs, table)
    st.header(_("What you see"))
    st.markdown("  \n".join(seen(costs, setting, answer.is_open)))
    frame.tabs(
        [
            frame.Tab("wiring", _("Wiring"), partial(wiring, setting)),
            frame.Tab("work", _("Work and memory"), partial(work, table, setting, answer)),
            frame.Tab("sums", _("Formulas"), partial(sums, costs, table, setting, answer)),
            frame.Tab("time", _("Is it faster?"), partial(timer, setting, costs, answer)),
            frame.Tab("why", _("Why"), partial(why, setting)),
            frame.Tab("trap", _("Trap"), partial(trap, setting)),
            frame.Tab("homework", _("Homework"), partial(homework, costs, answer)),
        ]
    )


# ------------------------------------------------------------------------------------------------
# The controls.


def layer_controls() -> ConvSetting:
    """The layer as the visitor has set it; every control is part of the link."""
    titles = {
        "plain_2m_4": _("HW7 plain_2m, layer 4"),
        "plain_2m_8": _("HW7 plain_2m, layer 8"),
        "hw13_residual": _("HW13 residual, stage 2"),
    }
    with st.popover(_("Homework layers"), icon=":material/school:", width="stretch"):
        for name, title in titles.items():
            st.button(title, key=f"example_{name}", on_click=_take, args=(name,), type="tertiary")
    values = {
        field: _number(field) for field in ("in_channels", "out_channels", "groups", "kernel_size")
    }
    with st.popover(_("More of the layer"), icon=":material/tune:", width="stretch"):
        values |= {field: _number(field) for field in ("map_size", "stride", "padding")}
        bias = toggle(_("Bias"), "bias", DEFAULT.bias)
        percent = number_of(
            st.slider,
            _("Rank of the low-rank pair, % of full rank"),
            1,
            100,
            RANK_PERCENT,
            1,
            "rank_percent",
            help=_(
                "How many channels stand between the k × 1 and the 1 × k step. At full rank, "
                "k · min(input, output channels), the pair can be any standard layer."
            ),
        )
        setting = ConvSetting(**values, bias=bias)
        setting = replace(setting, rank=setting.rank_at(percent / 100))
        st.caption(_("Rank {r} of {full}").format(r=setting.rank, full=setting.full_rank))
    return setting


def _number(field: Field) -> int:
    low, high = LIMITS[field]
    helps = {
        "groups": _("Of the group layer. They must divide input and output channels."),
        "padding": _("Zeros added on each side of the map."),
        "map_size": _("Height and width of the input map."),
    }
    return number_of(
        st.number_input,
        field_title(field),
        low,
        high,
        getattr(DEFAULT, field),
        1,
        field,
        help=helps.get(field),
    )


def field_title(field: str) -> str:
    """What a visitor calls a field of `ConvSetting`."""
    return {
        "in_channels": _("Input channels"),
        "out_channels": _("Output channels"),
        "kernel_size": _("Kernel"),
        "stride": _("Stride"),
        "padding": _("Padding"),
        "groups": _("Groups"),
        "map_size": _("Map size"),
    }[field]


def _take(name: str) -> None:
    """Set every control to an example's value (called before the page runs again)."""
    for field in LIMITS:
        _change(field, getattr(EXAMPLES[name], field))


def _change(field: Field, value: int) -> None:
    url_state.say(field, str(value))


def explain(problems: list[Problem]) -> None:
    """Say what keeps the layers from being built, with the nearest values that work as buttons."""
    for number, problem in enumerate(problems):
        st.warning(problem.message, icon=":material/rule:")
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(_("Nearest that work:"), width="content")
            for offer in problem.offers:
                st.button(
                    _("{field}: {value}").format(field=field_title(offer.field), value=offer.value),
                    key=f"offer_{number}_{offer.field}_{offer.value}",
                    on_click=_change,
                    args=(offer.field, offer.value),
                )


# ------------------------------------------------------------------------------------------------
# The picture: parameters of the four layers, that of depthwise + pointwise behind a guess.


def parameters(costs: Mapping[Kind, Cost], table: pd.DataFrame) -> Guess[float]:
    """Ask for the guess, draw the bars; returns what became of the guess."""
    answer = guess.ask(
        _("Guess: how many of the standard layer's parameters does depthwise + pointwise need?"),
        {share: _("1/{n}").format(n=round(1 / share)) for share in SHARES},
        key="guess_share",
    )
    hidden = hidden_kinds(answer)
    show(
        cost_chart(table, "params", answer.value, hidden),
        cost_alt(table, "params", hidden),
        key="cost-params",
    )
    standard, separable = costs["standard"].params, costs["separable"].params
    share = separable / standard
    nearest = min(SHARES, key=lambda offered: abs(offered / share - 1))
    guess.verdict(
        answer,
        answer.value == nearest,
        _("It needs {few} of {many}: {share}, or 1/{exact}.").format(
            few=count(separable),
            many=count(standard),
            share=share_text(share),
            exact=f"{1 / share:.1f}",
        ),
    )
    return answer


def hidden_kinds(answer: Guess[float]) -> tuple[Kind, ...]:
    """The layers whose costs would give the answer away."""
    return () if answer.is_open else ("separable",)


def cost_alt(table: pd.DataFrame, quantity: Quantity, hidden: tuple[Kind, ...] = ()) -> str:
    """Alt text of a bar chart of `cost_frame`."""
    bars = _(", ").join(
        f"{kind_title(row['kind'])} "
        + (
            "?"
            if row["kind"] in hidden
            else f"{quantity_text(quantity, row[quantity])} "
            f"({share_text(row[f'{quantity}_share'])})"
        )
        for row in table.to_dict("records")
    )
    return _("{quantity} of four layers, and share of the standard one: {bars}.").format(
        quantity=quantity_title(quantity), bars=bars
    )


def seen(costs: Mapping[Kind, Cost], setting: ConvSetting, is_open: bool = True) -> list[str]:
    """Sentences on what the bars show; Markdown.

    What is guessed, and what follows from it, waits until `is_open`.
    """
    standard, separable = costs["standard"], costs["separable"]
    if not is_open:
        return [
            _(
                "**Standard**: every output channel has a {k} × {k} filter for each of the {n} "
                "input channels, {params} parameters in all."
            ).format(k=setting.kernel_size, n=setting.in_channels, params=count(standard.params)),
            _group_words(setting),
        ]
    return [
        _(
            "**Depthwise + pointwise** needs {params} parameters, {params_share} of the standard "
            "layer's, and does {macs_share} of its {all_macs} MACs."
        ).format(
            params=count(separable.params),
            params_share=share_text(separable.params / standard.params),
            all_macs=short_count(standard.macs),
            macs_share=share_text(separable.macs / standard.macs),
        ),
        _group_words(setting),
        _rank_words(costs, setting),
    ]


def _group_words(s: ConvSetting) -> str:
    if s.groups == 1:
        return _("**Group** with 1 group *is* the standard layer. Raise the groups to cut it up.")
    if s.groups == s.in_channels:
        return _(
            "**Group** with as many groups as input channels is a *depthwise* layer: each output "
            "channel reads one input channel, and nothing mixes them."
        )
    return _(
        "**Group** with {g} groups costs 1/{g} of the weights and MACs, because each output "
        "channel reads only {few} of the {all} input channels."
    ).format(g=s.groups, few=s.in_channels // s.groups, all=s.in_channels)


def _rank_words(costs: Mapping[Kind, Cost], s: ConvSetting) -> str:
    share = costs["lowrank"].params / costs["standard"].params
    if not s.break_even_rank:
        return _(
            "**Low-rank** cannot save anything here: even rank 1 has as many weights as the "
            "standard layer."
        )
    words = _(
        "**Low-rank** at rank {rank} has {share} of the standard parameters; it saves weights up "
        "to rank {even}."
    ).format(rank=s.rank, share=share_text(share), even=s.break_even_rank)
    if s.full_rank > s.break_even_rank:
        words += " " + _(
            "To be *any* standard layer it needs rank {full}; below, it can represent fewer "
            "functions."
        ).format(full=s.full_rank)
    return words


# ------------------------------------------------------------------------------------------------
# Tab "Wiring".


def wiring(setting: ConvSetting) -> None:
    """Which inputs each output uses, drawn for three layers."""
    st.markdown(_("Thick lines: what output channel 1 reads. Point at another to see its."))
    for place, (kind, drawn) in zip(st.columns(3), wirings(setting).items(), strict=True):
        words = f"{wiring_words(kind, setting)} {note(drawn)}"
        with place:
            st.markdown(f"**{kind_title(kind)}**")
            show(wiring_chart(drawn), f"{kind_title(kind)}. {words}", key=f"wiring-{kind}")
            st.caption(wiring_words(kind, setting))


def wirings(setting: ConvSetting) -> dict[Kind, Wiring]:
    """The three layers that are drawn, with their columns named."""
    ins = Column(_("in"), setting.in_channels)
    outs = Column(_("out"), setting.out_channels)
    between = Column(_("depthwise"), setting.in_channels)
    return {
        "standard": Wiring((ins, outs), (1,)),
        "group": Wiring((ins, outs), (setting.groups,)),
        "separable": Wiring((ins, between, outs), (setting.in_channels, 1)),
    }


def wiring_words(kind: Kind, setting: ConvSetting) -> str:
    """One sentence under a drawing: what an output channel reads."""
    if kind == "separable":
        return _(
            "First each of the {n} channels is filtered alone, then the 1 × 1 layer mixes all {n}."
        ).format(n=setting.in_channels)
    groups = setting.groups if kind == "group" else 1
    if groups == 1:
        return _("Every output channel reads all {n} input channels.").format(n=setting.in_channels)
    return _("{g} groups: an output channel reads {few} of {all} input channels.").format(
        g=groups, few=setting.in_channels // groups, all=setting.in_channels
    )


# ------------------------------------------------------------------------------------------------
# Tab "Work and memory".


def work(table: pd.DataFrame, setting: ConvSetting, answer: Guess[float]) -> None:
    """MACs, activation memory and arithmetic intensity of the four layers."""
    if guess.waits(answer):
        return
    macs, memory = st.columns(2, gap="medium")
    intensity, words = st.columns(2, gap="medium", vertical_alignment="center")
    for place, quantity in zip((macs, memory, intensity), QUANTITIES[1:], strict=True):
        with place:
            show(cost_chart(table, quantity), cost_alt(table, quantity), key=f"cost-{quantity}")
    rows = {row["kind"]: row for row in table.to_dict("records")}
    standard, separable = rows["standard"], rows["separable"]
    words.markdown(
        _(
            "Depthwise + pointwise writes and reads a map between its two steps: {bytes} of "
            "activations where the standard layer writes {all_bytes}. Less arithmetic is left for "
            "each byte moved: {low} MACs instead of {high}."
        ).format(
            bytes=numbers.size(separable["activation_bytes"]),
            all_bytes=numbers.size(standard["activation_bytes"]),
            low=_intensity(separable["intensity"]),
            high=_intensity(standard["intensity"]),
        )
    )
    st.caption(
        _(
            "Bars are shares of the standard layer. Input {n} × {h} × {h}, output {m} × {out} × "
            "{out}, float32, one picture. Activation memory is what the layer writes."
        ).format(
            n=setting.in_channels, h=setting.map_size, m=setting.out_channels, out=setting.out_size
        )
    )
    data_button(table, KEY)


def _intensity(value: float) -> str:
    return f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2}f}"


# ------------------------------------------------------------------------------------------------
# Tab "Formulas".


def sums(
    costs: Mapping[Kind, Cost], table: pd.DataFrame, setting: ConvSetting, answer: Guess[float]
) -> None:
    """The formula of every cost of every layer, in letters and with the setting's numbers."""
    if guess.waits(answer):
        return
    st.caption(
        _(
            "$C_\\text{in}$, $C_\\text{out}$: input and output channels. $k$: kernel. $g$: groups. "
            "$R$: rank. $H$, $H'$: side of the input and the output map."
        )
    )
    shares = {row["kind"]: row for row in table.to_dict("records")}
    titles = [quantity_title(quantity) for quantity in QUANTITIES]
    for tab, quantity in zip(st.tabs(titles), QUANTITIES, strict=True):
        with tab:
            columns = [*st.columns(2, gap="medium"), *st.columns(2, gap="medium")]
            for column, (kind, cost) in zip(columns, costs.items(), strict=True):
                terms = formula(quantity, cost, setting)
                share = share_text(shares[kind][f"{quantity}_share"])
                lines = [f"**{kind_title(kind)}**: {share}", f"${terms.symbols}$",
                         f"${terms.numbers}$"]  # fmt: skip
                if quantity in ("params", "macs") and kind != "standard":
                    rule = share_text(method.rule_of_thumb(kind, setting))
                    words = _("rule of thumb: ${rule}$ = {value}")
                    lines.append(words.format(rule=RULES[kind], value=rule))
                column.markdown("  \n".join(lines))


# ------------------------------------------------------------------------------------------------
# Tab "Is it faster?": the four real layers timed on this machine, beside their MACs.


@st.cache_data(max_entries=64, show_spinner=False)
def _timed(setting: ConvSetting) -> ConvTimings:
    return time_layers(setting)


def timer(setting: ConvSetting, costs: Mapping[Kind, Cost], answer: Guess[float]) -> None:
    """The guess, the button, and what was measured for this very setting."""
    if guess.waits(answer):
        return
    expected = url_state.guess(
        _(
            "Guess: depthwise + pointwise does {share} of the standard layer's MACs. What part of "
            "its time will it take here, one picture at a time?"
        ).format(share=share_text(costs["separable"].macs / costs["standard"].macs)),
        {
            "promised": _("what its MACs promise"),
            "half": _("about half"),
            "same": _("about as long"),
            "more": _("longer"),
        },
        key="guess_time",
    )
    heavy = [batch for batch in BATCHES if is_too_heavy(setting, batch)]
    for batch in heavy:
        st.caption(
            _(
                "Batch {n} is left out for this layer: it would hold up the others who use this "
                "machine. A smaller map or fewer channels bring it back."
            ).format(n=batch)
        )
    if len(heavy) == len(BATCHES):
        return
    if st.button(_("Time it here"), icon=":material/timer:", key="time_it", type="primary"):
        st.session_state["conv_timed"] = setting
    if st.session_state.get("conv_timed") != setting:
        st.caption(
            _("Takes a few seconds. Each layer is called over and over, in turn with the others.")
        )
        return
    try:
        with st.spinner(_("Timing the four layers ...")):
            measured = _timed(setting)
    except UserError as error:
        st.warning(str(error), icon=":material/hourglass_top:")
        return
    times(expected, setting, costs, measured)


def times(
    expected: str | None, setting: ConvSetting, costs: Mapping[Kind, Cost], measured: ConvTimings
) -> None:
    """What was measured: a verdict on the guess, a picture, the reasons, a table."""
    table = timing_frame(costs, measured)
    first = table[table["kind"] == "separable"].iloc[0]
    share = first["time_share"]
    said = _("Depthwise + pointwise takes {share} of the standard layer's time at batch {n}.")
    words = said.format(share=time_text(share), n=first["batch"])
    if expected is not None:
        offered = {
            "promised": first["macs_share"], "half": 0.5, "same": 1.0, "more": max(share, 1.3),
        }  # fmt: skip
        nearest = min(offered, key=lambda name: abs(offered[name] - share))
        words = (_("Right.") if expected == nearest else _("Not quite.")) + " " + words
    st.markdown(f"**{words}**")
    left, right = st.columns([6, 5], gap="medium")
    with left:
        show(timing_chart(table), timing_alt(table), key="conv-timing")
        st.caption(_("Pale: MACs. Full: time, with its quartiles. All as shares of the standard."))
    with right:
        for line in why_time(table, costs):
            st.markdown(line)
    _table(table)
    data_button(table, "convolution-times")
    if (table["p75_ms"] > WIDE * table["p25_ms"]).any():
        st.caption(
            _(
                "Some quartiles lie far apart: something else keeps this machine busy. Measure "
                "again before you believe a small difference."
            )
        )
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(
            _(
                "Median and quartiles of {rounds} calls, {threads} thread, PyTorch {version}, "
                "float32, on this machine at {when} UTC. Other work on it slows all four alike."
            ).format(
                rounds=" / ".join(str(n) for n in dict.fromkeys(table["rounds"])),
                threads=measured.threads,
                version=measured.torch_version,
                when=f"{measured.when:%Y-%m-%d %H:%M}",
            )
        )
        st.button(
            _("Measure again"),
            icon=":material/refresh:",
            key="time_again",
            on_click=_timed.clear,
            args=(setting,),
        )


def timing_alt(table: pd.DataFrame) -> str:
    """Alt text of the chart of `timing_frame`."""
    bars = _("; ").join(
        _("{layer} {macs} of the MACs, {time} of the time at batch {n}").format(
            layer=kind_title(row["kind"]),
            macs=share_text(row["macs_share"]),
            time=time_text(row["time_share"]),
            n=row["batch"],
        )
        for row in table.to_dict("records")
        if row["kind"] != "standard"
    )
    return _("MACs and measured time as shares of the standard layer: {bars}.").format(bars=bars)


def why_time(table: pd.DataFrame, costs: Mapping[Kind, Cost]) -> list[str]:
    """Why time did not follow the MACs (or did), from the numbers of `timing_frame`; Markdown."""
    rows = table.to_dict("records")
    others = [row for row in rows if row["kind"] != "standard"]
    worst = max(others, key=lambda row: row["time_share"] / row["macs_share"])
    kind, batch = worst["kind"], worst["batch"]
    standard = next(r for r in rows if r["kind"] == "standard" and r["batch"] == batch)
    layer = kind_title(kind)
    macs, time = share_text(worst["macs_share"]), time_text(worst["time_share"])
    if worst["time_share"] < SLOWER_THAN_PROMISED * worst["macs_share"]:
        return [
            _(
                "Here time follows the MACs: even **{layer}**, the furthest from it, takes {time} "
                "of the standard layer's time for {macs} of its MACs (batch {n})."
            ).format(layer=layer, time=time, macs=macs, n=batch)
        ]
    lines = [
        _(
            "**{layer}** does {macs} of the MACs and takes {time} of the time (batch {n}): "
            "{slow} billion MACs a second, where the standard layer does {fast} billion."
        ).format(
            layer=layer,
            macs=macs,
            time=time,
            n=batch,
            slow=_billions(worst["macs_per_s"]),
            fast=_billions(standard["macs_per_s"]),
        )
    ]
    low, high = costs[kind].intensity(batch), costs["standard"].intensity(batch)
    if low < high:
        lines.append(
            _(
                "*Memory.* It has {low} MACs to do for each byte it moves, the standard layer "
                "{high}. The arithmetic shrank to {macs}, the bytes that must be moved only to "
                "{bytes}, and a layer is as fast as the slower of the two."
            ).format(
                low=_intensity(low),
                high=_intensity(high),
                macs=macs,
                bytes=share_text(worst["bytes_moved"] / standard["bytes_moved"]),
            )
        )
    lines.append(
        _(
            "*Kernels.* A layer also needs a fast routine (a *kernel*) on this machine. The "
            "standard convolution amounts to one large matrix product, the best-polished routine "
            "there is; a group, depthwise or k × 1 layer gets a smaller or rarer one. And two "
            "steps are two calls, each with a fixed cost that counts most at batch 1."
        )
    )
    return lines


def _billions(per_second: float) -> str:
    value = per_second / 1e9
    return f"{value:.{0 if value >= 10 else 1}f}"


def _table(table: pd.DataFrame) -> None:
    shown = pd.DataFrame(
        {
            "layer": [kind_title(kind) for kind in table["kind"]],
            "batch": table["batch"],
            "params": table["params"],
            "macs": [short_count(value) for value in table["macs"]],
            "median": [numbers.milliseconds(value) for value in table["median_ms"]],
            "quartiles": [
                _("{low} to {high}").format(low=f"{low:.3g}", high=numbers.milliseconds(high))
                for low, high in zip(table["p25_ms"], table["p75_ms"], strict=True)
            ],
            "speed": [f"{value / 1e9:.1f}" for value in table["macs_per_s"]],
        }
    )
    columns: dict[str, Any] = {
        "layer": _("Layer"),
        "batch": _("Batch"),
        "params": st.column_config.NumberColumn(_("Parameters"), format="localized"),
        "macs": _("MACs"),
        "median": _("Median"),
        "quartiles": _("Quartiles"),
        "speed": _("Billion MACs/s"),
    }
    st.dataframe(
        shown,
        column_config=columns,
        hide_index=True,
        alt=_("Each layer at each batch size: parameters, MACs, median time, quartiles, speed."),
    )


# ------------------------------------------------------------------------------------------------
# Tabs "Why", "Trap" and "Homework".


def why(setting: ConvSetting) -> None:
    """What is counted, and how."""
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
        ).format(n=count(method.bottleneck_cost(setting).params))
    )
    st.code(inspect.getsource(method.Step), language="python")


@st.cache_data(max_entries=128, show_spinner=False)
def _changed(channels: int, groups: int, shuffle: bool) -> list[int]:
    return changed_outputs(channels, groups, STACKED_LAYERS, shuffle=shuffle)


def trap(setting: ConvSetting) -> None:
    """Groups in every layer: nudge one channel of a stack and count how many change."""
    channels, groups = setting.out_channels, setting.groups
    st.markdown(
        _(
            "Group layers look as cheap as depthwise + pointwise. But stacked with the same "
            "groups, a channel never meets the other groups, however deep the network: it is {g} "
            "narrow networks side by side. Tried here: {n} group layers of {c} channels with "
            "random weights, input channel 1 nudged a little."
        ).format(g=groups, n=STACKED_LAYERS, c=channels)
    )
    if groups == 1:
        st.info(_("Set the groups above 1 to see it."), icon=":material/touch_app:")
        return
    rows = {
        _("{g} groups in every layer").format(g=groups): _changed(channels, groups, False),
        _("the same, channels shuffled in between"): _changed(channels, groups, True),
    }
    lines = [
        _("- {name}: channels that change after layer 1, 2, 3: **{counts}** of {all}").format(
            name=name, counts=", ".join(numbers.count(n) for n in counts), all=channels
        )
        for name, counts in rows.items()
    ]
    st.markdown("\n".join(lines))
    st.markdown(
        _(
            "How to notice: nudge one input and count, as here. The cure: let the groups meet, by "
            "a pointwise layer (the second half of depthwise + pointwise is there for it) or by "
            "shuffling channels (ShuffleNet, Zhang et al. 2018)."
        )
    )


def homework(costs: Mapping[Kind, Cost], answer: Guess[float]) -> None:
    """HW7 Q1 and Q4 and HW13 Q1, and where on the page their answers stand."""
    if guess.waits(answer):
        return
    standard, separable = costs["standard"], costs["separable"]
    st.markdown(
        _(
            "**HW7 Q1: how does depthwise + pointwise make a network smaller?** Look at the first "
            "picture and its sum: {few} instead of {many} parameters for this layer, close to "
            "1/C_out + 1/k²."
        ).format(few=numbers.count(separable.params), many=numbers.count(standard.params))
    )
    accuracies = _(", ").join(
        f"{kind_title(kind)} {accuracy:.5f}" for kind, accuracy in HW7_Q4_ACCURACY.items()
    )
    st.markdown(
        _(
            "**HW7 Q4: plain, depthwise + pointwise or groups of 8, all about 1 MB?** A report "
            "states these test accuracies on Food-11, one run each, without an interval: "
            "{accuracies}. The drawings show what the group layers lack: a way from group to group "
            "(see the trap)."
        ).format(accuracies=accuracies)
    )
    limit = PARAM_LIMITS["HW13 2022"]
    st.markdown(
        _(
            "**HW13 Q1: a student of at most {limit} parameters.** This layer alone would take "
            "{standard} of them as a standard convolution, {separable} as depthwise + pointwise."
        ).format(
            limit=numbers.count(limit),
            standard=share_text(standard.params / limit),
            separable=share_text(separable.params / limit),
        )
    )


if __name__ == "__main__":
    main()
