"""Quantisation: how few bits a weight needs, what they cost in accuracy, what they save."""

import inspect
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import pandas as pd
import streamlit as st

from core import i18n
from core.charts import numbers
from core.charts.compiled import Spec
from core.charts.numbers import p_text, points, points_interval, score_text
from core.charts.theme import role_of
from core.checkpoints import Checkpoint
from core.data import food11_available
from core.errors import UserError
from core.i18n import _, bracketed, labelled, ngettext, paragraph
from core.quantization import chart, hw7, method
from core.quantization.chart import Against, Curve, Measured, curve_rows, scheme_title
from core.quantization.graph import quantized_file, quantized_predictor
from core.quantization.method import BITS, SCHEMES, Scheme, quantisable
from core.quantization.number_line import LINE_BITS, LayerRow, LayerRows, layer_row, middle_layer
from core.quantization.rows import (
    RUNS,
    Comparison,
    Form,
    Part,
    PartRow,
    QuantizationGrid,
    QuantPoint,
    QuantRow,
    RowKey,
)
from core.quantization.upload import HOSTILE, Fit, Upload, open_upload, score_upload
from core.stats import Score
from pages.kit import frame, guess, networks, quiz, url_state
from pages.kit.figure import data_button, show, show_with_slider, source, table
from pages.kit.live import LivePoint, live_points, run_it_here
from pages.kit.photo_check import Choice, Version, photo_check
from pages.kit.provenance import not_measured, provenance
from pages.kit.url_state import choice, in_browser, one_of, several_of

START_BITS = 4
GUESSES = (8, 6, 5, 4, 3, 2)
PHOTO_BITS = (8, 6, 5, 4, 3, 2, 1)
PHOTO_SETTINGS = ("photo_bits", "photo_from", "dream_of", "dream", "food", "example")
FORMER = {"against": "bytes", "all_schemes": "methods", "more_network": "networks"}
"""Settings of older links -> the option that they switched on."""
MOST_NAMED = 3
"""Networks named in a sentence; of others only their number is given."""


class Setting(NamedTuple):
    """What the visitor has set in the instrument."""

    checkpoint: Checkpoint
    title: str
    """What the network is called, here and in the picture."""
    grid: QuantizationGrid | None
    scheme: Scheme
    bits: int
    against: Against
    by_scheme: bool
    """Whether the picture shows all methods on this network, instead of all networks."""

    @property
    def schemes(self) -> Sequence[Scheme]:
        """Those of the picture."""
        return SCHEMES if self.by_scheme else (self.scheme,)


def main() -> None:
    """Draw the page."""
    st.title(frame.entry("quantization").question)
    st.markdown(
        _(
            "A trained weight is a number of 32 bits. With fewer bits per weight the file is "
            "smaller. How few are enough?"
        )
    )
    shipped = networks.checkpoints()
    if not shipped:
        networks.explain_empty()
        st.stop()
    grids = networks.measured_rows(QuantizationGrid, shipped)
    explore(shipped, [Measured(*row) for row in networks.by_title(shipped, grids)])
    provenance([checkpoint for checkpoint in shipped if checkpoint.id in grids] or shipped[:1])
    frame.foot("quantization")


@frame.section
def explore(shipped: list[Checkpoint], known: list[Measured]) -> None:
    """Network, method and bits beside the accuracy they leave; the guess; everything else."""
    with frame.instrument() as (controls, picture):
        with controls:
            at = settings(shipped, known)
        with picture:
            place = st.container()
            guessed = guess.ask(
                _("Guess: at how many bits does the accuracy clearly fall?"),
                {bits: str(bits) for bits in GUESSES},
                "guess_bits",
                about=f"{at.checkpoint.id} {at.scheme}",
            )
    shown = [measured for measured in known if not at.by_scheme or measured.grid is at.grid]
    curves = chart.curves_of(shown, at.schemes)
    key = (at.checkpoint.id, at.scheme)
    own = next((curve for curve in curves if curve.key == key), None)
    stars = None
    with place:
        if curves:
            spec, alt, _held = _picture(
                i18n.language(),
                tuple(shown),
                tuple(at.schemes),
                at.against,
                key,
                guessed.value,
                guessed.is_open,
            )
            start = (at.checkpoint.id, at.checkpoint.weights_sha256, at.scheme)
            stars = live_points(RUNS, start, ("bits", "size_bytes")) if guessed.is_open else None
            show(chart.at_bits(spec, at.against, at.bits, stars), alt, key="accuracy")
        else:
            explain_missing(at, shipped)
        notes = [
            start_line(own) if own and not guessed.is_open else "",
            _("Vertical line: your bits."),
            _("Band: 95 % interval.") if guessed.is_open else "",
            _("Dashed: one in eleven, pure chance."),
            _("Dotted: your guess.") if guessed.value else "",
            _("Stars: measured here.") if stars is not None else "",
        ]
        st.caption(paragraph(note for note in notes if note))
    with picture:
        guess.verdict(guessed, own is not None and guessed.value == own.breaks_at, break_line(own))
    lines = [chosen_line(at, guessed.is_open)]
    if guessed.is_open:
        lines += [holds_line(own)] if own else []
        drawn = {curve.key for curve in curves}
        missing = [
            scheme_title(scheme) if at.by_scheme else measured.title
            for measured in shown
            for scheme in at.schemes
            if (measured.grid.checkpoint, scheme) not in drawn
        ]
        lines += (
            [_("Not measured: {names}.").format(names=_(", ").join(missing))] if missing else []
        )
        holds = _("{name} down to {held}")
        others = [holds.format(name=curve.name, held=bits_text(curve.holds_to))
                  for curve in curves if curve is not own]  # fmt: skip
        if others:
            text = _("The others stay within theirs: {others}.")
            lines.append(text.format(others=_(", ").join(others)))
    st.markdown(_("**What you see.** {lines}").format(lines=paragraph(lines)))
    frame.tabs(
        [
            frame.Tab("line", _("Number line"), partial(number_line, at)),
            frame.Tab("time", _("Faster?"), partial(int8, at, guessed), ("time_with",)),
            frame.Tab(
                "run", _("Run it here"), partial(live, at, curves, guessed), (), ("figures",)
            ),
            frame.Tab("aware", _("Training"), partial(aware, at, known, guessed)),
            frame.Tab("file", _("HW7 file"), partial(upload, shipped, at), ("hw7_sample",)),
            frame.Tab("photo", _("Your photo"), partial(photo, at), PHOTO_SETTINGS),
            frame.Tab("why", _("Why"), partial(why, at), former=("error",)),
            frame.Tab("trap", _("Traps"), partial(traps, at, known, guessed)),
            frame.Tab("homework", _("Homework"), partial(homework, known, guessed)),
            quiz.tab(partial(_quiz, at), f"{at.checkpoint.id} {at.scheme}, {at.bits}", guessed),
        ]
    )


def settings(shipped: list[Checkpoint], known: Sequence[Measured]) -> Setting:
    """The controls of the instrument; all are part of the link."""
    network_place = st.container()
    scheme = one_of(
        st.selectbox,
        _("Method"),
        {name: scheme_title(name) for name in SCHEMES},
        "scheme",
        default="tensor_minmax",
        help=_(
            "Where the levels are. Min–max: evenly from the smallest weight to the largest (HW7). "
            "Symmetric: evenly around zero; zero is a level. Per channel: every output channel "
            "has its own levels. k-means: the levels are where the weights are."
        ),
    )
    bits = one_of(st.select_slider, _("Bits per weight"), BITS, "bits", default=START_BITS)
    options = {"bytes": _("bytes"), "methods": _("all methods"), "networks": _("more networks")}
    grids = {measured.grid.checkpoint: measured for measured in known}
    few = [checkpoint for checkpoint in shipped if checkpoint.id in grids]
    if len(few) in (0, len(shipped)):
        del options["networks"]
    switched_on = [
        option
        for name, option in FORMER.items()
        if url_state.texts(name)[:1] in (["bytes"], ["true"], ["yes"])
    ]
    for name in FORMER:
        url_state.say(name)
    if switched_on:
        url_state.say("options", *switched_on)
    chosen = several_of(
        st.pills, _("Options"), options, "options", (), len(options), selection_mode="multi"
    )
    ids = [checkpoint.id for checkpoint in shipped]
    is_named = url_state.current("network", choice(ids), "") in set(ids) - set(grids)
    offered = shipped if is_named or "networks" in chosen or not few else few
    # the first is what the page begins with: a student, since every method was measured on those
    offered = sorted(offered, key=lambda it: (it.id not in grids, role_of(it) != "distilled"))
    with network_place:
        checkpoint = networks.choose_one(_("Network"), offered, "network")
    measured = grids.get(checkpoint.id)
    title, grid = (measured.title, measured.grid) if measured else (_(checkpoint.title), None)
    against: Against = "bytes" if "bytes" in chosen else "bits"
    by_scheme = "methods" in chosen and grid is not None
    return Setting(checkpoint, title, grid, scheme, bits, against, by_scheme)


def explain_missing(at: Setting, shipped: list[Checkpoint]) -> None:
    """Say that nothing was measured yet and how to get it."""
    ids = [at.checkpoint.id] if at.grid else networks.starters(shipped)
    not_measured(
        _(
            "These networks' accuracies at fewer bits are not measured yet: some minutes for each. "
            "The number line and your photo work without; “Run it here” measures one point."
        ),
        f"python -m core quantize-grid {' '.join(ids)}",
    )


def explain_stage(id: str, stage: str) -> None:
    """Say that a part of a network's grid is not measured yet, and the command that does it."""
    command = f"python -m core quantize-grid {id} --stages {stage}"
    not_measured(_("Not measured yet for this network. This command does it:"), command)


@st.cache_resource(
    max_entries=128, show_spinner=False, hash_funcs={QuantizationGrid: id}
)  # grids are shared objects, one for each state of their files; held in what is kept
def _picture(
    language: str,
    shown: tuple[Measured, ...],
    schemes: tuple[Scheme, ...],
    against: Against,
    chosen: tuple[str, Scheme],
    guessed: int | None,
    revealed: bool,
) -> tuple[Spec, str, tuple[Measured, ...]]:
    """The main picture and what it shows, in words."""
    del language  # only part of the key
    curves = chart.curves_of(shown, schemes)
    own = [] if revealed else [curve for curve in curves if curve.key == chosen]
    spec = chart.accuracy_chart(
        own or curves, against, guess=guessed, chosen=chosen, reveal=revealed
    )
    alt = (
        _("Accuracy on the test photographs against the bits of a weight.")
        if against == "bits"
        else _("Accuracy on the test photographs against the bytes of the file.")
    )
    hidden = _("Only the original network is shown until you guess.")
    lines = [holds_line(curve).replace("**", "") for curve in curves] if revealed else [hidden]
    return spec, paragraph([alt, *lines]), shown


def bits_text(bits: int) -> str:
    """ "1 bit", "8 bits"."""
    return ngettext("{n} bit", "{n} bits", bits).format(n=bits)


def chosen_line(at: Setting, revealed: bool) -> str:
    """The chosen method at the chosen bits: the file, and after the reveal the accuracy."""
    rows = curve_rows(at.grid, at.scheme) if at.grid else []
    whole = at.grid.float32 if at.grid else None
    row = next((row for row in rows if row.bits == at.bits), None)
    bits = bits_text(at.bits)
    if whole is None or row is None:
        text = _("**{name}** at {bits}, {method}, was not measured; “Run it here” does it.")
        return text.format(name=at.title, bits=bits, method=scheme_title(at.scheme))
    text = _("At {bits}, the file of **{name}** shrinks from {whole} to {size} ({share}).").format(
        bits=bits,
        name=at.title,
        whole=numbers.size(whole.size_bytes),
        size=numbers.size(row.size_bytes),
        share=numbers.share(row.size_bytes / whole.size_bytes),
    )
    if not revealed or row.score is None:
        return text
    right = _("It is right on {score}{against}.")
    right = right.format(score=score_text(row.score), against=against_whole(row))
    return paragraph([text, right])


def start_line(curve: Curve) -> str:
    """How often the chosen network is right as it was trained."""
    score = curve.points[0].score
    return _("The mark: {network} in float32, right on {score}.").format(
        network=curve.network.title, score=numbers.percent(score.accuracy, score.n)
    )


def holds_line(curve: Curve) -> str:
    """Where a curve starts, how far it holds, where it ends, in bits and bytes."""
    whole, last = curve.points[0], curve.points[-1]
    held = next(point for point in curve.points if point.bits == curve.holds_to)
    return _(
        "**{name}** is right on {whole} in float32. It stays within the 95 % interval of that "
        "down to {held} ({held_size}); with {last} it is right on {end}."
    ).format(
        name=curve.name,
        whole=numbers.percent(whole.score.accuracy, whole.score.n),
        held=bits_text(held.bits),
        held_size=numbers.size(held.size_bytes),
        end=numbers.percent(last.score.accuracy, last.score.n),
        last=bits_text(last.bits),
    )


def break_line(curve: Curve | None) -> str:
    """The answer to the guess."""
    if curve is None:
        return _("This network was not measured with this method.")
    if curve.breaks_at is None:
        text = _("The accuracy of **{name}** does not clearly fall at any number of bits here.")
        return text.format(name=curve.name)
    text = _("**{name}** first leaves the 95 % interval of float32 at {bits}.")
    return text.format(name=curve.name, bits=bits_text(curve.breaks_at))


def against_whole(row: QuantRow | PartRow) -> str:
    """The paired difference from float32, in brackets; empty where there is none."""
    if row.difference is None:
        return ""
    gap, low, high = row.difference
    return _(" ({gap} points against float32, 95 % interval {interval}: {verdict})").format(
        gap=points(gap), interval=points_interval(low, high), verdict=verdict_on(low, high)
    )


def verdict_on(low: float, high: float) -> str:
    """What an interval of a difference allows to say."""
    if low > 0:
        return _("better")
    return _("worse") if high < 0 else _("not distinguishable")


@st.cache_resource(max_entries=24, show_spinner=False)
def _layer_here(id: str, sha256: str, layer: str) -> LayerRow:
    return layer_row(layer, networks.tensors(id, sha256)[layer])


@st.cache_resource(max_entries=64, show_spinner=False)
def _line(language: str, sha256: str, scheme: Scheme, layer: str, _row: LayerRow) -> Spec:
    """The number line of a layer, shared by all sessions."""
    del language, sha256, layer  # only the key of the cache
    return chart.line_chart(_row, scheme)


def choose_layer(at: Setting) -> LayerRow | None:
    """A layer of the network; says why there is none."""
    id, sha256 = at.checkpoint.id, at.checkpoint.weights_sha256
    shipped = LayerRows.of_checkpoint(at.checkpoint)
    if shipped is not None:
        sizes = {row.layer: row.size for row in shipped.rows}
    else:
        tensors = networks.tensors(id, sha256)
        sizes = {name: tensors[name].size for name in quantisable(tensors)}
    if not sizes:
        st.info(_("This network has no weights to quantise."))
        return None
    titles = {
        name: _("{layer}: {n} weights").format(
            layer=name.removesuffix(".weight").removeprefix("features."), n=numbers.count(size)
        )
        for name, size in sizes.items()
    }
    layer = one_of(st.selectbox, _("Layer"), titles, "layer", default=middle_layer(sizes))
    row = shipped.row(layer) if shipped is not None else None
    if row is not None:
        return row
    with st.spinner(_("Quantising {layer} ...").format(layer=titles[layer])):
        return _layer_here(id, sha256, layer)


def number_line(at: Setting) -> None:
    """One layer's weights and their levels; the buttons for the bits work in the browser alone."""
    left, right = st.columns([1, 2], vertical_alignment="center")
    with left:
        row = choose_layer(at)
    if row is None:
        return
    right.caption(
        _(
            "Grey: the weights of the layer, and the ranges of three channels. Blue: the levels, "
            "the only values a weight can have. SQNR: signal divided by error; higher is better."
        )
    )
    spec = _line(i18n.language(), at.checkpoint.weights_sha256, at.scheme, row.layer, row)
    show_with_slider(
        chart.started(spec, in_browser("line_bits", choice(LINE_BITS), START_BITS)),
        # the same words for every layer: other words would make the chart, and its buttons, anew
        _(
            "The weights of a layer as a histogram, and the levels of the chosen method and bits "
            "over it; above it the error in numbers."
        ),
        "number_line",
        chart.LINE_HEIGHT_PX + chart.INPUTS_PX,
    )


def int8(at: Setting, guessed: guess.Guess[int]) -> None:
    """Bytes and times of the ONNX forms beside a guess; their accuracy."""
    st.markdown(
        _(
            "Above, only the file is smaller: the network still computes in float32. With *static "
            "int8*, every convolution computes with 8-bit integers. The range of the numbers "
            "between the layers is measured once, on training photographs."
        )
    )
    columns = chart.timed_columns(at.grid) if at.grid else []
    if at.grid is None or not columns:
        explain_stage(at.checkpoint.id, "int8")
        return
    speed = guess.ask(
        _("Guess: on this processor, a network that computes with 8-bit integers is …"),
        {"faster": _("faster"), "same": _("as fast"), "slower": _("slower")},
        "guess_speed",
        about=at.checkpoint.id,
        is_seen=guessed.is_open,
    )
    if guess.waits(speed):
        return
    engines = {
        name: _("ONNX Runtime, batch {n}").format(n=name.removeprefix("onnx_")) for name in columns
    }
    label, first = _("Measured with"), columns[0]
    column = one_of(st.segmented_control, label, engines, "time_with", default=first, required=True)
    shares = chart.int8_shares(at.grid, column)
    texts = _("; ").join(labelled(row["name"], row["text"]) for row in shares)
    alt = _("Bytes and time of each form as shares of float32's. {rows}.").format(rows=texts)
    show(chart.int8_chart(shares), alt, key="int8")
    whole, small = at.grid.form("float32"), at.grid.form("ort_int8")
    assert whole is not None and small is not None  # else there were no columns
    truth = small.latency[column].against(whole.latency[column])
    guess.verdict(speed, is_right(speed.value, truth), speed_line(speed.value, truth))
    st.markdown(int8_line(whole, small, column))
    if truth != "faster":
        st.markdown(
            _(
                "Fewer bits alone are not faster. Int8 is faster only if the processor has a fast "
                "routine (a kernel) for these layers, and every change of format costs time. A "
                "small difference can change from run to run: Export timed the same files again."
            )
        )
    st.caption(
        ngettext(
            "Squares: bytes of the file (float32: safetensors, weights alone; int8: ONNX, with the "
            "graph). Triangles: median time of a call, quartiles as bars, {threads} "
            "thread, on {device}; all forms took turns.",
            "Squares: bytes of the file (float32: safetensors, weights alone; int8: ONNX, with the "
            "graph). Triangles: median time of a call, quartiles as bars, {threads} "
            "threads, on {device}; all forms took turns.",
            at.grid.threads,
        ).format(threads=at.grid.threads, device=at.grid.device)
    )
    figures([row for form in chart.FORMS if (row := at.grid.form(form))], "forms")
    data_button(lambda: pd.DataFrame(shares), "int8")


def int8_line(whole: QuantRow, small: QuantRow, column: str) -> str:
    """Static int8 against float32: time, bytes, accuracy."""
    return _(
        "**static int8** takes {time} of float32's time, and its file {size} of the bytes. It is "
        "right on {score}{against}."
    ).format(
        time=numbers.share(small.latency[column].median / whole.latency[column].median),
        size=numbers.share(small.size_bytes / whole.size_bytes),
        score=score_text(small.score),
        against=against_whole(small),
    )


def is_right(guessed: str | None, truth: str) -> bool:
    """Whether a guess about time is right. That it is not faster is what counts: how much slower
    depends on the processor, so the course's answer ("about the same") is right as well."""
    return guessed == truth or "faster" not in (guessed, truth)


def speed_line(guessed: str | None, truth: str) -> str:
    """The answer to the guess about time."""
    text = {
        "faster": _("Static int8 measured faster."),
        "same": _("Static int8 and float32 are not distinguishable by their times."),
        "slower": _("Static int8 measured slower."),
    }[truth]
    if guessed in (None, truth) or not is_right(guessed, truth):
        return text
    both = _(
        "“As fast” and “slower” both count as right: the course expects about the same time. "
        "Whether int8 is a little slower depends on the processor and the layers."
    )
    return paragraph([text, both])


def live(at: Setting, curves: Sequence[Curve], guessed: guess.Guess[int]) -> None:
    """The button, the running measurement, its result; and the picture's rows."""
    scheme, bits = scheme_title(at.scheme), bits_text(at.bits)
    LivePoint(
        RUNS,
        QuantPoint(at.checkpoint.id, at.checkpoint.weights_sha256, at.scheme, at.bits),
        _(
            "Quantises {network} ({scheme}, {bits}) on this machine and measures it: the bytes of "
            "the file, and the accuracy on all test photographs, where there are some. One run at "
            "a time; everybody sees the result, as a star in the picture."
        ).format(network=at.title, scheme=scheme, bits=bits),
        *run_it_here(),
        steps={
            "start": (0.02, _("Starting ...")),
            "whole": (0.05, _("In float32: test photograph {done} of {of} ...")),
            "accuracy": (0.52, _("Quantised: test photograph {done} of {of} ...")),
        },
        result_text=lambda job: _("{score} right").format(score=score_text(job.rows[0].score)),
        draw_rows=lambda job: figures(job.rows, "live"),
        method=at.scheme,
    ).draw()
    if guess.waits(guessed):
        return
    if rows := curve_rows(at.grid, at.scheme) if at.grid else []:
        figures(rows, "rows")
    data_button(lambda: chart.curve_table(curves), "quantization")


def figures(rows: Sequence[QuantRow], key: str) -> None:
    """A table of rows; columns in which a single row of several was measured are left out."""
    batches = (
        [row.latency.get("onnx_1") for row in rows],
        [row.latency.get("onnx_32") for row in rows],
    )
    scores = [row.score for row in rows]
    columns: dict[str, list[str]] = {
        _("Format"): [scheme_title(row.scheme) for row in rows],
        _("Bits"): [str(row.bits) for row in rows],
        _("Right (95 % interval)"): [
            bracketed(numbers.percent(it.accuracy, it.n), numbers.interval(*it.ci95, it.n))
            if it
            else ""
            for it in scores
        ],
        _("Same answer"): [
            "" if row.agreement is None else numbers.share(row.agreement) for row in rows
        ],
        _("File"): [
            _("{text}, {basis}").format(
                text=numbers.size(row.size_bytes), basis=chart.file_kind(row.scheme)
            )
            for row in rows
        ],
        _("SQNR"): [
            "" if row.sqnr_db is None else f"{row.sqnr_db:.1f}{numbers.THIN}dB" for row in rows
        ],
        _("Batch 1"): [numbers.milliseconds(it.median) if it else "" for it in batches[0]],
        _("Batch 32"): [numbers.milliseconds(it.median) if it else "" for it in batches[1]],
    }
    least = min(2, len(rows))
    kept = {title: texts for title, texts in columns.items() if sum(map(bool, texts)) >= least}
    extra = [_("Same answer"), _("SQNR"), _("Batch 1"), _("Batch 32")]
    table(kept, 1, extra, key)


def aware(at: Setting, known: Sequence[Measured], guessed: guess.Guess[int]) -> None:
    """Training for few bits against rounding afterwards: the paired verdict in words."""
    st.markdown(
        _(
            "*Post-training* quantisation rounds a finished network. *Quantisation-aware* "
            "fine-tuning rounds in every forward pass, so the network learns with rounded weights; "
            "the gradient ignores the rounding (straight-through estimator)."
        )
    )
    pairs = [(measured.title, pair) for measured in known for pair in measured.grid.comparisons]
    if not pairs:
        ids = [measured.grid.checkpoint for measured in known if measured.role != "teacher"]
        explain_stage((ids or [at.checkpoint.id])[0], "aware")
        return
    if guess.waits(guessed):
        return
    by_method: dict[str, list[tuple[str, Comparison]]] = {}
    for title, pair in pairs:
        method_text = _("{text}, {basis}").format(
            text=scheme_title(pair.a.scheme), basis=bits_text(pair.a.bits)
        )
        by_method.setdefault(method_text, []).append((title, pair))
    for method_text, of_method in by_method.items():
        st.markdown(f"**{method_text}**")
        columns = {
            _("Network"): [title for title, _pair in of_method],
            _("First"): [row_title(pair.a) for _title, pair in of_method],
            _("Second"): [row_title(pair.b) for _title, pair in of_method],
            _("First against second"): [comparison_text(pair) for _title, pair in of_method],
        }
        table(columns, len(columns))
    st.caption(
        _(
            "Points of accuracy on the same test photographs, with the 95 % interval and McNemar's "
            "exact test. One training each: the interval covers the choice of photographs, not "
            "the luck of training. Fine-tuning in float32 is the control: it shows what longer "
            "training does alone."
        )
    )


def row_title(key: RowKey) -> str:
    """What was done to the network of a row."""
    if key.scheme == "float32":
        return _("float32")
    return {
        "none": _("rounded"),
        "plain": _("float32 ({n} epochs), then rounded"),
        "aware": _("quantisation-aware ({n} epochs)"),
    }[key.training].format(n=key.epochs)


def comparison_text(pair: Comparison) -> str:
    """The paired verdict between two ways of training, and its numbers."""
    return _("{verdict}: {gap} ({interval}; {p})").format(
        verdict=verdict_on(pair.low, pair.high),
        gap=points(pair.difference),
        interval=points_interval(pair.low, pair.high),
        p=p_text(pair.p),
    )


class _Read(NamedTuple):
    """What a session keeps of a file: not the file, and none of its arrays."""

    key: str
    upload: Upload | None
    refusal: str
    since: float
    """When it was opened: a refusal may be for a busy minute, and is looked at again after one."""


@st.cache_resource(max_entries=4, show_spinner=False)
def _own_file(id: str, sha256: str) -> bytes:
    del sha256  # only the key of the cache
    return quantized_file(id, "hw7_8bit")


def upload(shipped: list[Checkpoint], at: Setting) -> None:
    """A file of the visitor's, or one of two made here, and what it is."""
    st.caption(
        _(
            "HW7's 8-bit files are pickles, and a pickle can run any program when it is opened. "
            "This page does not unpickle: a separate process with little time and memory reads "
            "only arrays and numbers. The file is not stored."
        )
    )
    file = st.file_uploader(
        _("Drop a network's file here: HW7's 8-bit file (.pkl), or another"),
        key="hw7_file",
        max_upload_size=10,  # what can be read within its limits of time and memory
        help=_(
            "Pickles of NumPy arrays (8-bit codes, 16 or 32 bits), PyTorch state dicts, .npz and "
            "safetensors; also compressed with gzip, bz2, xz or zip."
        ),
    )
    sample = ""
    if file is None:
        samples = {
            "own": _("The 8-bit file of the network above"),
            "hostile": _("A file that would run a program"),
        }
        label = _("No file at hand?")
        sample = one_of(st.segmented_control, label, samples, "hw7_sample", default=None) or ""
        if not sample:
            st.session_state.pop("hw7_read", None)
            return
    key = f"{sample}/{at.checkpoint.weights_sha256}" if file is None else file.file_id

    def content() -> bytes:
        if file is not None:
            return file.getvalue()
        return (
            HOSTILE
            if sample == "hostile"
            else _own_file(at.checkpoint.id, at.checkpoint.weights_sha256)
        )

    likeliest_first = sorted(shipped, key=lambda checkpoint: checkpoint.id != at.checkpoint.id)
    read = _read(key, content, likeliest_first)
    if read.upload is None:
        st.error(read.refusal, icon=":material/security:")
        return
    arrays(read.upload)
    st.markdown(whose_line(read.upload))
    if read.upload.fits and read.upload.problem:
        st.error(read.upload.problem, icon=":material/error:")
    elif read.upload.fits:
        ask_about_photographs(key, content, read.upload.fits[0])


def _read(key: str, content: Callable[[], bytes], shipped: list[Checkpoint]) -> _Read:
    """What the file is; opened once, however often the page is drawn."""
    kept: _Read | None = st.session_state.get("hw7_read")
    now = time.monotonic()
    is_stale = kept is not None and kept.upload is None and now - kept.since > 60
    if kept is None or kept.key != key or is_stale:
        try:
            kept = _Read(key, open_upload(content(), shipped), "", now)
        except UserError as error:
            kept = _Read(key, None, str(error), now)
        st.session_state["hw7_read"] = kept
    return kept


def arrays(read: Upload) -> None:
    """What the file holds."""
    held = read.held
    st.success(
        ngettext(
            "Read: {size}; {n} array, {params} weights and biases, {counters} counters.",
            "Read: {size}; {n} arrays, {params} weights and biases, {counters} counters.",
            len(held.shapes),
        ).format(
            size=limit_text(held.n_bytes),
            n=numbers.count(len(held.shapes)),
            params=numbers.count(held.params),
            counters=numbers.count(held.counters),
        ),
        icon=":material/task_alt:",
    )


def whose_line(read: Upload) -> str:
    """The networks that have a file's tensors."""
    if not read.fits:
        return _("None of the networks here has these shapes in this order.")
    ids = [f"`{fit.checkpoint.id}`" for fit in read.fits]
    names = _(", ").join(ids[:MOST_NAMED])
    if len(ids) > MOST_NAMED:
        names = _("{names} and {n} more").format(names=names, n=len(ids) - MOST_NAMED)
    renamed = ((ours, theirs) for ours, theirs in read.fits[0].names.items() if ours != theirs)
    ours, theirs = next(renamed, ("", ""))
    if not ours:
        return _("It has the tensors of {names}.").format(names=names)
    return _(
        "It has the shapes of {names}, in the same order, under other names: `{theirs}` is taken "
        "for `{ours}`, and so on."
    ).format(names=names, theirs=theirs[:100].replace("`", "'"), ours=ours)


def ask_about_photographs(key: str, content: Callable[[], bytes], fit: Fit) -> None:
    """The file's accuracy on the test photographs, once the visitor asks for it."""
    if not food11_available():
        st.caption(_("There are no test photographs here. See: python -m core data"))
        return
    if st.button(_("Test it on the test photographs"), icon=":material/quiz:", key="hw7_ask"):
        bar = st.progress(0.0, _("Starting ..."))

        def on_progress(done: int, of: int) -> None:
            text = _("Looking at test photograph {done} of {of} ...").format(done=done, of=of)
            bar.progress(done / of, text)

        try:
            st.session_state["hw7_score"] = (key, score_upload(content(), fit, on_progress))
        except UserError as error:
            st.error(str(error), icon=":material/error:")
            return
        finally:
            bar.empty()
    scored: tuple[str, Score | None] = st.session_state.get("hw7_score", ("", None))
    if scored[0] == key and (score := scored[1]) is not None:
        st.markdown(
            _("It is right on {score} of {n} test photographs, shown at {px} x {px} px.").format(
                score=score_text(score), n=numbers.count(score.n), px=fit.checkpoint.input_px
            )
        )


def photo(at: Setting) -> None:
    """Choose a photo and up to three numbers of bits; see where the answer changes."""
    id, scheme = at.checkpoint.id, at.scheme
    whole = Version(_("float32"), lambda: quantized_predictor(id, "float32", 32))

    def versions(chosen: Sequence[int]) -> list[Version]:
        opened = [partial(quantized_predictor, id, scheme, bits) for bits in chosen]
        titles = map(bits_text, chosen)
        return [whole, *(Version(*pair, "quantised") for pair in zip(titles, opened, strict=True))]

    photo_check(
        at.checkpoint,
        Choice(_("Bits to try, up to three"), PHOTO_BITS, (8, 4, 2), "photo_bits"),
        versions,
        way=scheme_title(scheme),
        hint=_("Drop a photo: the network answers in float32 and with fewer bits."),
        name="quantisation-photo",
    )


def why(at: Setting) -> None:
    """What the codes stand for, as a formula, the function that made them, and their error."""
    if at.scheme == "kmeans":
        st.latex(r"q_i = \operatorname*{arg\,min}_k |w_i - c_k| \qquad \hat w_i = c_{q_i}")
        st.markdown(
            _(
                "$c_k$ are the $2^b$ centres that k-means finds among the weights of a tensor; "
                "the code $q_i$ of $b$ bits names the nearest. The file holds codes and centres."
            )
        )
    else:
        st.latex(
            r"\begin{gathered} q_i = \operatorname{round}\!\left(\frac{w_i - m}{s}\right) \\[6pt] "
            r"\hat w_i = s\, q_i + m \qquad s = \frac{M - m}{2^b - 1} \end{gathered}"
            if at.scheme.endswith("minmax")
            else r"\begin{gathered} q_i = \operatorname{round}\!\left(\frac{w_i}{s}\right) \\[6pt] "
            r"\hat w_i = s\, q_i \qquad s = \frac{\max_i |w_i|}{2^{b-1} - 1} \end{gathered}"
        )
        st.markdown(
            _(
                "$w_i$ are the weights of a tensor (or of one output channel), $b$ the bits, $m$ "
                "and $M$ the smallest and the largest of them, $s$ the step, $q_i$ the code that "
                "is kept. No weight moves by more than half a step: $|w_i - \\hat w_i| \\le s/2$. "
                "With one bit, symmetric is $\\pm$ the mean size of the weights."
            )
        )
    st.markdown(
        _(
            "Only weights are rounded; the network computes in float32 with $\\hat w_i$. Sizes are "
            "those of safetensors files, with BatchNorm in float32."
        )
    )
    st.latex(
        r"\begin{gathered} \text{MSE} = \frac{1}{n}\sum_i (w_i - \hat w_i)^2 \\[6pt] \text{SQNR} = "
        r"10 \log_{10} \frac{\sum_i w_i^2}{\sum_i (w_i - \hat w_i)^2}\ \text{dB} \end{gathered}"
    )
    st.markdown(
        _(
            "One bit more adds about 6 dB: twice as many levels, half the distance, a quarter of "
            "the squared error. “Number line” shows both errors for every layer."
        )
    )
    source(_("This function made the codes on this page:"), inspect.getsource(method.quantise))
    source(_("This one writes HW7's 8-bit file:"), inspect.getsource(hw7.encode8))


def traps(at: Setting, known: Sequence[Measured], guessed: guess.Guess[int]) -> None:
    """8 bits for every tensor, and int8 that leaves the convolutions."""
    st.markdown(f"**{_('Trap: 8 bits for every tensor')}**")
    with_parts = [measured for measured in known if measured.grid.hw7_parts]
    if not with_parts:
        explain_stage(at.checkpoint.id, "weights")
    elif not guess.waits(guessed):
        variances_trap(
            min(with_parts, key=lambda it: min(row.difference[0] for row in it.grid.hw7_parts))
        )
    st.markdown(f"**{_('Trap: dynamic int8 leaves the convolutions')}**")
    dynamic_trap(at)


def homework(known: Sequence[Measured], guessed: guess.Guess[int]) -> None:
    """The homework's files of every network: bytes, its limit, accuracy."""
    st.markdown(
        _(
            "**HW7: store the weights in 16 bits, and in 8.** 16 bits: float16. 8 bits: each "
            "tensor is stored as its minimum, its maximum and one byte per weight; BatchNorm's "
            "counters are not changed. Each file was written, read back, and tested. Its size, its "
            "accuracy, and the points against float32 with the 95 % interval:"
        )
    )
    if guess.waits(guessed):
        return
    forms: dict[Form, str] = {
        "float32": _("32 bits"),
        "float16": _("16 bits"),
        "hw7_8bit": _("8 bits (a pickle)"),
    }
    rows = [
        (measured.title, {form: row for form in forms if (row := measured.grid.form(form))})
        for measured in known
    ]
    if not any(by_form for _title, by_form in rows):
        st.caption(_("Not measured yet: python -m core quantize-grid"))
        return

    def cell(form: Form, row: QuantRow | None) -> str:
        if row is None:
            return "–"
        size = limit_text(row.size_bytes) if form == "hw7_8bit" else numbers.size(row.size_bytes)
        if row.score is None or row.difference is None:
            return _("; ").join([size, score_text(row.score)])
        right, (gap, low, high) = row.score.accuracy, row.difference
        return _("{size}; {right}: {gap} points ({interval})").format(
            size=size,
            right=numbers.percent(right, row.score.n),
            gap=points(gap),
            interval=points_interval(low, high),
        )

    columns = {
        name: [cell(form, by_form.get(form)) for _title, by_form in rows]
        for form, name in forms.items()
    }
    table({_("Network"): [title for title, _forms in rows], **columns}, 1 + len(columns))
    last = [by_form["hw7_8bit"] for _title, by_form in rows if "hw7_8bit" in by_form]
    if any(row.difference and row.difference[2] < 0 for row in last):
        st.markdown(_("Where 8 bits cost accuracy, the reason is not the weights: see “Traps”."))


def limit_text(n_bytes: int) -> str:
    """Bytes of a file, and whether they stay under the homework's limit."""
    is_under = n_bytes < chart.LIMIT_BYTES
    text = _("{n} bytes, under {limit}") if is_under else _("{n} bytes, not under {limit}")
    return text.format(n=numbers.count(n_bytes), limit=numbers.size(chart.LIMIT_BYTES))


def variances_trap(measured: Measured) -> None:
    """Which tensors HW7's 8-bit file loses a network's accuracy to, measured part by part."""
    grid = measured.grid
    if file := grid.form("hw7_8bit"):
        st.markdown(
            _("HW7's file stores every tensor in 8 bits. **{name}**: {score}{against}.").format(
                name=measured.title, score=score_text(file.score), against=against_whole(file)
            )
        )
    titles: dict[Part, str] = {
        "weights": _("weights of convolutions and linear layers"),
        "variances": _("BatchNorm's running variances"),
        "means": _("BatchNorm's running means"),
        "scales": _("BatchNorm's scales and shifts"),
        "all_but_variances": _("all but the variances"),
    }
    rows = grid.hw7_parts
    table(
        {
            _("Only these in 8 bits"): [titles[row.part] for row in rows],
            _("Numbers"): [numbers.count(row.values) for row in rows],
            _("Become 0"): [numbers.count(row.zeroed) for row in rows],
            _("Right"): [numbers.percent(row.correct / row.n, row.n) for row in rows],
            _("Points against float32 (95 % interval)"): [
                _("{value} ({detail})").format(
                    value=points(row.difference[0]), detail=points_interval(*row.difference[1:])
                )
                for row in rows
            ],
        },
        extra=[_("Numbers")],
        key="parts",
    )
    variances, rest = grid.hw7_part("variances"), grid.hw7_part("all_but_variances")
    if variances and rest and variances.difference[2] < 0:
        st.markdown(
            _(
                "Not the weights but BatchNorm's running variances cost the accuracy. The 256 "
                "levels of a layer go evenly from its smallest variance to its largest, and "
                "{zeroed} of {values} variances are so small that they become 0. BatchNorm divides "
                "by their square root, so these channels become much too large. With the "
                "variances in float32, which takes few bytes, the file is {gap} points from "
                "float32. The curves above leave BatchNorm in float32: that is why they keep their "
                "accuracy at 8 bits."
            ).format(
                zeroed=numbers.count(variances.zeroed),
                values=numbers.count(variances.values),
                gap=points(rest.difference[0]),
            )
        )


def dynamic_trap(at: Setting) -> None:
    """Dynamic int8 on a convolutional network: which of its operators changed, and its bytes."""
    st.markdown(
        _(
            "*Dynamic* int8 is one line of code and gives no warning. But as it is usually called "
            "it changes only linear layers, and these networks have a single one, the last."
        )
    )
    whole = at.grid.form("float32") if at.grid else None
    dynamic = at.grid.form("ort_dynamic") if at.grid else None
    if at.grid is None or whole is None or dynamic is None:
        explain_stage(at.checkpoint.id, "int8")
        return
    rows = [row for form in chart.FORMS if (row := at.grid.form(form))]
    st.markdown("\n".join(map(operators_line, rows)))
    st.markdown(
        _(
            "Dynamic int8 leaves {share} of the bytes: an ONNX file of {after} bytes; the float32 "
            "weights take {before} as safetensors. How to notice: look at the file's size, and "
            "count the operators. A `Conv` computes in float32; `QLinearConv`, `ConvInteger`, or a "
            "`Conv` between `DequantizeLinear` and `QuantizeLinear` computes in int8."
        ).format(
            share=numbers.share(dynamic.size_bytes / whole.size_bytes),
            after=numbers.count(dynamic.size_bytes),
            before=numbers.count(whole.size_bytes),
        )
    )


def operators_line(row: QuantRow) -> str:
    """How many convolutions, linear layers and changes of format a form's graph has."""
    kinds = ("Conv", "Gemm", "MatMul", "Linear", "Quant")
    counts = [
        f"{n} `{name}`"
        for name, n in sorted(row.operators.items())
        if any(kind in name for kind in kinds)
    ]
    text = _(", ").join(counts) or _("its operators were not counted")
    return "- " + labelled(f"**{scheme_title(row.scheme)}**", text)


def _quiz(at: Setting) -> list[quiz.Question]:
    """On the bits that are set: levels, bytes; and the accuracy at two bits."""
    bits, levels = at.bits, 2**at.bits
    questions = [
        quiz.Question(
            "levels",
            _("How many different values can a weight of {bits} have?").format(
                bits=bits_text(bits)
            ),
            *quiz.among(levels, (bits, 2 * bits, levels // 2, 2 * levels), numbers.count),
            _("Each bit doubles the number of values: 2 to the power of {bits}.").format(bits=bits),
        )
    ]
    rows = {row.bits: row for row in (curve_rows(at.grid, at.scheme) if at.grid else ())}
    whole, row, few = (rows.get(n) for n in (32, bits, 2))
    if whole and row:
        size = whole.size_bytes
        questions.append(
            quiz.Question(
                "bytes",
                _("The file in float32 has {size}. How large is it with {bits} per weight?").format(
                    size=numbers.size(size), bits=bits_text(bits)
                ),
                *quiz.among(row.size_bytes, (size, size / 2, size / bits), numbers.size),
                _("Each weight shrinks from 32 bits to {bits}; levels and a few other numbers are "
                  "added.").format(bits=bits),
            )
        )  # fmt: skip
    if whole and few and whole.score and few.score:
        right, start = few.score.accuracy, whole.score.accuracy
        questions.append(
            quiz.Question(
                "few",
                _("With this method and 2 bits per weight, how often is the network right?"),
                *quiz.among(right, (start, start * 0.8, start / 2),
                            partial(numbers.percent, n=few.score.n)),
                _("Two bits leave four values; in float32 it is right on {whole}.").format(
                    whole=numbers.percent(start, whole.score.n)
                ),
            )
        )  # fmt: skip
    return questions


if __name__ == "__main__":
    main()
