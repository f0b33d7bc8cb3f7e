"""Architecture: a network laid open, two side by side, one of your own design, your own file."""

import inspect
import re
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from core.charts import numbers
from core.charts.theme import RoleKey, trained_role
from core.checkpoints import Checkpoint, get
from core.checkpoints.by_recipe import is_trial
from core.course import BASELINES, PARAM_LIMITS
from core.errors import CheckpointError, ConfigError, UserError
from core.i18n import _, labelled, paragraph
from core.inference.layers import Layer, Maps, layers_of, pixel
from core.models.design import chart, cost, plans, spec
from core.models.design.cost import Row, Totals, layer_rows, stage_totals, totals
from core.models.design.limits import budgets
from core.models.design.plan import Plan, plan
from core.models.design.plans import KnownNetwork, summary_mb, summary_text
from core.models.design.source import pytorch_source
from core.models.design.spec import Block, Design, Stage, change, read
from core.models.registry import MODELS, PREFIX, SCALINGS
from core.models.registry import get as get_model
from core.own import network as own_network
from core.own.file import Match, find
from core.own.file import read as read_file
from core.photos import prepare
from pages.kit import frame, guess, networks, photos, quiz, url_state
from pages.kit.figure import data_button, show, source
from pages.kit.guess import Guess
from pages.kit.live import LivePoint
from pages.kit.maps import maps_component, packed
from pages.kit.photos import Photo
from pages.kit.provenance import accuracy_line
from pages.kit.url_state import one_of

KEY = "architecture"
SIDES = (64, 96, 128, 160, 192, 224)
"""Photo sides offered, in pixels; every registered network fits all of them."""
LINE, GOOD, PROBLEM, STAGE = "design", "design_good", "design_problem", "design_stage"
"""Session keys: the design's line, the last line that could be read, why a change was refused, and
the number of the stage that is being changed."""
FIRST = "px128-relu6-stem16p-sep32p-sep64p-sep128p-sep128x2"
"""What the designer opens with: HW7's student, made narrower until it fits HW13's limits."""

SHOWN, THUMB_PX = 16, 64
"""Feature maps of a layer that are shown, and the most pixels of their side."""
show_maps = maps_component("layer_maps", Path(__file__).with_suffix(".js"))
"""Feature maps in the browser: architecture.js and architecture.css."""

Parts = Sequence[dict[str, Any]]
"""Rows of `core.models.design.chart.part_rows`."""


def main() -> None:
    """Draw the page."""
    st.title(frame.entry(KEY).question)
    st.markdown(
        _("The parameters, the work and the memory of a network are rarely in the same layers.")
    )
    laboratory()
    frame.foot(KEY)


@frame.section
def laboratory() -> None:
    """One of four ways to use the page: look inside a network, compare, design one, bring one."""
    modes: dict[str, tuple[str, Callable[[], None]]] = {
        "look": (_("Inside"), look),
        "compare": (_("Compare"), side_by_side),
        "design": (_("Design"), design),
        "own": (_("Your file"), own_file),
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


def last_tabs() -> list[frame.Tab]:
    """The tabs that every mode ends with."""
    return [
        frame.Tab("why", _("Why"), why, former=("wider",)),
        frame.Tab("trap", _("Trap"), trap),
        frame.Tab("homework", _("Homework"), homework, former=("years",)),
    ]


def look() -> None:
    """Where one registered network's costs sit; its parameters wait for a guess."""
    with frame.instrument() as (controls, picture):
        with controls:
            network = choose_network(_("Network"), "model", "dwpw_256k")
            px = choose_side(network.input_px, f"px_{network.key}")
            if network.design is not None:
                st.button(
                    _("Edit in the designer"),
                    icon=":material/design_services:",
                    on_click=to_designer,
                    args=(network.design,),
                    width="stretch",
                )
        rows = layer_rows(network.parts, px)
        parts = chart.part_rows(rows, network.parts)
        with picture:
            place = st.container()
            answer = guess.ask(
                _("Guess: where do most of its parameters sit?"),
                {
                    "first": _("in its first half"),
                    "second": _("in its second half"),
                    "classifier": _("in the classifier"),
                },
                key="guess_half",
                about=network.key,
            )
            hidden = () if answer.is_open else ("params",)
            with place:
                draw_parts(
                    _(network.title), parts, network.parts, role_of(network), "parts", hidden
                )
            shares = halves(parts, "params")
            most = ("first", "second", "classifier")[shares.index(max(shares))]
            first, second, classifier = map(numbers.share, shares)
            guess.verdict(
                answer,
                answer.value == most,
                _("First half {first}, second half {second}, classifier {classifier}.").format(
                    first=first, second=second, classifier=classifier
                ),
            )
    lines = [totals_line(totals(rows)), *parts_seen(parts, totals(rows), px, answer.is_open)]
    st.markdown(_("**What you see.** {lines}").format(lines=paragraph(lines)))
    frame.tabs(
        [
            frame.Tab("layers", _("Layer by layer"), partial(layers, rows, px, answer.is_open)),
            frame.Tab("sees", _("What each layer sees"), partial(sights, network)),
            frame.Tab("torchsummary", "torchsummary", partial(summary, rows, px, answer)),
            *last_tabs(),
            quiz.tab(partial(_quiz, network, px, totals(rows)), f"{network.key}, {px} px", answer),
        ]
    )


def choose_network(label: str, key: str, default: str) -> KnownNetwork:
    """The menu of registered networks."""
    titles = {known: _(MODELS[known].title) for known in plans.known()}
    return plans.describe(one_of(st.selectbox, label, titles, key, default))


def choose_side(own: int, key: str) -> int:
    """The menu of photo sides, a network's `own` among them."""
    return one_of(st.selectbox, _("Input size, px"), sorted({own, *SIDES}), key, own)


def role_of(network: KnownNetwork) -> RoleKey:
    """The colour of a network that nobody has trained."""
    return trained_role(network.family, "scratch")


def to_designer(design: Design) -> None:
    """Open a network in the designer."""
    url_state.say("mode", "design")
    take(design)


def draw_parts(
    title: str, parts: Parts, structure: Plan, role: RoleKey, key: str, hidden: Sequence[str] = ()
) -> None:
    """The bars that say where parameters, MACs and memory sit."""
    show(chart.parts_chart(parts, role, hidden), parts_alt(title, parts, hidden), key=key)
    part = parts[-2]["part"]
    place, maps = part.split(maxsplit=1)
    channels, side = maps.removesuffix("²").split(" × ")
    line = _(
        "Bars: shares of the total. “{part}” is stage.block {place}: {n} maps of {side} × {side}."
    )
    lines = [line.format(part=part, place=place, n=channels, side=side)]
    if structure[0].kind == "enlargement":
        enlarged = parts[0]["part"].split(" × ")[1].removesuffix("²")
        lines.append(
            _(
                "This network first enlarges the photo to {px} × {px} pixels: no parameters, no "
                "MACs, but larger maps everywhere."
            ).format(px=enlarged)
        )
    st.caption(paragraph(lines))


def parts_alt(name: str, parts: Parts, hidden: Sequence[str] = ()) -> str:
    """Alt text of the parts chart."""
    lines = []
    for measure in chart.MEASURES:
        total = sum(part[measure] for part in parts)
        most = max(parts, key=lambda part: part[f"{measure}_share"])
        line = f"{chart.measure_title(measure)} {chart.measure_text(measure, total)}"
        if measure not in hidden:
            line = _("{total}, most in {part} ({share})").format(
                total=line, part=most["part"], share=numbers.share(most[f"{measure}_share"])
            )
        lines.append(line)
    return _("Bars for each part of {name}, from the stem to the classifier. {costs}.").format(
        name=name, costs=_("; ").join(lines)
    )


def halves(parts: Parts, measure: str) -> tuple[float, float, float]:
    """Shares of a measure: first half of the parts, second half, classifier."""
    *shares, classifier = [part[f"{measure}_share"] for part in parts]
    middle = len(shares) // 2
    return sum(shares[:middle]), sum(shares[middle:]), classifier


def totals_line(sums: Totals) -> str:
    """How many parameters the whole network has, and their bytes."""
    return _("**{params}** parameters: {float32} in float32, {int8} in 8 bits.").format(
        params=numbers.count(sums.params),
        float32=numbers.size(sums.float32_bytes),
        int8=numbers.size(sums.int8_bytes),
    )


def parts_seen(parts: Parts, sums: Totals, input_px: int, is_open: bool = True) -> list[str]:
    """Where a network's costs sit, its parameters once that `is_open`, and how far it looks."""
    line = _("The first half of the network does {macs} of the MACs.")
    if is_open:
        line = _(
            "The first half of the network does {macs} of the MACs with {params} of the "
            "parameters; the second half has {late} of the parameters. Early maps are large with "
            "few channels, late maps small with many."
        )
    params = halves(parts, "params")
    line = line.format(
        macs=numbers.share(halves(parts, "macs")[0]),
        params=numbers.share(params[0]),
        late=numbers.share(params[1]),
    )
    field, area = sums.receptive_field, (sums.receptive_field / input_px) ** 2
    reach = _("One value of the last map depends on {field} × {field} px of the photo")
    reach += _(", more than its {px} × {px}.") if area >= 1 else _(": {share} of its area.")
    lines = [line, reach.format(field=numbers.count(field), px=input_px, share=numbers.share(area))]
    if area <= 0.5:
        lines.append(_("No value sees a whole plate; the average pool only takes the mean."))
    return lines


def layers(rows: Sequence[Row], input_px: int, with_params: bool = True, key: str = KEY) -> None:
    """The layer table: torchsummary's columns and three more; parameters wait for the guess."""
    if not with_params:
        st.caption(_("Parameters are shown after your guess."))
    table = chart.layer_columns(rows, input_px, with_params)
    st.dataframe(
        table,
        hide_index=True,
        height=350,
        key=f"{key}-table",
        column_config={
            "layer": st.column_config.TextColumn(_("Layer (type)"), pinned=True, width=116),
            "output_shape": st.column_config.TextColumn(_("Output shape"), width=132),
            "params": st.column_config.NumberColumn(_("Param #"), format="localized", width=84),
            "macs": st.column_config.NumberColumn(_("MACs"), format="localized"),
            "receptive_field": st.column_config.NumberColumn(_("Receptive field, px")),
            "output_kb": st.column_config.NumberColumn(_("Output, KB"), format="%.1f"),
        },
        alt=_("Layer table: {n} rows, {params} parameters in all.").format(
            n=len(rows), params=numbers.count(totals(rows).params)
        ),
    )
    data_button(table.to_pandas, key)


def sights(network: KnownNetwork) -> None:
    """What each layer of a trained network makes of a picture."""
    trained = [
        checkpoint
        for checkpoint in networks.checkpoints()
        if checkpoint.model == network.key and checkpoint.derived_from is None
    ]
    if not trained:
        st.info(_("No trained {name} is here.").format(name=_(network.title)))
        return
    st.markdown(
        _(
            "**Look at** the first maps: edges and colours. Later maps are smaller, and one value "
            "of them stands for a larger part of the picture. **Choose** a map, then a place in it."
        )
    )
    usual = [c.id for c in trained if c.seed == 0 and not is_trial(c.recipe)]
    left, right = st.columns(2, gap="medium", vertical_alignment="bottom")
    with left:
        checkpoint = networks.choose_one(_("Trained network"), trained, "network", first=usual)
    opened = layers_of(checkpoint)
    with right:
        at = one_of(
            st.select_slider,
            _("Layer"),
            range(1, len(opened.layers) + 1),
            f"layer_{network.key}",
            1,
        )
    place = st.container()
    chosen = photos.pick_another(place)
    if chosen is None:
        return
    versions = (checkpoint.id, checkpoint.weights_sha256, at - 1, chosen.key)
    if chosen.label is not None:
        sight = shared_sight(*versions, chosen)
    else:  # a visitor's own photo stays with the visitor
        kept = st.session_state.get("sight")
        if kept is None or kept[0] != versions:
            kept = st.session_state["sight"] = (versions, sight_of(*versions, chosen))
        sight = kept[1]
    with place:
        draw_sight(sight, "/".join(map(str, versions)), chosen.name, len(opened.layers))


class Sight(NamedTuple):
    """What one layer of a network makes of one picture."""

    number: int
    """Of the layer, from 0."""
    layer: Layer
    picture: NDArray[np.uint8]
    """(3, THUMB_PX, THUMB_PX): as the network sees it, smaller."""
    before: Maps
    after: Maps
    strongest: list[int]
    """The maps that are shown, by the mean of their values without sign; at most SHOWN."""


def sight_of(id: str, sha256: str, number: int, key: str, _photo: Photo) -> Sight:
    """Run a picture through a network and keep what one layer reads and gives."""
    del sha256, key  # only the key of the cache
    checkpoint = get(id)
    opened, image = layers_of(checkpoint), _photo.read()
    layer = opened.layers[number]
    picture = prepare(image, checkpoint.input_px, checkpoint.crop)
    before, after = opened.maps(picture, [layer.before, layer.after])
    strongest = np.argsort(-np.abs(after).mean((1, 2)), kind="stable")[:SHOWN]
    thumb = prepare(image, THUMB_PX, checkpoint.crop)
    return Sight(number, layer, thumb, before, after, [int(each) for each in strongest])


shared_sight = st.cache_resource(ttl=600, max_entries=16, show_spinner=False)(sight_of)
"""The same for a picture of a data set: all visitors share it."""


def draw_sight(sight: Sight, version: str, name: str, layers: int) -> None:
    """A layer's maps, and the sum behind the value that the visitor has clicked."""
    layer, after = sight.layer, sight.after
    channel, y, x = picked(sight, version)
    most = max(float(np.abs(after).max()), 1e-9)
    thumbs = smaller(after[sight.strongest])
    codes = [128 + np.rint(127 / most * maps) for maps in (thumbs, after[channel])]
    empty = int((np.abs(after).max((1, 2)) == 0).sum())
    out, reads, kernel = layer.weight.shape[:3]
    st.markdown(
        _("**Layer {n} of {all}**: {kind} {k} × {k}, {ins} → {outs} channels, {h} × {w}.").format(
            n=sight.number + 1, all=layers, kind=kind_of(layer), k=kernel, ins=layer.in_channels,
            outs=out, h=after.shape[1], w=after.shape[2],
        )
    )  # fmt: skip
    show_maps(
        key="layer_maps",
        data={
            "id": f"{version}/{channel}/{y}/{x}/{_('map')}",
            "layer": version,
            "alt": name,
            "picture": packed(sight.picture),
            "px": THUMB_PX,
            "numbers": sight.strongest,
            "thumb": thumbs.shape[1],
            "side": after.shape[1],
            "maps": packed(np.concatenate([each.ravel() for each in codes]).astype(np.uint8)),
            "sum": sum_of(sight, channel, y, x),
            "words": {
                "picture": _("The picture"),
                "maps": _("{n} of {all} maps, the strongest first").format(
                    n=len(sight.strongest), all=len(after)
                ),
                "map": _("Map {n}"),
                "large": _("Map {n}: choose a place"),
                "pixel": _("Map {n}, row {row}, column {column}"),
                "terms": _("Inputs × weights, those that count most:"),
                "term": _("{name}: {value}"),
                "inputs": _("{name}: inputs"),
                "weights": _("{name}: weights of the filter"),
            },
        },
        on_pick_change=lambda: None,
    )
    st.caption(
        _(
            "One colour scale for all: dark is 0, orange goes up to {most}, blue is below zero. "
            "{n} of {all} maps are 0 everywhere on this picture. Picture: {name}."
        ).format(most=f"{most:.3g}", n=empty, all=len(after), name=name)
    )


def picked(sight: Sight, version: str) -> tuple[int, int, int]:
    """Map, row and column that were clicked last; else the strongest map, and its strongest value.

    What the browser says may be anything.
    """
    channels, height, width = sight.after.shape
    pick = (st.session_state.get("layer_maps") or {}).get("pick")
    match pick:
        case [str(layer), int(channel), int(y), int(x)] if (
            layer == version and 0 <= channel < channels and 0 <= y < height and 0 <= x < width
        ):
            return channel, y, x
        case [str(layer), int(channel)] if layer == version and 0 <= channel < channels:
            pass
        case _:
            channel = sight.strongest[0]
    y, x = np.unravel_index(np.abs(sight.after[channel]).argmax(), (height, width))
    return channel, int(y), int(x)


def smaller(maps: Maps) -> Maps:
    """Square maps (n, h, h) of at most THUMB_PX a side: the means of blocks of values."""
    n, side = maps.shape[:2]
    block = -(-side // THUMB_PX)
    kept = side // block
    cut = maps[:, : kept * block, : kept * block]
    means: Maps = cut.reshape(n, kept, block, kept, block).mean((2, 4))
    return means


def sum_of(sight: Sight, channel: int, y: int, x: int) -> dict[str, Any]:
    """The sum behind one value, for architecture.js: its inputs that count most, and each step."""
    layer = sight.layer
    made = pixel(layer, sight.before, channel, y, x)
    sums = (made.inputs * made.weights).sum((1, 2))
    most = np.argsort(-np.abs(sums), kind="stable")[: 3 if made.weights[0].size > 1 else 8]
    rows = [
        (_("{n} products").format(n=numbers.count(made.weights.size)), made.products),
        (_("with bias {bias}").format(bias=signed(layer.bias[channel])), made.total),
    ]
    if layer.scale is not None and layer.shift is not None:
        words = _("BatchNorm: × {scale} {shift}").format(
            scale=f"{layer.scale[channel]:.3f}", shift=signed(layer.shift[channel])
        )
        rows.append((words, made.normalised))
    value = float(sight.after[channel, y, x])
    if layer.activation:
        name = "ReLU6" if layer.bounds == (0.0, 6.0) else layer.activation.replace("Relu", "ReLU")
        rows.append((name, value if made.value is None else made.value))
    first = layer.reads(channel).start
    colours = (_("red"), _("green"), _("blue")) if sight.number == 0 else ()
    return {
        "map": channel,
        "y": y,
        "x": x,
        "value": value,
        "rows": rows,
        "terms": [
            {
                "name": colours[k] if colours else _("input {n}").format(n=first + k + 1),
                "inputs": made.inputs[k].ravel().tolist(),
                "weights": made.weights[k].ravel().tolist(),
                "sum": float(sums[k]),
            }
            for k in most.tolist()
        ],
    }


def signed(value: float) -> str:
    """A number with its sign, as architecture.js writes it."""
    return f"{value:+.3f}".replace("-", "\N{MINUS SIGN}")


def kind_of(layer: Layer) -> str:
    """What a reader calls a layer's convolution."""
    if layer.groups == layer.in_channels > 1:
        return _("depthwise")
    if layer.groups > 1:
        return _("{g} groups,").format(g=layer.groups)
    return _("pointwise") if layer.weight[0, 0].size == 1 else _("standard")


def summary(rows: Sequence[Row], input_px: int, answer: Guess[str] | None) -> None:
    """What torchsummary prints, to copy."""
    if answer is None or not guess.waits(answer):
        st.code(summary_text(rows, input_px), language=None)


def side_by_side() -> None:
    """Two registered networks at the same photo side; memory waits for a guess."""
    with frame.instrument() as (controls, picture):
        with controls:
            first = choose_network(_("First network"), "model_a", "plain_2m")
            second = choose_network(_("Second network"), "model_b", "dwpw_256k")
            px = choose_side(128, "px_both")
        both = [(network, layer_rows(network.parts, px)) for network in (first, second)]
        ratios = chart.ratio_rows(totals(both[0][1]), totals(both[1][1]))
        with picture:
            place = st.container()
            answer = guess.ask(
                _("Guess: the second network's memory for feature maps is …"),
                {
                    "as_much": _("smaller by as much as the parameters"),
                    "less": _("smaller, but much less so"),
                    "not": _("about the same, or larger"),
                },
                key="guess_memory",
                about=f"{first.key}, {second.key}, {px} px",
            )
            hidden = () if answer.is_open else ("activation_bytes",)
            with place:
                show(
                    chart.ratio_chart(ratios, role_of(second), hidden),
                    ratios_alt(_(first.title), _(second.title), ratios, hidden),
                    key="ratios",
                )
            ratio = {row["measure"]: row["ratio"] for row in ratios}
            params, memory = ratio["params"], ratio["activation_bytes"]
            happened = "not" if memory < 1.15 else "less" if memory < 0.6 * params else "as_much"
            guess.verdict(
                answer,
                answer.value == happened,
                _("Parameters {params}, memory {memory}.").format(
                    params=chart.ratio_text(params), memory=chart.ratio_text(memory)
                ),
            )
    lines = paragraph(ratios_seen(_(first.title), _(second.title), ratio, answer.is_open))
    st.markdown(_("**What you see.** {lines}").format(lines=lines))

    def draw_both(as_table: bool) -> None:
        if guess.waits(answer):
            return
        for number, (network, rows) in enumerate(both):
            st.markdown(f"**{_(network.title)}**")
            if as_table:
                layers(rows, px, key=f"side-{number}")
            else:
                parts, role = chart.part_rows(rows, network.parts), role_of(network)
                draw_parts(_(network.title), parts, network.parts, role, f"parts_{number}")

    frame.tabs(
        [
            frame.Tab("parts", _("Part by part"), partial(draw_both, False)),
            frame.Tab("layers", _("Layer by layer"), partial(draw_both, True)),
            *last_tabs(),
        ]
    )


def ratios_seen(
    first: str, second: str, ratio: Mapping[str, float], is_open: bool = True
) -> list[str]:
    """What the second network saves, and, once that `is_open`, what it does not."""
    words = {name: chart.ratio_text(value) for name, value in ratio.items()}
    lines = [
        _("**{second}** against **{first}**: parameters {params}, MACs {macs}.").format(
            first=first, second=second, params=words["params"], macs=words["macs"]
        )
    ]
    if is_open:
        lines.append(
            _("Memory for the feature maps: {memory}.").format(memory=words["activation_bytes"])
        )
    if is_open and ratio["params"] > 2 and ratio["activation_bytes"] < ratio["params"] / 2:
        lines.append(
            _(
                "Fewer parameters do not mean smaller maps: their size depends only on channels "
                "and side, not on the convolution. Memory is one reason why time does not fall as "
                "parameters do."
            )
        )
    if ratio["layers"] < 0.95:
        lines.append(
            _(
                "It has more layers ({ratio}): each is little work, but each has to be started and "
                "its map written and read."
            ).format(ratio=words["layers"])
        )
    return lines


def ratios_alt(first: str, second: str, ratios: Parts, hidden: Sequence[str] = ()) -> str:
    """Alt text of the comparison chart."""
    words = [
        f"{chart.measure_title(row['measure'])} "
        f"{'?' if row['measure'] in hidden else chart.ratio_text(row['ratio'])}"
        for row in ratios
    ]
    return _("What {second} needs, compared with {first}: {ratios}.").format(
        first=first, second=second, ratios=_(", ").join(words)
    )


def design() -> None:
    """Design a student within the course's limits.

    One line of text is the design, and every control rewrites it. The line is a text field bound to
    the link, so a link, a typed line, an uploaded file and the controls can never disagree. A
    change that cannot be built is explained and not made.
    """
    made = written_design()
    with frame.instrument() as (controls, picture):
        with controls:
            stage_controls(made)
        rows, structure = layer_rows(made), plan(made)
        sums = totals(rows)
        used = budgets(sums)
        with picture:
            show(
                chart.budget_chart(used),
                _("How much of each of the course's limits this network uses. {lines}.").format(
                    lines=_("; ").join(
                        labelled(chart.budget_title(b), chart.budget_text(b)) for b in used
                    )
                ),
                key="budgets",
            )
            title, note = block_words()[made.stages[stage_number() - 1].block]
            st.caption(labelled(title, note))
    of_stage = stage_totals(rows, structure, stage_number())
    line = _("This stage: {params} parameters ({params_share}), {macs} MACs ({macs_share}).")
    line = line.format(
        params=numbers.count(of_stage.params),
        params_share=numbers.share(of_stage.params / sums.params),
        macs=chart.measure_text("macs", of_stage.macs),
        macs_share=numbers.share(of_stage.macs / sums.macs),
    )
    st.markdown(f"{totals_line(sums)}  \n{line}")

    def own_parts() -> None:
        parts = chart.part_rows(rows, structure)
        draw_parts(_("your design"), parts, structure, "scratch", "parts")
        st.markdown("  \n".join(parts_seen(parts, sums, made.input_px)))

    frame.tabs(
        [
            frame.Tab("parts", _("Part by part"), own_parts),
            frame.Tab("layers", _("Layer by layer"), partial(layers, rows, made.input_px)),
            frame.Tab("torchsummary", "torchsummary", partial(summary, rows, made.input_px, None)),
            frame.Tab("take", _("Take it, train it"), partial(exports, made)),
            *last_tabs(),
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
        spelling=url_state.line(spec.MAX_CHARACTERS),
        default=FIRST,
        max_chars=spec.MAX_CHARACTERS,
        live=True,
        help=_(
            "Type here or use the controls below: both change the same design. A stage is a block "
            "(plain, sep, group, basic, bottle, inv, resnet) and its width, then x repeats, g "
            "groups, t expansion, k kernel, and p for a pool after it or d for stride 2."
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
    if stage_number() > len(made.stages):
        url_state.say(STAGE, str(len(made.stages)))
    codes = made.line.split("-")[-len(made.stages) :]
    titles = {number: f"{number} · {code}" for number, code in enumerate(codes, start=1)}
    stage = made.stages[one_of(st.pills, _("Stage"), titles, STAGE, 1, required=True) - 1]
    blocks = {block: title for block, (title, _note) in block_words().items()}
    control(st.selectbox, _("Block"), "block", stage.block, blocks)
    number(_("Width"), "width", stage.width, 1, spec.MAX_WIDTH, 8)
    number(_("Repeats"), "repeats", stage.repeats, 1, spec.MAX_REPEATS)
    with st.popover(_("More of this stage"), icon=":material/tune:", width="stretch"):
        more_of_stage(stage, len(made.stages))
    with st.popover(_("The whole network"), icon=":material/account_tree:", width="stretch"):
        whole_network(made)


def more_of_stage(stage: Stage, stages: int) -> None:
    """The stage's other settings, and buttons to add, remove and move stages."""
    downs = {"none": _("no"), "pool": _("pool at its end"), "stride": _("stride 2")}
    control(st.selectbox, _("Halves the side"), "down", stage.down, downs)
    control(st.selectbox, _("Kernel"), "kernel", stage.kernel, kernels())
    if stage.block == "group":
        number(_("Groups"), "groups", stage.groups, 1, spec.MAX_GROUPS)
    if stage.block == "inverted":
        number(_("Expansion"), "expansion", stage.expansion, 1, 8)
    at = stage_number()
    with st.container(horizontal=True):
        for label, icon, edit, step, is_off in (
            (_("Add after"), "add", spec.add_stage, 1, stages >= spec.MAX_STAGES),
            (_("Remove"), "delete", spec.remove_stage, 0, stages == 1),
            (_("Earlier"), "arrow_back", partial(spec.move_stage, by=-1), -1, at == 1),
            (_("Later"), "arrow_forward", partial(spec.move_stage, by=1), 1, at == stages),
        ):
            st.button(label, icon=f":material/{icon}:", on_click=try_edit, args=(edit, step),
                      disabled=is_off, key=f"stage_{icon}")  # fmt: skip


def whole_network(made: Design) -> None:
    """Where to start from, and what is no stage's setting."""
    starts = {key: _(MODELS[key].title) for key in plans.known() if plans.describe(key).design}
    st.selectbox(
        _("Start from"),
        list(starts),
        index=None,
        placeholder=_("a network of the homeworks"),
        format_func=starts.__getitem__,
        key="design_start",
        on_change=start_from_network,
    )
    st.file_uploader(
        _("A design saved here (JSON)"),
        type="json",
        key="design_file",
        max_upload_size=1,
        on_change=start_from_file,
    )
    stem = made.stem
    pools = {0: "", 2: _("pool 2 × 2"), 3: _("pool 3 × 3")}
    halvings = {
        (stride, pool): _(", ").join(filter(None, (_("stride 2") if stride == 2 else "", words)))
        or _("no")
        for pool, words in pools.items()
        for stride in (1, 2)
    }
    activations = {"relu": "ReLU", "relu6": "ReLU6", "hardswish": "Hardswish", "silu": "SiLU"}
    left, right = st.columns(2)
    with left:
        number(_("Input size, px"), "input_px", made.input_px, 32, 512, 16)
        control(st.selectbox, _("Activation"), "activation", made.activation, activations)
        control(st.toggle, _("Stages: biases"), "bias", made.bias,
                help=_("Before a BatchNorm, a convolution's bias has no effect."))  # fmt: skip
        control(st.toggle, _("Padding"), "padding", made.padding,
                help=_("Without it, a convolution removes k // 2 pixels per side."))  # fmt: skip
    with right:
        number(_("Stem width"), "stem_width", stem.width, 1, spec.MAX_WIDTH, 8)
        control(st.selectbox, _("Stem kernel"), "stem_kernel", stem.kernel, kernels())
        control(st.toggle, _("Stem: bias"), "stem_bias", stem.bias)
    control(
        st.selectbox, _("Stem halves the side"), "stem_halving", (stem.stride, stem.pool), halvings
    )
    control(st.toggle, _("Outer activations and last pool as function calls"),
            "functional", made.functional,
            help=_("torchsummary does not list those: see the trap."))  # fmt: skip


def start_from_network() -> None:
    """Take the chosen network's design."""
    key = st.session_state["design_start"]
    made = plans.describe(key).design if key else None
    if made is not None:
        take(made)
        url_state.say(STAGE)


def start_from_file() -> None:
    """Take the design in an uploaded file, or say why it cannot be read."""
    file = st.session_state["design_file"]
    if file is not None:
        try_edit(lambda _design, _stage: read(file.getvalue()[: spec.MAX_JSON_BYTES + 1]))


def control(
    widget: Callable[..., Any],
    label: str,
    key: str,
    value: Any,
    titles: Mapping[Any, str] | None = None,
    **more: Any,
) -> None:
    """A widget that shows `value` and, when touched, asks `changed` to rewrite the line."""
    name = f"edit_{key}"
    st.session_state[name] = value
    if titles is not None:
        more |= {"options": list(titles), "format_func": titles.__getitem__}
    widget(label, key=name, on_change=changed, args=(key,), **more)


def number(label: str, key: str, value: int, least: int, most: int, step: int = 1) -> None:
    """A `control` for a whole number."""
    control(st.number_input, label, key, value, min_value=least, max_value=most, step=step)


def changed(key: str) -> None:
    """Put one control's value into the design, or say why that cannot be."""
    value = st.session_state[f"edit_{key}"]
    if value is None:  # an emptied field
        return
    if key == "stem_halving":
        values = dict(zip(("stem_stride", "stem_pool"), value, strict=True))
    else:
        values = {key: value}

    def edit(design: Design, at: int) -> Design:
        for field, given in values.items():
            design = change(design, field, given, at)
        return design

    try_edit(edit)


def try_edit(edit: Callable[[Design, int], Design], step: int = 0) -> None:
    """Edit the design, or say why that cannot be; the chosen stage's number grows by `step`."""
    at = stage_number()
    try:
        take(edit(current(), at))
    except ConfigError as error:
        st.session_state[PROBLEM] = str(error)
    else:
        url_state.say(STAGE, str(at + step))


def stage_number() -> int:
    """Number of the stage that is being changed, from 1."""
    return url_state.current(STAGE, url_state.number(1, spec.MAX_STAGES), 1)


def kernels() -> dict[int, str]:
    """Kernel side -> how it is shown."""
    return {side: f"{side} × {side}" for side in spec.KERNELS}


def block_words() -> dict[Block, tuple[str, str]]:
    """What a reader calls each block; what is in it, layer by layer, and where it comes from."""
    return {
        "plain": (_("Plain convolution"), _("k × k convolution, BatchNorm, activation.")),
        "separable": (
            _("Depthwise + pointwise"),
            _("HW7: depthwise k × k, BatchNorm, activation, then only pointwise 1 × 1."),
        ),
        "group": (
            _("Group convolution"),
            _("As plain, with its channels in groups that do not mix in the layer."),
        ),
        "basic": (
            _("BasicBlock, separable"),
            _("HW13's report: two depthwise + pointwise pairs; the input is added."),
        ),
        "bottleneck": (
            _("Bottleneck, separable"),
            _("HW13's report: narrow by 1 × 1, k × k, widen four times by 1 × 1; input added."),
        ),
        "inverted": (
            _("Inverted residual"),
            _("MobileNetV2: widen by 1 × 1, depthwise k × k, narrow by 1 × 1; the input is added."),
        ),
        "resnet": (
            _("BasicBlock, ResNet's"),
            _("He et al. 2015: two k × k convolutions; the input is added."),
        ),
    }


def exports(made: Design) -> None:
    """The design as a file, as PyTorch source, and handed to training: a link and a command."""
    with st.container(horizontal=True):
        for label, data, ending, mime, icon in (
            (_("Design (JSON)"), made.to_json(), "json", "application/json", "download"),
            (_("PyTorch source"), pytorch_source(made), "py", "text/x-python", "code"),
        ):
            st.download_button(
                label,
                data,
                file_name=f"{made.slug}.{ending}",
                mime=mime,
                icon=f":material/{icon}:",
                on_click="ignore",
            )
    frame.page_link(
        frame.entry("training"),
        _("Train this student"),
        {"model": f"{PREFIX}{made.line}", "px": str(made.input_px)},
    )
    st.markdown(_("Or on a command line in the app's folder, with your photographs:"))
    command = f"python -m core train --model {PREFIX}{made.line} --px {made.input_px}"
    st.code(command, language="bash", wrap_lines=True)


class _Opened(NamedTuple):
    """What a session keeps of a visitor's file: not the file, and none of its arrays."""

    key: str
    shapes: dict[str, tuple[int, ...]]
    refusal: str
    since: float
    """When it was opened: a refusal may be for a busy minute, and is looked at again after one."""


def own_file() -> None:
    """A visitor's trained network: what it is, what the course says of it, then the other pages."""
    brought, tabs = own_network_ids(), []
    for id in brought:
        if (checkpoint := networks.own().get(id)) is not None:
            brought_network(checkpoint, brought)
    with frame.instrument() as (controls, picture):
        with controls:
            file = st.file_uploader(
                _("A trained network"),
                key="own_file",
                max_upload_size=10,  # what can be read within its limits of time and memory
                help=_(
                    "PyTorch state dicts (.pth, .ckpt), safetensors, .npz, HW7's 8- and 16-bit "
                    "files, ONNX; also compressed with gzip, bz2, xz or zip."
                ),
            )
            line = st.text_input(
                _("Its design in one line"),
                key="own_design",
                max_chars=spec.MAX_CHARACTERS,
                placeholder=_("only if it is none of ours"),
                help=_("Write it with “Design”. It says where the network pools, too."),
            )
            place = st.container()
        if file is None:
            with picture:
                st.info(
                    _(
                        "Drop the file of a network that you have trained on Food-11. You get its "
                        "layer table, the course's verdict and its accuracy. Then you can use it "
                        "in Compare, Pruning, Quantisation and Export."
                    ),
                    icon=":material/upload_file:",
                )
                st.caption(
                    _(
                        "A separate process with little time and memory reads only arrays and "
                        "numbers. Nothing is unpickled, and an ONNX graph is not run."
                    )
                )
        else:
            try:
                matches = matches_of(file.file_id, file.getvalue, line)
            except UserError as error:
                with picture:
                    st.error(str(error), icon=":material/rule:")
            else:
                tabs = own_match(file.name, file.getvalue, matches, place, picture)
    frame.tabs([*tabs, *last_tabs()])


def own_network_ids() -> list[str]:
    """Ids of the networks that this visitor brought, or is bringing."""
    return networks.of_session(own_network.forget)


def matches_of(key: str, content: Callable[[], bytes], line: str) -> list[Match]:
    """The networks that a file can be; it is opened once, however often the page is drawn.

    Raises CheckpointError, ConfigError for a design line that is none.
    """
    kept: _Opened | None = st.session_state.get("own_opened")
    now = time.monotonic()
    is_stale = kept is not None and kept.refusal and now - kept.since > 60
    if kept is None or kept.key != key or is_stale:
        try:
            state = read_file(content())
            kept = _Opened(key, {name: array.shape for name, array in state.items()}, "", now)
        except CheckpointError as error:
            kept = _Opened(key, {}, str(error), now)
        st.session_state["own_opened"] = kept
    if kept.refusal:
        raise CheckpointError(kept.refusal)
    return find(kept.shapes, f"{PREFIX}{read(line).line}" if line.strip() else "")


def own_match(
    name: str, content: Callable[[], bytes], matches: list[Match], place: Any, picture: Any
) -> list[frame.Tab]:
    """How a file is to be read, in the controls; what it costs and the button, in the picture.

    Gives the tabs with its layers."""
    with place:
        models = {match.model: get_model(match.model).title for match in matches}
        model = matches[0].model
        if len(models) > 1:
            model = st.selectbox(
                _("Network"), models, format_func=models.__getitem__, key="own_model"
            )
        known, usual = plans.describe(model), own_network.default_scaling(model)
        sides = sorted({known.input_px, 256, *SIDES})
        px = st.selectbox(
            _("Input size, px"), sides, sides.index(known.input_px), key=f"own_px_{known.input_px}"
        )
        scalings = scaling_titles()
        scaling = st.selectbox(
            _("Input scaling"), scalings, list(scalings).index(usual),
            format_func=scalings.__getitem__, key=f"own_scaling_{usual}",
        )  # fmt: skip
    rows = layer_rows(known.parts, px)
    sums = totals(rows)
    used = budgets(sums)
    with picture:
        show(
            chart.budget_chart(used),
            _("How much of each of the course's limits this network uses. {lines}.").format(
                lines=_("; ").join(
                    labelled(chart.budget_title(b), chart.budget_text(b)) for b in used
                )
            ),
            key="own_budgets",
        )
        st.markdown(f"{totals_line(sums)}\n{course_line(sums)}")
        match = next(each for each in matches if each.model == model)
        st.caption(assumed_line(known, match, px, scalings[scaling]))
        add_to_session(name, content, model, scaling, px)
    return [
        frame.Tab("torchsummary", "torchsummary", partial(summary, rows, px, None)),
        frame.Tab("layers", _("Layer by layer"), partial(layers, rows, px)),
    ]


def scaling_titles() -> dict[str, str]:
    """The input scalings that a visitor may choose."""
    titles = {
        "imagenet": _("ImageNet mean and std (HW13)"),
        "unit": _("0 to 1: ToTensor alone (HW7)"),
        "symmetric": _("-1 to 1"),
        "lite": _("(x - 127) / 128 (EfficientNet-Lite)"),
    }
    return {key: titles[key] for key in SCALINGS}


def course_line(sums: Totals) -> str:
    """What each year's limit says of this many parameters."""
    words = {
        True: _("**{year}**: at most {limit}. It fits."),
        False: _("**{year}**: at most {limit}. It is over: 0 points, whatever its accuracy."),
    }
    return "\n".join(
        "- " + words[sums.params <= limit].format(year=year, limit=numbers.count(limit))
        for year, limit in PARAM_LIMITS.items()
    )


def assumed_line(known: KnownNetwork, match: Match, px: int, scaling: str) -> str:
    """What the file does not say and is taken for granted."""
    name = _(known.title)
    if known.design is not None:
        name = f"{name} (`{known.design.line}`)"
    words = _(
        "**Assumed**, since weights do not say it: pools and activations as in {network}; pictures "
        "of {px} px; scaling {scaling}; classes in Food-11's order."
    )
    lines = [words.format(network=name, px=px, scaling=scaling)]
    if match.folded:
        lines.append(_("BatchNorm is folded into the convolutions of this file."))
    theirs = next((theirs for ours, theirs in match.names.items() if ours != theirs), "")
    if theirs:
        first = theirs[:60].replace("`", "'")
        matched = _("Tensors are matched by their shapes in order, from `{name}` on.")
        lines.append(matched.format(name=first))
    return paragraph(lines)


def add_to_session(
    name: str, content: Callable[[], bytes], model: str, scaling: str, px: int
) -> None:
    """The button that makes the file a network of this session, and how far that is."""
    ids, there = own_network_ids(), networks.own()
    stem = re.sub(r"[^\w .-]", "", name.rpartition(".")[0] or name)[:20].strip()
    title = _("Your {file}").format(file=stem or "file")
    settings = (model, scaling, px, title, st.session_state["own_opened"].key)
    if st.session_state.get("own_point", ((), None))[0] != settings:
        st.session_state["own_point"] = settings, own_network.point(model, scaling, px, title)
    point = st.session_state["own_point"][1]
    if point.id in there:
        return
    if point.id not in ids and sum(id in there for id in ids) >= own_network.MOST_PER_VISITOR:
        st.info(
            _("You have {n} networks here, the most there may be: remove one to add another.")
            .format(n=own_network.MOST_PER_VISITOR)
        )  # fmt: skip
        return

    def ask() -> None:
        own_network.let_wait(point, content())
        if point.id not in ids:
            ids.append(point.id)

    LivePoint(
        own_network.RUNS,
        point,
        _(
            "Kept until you close this tab. It needs 15 s of computing: longer while others use "
            "this machine."
        ),
        _("Use it on the other pages"),
        _("It is on the other pages now"),
        {
            "start": (0.0, _("Starting ...")),
            "read": (0.1, _("Reading the file ...")),
            "export": (0.3, _("Building the network; test photographs ...")),
        },
        result_text=lambda job: accuracy_line(networks.own()[job.rows[0].checkpoint]),
        on_start=ask,
        key="own_add",
    ).draw()


def brought_network(checkpoint: Checkpoint, ids: list[str]) -> None:
    """A visitor's network: how often it is right, where it can be used, and its end."""
    with st.container(border=True):
        known = accuracy_line(checkpoint)
        if checkpoint.test:
            known = _("{text}, {basis}").format(text=known, basis=_(checkpoint.data.name))
        known = _("{sentence}.").format(sentence=known)
        st.markdown(labelled(f"**{_(checkpoint.title)}**", known))
        teacher = next(iter(networks.teachers(networks.checkpoints())), checkpoint)
        with st.container(horizontal=True, vertical_alignment="center"):
            pair = [("networks", id) for id in dict.fromkeys([checkpoint.id, teacher.id])]
            frame.page_link(frame.entry("compare"), _("Compare"), pair)
            for key in ("pruning", "quantization", "export"):
                page = frame.entry(key)
                frame.page_link(page, page.name, [("network", checkpoint.id)])
            st.button(
                _("Remove"), icon=":material/delete:", key=f"own_remove_{checkpoint.id}",
                on_click=remove_own, args=(checkpoint.id, ids),
            )  # fmt: skip


def remove_own(id: str, ids: list[str]) -> None:
    """Take a visitor's network away; its file may be used again."""
    own_network.forget(id)
    ids.remove(id)
    st.session_state.pop("own_point", None)


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
            "$H$, $W$: sides of the output map; the last $C_\\text{out}$ are the biases. Half the "
            "side means a quarter of the MACs and the same parameters. Twice the channels in and "
            "out means four times both. $r$ is the receptive field, $j$ the distance in the photo "
            "between two neighbouring values, $s$ the stride (Araujo et al. 2019)."
        )
    )
    source(_("This function counts a convolution:"), inspect.getsource(cost.count_conv))


def trap() -> None:
    """What torchsummary does not list, and what it changes."""
    student = plans.describe("hw13_residual")
    assert student.design is not None
    listed = student.design.model_copy(update={"functional": False})
    tables = [(layer_rows(made), made.input_px) for made in (student.design, listed)]
    (few, quiet), (many, loud) = ((len(rows), summary_mb(rows, px)[1]) for rows, px in tables)
    st.markdown(
        _(
            "**It lists only modules.** HW13's residual student writes some activations as "
            "function calls: {few} rows, {quiet} MB for the forward and backward pass. The same "
            "network with modules instead: {many} rows, {loud} MB, the same parameters ({params}) "
            "and the same answers. So compare torchsummary's parameters, never its memory. Try it: "
            "open the student in the designer and turn “function calls” off."
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
            "**It runs the network.** In train mode this run, on random noise, changes BatchNorm's "
            "running statistics: in a public report, a teacher fell from 0.8714 to about 0.861. "
            "Call `model.eval()` first. This page counts and runs nothing. To print the table of a "
            "built network safely: `python -m core summary {key}`."
        ).format(key=student.key)
    )


def homework() -> None:
    """HW7 Q1 and Q4 and HW13 Q1, and where on the page their answers stand."""
    st.markdown(
        _(
            "**HW13 Q1: draw your student and paste its torchsummary.** *Design* draws it and "
            "prints the table. torchsummary's total counts; over the limit scores 0. The sample "
            "student and a report's residual student are in the list. Each year's limit, and the "
            "accuracies asked on that year's split:"
        )
    )
    years = [
        _("- {year}: {limit} parameters; {accuracies}").format(
            year=year,
            limit=numbers.count(limit),
            accuracies=_(", ").join(
                f"{name} {value:.5f}" for name, value in BASELINES[year]._asdict().items()
            ),
        )
        for year, limit in PARAM_LIMITS.items()
    ]
    st.markdown("\n".join(years))
    big, small = (totals(layer_rows(plans.describe(key).parts, 128)).params
                  for key in ("plain_2m", "dwpw_256k"))  # fmt: skip
    st.markdown(
        _(
            "**HW7 Q1: what does depthwise + pointwise save?** See *Compare* above: {big} against "
            "{small} parameters, {times}. **HW7 Q4: three networks of about 1 MB** (plain, "
            "depthwise + pointwise, group): open each to see where its parameters are."
        ).format(
            big=numbers.count(big), small=numbers.count(small), times=numbers.ratio(big / small)
        )
    )


def _quiz(network: KnownNetwork, px: int, now: Totals) -> list[quiz.Question]:
    """On this network: larger photographs, smaller numbers, torchsummary's memory."""
    larger, mega = totals(layer_rows(network.parts, 2 * px)), 2**20
    memory = 2 * now.activation_bytes / mega
    return [
        quiz.Question(
            "larger",
            _("Photographs of {twice} px instead of {px} px: how many MACs?").format(
                twice=2 * px, px=px
            ),
            *quiz.among(larger.macs, (n * now.macs for n in (1, 2, 8)), numbers.short_count),
            _("Maps are twice as high and wide: each weight works at about four times as many "
              "places. Now: {macs}.").format(macs=numbers.short_count(now.macs)),
        ),
        quiz.Question(
            "half",
            _("How much space do its {n} parameters take as float16?").format(
                n=numbers.count(now.params)
            ),
            *quiz.among(2 * now.params, (n * now.params for n in (1, 4, 8)), numbers.size),
            _("Two bytes for each parameter."),
        ),
        quiz.Question(
            "memory",
            _("All its feature maps have {size} MB (2²⁰ bytes). What does torchsummary print as "
              "“Forward/backward pass size”?").format(size=f"{memory / 2:.2f}"),
            *quiz.among(memory, (memory / 2, 2 * memory, 4 * memory), lambda mb: f"{mb:.2f} MB"),
            _("torchsummary counts each output twice: for the forward and the backward pass."),
        ),
    ]  # fmt: skip


if __name__ == "__main__":
    main()
