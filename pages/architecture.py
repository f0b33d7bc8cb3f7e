"""Architecture: any network laid open, two side by side, or one of your own within a budget."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from core.charts import numbers
from core.charts.compiled import Spec
from core.charts.theme import RoleKey, glyph, trained_role
from core.course import PARAM_LIMITS
from core.errors import ConfigError
from core.i18n import _
from core.models.design import chart, cost, plans
from core.models.design import chart as architecture
from core.models.design.chart import MEASURES, budget_title, measure_text, measure_title, ratio_text
from core.models.design.cost import Row, Totals, layer_rows, stage_totals, totals
from core.models.design.limits import Budget, YearVerdict, budgets, years
from core.models.design.plan import Plan, plan
from core.models.design.plans import Described, summary_mb, summary_text
from core.models.design.source import pytorch_source
from core.models.design.spec import (
    ACTIVATIONS,
    BLOCKS,
    KERNELS,
    MAX_CHARACTERS,
    MAX_GROUPS,
    MAX_JSON_BYTES,
    MAX_REPEATS,
    MAX_STAGES,
    MAX_WIDTH,
    Activation,
    Block,
    Design,
    Stage,
    add_stage,
    change,
    move_stage,
    read,
    remove_stage,
    widened,
)
from core.models.registry import PREFIX
from pages.kit import frame as contents
from pages.kit import url_state
from pages.kit.figure import show
from pages.kit.frame import foot, page_link
from pages.kit.url_state import guess, one_of

# ------------------------------------------------------------------------------------------------
# The architecture page's sentences: what the numbers now on the screen say.


def block_title(block: Block) -> str:
    """What a reader calls a block."""
    return {
        "plain": _("Plain convolution"),
        "separable": _("Depthwise + pointwise"),
        "group": _("Group convolution"),
        "basic": _("BasicBlock, separable"),
        "bottleneck": _("Bottleneck, separable"),
        "inverted": _("Inverted residual"),
        "resnet": _("BasicBlock, ResNet's"),
    }[block]


def block_note(block: Block) -> str:
    """What is in a block, layer by layer, and where it comes from."""
    return {
        "plain": _("k × k convolution, BatchNorm, activation."),
        "separable": _(
            "HW7: depthwise k × k, BatchNorm, activation, pointwise 1 × 1, nothing after it."
        ),
        "group": _("As plain, its channels in groups that never meet inside the layer."),
        "basic": _("HW13's report: two depthwise + pointwise pairs, and the input added."),
        "bottleneck": _(
            "HW13's report: narrow by 1 × 1, k × k, widen four times by 1 × 1; the input added."
        ),
        "inverted": _(
            "MobileNetV2: widen by 1 × 1, depthwise k × k, narrow by 1 × 1; the input added."
        ),
        "resnet": _("He et al. 2015: two k × k convolutions, and the input added."),
    }[block]


def activation_title(activation: Activation) -> str:
    """The activation's usual name."""
    return {"relu": "ReLU", "relu6": "ReLU6", "hardswish": "Hardswish", "silu": "SiLU"}[activation]


def largest(frame: pd.DataFrame, name: str) -> tuple[str, float]:
    """The part of `parts_frame` with the most of a measure, and its share of the whole."""
    shares = frame[f"{name}_share"].tolist()
    most = max(shares)
    return str(frame["part"].iloc[shares.index(most)]), most


def stage_cost(stage: Totals, whole: Totals) -> str:
    """What one stage of a design costs, beside the whole network, in a line."""
    return _(
        "This stage: {params} parameters ({params_share}), {macs} MACs ({macs_share}). "
        "The whole: **{all_params}** and {all_macs}."
    ).format(
        params=numbers.count(stage.params),
        params_share=numbers.share(stage.params / whole.params),
        macs=measure_text("macs", stage.macs),
        macs_share=numbers.share(stage.macs / whole.macs),
        all_params=numbers.count(whole.params),
        all_macs=measure_text("macs", whole.macs),
    )


def halves(frame: pd.DataFrame, name: str) -> tuple[float, float, float]:
    """Shares of a measure of `parts_frame`: first half of the parts, second half, classifier."""
    shares = frame[f"{name}_share"]
    middle = (len(frame) - 1) // 2
    return (
        float(shares.iloc[:middle].sum()),
        float(shares.iloc[middle:-1].sum()),
        float(shares.iloc[-1]),
    )


def seen(frame: pd.DataFrame, totals: Totals, input_px: int) -> list[str]:
    """Two or three sentences on where a network's costs sit, and how far it looks."""
    (part, share), (other, other_share) = largest(frame, "params"), largest(frame, "macs")
    early, late = halves(frame, "macs"), halves(frame, "params")
    return [
        _(
            "Most parameters sit in **{part}** ({share}), most MACs in **{other}** ({other_share})."
        ).format(
            part=part,
            share=numbers.share(share),
            other=other,
            other_share=numbers.share(other_share),
        ),
        _(
            "The first half of the parts does {macs} of the MACs with {params} of the parameters; "
            "the second half holds {late} of the parameters. Early maps are large and thin, late "
            "ones small and deep."
        ).format(
            macs=numbers.share(early[0]),
            params=numbers.share(late[0]),
            late=numbers.share(late[1]),
        ),
        reach(totals, input_px),
    ]


def reach(totals: Totals, input_px: int) -> str:
    """How much of the picture one value of the last map sees."""
    field, area = totals.receptive_field, (totals.receptive_field / input_px) ** 2
    if area >= 1:
        return _(
            "One value of the last map sees a square of {field} px, as much as the {px} px of the "
            "photo or more: in the middle of the map it sees all of it."
        ).format(field=numbers.count(field), px=input_px)
    narrow = _(
        "One value of the last map sees a square of {field} px of the {px} px photo, {share} of "
        "its area."
    ).format(field=field, px=input_px, share=numbers.share(area))
    if area > 0.5:
        return narrow
    return f"{narrow} " + _(
        "No part of this network ever sees a whole plate: the average pool at the end can only "
        "take the mean of what many such squares say."
    )


def parts_alt(name: str, frame: pd.DataFrame, totals: Totals) -> str:
    """The parts chart in words."""
    lines = [
        _("{measure} {total}, most in {part} ({share})").format(
            measure=measure_title(measure),
            total=measure_text(measure, getattr(totals, measure)),
            part=largest(frame, measure)[0],
            share=numbers.share(largest(frame, measure)[1]),
        )
        for measure in MEASURES
    ]
    return _("Bars for each part of {name}, from the stem to the classifier. {costs}.").format(
        name=name, costs="; ".join(lines)
    )


def ratios_seen(first: str, second: str, frame: pd.DataFrame) -> list[str]:
    """What the second network saves, and what it does not."""
    ratio = dict(zip(frame["measure"], frame["ratio"], strict=True))
    lines = [
        _("**{second}** against **{first}**: parameters {params}, MACs {macs}.").format(
            first=first,
            second=second,
            params=ratio_text(ratio["params"]),
            macs=ratio_text(ratio["macs"]),
        ),
        _("Memory for the feature maps: {memory}.").format(
            memory=ratio_text(ratio["activation_bytes"])
        ),
    ]
    if ratio["params"] > 2 and ratio["activation_bytes"] < ratio["params"] / 2:
        lines.append(
            _(
                "Fewer parameters do not mean smaller maps: a map's size is its channels and its "
                "side, whatever convolution made it. Memory traffic is one reason why time does "
                "not fall as parameters do."
            )
        )
    if ratio["layers"] < 0.95:
        lines.append(
            _(
                "It has more layers ({ratio}): each is little work, but each has to be started, "
                "and its map written and read."
            ).format(ratio=ratio_text(ratio["layers"]))
        )
    return lines


def ratios_alt(first: str, second: str, frame: pd.DataFrame) -> str:
    """The comparison chart in words."""
    said = [
        f"{measure_title(line['measure'])} {ratio_text(line['ratio'])}"
        for line in frame.to_dict("records")
    ]
    return _("What {second} needs, compared with {first}: {said}.").format(
        first=first, second=second, said=", ".join(said)
    )


def verdict_words(verdict: YearVerdict) -> str:
    """One year's verdict in a line."""
    spare = verdict.limit - verdict.params
    if verdict.counts:
        return _("✓ **may be handed in**: {n} of {limit}, {spare} to spare").format(
            n=numbers.count(verdict.params),
            limit=numbers.count(verdict.limit),
            spare=numbers.count(spare),
        )
    return _("✗ **scores 0**: {n}, {over} over the limit of {limit}").format(
        n=numbers.count(verdict.params),
        limit=numbers.count(verdict.limit),
        over=numbers.count(-spare),
    )


def budgets_line(budgets: Sequence[Budget]) -> str:
    """Every limit with its mark, in one line."""
    marks = {"within": glyph("correct"), "over": glyph("wrong"), "about": "≈"}
    return " · ".join(f"{marks[one.answer]} {budget_title(one)}" for one in budgets if one.strict)


def budgets_alt(texts: Sequence[str]) -> str:
    """The budget bars in words."""
    return _("How much of each of the course's limits this network uses. {lines}.").format(
        lines="; ".join(texts)
    )


# ------------------------------------------------------------------------------------------------
# One network laid open: totals, where its costs sit, its layer table, and what is to be seen.


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
        parts_alt(title, frame, totals(rows)),
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
    lines = seen(frame, totals(rows), input_px)
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


# ------------------------------------------------------------------------------------------------
# The architecture page's guesses, one for each way to use it, and what becomes of them.


def guess_half() -> str | None:
    """One tap before looking: which half of the network holds most parameters?"""
    titles = {
        "first": _("in its first half"),
        "second": _("in its second half"),
        "classifier": _("in the classifier"),
    }
    return guess(
        _("First, a guess: where do most of its parameters sit?"),
        list(titles),
        format_func=titles.__getitem__,
        key="guess_half",
    )


def reveal_half(guess: str | None, rows: list[Row], found: Described) -> None:
    """The guess beside the shares; the same line is there without one, so nothing jumps."""
    if guess is None:
        st.caption(_("Make a guess above: the answer appears here."))
        return
    frame = chart.parts_frame(rows, found.parts)
    shares = dict(
        zip(
            ("first", "second", "classifier"),
            halves(frame, "params"),
            strict=True,
        )
    )
    told = _("Right.") if guess == max(shares, key=shares.__getitem__) else _("Look again.")
    st.markdown(
        told
        + " "
        + _("First half {first}, second half {second}, classifier {classifier}.").format(
            **{name: numbers.share(share) for name, share in shares.items()}
        )
    )


def guess_memory() -> str | None:
    """One tap before comparing: does memory fall as parameters do?"""
    titles = {
        "as_much": _("falls as much as the parameters"),
        "less": _("falls, but far less"),
        "not": _("hardly changes, or grows"),
    }
    return guess(
        _("First, a guess: from the first network to the second, the memory for feature maps …"),
        list(titles),
        format_func=titles.__getitem__,
        key="guess_memory",
    )


def reveal_memory(guess: str | None, frame: pd.DataFrame) -> None:
    """The guess beside both ratios."""
    if guess is None:
        st.caption(_("Make a guess above: the answer appears here."))
        return
    ratio = dict(zip(frame["measure"], frame["ratio"], strict=True))
    params, memory = ratio["params"], ratio["activation_bytes"]
    answer = "not" if memory < 1.15 else "less" if memory < 0.6 * params else "as_much"
    told = _("Right:") if guess == answer else _("Not so:")
    st.markdown(
        told
        + " "
        + _("parameters {params}, memory {memory}.").format(
            params=ratio_text(params), memory=ratio_text(memory)
        )
    )


def guess_wider() -> int | None:
    """One tap: what twice the width does to the number of parameters."""
    return guess(
        _("A guess: make every layer twice as wide, and the parameters become …"),
        (2, 3, 4, 8),
        format_func=lambda times: _("{n} times as many").format(n=times),
        key="guess_wider",
    )


def reveal_wider(guess: int | None, made: Design, params: int) -> None:
    """The guess beside the count of this very design, made twice as wide."""
    wide = widened(made, 2)
    if guess is None or wide is None:
        st.caption(_("Make a guess above: the answer for this very design appears here."))
        return
    more = totals(layer_rows(wide)).params
    told = _("Right:") if round(more / params) == guess else _("Not quite:")
    st.markdown(
        told
        + " "
        + _(
            "{params} become {more}, {times} times as many. A layer's weights are input channels "
            "times output channels, and both double; only biases, BatchNorm and depthwise layers "
            "grow by two."
        ).format(
            params=numbers.count(params), more=numbers.count(more), times=f"{more / params:.1f}"
        )
    )


# ------------------------------------------------------------------------------------------------
# The student designer's controls. One line of text is the design; every control rewrites it.
#
# The line is a text field bound to the link, so a link, a typed line, an uploaded file and the
# controls can never disagree. A change that cannot be built is explained and not made.


LINE, GOOD, PROBLEM, STAGE = "design", "design_good", "design_problem", "design_stage"
FIRST = "px128-relu6-stem16p-sep32p-sep64p-sep128p-sep128x2"
"""What the designer opens with: HW7's student, made narrower until it fits HW13's limits."""


def current() -> Design:
    """The last design that could be read in this session."""
    return read(st.session_state.get(GOOD, FIRST))


def take(design: Design) -> None:
    """Make `design` the one on the page (from a callback, before the page runs again)."""
    st.session_state[GOOD] = design.line
    url_state.say(LINE, design.line)
    st.session_state.pop(PROBLEM, None)


def edit() -> Design:
    """Draw the controls and return the design they now describe."""
    more = st.container(horizontal=True, vertical_alignment="bottom")
    with more:
        _starts()
    written = url_state.draw(
        st.text_input,
        _("The design in one line"),
        key=LINE,
        spelling=url_state.line(MAX_CHARACTERS),
        default=FIRST,
        max_chars=MAX_CHARACTERS,
        live=True,
        help=_(
            "Type here or use the controls below: both are the same design. A stage is its block "
            "(plain, sep, group, basic, bottle, inv, resnet) and width, then x repeats, g groups, "
            "t expansion, k kernel, and p for a pool after it or d for stride 2."
        ),
    )
    try:
        design = read(written)
        st.session_state[GOOD] = design.line
    except ConfigError as error:
        st.warning(
            _("{problem} Below is the last design that worked.").format(problem=error),
            icon=":material/rule:",
        )
        design = current()
    if problem := st.session_state.pop(PROBLEM, None):
        st.warning(problem, icon=":material/rule:")
    with more:
        _more(design)
    _whole(design)
    _stages(design)
    return design


def _starts() -> None:
    keys = [key for key in plans.known() if plans.describe(key).design is not None]
    st.selectbox(
        _("Start from"),
        keys,
        index=None,
        placeholder=_("a network of the homeworks"),
        format_func=lambda key: plans.describe(key).title,
        key="design_start",
        on_change=_start,
        width=330,
    )
    with st.popover(_("Open a file"), icon=":material/folder_open:"):
        st.file_uploader(
            _("A design saved here (JSON)"),
            type="json",
            key="design_file",
            max_upload_size=1,
            on_change=_open,
        )


def _start() -> None:
    chosen = st.session_state["design_start"]
    found = plans.describe(chosen).design if chosen else None
    if found is not None:
        take(found)
        _to(1)


def _open() -> None:
    file = st.session_state["design_file"]
    if file is None:
        return
    try:
        take(read(file.getvalue()[: MAX_JSON_BYTES + 1]))
        _to(1)
    except ConfigError as error:
        st.session_state[PROBLEM] = str(error)


def _control(draw: Callable[..., Any], label: str, key: str, value: Any, **more: Any) -> None:
    """A widget that shows `value` and, when touched, asks `_change` to rewrite the line."""
    name = f"edit_{key}"
    st.session_state[name] = value
    draw(label, key=name, on_change=_change, args=(key,), **more)


def _whole(design: Design) -> None:
    stem = design.stem
    halvings = {
        (1, 0): _("no"),
        (2, 0): _("stride 2"),
        (1, 2): _("pool 2 × 2"),
        (2, 2): _("stride 2, pool 2 × 2"),
        (1, 3): _("pool 3 × 3"),
        (2, 3): _("stride 2, pool 3 × 3"),
    }
    with st.container(horizontal=True, vertical_alignment="bottom", gap="xsmall"):
        _control(
            st.number_input, _("Photo side, px"), "input_px", design.input_px,
            min_value=32, max_value=512, step=16, width=140,
        )  # fmt: skip
        _control(
            st.selectbox, _("Activation"), "activation", design.activation,
            options=ACTIVATIONS, format_func=activation_title, width=125,
        )  # fmt: skip
        _control(
            st.number_input, _("Stem width"), "stem_width", stem.width,
            min_value=1, max_value=MAX_WIDTH, step=8, width=140,
        )  # fmt: skip
        _control(
            st.selectbox, _("Stem kernel"), "stem_kernel", stem.kernel,
            options=KERNELS, format_func=lambda k: f"{k} × {k}", width=95,
        )  # fmt: skip
        _control(
            st.selectbox, _("Stem halves the side"), "stem_halving", (stem.stride, stem.pool),
            options=list(halvings), format_func=halvings.__getitem__, width=190,
        )  # fmt: skip


def _more(design: Design) -> None:
    stem = design.stem
    with st.popover(_("More"), icon=":material/tune:"):
        _control(st.toggle, _("Stem: bias"), "stem_bias", stem.bias)
        _control(st.toggle, _("Stages: biases"), "bias", design.bias,
                 help=_("A BatchNorm behind a convolution makes its bias idle."))  # fmt: skip
        _control(st.toggle, _("Padding"), "padding", design.padding,
                 help=_("Off, convolutions lose a border of k // 2 pixels."))  # fmt: skip
        _control(st.toggle, _("Outer activations and last pool as function calls"),
                 "functional", design.functional,
                 help=_("torchsummary does not list those: see the trap."))  # fmt: skip


def _stages(design: Design) -> None:
    numbers = list(range(1, len(design.stages) + 1))
    if _place() > len(numbers):
        _to(len(numbers))
    titles = {n: _stage_title(n, design.stages[n - 1]) for n in numbers}
    said = _("Stages, in order. Choose one to change it:")
    stage = design.stages[one_of(st.pills, said, titles, STAGE, 1, required=True) - 1]
    _stage(design, stage)
    st.caption(f"{block_title(stage.block)}: {block_note(stage.block)}")
    rows = layer_rows(design)
    st.markdown(stage_cost(stage_totals(rows, plan(design), _place()), totals(rows)))
    full, only = len(numbers) >= MAX_STAGES, len(numbers) == 1
    with st.container(horizontal=True):
        for label, icon, step, given, off in (
            (_("Add after"), "add", _add, (), full),
            (_("Remove"), "delete", _remove, (), only),
            (_("Earlier"), "arrow_back", _move, (-1,), _place() == 1),
            (_("Later"), "arrow_forward", _move, (1,), _place() == len(numbers)),
        ):
            st.button(label, icon=f":material/{icon}:", on_click=step, args=given, disabled=off,
                      key=f"stage_{icon}")  # fmt: skip


def _stage_title(number: int, stage: Stage) -> str:
    repeats = f" ×{stage.repeats}" if stage.repeats > 1 else ""
    return f"{number} · {block_title(stage.block)} {stage.width}{repeats}" + (
        "" if stage.down == "none" else " ↓"
    )


def _stage(design: Design, stage: Stage) -> None:
    downs = {"none": _("no"), "pool": _("pool after it"), "stride": _("stride 2")}
    with st.container(horizontal=True, vertical_alignment="bottom", gap="xsmall"):
        _control(
            st.selectbox, _("Block"), "block", stage.block,
            options=BLOCKS, format_func=block_title, width=200,
        )  # fmt: skip
        _control(
            st.number_input, _("Width"), "width", stage.width,
            min_value=1, max_value=MAX_WIDTH, step=8, width=140,
        )  # fmt: skip
        _control(
            st.number_input, _("Repeats"), "repeats", stage.repeats,
            min_value=1, max_value=MAX_REPEATS, step=1, width=130,
        )  # fmt: skip
        _control(
            st.selectbox, _("Halves the side"), "down", stage.down,
            options=list(downs), format_func=downs.__getitem__, width=140,
        )  # fmt: skip
        _control(
            st.selectbox, _("Kernel"), "kernel", stage.kernel,
            options=KERNELS, format_func=lambda k: f"{k} × {k}", width=95,
        )  # fmt: skip
        if stage.block == "group":
            _control(
                st.number_input, _("Groups"), "groups", stage.groups,
                min_value=1, max_value=MAX_GROUPS, step=1, width=130,
            )  # fmt: skip
        if stage.block == "inverted":
            _control(
                st.number_input, _("Expansion"), "expansion", stage.expansion,
                min_value=1, max_value=8, step=1, width=130,
            )  # fmt: skip


def _change(key: str) -> None:
    """Put one control's value into the design, or say why that cannot be."""
    value = st.session_state[f"edit_{key}"]
    if value is None:  # an emptied field
        return
    if key == "stem_halving":
        stride, pool = value
        _try(lambda design: change(change(design, "stem_stride", stride), "stem_pool", pool))
    else:
        _try(lambda design: change(design, key, value, _place()))


def _place() -> int:
    """Number of the stage that is being changed, from 1."""
    return url_state.current(STAGE, url_state.number(1, MAX_STAGES), 1)


def _to(place: int) -> None:
    url_state.say(STAGE, str(place))


def _try(make: Callable[[Design], Design]) -> None:
    try:
        take(make(current()))
    except ConfigError as error:
        st.session_state[PROBLEM] = str(error)


def _add() -> None:
    _try(lambda design: add_stage(design, _place()))
    _to(_place() + 1)


def _remove() -> None:
    _try(lambda design: remove_stage(design, _place()))


def _move(by: int) -> None:
    _try(lambda design: move_stage(design, _place(), by))
    _to(_place() + by)


# ------------------------------------------------------------------------------------------------
# The three ways to use the architecture page: look inside one network, compare two, design one.


SIDES = (64, 96, 128, 160, 192, 224)
"""Photo sides offered, in pixels; every registered network fits all of them."""


def look() -> pd.DataFrame:
    """Open one registered network; returns its layer table."""
    with st.container(border=True, horizontal=True, vertical_alignment="bottom"):
        found = _choose(_("Network"), "model", "dwpw_256k")
        px = _side(found.input_px, f"px_{found.key}")
    guess = guess_half()
    rows = layer_rows(found.parts, px)
    metrics(totals(rows))
    picture(found.title, rows, found.parts, _role(found), "parts")
    reveal_half(guess, rows, found)
    st.subheader(_("What you see"))
    sentences(rows, found.parts, px)
    if found.design is not None:
        st.button(
            _("Change it in the designer"),
            icon=":material/design_services:",
            on_click=_to_designer,
            args=(found.design,),
        )
    st.subheader(_("Layer by layer"))
    table(rows, px, "look")
    return chart.layers_frame(rows, px)


def side_by_side() -> pd.DataFrame:
    """Two registered networks at the same photo side; returns what each costs."""
    with st.container(border=True, horizontal=True, vertical_alignment="bottom"):
        first = _choose(_("First network"), "model_a", "plain_2m")
        second = _choose(_("Second network"), "model_b", "dwpw_256k")
        px = _side(128, "px_both")
    guess = guess_memory()
    pair = (first, second)
    tables = [layer_rows(one.parts, px) for one in pair]
    frame = chart.ratios_frame(totals(tables[0]), totals(tables[1]))
    drawn(
        chart.ratio_chart(frame, _role(second)),
        ratios_alt(first.title, second.title, frame),
        "ratios",
    )
    reveal_memory(guess, frame)
    st.subheader(_("What you see"))
    lines = ratios_seen(first.title, second.title, frame)
    st.markdown("\n".join(f"- {line}" for line in lines))
    for number, column in enumerate(st.columns(2, gap="large")):
        with column:
            one = pair[number]
            st.markdown(f"**{one.title}**")
            picture(one.title, tables[number], one.parts, _role(one), f"parts_{number}")
    st.subheader(_("Layer by layer"))
    for number, tab in enumerate(st.tabs([one.title for one in pair])):
        with tab:
            table(tables[number], px, f"side_{number}")
    return frame.rename(columns={"first": first.key, "second": second.key})


def design() -> pd.DataFrame:
    """Design a student; returns its layer table."""
    on_top = st.container()
    with st.container(border=True):
        made = edit()
    rows, parts = layer_rows(made), plan(made)
    sums = totals(rows)
    used = budgets(sums)
    with on_top:  # so that it stays in sight while the controls below are used
        metrics(sums)
        st.markdown(budgets_line(used))
    guess = guess_wider()
    reveal_wider(guess, made, sums.params)
    st.subheader(_("Would the course take it?"))
    drawn(
        chart.budget_chart(used),
        budgets_alt([f"{chart.budget_title(b)}: {chart.budget_text(b)}" for b in used]),
        "budgets",
    )
    for column, verdict in zip(st.columns(3), years(sums), strict=True):
        baselines = ", ".join(
            f"{name} {value:.5f}" for name, value in verdict.baseline._asdict().items()
        )
        column.markdown(f"**{verdict.year}**  \n{verdict_words(verdict)}")
        column.caption(_("Accuracy asked on that year's split: {list}.").format(list=baselines))
    st.subheader(_("What you see"))
    picture(_("your design"), rows, parts, "scratch", "parts")
    sentences(rows, parts, made.input_px)
    st.subheader(_("Layer by layer"))
    table(rows, made.input_px, "design")
    st.subheader(_("Take it with you, train it"))
    exports(made)
    return chart.layers_frame(rows, made.input_px)


def exports(made: Design) -> None:
    """The design as a file, as PyTorch source, and handed to training: a link and a command."""
    with st.container(horizontal=True):
        st.download_button(
            _("Design (JSON)"),
            made.to_json(),
            file_name=f"{made.slug}.json",
            mime="application/json",
            icon=":material/download:",
            on_click="ignore",
        )
        st.download_button(
            _("PyTorch source"),
            pytorch_source(made),
            file_name=f"{made.slug}.py",
            mime="text/x-python",
            icon=":material/code:",
            on_click="ignore",
        )
    page_link(
        contents.entry("training"),
        _("Train this student"),
        {"model": f"{PREFIX}{made.line}", "px": str(made.input_px)},
    )
    st.markdown(_("Or at a command line in the app's folder, on the photographs that you have:"))
    st.code(
        f"python -m core train --model {PREFIX}{made.line} --px {made.input_px}",
        language="bash",
        wrap_lines=True,
    )


def _choose(label: str, key: str, first: str) -> Described:
    titles = {one: plans.describe(one).title for one in plans.known()}
    chosen = one_of(st.selectbox, label, titles, key, first, width=300)
    return plans.describe(chosen)


def _side(own: int, key: str) -> int:
    sides = sorted({own, *SIDES})
    return one_of(st.selectbox, _("Photo side, px"), sides, key, own, width=110)


def _role(one: Described) -> RoleKey:
    return trained_role(one.family, "scratch")


def _to_designer(made: Design) -> None:
    url_state.say("mode", "design")
    take(made)


MODES = {
    "look": (_("Look inside"), look),
    "compare": (_("Side by side"), side_by_side),
    "design": (_("Design one"), design),
}


def main() -> None:
    """Draw the page."""
    st.title(contents.entry("architecture").question)
    st.markdown(
        _(
            "A network is a stack of layers, and its parameters, its work and its memory "
            "rarely sit in "
            "the same ones. Open one, put two side by side, or design a student that fits a budget."
        )
    )
    mode = one_of(
        st.segmented_control,
        _("What to do"),
        {key: title for key, (title, _draw) in MODES.items()},
        "mode",
        "look",
        required=True,
        label_visibility="collapsed",
    )
    frame = MODES[mode][1]()

    with st.expander(_("Why: counting a layer"), icon=":material/function:"):
        st.latex(
            r"\text{params} = C_\text{out}\,\frac{C_\text{in}}{g}\,k^2 + C_\text{out} \qquad "
            r"\text{MACs} = H\,W\,C_\text{out}\,\frac{C_\text{in}}{g}\,k^2"
        )
        st.latex(r"r' = r + (k - 1)\,j \qquad j' = s\,j")
        st.markdown(
            _(
                "$C_\\text{in}$, $C_\\text{out}$: channels in and out; $k$: kernel; $g$: groups; "
                "$H$, $W$: sides of the output map; the last $C_\\text{out}$ are the biases. "
                "Halving "
                "the map quarters the MACs and leaves the parameters; doubling the channels "
                "quadruples both. $r$ is the receptive field, $j$ the distance in the photo "
                "between "
                "two neighbouring values, $s$ the stride (Araujo et al. 2019). This counts a "
                "convolution here:"
            )
        )
        st.code(inspect.getsource(cost.count_conv), language="python")

    with st.expander(
        _("Trap: torchsummary sees modules, and touches them"), icon=":material/warning:"
    ):
        student = plans.describe("hw13_residual")
        assert student.design is not None
        listed = student.design.model_copy(update={"functional": False})
        tables = [(layer_rows(one), one.input_px) for one in (student.design, listed)]
        (few, quiet), (many, loud) = ((len(rows), summary_mb(rows, px)[1]) for rows, px in tables)
        st.markdown(
            _(
                "**It lists modules only.** HW13's residual student writes some activations as "
                "function calls: {few} rows, and {quiet} MB for its forward and backward pass. The "
                "very same network with these written as modules: {many} rows, {loud} MB. Same "
                "parameters ({params}), same answers. So compare torchsummary's parameters, "
                "never its "
                "memory. Try it: open the student in the designer and turn “function calls” off."
            ).format(
                few=few,
                many=many,
                quiet=numbers.count(round(quiet)),
                loud=numbers.count(round(loud)),
                params=numbers.count(totals(tables[0][0]).params),
            )
        )
        st.markdown(
            _(
                "**It runs the network.** In train mode that run, on random noise, changes "
                "BatchNorm's running statistics: a public report saw a teacher fall from 0.8714 to "
                "about 0.861 by being summarised. Say `model.eval()` first. The tables on this "
                "page "
                "are counted, not run; to print one of a built network safely: "
                "`python -m core summary {key}`."
            ).format(key=student.key)
        )

    with st.expander(_("From the homework: HW7 Q1 and Q4, HW13 Q1"), icon=":material/school:"):
        st.markdown(
            _(
                "**HW13 Q1: draw your student and paste its torchsummary.** *Design one* draws "
                "it and "
                "prints the table; the limit is {limit} parameters ({strict} in 2023), "
                "torchsummary's "
                "total counts, and over the limit scores 0. The sample student and a report's "
                "residual "
                "student are in the list."
            ).format(
                limit=numbers.count(PARAM_LIMITS["HW13 2022"]),
                strict=numbers.count(PARAM_LIMITS["HW13 2023"]),
            )
        )
        big, small = (totals(layer_rows(plans.describe(key).parts, 128)).params
                      for key in ("plain_2m", "dwpw_256k"))  # fmt: skip
        st.markdown(
            _(
                "**HW7 Q1: what does depthwise + pointwise save?** *Side by side*, as it opens: "
                "{big} against {small} parameters, {times}. **HW7 Q4: three networks of about "
                "1 MB**, "
                "plain, depthwise + pointwise and group: open each, and see where each spends it."
            ).format(
                big=numbers.count(big), small=numbers.count(small), times=numbers.ratio(big / small)
            )
        )

    st.caption(
        _("All counts are exact and made here; the accuracies asked for are the course's own.")
    )
    foot("architecture", frame)


if __name__ == "__main__":
    main()
