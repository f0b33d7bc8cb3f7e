"""Architecture: any network laid open, two side by side, or one of your own within a budget."""

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from core.charts import numbers
from core.charts.theme import RoleKey, trained_role
from core.course import PARAM_LIMITS
from core.errors import ConfigError
from core.i18n import _
from core.models.design import cost, plans
from core.models.design.chart import (
    MEASURES,
    budget_chart,
    budget_text,
    budget_title,
    layers_frame,
    measure_text,
    measure_title,
    parts_chart,
    parts_frame,
    ratio_chart,
    ratio_text,
    ratios_frame,
)
from core.models.design.cost import Row, Totals, layer_rows, stage_totals, totals
from core.models.design.limits import YearVerdict, budgets, years
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
from pages.kit import frame, guess, url_state
from pages.kit.figure import data_button, show
from pages.kit.guess import Guess
from pages.kit.url_state import one_of

KEY = "architecture"
SIDES = (64, 96, 128, 160, 192, 224)
"""Photo sides offered, in pixels; every registered network fits all of them."""
LINE, GOOD, PROBLEM, STAGE = "design", "design_good", "design_problem", "design_stage"
"""Session keys: the design's line, the last line that could be read, why a change was refused, and
the number of the stage that is being changed."""
FIRST = "px128-relu6-stem16p-sep32p-sep64p-sep128p-sep128x2"
"""What the designer opens with: HW7's student, made narrower until it fits HW13's limits."""


def main() -> None:
    """Draw the page."""
    st.title(frame.entry(KEY).question)
    st.markdown(
        _(
            "A network is a stack of layers. Its parameters, its work and its memory rarely sit in "
            "the same ones."
        )
    )
    laboratory()
    frame.foot(KEY)


@frame.section
def laboratory() -> None:
    """One of three ways to use the page: look inside a network, compare two, design one."""
    modes: dict[str, tuple[str, Callable[[], None]]] = {
        "look": (_("Look inside"), look),
        "compare": (_("Side by side"), side_by_side),
        "design": (_("Design one"), design),
    }
    mode = one_of(
        st.segmented_control,
        _("What to do"),
        {key: title for key, (title, _draw) in modes.items()},
        "mode",
        "look",
        required=True,
        label_visibility="collapsed",
    )
    modes[mode][1]()


# ------------------------------------------------------------------------------------------------
# Look inside: where one network's costs sit. Its parameters wait for a guess.


def look() -> None:
    """Open one registered network."""
    with frame.instrument() as (controls, picture):
        with controls:
            network = _network(_("Network"), "model", "dwpw_256k")
            px = _side(network.input_px, f"px_{network.key}")
            if network.design is not None:
                st.button(
                    _("Change it in the designer"),
                    icon=":material/design_services:",
                    on_click=_to_designer,
                    args=(network.design,),
                    width="stretch",
                )
        rows = layer_rows(network.parts, px)
        table = parts_frame(rows, network.parts)
        with picture:
            answer = guess.ask(
                _("Guess: where do most of its parameters sit?"),
                {
                    "first": _("in its first half"),
                    "second": _("in its second half"),
                    "classifier": _("in the classifier"),
                },
                key="guess_half",
            )
            hidden = () if answer.is_open else ("params",)
            parts(network.title, rows, network.parts, _role(network), "parts", hidden)
            first, second, classifier = shares = halves(table, "params")
            most = ("first", "second", "classifier")[shares.index(max(shares))]
            guess.verdict(
                answer,
                answer.value == most,
                _("First half {first}, second half {second}, classifier {classifier}.").format(
                    first=numbers.share(first),
                    second=numbers.share(second),
                    classifier=numbers.share(classifier),
                ),
            )
    st.header(_("What you see"))
    st.markdown("  \n".join([totals_line(totals(rows)),
                             *seen(table, totals(rows), px, answer.is_open)]))  # fmt: skip
    frame.tabs(
        [
            frame.Tab("layers", _("Layer by layer"), partial(layers, rows, px, answer.is_open)),
            frame.Tab("torchsummary", "torchsummary", partial(summary, rows, px, answer)),
            frame.Tab("why", _("Why"), why),
            frame.Tab("trap", _("Trap"), trap),
            frame.Tab("homework", _("Homework"), homework),
        ]
    )


def _network(label: str, key: str, first: str) -> Described:
    titles = {known: plans.describe(known).title for known in plans.known()}
    return plans.describe(one_of(st.selectbox, label, titles, key, first))


def _side(own: int, key: str) -> int:
    sides = sorted({own, *SIDES})
    return one_of(st.selectbox, _("Photo side, px"), sides, key, own)


def _role(network: Described) -> RoleKey:
    return trained_role(network.family, "scratch")


def _to_designer(design: Design) -> None:
    url_state.say("mode", "design")
    take(design)


def parts(
    title: str,
    rows: Sequence[Row],
    structure: Plan,
    role: RoleKey,
    key: str,
    hidden: Sequence[str] = (),
) -> None:
    """The bars that say where parameters, MACs and memory sit."""
    table = parts_frame(rows, structure)
    show(
        parts_chart(table, role, hidden),
        parts_alt(title, table, totals(rows), hidden),
        key=key,
    )
    part = table["part"].iloc[-2]
    place, maps = part.split(maxsplit=1)
    channels, side = maps.removesuffix("²").split(" × ")
    words = _("Shares of the whole, the input on top. “{part}”: stage.block {place}, "
              "{n} maps of {side} × {side}.")  # fmt: skip
    lines = [words.format(part=part, place=place, n=channels, side=side)]
    if structure[0].kind == "enlargement":
        lines.append(
            _(
                "This network first enlarges the photo, to {px} × {px} pixels: that has no "
                "parameters and no MACs of its own, but every map behind it is the larger."
            ).format(px=rows[0].output_shape[-1])
        )
    st.caption(" ".join(lines))


def parts_alt(name: str, table: pd.DataFrame, sums: Totals, hidden: Sequence[str] = ()) -> str:
    """Alt text of the parts chart."""
    lines = [
        _("{measure} {total}").format(
            measure=measure_title(measure), total=measure_text(measure, getattr(sums, measure))
        )
        if measure in hidden
        else _("{measure} {total}, most in {part} ({share})").format(
            measure=measure_title(measure),
            total=measure_text(measure, getattr(sums, measure)),
            part=largest(table, measure)[0],
            share=numbers.share(largest(table, measure)[1]),
        )
        for measure in MEASURES
    ]
    return _("Bars for each part of {name}, from the stem to the classifier. {costs}.").format(
        name=name, costs="; ".join(lines)
    )


def largest(table: pd.DataFrame, name: str) -> tuple[str, float]:
    """The part of `parts_frame` with the most of a measure, and its share of the whole."""
    shares = table[f"{name}_share"].tolist()
    most = max(shares)
    return str(table["part"].iloc[shares.index(most)]), most


def halves(table: pd.DataFrame, name: str) -> tuple[float, float, float]:
    """Shares of a measure of `parts_frame`: first half of the parts, second half, classifier."""
    shares = table[f"{name}_share"]
    middle = (len(table) - 1) // 2
    return (
        float(shares.iloc[:middle].sum()),
        float(shares.iloc[middle:-1].sum()),
        float(shares.iloc[-1]),
    )


def totals_line(sums: Totals) -> str:
    """What the whole network costs, in a line."""
    return _(
        "**{params}** parameters, {float32} as float32 and {int8} at 8 bit each; {macs} MACs for "
        "one photo; {memory} for all its maps."
    ).format(
        params=numbers.count(sums.params),
        float32=numbers.size(sums.float32_bytes),
        int8=numbers.size(sums.int8_bytes),
        macs=measure_text("macs", sums.macs),
        memory=measure_text("activation_bytes", sums.activation_bytes),
    )


def seen(table: pd.DataFrame, sums: Totals, input_px: int, is_open: bool = True) -> list[str]:
    """Sentences on where a network's costs sit, once that `is_open`, and how far it looks."""
    early, late = halves(table, "macs"), halves(table, "params")
    if not is_open:
        return [
            _("The first half of the parts does {macs} of the MACs.").format(
                macs=numbers.share(early[0])
            ),
            reach(sums, input_px),
        ]
    return [
        _(
            "The first half of the parts does {macs} of the MACs with {params} of the parameters; "
            "the second half holds {late} of the parameters. Early maps are large and thin, late "
            "ones small and deep."
        ).format(
            macs=numbers.share(early[0]),
            params=numbers.share(late[0]),
            late=numbers.share(late[1]),
        ),
        reach(sums, input_px),
    ]


def reach(sums: Totals, input_px: int) -> str:
    """How much of the picture one value of the last map sees."""
    field, area = sums.receptive_field, (sums.receptive_field / input_px) ** 2
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


def layers(rows: Sequence[Row], input_px: int, has_params: bool = True, key: str = KEY) -> None:
    """The layer table: torchsummary's columns and three more; parameters wait for the guess."""
    table = layers_frame(rows, input_px)
    if not has_params:
        table = table.drop(columns="params")
        st.caption(_("Its parameters are added when you have guessed."))
    st.dataframe(
        table.assign(activation_kb=table["activation_bytes"] / 1000).drop(
            columns="activation_bytes"
        ),
        hide_index=True,
        height=350,
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
            n=len(table), params=numbers.count(totals(rows).params)
        ),
    )
    data_button(table, key)


def summary(rows: Sequence[Row], input_px: int, answer: Guess[str] | None) -> None:
    """What torchsummary prints, to copy."""
    if answer is None or not guess.waits(answer):
        st.code(summary_text(rows, input_px), language=None)


# ------------------------------------------------------------------------------------------------
# Side by side: what the second network saves, and what it does not. Memory waits for a guess.


def side_by_side() -> None:
    """Two registered networks at the same photo side."""
    with frame.instrument() as (controls, picture):
        with controls:
            first = _network(_("First network"), "model_a", "plain_2m")
            second = _network(_("Second network"), "model_b", "dwpw_256k")
            px = _side(128, "px_both")
        first_rows, second_rows = layer_rows(first.parts, px), layer_rows(second.parts, px)
        table = ratios_frame(totals(first_rows), totals(second_rows))
        with picture:
            answer = guess.ask(
                _("Guess: from the first to the second, the memory for feature maps …"),
                {
                    "as_much": _("falls as much as the parameters"),
                    "less": _("falls, but far less"),
                    "not": _("hardly changes, or grows"),
                },
                key="guess_memory",
            )
            hidden = () if answer.is_open else ("activation_bytes",)
            show(
                ratio_chart(table, _role(second), hidden),
                ratios_alt(first.title, second.title, table, hidden),
                key="ratios",
            )
            ratio = dict(zip(table["measure"], table["ratio"], strict=True))
            params, memory = ratio["params"], ratio["activation_bytes"]
            happened = "not" if memory < 1.15 else "less" if memory < 0.6 * params else "as_much"
            guess.verdict(
                answer,
                answer.value == happened,
                _("Parameters {params}, memory {memory}.").format(
                    params=ratio_text(params), memory=ratio_text(memory)
                ),
            )
    st.header(_("What you see"))
    st.markdown("  \n".join(ratios_seen(first.title, second.title, table, answer.is_open)))
    both = ((first, first_rows), (second, second_rows))
    frame.tabs(
        [
            frame.Tab("parts", _("Part by part"), partial(both_parts, both, answer)),
            frame.Tab("layers", _("Layer by layer"), partial(both_layers, both, px, answer)),
            frame.Tab("why", _("Why"), why),
            frame.Tab("trap", _("Trap"), trap),
            frame.Tab("homework", _("Homework"), homework),
        ]
    )


def both_parts(both: Sequence[tuple[Described, list[Row]]], answer: Guess[str]) -> None:
    """Where each network's costs sit."""
    if guess.waits(answer):
        return
    for place, (network, rows) in enumerate(both):
        st.markdown(f"**{network.title}**")
        parts(network.title, rows, network.parts, _role(network), f"parts_{place}")


def both_layers(both: Sequence[tuple[Described, list[Row]]], px: int, answer: Guess[str]) -> None:
    """Both layer tables."""
    if guess.waits(answer):
        return
    for place, (network, rows) in enumerate(both):
        st.markdown(f"**{network.title}**")
        layers(rows, px, key=f"side-{place}")


def ratios_seen(first: str, second: str, table: pd.DataFrame, is_open: bool = True) -> list[str]:
    """What the second network saves, and, once that `is_open`, what it does not."""
    ratio = dict(zip(table["measure"], table["ratio"], strict=True))
    lines = [
        _("**{second}** against **{first}**: parameters {params}, MACs {macs}.").format(
            first=first,
            second=second,
            params=ratio_text(ratio["params"]),
            macs=ratio_text(ratio["macs"]),
        ),
    ]
    if is_open:
        lines.append(
            _("Memory for the feature maps: {memory}.").format(
                memory=ratio_text(ratio["activation_bytes"])
            )
        )
    if is_open and ratio["params"] > 2 and ratio["activation_bytes"] < ratio["params"] / 2:
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


def ratios_alt(first: str, second: str, table: pd.DataFrame, hidden: Sequence[str] = ()) -> str:
    """Alt text of the comparison chart."""
    ratios = [
        f"{measure_title(line['measure'])} "
        + ("?" if line["measure"] in hidden else ratio_text(line["ratio"]))
        for line in table.to_dict("records")
    ]
    return _("What {second} needs, compared with {first}: {ratios}.").format(
        first=first, second=second, ratios=", ".join(ratios)
    )


# ------------------------------------------------------------------------------------------------
# Design one. One line of text is the design; every control rewrites it.
#
# The line is a text field bound to the link, so a link, a typed line, an uploaded file and the
# controls can never disagree. A change that cannot be built is explained and not made.


def design() -> None:
    """Design a student within the course's limits."""
    made = written_design()
    with frame.instrument() as (controls, picture):
        with controls:
            stage_controls(made)
        rows, structure = layer_rows(made), plan(made)
        sums = totals(rows)
        used = budgets(sums)
        with picture:
            show(
                budget_chart(used),
                _("How much of each of the course's limits this network uses. {lines}.").format(
                    lines="; ".join(f"{budget_title(b)}: {budget_text(b)}" for b in used)
                ),
                key="budgets",
            )
            stage = made.stages[_place() - 1]
            st.caption(f"{block_title(stage.block)}: {block_note(stage.block)}")
    st.markdown(
        "  \n".join([totals_line(sums), stage_cost(stage_totals(rows, structure, _place()), sums)])
    )
    frame.tabs(
        [
            frame.Tab("years", _("Would the course take it?"), partial(verdicts, sums)),
            frame.Tab("parts", _("Part by part"), partial(own_parts, made, rows, structure)),
            frame.Tab("layers", _("Layer by layer"), partial(layers, rows, made.input_px)),
            frame.Tab("wider", _("Twice as wide?"), partial(wider, made, sums.params)),
            frame.Tab("take", _("Take it, train it"), partial(exports, made)),
            frame.Tab("torchsummary", "torchsummary", partial(summary, rows, made.input_px, None)),
            frame.Tab("why", _("Why"), why),
            frame.Tab("trap", _("Trap"), trap),
            frame.Tab("homework", _("Homework"), homework),
        ]
    )


def current() -> Design:
    """The last design that could be read in this session."""
    return read(st.session_state.get(GOOD, FIRST))


def take(design: Design) -> None:
    """Make `design` the one on the page (from a callback, before the page runs again)."""
    st.session_state[GOOD] = design.line
    url_state.say(LINE, design.line)
    st.session_state.pop(PROBLEM, None)


def written_design() -> Design:
    """Draw the design's line; returns the design that it says, or the last that could be read."""
    text = url_state.draw(
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
        made = read(text)
        st.session_state[GOOD] = made.line
    except ConfigError as error:
        st.warning(
            _("{problem} Below is the last design that worked.").format(problem=error),
            icon=":material/rule:",
        )
        made = current()
    if problem := st.session_state.pop(PROBLEM, None):
        st.warning(problem, icon=":material/rule:")
    return made


def stage_controls(made: Design) -> None:
    """The stage that is being changed, and two popovers for all else."""
    if _place() > len(made.stages):
        _to(len(made.stages))
    codes = made.line.split("-")[-len(made.stages) :]
    titles = {number: f"{number} · {code}" for number, code in enumerate(codes, start=1)}
    stage = made.stages[one_of(st.pills, _("Stage"), titles, STAGE, 1, required=True) - 1]
    _control(
        st.selectbox, _("Block"), "block", stage.block, options=BLOCKS, format_func=block_title
    )
    _control(
        st.number_input, _("Width"), "width", stage.width,
        min_value=1, max_value=MAX_WIDTH, step=8,
    )  # fmt: skip
    _control(
        st.number_input, _("Repeats"), "repeats", stage.repeats,
        min_value=1, max_value=MAX_REPEATS, step=1,
    )  # fmt: skip
    with st.popover(_("More of this stage"), icon=":material/tune:", width="stretch"):
        _more_of_stage(stage, len(made.stages))
    with st.popover(_("The whole network"), icon=":material/account_tree:", width="stretch"):
        _starts()
        _whole(made)


def _more_of_stage(stage: Stage, stages: int) -> None:
    downs = {"none": _("no"), "pool": _("pool after it"), "stride": _("stride 2")}
    _control(
        st.selectbox, _("Halves the side"), "down", stage.down,
        options=list(downs), format_func=downs.__getitem__,
    )  # fmt: skip
    _control(
        st.selectbox, _("Kernel"), "kernel", stage.kernel,
        options=KERNELS, format_func=lambda k: f"{k} × {k}",
    )  # fmt: skip
    if stage.block == "group":
        _control(
            st.number_input, _("Groups"), "groups", stage.groups,
            min_value=1, max_value=MAX_GROUPS, step=1,
        )  # fmt: skip
    if stage.block == "inverted":
        _control(
            st.number_input, _("Expansion"), "expansion", stage.expansion,
            min_value=1, max_value=8, step=1,
        )  # fmt: skip
    with st.container(horizontal=True):
        for label, icon, step, given, off in (
            (_("Add after"), "add", _add, (), stages >= MAX_STAGES),
            (_("Remove"), "delete", _remove, (), stages == 1),
            (_("Earlier"), "arrow_back", _move, (-1,), _place() == 1),
            (_("Later"), "arrow_forward", _move, (1,), _place() == stages),
        ):
            st.button(label, icon=f":material/{icon}:", on_click=step, args=given, disabled=off,
                      key=f"stage_{icon}")  # fmt: skip


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
    )
    st.file_uploader(
        _("A design saved here (JSON)"),
        type="json",
        key="design_file",
        max_upload_size=1,
        on_change=_open,
    )


def _start() -> None:
    key = st.session_state["design_start"]
    made = plans.describe(key).design if key else None
    if made is not None:
        take(made)
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


def _whole(made: Design) -> None:
    stem = made.stem
    halvings = {
        (1, 0): _("no"),
        (2, 0): _("stride 2"),
        (1, 2): _("pool 2 × 2"),
        (2, 2): _("stride 2, pool 2 × 2"),
        (1, 3): _("pool 3 × 3"),
        (2, 3): _("stride 2, pool 3 × 3"),
    }
    left, right = st.columns(2)
    with left:
        _control(
            st.number_input, _("Photo side, px"), "input_px", made.input_px,
            min_value=32, max_value=512, step=16,
        )  # fmt: skip
        _control(
            st.selectbox, _("Activation"), "activation", made.activation,
            options=ACTIVATIONS, format_func=activation_title,
        )  # fmt: skip
        _control(st.toggle, _("Stages: biases"), "bias", made.bias,
                 help=_("A BatchNorm behind a convolution makes its bias idle."))  # fmt: skip
        _control(st.toggle, _("Padding"), "padding", made.padding,
                 help=_("Off, convolutions lose a border of k // 2 pixels."))  # fmt: skip
    with right:
        _control(
            st.number_input, _("Stem width"), "stem_width", stem.width,
            min_value=1, max_value=MAX_WIDTH, step=8,
        )  # fmt: skip
        _control(
            st.selectbox, _("Stem kernel"), "stem_kernel", stem.kernel,
            options=KERNELS, format_func=lambda k: f"{k} × {k}",
        )  # fmt: skip
        _control(st.toggle, _("Stem: bias"), "stem_bias", stem.bias)
    _control(
        st.selectbox, _("Stem halves the side"), "stem_halving", (stem.stride, stem.pool),
        options=list(halvings), format_func=halvings.__getitem__,
    )  # fmt: skip
    _control(st.toggle, _("Outer activations and last pool as function calls"),
             "functional", made.functional,
             help=_("torchsummary does not list those: see the trap."))  # fmt: skip


def _control(draw: Callable[..., Any], label: str, key: str, value: Any, **more: Any) -> None:
    """A widget that shows `value` and, when touched, asks `_change` to rewrite the line."""
    name = f"edit_{key}"
    st.session_state[name] = value
    draw(label, key=name, on_change=_change, args=(key,), **more)


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


def stage_cost(stage: Totals, whole: Totals) -> str:
    """What one stage of a design costs, beside the whole network, in a line."""
    return _(
        "This stage: {params} parameters ({params_share}), {macs} MACs ({macs_share})."
    ).format(
        params=numbers.count(stage.params),
        params_share=numbers.share(stage.params / whole.params),
        macs=measure_text("macs", stage.macs),
        macs_share=numbers.share(stage.macs / whole.macs),
    )


def verdicts(sums: Totals) -> None:
    """Each year's limit and what it asked for."""
    for column, verdict in zip(st.columns(3), years(sums), strict=True):
        baselines = ", ".join(
            f"{name} {value:.5f}" for name, value in verdict.baseline._asdict().items()
        )
        column.markdown(f"**{verdict.year}**  \n{verdict_words(verdict)}")
        column.caption(_("Accuracy asked on that year's split: {list}.").format(list=baselines))


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


def own_parts(made: Design, rows: Sequence[Row], structure: Plan) -> None:
    """Where the design's costs sit."""
    parts(_("your design"), rows, structure, "scratch", "parts")
    table = parts_frame(rows, structure)
    st.markdown("  \n".join(seen(table, totals(rows), made.input_px)))


def wider(made: Design, params: int) -> None:
    """What twice the width does to the number of parameters: a guess, and the count."""
    answer = guess.ask(
        _("Guess: make every layer twice as wide, and the parameters become …"),
        {times: _("{n} times as many").format(n=times) for times in (2, 3, 4, 8)},
        key="guess_wider",
    )
    wide = widened(made, 2)
    if wide is None:
        st.caption(_("This design cannot be made twice as wide."))
        return
    more = totals(layer_rows(wide)).params
    guess.verdict(
        answer,
        answer.value == round(more / params),
        _(
            "{params} become {more}, {times} times as many. A layer's weights are input channels "
            "times output channels, and both double; only biases, BatchNorm and depthwise layers "
            "grow by two."
        ).format(
            params=numbers.count(params), more=numbers.count(more), times=f"{more / params:.1f}"
        ),
    )


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
    frame.page_link(
        frame.entry("training"),
        _("Train this student"),
        {"model": f"{PREFIX}{made.line}", "px": str(made.input_px)},
    )
    st.markdown(_("Or at a command line in the app's folder, on the photographs that you have:"))
    st.code(
        f"python -m core train --model {PREFIX}{made.line} --px {made.input_px}",
        language="bash",
        wrap_lines=True,
    )


# ------------------------------------------------------------------------------------------------
# Tabs "Why", "Trap" and "Homework".


def why() -> None:
    """How a layer's parameters, MACs and receptive field are counted."""
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


def trap() -> None:
    """What torchsummary does not list, and what it changes."""
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


def homework() -> None:
    """HW7 Q1 and Q4 and HW13 Q1, and where on the page their answers stand."""
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


if __name__ == "__main__":
    main()
