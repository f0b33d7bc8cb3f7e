"""Pruning: accuracy, time and size against the ratio; masked, masks removed, really narrower."""

import inspect
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import streamlit as st

from core import i18n
from core.charts import numbers
from core.charts.compiled import Spec, inlined
from core.checkpoints import Checkpoint
from core.errors import ConfigError
from core.i18n import _, ngettext
from core.pruning import method as pruning_method
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
    nearest_guess,
    scan_chart,
    scan_frame,
    sparsity_chart,
    sparsity_frame,
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
from core.pruning.network import PrunedPredictor, forms_of
from core.pruning.rows import RUNS, TIMED_RATIOS, Point, PruningGrid, PruningRow, RowKey
from core.stats import Score
from pages.kit import frame, guess, networks
from pages.kit.figure import Picture, data_button, show
from pages.kit.live import LivePoint, live_points, run_it_here
from pages.kit.photo_check import Choice, Version, photo_check
from pages.kit.provenance import measured_line, provenance
from pages.kit.url_state import is_on, number_of, one_of, toggle


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
    def title(self) -> str:
        """What the network is called."""
        return _(self.checkpoint.title)


def main() -> None:
    """Draw the page."""
    st.title(frame.entry("pruning").question)
    st.markdown(
        _(
            "Pruning sets the least important weights of a network to zero, or cuts whole channels "
            "out. How much can go before it forgets what food looks like?"
        )
    )
    found = networks.checkpoints()
    if not found:
        networks.explain_empty()
        st.stop()
    grids = networks.measured_rows(PruningGrid, found)
    experiment(found, grids)
    provenance([one for one in found if one.id in grids] or found[:1])
    frame.foot("pruning")


@frame.section
def experiment(found: list[Checkpoint], grids: dict[str, PruningGrid]) -> None:
    """The instrument, and the tabs that follow its settings."""
    known = [Measured(*one) for one in networks.by_title(found, grids)]
    with frame.instrument() as (controls, picture):
        with controls:
            at = setting(found, grids)
        with picture:
            accuracy(known, at)
    frame.tabs(
        [
            frame.Tab("time", _("Faster?"), partial(times, at), ["time_with"]),
            frame.Tab("weights", _("Weights"), partial(weights, at), ["layer"]),
            frame.Tab("channels", _("Channels"), partial(channels, at), ["group", "height"]),
            frame.Tab("layers", _("Layers"), partial(layers, at)),
            frame.Tab("photo", _("Your photo"), partial(photo, at), ["photo_ratios"]),
            frame.Tab("run", _("Run it here"), partial(live, at)),
            frame.Tab("why", _("Why"), partial(why, at)),
            frame.Tab("trap", _("Trap"), partial(trap, at.grid)),
            frame.Tab("homework", _("Homework"), partial(homework, known)),
        ]
    )


# ------------------------------------------------------------------------------------------------
# The instrument: network, method, ratio; accuracy against ratio, hidden until there is a guess.


def setting(found: list[Checkpoint], grids: dict[str, PruningGrid]) -> Setting:
    """The network, the method, the ratio; every control is part of the link."""
    checkpoint = networks.choose_one(
        _("Network"), sorted(found, key=lambda one: one.id not in grids), "network", first=grids
    )
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
    finetuned = toggle(
        _("Also after fine-tuning"), "finetuned",
        help=_("A short training after pruning, with the zeros kept: hollow marks."),
    )  # fmt: skip
    return Setting(
        checkpoint, grids.get(checkpoint.id), method, percent / 100, all_methods, finetuned
    )


def accuracy(known: Sequence[Measured], at: Setting) -> None:
    """The guess, the chart that answers it, and what it shows."""
    asked = guess.ask(
        _("Guess: as more and more weights become zero, how does accuracy fall?"),
        {name: guess_title(name) for name in GUESSES},
        "guess_curve",
    )
    asked = asked._replace(is_open=asked.is_open or is_on("reveal"))
    if not known:
        explain_missing([at.checkpoint.id])
        return
    drawn = curves(
        i18n.language(), known, at.checkpoint.id, at.method, at.all_methods, at.finetuned,
        asked.is_open, asked.value,
    )  # fmt: skip
    if drawn.chart is None:
        st.info(
            _("These curves were made without photographs: no accuracy. See: python -m core data")
        )
        return
    live = live_points(
        RUNS, (at.checkpoint.id, at.checkpoint.weights_sha256, at.method), ("ratio",)
    )
    moving = {"now": pd.DataFrame({"ratio": [at.ratio]})}
    if live is not None:
        moving["live"] = live
    chart = {**drawn.chart, "datasets": {**drawn.chart["datasets"], **moving}}
    show(chart, drawn.alt, key="accuracy")
    notes = [
        "" if asked.is_open else drawn.start,
        "" if at.all_methods and at.grid else method_title(at.method) + ".",
        _("Band: 95 % interval.") if asked.is_open else "",
        _("Dashed: one in eleven, pure chance."),
        _("Dotted: your guess.") if asked.value else "",
        _("Stars: measured here, just now.") if live is not None else "",
    ]
    st.caption(" ".join(note for note in notes if note))
    if at.grid is None:
        explain_missing([at.checkpoint.id])
    guess.verdict(asked, drawn.nearest == asked.value, drawn.answer)
    if asked.is_open:
        here = _at_ratio(at)
        st.markdown("\n".join(f"- {line}" for line in [*here, *drawn.lines]))
        data_button(drawn.frame, "pruning-accuracy")


class Curves(NamedTuple):
    """The first chart and the sentences on it, the ratio's own apart; shared by all sessions."""

    frame: pd.DataFrame
    chart: Spec | None
    """None where no accuracy was measured."""
    alt: str
    lines: list[str]
    start: str
    """What the chosen network is right on when nothing is pruned."""
    nearest: str
    """The guess that is nearest to the chosen curve."""
    answer: str
    of: Sequence[Measured]
    """Held, so that the cache's key, their identity, is nobody else's."""


@st.cache_resource(
    max_entries=128, show_spinner=False, hash_funcs={PruningGrid: id}
)  # the grids are shared objects, one for each state of their files
def curves(
    language: str,
    known: Sequence[Measured],
    chosen: str,
    method: Method,
    all_methods: bool,
    finetuned: bool,
    reveal: bool,
    guessed: str | None,
) -> Curves:
    """Accuracy against ratio: all measured networks by one method, or one by all methods."""
    del language  # only part of the key
    own = [one for one in known if one.grid.checkpoint == chosen]
    by_method = all_methods and bool(own)
    every = accuracy_frame(
        own if by_method else known, METHODS if by_method else (method,), finetuned
    )
    plain = every[~every["tuned"].astype(bool)]
    mine = plain[(plain["checkpoint"] == chosen) & (plain["method"] == method)]
    start, nearest, answer, guess_drawn = "", "", "", None
    if not mine.empty:
        nearest, off = nearest_guess(mine)
        answer = _(
            "Of the four curves, “{title}” is nearest to {network}: {off} points off on average."
        ).format(
            title=guess_title(nearest),
            network=mine["network"].iloc[0],
            off=f"{100 * off[nearest]:.0f}",
        )
        first = mine.sort_values("ratio").iloc[0]
        start = _("The mark: {network} as it was trained, right on {score}.").format(
            network=first["network"], score=numbers.percent(first["accuracy"], first["n"])
        )
        guess_drawn = None if guessed is None else guess_curve(guessed, float(first["accuracy"]))
    shown = every if reveal or mine.empty else every[every["checkpoint"] == chosen]
    chart = None
    if not every.empty:
        band = None if mine.empty else (chosen, method)
        chart = inlined(
            accuracy_chart(shown, 0.0, guess_drawn, None, reveal, band), but=("now", "live")
        )
    lines = [*hold_lines(every, chosen, method), *tuned_lines(every)] if reveal else []
    alt = accuracy_alt(every, reveal)
    return Curves(every, chart, alt, lines, start, nearest, answer, known)


def explain_missing(ids: Sequence[str]) -> None:
    """Say that nothing was measured yet and how to get it."""
    st.info(
        _(
            "The curves of this network are not measured yet. That takes some minutes; meanwhile "
            "the tabs below work, and “Run it here” measures single points."
        ),
        icon=":material/query_stats:",
    )
    st.code(f"python -m core prune-grid {' '.join(ids)}", language="bash")


def _at_ratio(at: Setting) -> list[str]:
    """What is right at the ratio that is set, if that was measured."""
    row = at.grid and at.grid.row(RowKey(at.method, at.ratio, forms_of(at.method)[-1]))
    row = row or (at.grid and at.grid.row(RowKey(at.method, at.ratio, "removed")))
    if not row or row.score is None:
        return []
    return [
        _("At **{ratio}**, {network} is right on {score}.").format(
            ratio=numbers.share(at.ratio), network=at.title, score=score_text(row.score)
        )
    ]


def _curve(rows: pd.DataFrame, series: str) -> pd.DataFrame:
    return rows[(rows["series"] == series) & ~rows["tuned"].astype(bool)].sort_values("ratio")


def holds_until(curve: pd.DataFrame) -> float:
    """Largest ratio up to which the accuracy stays within the whole network's 95 % interval."""
    lowest = float(curve["low"].iloc[0])
    held = curve["accuracy"] >= lowest
    return float(curve["ratio"][held.cummin()].max())


def accuracy_lines(rows: pd.DataFrame) -> list[str]:
    """A sentence per curve: where it starts, how far it holds, where it ends."""
    lines = []
    for series in dict.fromkeys(rows.loc[~rows["tuned"].astype(bool), "series"]):
        curve = _curve(rows, series)
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


def hold_lines(rows: pd.DataFrame, chosen: str, method: str) -> list[str]:
    """A sentence on the chosen curve, and one on how far all the others hold."""
    own = rows[(rows["checkpoint"] == chosen) & (rows["method"] == method)]
    told = set(own["series"])
    others = [
        _("{name} up to {until}").format(
            name=name, until=numbers.share(holds_until(_curve(rows, name)))
        )
        for name in dict.fromkeys(rows.loc[~rows["tuned"].astype(bool), "series"])
        if name not in told
    ]
    lines = accuracy_lines(own)
    if others:
        lines.append(_("The others stay within theirs: {others}.").format(others=", ".join(others)))
    return lines


def tuned_lines(rows: pd.DataFrame) -> list[str]:
    """A sentence per fine-tuned point, beside the same ratio without fine-tuning."""
    lines = []
    records = [(str(r["checkpoint"]), str(r["method"]), float(r["ratio"]), r)
               for r in rows.to_dict("records")]  # fmt: skip
    plain = {(id, method, ratio): r for id, method, ratio, r in records if not r["tuned"]}
    for id, method, ratio, row in records:
        before = plain.get((id, method, ratio))
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


def accuracy_alt(rows: pd.DataFrame, reveal: bool) -> str:
    """What the first chart shows, for who cannot see it."""
    about = _("Accuracy on the test photographs against the pruning ratio.")
    if not reveal:
        return about + " " + _("Only the whole network is shown until you guess.")
    return " ".join([about, *(line.replace("**", "") for line in accuracy_lines(rows))])


def score_text(score: Score | None) -> str:
    """ "76.6 % (74.4 to 78.7 %)", or that it was not measured."""
    if score is None:
        return _("not measured (no photographs here)")
    return _("{accuracy} ({interval})").format(
        accuracy=numbers.percent(score.accuracy, score.n),
        interval=numbers.interval(*score.ci95, score.n),
    )


# ------------------------------------------------------------------------------------------------
# Tab "Faster?": what each form costs, hidden until there is a guess, and every figure measured.


def times(at: Setting) -> None:
    """A guess about time, the chart of what each form costs, and the figures at this ratio."""
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
    titles = {"faster": _("faster"), "same": _("as fast"), "slower": _("slower")}
    asked = guess.ask(
        _("Guess: with 90 % of its weights pruned, masks on, as in the homework, {network} is ...")
        .format(network=at.title),
        titles,
        "guess_speed",
    )  # fmt: skip
    asked = asked._replace(is_open=asked.is_open or is_on("reveal"))
    whole = timed_row(grid, "removed", 0.0, "torch_1")
    masked = timed_row(grid, "masked", 0.9, "torch_1")
    if whole and masked:
        truth = masked.latency["torch_1"].against(
            whole.latency["torch_1"], timing_noise(grid, "torch_1")
        )
        answer = _("It is {truth}: {share} of the whole network's time (PyTorch).").format(
            truth=titles[truth],
            share=numbers.share(masked.latency["torch_1"].median / whole.latency["torch_1"].median),
        )
        guess.verdict(asked, truth == asked.value, answer)
    if not asked.is_open:
        return
    column = one_of(
        st.segmented_control,
        _("Show"),
        {name: column_title(name) for name in known},
        "time_with",
        default=known[0],
        required=True,
    )
    drawn = costs(i18n.language(), grid, column)
    now = {"now": pd.DataFrame({"ratio": [at.ratio]})}
    show({**drawn.chart, "datasets": now}, drawn.alt, key="times")
    nearest = min(TIMED_RATIOS[1:], key=lambda ratio: abs(ratio - at.ratio))
    st.markdown(
        _("**What you see**, at {ratio} ({column}):").format(
            ratio=numbers.share(nearest), column=column_title(column)
        )
        + "\n"
        + "\n".join(f"- {line}" for line in time_lines(grid, column, nearest))
    )
    st.caption(how_measured(grid, column))
    data_button(drawn.frame, "pruning-times")
    _table(grid, at)
    measured_line(_("Curves and times of {id}").format(id=f"`{grid.checkpoint}`"), grid)


@st.cache_resource(max_entries=64, show_spinner=False, hash_funcs={PruningGrid: id})
def costs(language: str, grid: PruningGrid, column: str) -> Picture:
    """One of COSTS against the ratio, a line a form."""
    del language  # only part of the key
    rows = time_frame(grid, column)
    chart = inlined(time_chart(rows, 0.0, column), but=("now",))
    return Picture(rows, chart, time_alt(grid, column, TIMED_RATIOS), of=grid)


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


def time_lines(grid: PruningGrid, column: str, ratio: float) -> list[str]:
    """What each form costs at a ratio: a sentence each, faster or slower only if it measured so."""
    whole = timed_row(grid, "removed", 0.0, column)
    base = whole and cost(whole, column)
    noise = timing_noise(grid, column)
    if column in TIMES:
        texts = {
            "faster": _("faster: {share} of the whole network's time"),
            "slower": _("slower: {share} of the whole network's time"),
            "same": _("not distinguishable from the whole network ({share} of its time)"),
        }
    else:
        texts = {
            "faster": _("smaller: {share} of the whole network's ({figure})"),
            "slower": _("larger: {share} of the whole network's ({figure})"),
            "same": _("as much as the whole network ({figure})"),
        }
    lines = []
    for form in FORMS:
        row = timed_row(grid, form, ratio, column)
        spent = row and cost(row, column)
        if not spent or not base or row is whole:
            continue
        text = texts[spent.against(base, noise)].format(
            share=numbers.share(spent.median / base.median), figure=cost_text(spent.median, column)
        )
        lines.append(f"**{form_title(form)}**: {text}")
    return lines


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
            plain = "; ".join(line.replace("**", "") for line in lines)
            parts.append(_("At {ratio}: {told}.").format(ratio=numbers.share(ratio), told=plain))
    return " ".join(parts)


def how_measured(grid: PruningGrid, column: str) -> str:
    """How the figures of a column came about, and how far they can be trusted."""
    forms = _("Masked and removed: L1; narrower: channels by L2.")
    if column not in TIMES:
        return forms + " " + _("Counted, so there is no spread. The state dict is float32.")
    protocol = ngettext(
        "Median of repeated calls, quartiles as bars, {threads} thread, on {machine}. All forms "
        "took turns. An ONNX file holds no masks: exporting removes them.",
        "Median of repeated calls, quartiles as bars, {threads} threads, on {machine}. All forms "
        "took turns. An ONNX file holds no masks: exporting removes them.",
        grid.threads,
    ).format(threads=grid.threads, machine=grid.machine)
    noise = _(
        "With its masks removed a network does the same work as the whole one; it still measured "
        "up to {noise} off, so differences up to that are not distinguishable."
    ).format(noise=numbers.percent(timing_noise(grid, column)))
    return f"{protocol} {noise} {forms}"


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
    """A table of rows, a line a figure; what was not measured is left out."""
    table = rows_table(rows)
    forms = list(table["form"])
    titles = {
        "right": _("Right"),
        "params": _("Parameters"),
        "nonzero": _("not zero"),
        "macs": _("MACs"),
        "size": _("State dict"),
        "zipped": _("zipped"),
        **{name: column_title(name) for name in TIMES},
    }
    lines = [f"| | {' | '.join(forms)} |", "|---" + "|---:" * len(forms) + "|"]
    for name, title in titles.items():
        if table[name].notna().any():
            cells = table[name].fillna("–")
            lines.append(f"| {title} | {' | '.join(cells)} |")
    st.markdown("\n".join(lines))


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
# Tabs "Weights", "Channels", "Layers": what goes at this setting, and what each layer can bear.


def weights(at: Setting) -> None:
    """One layer's weights before and after, and the zeros of every layer."""
    if not _has_groups(at):
        return
    values = networks.tensors(at.checkpoint.id, at.checkpoint.weights_sha256)
    names = at.grid.layers if at.grid else convolutions(values)
    if not names:
        st.info(_("This network has no convolution to prune."))
        return
    layer = one_of(
        st.selectbox,
        _("Convolution"),
        {name: layer_title(name) for name in names},
        "layer",
        default=names[len(names) // 2],
    )
    groups = at.grid.groups if at.grid else ()
    key = (at.checkpoint.id, at.checkpoint.weights_sha256, at.method, at.ratio)
    drawn = histogram(i18n.language(), *key, layer, groups)
    zeros = sparsity(*key, tuple(names), groups)
    left, right = st.columns(2, gap="medium")
    with left:
        show(drawn.chart, drawn.alt, key="histogram")
        st.caption(drawn.alt)
        data_button(drawn.frame, "pruning-weights")
    with right:
        total = zeros["zeros"].sum() / zeros["size"].sum()
        own = zeros[zeros["layer"] == layer_title(layer)].iloc[0]
        most = zeros.iloc[int(zeros["share"].argmax())]
        text = _(
            "{total} of all convolution weights become zero; in {layer}, {share} of {n}; most in "
            "{most} ({highest})."
        ).format(
            total=f"{total:.1%}",
            layer=own["layer"],
            share=f"{own['share']:.1%}",
            n=numbers.count(int(own["size"])),
            most=most["layer"],
            highest=f"{most['share']:.1%}",
        )
        show(inlined(sparsity_chart(zeros, layer_title(layer))), text, key="sparsity")
        st.caption(text)
        data_button(zeros, "pruning-sparsity")


def _has_groups(at: Setting) -> bool:
    """Whether the method's channels are known; says so where they are not."""
    if at.method not in CHANNEL_METHODS or (at.grid and at.grid.groups):
        return True
    st.info(
        _(
            "Which channels must be pruned together is found by tracing the network, when its "
            "curves are measured:"
        ),
        icon=":material/account_tree:",
    )
    st.code(f"python -m core prune-grid {at.checkpoint.id}", language="bash")
    return False


@st.cache_resource(max_entries=12, show_spinner=False)
def masks(
    id: str, sha256: str, method: Method, ratio: float, _groups: tuple[ChannelGroup, ...]
) -> Keep:
    """The masks of a method at a ratio, shared; `_groups` follow from the checkpoint."""
    return choose(networks.tensors(id, sha256), method, ratio, _groups)


@st.cache_resource(max_entries=256, show_spinner=False)
def histogram(
    language: str,
    id: str,
    sha256: str,
    method: Method,
    ratio: float,
    layer: str,
    _groups: tuple[ChannelGroup, ...],
) -> Picture:
    """How the weights of a layer are spread, what goes in grey."""
    del language  # only part of the key
    weight = networks.tensors(id, sha256)[layer]
    keep = masks(id, sha256, method, ratio, _groups).get(layer)
    gone = 0 if keep is None else int((~keep).sum())
    text = _("Weights of {layer}: {n} of {all} become zero (grey).").format(
        layer=layer_title(layer), n=numbers.count(gone), all=numbers.count(weight.size)
    )
    if keep is not None and 0 < gone < weight.size:
        text += " " + _("The largest of them: {size}.").format(
            size=f"{np.abs(weight[~keep]).max():.4f}"
        )
    rows = histogram_frame(weight, keep)
    return Picture(rows, inlined(histogram_chart(rows)), text)


@st.cache_resource(max_entries=256, show_spinner=False)
def sparsity(
    id: str,
    sha256: str,
    method: Method,
    ratio: float,
    layers: tuple[str, ...],
    _groups: tuple[ChannelGroup, ...],
) -> pd.DataFrame:
    """Zeros of each convolution, shared: `sparsity_frame`."""
    keep = masks(id, sha256, method, ratio, _groups)
    return sparsity_frame(networks.tensors(id, sha256), keep, layers)


def channels(at: Setting) -> None:
    """Which channels of a feature map go, by their filters' norm and their BatchNorm's scale."""
    if at.grid is None or not at.grid.groups:
        _has_groups(at._replace(method="channel_l2"))
        return
    method: ChannelMethod = "bn_gamma" if at.method == "bn_gamma" else "channel_l2"
    try:
        dropped = channels_that_go(
            at.checkpoint.id, at.checkpoint.weights_sha256, method, at.ratio, tuple(at.grid.groups)
        )
    except ConfigError as error:
        st.info(str(error), icon=":material/link_off:")
        return
    titles = [
        _("{first}: {n} channels").format(first=group.writers[0], n=group.channels)
        for group in at.grid.groups
    ]
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    number = one_of(
        left.selectbox, _("Channels written by"), dict(enumerate(titles)), "group", default=0
    )
    group = at.grid.groups[number]
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
    rows = channel_frame(
        networks.tensors(at.checkpoint.id, at.checkpoint.weights_sha256), group, dropped[number]
    )
    count = _("{n} of {all} channels go.").format(n=len(dropped[number]), all=group.channels)
    show(
        inlined(channel_chart(rows, ranked_by)),
        _("The channels written by {layer}, weakest filters first. {said}").format(
            layer=group.writers[0], said=count
        ),
        key="channels",
    )
    notes = [
        count,
        _("Crosses go, triangles stay."),
        _("These must be pruned together: {layers}.").format(
            layers=", ".join(group.writers + group.norms)
        ),
    ]
    if not group.norms:
        notes.append(_("No BatchNorm follows, so gamma cannot rank them."))
    if at.method not in CHANNEL_METHODS:
        notes.append(_("Shown for channels by L2; the method above takes single weights."))
    st.caption(" ".join(notes))
    data_button(rows, "pruning-channels")


@st.cache_resource(max_entries=64, show_spinner=False)
def channels_that_go(
    id: str, sha256: str, method: ChannelMethod, ratio: float, _groups: tuple[ChannelGroup, ...]
) -> list[Any]:
    """`dropped_channels` of a checkpoint, shared; `_groups` follow from it."""
    return list(dropped_channels(networks.tensors(id, sha256), _groups, method, ratio))


def layers(at: Setting) -> None:
    """The sensitivity scan: one layer pruned, the others whole."""
    if at.grid is None or not at.grid.scan:
        explain_missing([at.checkpoint.id])
        return
    drawn = scan(i18n.language(), at.grid)
    st.markdown(drawn.alt)
    show(drawn.chart, drawn.alt, key="scan")
    n = numbers.count(int(drawn.frame["n"].iloc[0]))
    st.caption(_("L1, {n} validation photographs.").format(n=n))
    data_button(drawn.frame, "pruning-scan")


@st.cache_resource(max_entries=32, show_spinner=False, hash_funcs={PruningGrid: id})
def scan(language: str, grid: PruningGrid) -> Picture:
    """How much each layer bears alone, and which bear most and least."""
    del language  # only part of the key
    rows = scan_frame(grid.scan, grid.layers)
    harsh = rows[rows["ratio"] == rows["ratio"].max()]
    weak = harsh.iloc[int(harsh["accuracy"].argmin())]
    tough = harsh.iloc[int(harsh["accuracy"].argmax())]
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
    return Picture(rows, inlined(scan_chart(rows, None)), text, of=grid)


# ------------------------------------------------------------------------------------------------
# Tabs "Your photo" and "Run it here".


PHOTO_RATIOS = (10, 20, 30, 40, 50, 60, 70, 80, 90, 95)


@st.cache_resource(max_entries=8, show_spinner=False)
def _predictor(
    id: str, sha256: str, method: Method, ratio: float, _groups: tuple[ChannelGroup, ...]
) -> PrunedPredictor:
    return PrunedPredictor(id, masks(id, sha256, method, ratio, _groups))


def photo(at: Setting) -> None:
    """Choose a photo and up to three ratios; see where the answer changes."""
    if not _has_groups(at):
        return
    groups = at.grid.groups if at.grid else ()

    def pruned(ratio: float) -> PrunedPredictor:
        return _predictor(at.checkpoint.id, at.checkpoint.weights_sha256, at.method, ratio, groups)

    def versions(percents: Sequence[int]) -> list[Version]:
        return [
            Version(_("whole"), partial(pruned, 0.0)),
            *(
                Version(
                    _("{ratio} pruned").format(ratio=numbers.share(percent / 100)),
                    partial(pruned, percent / 100),
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
    start, again = run_it_here()
    LivePoint(
        RUNS,
        Point(at.checkpoint.id, at.checkpoint.weights_sha256, at.method, at.ratio),
        _(
            "Prunes {network} by {method} to {ratio} now, in a process of its own: accuracy on "
            "all test photographs (where they are on this machine), and the time of every form. "
            "One run at a time; results are shared."
        ).format(
            network=at.title,
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
# Tabs "Why", "Trap" and "Homework".


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
        pruning_method.dropped_channels
        if at.method in CHANNEL_METHODS
        else pruning_method.kept_weights
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
    }[after.against(before, timing_noise(one.grid, column))].format(
        times=numbers.ratio(before.median / after.median)
    )
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


if __name__ == "__main__":
    main()
