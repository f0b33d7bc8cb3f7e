"""Pruning: accuracy, time and size against the ratio; masked, masks removed, really narrower."""

import inspect
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import streamlit as st

from core.charts import numbers
from core.charts.compiled import Spec, inlined
from core.checkpoints import Checkpoint
from core.errors import ConfigError
from core.i18n import _
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
    Keep,
    Method,
    choose,
    convolutions,
    dropped_channels,
)
from core.pruning.network import PrunedPredictor
from core.pruning.rows import RUNS, TIMED_RATIOS, Point, PruningGrid, PruningRow, RowKey
from core.stats import Score
from core.timing import COLUMNS, column_title
from pages.kit import frame, guess, networks
from pages.kit.figure import Picture, data_button, kept, show
from pages.kit.live import LivePoint, live_points, run_it_here
from pages.kit.photo_check import Choice, Version, photo_check
from pages.kit.provenance import measured_line, not_measured, provenance
from pages.kit.url_state import number_of, one_of, toggle

PHOTO_RATIOS = (10, 20, 30, 40, 50, 60, 70, 80, 90, 95)


class Setting(NamedTuple):
    """What the reader has set."""

    checkpoint: Checkpoint
    grid: PruningGrid | None
    """What was measured of it, if anything was."""
    method: Method
    ratio: float
    all_methods: bool
    finetuned: bool

    @property
    def key(self) -> tuple[str, str, Method, float]:
        """What decides which weights go."""
        return self.checkpoint.id, self.checkpoint.weights_sha256, self.method, self.ratio

    @property
    def title(self) -> str:
        """What the network is called."""
        return _(self.checkpoint.title)

    def tensors(self) -> dict[str, Any]:
        """The network's parameters, to be read only. Raises CheckpointError."""
        return networks.tensors(self.checkpoint.id, self.checkpoint.weights_sha256)

    def masks(self) -> Keep:
        """Which weights stay; shared by all sessions, to be read only."""
        return masks_of(*self.key, self.grid.groups if self.grid else ())


@st.cache_resource(max_entries=8, show_spinner=False)  # as large as the network, one byte a weight
def masks_of(
    id: str, sha256: str, method: Method, ratio: float, _groups: tuple[ChannelGroup, ...]
) -> Keep:
    """The masks of a method at a ratio; `_groups` follow from the checkpoint."""
    return choose(networks.tensors(id, sha256), method, ratio, _groups)


def main() -> None:
    """Draw the page."""
    st.title(frame.entry("pruning").question)
    st.markdown(
        _(
            "Pruning sets the least important weights of a network to zero, or cuts whole channels "
            "out. How much can go before it forgets what food looks like?"
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
            at = settings(shipped, grids)
        with picture:
            accuracy(measured, at)
    frame.tabs(
        [
            frame.Tab("time", _("Faster?"), partial(times, at), ["time_with"]),
            frame.Tab("weights", _("Layers"), partial(layers, at), ["layer"], ["layers"]),
            frame.Tab("channels", _("Channels"), partial(channels, at), ["group", "height"]),
            frame.Tab("photo", _("Your photo"), partial(photo, at), ["photo_ratios"]),
            frame.Tab("run", _("Run it here"), partial(live, at)),
            frame.Tab("why", _("Why, and a trap"), partial(why, at), former=["trap"]),
            frame.Tab("homework", _("Homework"), partial(homework, measured)),
        ]
    )


def settings(shipped: list[Checkpoint], grids: dict[str, PruningGrid]) -> Setting:
    """The network, the method, the ratio; every control is part of the link."""
    offered = sorted(shipped, key=lambda entry: entry.id not in grids)
    checkpoint = networks.choose_one(_("Network"), offered, "network", first=grids)
    percent = number_of(st.slider, _("Pruning ratio, %"), 0, 100, 50, 5, "ratio")
    method = one_of(
        st.segmented_control,
        _("Method"),
        {name: method_title(name) for name in METHODS},
        "method",
        default="l1",
        required=True,
        wrap=True,
        help=_(
            "L1: the smallest weights go, in every layer alike (the homework) or wherever they "
            "are. Random is the control. The channel methods take whole channels: those with the "
            "smallest filters, or with the smallest BatchNorm scale (network slimming)."
        ),
    )
    all_methods = toggle(_("All methods"), "all_methods")
    help_text = _("A short training after pruning, with the zeros kept: hollow marks.")
    finetuned = toggle(_("Also after fine-tuning"), "finetuned", help=help_text)
    grid = grids.get(checkpoint.id)
    return Setting(checkpoint, grid, method, percent / 100, all_methods, finetuned)


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


def accuracy(measured: Sequence[Measured], at: Setting) -> None:
    """The chart, the guess that it answers, and what it shows."""
    place = st.container()
    guessed = guess.ask(
        _("Guess: as more and more weights become zero, how does accuracy fall?"),
        {name: guess_title(name) for name in GUESSES},
        "guess_curve",
    )
    if not measured:
        explain_missing(at)
        return
    key = (at.checkpoint.id, at.method, at.all_methods, at.finetuned, *guessed)
    grids = [network.grid for network in measured]
    drawn = kept(partial(curves, measured, at, guessed), "pruning curves", *key, of=grids)
    if drawn.chart is None:
        st.info(
            _("These curves were made without photographs: no accuracy. See: python -m core data")
        )
        return
    stars = live_points(RUNS, at.key[:3], ("ratio",))
    moving = {"now": pa.table({"ratio": [at.ratio]})} | ({} if stars is None else {"live": stars})
    notes = [
        "" if guessed.is_open else drawn.start,
        "" if at.all_methods and at.grid else method_title(at.method) + ".",
        _("Band: 95 % interval.") if guessed.is_open else "",
        _("Dashed: one in eleven, pure chance."),
        _("Dotted: your guess.") if guessed.value else "",
        _("Stars: measured here, just now.") if stars is not None else "",
    ]
    with place:
        datasets = drawn.chart["datasets"] | moving
        show(drawn.chart | {"datasets": datasets}, drawn.alt, key="accuracy")
        st.caption(" ".join(note for note in notes if note))
    if at.grid is None:
        explain_missing(at)
    guess.verdict(guessed, drawn.nearest == guessed.value, drawn.answer)
    if guessed.is_open:
        st.markdown("\n".join(f"- {line}" for line in [*ratio_lines(at), *drawn.lines]))
        data_button(drawn.rows, "pruning-accuracy")


def explain_missing(at: Setting) -> None:
    """Say that nothing was measured yet and how to get it."""
    not_measured(
        _(
            "The curves of this network are not measured yet. That takes some minutes; meanwhile "
            "the tabs below work, and “Run it here” measures single points."
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
        start = _("The mark: {network} as it was trained, right on {score}.").format(
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
    alt = _("Accuracy on the test photographs against the pruning ratio.") + " "
    if not guessed.is_open:
        alt += _("Only the whole network is shown until you guess.")
        return Curves(rows, chart, alt, [], start, nearest, answer)
    alt += " ".join(line.replace("**", "") for line in accuracy_lines(rows))
    lines = accuracy_lines(rows[is_own])
    others = [
        _("{name} up to {until}").format(name=name, until=numbers.share(holds_until(curve)))
        for name, curve in curves_of(rows[~is_own])
    ]
    if others:
        lines.append(_("The others stay within theirs: {others}.").format(others=", ".join(others)))
    return Curves(rows, chart, alt, lines + tuned_lines(rows), start, nearest, answer)


def curves_of(rows: pd.DataFrame) -> Iterable[tuple[Any, pd.DataFrame]]:
    """Each curve's name and rows, by ratio; what was fine-tuned is on no curve."""
    plain = rows[~rows["tuned"].astype(bool)].sort_values("ratio")
    for name in dict.fromkeys(rows["series"]):
        if len(curve := plain[plain["series"] == name]):
            yield name, curve


def holds_until(curve: pd.DataFrame) -> float:
    """Largest ratio up to which the accuracy stays within the whole network's 95 % interval."""
    held = curve["accuracy"] >= float(curve["low"].iloc[0])
    return float(curve["ratio"][held.cummin()].max())


def accuracy_lines(rows: pd.DataFrame) -> list[str]:
    """A sentence per curve: where it starts, how far it holds, where it ends."""
    return [
        _(
            "**{name}** is right on {whole} when whole, stays within that figure's interval up "
            "to {until} pruned, and ends at {end} with {most} pruned."
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
        _("**{name}** at {ratio}: {before} before, {after} after.").format(
            name=row["network"],
            ratio=numbers.share(row["ratio"]),
            before=numbers.percent(plain[key]["accuracy"], plain[key]["n"]),
            after=numbers.percent(row["accuracy"], row["n"]),
        )
        for key, row in records
        if row["tuned"] and key in plain
    ]


def ratio_lines(at: Setting) -> list[str]:
    """How often the network is right at the ratio that is set, if that was measured."""
    row = at.grid and at.grid.row(RowKey(at.method, at.ratio, "removed"))
    if not row or row.score is None:
        return []
    return [
        _("At **{ratio}**, {network} is right on {score}.").format(
            ratio=numbers.share(at.ratio), network=at.title, score=score_text(row.score)
        )
    ]


def score_text(score: Score | None) -> str:
    """ "76.6 % (74.4 to 78.7 %)", or that it was not measured."""
    if score is None:
        return _("not measured (no photographs here)")
    return _("{accuracy} ({interval})").format(
        accuracy=numbers.percent(score.accuracy, score.n),
        interval=numbers.interval(*score.ci95, score.n),
    )


# Tab "Faster?": what each form costs, and every figure measured.


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
        "Guess: with 90 % of its weights pruned, masks on, as in the homework, {network} is ..."
    )
    guessed = guess.ask(question.format(network=at.title), titles, "guess_speed")
    whole = timed_row(grid, "removed", 0.0, "torch_1")
    masked = timed_row(grid, "masked", 0.9, "torch_1")
    if whole and masked:
        base, spent = whole.latency["torch_1"], masked.latency["torch_1"]
        truth = spent.against(base, timing_noise(grid, "torch_1"))
        answer = _("It is {truth}: {share} of the whole network's time (PyTorch).").format(
            truth=titles[truth], share=numbers.share(spent.median / base.median)
        )
        guess.verdict(guessed, truth == guessed.value, answer)
    if not guessed.is_open:
        return
    column = one_of(
        st.segmented_control,
        _("Show"),
        {name: cost_title(name) for name in known},
        "time_with",
        default=known[0],
        required=True,
    )
    drawn = kept(partial(cost_picture, grid, column), "pruning costs", column, of=[grid])
    now = {"now": pa.table({"ratio": [at.ratio]})}
    show(drawn.chart | {"datasets": now}, drawn.alt, key="times")
    nearest = min(TIMED_RATIOS[1:], key=lambda ratio: abs(ratio - at.ratio))
    lines = [
        _("**What you see**, at {ratio} ({column}):").format(
            ratio=numbers.share(nearest), column=cost_title(column)
        ),
        *(f"- {line}" for line in time_lines(grid, column, nearest)),
    ]
    st.markdown("\n".join(lines))
    st.caption(how_measured(grid, column))
    data_button(drawn.frame, "pruning-times")
    measured_line(_("Curves and times of {id}").format(id=f"`{grid.checkpoint}`"), grid)


def cost_picture(grid: PruningGrid, column: str) -> Picture:
    """One of COSTS against the ratio, a line a form."""
    rows = time_frame(grid, column)
    alt = _("Cost of a pruned network as a share of the whole one's, {column}. {lines}.").format(
        column=cost_title(column),
        lines="; ".join(line.replace("**", "") for line in time_lines(grid, column, 0.5)),
    )
    chart = inlined(time_chart(rows, 0.0, column), but=("now",))
    return Picture(rows, chart, alt)


def cost_title(column: str) -> str:
    """What one of COSTS is called."""
    sizes = {
        "size_bytes": _("State dict"),
        "gzip_bytes": _("State dict, zipped"),
        "macs": _("MACs"),
    }
    return sizes.get(column) or column_title(column)


def time_lines(grid: PruningGrid, column: str, ratio: float) -> list[str]:
    """What each form costs at a ratio: a sentence each, faster or slower only if it measured so."""
    whole = timed_row(grid, "removed", 0.0, column)
    base = whole and cost(whole, column)
    texts = {
        "faster": _("smaller: {share} of the whole network's ({figure})"),
        "slower": _("larger: {share} of the whole network's ({figure})"),
        "same": _("as much as the whole network ({figure})"),
    }
    if column in COLUMNS:
        texts = {
            "faster": _("faster: {share} of the whole network's time"),
            "slower": _("slower: {share} of the whole network's time"),
            "same": _("not distinguishable from the whole network ({share} of its time)"),
        }
    lines = []
    for form in FORMS:
        row = timed_row(grid, form, ratio, column)
        spent = row and cost(row, column)
        if spent and base and row is not whole:
            text = texts[spent.against(base, timing_noise(grid, column))].format(
                share=numbers.share(spent.median / base.median),
                figure=cost_text(spent.median, column),
            )
            lines.append(f"**{form_title(form)}**: {text}")
    return lines


def how_measured(grid: PruningGrid, column: str) -> str:
    """How the figures of a column came about, and how far they can be trusted."""
    forms = _("Masked and removed: L1; narrower: channels by L2.")
    if column not in COLUMNS:
        return forms + " " + _("Counted, so there is no spread. The state dict is float32.")
    protocol = _(
        "Median of repeated calls, quartiles as bars, on {machine}, computing threads: {threads}. "
        "All forms took turns. An ONNX file holds no masks: exporting removes them."
    ).format(threads=grid.threads, machine=grid.machine)
    noise = _(
        "With its masks removed a network does the same work as the whole one; it still measured "
        "up to {noise} off, so differences up to that are not distinguishable."
    ).format(noise=numbers.percent(timing_noise(grid, column)))
    return f"{protocol} {noise} {forms}"


def figures(rows: Sequence[PruningRow]) -> None:
    """A Markdown table of rows, a line a figure; what was measured of none is left out."""
    table: dict[str, list[Any]] = {
        _("Right"): [row.score and numbers.percent(row.score.accuracy, row.n) for row in rows],
        _("Parameters"): [numbers.count(row.params) for row in rows],
        _("not zero"): [numbers.count(row.nonzero) for row in rows],
    }
    for name in ("macs", "size_bytes", "gzip_bytes", *COLUMNS):
        spent = [cost(row, name) for row in rows]
        table[cost_title(name)] = [figure and cost_text(figure.median, name) for figure in spent]
    forms = [form_title(row.form) for row in rows]
    lines = [f"| | {' | '.join(forms)} |", "|---" + "|---:" * len(forms) + "|"]
    for title, cells in table.items():
        if any(cells):
            lines.append(f"| {title} | {' | '.join(cell or '–' for cell in cells)} |")
    st.markdown("\n".join(lines))


# Tabs "Layers" and "Channels": what goes at this setting, and how much each layer bears.


def layers(at: Setting) -> None:
    """A layer's weights, kept and gone; and every layer pruned alone, the others whole."""
    left, right = st.columns(2, gap="medium")
    with left:
        if has_groups(at):
            weights(at)
    with right:
        if at.grid is None or not at.grid.scan:
            command = f"`python -m core prune-grid {at.checkpoint.id} --stages scan`"
            st.caption(_("How much each layer bears alone: {command}").format(command=command))
            return
        scan = kept(partial(scan_picture, at.grid), "pruning scan", of=[at.grid])
        show(scan.chart, scan.alt, key="scan")
        n = numbers.count(int(scan.frame["n"].iloc[0]))
        st.caption(scan.alt + " " + _("L1, {n} validation photographs.").format(n=n))
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
    """The weights of a layer, and where the most become zero."""
    tensors, masks = at.tensors(), at.masks()
    weight, keep = tensors[layer], masks.get(layer)
    gone = {name: int((~masks[name]).sum()) if name in masks else 0 for name in names}
    share = {name: gone[name] / tensors[name].size for name in names}
    text = _("Weights of {layer}: {n} of {all} become zero (grey).").format(
        layer=layer_title(layer), n=numbers.count(gone[layer]), all=numbers.count(weight.size)
    )
    if keep is not None and 0 < gone[layer] < weight.size:
        largest = f"{np.abs(weight[~keep]).max():.4f}"
        text += " " + _("The largest of them: {size}.").format(size=largest)
    most = max(share, key=lambda name: share[name])
    total = sum(gone.values()) / sum(tensors[name].size for name in names)
    text += " " + _("Of all convolution weights {total}; most in {most} ({share}).").format(
        total=f"{total:.1%}", most=layer_title(most), share=f"{share[most]:.1%}"
    )
    rows = histogram_frame(weight, keep)
    return Picture(rows, inlined(histogram_chart(rows)), text)


def scan_picture(grid: PruningGrid) -> Picture:
    """How much each layer bears alone, and which bear most and least."""
    rows = scan_frame(grid.scan, grid.layers)
    strongest = rows[rows["ratio"] == rows["ratio"].max()].sort_values("accuracy")
    weak, tough = strongest.iloc[0], strongest.iloc[-1]
    text = _(
        "With {ratio} of one layer gone and all others whole, the most sensitive is {weak} "
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
        _(
            "Which channels must be pruned together is found by tracing the network, when its "
            "curves are measured:"
        ),
        f"python -m core prune-grid {at.checkpoint.id}",
    )
    return False


def channels(at: Setting) -> None:
    """Which channels of a feature map go, by their filters' norm and their BatchNorm's scale."""
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
    titles = [
        _("{first}: {n} channels").format(first=group.writers[0], n=group.channels)
        for group in groups
    ]
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    offered = dict(enumerate(titles))
    number = one_of(left.selectbox, _("Channels written by"), offered, "group", default=0)
    group = groups[number]
    heights = {"norm": _("norm of filters")}
    if group.norms:
        heights["gamma"] = _("BatchNorm gamma")
    ranked_by = one_of(
        right.segmented_control,
        _("Height"),
        heights,
        "height",
        default="gamma" if method == "bn_gamma" and group.norms else "norm",
        required=True,
    )
    rows = channel_frame(at.tensors(), group, dropped[number])
    count = _("{n} of {all} channels go.").format(n=len(dropped[number]), all=group.channels)
    alt = _("The channels written by {layer}, weakest filters first. {count}")
    chart = inlined(channel_chart(rows, ranked_by))
    show(chart, alt.format(layer=group.writers[0], count=count), key="channels")
    together = ", ".join(group.writers + group.norms)
    notes = [
        count,
        _("Crosses go, triangles stay."),
        _("These must be pruned together: {layers}.").format(layers=together),
    ]
    if not group.norms:
        notes.append(_("No BatchNorm follows, so gamma cannot rank them."))
    if at.method not in CHANNEL_METHODS:
        notes.append(_("Shown for channels by L2; the method above takes single weights."))
    st.caption(" ".join(notes))
    data_button(rows, "pruning-channels")


# Tabs "Your photo" and "Run it here".


def photo(at: Setting) -> None:
    """Choose a photo and up to three ratios; see where the answer changes."""
    if not has_groups(at):
        return

    def pruned(percent: int) -> PrunedPredictor:
        return PrunedPredictor(at.checkpoint.id, at._replace(ratio=percent / 100).masks())

    def versions(percents: Sequence[int]) -> list[Version]:
        text = _("{ratio} pruned")
        return [
            Version(_("whole"), partial(pruned, 0)),
            *(
                Version(
                    text.format(ratio=numbers.share(percent / 100)),
                    partial(pruned, percent),
                    "pruned",
                )
                for percent in percents
            ),
        ]

    photo_check(
        at.checkpoint,
        Choice(_("Ratios to try, up to three (%)"), PHOTO_RATIOS, (30, 60, 90), "photo_ratios"),
        versions,
        way=method_title(at.method),
        hint=_("Drop a photo: it goes through the network whole, and pruned."),
        name="pruning-photo",
    )


def live(at: Setting) -> None:
    """The button, the running measurement, its result."""
    about = _(
        "Prunes {network} by {method} to {ratio} now, in a process of its own: accuracy on "
        "all test photographs (where they are on this machine), and the time of every form. "
        "One run at a time; results are shared."
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
        told=lambda job: _("{score} right").format(score=score_text(job.rows[0].score)),
        shown=lambda job: figures(job.rows),
    ).draw()


# Tabs "Why, and a trap" and "Homework".


def why(at: Setting) -> None:
    """What goes, as a formula; the functions that decided and did it; what a mask weighs."""
    chooser: Callable[..., Any] = pruning_method.kept_weights
    if at.method in CHANNEL_METHODS:
        chooser = pruning_method.dropped_channels
        st.latex(r"s_c = \sqrt{\sum_{w \text{ writes } c} w^2} \qquad\text{or}\qquad "
                 r"s_c = |\gamma_c|")  # fmt: skip
        st.markdown(
            _(
                "$s_c$ is the score of channel $c$: the norm of all weights that write it, or the "
                "scale $\\gamma_c$ of its BatchNorm. The lowest scores go, with bias, BatchNorm, "
                "and the weights of the next layer that read them. A residual sum ties the "
                "channels of all its branches; a depthwise layer ties its output to its input "
                "(Torch-Pruning's dependency graph finds them all)."
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
    trap(at.grid)
    st.markdown(_("This function chose what goes, here on this page, too:"))
    st.code(inspect.getsource(chooser), language="python")
    st.markdown(_("And this one put the masks on:"))
    st.code(inspect.getsource(pruning_network.masked), language="python")


def trap(grid: PruningGrid | None) -> None:
    """A mask makes a network larger: the bytes that were measured."""
    st.markdown(
        _(
            "**Trap.** “Half of the weights are zero, so the file is half as large.” Save the "
            "masked network and look: torch keeps the old weights *and* the mask. Zeros only save "
            "bytes where something packs them (gzip, or a sparse format). And `copy.deepcopy` "
            "cannot copy a masked network: copy it before you prune, as this app does."
        )
    )
    for title, ratio, form in (
        (_("whole"), 0.0, FORMS[1]),
        (_("50 % masked"), 0.5, FORMS[0]),
        (_("50 % masks removed"), 0.5, FORMS[1]),
    ):
        if row := grid and grid.row(RowKey("l1", ratio, form)):
            text = _("- {name}: state dict {size}{zipped}; {n} parameters are not zero")
            zipped = row.gzip_bytes and _(", zipped {size}").format(
                size=numbers.size(row.gzip_bytes)
            )
            size, n = numbers.size(row.size_bytes), numbers.count(row.nonzero)
            st.markdown(text.format(name=title, size=size, zipped=zipped or "", n=n))


def homework(measured: Sequence[Measured]) -> None:
    """HW13 Q3.1 and Q3.2, HW7's slimming, and where on the page their answers stand."""
    st.markdown(
        _(
            "**HW13 Q3.1: plot pruning ratio against accuracy** (L1 on the `weight` of every "
            "`nn.Conv2d`, teacher and student). That is the first chart with “L1, per layer”:"
        )
    )
    for network in measured:
        curve = {row.ratio: row.score for row in network.grid.of("l1", "removed")}
        points = [
            f"{numbers.share(ratio)}: {score_text(curve[ratio])}"
            for ratio in (0.0, 0.5, 0.9)
            if ratio in curve
        ]
        if points:
            st.markdown(f"- {network.title}: {' · '.join(points)}")
    st.markdown(
        _(
            "**HW13 Q3.2: does that pruning reduce the time of inference?** No. It multiplies "
            "every weight with a mask and then does all the work it did before; “Faster?” "
            "shows it, masked and with the masks removed. Only cutting channels out does less work."
        )
    )
    for network in measured:
        if timed_row(network.grid, "masked", 0.9, "torch_1"):
            lines = time_lines(network.grid, "torch_1", 0.9)
            st.markdown("\n".join(f"- {network.title}, 90 %, {line}" for line in lines))
    st.markdown(
        _(
            "**HW7: network slimming.** Rank channels by their BatchNorm gamma, keep 95 % of each "
            "layer, fine-tune, five times over:"
        )
    )
    slimmed = [
        _("- {name}: {before} to {after} parameters, {a} to {b} right").format(
            name=network.title,
            before=numbers.count(whole.params),
            after=numbers.count(row.params),
            a=score_text(whole.score),
            b=score_text(row.score),
        )
        for network in measured
        for row in network.grid.rows
        if row.rounds > 1 and (whole := network.grid.row(RowKey("l1", 0.0, "removed")))
    ]
    st.markdown("\n".join(slimmed))
    if not slimmed:
        st.caption(_("Not measured yet: python -m core prune-grid --stages finetune"))


if __name__ == "__main__":
    main()
