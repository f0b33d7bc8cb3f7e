"""Quantisation: how few bits a weight needs, what they cost in accuracy, what they save."""

import inspect
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import NamedTuple

import pandas as pd
import streamlit as st

from core.charts import numbers
from core.charts.numbers import p_text, points, points_interval
from core.charts.theme import role_of
from core.checkpoints import Checkpoint
from core.data import food11_available
from core.errors import UserError
from core.i18n import _, ngettext
from core.quantization import hw7, method
from core.quantization.chart import (
    FORMS,
    INPUTS_PX,
    LIMIT_BYTES,
    LINE_HEIGHT_PX,
    Against,
    Measured,
    accuracy_chart,
    accuracy_frame,
    curve_rows,
    decibels,
    error_chart,
    error_text,
    file_kind,
    form_row,
    int8_chart,
    int8_frame,
    line_chart,
    line_data,
    scheme_title,
    timed_columns,
)
from core.quantization.graph import quantized_file, quantized_predictor
from core.quantization.method import BITS, SCHEMES, Scheme, quantisable
from core.quantization.number_line import (
    LINE_BITS,
    LayerRow,
    LayerRows,
    Line,
    layer_row,
    line,
    middle_layer,
)
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
from core.quantization.upload import HOSTILE, Fit, Holdings, Upload, open_upload, score_upload
from core.stats import Score
from core.timing import Spread
from pages.kit import frame, guess, networks
from pages.kit.figure import data_button, show, show_with_slider
from pages.kit.live import LivePoint, live_points, run_it_here
from pages.kit.photo_check import Choice, Version, photo_check
from pages.kit.provenance import provenance
from pages.kit.url_state import choice, in_browser, is_on, one_of, toggle

START_BITS = 4
GUESSES = (8, 6, 5, 4, 3, 2)
PHOTO_BITS = (8, 6, 5, 4, 3, 2, 1)
PHOTO_SETTINGS = ("photo_bits", "photo_from", "dream_of", "dream", "food", "example")
NAMED = 3
"""Networks named in a sentence; of others only their number is given."""


class Setting(NamedTuple):
    """What the visitor has set in the instrument."""

    checkpoint: Checkpoint
    grid: QuantizationGrid | None
    scheme: Scheme
    bits: int
    against: Against
    by_scheme: bool
    """Whether the picture shows all methods on this network, instead of all networks."""


def main() -> None:
    """Draw the page."""
    st.title(frame.entry("quantization").question)
    st.markdown(
        _(
            "A trained weight is a 32-bit number. Keep only a few bits of each, and the file "
            "shrinks at once. How few will do before the network forgets what food looks like?"
        )
    )
    shipped = networks.checkpoints()
    if not shipped:
        networks.explain_empty()
        st.stop()
    grids = networks.measured_rows(QuantizationGrid, shipped)
    explore(shipped, [Measured(*named) for named in networks.by_title(shipped, grids)])
    provenance([one for one in shipped if one.id in grids] or shipped[:1])
    frame.foot("quantization")


# -- the instrument --------------------------------------------------------------------------------


@frame.section
def explore(shipped: list[Checkpoint], known: list[Measured]) -> None:
    """Network, method and bits beside the accuracy they leave; the guess; everything else."""
    with frame.instrument() as (controls, picture):
        with controls:
            at = settings(shipped, known)
        with picture:
            asked = guess.ask(
                _("First, a guess: with how many bits does this network break?"),
                {bits: str(bits) for bits in GUESSES},
                "guess_bits",
            )
            if is_on("reveal"):  # an older link's
                asked = asked._replace(is_open=True)
            by_scheme = at.by_scheme and at.grid is not None
            shown = [one for one in known if not by_scheme or one.grid is at.grid]
            curves = accuracy_frame(shown, SCHEMES if by_scheme else (at.scheme,))
            if curves.empty:
                explain_missing(at, shipped)
            else:
                show(
                    accuracy_chart(
                        curves,
                        at.against,
                        asked.value,
                        at.scheme,
                        live_points(
                            RUNS,
                            (at.checkpoint.id, at.checkpoint.weights_sha256, at.scheme),
                            ("bits", "size_bytes"),
                        ),
                        asked.is_open,
                        network=at.checkpoint.id,
                        now=at.bits,
                    ),
                    accuracy_alt(curves, at.against, asked.is_open),
                    key="accuracy",
                )
    is_own = (curves["checkpoint"] == at.checkpoint.id) & (curves["scheme"] == at.scheme)
    own = curves[is_own]
    guess.verdict(asked, asked.value == breaks_at(own), break_line(own))
    lines = [chosen_line(at, asked.is_open)]
    if asked.is_open:
        lines += [holds_line(own)] if len(own) else []
        lines += not_measured(shown, SCHEMES if by_scheme else (at.scheme,))
        if others := short_lines(curves[~is_own]):
            lines.append("; ".join(others) + ".")
    st.markdown(_("**What you see.** {lines}").format(lines=" ".join(lines)))
    st.caption(_("Band: 95 % interval. Dashed: one in eleven, pure chance. Stars: measured here."))
    frame.tabs(
        [
            frame.Tab("line", _("Number line"), partial(number_line, at)),
            frame.Tab("error", _("Error"), partial(layer_error, at)),
            frame.Tab("figures", _("Figures"), partial(every_figure, at, curves, asked)),
            frame.Tab("time", _("Time"), partial(int8, at, asked), ("time_with",)),
            frame.Tab("aware", _("Training"), partial(aware, at, known, asked)),
            frame.Tab("file", _("HW7 file"), partial(upload, shipped, at), ("hw7_sample",)),
            frame.Tab("photo", _("Photo"), partial(photo, at), PHOTO_SETTINGS),
            frame.Tab("why", _("Why"), partial(why, at)),
            frame.Tab("trap", _("Traps"), partial(traps, at, known, asked)),
            frame.Tab("homework", _("Homework"), partial(homework, known, asked)),
        ]
    )


def settings(shipped: list[Checkpoint], known: Sequence[Measured]) -> Setting:
    """The controls of the instrument; all are part of the link."""
    grids = {one.grid.checkpoint: one.grid for one in known}
    # the first is what the page begins with: a student, since every method was measured on those
    offered = sorted(shipped, key=lambda one: (one.id not in grids, role_of(one) != "distilled"))
    checkpoint = networks.choose_one(_("Network"), offered, "network", first=grids)
    scheme = one_of(
        st.selectbox,
        _("Method"),
        {name: scheme_title(name) for name in SCHEMES},
        "scheme",
        default="tensor_minmax",
        help=_(
            "Where the levels lie. Min–max: evenly from the smallest weight to the largest (HW7). "
            "Symmetric: evenly around zero, which keeps its level. Per channel: every output "
            "channel has a grid of its own. k-means: the weights choose the levels."
        ),
    )
    bits = one_of(st.select_slider, _("Bits per weight"), BITS, "bits", default=START_BITS)
    against: dict[Against, str] = {"bits": _("bits"), "bytes": _("bytes of the file")}
    return Setting(
        checkpoint,
        grids.get(checkpoint.id),
        scheme,
        bits,
        one_of(
            st.segmented_control, _("Against"), against, "against", default="bits", required=True
        ),
        toggle(_("All methods"), "all_schemes"),
    )


def explain_missing(at: Setting, shipped: list[Checkpoint]) -> None:
    """Say that nothing was measured yet and how to get it."""
    st.info(
        _(
            "The accuracies of these networks at fewer bits are not measured yet. That takes some "
            "minutes for each; meanwhile the number line and your photo work, and “Figures” "
            "measures single points."
        ),
        icon=":material/query_stats:",
    )
    ids = networks.starters(shipped) if not at.grid else [at.checkpoint.id]
    st.code(f"python -m core quantize-grid {' '.join(ids)}", language="bash")


# -- what you see ----------------------------------------------------------------------------------


def not_measured(shown: Sequence[Measured], schemes: Sequence[Scheme]) -> list[str]:
    """A sentence on the curves that the picture lacks; none where it lacks none."""
    missing = [
        one.title if len(schemes) == 1 else scheme_title(scheme)
        for one in shown
        for scheme in schemes
        if not any(row.score for row in curve_rows(one.grid, scheme))
    ]
    return [_("Not measured: {names}.").format(names=", ".join(missing))] if missing else []


def bits_text(bits: int) -> str:
    """ "1 bit", "8 bits"."""
    return ngettext("{n} bit", "{n} bits", bits).format(n=bits)


def chosen_line(at: Setting, revealed: bool) -> str:
    """The chosen method at the chosen bits: the file, and after the reveal the accuracy."""
    whole = at.grid.float32 if at.grid else None
    row = (
        next((row for row in curve_rows(at.grid, at.scheme) if row.bits == at.bits), None)
        if at.grid
        else None
    )
    if whole is None or row is None:
        return _(
            "**{name}** at {bits}, {method}, was not measured; “Figures” does it here."
        ).format(
            name=_(at.checkpoint.title),
            bits=bits_text(at.bits),
            method=scheme_title(at.scheme),
        )
    said = _("At {bits}, the file of **{name}** shrinks from {whole} to {size} ({share}).").format(
        bits=bits_text(at.bits),
        name=_(at.checkpoint.title),
        whole=numbers.size(whole.size_bytes),
        size=numbers.size(row.size_bytes),
        share=numbers.share(row.size_bytes / whole.size_bytes),
    )
    if revealed and row.score is not None:
        said += " " + _("It is right on {score}{against}.").format(
            score=score_text(row), against=against_whole(row)
        )
    return said


def holds_down_to(curve: pd.DataFrame) -> int:
    """Fewest bits down to which the accuracy stays within the whole network's 95 % interval.

    `curve`: one series of `accuracy_frame`. Counted from the top without a gap.
    """
    falling = curve.sort_values("bits", ascending=False)
    held = (falling["accuracy"] >= float(falling["low"].iloc[0])).cummin()
    return int(falling.loc[held, "bits"].min())


def holds_line(curve: pd.DataFrame) -> str:
    """Where a curve starts, how far it holds, where it ends, in bits and bytes."""
    by_bits = curve.set_index("bits")
    whole, last = by_bits.loc[curve["bits"].max()], by_bits.loc[curve["bits"].min()]
    held = holds_down_to(curve)
    return _(
        "**{name}** is right on {whole} as trained, stays within that figure's interval down to "
        "{held} ({held_size}), and is right on {end} with {last}."
    ).format(
        name=curve["series"].iloc[0],
        whole=numbers.percent(whole["accuracy"], whole["n"]),
        held=bits_text(held),
        held_size=numbers.size(float(by_bits["size_bytes"][held])),
        end=numbers.percent(last["accuracy"], last["n"]),
        last=bits_text(int(curve["bits"].min())),
    )


def short_lines(curves: pd.DataFrame) -> list[str]:
    """How far each curve holds, a few words each."""
    return [
        _("**{name}** holds down to {held}").format(
            name=series, held=bits_text(holds_down_to(curve))
        )
        for series, curve in curves.groupby("series", sort=False)
    ]


def breaks_at(curve: pd.DataFrame) -> int | None:
    """The most bits whose accuracy leaves the whole network's interval; None if none does."""
    if curve.empty:
        return None
    held = holds_down_to(curve)
    return max((int(bits) for bits in curve["bits"] if bits < held), default=None)


def break_line(curve: pd.DataFrame) -> str:
    """The answer to the guess, for one series of `accuracy_frame`."""
    if curve.empty:
        return _("This network was not measured with this method.")
    name, bits = curve["series"].iloc[0], breaks_at(curve)
    if bits is None:
        return _("**{name}** does not break at any number of bits that was measured.").format(
            name=name
        )
    return _("The first to leave **{name}**'s interval is {bits}.").format(
        name=name, bits=bits_text(bits)
    )


def accuracy_alt(curves: pd.DataFrame, against: Against, revealed: bool) -> str:
    """What the main picture shows, in words."""
    about = (
        _("Accuracy on the test photographs against the bits of a weight.")
        if against == "bits"
        else _("Accuracy on the test photographs against the bytes of the file.")
    )
    if not revealed:
        return about + " " + _("Only the whole networks are shown until you guess.")
    lines = [holds_line(curve) for _series, curve in curves.groupby("series", sort=False)]
    return " ".join([about, *(text.replace("**", "") for text in lines)])


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


def score_text(row: QuantRow) -> str:
    """ "76.6 % (74.4 to 78.7 %)", or that it was not measured."""
    score = row.score
    if score is None:
        return _("not measured (no photographs here)")
    return _("{accuracy} ({interval})").format(
        accuracy=numbers.percent(score.accuracy, score.n),
        interval=numbers.interval(*score.ci95, score.n),
    )


# -- number line, error of a layer -----------------------------------------------------------------


@st.cache_resource(max_entries=24, show_spinner=False)
def _layer_here(id: str, sha256: str, layer: str) -> LayerRow:
    return layer_row(layer, networks.tensors(id, sha256)[layer])


@st.cache_resource(max_entries=64, show_spinner=False)
def _line(sha256: str, scheme: Scheme, layer: str, _row: LayerRow) -> tuple[Line, pd.DataFrame]:
    """What the number line draws, and the same as a table to take along."""
    del sha256, layer  # only the key of the cache
    drawn = line(_row, scheme)
    return drawn, line_data(drawn)


def choose_layer(at: Setting) -> tuple[LayerRow, Line, pd.DataFrame] | None:
    """A layer of the network, its number line, and that as a table; says why there is none."""
    shipped = LayerRows.of_checkpoint(at.checkpoint)
    if shipped is not None:
        sizes = {row.layer: row.size for row in shipped.rows}
    else:
        tensors = networks.tensors(at.checkpoint.id, at.checkpoint.weights_sha256)
        sizes = {name: tensors[name].size for name in quantisable(tensors)}
    if not sizes:
        st.info(_("This network has no weights to quantise."))
        return None
    titles = {name: name.removesuffix(".weight") for name in sizes}
    layer = one_of(st.selectbox, _("Layer"), titles, "layer", default=middle_layer(sizes))
    row = shipped.row(layer) if shipped is not None else None
    if row is None:
        with st.spinner(_("Quantising {layer} ...").format(layer=titles[layer])):
            row = _layer_here(at.checkpoint.id, at.checkpoint.weights_sha256, layer)
    return row, *_line(at.checkpoint.weights_sha256, at.scheme, layer, row)


def number_line(at: Setting) -> None:
    """One layer's weights and their levels; the buttons for the bits work in the browser alone."""
    left, place = st.columns([1, 2], vertical_alignment="center")
    with left:
        chosen = choose_layer(at)
    if chosen is None:
        return
    _row, drawn, table = chosen
    with place:
        st.caption(
            _(
                "Grey: the layer's weights, and those of three channels. Blue: the values left to "
                "them. SQNR: signal divided by error; more is better."
            )
        )
        data_button(table, "number-line")
    show_with_slider(
        line_chart(drawn, in_browser("line_bits", choice(LINE_BITS), START_BITS)),
        # the same words for every layer: other words would make the chart, and its buttons, anew
        _(
            "The weights of a layer as a histogram, and the levels of the chosen method and bits "
            "over it. The text below gives the numbers."
        ),
        "number_line",
        LINE_HEIGHT_PX + INPUTS_PX,
    )


def layer_error(at: Setting) -> None:
    """The rounding error of every method in one layer against the bits."""
    chosen = choose_layer(at)
    if chosen is None:
        return
    row, drawn, _table = chosen
    lines = error_lines(row, at.scheme)
    show(
        error_chart(drawn, at.bits),
        _("Signal to noise of every method against the bits. {lines}").format(
            lines=" ".join(lines).replace("**", "")
        ),
        key="layer_error",
    )
    if at.checkpoint.weights_dtype == "float16":
        lines.append(_("These weights are stored in 16 bits, so 16 bits lose nothing more."))
    st.markdown("\n".join(f"- {text}" for text in lines))


def error_lines(row: LayerRow, scheme: Scheme) -> list[str]:
    """A layer's errors, decibels per bit, the other methods."""
    own = {bits: row.error(scheme, bits) for bits in (8, 4, 2)}
    eight, four, two = (error_text(*own[bits]) for bits in (8, 4, 2))
    lines = [
        _("**{method}**: {eight} at 8 bits, {four} at 4 bits, {two} at 2 bits.").format(
            method=scheme_title(scheme), eight=eight, four=four, two=two
        )
    ]
    high, low = own[8].sqnr_db, own[4].sqnr_db
    if high is not None and low is not None:
        lines.append(
            _(
                "From 4 to 8 bits each bit adds {gain} dB. The rule of thumb is 6 dB: twice as "
                "many levels, half the distance, a quarter of the squared error."
            ).format(gain=decibels((high - low) / 4))
        )
    at_four = sorted(
        (sqnr, scheme_title(name))
        for name in row.errors
        if (sqnr := row.error(name, 4).sqnr_db) is not None
    )
    if len(at_four) > 1:
        (least, worst), (most, best) = at_four[0], at_four[-1]
        lines.append(
            _(
                "At 4 bits the methods reach {low} dB ({worst}) to {high} dB ({best}) in this "
                "layer of {n} weights."
            ).format(
                low=decibels(least),
                high=decibels(most),
                worst=worst,
                best=best,
                n=numbers.count(row.size),
            )
        )
    return lines


# -- figures, and one measured here ----------------------------------------------------------------


def every_figure(at: Setting, curves: pd.DataFrame, asked: guess.Guess[int]) -> None:
    """The rows of this network and method as a table, the picture as CSV; one point measured."""
    live(at)
    if guess.waits(asked):
        return
    rows = curve_rows(at.grid, at.scheme) if at.grid else []
    if rows:
        figures(rows)
    data_button(curves, "quantization")


def figures(rows: Sequence[QuantRow]) -> None:
    """A table of rows; what was not measured is left out."""
    frame = rows_table(rows).dropna(axis="columns", thresh=min(2, len(rows))).fillna("–")
    titles = {
        "scheme": _("Format"),
        "bits": _("Bits"),
        "right": _("Right"),
        "interval": _("95 % interval"),
        "agreement": _("Same answer as float32"),
        "size": _("File"),
        "sqnr": _("SQNR"),
        "onnx_1": _("ONNX Runtime, batch 1"),
        "onnx_32": _("ONNX Runtime, batch 32"),
    }
    st.dataframe(
        frame,
        column_config={name: titles[name] for name in frame.columns},
        hide_index=True,
        alt=_("Each format: accuracy with its interval, bytes, signal to noise and times."),
    )


def rows_table(rows: Iterable[QuantRow]) -> pd.DataFrame:
    """Rows as figures for a reader: a column each, empty where nothing was measured."""
    return pd.DataFrame(
        [
            {
                "scheme": scheme_title(row.scheme),
                "bits": row.bits,
                "right": None if row.score is None else numbers.percent(row.score.accuracy, row.n),
                "interval": None
                if row.score is None
                else numbers.interval(*row.score.ci95, row.score.n),
                "agreement": None if row.agreement is None else numbers.share(row.agreement),
                "size": _("{size}, {kind}").format(
                    size=numbers.size(row.size_bytes), kind=file_kind(row.scheme)
                ),
                "sqnr": None if row.sqnr_db is None else f"{row.sqnr_db:.1f}{numbers.THIN}dB",
                **{
                    name: numbers.milliseconds(row.latency[name].median)
                    if name in row.latency
                    else None
                    for name in ("onnx_1", "onnx_32")
                },
            }
            for row in rows
        ]
    )


def live(at: Setting) -> None:
    """The button, the running measurement, its result."""
    start, again = run_it_here()
    LivePoint(
        RUNS,
        QuantPoint(at.checkpoint.id, at.checkpoint.weights_sha256, at.scheme, at.bits),
        _(
            "Quantises {network} now, {scheme}, {bits}, in a process of its own: the file is "
            "written and weighed, and all test photographs are looked at (where they are on this "
            "machine). One run at a time; results are shared, and appear as stars in the picture."
        ).format(
            network=_(at.checkpoint.title),
            scheme=scheme_title(at.scheme),
            bits=bits_text(at.bits),
        ),
        start,
        again,
        steps={
            "start": (0.02, _("Starting ...")),
            "whole": (0.05, _("In float32: test photograph {done} of {of} ...")),
            "accuracy": (0.52, _("Quantised: test photograph {done} of {of} ...")),
        },
        told=lambda job: _("{score} right").format(score=score_text(job.rows[0])),
        shown=lambda job: figures(job.rows),
    ).draw()


# -- time and size ---------------------------------------------------------------------------------


def int8(at: Setting, asked: guess.Guess[int]) -> None:
    """Bytes and times of the ONNX forms beside a guess; their accuracy."""
    st.markdown(
        _(
            "So far only the file became smaller: the network still computes with floats. *Static "
            "int8* turns the numbers that flow between the layers into integers, too. Their ranges "
            "are measured once on training photographs, and every convolution runs in int8."
        )
    )
    columns = timed_columns(at.grid) if at.grid else []
    if at.grid is None or not columns:
        st.info(_("Not measured yet for this network. This does it:"), icon=":material/timer_off:")
        st.code(f"python -m core quantize-grid {at.checkpoint.id} --stages int8", language="bash")
        return
    speed = guess.ask(
        _("A guess: a network that computes with 8-bit integers, on this processor, is ..."),
        {"faster": _("faster"), "same": _("as fast"), "slower": _("slower")},
        "guess_speed",
    )
    if asked.is_open and not speed.is_open:
        speed = speed._replace(is_open=True)
    if guess.waits(speed):
        return
    column = one_of(
        st.segmented_control,
        _("Measured with"),
        {name: engine_title(name) for name in columns},
        "time_with",
        default=columns[0],
        required=True,
    )
    forms = int8_frame(at.grid, column)
    show(
        int8_chart(forms),
        _("Bytes and time of each form as shares of float32's. {rows}.").format(
            rows="; ".join(
                _("{name}: {text}").format(name=name, text=text)
                for name, text in zip(forms["name"], forms["text"], strict=True)
            )
        ),
        key="int8",
    )
    whole, small = form_row(at.grid, "float32"), form_row(at.grid, "ort_int8")
    assert whole is not None and small is not None  # else there were no columns
    truth = small.latency[column].against(whole.latency[column])
    guess.verdict(speed, is_right(speed.value, truth), speed_line(speed.value, truth))
    lines = int8_lines(whole, small, column)
    st.markdown("\n".join(f"- {text}" for text in lines))
    st.caption(
        ngettext(
            "Squares: bytes of the file. Triangles: median time of a call, quartiles as bars, "
            "{threads} thread, on {device}; all forms took turns.",
            "Squares: bytes of the file. Triangles: median time of a call, quartiles as bars, "
            "{threads} threads, on {device}; all forms took turns.",
            at.grid.threads,
        ).format(threads=at.grid.threads, device=at.grid.device)
        + " "
        + _(
            "Two kinds of file: float32 is weighed as safetensors, which holds the weights and "
            "nothing else; the int8 forms as ONNX, which also holds the plan of the network."
        )
    )
    figures([row for scheme in FORMS if (row := form_row(at.grid, scheme)) is not None])
    data_button(forms, "int8")


def engine_title(column: str) -> str:
    """How a time was measured: "ONNX Runtime, batch 1"."""
    return _("ONNX Runtime, batch {n}").format(n=column.removeprefix("onnx_"))


def speed_word(time: Spread, base: Spread) -> str:
    """Faster or slower only where the middle halves of the calls lie apart."""
    return {
        "faster": _("faster"),
        "slower": _("slower"),
        "same": _("as fast, as far as the measurement can tell"),
    }[time.against(base)]


def int8_lines(whole: QuantRow, small: QuantRow, column: str) -> list[str]:
    """Static int8 against float32: time, bytes, accuracy."""
    base, time_of = whole.latency[column], small.latency[column]
    lines = [
        _(
            "**static int8** is {verdict} ({share} of float32's time, {column}), and its ONNX file "
            "has {size} of the bytes of float32's safetensors file."
        ).format(
            verdict=speed_word(time_of, base),
            share=numbers.share(time_of.median / base.median),
            column=engine_title(column),
            size=numbers.share(small.size_bytes / whole.size_bytes),
        )
    ]
    if small.difference is not None:
        gap, low, high = small.difference
        lines.append(
            _(
                "Its accuracy: {score}, against float32 {verdict} ({gap} points, 95 % interval "
                "{interval}, same photographs)."
            ).format(
                score=score_text(small),
                verdict=verdict_on(low, high),
                gap=points(gap),
                interval=points_interval(low, high),
            )
        )
    if time_of.against(base) != "faster":
        lines.append(
            _(
                "Fewer bits are not faster by themselves: a convolution in int8 needs a kernel and "
                "a processor that are quicker with integers, and every change of format costs time."
            )
        )
    return lines


def is_right(guessed: str | None, truth: str) -> bool:
    """Whether a guess about time is right. That it is not faster is what counts: how much slower
    depends on the processor, so the course's answer ("about the same") is right as well."""
    return guessed == truth or "faster" not in (guessed, truth)


def speed_line(guessed: str | None, truth: str) -> str:
    """The answer to the guess about time."""
    text = {
        "faster": _("Static int8 measured faster."),
        "same": _("Static int8 measured as fast as float32."),
        "slower": _("Static int8 measured slower."),
    }[truth]
    if guessed not in (None, truth) and is_right(guessed, truth):
        text += " " + _(
            "“As fast” and “slower” both count: the course expects about the same time, and "
            "whether it is a little slower depends on the processor and on the size of the layers."
        )
    return text


# -- trained for few bits --------------------------------------------------------------------------


def aware(at: Setting, known: Sequence[Measured], asked: guess.Guess[int]) -> None:
    """Training for few bits against rounding afterwards: the paired verdict in words."""
    st.markdown(
        _(
            "*Post-training* quantisation rounds a finished network. *Quantisation-aware* "
            "fine-tuning rounds in every forward pass, so that the network learns to live with it; "
            "the gradient passes straight through the rounding as if it were not there."
        )
    )
    comparisons = [(one, pair) for one in known for pair in one.grid.comparisons]
    if not comparisons:
        st.info(
            _("Not measured yet. This fine-tunes a student at 4 bits:"),
            icon=":material/fitness_center:",
        )
        ids = [one.grid.checkpoint for one in known if one.role != "teacher"]
        st.code(
            f"python -m core quantize-grid {(ids or [at.checkpoint.id])[0]} --stages aware",
            language="bash",
        )
        return
    if guess.waits(asked):
        return
    for one, pair in comparisons:
        format_text = _("{method}, {bits}").format(
            method=scheme_title(pair.a.scheme), bits=bits_text(pair.a.bits)
        )
        text = comparison_line(pair, row_title(pair.a), row_title(pair.b))
        st.markdown(f"- {one.title}, {format_text}: {text}")
    st.caption(
        _(
            "One training each: the interval covers which photographs happened to be in the test "
            "split, not the luck of training. The control was fine-tuned as long, in float32, and "
            "rounded afterwards: it shows what training longer does by itself."
        )
    )
    figures([row for one in known for row in one.grid.tuned])


def row_title(key: RowKey) -> str:
    """What was done to the network of a row."""
    if key.scheme == "float32":
        return _("the network in float32")
    return {
        "none": _("rounding afterwards"),
        "plain": _("fine-tuning in float32 ({n} epochs), then rounding"),
        "aware": _("quantisation-aware fine-tuning ({n} epochs)"),
    }[key.training].format(n=key.epochs)


def comparison_line(pair: Comparison, a: str, b: str) -> str:
    """The paired verdict between two ways of training, and its numbers."""
    if pair.low > 0:
        verdict = _("**{a} is better than {b}**")
    elif pair.high < 0:
        verdict = _("**{a} is worse than {b}**")
    else:
        verdict = _("**{a} and {b} are not distinguishable**")
    return (
        verdict.format(a=a, b=b)
        + " "
        + _(
            "on the same {n} test photographs: {gap} points (95 % interval {interval}; McNemar's "
            "exact test: {p})."
        ).format(
            n=numbers.count(pair.n),
            gap=points(pair.difference),
            interval=points_interval(pair.low, pair.high),
            p=p_text(pair.p),
        )
    )


# -- on a photo ------------------------------------------------------------------------------------


def photo(at: Setting) -> None:
    """Choose a photo and up to three numbers of bits; see where the answer changes."""

    def rounded(bits: int) -> Version:
        return Version(
            bits_text(bits),
            lambda: quantized_predictor(at.checkpoint.id, at.scheme, bits),
            "quantised",
        )

    def versions(chosen: Sequence[int]) -> list[Version]:
        whole = Version(_("float32"), lambda: quantized_predictor(at.checkpoint.id, "float32", 32))
        return [whole, *map(rounded, chosen)]

    photo_check(
        at.checkpoint,
        Choice(_("Bits to try, up to three"), PHOTO_BITS, (8, 4, 2), "photo_bits"),
        versions,
        way=scheme_title(at.scheme),
        hint=_("Drop a photo: it goes through the network in float32, and at fewer bits."),
        name="quantisation-photo",
    )


# -- your HW7 file ---------------------------------------------------------------------------------


class _Read(NamedTuple):
    """What a session keeps of a file: not the file, and none of its arrays."""

    mark: str
    upload: Upload | None
    refusal: str
    since: float
    """When it was opened: a refusal may be for a busy minute, and is looked at again after one."""


def upload(found: list[Checkpoint], at: Setting) -> None:
    """A file of the visitor's, or one of two made here, and what it is."""
    st.caption(
        _(
            "HW7's 8-bit files are pickles, and a pickle can run any program when it is opened. "
            "So this page does not unpickle: a process of its own, with little time and memory, "
            "reads arrays and plain numbers instruction by instruction and refuses everything "
            "else. The file stays in memory."
        )
    )
    file = st.file_uploader(
        _("Drop a network's file here: HW7's 8-bit one (.pkl), or another"),
        key="hw7_file",
        max_upload_size=10,  # what can be read within its limits of time and memory
        help=_(
            "Pickles of NumPy arrays (8-bit codes, 16 or 32 bits), PyTorch state dicts, .npz and "
            "safetensors; also compressed with gzip, bz2, xz or zip."
        ),
    )
    sample = ""
    if file is None:
        sources = {
            "own": _("The one written for the network above"),
            "hostile": _("One that would run a program"),
        }
        label = _("No file at hand?")
        sample = one_of(st.segmented_control, label, sources, "hw7_sample", default=None) or ""
        if not sample:
            st.session_state.pop("hw7_read", None)
            return
    mark = f"{sample}/{at.checkpoint.weights_sha256}" if file is None else file.file_id

    def data() -> bytes:
        return _made(sample, at) if file is None else file.getvalue()

    read = _read(mark, data, sorted(found, key=lambda one: one.id != at.checkpoint.id))
    if read.upload is None:
        st.error(read.refusal, icon=":material/security:")
        return
    _holdings(read.upload.held)
    _whose(read.upload)
    if read.upload.fits and read.upload.problem:
        st.error(read.upload.problem, icon=":material/error:")
    elif read.upload.fits:
        _accuracy(mark, data, read.upload.fits[0])


def _read(mark: str, data: Callable[[], bytes], found: list[Checkpoint]) -> _Read:
    """What the file is; opened once, however often the page is drawn."""
    kept: _Read | None = st.session_state.get("hw7_read")
    now = time.monotonic()
    stale = kept is not None and kept.upload is None and now - kept.since > 60
    if kept is None or kept.mark != mark or stale:
        try:
            kept = _Read(mark, open_upload(data(), found), "", now)
        except UserError as error:
            kept = _Read(mark, None, str(error), now)
        st.session_state["hw7_read"] = kept
    return kept


def _whose(read: Upload) -> None:
    if not read.fits:
        st.info(
            _("None of the networks here has these shapes in this order."), icon=":material/help:"
        )
        return
    ids = [f"`{fit.checkpoint.id}`" for fit in read.fits]
    names = ", ".join(ids[:NAMED])
    if len(ids) > NAMED:
        names = _("{names} and {n} more").format(names=names, n=len(ids) - NAMED)
    renamed = {ours: theirs for ours, theirs in read.fits[0].names.items() if ours != theirs}
    if not renamed:
        st.markdown(_("It has the tensors of {names}.").format(names=names))
        return
    ours, theirs = next(iter(renamed.items()))
    st.markdown(
        _(
            "It has the shapes of {names}, in their order, under other names: `{theirs}` is taken "
            "for `{ours}`, and so on."
        ).format(names=names, theirs=theirs[:100].replace("`", "'"), ours=ours)
    )


@st.cache_resource(max_entries=4, show_spinner=False)
def _own_file(id: str, sha256: str) -> bytes:
    del sha256  # only the key of the cache
    return quantized_file(id, "hw7_8bit")


def _made(sample: str, at: Setting) -> bytes:
    if sample == "hostile":
        return HOSTILE
    return _own_file(at.checkpoint.id, at.checkpoint.weights_sha256)


def _holdings(held: Holdings) -> None:
    inside = _("under") if held.n_bytes < LIMIT_BYTES else _("over")
    st.success(
        ngettext(
            "Read: {bytes} bytes ({inside} {limit}), {n} array, {params} weights and biases, "
            "{counters} counters.",
            "Read: {bytes} bytes ({inside} {limit}), {n} arrays, {params} weights and biases, "
            "{counters} counters.",
            len(held.tensors),
        ).format(
            bytes=numbers.count(held.n_bytes),
            inside=inside,
            limit=numbers.size(LIMIT_BYTES),
            n=numbers.count(len(held.tensors)),
            params=numbers.count(held.params),
            counters=numbers.count(held.counters),
        ),
        icon=":material/task_alt:",
    )
    table = pd.DataFrame(
        [
            {
                "name": tensor.name[:100],
                "shape": " × ".join(map(str, tensor.shape)),
                "low": tensor.low,
                "high": tensor.high,
            }
            for tensor in held.tensors
        ]
    )
    with st.expander(_("Its arrays"), icon=":material/table:"):
        st.dataframe(
            table,
            column_config={
                "name": _("Name"),
                "shape": _("Shape"),
                "low": st.column_config.NumberColumn(_("Smallest"), format="%.4f"),
                "high": st.column_config.NumberColumn(_("Largest"), format="%.4f"),
            },
            hide_index=True,
            alt=_("Each array of the file: name, shape, smallest and largest value."),
        )


def _accuracy(mark: str, data: Callable[[], bytes], fit: Fit) -> None:
    if not food11_available():
        st.caption(_("No photographs here to ask it about. See: python -m core data"))
        return
    if st.button(_("Ask it about test photographs"), icon=":material/quiz:", key="hw7_ask"):
        bar = st.progress(0.0, _("Starting ..."))

        def heard(done: int, of: int) -> None:
            bar.progress(
                done / of,
                _("Looking at test photograph {done} of {of} ...").format(done=done, of=of),
            )

        try:
            score = score_upload(data(), fit, heard)
        except UserError as error:
            st.error(str(error), icon=":material/error:")
            return
        finally:
            bar.empty()
        st.session_state["hw7_score"] = (mark, score)
    kept: tuple[str, Score | None] = st.session_state.get("hw7_score", ("", None))
    known, right = kept
    if known == mark and right is not None:
        px = fit.checkpoint.input_px
        st.markdown(
            _(
                "It is right on {accuracy} ({interval}) of {n} test photographs. Each was shown "
                "at {px} x {px} px."
            ).format(
                accuracy=numbers.percent(right.accuracy, right.n),
                interval=numbers.interval(*right.ci95, right.n),
                n=numbers.count(right.n),
                px=px,
            )
        )


# -- why, traps, homework --------------------------------------------------------------------------


def why(at: Setting) -> None:
    """What the codes stand for, as a formula, and the function that made them."""
    if at.scheme == "kmeans":
        st.latex(r"q_i = \operatorname*{arg\,min}_k |w_i - c_k| \qquad \hat w_i = c_{q_i}")
        st.markdown(
            _(
                "$c_k$ are the $2^b$ centres that k-means finds among the weights of a tensor; "
                "$q_i$, a code of $b$ bits, names the nearest. The codebook is kept in the file."
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
            "Only weights are rounded: the network computes in float32 with what the codes stand "
            "for. Sizes are those of safetensors files, float32 BatchNorm included."
        )
    )
    st.latex(
        r"\begin{gathered} \text{MSE} = \frac{1}{n}\sum_i (w_i - \hat w_i)^2 \\[6pt] \text{SQNR} = "
        r"10 \log_{10} \frac{\sum_i w_i^2}{\sum_i (w_i - \hat w_i)^2}\ \text{dB} \end{gathered}"
    )
    st.markdown(_("This function made the codes, here on this page, too:"))
    st.code(inspect.getsource(method.quantise), language="python")
    st.markdown(_("And this one writes HW7's 8-bit file:"))
    st.code(inspect.getsource(hw7.encode8), language="python")


def traps(at: Setting, known: Sequence[Measured], asked: guess.Guess[int]) -> None:
    """Eight bits for BatchNorm's variances; dynamic int8 that leaves the convolutions."""
    st.markdown(f"**{_('8 bits for everything')}**")
    with_parts = [one for one in known if one.grid.hw7_parts]
    if guess.waits(asked):
        pass
    elif not with_parts:
        st.code(f"python -m core quantize-grid {at.checkpoint.id} --stages weights", "bash")
    else:
        worst = min(with_parts, key=lambda one: min(r.difference[0] for r in one.grid.hw7_parts))
        variances_trap(worst)
    st.markdown(f"**{_('Dynamic int8 leaves the convolutions')}**")
    dynamic_trap(at)


def variances_trap(one: Measured) -> None:
    """Which tensors HW7's 8-bit file loses a network's accuracy to, measured part by part."""
    file = next(iter(one.grid.of("hw7_8bit")), None)
    variances, rest = one.grid.hw7_part("variances"), one.grid.hw7_part("all_but_variances")
    if file is not None:
        st.markdown(
            _("HW7's file keeps every tensor in 8 bits. **{name}**: {score}{against}.").format(
                name=one.title, score=score_text(file), against=against_whole(file)
            )
        )
    rows = [
        {
            "part": part_title(row.part),
            "values": row.values,
            "zeroed": row.zeroed,
            "right": numbers.percent(row.correct / row.n, row.n),
            "difference": _("{gap} ({interval})").format(
                gap=points(row.difference[0]), interval=points_interval(*row.difference[1:])
            ),
        }
        for row in one.grid.hw7_parts
    ]
    st.dataframe(
        pd.DataFrame(rows),
        column_config={
            "part": _("Only these in 8 bits"),
            "values": st.column_config.NumberColumn(_("Numbers"), format="localized"),
            "zeroed": st.column_config.NumberColumn(_("Become 0"), format="localized"),
            "right": _("Right"),
            "difference": _("Points against float32 (95 % interval)"),
        },
        hide_index=True,
        alt=_("Accuracy with only some tensors of the network in 8 bits."),
    )
    if variances and rest and variances.difference[2] < 0:
        st.markdown(
            _(
                "It is not the weights: BatchNorm's running variances do it. A layer's 256 levels "
                "lie evenly from its smallest to its largest variance, and {zeroed} of {values} "
                "variances are so small that they become 0. BatchNorm divides by their square "
                "root, so these channels are blown up. Left in float32, the variances cost few "
                "bytes, and the rest of the file is {gap} points from float32. The bits-against-"
                "accuracy curves leave BatchNorm in float32: that is why they hold at 8 bits."
            ).format(
                zeroed=numbers.count(variances.zeroed),
                values=numbers.count(variances.values),
                gap=points(rest.difference[0]),
            )
        )


def part_title(part: Part) -> str:
    """What some tensors of a network are called."""
    return {
        "weights": _("weights of convolutions and linear layers"),
        "variances": _("BatchNorm's running variances"),
        "means": _("BatchNorm's running means"),
        "scales": _("BatchNorm's scales and shifts"),
        "all_but_variances": _("all but the variances"),
    }[part]


def dynamic_trap(at: Setting) -> None:
    """Dynamic int8 on a convolutional network: which of its operators changed, and its bytes."""
    st.markdown(
        _(
            "“Quantise the model to int8” is one line with *dynamic* quantisation, and it runs "
            "without a word of warning. But as it is usually called it only touches linear layers, "
            "and a convolutional network has one of those, at its very end."
        )
    )
    whole = form_row(at.grid, "float32") if at.grid else None
    dynamic = form_row(at.grid, "ort_dynamic") if at.grid else None
    if whole is None or dynamic is None:
        st.caption(_("What it changes in this network is shown here once it is measured."))
        st.code(f"python -m core quantize-grid {at.checkpoint.id} --stages int8", language="bash")
        return
    rows = [row for scheme in FORMS if at.grid and (row := form_row(at.grid, scheme)) is not None]
    for row in rows:
        st.markdown(operators_line(row))
    st.markdown(
        _(
            "Dynamic int8 leaves {share} of the bytes: an ONNX file of {after}, where the float32 "
            "weights take {before} as safetensors. How to notice: weigh the file, and count the "
            "operators: a `Conv` is still a float convolution; `QLinearConv` or `ConvInteger`, or "
            "a `Conv` between `DequantizeLinear` and `QuantizeLinear`, is one in int8."
        ).format(
            share=numbers.share(dynamic.size_bytes / whole.size_bytes),
            after=numbers.count(dynamic.size_bytes),
            before=numbers.count(whole.size_bytes),
        )
    )


def operators_line(row: QuantRow) -> str:
    """How many nodes of the telling kinds a form's graph has."""
    interesting = ("Conv", "Gemm", "MatMul", "Linear", "Quant")
    counts = [
        f"{n} `{name}`"
        for name, n in sorted((row.operators or {}).items())
        if any(word in name for word in interesting)
    ]
    text = ", ".join(counts) or _("its operators were not counted")
    return f"- **{scheme_title(row.scheme)}**: {text}"


def homework(known: Sequence[Measured], asked: guess.Guess[int]) -> None:
    """HW7's question about 16- and 8-bit weights, with the numbers of this page."""
    st.markdown(
        _(
            "**HW7: keep the weights in 16 bits, and in 8.** 16 bits: float16. 8 bits: each tensor "
            "is kept as its minimum, its maximum and a byte per weight; BatchNorm's counters stay "
            "as they are. Written, weighed, read back, and asked about the test photographs:"
        )
    )
    forms: tuple[Form, ...] = ("float32", "float16", "hw7_8bit")
    if not guess.waits(asked):
        for one in known:
            rows = [row for form in forms for row in one.grid.of(form)]
            if rows:
                st.markdown(f"- **{one.title}**: " + " · ".join(map(homework_text, rows)))
        if files := limit_lines(known):
            st.markdown(_("HW7's 8-bit file (a pickle) against the homework's limit:"))
            st.markdown("\n".join(f"- {text}" for text in files))
            st.markdown(
                _("Where that file loses accuracy although 8-bit weights do not, see “Traps”.")
            )
    if not any(one.grid.of(form) for one in known for form in forms):
        st.caption(_("Not measured yet: python -m core quantize-grid"))
    st.markdown(
        _(
            "Quantisation is one of the four families HW7 asks about, beside pruning, distillation "
            "and low-rank approximation; it can be put on top of each."
        )
    )


def homework_text(row: QuantRow) -> str:
    """A file of the homework: bits, bytes, accuracy."""
    name = {"float32": _("32 bits"), "float16": _("16 bits")}.get(row.scheme, _("8 bits"))
    text = _("{name}: {size}, {score}").format(
        name=name, size=numbers.size(row.size_bytes), score=score_text(row)
    )
    return text if row.scheme == "float32" else text + against_whole(row)


def limit_lines(known: Sequence[Measured]) -> list[str]:
    """HW7's 8-bit file of each network: bytes, and whether it stays under the limit."""
    return [
        _("**{name}**: {n} bytes, {fits} {limit}").format(
            name=one.title,
            n=numbers.count(row.size_bytes),
            fits=_("under") if row.size_bytes < LIMIT_BYTES else _("over"),
            limit=numbers.size(LIMIT_BYTES),
        )
        for one in known
        for row in one.grid.of("hw7_8bit")
    ]


if __name__ == "__main__":
    main()
