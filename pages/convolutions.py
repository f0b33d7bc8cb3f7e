"""Convolutions: what one layer costs, four ways to build it, and whether less work is less time."""

import inspect
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from core.charts import numbers
from core.charts.numbers import count, short_count
from core.checkpoints import get
from core.convolutions import chart, method
from core.convolutions.chart import (
    QUANTITIES,
    Column,
    Quantity,
    Rows,
    Wiring,
    kind_title,
    share_text,
    time_text,
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
    Step,
    changed_outputs,
)
from core.convolutions.sliding import PICTURE_PX, SOURCES, SlidingKind, slidings
from core.convolutions.timing import BATCHES, ConvTimings, is_too_heavy, time_layers
from core.course import PARAM_LIMITS
from core.errors import UserError
from core.i18n import _, bracketed, labelled, paragraph
from core.inference.layers import layers_of
from core.photos import prepare
from pages.kit import frame, guess, lab, networks, photos, quiz, url_state
from pages.kit.figure import data_button, show, source
from pages.kit.guess import Guess
from pages.kit.maps import maps_component, packed
from pages.kit.photos import Photo
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
slider = maps_component("sliding_kernel", Path(__file__).with_suffix(".js"))
"""The kernel that slides, in the browser: convolutions.js and convolutions.css."""


def main() -> None:
    """Draw the page."""
    st.title(frame.entry(KEY).question)
    st.markdown(
        _(
            "A standard convolution filters and mixes all channels in one step. Two steps "
            "(**depthwise + pointwise**), **groups** or **low rank** cost less."
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
            if problems := method.problems(setting):
                explain(problems)
                return
            costs = method.compare(setting)
            rows = chart.cost_rows(costs)
            answer = parameters(setting, costs, rows)
    lines = paragraph(seen(costs, setting, answer.is_open))
    st.markdown(_("**What you see.** {lines}").format(lines=lines))
    frame.tabs(
        [
            frame.Tab("wiring", _("Wiring"), partial(wiring, setting)),
            frame.Tab("slide", _("Sliding kernel"), partial(slide, answer)),
            frame.Tab("work", _("Work and memory"), partial(work, rows, setting, answer)),
            frame.Tab("time", _("Faster?"), partial(timer, setting, costs, answer)),
            frame.Tab(
                "why", _("Why"), partial(formulas, costs, rows, setting, answer), former=("sums",)
            ),
            frame.Tab("trap", _("Trap"), partial(trap, setting)),
            frame.Tab("homework", _("Homework"), partial(homework, costs, answer)),
            quiz.tab(partial(_quiz, setting, costs), about_layer(setting), answer),
        ]
    )  # fmt: skip


def layer_controls() -> ConvSetting:
    """The layer as the visitor has set it; every control is part of the link."""
    sizes = {field: size_input(field) for field in ("in_channels", "out_channels")}
    sizes |= {field: size_input(field) for field in ("groups", "kernel_size")}
    with st.popover(_("More of the layer"), icon=":material/tune:", width="stretch"):
        sizes |= {field: size_input(field) for field in ("map_size", "stride", "padding")}
        bias = toggle(_("Bias"), "bias", DEFAULT.bias)
        percent = number_of(
            st.slider, _("Rank of the low-rank pair, % of full rank"), 1, 100, RANK_PERCENT, 1,
            "rank_percent",
            help=_(
                "Channels between the k × 1 and the 1 × k step. At full rank, k · min(input, "
                "output channels), the pair can be any standard layer."
            ),
        )  # fmt: skip
        setting = ConvSetting(**sizes, bias=bias)
        setting = replace(setting, rank=setting.rank_at(percent / 100))
        st.caption(_("Rank {r} of {full}").format(r=setting.rank, full=setting.full_rank))
        st.markdown(f"**{_('Homework layers')}**")
        titles = {
            "plain_2m_4": _("HW7 plain_2m, layer 4"),
            "plain_2m_8": _("HW7 plain_2m, layer 8"),
            "hw13_residual": _("HW13 residual, stage 2"),
        }
        for name, title in titles.items():
            values = {field: getattr(EXAMPLES[name], field) for field in LIMITS}
            st.button(title, key=f"example_{name}", on_click=set_sizes, args=(values,),
                      type="tertiary")  # fmt: skip
    return setting


def size_input(field: Field) -> int:
    """The input of one number of the layer."""
    least, most = LIMITS[field]
    helps = {
        "groups": _("Of the group layer. Must divide the input and the output channels."),
        "padding": _("Zeros added on each side of the map."),
        "map_size": _("Height and width of the input map."),
    }
    default = getattr(DEFAULT, field)
    return number_of(
        st.number_input, field_title(field), least, most, default, 1, field, help=helps.get(field)
    )


def field_title(field: Field) -> str:
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


def set_sizes(values: Mapping[Field, int]) -> None:
    """Set controls (called before the page runs again)."""
    for field, value in values.items():
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
                    on_click=set_sizes,
                    args=({offer.field: offer.value},),
                )


def parameters(setting: ConvSetting, costs: Mapping[Kind, Cost], rows: Rows) -> Guess[float]:
    """The bars, that of depthwise + pointwise behind a guess; returns what became of the guess."""
    place = st.container()
    answer = guess.ask(
        _("Guess: what share of the standard layer's parameters does depthwise + pointwise need?"),
        {share: _("1/{n}").format(n=round(1 / share)) for share in SHARES},
        key="guess_share",
        about=sizes_of(setting),
    )
    hidden: tuple[Kind, ...] = () if answer.is_open else ("separable",)
    with place:
        show(
            chart.cost_chart(rows, "params", answer.value, hidden),
            cost_alt(rows, "params", hidden),
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


def cost_alt(rows: Rows, quantity: Quantity, hidden: tuple[Kind, ...] = ()) -> str:
    """Alt text of a bar chart of `cost_rows`."""
    bars = [
        f"{kind_title(row['kind'])} ?"
        if row["kind"] in hidden
        else bracketed(
            f"{kind_title(row['kind'])} {chart.quantity_text(quantity, row[quantity])}",
            share_text(row[f"{quantity}_share"]),
        )
        for row in rows
    ]
    return _("{quantity} of four layers, and share of the standard one: {bars}.").format(
        quantity=chart.quantity_title(quantity), bars=_(", ").join(bars)
    )


def seen(costs: Mapping[Kind, Cost], setting: ConvSetting, is_open: bool = True) -> list[str]:
    """Sentences on what the bars show; Markdown. What the guess is about waits until `is_open`."""
    standard, separable = costs["standard"], costs["separable"]
    if is_open:
        first = _(
            "**Depthwise + pointwise** needs {params} parameters, {params_share} of the standard "
            "layer's, and {macs_share} of its {all_macs} MACs."
        ).format(
            params=count(separable.params),
            params_share=share_text(separable.params / standard.params),
            all_macs=short_count(standard.macs),
            macs_share=share_text(separable.macs / standard.macs),
        )
    else:
        first = _(
            "**Standard**: every output channel has a {k} × {k} filter for each of the {n} input "
            "channels, {params} parameters in all."
        ).format(k=setting.kernel_size, n=setting.in_channels, params=count(standard.params))
    if setting.groups == 1:
        group = _("**Group** with 1 group *is* the standard layer. Try more groups.")
    elif setting.groups == setting.in_channels:
        group = _(
            "**Group** with as many groups as input channels is a *depthwise* layer: each output "
            "channel reads one input channel, and nothing mixes them."
        )
    else:
        group = _(
            "**Group** with {g} groups costs 1/{g} of the weights and MACs: each output channel "
            "reads only {few} of {all} input channels."
        ).format(
            g=setting.groups, few=setting.in_channels // setting.groups, all=setting.in_channels
        )
    return [first, group, rank_words(costs, setting)] if is_open else [first, group]


def rank_words(costs: Mapping[Kind, Cost], setting: ConvSetting) -> str:
    """What the low-rank pair saves, and up to which rank it saves anything."""
    if not setting.break_even_rank:
        return _(
            "**Low-rank** saves nothing here: even rank 1 has as many weights as the standard "
            "layer."
        )
    lines = [
        _(
            "**Low-rank** at rank {rank} has {share} of the standard layer's parameters; it saves "
            "weights up to rank {even}."
        )
    ]
    if setting.full_rank > setting.break_even_rank:
        lines.append(
            _("Below rank {full} it can represent fewer functions than the standard layer.")
        )
    return paragraph(lines).format(
        rank=setting.rank,
        share=share_text(costs["lowrank"].params / costs["standard"].params),
        even=setting.break_even_rank,
        full=setting.full_rank,
    )


def wiring(setting: ConvSetting) -> None:
    """Which inputs each output uses, drawn for three layers."""
    st.markdown(_("Thick lines: what output channel 1 reads. Point at another channel."))
    for place, (kind, drawn) in zip(st.columns(3), wirings(setting).items(), strict=True):
        title = _("{sentence}.").format(sentence=kind_title(kind))
        alt = paragraph([title, wiring_words(kind, setting), chart.note(drawn)])
        with place:
            st.markdown(f"**{kind_title(kind)}**")
            show(chart.wiring_chart(drawn), alt, key=f"wiring-{kind}")


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
    """What an output channel of a drawing reads, in a sentence."""
    groups, channels = setting.groups, setting.in_channels
    if kind == "separable":
        words = _("First each of the {all} channels is filtered alone, then 1 × 1 mixes all {all}.")
    elif kind == "standard" or groups == 1:
        words = _("Every output channel reads all {all} input channels.")
    else:
        words = _("{g} groups: an output channel reads {few} of {all} input channels.")
    return words.format(g=groups, few=channels // groups, all=channels)


def slide(answer: Guess[float]) -> None:
    """A kernel that slides over a picture, through the layers of three trained students."""
    listed = networks.checkpoints()
    students = {
        key: next((c for c in listed if c.model == key and c.derived_from is None), None)
        for key, _number in SOURCES.values()
    }
    if lost := [key for key, student in students.items() if student is None]:
        st.info(
            _("This needs trained networks that are not here: {names}.").format(
                names=_(", ").join(lost)
            )
        )
        return
    st.markdown(
        _(
            "The second layer of HW7's three students makes 32 maps from 16, in four ways. "
            "**Look at** the small maps on the left, which light up when an output reads them, and "
            "at the counter. All numbers come from the networks."
        )
    )
    player = st.container()
    chosen = photos.pick_another(player)
    if chosen is None:
        return
    versions = tuple((c.id, c.weights_sha256) for c in students.values() if c is not None)
    work_out = sliding_numbers if chosen.label is None else shared_sliding_numbers
    numbers_shown = work_out(versions, chosen.key, chosen)
    words = sliding_words()
    macs = {layer["kind"]: layer["macs"] for layer in numbers_shown["layers"]}
    with player:
        slider(
            key="sliding_kernel",
            data={
                **numbers_shown,
                "id": f"{versions}{chosen.key}{words['play']}",
                "alt": chosen.name,
                "words": words,
            },
        )
        st.caption(
            _(
                "Picture: {name}. Multiplications: places × outputs × inputs that each reads × "
                "kernel. Sums are before BatchNorm and ReLU6. Blue is below zero, orange above. "
                "Keys: space, arrows, Home, End."
            ).format(name=chosen.name)
        )
        if answer.is_open:
            two_steps = macs["depthwise"] + macs["pointwise"]
            st.markdown(
                _(
                    "Depthwise and pointwise together: {few} multiplications, {share} of the "
                    "standard layer's. 8 groups: {group_share}."
                ).format(
                    few=count(two_steps),
                    share=share_text(two_steps / macs["standard"]),
                    group_share=share_text(macs["group"] / macs["standard"]),
                )
            )


def sliding_words() -> dict[str, Any]:
    """The words of convolutions.js."""
    titles: dict[SlidingKind, str] = {
        "picture": _("First layer"),
        "standard": _("Standard"),
        "depthwise": _("Depthwise"),
        "pointwise": _("Pointwise"),
        "group": _("8 groups"),
    }
    return {
        "titles": titles,
        "play": _("Play"),
        "pause": _("Pause"),
        "back": _("One number back"),
        "step": _("One number on"),
        "restart": _("Restart"),
        "end": _("To the end"),
        "speed": _("Speed"),
        "progress": _("Output numbers that are worked out"),
        "rate": _("{n} numbers a second"),
        "counter": _("of {total} multiplications ({formula})"),
        "input": _("Input {n}"),
        "output": _("Output {n}"),
        "reads": _("Output {out}, row {row}, column {column} reads inputs {first} to {last}."),
        "readsOne": _("Output {out}, row {row}, column {column} reads input {first} alone."),
        "inputs": _("Inputs under the kernel"),
        "weights": _("Weights of the kernel"),
        "sums": _("The sum for each input it reads ({n}):"),
        "total": _("All together, with bias {bias}: "),
        "keys": _(
            "Sliding kernel. Space plays and pauses, left and right step, up and down change the "
            "output map, Home restarts, End finishes."
        ),
    }


def sliding_numbers(
    versions: tuple[tuple[str, str], ...], key: str, _photo: Photo
) -> dict[str, Any]:
    """The picture and the layers' numbers for convolutions.js; `versions`: ids and hashes of the
    students, `key`: of the picture."""
    del key  # only the key of the cache
    students = [get(id) for id, _sha256 in versions]
    picture = prepare(_photo.read(), PICTURE_PX, students[0].crop)  # (3, px, px)
    opened = {student.model: layers_of(student, PICTURE_PX) for student in students}
    layers = [
        {
            "kind": sliding.kind,
            "ins": sliding.step.in_channels,
            "outs": sliding.step.out_channels,
            "kernel": sliding.step.kernel[0],
            "stride": sliding.step.stride[0],
            "padding": sliding.step.padding[0],
            "groups": sliding.step.groups,
            "size": sliding.step.in_size[0],
            "outSize": sliding.step.out_size[0],
            "macs": sliding.step.macs,
            "formula": formula_text(sliding.step),
            "inputs": packed(sliding.inputs),
            "weight": packed(sliding.weight),
            "bias": packed(sliding.bias),
            "inMost": float(abs(sliding.inputs).max()),
            "outMost": float(abs(sliding.output).max()),
        }
        for sliding in slidings(opened, picture)
    ]
    return {"layers": layers, "picture": packed(picture), "px": PICTURE_PX}


def formula_text(step: Step) -> str:
    """A step's MACs as a product: places, outputs, inputs that each reads, kernel."""
    height, width = step.out_size
    reads = step.in_channels // step.groups
    return f"{height} × {width} × {step.out_channels} × {reads} × {step.kernel[0]}²"


shared_sliding_numbers = st.cache_data(ttl=600, max_entries=32, show_spinner=False)(sliding_numbers)
"""The same for a picture of a data set: all visitors share it."""


def work(rows: Rows, setting: ConvSetting, answer: Guess[float]) -> None:
    """MACs, activation memory and arithmetic intensity of the four layers."""
    if guess.waits(answer):
        return
    places = [*st.columns(2, gap="medium"), *st.columns(2, gap="medium")]
    for place, quantity in zip(places, QUANTITIES[1:], strict=False):
        with place:
            show(chart.cost_chart(rows, quantity), cost_alt(rows, quantity), key=f"cost-{quantity}")
    by_kind = {row["kind"]: row for row in rows}
    standard, separable = by_kind["standard"], by_kind["separable"]
    places[-1].markdown(
        _(
            "Depthwise + pointwise also writes a map between its two steps: {bytes} of "
            "activations; the standard layer writes {all_bytes}. So it computes less for each byte "
            "that it moves: {little} MACs instead of {much}."
        ).format(
            bytes=numbers.size(separable["activation_bytes"]),
            all_bytes=numbers.size(standard["activation_bytes"]),
            little=intensity_text(separable["intensity"]),
            much=intensity_text(standard["intensity"]),
        )
    )
    st.caption(
        _(
            "Input {n} × {h} × {h}, output {m} × {out} × {out}, float32, one picture. Activation "
            "memory: what the layer writes. Arithmetic intensity: MACs per byte moved."
        ).format(
            n=setting.in_channels, h=setting.map_size, m=setting.out_channels, out=setting.out_size
        )
    )
    data_button(partial(pd.DataFrame, rows), KEY)


def intensity_text(value: float) -> str:
    """Three digits at most: "38.4"."""
    return f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2}f}"


@st.cache_data(max_entries=64, show_spinner=False)
def timed(setting: ConvSetting) -> ConvTimings:
    """What was measured of a setting, for all visitors."""
    return time_layers(setting)


def sizes_of(setting: ConvSetting) -> str:
    """What the parameters depend on, short."""
    width = setting.kernel_size
    bias = " + bias" if setting.bias else ""
    return f"{setting.in_channels} → {setting.out_channels}, {width} × {width}{bias}"


def about_layer(setting: ConvSetting) -> str:
    """What MACs and times depend on, short."""
    return f"{sizes_of(setting)}, {setting.map_size} px / {setting.stride}"


def timer(setting: ConvSetting, costs: Mapping[Kind, Cost], answer: Guess[float]) -> None:
    """The guess, the button, and what was measured for this very setting."""
    if guess.waits(answer):
        return
    expected = guess.ask(
        _(
            "Guess: depthwise + pointwise does {share} of the standard layer's MACs. How much of "
            "its time does it take on this machine, for one picture?"
        ).format(share=share_text(costs["separable"].macs / costs["standard"].macs)),
        {
            "promised": _("the same share"),
            "half": _("about half"),
            "same": _("about as long"),
            "more": _("longer"),
        },
        key="guess_time",
        about=about_layer(setting),
        can_show=False,
    )
    heavy = [batch for batch in BATCHES if is_too_heavy(setting, batch)]
    for batch in heavy:
        st.caption(
            _(
                "Batch {n} is left out: others would have to wait. Choose a smaller map or fewer "
                "channels to time it."
            ).format(n=batch)
        )
    if len(heavy) == len(BATCHES):
        return
    if st.button(_("Time it here"), icon=":material/timer:", key="time_it", type="primary"):
        st.session_state["conv_timed"] = setting
    if st.session_state.get("conv_timed") != setting:
        st.caption(
            _("Takes a few seconds. Each layer is called many times, in turn with the others.")
        )
        return
    try:
        with st.spinner(_("Timing the four layers ...")):
            measured = timed(setting)
    except UserError as error:
        st.warning(str(error), icon=":material/hourglass_top:")
        return
    show_times(expected, setting, costs, measured)


def show_times(
    expected: Guess[str], setting: ConvSetting, costs: Mapping[Kind, Cost], measured: ConvTimings
) -> None:
    """What was measured: a verdict on the guess, a picture, the reasons, a table."""
    rows = chart.timing_rows(costs, measured)
    first = next(row for row in rows if row["kind"] == "separable")
    share = first["time_share"]
    words = _("Depthwise + pointwise takes {share} of the standard layer's time at batch {n}.")
    words = words.format(share=time_text(share), n=first["batch"])
    lab.measured(
        "time_it", expected.place[2], words, measured.when.timestamp(),
        {name: getattr(setting, name) for name in LIMITS}, first,
    )  # fmt: skip
    if expected.value is None:
        st.markdown(f"**{words}**")
    else:
        offered = {"promised": first["macs_share"], "half": 0.5, "same": 1.0,
                   "more": max(share, 1.3)}  # fmt: skip
        nearest = min(offered, key=lambda name: abs(offered[name] - share))
        guess.verdict(expected, expected.value == nearest, words)
    left, right = st.columns([6, 5], gap="medium")
    with left:
        show(chart.timing_chart(rows), timing_alt(rows), key="conv-timing")
        st.caption(_("Pale: MACs. Full: time, with quartiles. Shares of the standard layer's."))
    with right:
        for line in why_time(rows, costs):
            st.markdown(line)
    data_button(partial(pd.DataFrame, rows), "convolution-times")
    if any(row["p75_ms"] > WIDE * row["p25_ms"] for row in rows):
        st.caption(
            _(
                "Some quartiles are far apart: this machine is busy. Measure again before you "
                "believe a small difference."
            )
        )
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(
            _(
                "Median and quartiles of {rounds} calls, {threads} thread, PyTorch {version}, "
                "float32, on this machine at {when} UTC. Other work on it slows all four alike."
            ).format(
                rounds=" / ".join(str(n) for n in dict.fromkeys(row["rounds"] for row in rows)),
                threads=measured.threads,
                version=measured.torch_version,
                when=f"{measured.when:%Y-%m-%d %H:%M}",
            )
        )
        st.button(
            _("Measure again"),
            icon=":material/refresh:",
            key="time_again",
            on_click=timed.clear,
            args=(setting,),
        )


def timing_alt(rows: Rows) -> str:
    """Alt text of the chart of `timing_rows`."""
    bars = [
        _("{layer} {macs} of the MACs, {time} of the time at batch {n}").format(
            layer=kind_title(row["kind"]),
            macs=share_text(row["macs_share"]),
            time=time_text(row["time_share"]),
            n=row["batch"],
        )
        for row in rows
        if row["kind"] != "standard"
    ]
    return _("MACs and measured time as shares of the standard layer: {bars}.").format(
        bars=_("; ").join(bars)
    )


def why_time(rows: Rows, costs: Mapping[Kind, Cost]) -> list[str]:
    """Why time did not follow the MACs (or did), from the numbers of `timing_rows`; Markdown."""
    worst = max(
        (row for row in rows if row["kind"] != "standard"),
        key=lambda row: row["time_share"] / row["macs_share"],
    )
    kind, batch = worst["kind"], worst["batch"]
    standard = next(r for r in rows if r["kind"] == "standard" and r["batch"] == batch)
    own, other = costs[kind].intensity(batch), costs["standard"].intensity(batch)
    figures = {
        "layer": kind_title(kind),
        "n": batch,
        "macs": share_text(worst["macs_share"]),
        "time": time_text(worst["time_share"]),
        "slow": intensity_text(worst["macs_per_s"] / 1e9),
        "fast": intensity_text(standard["macs_per_s"] / 1e9),
        "little": intensity_text(own),
        "much": intensity_text(other),
        "bytes": share_text(worst["bytes_moved"] / standard["bytes_moved"]),
    }
    if worst["time_share"] < SLOWER_THAN_PROMISED * worst["macs_share"]:
        lines = [
            _(
                "Here time follows the MACs: even **{layer}**, which is furthest from it, takes "
                "{time} of the standard layer's time for {macs} of its MACs (batch {n})."
            )
        ]
    else:
        lines = [
            _(
                "**{layer}** does {macs} of the MACs and takes {time} of the time (batch {n}): "
                "{slow} billion MACs a second; the standard layer does {fast} billion."
            ),
            _(
                "*Kernels.* A layer needs a fast routine (a *kernel*) for this processor. The "
                "standard convolution is one large matrix product, which every processor does "
                "well; group, depthwise and k × 1 layers have slower routines. And two steps are "
                "two calls, each with a fixed cost, which counts most at batch 1."
            ),
        ]
        if own < other:
            memory = _(
                "*Memory.* It does {little} MACs for each byte it moves, the standard layer "
                "{much}. The MACs fall to {macs}, the bytes moved only to {bytes}. The slower of "
                "the two, arithmetic or memory, sets the time."
            )
            lines.insert(1, memory)
    return [line.format(**figures) for line in lines]


def formulas(
    costs: Mapping[Kind, Cost], rows: Rows, setting: ConvSetting, answer: Guess[float]
) -> None:
    """What is counted, and, after the guess, each sum in letters and with the setting's numbers."""
    st.markdown(
        _(
            "A **MAC** is one multiplication and one addition; every weight does one at each place "
            "of the output map. **Arithmetic intensity** is MACs per byte moved between processor "
            "and memory: input and parameters are read once, outputs written once, a map between "
            "two steps written and read. Where it is low, memory sets the time (roofline model, "
            "Williams, Waterman & Patterson 2009)."
        )
    )
    st.markdown(
        _(
            "**Low-rank** here is k × 1 to R channels, then 1 × k to all output channels "
            "(Jaderberg, Vedaldi & Zisserman 2014, scheme 2). The other common pair, k × k to R "
            "channels and then 1 × 1, has {n} parameters at this rank."
        ).format(n=count(method.bottleneck_cost(setting).params))
    )
    if not guess.waits(answer):
        st.caption(
            _(
                "$C_\\text{in}$, $C_\\text{out}$: input and output channels. $k$: kernel. $g$: "
                "groups. $R$: rank. $H$, $H'$: side of the input and the output map."
            )
        )
        by_kind = {row["kind"]: row for row in rows}
        titles = [chart.quantity_title(quantity) for quantity in QUANTITIES[:3]]
        for tab, quantity in zip(st.tabs(titles), QUANTITIES[:3], strict=True):
            columns = [*tab.columns(2, gap="medium"), *tab.columns(2, gap="medium")]
            for column, (kind, cost) in zip(columns, costs.items(), strict=True):
                terms = chart.formula(quantity, cost, setting)
                share = share_text(by_kind[kind][f"{quantity}_share"])
                lines = [labelled(f"**{kind_title(kind)}**", share), f"${terms.symbols}$",
                         f"${terms.numbers}$"]  # fmt: skip
                if quantity != "activation_bytes" and kind != "standard":
                    rule = share_text(method.rule_of_thumb(kind, setting))
                    words = _("rule of thumb: ${rule}$ = {value}")
                    lines.append(words.format(rule=chart.RULES[kind], value=rule))
                column.markdown("  \n".join(lines))
    source(_("This class counts every step of a layer:"), inspect.getsource(method.Step))


def trap(setting: ConvSetting) -> None:
    """Groups in every layer: nudge one channel of a stack and count how many change."""
    channels, groups = setting.out_channels, setting.groups
    st.markdown(
        _(
            "Group layers look as cheap as depthwise + pointwise. But with the same groups in "
            "every layer, the groups never mix, however deep the network: it is {g} narrow "
            "networks side by side. The test: {n} group layers of {c} channels with random "
            "weights; input channel 1 is changed a little."
        ).format(g=groups, n=STACKED_LAYERS, c=channels)
    )
    if groups == 1:
        st.info(_("Set the groups above 1 to see it."), icon=":material/touch_app:")
        return
    lines = [
        _("- {name}: after layers 1, 2, 3, **{counts}** of {all} channels change").format(
            name=name,
            counts=_(", ").join(
                map(count, changed_outputs(channels, groups, STACKED_LAYERS, shuffle=shuffle))
            ),
            all=channels,
        )
        for shuffle, name in (
            (False, _("{g} groups in every layer").format(g=groups)),
            (True, _("the same, channels shuffled in between")),
        )
    ]
    st.markdown("\n".join(lines))
    st.markdown(
        _(
            "How to notice: change one input and count, as here. What helps: mix the groups, with "
            "a pointwise layer (the second step of depthwise + pointwise) or by shuffling the "
            "channels (ShuffleNet, Zhang et al. 2018)."
        )
    )


def homework(costs: Mapping[Kind, Cost], answer: Guess[float]) -> None:
    """HW7 Q1 and Q4 and HW13 Q1, and where on the page their answers stand."""
    if guess.waits(answer):
        return
    standard, separable = costs["standard"], costs["separable"]
    st.markdown(
        _(
            "**HW7 Q1: how does depthwise + pointwise make a network smaller?** It needs {few} "
            "instead of {many} parameters for this layer: about 1/C_out + 1/k² of them."
        ).format(few=count(separable.params), many=count(standard.params))
    )
    accuracies = _(", ").join(
        f"{kind_title(kind)} {accuracy:.5f}" for kind, accuracy in HW7_Q4_ACCURACY.items()
    )
    st.markdown(
        _(
            "**HW7 Q4: plain, depthwise + pointwise or 8 groups, all about 1 MB?** A report gives "
            "these test accuracies on Food-11, one run each, without an interval: {accuracies}. "
            "Group layers lack a way from group to group: see “Wiring” and “Trap”."
        ).format(accuracies=accuracies)
    )
    limit = PARAM_LIMITS["HW13 2022"]
    st.markdown(
        _(
            "**HW13 Q1: a student of at most {limit} parameters.** This layer alone takes "
            "{standard} of them as a standard convolution, {separable} as depthwise + pointwise."
        ).format(
            limit=count(limit),
            standard=share_text(standard.params / limit),
            separable=share_text(separable.params / limit),
        )
    )


def _quiz(setting: ConvSetting, costs: Mapping[Kind, Cost]) -> list[quiz.Question]:
    """On this layer: its groups, a larger map, and the two steps."""
    params = {kind: cost.params for kind, cost in costs.items()}
    other = params["standard"] // setting.groups**2
    _depthwise, pointwise = costs["separable"].steps
    share = pointwise.macs / costs["separable"].macs
    return [
        quiz.Question(
            "groups",
            _("How many parameters does the layer with {g} groups have?").format(g=setting.groups),
            *quiz.among(params["group"], (params["standard"], params["separable"], other), count),
            _("Each output channel reads one group, so the weights are divided by {g}.").format(
                g=setting.groups
            ),
        ),
        quiz.Question(
            "map",
            _("The map becomes twice as high and wide. How many parameters does the standard layer "
              "have then?"),
            *quiz.among(params["standard"], (n * params["standard"] for n in (2, 4, 8)), count),
            _("The same kernel slides over every map: only MACs and memory grow."),
        ),
        quiz.Question(
            "pointwise",
            _("Of the MACs of depthwise + pointwise, what share does the pointwise step do?"),
            *quiz.among(share, (1 - share, 0.5, 1 / setting.kernel_size**2), share_text),
            _("For each output value, depthwise does k² = {k} MACs, and pointwise one for each of "
              "the {channels} input channels.").format(
                k=setting.kernel_size**2, channels=setting.in_channels
            ),
        ),
    ]  # fmt: skip


if __name__ == "__main__":
    main()
