"""Pruning: accuracy, time and size against the ratio; masked, masks removed, really narrower."""

import inspect
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import streamlit as st

from core.charts import numbers
from core.checkpoints import WEIGHTS, Checkpoint
from core.errors import CheckpointError, ConfigError
from core.i18n import _, ngettext
from core.pruning import method as prune_select
from core.pruning import network
from core.pruning.chart import (
    COSTS,
    GUESSES,
    TIMES,
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
    scan_chart,
    scan_frame,
    sparsity_chart,
    sparsity_frame,
    time_chart,
    time_frame,
    timed_row,
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
from core.pruning.network import PrunedPredictor, forms_of
from core.pruning.rows import RUNS, TIMED_RATIOS, Point, PruningGrid, PruningRow, RowKey
from core.stats import Score
from pages.kit import frame as contents
from pages.kit import networks
from pages.kit.figure import data_button, show
from pages.kit.frame import foot
from pages.kit.live import LivePoint, live_points, run_it_here
from pages.kit.photo_check import Choice, Version, photo_check
from pages.kit.provenance import measured_line, provenance
from pages.kit.url_state import guess, is_on, number_of, one_of, toggle

# ------------------------------------------------------------------------------------------------
# What the pruning page's charts show, in sentences made from the numbers in them.


def column_title(column: str) -> str:
    """What a cost is called: "PyTorch, batch 1"."""
    sizes = {
        "size_bytes": _("State dict"),
        "gzip_bytes": _("State dict, zipped"),
        "macs": _("MACs"),
    }
    if column in sizes:
        return sizes[column]
    engine, batch = column.split("_")
    name = {"torch": "PyTorch", "onnx": "ONNX Runtime"}[engine]
    return _("{engine}, batch {n}").format(engine=name, n=batch)


def _curve(frame: pd.DataFrame, series: str) -> pd.DataFrame:
    return frame[(frame["series"] == series) & ~frame["tuned"]].sort_values("ratio")


def holds_until(curve: pd.DataFrame) -> float:
    """Largest ratio up to which the accuracy stays within the whole network's 95 % interval."""
    lowest = float(curve["low"].iloc[0])
    held = curve["accuracy"] >= lowest
    return float(curve["ratio"][held.cummin()].max())


def accuracy_lines(frame: pd.DataFrame) -> list[str]:
    """A sentence per curve: where it starts, how far it holds, where it ends."""
    lines = []
    for series in dict.fromkeys(frame.loc[~frame["tuned"], "series"]):
        curve = _curve(frame, series)
        first, last = curve.iloc[0], curve.iloc[-1]
        lines.append(
            _(
                "**{name}** is right on {whole} when whole, stays within that figure's interval up "
                "to {until} pruned, and ends at {end} with {most} pruned."
            ).format(
                name=series,
                whole=numbers.percent(first["accuracy"], first["n"]),
                until=numbers.share(holds_until(curve)),
                end=numbers.percent(last["accuracy"], last["n"]),
                most=numbers.share(last["ratio"]),
            )
        )
    return lines


def tuned_lines(frame: pd.DataFrame) -> list[str]:
    """A sentence per fine-tuned point, beside the same ratio without fine-tuning."""
    lines = []
    records = [(str(r["checkpoint"]), str(r["method"]), float(r["ratio"]), r)
               for r in frame.to_dict("records")]  # fmt: skip
    plain = {(one, method, ratio): r for one, method, ratio, r in records if not r["tuned"]}
    for one, method, ratio, row in records:
        before = plain.get((one, method, ratio))
        if row["tuned"] and before is not None:
            lines.append(
                _("**{name}** at {ratio}: {before} before, {after} after.").format(
                    name=row["network"],
                    ratio=numbers.share(ratio),
                    before=numbers.percent(before["accuracy"], before["n"]),
                    after=numbers.percent(row["accuracy"], row["n"]),
                )
            )
    return lines


def accuracy_alt(frame: pd.DataFrame, reveal: bool) -> str:
    """What the first chart shows, for who cannot see it."""
    said = _("Accuracy on the test photographs against the pruning ratio.")
    if not reveal:
        return said + " " + _("Only the whole networks are shown until you ask for the curves.")
    return " ".join([said, *(line.replace("**", "") for line in accuracy_lines(frame))])


def time_lines(grid: PruningGrid, column: str, ratio: float) -> list[str]:
    """What each form costs at a ratio: a sentence each, faster or slower only if it measured so."""
    whole = timed_row(grid, "removed", 0.0, column)
    base = whole and cost(whole, column)
    if column in TIMES:
        said = {
            "faster": _("faster: {share} of the whole network's time"),
            "slower": _("slower: {share} of the whole network's time"),
            "same": _("no difference that the measurement can tell ({share} of its time)"),
        }
    else:
        said = {
            "faster": _("smaller: {share} of the whole network's ({figure})"),
            "slower": _("larger: {share} of the whole network's ({figure})"),
            "same": _("as much as the whole network ({figure})"),
        }
    lines = []
    for form in FORMS:
        row = timed_row(grid, form, ratio, column)
        found = row and cost(row, column)
        if not found or not base or row is whole:
            continue
        text = said[found.against(base)].format(
            share=numbers.share(found.median / base.median), figure=cost_text(found.median, column)
        )
        lines.append(f"**{form_title(form)}**: {text}")
    return lines


def narrow_line(one: Measured, ratio: float = 0.5, column: str = "torch_1") -> str | None:
    """What cutting channels out saved one network; None where that was not measured."""
    whole = timed_row(one.grid, "removed", 0.0, column)
    cut = timed_row(one.grid, "narrow", ratio, column)
    before, after = whole and cost(whole, column), cut and cost(cut, column)
    if not (whole and cut and before and after):
        return None
    times = {
        "faster": _("{times} as fast"),
        "slower": _("slower, {times} as fast"),
        "same": _("no difference that the measurement can tell"),
    }[after.against(before)].format(times=numbers.ratio(before.median / after.median))
    return _(
        "**{name}**, {ratio} of its channels cut out: {params} of the parameters, {macs} of the "
        "MACs, {before} to {after} for a picture: {times}."
    ).format(
        name=one.title,
        ratio=numbers.share(ratio),
        params=numbers.share(cut.params / whole.params),
        macs=numbers.share(cut.macs / whole.macs),
        before=cost_text(before.median, column),
        after=cost_text(after.median, column),
        times=times,
    )


def time_alt(grid: PruningGrid, column: str, ratios: Iterable[float]) -> str:
    """What the second chart shows, for who cannot see it."""
    parts = [
        _("Cost of a pruned network as a share of the whole one's, {column}.").format(
            column=column_title(column)
        )
    ]
    for ratio in ratios:
        lines = time_lines(grid, column, ratio)
        if ratio and lines:
            told = "; ".join(line.replace("**", "") for line in lines)
            parts.append(_("At {ratio}: {told}.").format(ratio=numbers.share(ratio), told=told))
    return " ".join(parts)


def rows_table(rows: Iterable[PruningRow]) -> pd.DataFrame:
    """Rows as figures for a reader: a column each, empty where nothing was measured."""
    return pd.DataFrame(
        [
            {
                "form": form_title(row.form),
                "right": None if row.score is None else numbers.percent(row.score.accuracy, row.n),
                "params": numbers.count(row.params),
                "nonzero": numbers.count(row.nonzero),
                "macs": cost_text(row.macs, "macs"),
                "size": numbers.size(row.size_bytes),
                "zipped": None if row.gzip_bytes is None else numbers.size(row.gzip_bytes),
                **{
                    name: numbers.milliseconds(row.latency[name].median)
                    if name in row.latency
                    else None
                    for name in TIMES
                },
            }
            for row in rows
        ]
    )


# ------------------------------------------------------------------------------------------------
# The pruning page's guess and controls: which network, which method, how much.


SPEEDS = ("faster", "same", "slower")


class Setting(NamedTuple):
    """What the reader has set."""

    checkpoint: Checkpoint
    grid: PruningGrid | None
    method: Method
    ratio: float

    @property
    def sha256(self) -> str:
        """Of the weights: part of every cache key."""
        return self.checkpoint.files[WEIGHTS].sha256


class Guess(NamedTuple):
    """What the reader expects; None where nothing was tapped."""

    curve: str | None
    speed: str | None


def speed_title(speed: str) -> str:
    """What a guess about time is called."""
    return {"faster": _("faster"), "same": _("as fast"), "slower": _("slower")}[speed]


def predict_first() -> Guess:
    """Two taps before looking."""
    curve = guess(
        _("First, a guess: as more and more weights become zero, how does accuracy fall?"),
        GUESSES,
        format_func=guess_title,
        key="guess_curve",
    )
    speed = guess(
        _("And with 90 % of the weights pruned, as in the homework, the network is ..."),
        SPEEDS,
        format_func=speed_title,
        key="guess_speed",
    )
    return Guess(curve, speed)


def setting(found: list[Checkpoint], grids: dict[str, PruningGrid]) -> Setting:
    """The network under the knife, the method, the ratio; every control is part of the link."""
    left, right = st.columns([2, 3], vertical_alignment="bottom")
    with left:
        measured_first = sorted(found, key=lambda one: one.id not in grids)
        one = networks.choose_one(_("Network"), measured_first, "network")
    with right:
        percent = number_of(st.slider, _("Pruning ratio, %"), 0, 100, 50, 5, "ratio")
    method = one_of(
        st.segmented_control,
        _("Method"),
        {name: method_title(name) for name in METHODS},
        "method",
        default="l1",
        required=True,
        help=_(
            "L1: the smallest weights go, in every layer alike (the homework) or wherever they "
            "are. Random is the control. The channel methods take whole channels: those with the "
            "smallest filters, or with the smallest BatchNorm scale (network slimming)."
        ),
    )
    return Setting(one, grids.get(one.id), method, percent / 100)


@st.cache_resource(max_entries=12, show_spinner=False)
def chosen_masks(
    id: str, sha256: str, method: Method, ratio: float, _groups: tuple[ChannelGroup, ...]
) -> Keep:
    """The masks of a method at a ratio, shared; `_groups` follow from the checkpoint."""
    return choose(networks.tensors(id, sha256), method, ratio, _groups)


def masks(at: Setting, ratio: float | None = None) -> Keep | None:
    """The masks of this setting (or at another ratio); None, and said, where groups are missing."""
    groups = at.grid.groups if at.grid else ()
    if at.method in CHANNEL_METHODS and not groups:
        st.info(
            _(
                "Which channels hang together is found by tracing the network, together with its "
                "curves. Make them with:"
            ),
            icon=":material/account_tree:",
        )
        st.code(f"python -m core prune-grid {at.checkpoint.id}", language="bash")
        return None
    return chosen_masks(
        at.checkpoint.id, at.sha256, at.method, at.ratio if ratio is None else ratio, groups
    )


# ------------------------------------------------------------------------------------------------
# Ratio against accuracy, and ratio against time and size: what was measured, drawn and told.


def explain_missing(ids: Sequence[str]) -> None:
    """Say that nothing was measured yet and how to get it."""
    st.info(
        _(
            "The curves of these networks are not measured yet. That takes some minutes for each; "
            "meanwhile everything below works, and “Run it here” measures single points."
        ),
        icon=":material/query_stats:",
    )
    st.code(f"python -m core prune-grid {' '.join(ids)}", language="bash")


def accuracy(known: Sequence[Measured], at: Setting, guess: Guess) -> pd.DataFrame:
    """The first chart with its controls and sentences; returns what it shows."""
    with st.container(horizontal=True, vertical_alignment="center"):
        reveal = toggle(_("Show what was measured"), "reveal")
        by_method = toggle(_("All methods on this network"), "all_methods")
        finetuned = toggle(
            _("Also after fine-tuning"), "finetuned",
            help=_("A short training after pruning, with the zeros kept: hollow marks."),
        )  # fmt: skip
    own = [one for one in known if one.grid.checkpoint == at.checkpoint.id]
    shown_networks, methods = (own, METHODS) if by_method and own else (known, (at.method,))
    frame = accuracy_frame(shown_networks, methods, finetuned)
    if frame.empty:
        st.info(
            _("These curves were made without photographs: no accuracy. See: python -m core data")
        )
        return frame
    start = float(frame.loc[frame["ratio"] == 0, "accuracy"].max())
    show(
        accuracy_chart(
            frame,
            at.ratio,
            None if guess.curve is None else guess_curve(guess.curve, start),
            live_points(RUNS, (at.checkpoint.id, at.sha256, at.method), ("ratio",)),
            reveal,
        ),
        accuracy_alt(frame, reveal),
        key="accuracy",
    )
    shown = "" if by_method and own else method_title(at.method) + ". "
    st.caption(
        shown
        + _("Bands and bars: 95 % interval. Dashed grey: one in eleven, pure chance. Thick "
            "dots: your guess. Stars: measured here, just now.")
    )  # fmt: skip
    if not reveal:
        st.caption(_("Make your guess, then switch on “Show what was measured”."))
        return frame[frame["ratio"] == 0]
    st.markdown(f"**{_('What you see')}**")
    lines = accuracy_lines(frame) + tuned_lines(frame)
    st.markdown("\n".join(f"- {line}" for line in lines))
    return frame


def times(at: Setting, guess: Guess, reveal: bool) -> None:
    """The second chart: what each form costs, and every figure at this ratio."""
    grid = at.grid
    known = [name for name in COSTS if grid and timed_row(grid, "removed", 0.0, name)]
    if grid is None or not set(known) & set(TIMES):
        st.info(
            _("Times of this network are not measured yet. “Run it here” measures one point, or:"),
            icon=":material/timer_off:",
        )
        st.code(f"python -m core prune-grid {at.checkpoint.id} --stages times", language="bash")
    if grid is None or not known:
        return
    if not reveal:
        st.caption(_("Shown together with the curves: make your guess first."))
        return
    column = one_of(
        st.segmented_control,
        _("Show"),
        {name: column_title(name) for name in known},
        "time_with",
        default=known[0],
        required=True,
    )
    frame = time_frame(grid, column)
    show(
        time_chart(frame, at.ratio, column),
        time_alt(grid, column, TIMED_RATIOS),
        key="times",
    )
    st.caption(_how_measured(grid, column))
    data_button(frame, "pruning-times")
    _told_times(grid, column, at.ratio, guess)
    _table(grid, at)


def _how_measured(grid: PruningGrid, column: str) -> str:
    forms = _("Masked and removed: L1; narrower: channels by L2.")
    if column not in TIMES:
        return forms + " " + _("Counted, so there is no spread. The state dict is float32.")
    said = ngettext(
        "Median of repeated calls, quartiles as bars, {threads} thread, on {machine}. All forms "
        "took turns. An ONNX file holds no masks: exporting removes them.",
        "Median of repeated calls, quartiles as bars, {threads} threads, on {machine}. All forms "
        "took turns. An ONNX file holds no masks: exporting removes them.",
        grid.threads,
    ).format(threads=grid.threads, machine=grid.machine)
    return f"{said} {forms}"


def _told_times(grid: PruningGrid, column: str, ratio: float, guess: Guess) -> None:
    nearest = min(TIMED_RATIOS[1:], key=lambda one: abs(one - ratio))
    st.markdown(
        _("**What you see**, at {ratio} ({column}):").format(
            ratio=numbers.share(nearest), column=column_title(column)
        )
    )
    lines = time_lines(grid, column, nearest)
    st.markdown("\n".join(f"- {line}" for line in lines))
    whole = timed_row(grid, "removed", 0.0, "torch_1")
    wearing = timed_row(grid, "masked", 0.9, "torch_1")
    if guess.speed and whole and wearing:
        truth = wearing.latency["torch_1"].against(whole.latency["torch_1"])
        told = _("Well seen.") if truth == guess.speed else _("Not quite.")
        st.markdown(
            told
            + " "
            + _("You guessed “{guess}” for 90 % pruned; with its masks it measured “{truth}”.")
            .format(guess=speed_title(guess.speed), truth=speed_title(truth))
        )  # fmt: skip


def _table(grid: PruningGrid, at: Setting) -> None:
    found = [grid.row(RowKey(at.method, at.ratio, form)) for form in forms_of(at.method)]
    rows = [row for row in found if row is not None]
    if not rows:
        st.caption(
            _("No figures are kept for {ratio}: choose 0 to 95 %, or run it here.").format(
                ratio=numbers.share(at.ratio)
            )
        )
        return
    st.markdown(
        _("**{method} at {ratio}**, every figure:").format(
            method=method_title(at.method), ratio=numbers.share(at.ratio)
        )
    )
    figures(rows)
    if not any(row.latency for row in rows):
        st.caption(
            _(
                "Not timed: arithmetic does not care where the zeros are, so times were measured "
                "for L1 and for channels by L2, at {ratios}. “Run it here” times this very point."
            ).format(ratios=", ".join(numbers.share(ratio) for ratio in TIMED_RATIOS))
        )


def figures(rows: Sequence[PruningRow]) -> None:
    """A table of rows; what was not measured is left empty."""
    table = rows_table(rows)
    table = table.dropna(axis="columns", how="all").fillna("–")
    titles = {
        "form": _("Form"),
        "right": _("Right"),
        "params": _("Parameters"),
        "nonzero": _("not zero"),
        "macs": _("MACs"),
        "size": _("State dict"),
        "zipped": _("zipped"),
        **{name: column_title(name) for name in TIMES},
    }
    st.dataframe(
        table,
        column_config={name: titles[name] for name in table.columns},
        hide_index=True,
        alt=_("Each form: accuracy, parameters, MACs, bytes and times."),
    )


def score_text(score: Score | None) -> str:
    """ "76.6 % (74.4 to 78.7 %)", or that it was not measured."""
    if score is None:
        return _("not measured (no photographs here)")
    return _("{accuracy} ({interval})").format(
        accuracy=numbers.percent(score.accuracy, score.n),
        interval=numbers.interval(*score.ci95, score.n),
    )


# ------------------------------------------------------------------------------------------------
# "Run it here" of the pruning page: a network, a method, a ratio.


def live(at: Setting) -> None:
    """The button, the running measurement, its result."""
    start, again = run_it_here()
    LivePoint(
        RUNS,
        Point(at.checkpoint.id, at.sha256, at.method, at.ratio),
        _(
            "Prunes {network} by {method} to {ratio} now, in a process of its own: accuracy on "
            "all test photographs (where they are on this machine), and the time of every form. "
            "One run at a time; whoever asks for the same point shares it."
        ).format(
            network=_(at.checkpoint.title),
            method=method_title(at.method),
            ratio=numbers.share(at.ratio),
        ),
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


# ------------------------------------------------------------------------------------------------
# Surgery: one layer's weights before and after, every layer's zeros, which channels go.


def surgery(at: Setting) -> None:
    """Choose a layer and look inside, at the method and the ratio set above."""
    try:
        keep, values = masks(at), networks.tensors(at.checkpoint.id, at.sha256)
    except CheckpointError as error:
        st.error(str(error), icon=":material/error:")
        return
    if keep is None:
        return
    layers = at.grid.layers if at.grid else convolutions(values)
    if not layers:
        st.info(_("This network has no convolution to prune."))
        return
    name = one_of(
        st.selectbox,
        _("Convolution"),
        {layer: layer_title(layer) for layer in layers},
        "layer",
        default=layers[len(layers) // 2],
    )
    left, right = st.columns(2, gap="medium")
    with left:
        _histogram(values[name], keep.get(name), layer_title(name))
    with right:
        frame = sparsity_frame(values, keep, layers)
        total = frame["zeros"].sum() / frame["size"].sum()
        most = frame.iloc[int(frame["share"].argmax())]
        show(
            sparsity_chart(frame, layer_title(name)),
            _(
                "Share of weights that become zero in each convolution: {total} in all, most in "
                "{layer} ({share})."
            ).format(
                total=f"{total:.1%}", layer=most["layer"], share=f"{most['share']:.1%}"
            ),
            key="sparsity",
        )  # fmt: skip
        st.caption(
            _("{total} of all convolution weights become zero; in {layer}, {share} of {n}.").format(
                total=f"{total:.1%}",
                layer=most["layer"],
                share=f"{most['share']:.1%}",
                n=numbers.count(int(most["size"])),
            )
        )
        data_button(frame, "pruning-sparsity")
    if at.grid is not None:
        _channels(at, at.grid)
        _scan(at.grid)


def _histogram(weight: np.ndarray, keep: np.ndarray | None, layer: str) -> None:
    gone = 0 if keep is None else int((~keep).sum())
    said = _("Weights of {layer}: {n} of {all} become zero.").format(
        layer=layer, n=numbers.count(gone), all=numbers.count(weight.size)
    )
    frame = histogram_frame(weight, keep)
    show(histogram_chart(frame), said, key="histogram")
    note = _("Grey: what goes.")
    if keep is not None and 0 < gone < weight.size:
        note += " " + _("The largest that goes: {size}.").format(
            size=f"{np.abs(weight[~keep]).max():.4f}"
        )
    st.caption(f"{said} {note}")
    data_button(frame, "pruning-weights")


def _channels(at: Setting, grid: PruningGrid) -> None:
    values = networks.tensors(at.checkpoint.id, at.sha256)
    st.markdown(_("**Which channels go**"))
    chosen = at.method in CHANNEL_METHODS
    method: ChannelMethod = "bn_gamma" if at.method == "bn_gamma" else "channel_l2"
    try:
        dropped = dropped_channels(values, grid.groups, method, at.ratio)
    except ConfigError as error:
        st.info(str(error), icon=":material/link_off:")
        return
    titles = [
        _("{first}: {n} channels").format(first=group.writers[0], n=group.channels)
        for group in grid.groups
    ]
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    number = one_of(
        left.selectbox, _("Channels written by"), dict(enumerate(titles)), "group", default=0
    )
    group = grid.groups[number]
    heights = {"norm": _("norm of filters")}
    if group.norms:
        heights["gamma"] = _("BatchNorm gamma")
    ranked = one_of(
        right.segmented_control,
        _("Height"),
        heights,
        "height",
        default="gamma" if method == "bn_gamma" and group.norms else "norm",
        required=True,
    )
    frame = channel_frame(values, group, dropped[number])
    said = _("{n} of {all} channels go.").format(n=len(dropped[number]), all=group.channels)
    show(
        channel_chart(frame, ranked),
        _("The channels written by {layer}, weakest filters first. {said}").format(
            layer=group.writers[0], said=said
        ),
        key="channels",
    )
    tied = _("They hang together: {layers}.").format(layers=", ".join(group.writers + group.norms))
    if not group.norms:
        tied += " " + _("No BatchNorm follows, so gamma cannot rank them.")
    if not chosen:
        tied += " " + _("Shown for channels by L2; the method above takes single weights.")
    st.caption(f"{said} {_('Crosses go, triangles stay.')} {tied}")
    data_button(frame, "pruning-channels")


def _scan(grid: PruningGrid) -> None:
    frame = scan_frame(grid.scan, grid.layers)
    if frame.empty:
        return
    st.markdown(_("**Sensitivity: one layer at a time**"))
    harsh = frame[frame["ratio"] == frame["ratio"].max()]
    weak = harsh.iloc[int(harsh["accuracy"].argmin())]
    tough = harsh.iloc[int(harsh["accuracy"].argmax())]
    said = _(
        "With {ratio} of one layer gone and all others whole, the most sensitive is {weak} "
        "({low} right), the least {tough} ({high})."
    ).format(
        ratio=numbers.share(weak["ratio"]),
        weak=weak["layer"],
        low=numbers.percent(weak["accuracy"], weak["n"]),
        tough=tough["layer"],
        high=numbers.percent(tough["accuracy"], tough["n"]),
    )
    show(scan_chart(frame, None), said, key="scan")
    st.caption(
        said
        + " "
        + _("L1, {n} validation photographs.").format(n=numbers.count(int(harsh["n"].iloc[0])))
    )
    data_button(frame, "pruning-scan")


# ------------------------------------------------------------------------------------------------
# A photo through one network, whole and pruned to three ratios.


PHOTO_RATIOS = (10, 20, 30, 40, 50, 60, 70, 80, 90, 95)


@st.cache_resource(max_entries=8, show_spinner=False)
def _predictor(id: str, sha256: str, method: str, ratio: float, _at: Setting) -> PrunedPredictor:
    groups = _at.grid.groups if _at.grid else ()
    return PrunedPredictor(id, chosen_masks(id, sha256, _at.method, ratio, groups))


def photo(at: Setting) -> None:
    """Choose a photo and up to three ratios; see where the answer changes."""
    one = at.checkpoint

    def pruned(percent: int) -> Version:
        ratio = percent / 100
        return Version(
            _("{ratio} pruned").format(ratio=numbers.share(ratio)),
            lambda: _predictor(one.id, at.sha256, at.method, ratio, at),
            "pruned",
        )

    def versions(percents: Sequence[int]) -> list[Version]:
        if masks(at) is None:
            return []
        whole = Version(_("whole"), lambda: _predictor(one.id, at.sha256, at.method, 0.0, at))
        return [whole, *map(pruned, percents)]

    photo_check(
        one,
        Choice(_("Ratios to try, up to three (%)"), PHOTO_RATIOS, (30, 60, 90), "photo_ratios"),
        versions,
        way=method_title(at.method),
        hint=_("Drop a photo: it goes through the network whole, and pruned."),
        name="pruning-photo",
    )


# ------------------------------------------------------------------------------------------------
# The pruning page's formula and source, its trap in measured bytes, and the homework.


def why(at: Setting) -> None:
    """What goes, as a formula, and the functions that decided and did it."""
    if at.method in CHANNEL_METHODS:
        st.latex(r"s_c = \sqrt{\sum_{w \text{ writes } c} w^2} \qquad\text{or}\qquad "
                 r"s_c = |\gamma_c|")  # fmt: skip
        st.markdown(
            _(
                "$s_c$ is the score of channel $c$: the norm of all weights that write it, or the "
                "scale $\\gamma_c$ of its BatchNorm. The lowest scores go, with everything that "
                "hangs on them: bias, BatchNorm, and the weights of the next layer that read them. "
                "A residual sum ties the channels of all its branches; a depthwise layer ties its "
                "output to its input (Torch-Pruning's dependency graph finds them all)."
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
    chooser = (
        prune_select.dropped_channels if at.method in CHANNEL_METHODS else prune_select.kept_weights
    )
    st.markdown(_("This function chose what goes, here on this page, too:"))
    st.code(inspect.getsource(chooser), language="python")
    st.markdown(_("And this one put the masks on:"))
    st.code(inspect.getsource(network.masked), language="python")


def trap(grid: PruningGrid | None) -> None:
    """A mask makes a network larger: the bytes that were measured."""
    st.markdown(
        _(
            "“Half of the weights are zero, so the file is half as large.” Save the masked network "
            "and look: torch keeps the old weights *and* the mask. And a masked network cannot be "
            "copied by `copy.deepcopy`, so whoever prunes a network that others share has pruned "
            "it for all of them: copy first, as this app does."
        )
    )
    rows = [grid.row(RowKey("l1", 0.5, form)) for form in ("masked", "removed")] if grid else []
    whole = grid.row(RowKey("l1", 0.0, "removed")) if grid else None
    if whole is None or None in rows:
        st.caption(_("Its bytes are shown here once the curves are measured."))
        return
    for row, name in zip(
        [whole, *rows], (_("whole"), _("50 % masked"), _("50 % masks removed")), strict=True
    ):
        assert row is not None
        zipped = "" if row.gzip_bytes is None else _(", zipped {size}").format(
            size=numbers.size(row.gzip_bytes)
        )  # fmt: skip
        st.markdown(
            _("- {name}: state dict {size}{zipped}; {n} parameters are not zero").format(
                name=name,
                size=numbers.size(row.size_bytes),
                zipped=zipped,
                n=numbers.count(row.nonzero),
            )
        )
    st.markdown(
        _(
            "How to notice: weigh the file. Zeros only save bytes where something packs them "
            "(gzip, or a sparse format with a kernel that skips them)."
        )
    )


def homework(known: Sequence[Measured]) -> None:
    """HW13 Q3.1 and Q3.2, HW7's slimming, and where on the page their answers stand."""
    st.markdown(
        _(
            "**HW13 Q3.1: plot pruning ratio against accuracy** (L1 on the `weight` of every "
            "`nn.Conv2d`, teacher and student). That is the first chart with “L1, per layer”:"
        )
    )
    for one in known:
        curve = {row.ratio: row.score for row in one.grid.of("l1", "removed")}
        points = [
            _("{ratio}: {score}").format(ratio=numbers.share(ratio), score=score_text(curve[ratio]))
            for ratio in (0.0, 0.5, 0.9)
            if ratio in curve
        ]
        if points:
            st.markdown(f"- {one.title}: {' · '.join(points)}")
    st.markdown(
        _(
            "**HW13 Q3.2: does that pruning reduce the time of inference?** No. It multiplies "
            "every weight with a mask and then does all the work it did before; the second chart "
            "shows it, masked and with the masks removed. Only cutting channels out does less work."
        )
    )
    for one in known:
        if timed_row(one.grid, "masked", 0.9, "torch_1"):
            lines = time_lines(one.grid, "torch_1", 0.9)
            st.markdown("\n".join(f"- {one.title}, 90 %, {line}" for line in lines))
    cut = [line for one in known if (line := narrow_line(one))]
    if cut:
        st.markdown(_("What cutting out half of the channels saved, with PyTorch:"))
        st.markdown("\n".join(f"- {line}" for line in cut))
    st.markdown(
        _(
            "**HW7: network slimming.** Rank channels by their BatchNorm gamma, keep 95 % of each "
            "layer, fine-tune, five times over:"
        )
    )
    slimmed = [(one, row) for one in known for row in one.grid.rows if row.rounds > 1]
    for one, row in slimmed:
        whole = one.grid.row(RowKey("l1", 0.0, "removed"))
        if whole is not None:
            st.markdown(
                _("- {name}: {before} to {after} parameters, {a} to {b} right").format(
                    name=one.title,
                    before=numbers.count(whole.params),
                    after=numbers.count(row.params),
                    a=score_text(whole.score),
                    b=score_text(row.score),
                )
            )
    if not slimmed:
        st.caption(_("Not measured yet: python -m core prune-grid --stages finetune"))


def main() -> None:
    """Draw the page."""
    st.title(contents.entry("pruning").question)
    st.markdown(
        _(
            "Pruning sets the least important weights of a network to zero, or cuts whole channels "
            "out. How much can go before it forgets what food looks like, and what is saved?"
        )
    )

    found = networks.checkpoints()
    if not found:
        networks.explain_empty()
        st.stop()

    guess = predict_first()
    grids = networks.measured_rows(PruningGrid, found)
    with st.container(border=True):
        at = setting(found, grids)

    st.subheader(_("Ratio against accuracy"))
    known = [Measured(*one) for one in networks.by_title(found, grids)]
    frame = accuracy(known, at, guess) if known else None
    if frame is None:
        explain_missing(networks.starters(found))

    st.subheader(_("Run it here"))
    live(at)

    st.subheader(_("Ratio against time and size"))
    times(at, guess, is_on("reveal"))

    st.subheader(_("Surgery: what goes, layer by layer"))
    surgery(at)

    st.subheader(_("Your photo, pruned"))
    photo(at)

    with st.expander(_("Why: what a mask is, and what it is not"), icon=":material/function:"):
        why(at)

    with st.expander(_("Trap: a mask makes it larger"), icon=":material/warning:"):
        trap(at.grid)

    with st.expander(_("From the homework: HW13 Q3, HW7"), icon=":material/school:"):
        homework(known)

    provenance(
        [one for one in found if any(one.id == each.grid.checkpoint for each in known)]
        or [at.checkpoint]
    )
    if at.grid is not None:
        measured_line(_("Curves and times of {id}").format(id=f"`{at.grid.checkpoint}`"), at.grid)
    foot("pruning", frame)


if __name__ == "__main__":
    main()
