"""Pruning: accuracy, time and size against the ratio; masks on, masks removed, channels cut."""

import inspect
import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import streamlit as st
from numpy.typing import NDArray
from PIL.Image import Image

from core.charts import numbers
from core.charts.compiled import Spec, inlined
from core.charts.numbers import score_text
from core.checkpoints import Checkpoint
from core.course import CLASSES
from core.errors import ConfigError
from core.i18n import _, food_class, labelled, paragraph
from core.inference.predict import shared
from core.photos import prepare
from core.pruning import method as pruning_method
from core.pruning import network as pruning_network
from core.pruning.chart import (
    COSTS,
    GUESSES,
    Measured,
    accuracy_chart,
    accuracy_frame,
    channel_chart,
    channel_frame,
    cost,
    cost_text,
    form_title,
    guess_curve,
    guess_title,
    histogram_chart,
    histogram_frame,
    layer_title,
    method_title,
    nearest_guess,
    scan_chart,
    scan_frame,
    time_chart,
    time_frame,
    timed_row,
    timing_noise,
)
from core.pruning.method import (
    CHANNEL_METHODS,
    FORMS,
    METHODS,
    ChannelGroup,
    ChannelMethod,
    Form,
    Keep,
    Method,
    choose,
    convolutions,
    dropped_channels,
)
from core.pruning.network import PrunedPredictor, pruned_explainer
from core.pruning.rows import RUNS, TIMED_RATIOS, Point, PruningGrid, PruningRow, RowKey
from core.timing import COLUMNS, column_title
from pages.kit import frame, guess, networks, quiz
from pages.kit.figure import Picture, data_button, kept, show, source, table
from pages.kit.live import LivePoint, live_points, run_it_here
from pages.kit.photo_check import Choice, Version, photo_check
from pages.kit.photos import Photo, draw_map, map_places, pick, thumbnail
from pages.kit.provenance import measured_line, not_measured, provenance
from pages.kit.url_state import number_of, one_of, toggle

MAP_RATIOS = (0, 30, 50, 70, 90)
PHOTO_RATIOS = (10, 20, 30, 40, 50, 60, 70, 80, 90, 95)


class Setting(NamedTuple):
    """What the reader has set."""

    checkpoint: Checkpoint
    title: str
    """What the network is called, here and in the chart."""
    grid: PruningGrid | None
    """What was measured of it, if anything was."""
    method: Method
    ratio: float
    all_methods: bool
    finetuned: bool

    @property
    def key(self) -> tuple[str, str, Method, float]:
        """What decides which weights are pruned."""
        return self.checkpoint.id, self.checkpoint.weights_sha256, self.method, self.ratio

    def tensors(self) -> dict[str, Any]:
        """The network's parameters, to be read only. Raises CheckpointError."""
        return networks.tensors(self.checkpoint.id, self.checkpoint.weights_sha256)

    def masks(self) -> Keep:
        """Which weights stay."""
        packed = packed_masks(*self.key, self.grid.groups if self.grid else ())
        return {
            name: np.unpackbits(bits, count=math.prod(shape)).view(np.bool_).reshape(shape)
            for name, (bits, shape) in packed.items()
        }


@st.cache_resource(max_entries=8, show_spinner=False)
def packed_masks(
    id: str, sha256: str, method: Method, ratio: float, _groups: tuple[ChannelGroup, ...]
) -> dict[str, tuple[NDArray[np.uint8], tuple[int, ...]]]:
    """The masks of a method at a ratio, a bit a weight, and their shapes; `_groups` follow from the
    checkpoint."""
    masks = choose(networks.tensors(id, sha256), method, ratio, _groups)
    return {name: (np.packbits(mask), mask.shape) for name, mask in masks.items()}


def main() -> None:
    """Draw the page."""
    st.title(frame.entry("pruning").question)
    st.markdown(
        _(
            "Pruning sets the least important weights to zero, or cuts out whole channels. How "
            "many can be pruned before the network stops recognising food?"
        )
    )
    shipped = networks.checkpoints()
    if not shipped:
        networks.explain_empty()
        st.stop()
    grids = networks.measured_rows(PruningGrid, shipped)
    explore(shipped, grids)
    provenance([entry for entry in shipped if entry.id in grids] or shipped[:1])
    frame.foot("pruning")


@frame.section
def explore(shipped: list[Checkpoint], grids: dict[str, PruningGrid]) -> None:
    """The instrument, and the tabs that follow its settings."""
    measured = [Measured(*named) for named in networks.by_title(shipped, grids)]
    with frame.instrument() as (controls, picture):
        with controls:
            at = settings(shipped, measured)
        with picture:
            guessed = accuracy(measured, at)
    frame.tabs(
        [
            frame.Tab("time", _("Faster?"), partial(times, at), ["time_with"]),
            frame.Tab("weights", _("Layers"), partial(layers, at), ["layer"], ["layers"]),
            frame.Tab("channels", _("Channels"), partial(channels, at), ["group", "height"]),
            frame.Tab("photo", _("Your photo"), partial(photo, at), ["photo_ratios"]),
            frame.Tab("where", _("Where it looks"), partial(where, at)),
            frame.Tab("run", _("Run it here"), partial(live, at)),
            frame.Tab("why", _("Why"), partial(why, at)),
            frame.Tab("trap", _("Trap"), partial(trap, at.grid)),
            frame.Tab("homework", _("Homework"), partial(homework, measured)),
            quiz.tab(partial(_quiz, at.grid), at.checkpoint.id, guessed),
        ]
    )


def settings(shipped: list[Checkpoint], measured: Sequence[Measured]) -> Setting:
    """The network, the method, the ratio; every control is part of the link."""
    known = {network.grid.checkpoint: network for network in measured}
    offered = sorted(shipped, key=lambda entry: entry.id not in known)
    checkpoint = networks.choose_one(_("Network"), offered, "network", first=known)
    percent = number_of(st.slider, _("Pruning ratio, %"), 0, 100, 50, 5, "ratio")
    method = one_of(
        st.selectbox,
        _("Method"),
        {name: method_title(name) for name in METHODS},
        "method",
        default="l1",
        help=_(
            "L1 prunes the smallest weights: the same share of every layer (the homework), or "
            "the smallest of the whole network. Random is the control. The channel methods cut "
            "whole channels: those with the smallest filters, or with the smallest BatchNorm "
            "scale (network slimming)."
        ),
    )
    all_methods = toggle(_("All methods"), "all_methods")
    help_text = _("Hollow marks: trained a little after pruning; the zeros stay zero.")
    finetuned = toggle(_("Also after fine-tuning"), "finetuned", help=help_text)
    network = known.get(checkpoint.id)
    title, grid = (network.title, network.grid) if network else (_(checkpoint.title), None)
    return Setting(checkpoint, title, grid, method, percent / 100, all_methods, finetuned)


class Curves(NamedTuple):
    """The first chart and the sentences on it, without those on the ratio that is set."""

    rows: pd.DataFrame
    chart: Spec | None
    """None where no accuracy was measured."""
    alt: str
    lines: list[str]
    start: str
    """How often the chosen network is right when nothing is pruned."""
    nearest: str
    """The guess that is nearest to the chosen curve."""
    answer: str


def accuracy(measured: Sequence[Measured], at: Setting) -> guess.Guess[str]:
    """The chart, the guess that it answers, and what it shows; what became of the guess."""
    place = st.container()
    guessed = guess.ask(
        _("Guess: as more weights become zero, how does accuracy fall?"),
        {name: guess_title(name) for name in GUESSES},
        "guess_curve",
        about=f"{at.checkpoint.id} {at.method}",
    )
    if not measured:
        explain_missing(at)
        return guessed
    key = (at.checkpoint.id, at.method, at.all_methods, at.finetuned, *guessed)
    grids = [network.grid for network in measured]
    drawn = kept(partial(curves, measured, at, guessed), "pruning curves", *key, of=grids)
    if drawn.chart is None:
        st.info(
            _("These curves were made without photographs: no accuracy. See: python -m core data")
        )
        return guessed
    stars = live_points(RUNS, at.key[:3], ("ratio",)) if guessed.is_open else None
    moving = {"now": pa.table({"ratio": [at.ratio]})} | ({} if stars is None else {"live": stars})
    notes = [
        "" if guessed.is_open else drawn.start,
        ""
        if at.all_methods and at.grid
        else _("{sentence}.").format(sentence=method_title(at.method)),
        _("Vertical line: your ratio."),
        _("Band: 95 % interval.") if guessed.is_open else "",
        _("Dashed: one in eleven, pure chance."),
        _("Dotted: your guess.") if guessed.value else "",
        _("Stars: measured here.") if stars is not None else "",
    ]
    with place:
        datasets = drawn.chart["datasets"] | moving
        show(drawn.chart | {"datasets": datasets}, drawn.alt, key="accuracy")
        st.caption(paragraph(note for note in notes if note))
    if at.grid is None:
        explain_missing(at)
    guess.verdict(guessed, drawn.nearest == guessed.value, drawn.answer)
    if not guessed.is_open:
        return guessed
    row = at.grid and at.grid.row(RowKey(at.method, at.ratio, "removed"))
    now = ""
    if row and row.score:
        now = _("At **{ratio}**, {network} is right on {score}. ").format(
            ratio=numbers.share(at.ratio), network=at.title, score=score_text(row.score)
        )
    st.markdown(_("**What you see.** {lines}").format(lines=now + paragraph(drawn.lines)))
    data_button(drawn.rows, "pruning-accuracy")
    return guessed


def explain_missing(at: Setting) -> None:
    """Say that nothing was measured yet and how to get it."""
    not_measured(
        _(
            "The curves of this network are not measured yet. That takes some minutes. The tabs "
            "below work without them; “Run it here” measures one point."
        ),
        f"python -m core prune-grid {at.checkpoint.id}",
    )


def curves(measured: Sequence[Measured], at: Setting, guessed: guess.Guess[str]) -> Curves:
    """Accuracy against ratio: all measured networks by one method, or one by all methods."""
    chosen = [network for network in measured if network.grid is at.grid]
    by_method = at.all_methods and bool(chosen)
    methods = METHODS if by_method else (at.method,)
    rows = accuracy_frame(chosen if by_method else measured, methods, at.finetuned)
    of_network = rows["checkpoint"] == at.checkpoint.id
    is_own = of_network & (rows["method"] == at.method)
    own = rows[is_own & ~rows["tuned"].astype(bool)].sort_values("ratio")
    start, nearest, answer, guessed_curve = "", "", "", None
    if not own.empty:
        nearest, off = nearest_guess(own)
        first = own.iloc[0]
        answer = _(
            "Of the four curves, “{title}” is nearest to {network}: {off} points off on average."
        ).format(
            title=guess_title(nearest), network=first["network"], off=f"{100 * off[nearest]:.0f}"
        )
        start = _("The mark: {network} with nothing pruned, right on {score}.").format(
            network=first["network"], score=numbers.percent(first["accuracy"], first["n"])
        )
        if guessed.value is not None:
            guessed_curve = guess_curve(guessed.value, float(first["accuracy"]))
    chart = None
    if not rows.empty:
        band = None if own.empty else (at.checkpoint.id, at.method)
        shown = rows if guessed.is_open or own.empty else rows[of_network]
        spec = accuracy_chart(shown, 0.0, guessed_curve, None, guessed.is_open, band)
        chart = inlined(spec, but=("now", "live"))
    said = [_("Accuracy on the test photographs against the pruning ratio.")]
    if not guessed.is_open:
        said.append(_("Only the original network is shown until you guess."))
        return Curves(rows, chart, paragraph(said), [], start, nearest, answer)
    alt = paragraph([*said, *(line.replace("**", "") for line in accuracy_lines(rows))])
    lines = accuracy_lines(rows[is_own])
    others = [
        _("{name} up to {until}").format(name=name, until=numbers.share(holds_until(curve)))
        for name, curve in curves_of(rows[~is_own])
    ]
    if others:
        lines.append(
            _("The others stay within theirs: {others}.").format(others=_(", ").join(others))
        )
    return Curves(rows, chart, alt, lines + tuned_lines(rows), start, nearest, answer)


def curves_of(rows: pd.DataFrame) -> Iterable[tuple[Any, pd.DataFrame]]:
    """Each curve's name and rows, by ratio; what was fine-tuned is on no curve."""
    plain = rows[~rows["tuned"].astype(bool)].sort_values("ratio")
    for name in dict.fromkeys(rows["series"]):
        if len(curve := plain[plain["series"] == name]):
            yield name, curve


def holds_until(curve: pd.DataFrame) -> float:
    """Largest ratio up to which the accuracy stays within the original's 95 % interval."""
    held = curve["accuracy"] >= float(curve["low"].iloc[0])
    return float(curve["ratio"][held.cummin()].max())


def accuracy_lines(rows: pd.DataFrame) -> list[str]:
    """A sentence per curve: where it starts, how far it holds, where it ends."""
    return [
        _(
            "**{name}** is right on {whole} with nothing pruned. It stays within the 95 % "
            "interval of that up to {until} pruned; at {most} it is right on {end}."
        ).format(
            name=name,
            whole=numbers.percent(curve["accuracy"].iloc[0], curve["n"].iloc[0]),
            until=numbers.share(holds_until(curve)),
            end=numbers.percent(curve["accuracy"].iloc[-1], curve["n"].iloc[-1]),
            most=numbers.share(curve["ratio"].iloc[-1]),
        )
        for name, curve in curves_of(rows)
    ]


def tuned_lines(rows: pd.DataFrame) -> list[str]:
    """A sentence per fine-tuned point, beside the same ratio without fine-tuning."""
    records = [((r["checkpoint"], r["method"], r["ratio"]), r) for r in rows.to_dict("records")]
    plain = {key: row for key, row in records if not row["tuned"]}
    return [
        _("**{name}** at {ratio}: {before} before fine-tuning, {after} after.").format(
            name=row["network"],
            ratio=numbers.share(row["ratio"]),
            before=numbers.percent(plain[key]["accuracy"], plain[key]["n"]),
            after=numbers.percent(row["accuracy"], row["n"]),
        )
        for key, row in records
        if row["tuned"] and key in plain
    ]


def times(at: Setting) -> None:
    """A guess about time, the chart of what each form costs, and the figures at this ratio."""
    grid = at.grid
    known = [name for name in COSTS if grid and timed_row(grid, "removed", 0.0, name)]
    if not set(known) & set(COLUMNS):
        not_measured(
            _("Times of this network are not measured yet. “Run it here” measures one point, or:"),
            f"python -m core prune-grid {at.checkpoint.id} --stages times",
        )
    if grid is None or not known:
        return
    titles = {"faster": _("faster"), "same": _("as fast"), "slower": _("slower")}
    question = _(
        "Guess: 90 % of the weights are pruned, with masks, as in the homework. {network} is now …"
    )
    guessed = guess.ask(question.format(network=at.title), titles, "guess_speed", at.checkpoint.id)
    for name, verdict, share, _figure in spent(grid, "torch_1", 0.9):
        if name == "masked":
            answer = _("It is {verdict}: {share} of the original's time (PyTorch).").format(
                verdict=titles[verdict], share=numbers.share(share)
            )
            guess.verdict(guessed, verdict == guessed.value, answer)
    if not guessed.is_open:
        return
    column = one_of(
        st.selectbox,
        _("Show"),
        {name: cost_title(name) for name in known},
        "time_with",
        default=known[0],
    )

    def picture() -> Picture:
        rows = time_frame(grid, column)
        lines = _("; ").join(line.replace("**", "") for line in time_lines(grid, column, 0.5))
        alt = _("Cost of a pruned network as a share of the original's, {column}. {lines}.")
        alt = alt.format(column=cost_title(column), lines=lines)
        return Picture(rows, inlined(time_chart(rows, 0.0, column), but=("now",)), alt)

    drawn = kept(picture, "pruning costs", column, of=[grid])
    now = {"now": pa.table({"ratio": [at.ratio]})}
    show(drawn.chart | {"datasets": now}, drawn.alt, key="times")
    nearest = min(TIMED_RATIOS[1:], key=lambda ratio: abs(ratio - at.ratio))
    heading = _("**What you see**, at {ratio} ({column}):").format(
        ratio=numbers.share(nearest), column=cost_title(column)
    )
    st.markdown("\n- ".join([heading + "\n", *time_lines(grid, column, nearest)]))
    if column.startswith("onnx"):
        st.markdown(
            _(
                "ONNX Runtime computes channels in blocks of 8 or 16. Half of the channels still "
                "fill such blocks; other numbers may not. Export, “Step by step”, shows a student "
                "that became *slower*."
            )
        )
    st.caption(how_measured(grid, column))
    data_button(drawn.frame, "pruning-times")
    measured_line(_("Curves and times of {id}").format(id=f"`{grid.checkpoint}`"), grid)


def cost_title(column: str) -> str:
    """What one of COSTS is called."""
    sizes = {
        "size_bytes": _("State dict"),
        "gzip_bytes": _("State dict, zipped"),
        "macs": _("MACs"),
    }
    return sizes.get(column) or column_title(column)


def spent(grid: PruningGrid, column: str, ratio: float) -> list[tuple[Form, str, float, float]]:
    """What each form costs at a ratio: form, "faster", "slower" or "same", share of the original's
    cost, the cost itself."""
    whole = timed_row(grid, "removed", 0.0, column)
    base = whole and cost(whole, column)
    rows = [(form, timed_row(grid, form, ratio, column)) for form in FORMS]
    return [
        (
            form,
            figure.against(base, timing_noise(grid, column)),
            figure.median / base.median,
            figure.median,
        )
        for form, row in rows
        if base and row and row is not whole and (figure := cost(row, column))
    ]


def time_lines(grid: PruningGrid, column: str, ratio: float) -> list[str]:
    """What each form costs at a ratio: a line each, faster or slower only if it measured so."""
    texts = {
        "faster": _("smaller: {share} of the original's ({figure})"),
        "slower": _("larger: {share} of the original's ({figure})"),
        "same": _("as much as the original ({figure})"),
    }
    if column in COLUMNS:
        texts = {
            "faster": _("faster: {share} of the original's time"),
            "slower": _("slower: {share} of the original's time"),
            "same": _("not distinguishable from the original ({share} of its time)"),
        }
    return [
        labelled(
            f"**{form_title(form)}**",
            texts[verdict].format(share=numbers.share(share), figure=cost_text(figure, column)),
        )
        for form, verdict, share, figure in spent(grid, column, ratio)
    ]


def how_measured(grid: PruningGrid, column: str) -> str:
    """How the figures of a column were measured, and how far they can be trusted."""
    forms = _("Masks: L1. Channels cut: by L2.")
    if column not in COLUMNS:
        return paragraph([forms, _("Counted, so there is no spread. The state dict is float32.")])
    protocol = _(
        "Median of repeated calls, quartiles as bars, on {machine}, computing threads: {threads}. "
        "All forms took turns. An ONNX file holds no masks: exporting removes them."
    ).format(threads=grid.threads, machine=grid.machine)
    noise = _(
        "With masks removed, a network does the same work as the original. It still measured up "
        "to {noise} off, so differences up to that are not distinguishable."
    ).format(noise=numbers.percent(timing_noise(grid, column)))
    return paragraph([protocol, noise, forms])


def figures(rows: Sequence[PruningRow]) -> None:
    """A table of rows, a line a figure; what was measured of none is left out."""
    measured: dict[str, list[Any]] = {
        _("Right"): [row.score and numbers.percent(row.score.accuracy, row.n) for row in rows],
        _("Parameters"): [numbers.count(row.params) for row in rows],
        _("not zero"): [numbers.count(row.nonzero) for row in rows],
    }
    for name in ("macs", "size_bytes", "gzip_bytes", *COLUMNS):
        costs = [cost(row, name) for row in rows]
        measured[cost_title(name)] = [each and cost_text(each.median, name) for each in costs]
    known = {title: cells for title, cells in measured.items() if any(cells)}
    columns = {form_title(row.form): [cells[place] or "–" for cells in known.values()]
               for place, row in enumerate(rows)}  # fmt: skip
    table({" ": list(known), **columns})


def layers(at: Setting) -> None:
    """A layer's weights, kept and pruned; and every layer pruned alone, the others untouched."""
    left, right = st.columns(2, gap="medium")
    with left:
        if has_groups(at):
            weights(at)
    with right:
        if at.grid is None or not at.grid.scan:
            command = f"`python -m core prune-grid {at.checkpoint.id} --stages scan`"
            st.caption(_("Not measured yet: each layer pruned alone. {command}").format(
                command=command))  # fmt: skip
            return
        scan = kept(partial(scan_picture, at.grid), "pruning scan", of=[at.grid])
        show(scan.chart, scan.alt, key="scan")
        n = numbers.count(int(scan.frame["n"].iloc[0]))
        st.caption(paragraph([scan.alt, _("L1, {n} validation photographs.").format(n=n)]))
        data_button(scan.frame, "pruning-scan")


def weights(at: Setting) -> None:
    """How one layer's weights are spread, what becomes zero in grey."""
    names = at.grid.layers if at.grid else convolutions(at.tensors())
    if not names:
        st.info(_("This network has no convolution to prune."))
        return
    titles = {name: layer_title(name) for name in names}
    middle = names[len(names) // 2]
    layer = one_of(st.selectbox, _("Convolution"), titles, "layer", default=middle)
    drawn = kept(partial(histogram, at, layer, names), "pruning weights", *at.key, layer)
    show(drawn.chart, drawn.alt, key="histogram")
    st.caption(drawn.alt)
    data_button(drawn.frame, "pruning-weights")


def histogram(at: Setting, layer: str, names: Sequence[str]) -> Picture:
    """The weights of a layer, and in which layer the most become zero."""
    tensors, masks = at.tensors(), at.masks()
    weight, keep = tensors[layer], masks.get(layer)
    pruned = {name: int((~masks[name]).sum()) if name in masks else 0 for name in names}
    share = {name: pruned[name] / tensors[name].size for name in names}
    words = _("Weights of {layer}: {n} of {all} become zero (grey).")
    n, size = numbers.count(pruned[layer]), numbers.count(weight.size)
    lines = [words.format(layer=layer_title(layer), n=n, all=size)]
    if keep is not None and 0 < pruned[layer] < weight.size:
        largest = f"{np.abs(weight[~keep]).max():.4f}"
        lines.append(_("The largest of these is {size}.").format(size=largest))
    most = max(share, key=lambda name: share[name])
    total = sum(pruned.values()) / sum(tensors[name].size for name in names)
    words = _("All layers: {total} become zero; most in {most} ({share}).")
    lines.append(
        words.format(total=f"{total:.1%}", most=layer_title(most), share=f"{share[most]:.1%}")
    )
    rows = histogram_frame(weight, keep)
    return Picture(rows, inlined(histogram_chart(rows)), paragraph(lines))


def scan_picture(grid: PruningGrid) -> Picture:
    """Accuracy with one layer pruned alone, and the most and the least sensitive layer."""
    rows = scan_frame(grid.scan, grid.layers)
    strongest = rows[rows["ratio"] == rows["ratio"].max()].sort_values("accuracy")
    weak, tough = strongest.iloc[0], strongest.iloc[-1]
    text = _(
        "With {ratio} of one layer pruned and no other, the most sensitive is {weak} "
        "({low} right), the least {tough} ({high})."
    ).format(
        ratio=numbers.share(weak["ratio"]),
        weak=weak["layer"],
        low=numbers.percent(weak["accuracy"], weak["n"]),
        tough=tough["layer"],
        high=numbers.percent(tough["accuracy"], tough["n"]),
    )
    return Picture(rows, inlined(scan_chart(rows, None)), text)


def has_groups(at: Setting) -> bool:
    """Whether the method's channels are known; says so where they are not."""
    if at.method not in CHANNEL_METHODS or (at.grid and at.grid.groups):
        return True
    not_measured(
        _("Which channels must be pruned together is found when the curves are measured:"),
        f"python -m core prune-grid {at.checkpoint.id}",
    )
    return False


def channels(at: Setting) -> None:
    """Which channels of a feature map are cut, by their filters' norm and BatchNorm's scale."""
    method: ChannelMethod = "bn_gamma" if at.method == "bn_gamma" else "channel_l2"
    groups = at.grid.groups if at.grid else ()
    if not has_groups(at._replace(method=method)):
        return
    try:
        dropped = kept(
            lambda: dropped_channels(at.tensors(), groups, method, at.ratio),
            "dropped channels",
            *at._replace(method=method).key,
        )
    except ConfigError as error:
        st.info(str(error), icon=":material/link_off:")
        return
    title = _("{first}: {n} channels")
    titles = [title.format(first=group.writers[0], n=group.channels) for group in groups]
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    offered = dict(enumerate(titles))
    number = one_of(left.selectbox, _("Output channels of"), offered, "group", default=0)
    group = groups[number]
    heights = {"norm": _("norm of filters")} | (
        {"gamma": _("BatchNorm gamma")} if group.norms else {}
    )
    first = "gamma" if method == "bn_gamma" and group.norms else "norm"
    ranked_by = one_of(
        right.segmented_control, _("Show"), heights, "height", default=first, required=True
    )
    rows = channel_frame(at.tensors(), group, dropped[number])
    count = _("{n} of {all} channels are cut (crosses); the triangles stay.").format(
        n=len(dropped[number]), all=group.channels
    )
    alt = _("The output channels of {layer}, weakest filters first. {count}")
    chart = inlined(channel_chart(rows, ranked_by))
    show(chart, alt.format(layer=group.writers[0], count=count), key="channels")
    together = _(", ").join(group.writers + group.norms)
    notes = [count, _("These must be pruned together: {layers}.").format(layers=together)]
    if not group.norms:
        notes.append(_("No BatchNorm follows, so there is no gamma."))
    if at.method not in CHANNEL_METHODS:
        notes.append(_("Chosen by L2: the method above prunes single weights, not channels."))
    st.caption(paragraph(notes))
    data_button(rows, "pruning-channels")


def photo(at: Setting) -> None:
    """Choose a photo and up to three ratios; see where the answer changes."""
    if not has_groups(at):
        return

    def pruned(percent: int) -> PrunedPredictor:
        then = at._replace(ratio=percent / 100)
        return shared(
            at.checkpoint,
            lambda: PrunedPredictor(at.checkpoint.id, then.masks(), keep_memory=False),
            *then.key,
        )

    def versions(percents: Sequence[int]) -> list[Version]:
        text = _("{ratio} pruned")
        names = [text.format(ratio=numbers.share(percent / 100)) for percent in percents]
        return [
            Version(_("original"), partial(pruned, 0)),
            *(Version(name, partial(pruned, percent), "pruned")
              for name, percent in zip(names, percents, strict=True)),
        ]  # fmt: skip

    photo_check(
        at.checkpoint,
        Choice(_("Ratios to try, up to three (%)"), PHOTO_RATIOS, (30, 60, 90), "photo_ratios"),
        versions,
        way=method_title(at.method),
        hint=_("Drop a photo: the original network and the pruned ones answer."),
        name="pruning-photo",
    )


class Looks(NamedTuple):
    """Where a network looks in a photo at each of MAP_RATIOS, for what it says unpruned."""

    key: tuple[Any, ...]
    thumb: Image
    label: int
    answers: list[tuple[int, float]]
    """The class that the version says, and its logit of `label`."""
    maps: list[NDArray[np.float32]]
    """(h, w) each."""


def where(at: Setting) -> None:
    """The photo as the network weighs its places, at rising ratios: the map falls apart."""
    if not has_groups(at):
        return
    photos = pick(many=False)
    if not photos:
        st.caption(_("Drop a photo: see where the network looks when more and more is pruned."))
        return
    looks: Looks | None = st.session_state.get("pruned_looks")
    key = (photos[0].key, *at._replace(ratio=0).key)
    if looks is None or looks.key != key:
        with st.spinner(_("Looking at {name} ...").format(name=photos[0].name)):
            looks = st.session_state["pruned_looks"] = look_at(at, photos[0], key)
    food = food_class(CLASSES[looks.label])
    alike = [f"{value:.2f}".replace("-", "−") for value in likeness(looks.maps)[1:]]
    columns = map_places(len(MAP_RATIOS), "pruned-maps")
    for column, percent, (label, logit), map in zip(
        columns, MAP_RATIOS, looks.answers, looks.maps, strict=True
    ):
        text = _("{ratio}: {food}, {logit}").format(
            ratio=numbers.share(percent / 100),
            food=food_class(CLASSES[label]),
            logit=f"{logit:.1f}".replace("-", "−"),
        )
        draw_map(column, looks.thumb, at.checkpoint, map, text)
    st.markdown(
        _(
            "Bright: this place speaks for **{food}**, the answer of the whole network. Under each "
            "picture: the ratio, the answer, the logit of {food}. The correlation of the maps with "
            "the first is {alike}. Each is as bright as its own highest place. A map tells what a "
            "network uses, not whether it is right."
        ).format(food=food, alike=_(", ").join(alike))
    )


def look_at(at: Setting, photo: Photo, key: tuple[Any, ...]) -> Looks:
    """The maps at all ratios, one network after another, none kept open. Raises UserError."""
    image, id = photo.read(), at.checkpoint.id
    pixels = prepare(image, at.checkpoint.input_px, at.checkpoint.crop)[None]  # (1, 3, px, px)
    groups = at.grid.groups if at.grid else ()
    looks = Looks(key, thumbnail(image), -1, [], [])
    for percent in MAP_RATIOS:
        keep = choose(at.tensors(), at.method, percent / 100, groups)
        logits, maps = pruned_explainer(id, keep).maps(pixels)
        if looks.label < 0:
            looks = looks._replace(label=int(logits[0].argmax()))
        looks.answers.append((int(logits[0].argmax()), float(logits[0, looks.label])))
        looks.maps.append(maps[0, looks.label])
    return looks


def likeness(maps: Sequence[NDArray[np.float32]]) -> list[float]:
    """Pearson's correlation of each map (h, w) with the first; 0 where one is the same all over."""
    apart = [map.ravel() - map.mean() for map in maps]
    sizes = [float(np.linalg.norm(each)) for each in apart]
    return [
        float(each @ apart[0]) / (size * sizes[0]) if size * sizes[0] > 0 else 0.0
        for each, size in zip(apart, sizes, strict=True)
    ]


def live(at: Setting) -> None:
    """The button, the running measurement, its result."""
    about = _(
        "Prunes {network} ({method}, {ratio}) on this machine and measures it: accuracy on all "
        "test photographs, where there are some, and the time of every form. One run at a time; "
        "everybody sees the result."
    ).format(network=at.title, method=method_title(at.method), ratio=numbers.share(at.ratio))
    start, again = run_it_here()
    LivePoint(
        RUNS,
        Point(*at.key),
        about,
        start,
        again,
        steps={
            "start": (0.02, _("Starting ...")),
            "prune": (0.08, _("Pruning ...")),
            "accuracy": (0.12, _("Looking at test photograph {done} of {of} ...")),
            "time": (0.85, _("Timing each form ...")),
        },
        result_text=lambda job: _("{score} right").format(score=score_text(job.rows[0].score)),
        draw_rows=lambda job: figures(job.rows),
        method=at.method,
    ).draw()


def why(at: Setting) -> None:
    """What is pruned, as a formula; the functions that chose and pruned."""
    chooser: Callable[..., Any] = pruning_method.kept_weights
    if at.method in CHANNEL_METHODS:
        chooser = pruning_method.dropped_channels
        st.latex(r"s_c = \sqrt{\sum_{w \text{ writes } c} w^2} \qquad\text{or}\qquad "
                 r"s_c = |\gamma_c|")  # fmt: skip
        st.markdown(
            _(
                "$s_c$ is the score of channel $c$: the norm of all weights that compute it, or "
                "the scale $\\gamma_c$ of its BatchNorm. The channels with the lowest scores are "
                "cut, with their bias, their BatchNorm, and the weights of the next layer that "
                "read them. A residual sum needs the same channels in all its branches, and a "
                "depthwise layer has one filter per input channel. Torch-Pruning's dependency "
                "graph finds all of these."
            )
        )
    else:
        st.latex(
            r"\begin{gathered} m_i = \begin{cases} 0 & |w_i| \text{ among the lowest } \rho n \\ "
            r"1 & \text{otherwise} \end{cases} \\[6pt] y = (w \odot m) * x \end{gathered}"
        )
        st.markdown(
            _(
                "$w_i$ are the $n$ weights of a layer (or of all layers), $\\rho$ is the pruning "
                "ratio, $m$ the mask. Every forward pass computes $w \\odot m$ and then the whole "
                "convolution: a zero is multiplied like any other number."
            )
        )
    source(_("This function chose what is pruned on this page:"), inspect.getsource(chooser))
    source(_("This one put the masks on:"), inspect.getsource(pruning_network.masked))


def trap(grid: PruningGrid | None) -> None:
    """A mask makes a network larger: the bytes that were measured."""
    st.markdown(
        _(
            "“Half of the weights are zero, so the file is half as large.” No: torch saves the "
            "old weights *and* the mask. Zeros save bytes only in a compressed or sparse file. "
            "And `copy.deepcopy` cannot copy a masked network: copy it before you prune."
        )
    )
    versions = ((_("original"), 0.0, FORMS[1]), (_("50 %, masks on"), 0.5, FORMS[0]),
                (_("50 %, masks removed"), 0.5, FORMS[1]))  # fmt: skip
    rows = [(title, row) for title, ratio, form in versions
            if (row := grid and grid.row(RowKey("l1", ratio, form)))]  # fmt: skip
    if rows:
        table(
            {
                " ": [title for title, _row in rows],
                _("State dict"): [numbers.size(row.size_bytes) for _title, row in rows],
                _("zipped"): [
                    numbers.size(row.gzip_bytes) if row.gzip_bytes else "–" for _title, row in rows
                ],
                _("Parameters not zero"): [numbers.count(row.nonzero) for _title, row in rows],
            }
        )


def homework(measured: Sequence[Measured]) -> None:
    """HW13 Q3.1 and Q3.2, and HW7's slimming, with the figures of every measured network."""
    st.markdown(
        _(
            "**HW13 Q3.1: plot pruning ratio against accuracy** (L1 on the `weight` of every "
            "`nn.Conv2d`, teacher and student). The first chart is that plot, with the method "
            "“L1, per layer”:"
        )
    )
    titles = [network.title for network in measured]
    curves = [
        {row.ratio: row.score for row in network.grid.of("l1", "removed")} for network in measured
    ]
    table(
        {_("Network"): titles}
        | {numbers.share(ratio): [score_text(curve.get(ratio)) for curve in curves]
           for ratio in (0.0, 0.5, 0.9)}
    )  # fmt: skip
    st.markdown(
        _(
            "**HW13 Q3.2: does this pruning reduce the inference time?** No. It multiplies every "
            "weight by a mask, and then does the same work as before. Only cutting channels makes "
            "less work. Time at 90 %, as a share of the original's (PyTorch, one photo; ≈: not "
            "distinguishable):"
        )
    )
    words = {"faster": _("faster"), "slower": _("slower")}
    costs = [
        {
            form: labelled(words[verdict], numbers.share(share))
            if verdict in words
            else f"≈ {numbers.share(share)}"
            for form, verdict, share, _ms in each
        }
        for each in (spent(network.grid, "torch_1", 0.9) for network in measured)
    ]
    table(
        {_("Network"): titles}
        | {form_title(form): [each.get(form, "–") for each in costs] for form in FORMS}
    )
    st.markdown(
        _(
            "**HW7: network slimming.** Rank the channels by their BatchNorm gamma, keep 95 % of "
            "each layer, fine-tune; five times:"
        )
    )
    slimmed = [
        (network.title, whole, row)
        for network in measured
        for row in network.grid.rows
        if row.rounds > 1 and (whole := network.grid.row(RowKey("l1", 0.0, "removed")))
    ]
    if not slimmed:
        st.caption(_("Not measured yet: python -m core prune-grid --stages finetune"))
        return
    table(
        {
            _("Network"): [title for title, _whole, _row in slimmed],
            _("Parameters"): [
                f"{numbers.count(whole.params)} → {numbers.count(row.params)}"
                for _title, whole, row in slimmed
            ],
            _("Right"): [
                f"{score_text(whole.score)} → {score_text(row.score)}"
                for _title, whole, row in slimmed
            ],
        }
    )


def _quiz(grid: PruningGrid | None) -> list[quiz.Question]:
    """On what was measured of this network: masks, many zeros, half of the channels."""
    keys = (RowKey("l1", 0.0, "removed"), RowKey("l1", 0.5, "masked"),
            RowKey("l1", 0.9, "removed"), RowKey("channel_l2", 0.5, "narrow"))  # fmt: skip
    whole, masked, sparse, narrow = (grid.row(key) if grid else None for key in keys)
    questions = []
    if whole and masked:
        size = whole.size_bytes
        questions.append(
            quiz.Question(
                "masks",
                _("The state dict has {size}. How large is it with half of the weights masked?")
                .format(size=numbers.size(size)),
                *quiz.among(masked.size_bytes, (size / 2, size, size * 1.5), numbers.size),
                _("torch saves the old weights and, beside them, a mask of the same shape."),
            )
        )  # fmt: skip
    if whole and sparse and whole.score and sparse.score:
        right, start = sparse.score.accuracy, whole.score.accuracy
        questions.append(
            quiz.Question(
                "sparse",
                _("90 % of each layer's weights are pruned (L1), without training. How often is "
                  "it right?"),
                *quiz.among(right, (start, start * 0.8, start / 2),
                            partial(numbers.percent, n=sparse.score.n)),
                _("With nothing pruned it is right on {whole}; pure chance is one in {n}.").format(
                    whole=numbers.percent(start, whole.score.n), n=len(CLASSES)
                ),
            )
        )  # fmt: skip
    if whole and narrow:
        questions.append(
            quiz.Question(
                "narrow",
                _("Half of the channels are cut out. What share of the MACs is left?"),
                *quiz.among(narrow.macs / whole.macs, (0.5, 0.75, 1.0), numbers.share),
                _("A layer loses half of its outputs and half of its inputs, so about a quarter of "
                  "its work is left; a depthwise layer has half."),
            )
        )  # fmt: skip
    return questions


if __name__ == "__main__":
    main()
