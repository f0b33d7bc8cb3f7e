"""Convolutions: what one layer costs, four ways to build it, and whether less work is less time."""

import inspect
from collections.abc import Mapping
from dataclasses import replace
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
    Offer,
    Problem,
    changed_outputs,
    problems,
)
from core.convolutions.timing import BATCHES, ConvTimings, is_too_heavy, time_layers
from core.course import PARAM_LIMITS
from core.errors import UserError
from core.i18n import _
from pages.kit import frame as contents
from pages.kit import frame as language
from pages.kit import url_state
from pages.kit.figure import data_button, show
from pages.kit.frame import foot
from pages.kit.url_state import guess, number_of, toggle

# ------------------------------------------------------------------------------------------------
# What the convolution calculator says: sentences with the numbers of the setting in them.


SLOWER_THAN_PROMISED = 1.25
"""A time share this many times the MACs share is worth a sentence; below it is noise."""


def field_title(field: str) -> str:
    """What a reader calls a field of `ConvSetting`."""
    return {
        "in_channels": _("Input channels"),
        "out_channels": _("Output channels"),
        "kernel_size": _("Kernel"),
        "stride": _("Stride"),
        "padding": _("Padding"),
        "groups": _("Groups"),
        "map_size": _("Map size"),
    }[field]


def offer_title(offer: Offer) -> str:
    """An offer on a button: "Groups: 8"."""
    return _("{field}: {value}").format(field=field_title(offer.field), value=offer.value)


def seen(costs: Mapping[Kind, Cost], setting: ConvSetting) -> list[str]:
    """Four sentences or so on what the bars show, one a paragraph; Markdown."""
    standard, separable = costs["standard"], costs["separable"]
    return [
        _(
            "**Depthwise + pointwise** needs {params} parameters, {params_share} of the standard "
            "layer's {all_params}, and does {macs} MACs, {macs_share} of its {all_macs}."
        ).format(
            params=numbers.count(separable.params),
            all_params=numbers.count(standard.params),
            params_share=share_text(separable.params / standard.params),
            macs=short_count(separable.macs),
            all_macs=short_count(standard.macs),
            macs_share=share_text(separable.macs / standard.macs),
        ),
        _(
            "But its map between the two steps must be written and read again: {bytes} of "
            "activations where the standard layer writes {all_bytes}. Less arithmetic is left for "
            "each byte moved: {low} MACs instead of {high}."
        ).format(
            bytes=numbers.size(separable.activation_bytes),
            all_bytes=numbers.size(standard.activation_bytes),
            low=_intensity(separable.intensity()),
            high=_intensity(standard.intensity()),
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
    said = _(
        "**Low-rank** at rank {rank} has {share} of the standard parameters; it saves weights up "
        "to rank {even}."
    ).format(rank=s.rank, share=share_text(share), even=s.break_even_rank)
    if s.full_rank > s.break_even_rank:
        said += " " + _(
            "To be *any* standard layer it needs rank {full}: what is saved is paid for in freedom."
        ).format(full=s.full_rank)
    return said


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


def cost_alt(frame: pd.DataFrame, quantity: Quantity) -> str:
    """What a bar chart of `cost_frame` shows, for who cannot see it."""
    bars = _(", ").join(
        f"{kind_title(kind)} {quantity_text(quantity, value)} ({share_text(share)})"
        for kind, value, share in zip(
            frame["kind"], frame[quantity], frame[f"{quantity}_share"], strict=True
        )
    )
    return _("{quantity} of four layers, and share of the standard one: {bars}.").format(
        quantity=quantity_title(quantity), bars=bars
    )


def timing_alt(frame: pd.DataFrame) -> str:
    """What the chart of `timing_frame` shows, for who cannot see it."""
    bars = _("; ").join(
        _("{layer} {macs} of the MACs, {time} of the time at batch {n}").format(
            layer=kind_title(row["kind"]),
            macs=share_text(row["macs_share"]),
            time=time_text(row["time_share"]),
            n=row["batch"],
        )
        for row in frame.to_dict("records")
        if row["kind"] != "standard"
    )
    return _("MACs and measured time as shares of the standard layer: {bars}.").format(bars=bars)


def why_time(frame: pd.DataFrame, costs: Mapping[Kind, Cost]) -> list[str]:
    """Why time did not follow the MACs (or did), from the numbers of `timing_frame`; Markdown."""
    rows = frame.to_dict("records")
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
    said = [
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
        said.append(
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
    said.append(
        _(
            "*Kernels.* A layer also needs a fast routine (a *kernel*) on this machine. The "
            "standard convolution amounts to one large matrix product, the best-polished routine "
            "there is; a group, depthwise or k × 1 layer gets a smaller or rarer one. And two "
            "steps are two calls, each with a fixed cost that counts most at batch 1."
        )
    )
    return said


def _intensity(value: float) -> str:
    return f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2}f}"


def _billions(per_second: float) -> str:
    value = per_second / 1e9
    return f"{value:.{0 if value >= 10 else 1}f}"


# ------------------------------------------------------------------------------------------------
# The convolution calculator's controls: the layer, what is wrong with it, and a first guess.


RANK_PERCENT = 25
"""Where the rank slider begins: a quarter of the full rank."""
GUESSES = (1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32)
DEFAULT = ConvSetting()


def setting() -> ConvSetting:
    """The layer as the reader has set it; every control is part of the link."""
    _examples()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        values = {field: _number(field) for field in LIMITS}
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
    chosen = ConvSetting(**values, bias=bias)
    chosen = replace(chosen, rank=chosen.rank_at(percent / 100))
    st.caption(_("Rank {r} of {full}").format(r=chosen.rank, full=chosen.full_rank))
    return chosen


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
        width=150,
        help=helps.get(field),
    )


def _examples() -> None:
    titles = {
        "plain_2m_4": _("HW7 plain_2m, layer 4"),
        "plain_2m_8": _("HW7 plain_2m, layer 8"),
        "hw13_residual": _("HW13 residual, stage 2"),
    }
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(_("A layer of the homework:"), width="content")
        for name, title in titles.items():
            st.button(title, key=f"example_{name}", on_click=_take, args=(name,), type="tertiary")


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
                    offer_title(offer),
                    key=f"offer_{number}_{offer.field}_{offer.value}",
                    on_click=_change,
                    args=(offer.field, offer.value),
                )


def predict_first() -> float | None:
    """One tap before looking: the share of weights that depthwise + pointwise needs."""
    titles = {share: _("about 1/{n}").format(n=round(1 / share)) for share in GUESSES}
    return guess(
        _(
            "First, a guess: how many of the standard layer's parameters does depthwise + "
            "pointwise need?"
        ),
        GUESSES,
        format_func=titles.__getitem__,
        key="guess_share",
    )


def reveal(guess: float | None, standard: Cost, separable: Cost) -> None:
    """The guess beside the answer; the same line is there without a guess, so nothing jumps."""
    share = separable.params / standard.params
    if guess is None:
        st.caption(_("Your guess will be drawn into the first picture."))
        return
    nearest = min(GUESSES, key=lambda one: abs(one / share - 1))
    told = _("Well seen.") if guess == nearest else _("Not quite.")
    st.caption(
        told
        + " "
        + _("You guessed about 1/{n}; it is {share}, or 1/{exact}.").format(
            n=round(1 / guess), share=share_text(share), exact=f"{1 / share:.1f}"
        )
    )


# ------------------------------------------------------------------------------------------------
# "Time it here": the four real layers timed on this machine, beside their MACs.


TIMER_GUESSES = ("promised", "half", "same", "more")
WIDE = 1.5
"""Upper over lower quartile from which a measurement is called unsteady."""


@st.cache_data(max_entries=64, show_spinner=False)
def _timed(setting: ConvSetting) -> ConvTimings:
    return time_layers(setting)


@st.fragment
def timer(setting: ConvSetting, costs: Mapping[Kind, Cost]) -> None:
    """The guess, the button, and what was measured for this very setting."""
    language.speak()
    guess = _predict_first(costs)
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
    _draw(guess, setting, costs, measured)


def _predict_first(costs: Mapping[Kind, Cost]) -> str | None:
    titles = {
        "promised": _("what its MACs promise"),
        "half": _("about half"),
        "same": _("about as long"),
        "more": _("longer"),
    }
    return guess(
        _(
            "A guess again: depthwise + pointwise does {share} of the standard layer's MACs. What "
            "part of its time will it take here, one picture at a time?"
        ).format(share=share_text(costs["separable"].macs / costs["standard"].macs)),
        TIMER_GUESSES,
        format_func=titles.__getitem__,
        key="guess_time",
    )


def _draw(
    guess: str | None, setting: ConvSetting, costs: Mapping[Kind, Cost], measured: ConvTimings
) -> None:
    frame = timing_frame(costs, measured)
    first = frame[frame["kind"] == "separable"].iloc[0]
    answer = _(
        "Depthwise + pointwise takes {share} of the standard layer's time at batch {n}."
    ).format(share=time_text(first["time_share"]), n=first["batch"])
    told = _told(guess, first["time_share"], first["macs_share"])
    st.markdown(f"**{f'{told} {answer}' if told else answer}**")
    left, right = st.columns([6, 5], gap="medium")
    with left:
        show(timing_chart(frame), timing_alt(frame), key="conv-timing")
        st.caption(_("Pale: MACs. Full: time, with its quartiles. All as shares of the standard."))
    with right:
        for line in why_time(frame, costs):
            st.markdown(line)
    _table(frame)
    data_button(frame, "convolution-times")
    if (frame["p75_ms"] > WIDE * frame["p25_ms"]).any():
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
                rounds=" / ".join(str(n) for n in dict.fromkeys(frame["rounds"])),
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


def _told(guess: str | None, share: float, promised: float) -> str:
    """Whether the guess came nearest; empty without one."""
    if guess is None:
        return ""
    shares = {"promised": promised, "half": 0.5, "same": 1.0, "more": max(share, 1.3)}
    nearest = min(shares, key=lambda name: abs(shares[name] - share))
    return _("Well seen.") if guess == nearest else _("Not quite.")


def _table(frame: pd.DataFrame) -> None:
    shown = pd.DataFrame(
        {
            "layer": [kind_title(kind) for kind in frame["kind"]],
            "batch": frame["batch"],
            "params": frame["params"],
            "macs": [short_count(value) for value in frame["macs"]],
            "median": [numbers.milliseconds(value) for value in frame["median_ms"]],
            "quartiles": [
                _("{low} to {high}").format(low=f"{low:.3g}", high=numbers.milliseconds(high))
                for low, high in zip(frame["p25_ms"], frame["p75_ms"], strict=True)
            ],
            "speed": [f"{value / 1e9:.1f}" for value in frame["macs_per_s"]],
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
# The convolution calculator's trap, really run, and the homework questions it answers.


LAYERS = 3


@st.cache_data(max_entries=128, show_spinner=False)
def _tried(channels: int, groups: int, shuffle: bool) -> list[int]:
    return changed_outputs(channels, groups, LAYERS, shuffle=shuffle)


def trap(setting: ConvSetting) -> None:
    """Groups in every layer: nudge one channel of a stack and count who notices."""
    channels, groups = setting.out_channels, setting.groups
    st.markdown(
        _(
            "Group layers look as cheap as depthwise + pointwise. But stacked with the same "
            "groups, a channel never meets the other groups, however deep the network: it is {g} "
            "narrow networks side by side. Tried here: {n} group layers of {c} channels with "
            "random weights, input channel 1 nudged a little."
        ).format(g=groups, n=LAYERS, c=channels)
    )
    if groups == 1:
        st.info(_("Set the groups above 1 to see it."), icon=":material/touch_app:")
        return
    rows = {
        _("{g} groups in every layer").format(g=groups): _tried(channels, groups, False),
        _("the same, channels shuffled in between"): _tried(channels, groups, True),
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


def homework(costs: Mapping[Kind, Cost]) -> None:
    """HW7 Q1 and Q4 and HW13 Q1, and where on the page their answers stand."""
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


def main() -> None:
    """Draw the page."""
    st.title(contents.entry("convolutions").question)
    st.markdown(
        _(
            "A convolution mixes channels and looks around at the same time. Doing the two one "
            "after "
            "the other, or in groups, is how a small network saves. Move anything; all is "
            "counted anew."
        )
    )

    guess = predict_first()
    with st.container(border=True):
        chosen = setting()
    if found := problems(chosen):
        explain(found)
        foot("convolutions")
        st.stop()

    costs = method.compare(chosen)
    frame = cost_frame(costs, chosen)
    reveal(guess, costs["standard"], costs["separable"])

    for pair in (QUANTITIES[:2], QUANTITIES[2:]):
        for column, quantity in zip(st.columns(2, gap="medium"), pair, strict=True):
            with column:
                st.markdown(f"**{quantity_title(quantity)}**")
                show(
                    cost_chart(frame, quantity, guess if quantity == "params" else None),
                    cost_alt(frame, quantity),
                    key=f"cost-{quantity}",
                )
    st.caption(
        _(
            "Bars are shares of the standard layer. Input {n} × {h} × {h}, output {m} × {out} "
            "× {out}, "
            "float32, one picture. Activation memory is what the layer writes."
        ).format(
            n=chosen.in_channels, h=chosen.map_size, m=chosen.out_channels, out=chosen.out_size
        )
    )

    st.subheader(_("What you see"))
    st.markdown("\n".join(f"- {line}" for line in seen(costs, chosen)))

    st.subheader(_("Who listens to whom"))
    drawn = wirings(chosen)
    for column, (kind, wiring) in zip(st.columns(3), drawn.items(), strict=True):
        words = f"{wiring_words(kind, chosen)} {note(wiring)}"
        with column:
            st.markdown(f"**{kind_title(kind)}**")
            show(wiring_chart(wiring), f"{kind_title(kind)}. {words}", key=f"wiring-{kind}")
            st.caption(words)
    st.caption(
        _(
            "Thick lines: all that output channel 1 reads. Point at another, or tap it, to see "
            "its. "
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
                sums = formula(quantity, cost, chosen)
                share = frame.loc[frame["kind"] == kind, f"{quantity}_share"].item()
                lines = [f"**{kind_title(kind)}**: {share_text(share)}"]
                lines += [f"${sums.symbols}$", f"${sums.numbers}$"]
                if quantity in ("params", "macs") and kind != "standard":
                    rule = share_text(method.rule_of_thumb(kind, chosen))
                    words = _("rule of thumb: ${rule}$ = {value}")
                    lines.append(words.format(rule=RULES[kind], value=rule))
                column.markdown("  \n".join(lines))

    st.subheader(_("Fewer MACs: less time, too?"))
    timer(chosen, costs)

    with st.expander(_("Why: what is counted, and how"), icon=":material/function:"):
        st.markdown(
            _(
                "A **MAC** is one multiplication and one addition; every weight does one at "
                "each place "
                "of the output map. **Arithmetic intensity** is MACs per byte moved between "
                "processor "
                "and memory, counting the least there can be: input and parameters read once, "
                "outputs "
                "written once, and a map between two steps both written and read (twice the "
                "figure is "
                "FLOPs per byte). It is the x axis of the roofline model (Williams, Waterman & "
                "Patterson 2009): where it is low, memory sets the pace."
            )
        )
        st.markdown(
            _(
                "**Low-rank** here is k × 1 to R channels, then 1 × k to all output channels, the "
                "second scheme of Jaderberg, Vedaldi & Zisserman (2014). The other usual pair, "
                "k × k "
                "to R channels and then 1 × 1, would have {n} parameters at this rank."
            ).format(n=count(method.bottleneck_cost(chosen).params))
        )
        st.code(inspect.getsource(method.Step), language="python")

    with st.expander(_("Trap: groups in every layer"), icon=":material/warning:"):
        trap(chosen)

    with st.expander(_("From the homework: HW7 Q1 and Q4, HW13 Q1"), icon=":material/school:"):
        homework(costs)

    st.caption(
        _(
            "All sums are exact and made here; only the times are measured, when you press the "
            "button."
        )
    )
    foot("convolutions", frame)


if __name__ == "__main__":
    main()
