"""Quantisation: how few bits a weight needs, what they cost in accuracy, what they save."""

import inspect
import time
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from core.charts import numbers
from core.charts.numbers import p_text, points, points_interval
from core.charts.theme import role_of, role_title
from core.checkpoints import WEIGHTS, Checkpoint, checkpoint_tensors
from core.data import food11_available
from core.errors import CheckpointError, UserError
from core.i18n import _, ngettext
from core.pruning.chart import layer_title
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
    file_kind,
    form_row,
    int8_chart,
    int8_frame,
    line_chart,
    line_data,
    line_lines,
    scheme_title,
    timed_columns,
)
from core.quantization.graph import quantized_file, quantized_predictor
from core.quantization.method import BITS, SCHEMES, Scheme, quantisable
from core.quantization.number_line import (
    LINE_BITS,
    LayerError,
    Line,
    layer_errors,
    line,
    middle_layer,
)
from core.quantization.rows import (
    RUNS,
    Comparison,
    Form,
    QuantizationGrid,
    QuantPoint,
    QuantRow,
    RowKey,
)
from core.quantization.upload import HOSTILE, Fit, Holdings, Upload, open_upload, score_upload
from core.stats import Score
from core.timing import Spread
from pages.kit import frame as contents
from pages.kit import networks
from pages.kit.figure import data_button, show, show_with_slider
from pages.kit.frame import foot
from pages.kit.live import LivePoint, run_it_here
from pages.kit.photo_check import Choice, Version, photo_check
from pages.kit.provenance import provenance
from pages.kit.url_state import choice, guess, in_browser, is_on, one_of, toggle
from pages.pruning import column_title

# ------------------------------------------------------------------------------------------------
# What the quantisation page's charts show, in sentences made from the numbers in them.


def bits_text(bits: int) -> str:
    """ "1 bit", "8 bits"."""
    return ngettext("{n} bit", "{n} bits", bits).format(n=bits)


def holds_down_to(curve: pd.DataFrame) -> int:
    """Fewest bits down to which the accuracy stays within the whole network's 95 % interval.

    `curve`: one series of `accuracy_frame`. Counted from the top without a gap.
    """
    falling = curve.sort_values("bits", ascending=False)
    held = (falling["accuracy"] >= float(falling["low"].iloc[0])).cummin()
    return int(falling.loc[held, "bits"].min())


def accuracy_lines(frame: pd.DataFrame) -> list[str]:
    """A sentence per curve: where it starts, how far it holds, where it ends, in bits and bytes."""
    lines = []
    for series, curve in frame.groupby("series", sort=False):
        by_bits = curve.set_index("bits")
        whole, last = by_bits.loc[curve["bits"].max()], by_bits.loc[curve["bits"].min()]
        held = holds_down_to(curve)
        lines.append(
            _(
                "**{name}** is right on {whole} as trained ({size}), stays within that figure's "
                "interval down to {held} ({held_size}), and is right on {end} with {last}."
            ).format(
                name=series,
                whole=numbers.percent(whole["accuracy"], whole["n"]),
                size=numbers.size(whole["size_bytes"]),
                held=bits_text(held),
                held_size=numbers.size(float(by_bits["size_bytes"][held])),
                end=numbers.percent(last["accuracy"], last["n"]),
                last=bits_text(int(curve["bits"].min())),
            )
        )
    return lines


def short_lines(frame: pd.DataFrame) -> list[str]:
    """How far each curve holds, a few words each: for many curves of one network."""
    return [
        _("**{name}** holds down to {held} ({size})").format(
            name=series,
            held=bits_text(held := holds_down_to(curve)),
            size=numbers.size(float(curve.loc[curve["bits"] == held, "size_bytes"].iloc[0])),
        )
        for series, curve in frame.groupby("series", sort=False)
    ]


def guess_line(frame: pd.DataFrame, guess: int) -> str:
    """The guess beside what was measured, for the first curve."""
    series = frame["series"].iloc[0]
    curve = frame[frame["series"] == series]
    held = holds_down_to(curve)
    lower = sorted((int(b) for b in curve["bits"] if b < held), reverse=True)
    if not lower:
        return _("**{name}** does not break at any number of bits that was measured.").format(
            name=series
        )
    told = _("Well seen.") if guess == lower[0] else _("Not quite.")
    return (
        told
        + " "
        + _("You guessed {guess}; the first to leave **{name}**'s interval is {broken}.").format(
            guess=bits_text(guess), name=series, broken=bits_text(lower[0])
        )
    )


def accuracy_alt(frame: pd.DataFrame, against: Against, reveal: bool) -> str:
    """What the main chart shows, for who cannot see it."""
    said = (
        _("Accuracy on the test photographs against the bits of a weight.")
        if against == "bits"
        else _("Accuracy on the test photographs against the bytes of the file.")
    )
    if not reveal:
        return said + " " + _("Only the whole networks are shown until you ask for the curves.")
    return " ".join([said, *(line.replace("**", "") for line in accuracy_lines(frame))])


def limit_lines(networks: Sequence[tuple[str, QuantizationGrid]]) -> list[str]:
    """HW7's 8-bit file of each network: bytes, whether it stays under the limit, accuracy."""
    lines = []
    for title, grid in networks:
        for row in grid.of("hw7_8bit"):
            under = row.size_bytes < LIMIT_BYTES
            fits = _("under") if under else _("over")
            lines.append(
                _("**{name}**: {n} bytes, {fits} {limit}; {score} right").format(
                    name=title,
                    n=numbers.count(row.size_bytes),
                    fits=fits,
                    limit=numbers.size(LIMIT_BYTES),
                    score=score_text(row),
                )
                + _against_whole(row)
            )
    return lines


def _against_whole(row: QuantRow) -> str:
    if row.difference is None:
        return ""
    gap, low, high = row.difference
    return _(" ({gap} points against float32, 95 % interval {interval}: {verdict})").format(
        gap=points(gap), interval=points_interval(low, high), verdict=verdict(low, high)
    )


def verdict(low: float, high: float) -> str:
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


def speed_word(time: Spread, base: Spread) -> str:
    """Faster or slower only where the middle halves of the calls lie apart."""
    return {
        "faster": _("faster"),
        "slower": _("slower"),
        "same": _("as fast, as far as the measurement can tell"),
    }[time.against(base)]


def comparison_lines(found: Comparison, names: tuple[str, str]) -> list[str]:
    """The paired verdict between two ways of training, and its numbers; names: a's and b's."""
    a, b = names
    said = {
        "better": _("**{a} is better than {b}**"),
        "worse": _("**{a} is worse than {b}**"),
        "unclear": _("**{a} and {b} are not distinguishable**"),
    }["better" if found.low > 0 else "worse" if found.high < 0 else "unclear"].format(a=a, b=b)
    return [
        said
        + " "
        + _(
            "on the same {n} test photographs: {gap} points (95 % interval {interval}; McNemar's "
            "exact test: {p})."
        ).format(
            n=numbers.count(found.n),
            gap=points(found.difference),
            interval=points_interval(found.low, found.high),
            p=p_text(found.p),
        )
    ]


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


# ------------------------------------------------------------------------------------------------
# The quantisation page's guess and controls: which network, which scheme, which curves.


GUESSES = (8, 6, 5, 4, 3, 2)
SPEEDS = ("faster", "same", "slower")


class Setting(NamedTuple):
    """What the reader has set."""

    checkpoint: Checkpoint
    grid: QuantizationGrid | None
    scheme: Scheme

    @property
    def sha256(self) -> str:
        """Of the weights: part of every cache key."""
        return self.checkpoint.files[WEIGHTS].sha256


class Guess(NamedTuple):
    """What the reader expects; None where nothing was tapped."""

    bits: int | None
    speed: str | None


def speed_title(speed: str) -> str:
    """What a guess about time is called."""
    return {"faster": _("faster"), "same": _("as fast"), "slower": _("slower")}[speed]


def predict_first() -> Guess:
    """Two taps before looking."""
    bits = guess(
        _("First, a guess: fewer and fewer bits for every weight. Where does it break?"),
        GUESSES,
        format_func=lambda n: _("at {bits}").format(bits=bits_text(n)),
        key="guess_bits",
    )
    speed = guess(
        _("And a network that really computes with 8-bit integers, on this processor, is ..."),
        SPEEDS,
        format_func=speed_title,
        key="guess_speed",
    )
    return Guess(bits, speed)


def setting(found: list[Checkpoint]) -> Setting:
    """The network and the scheme; both are part of the link."""
    left, right = st.columns([2, 3], vertical_alignment="bottom")
    with left:
        measured_first = sorted(found, key=lambda one: grid_of(one) is None)
        one = networks.choose_one(_("Network"), measured_first, "network")
    with right:
        scheme = one_of(
            st.selectbox,
            _("Scheme"),
            {name: scheme_title(name) for name in SCHEMES},
            "scheme",
            default="tensor_minmax",
            help=_(
                "Where the levels lie. Min–max: evenly from the smallest weight to the largest "
                "(HW7). Symmetric: evenly around zero, which keeps its level. Per channel: every "
                "output channel has a grid of its own. k-means: the weights choose the levels."
            ),
        )
    return Setting(one, grid_of(one), scheme)


def grid_of(checkpoint: Checkpoint) -> QuantizationGrid | None:
    """The measured rows of a checkpoint, if they belong to its weights; damage is said."""
    try:
        state = QuantizationGrid.path(checkpoint.id).stat()
    except OSError:
        return None
    try:
        grid = _grid(
            checkpoint.id,
            str(QuantizationGrid.path(checkpoint.id)),
            state.st_mtime_ns,
            state.st_size,
        )
    except CheckpointError as error:
        st.error(str(error), icon=":material/error:")
        return None
    if grid is not None and grid.weights_sha256 != checkpoint.files[WEIGHTS].sha256:
        return None
    return grid


@st.cache_resource(max_entries=16, show_spinner=False)
def _grid(id: str, file: str, changed_ns: int, size: int) -> QuantizationGrid | None:
    del file, changed_ns, size  # only the key of the cache
    return QuantizationGrid.load(id)


def measured(found: list[Checkpoint]) -> list[Measured]:
    """The checkpoints that were measured, under short names where those tell them apart."""
    known = [(one, grid) for one in found if (grid := grid_of(one)) is not None]
    roles = [role_of(one) for one, _grid in known]
    return [
        Measured(role_title(role) if roles.count(role) == 1 else _(one.title), role, grid)
        for (one, grid), role in zip(known, roles, strict=True)
    ]


@st.cache_resource(max_entries=3, show_spinner=False)
def tensors(id: str, sha256: str) -> dict[str, NDArray[np.float32]]:
    """A checkpoint's parameters as arrays, shared by all sessions: read them, never write."""
    del sha256  # only the key of the cache
    return checkpoint_tensors(id)


# ------------------------------------------------------------------------------------------------
# The number line: a layer's weights, the levels they are rounded to, and what that costs.


START = 4


@st.cache_resource(max_entries=24, show_spinner=False)
def _errors(id: str, sha256: str, layer: str) -> tuple[LayerError, ...]:
    return layer_errors(tensors(id, sha256)[layer])


@st.cache_resource(max_entries=24, show_spinner=False)
def _line(id: str, sha256: str, layer: str, scheme: str, _weight: NDArray[np.float32]) -> Line:
    chosen = next(one for one in SCHEMES if one == scheme)
    return line(_weight, chosen, _errors(id, sha256, layer))


def number_line(at: Setting) -> None:
    """Choose a layer, then move the bits; the buttons work in the browser alone."""
    try:
        values = tensors(at.checkpoint.id, at.sha256)
    except UserError as error:
        st.error(str(error), icon=":material/error:")
        return
    names = quantisable(values)
    if not names:
        st.info(_("This network has no weights to quantise."))
        return
    layer = one_of(
        st.selectbox,
        _("Layer"),
        {name: layer_title(name) for name in names},
        "layer",
        default=middle_layer(values, names),
    )
    try:
        with st.spinner(_("Quantising {layer} ...").format(layer=layer_title(layer))):
            drawn = _line(at.checkpoint.id, at.sha256, layer, at.scheme, values[layer])
    except UserError as error:
        st.error(str(error), icon=":material/error:")
        return
    show_with_slider(
        line_chart(drawn, in_browser("line_bits", choice(LINE_BITS), START)),
        # the same words for every layer: other words would make the chart, and its buttons, anew
        _(
            "The weights of a layer as a histogram, the levels of the chosen scheme and bits over "
            "it, and the signal-to-noise ratio against the bits. The text below gives the numbers."
        ),
        "number_line",
        LINE_HEIGHT_PX + INPUTS_PX,
    )
    said = _(
        "Grey: the layer's weights. Blue: the values left to them. The three strips are the "
        "channels with the largest, a middling and the smallest reach. MSE: the mean squared error "
        "of the rounding. SQNR: how far the weights stand above that error, in decibels; more is "
        "better. Worked out here, from the shipped weights."
    )
    if at.checkpoint.weights_dtype == "float16":
        said += " " + _("Those are stored in 16 bits already, so 16 bits lose nothing more.")
    st.caption(said)
    data_button(line_data(drawn), "number-line")
    st.markdown(f"**{_('What you see')}**")
    errors = _errors(at.checkpoint.id, at.sha256, layer)
    lines = line_lines(errors, at.scheme, int(values[layer].size))
    st.markdown("\n".join(f"- {one}" for one in lines))


# ------------------------------------------------------------------------------------------------
# Bits against accuracy and bytes: what was measured, drawn and told.


def explain_missing(ids: Sequence[str]) -> None:
    """Say that nothing was measured yet and how to get it."""
    st.info(
        _(
            "The accuracies of these networks at fewer bits are not measured yet. That takes some "
            "minutes for each; meanwhile the number line and your photo work, and “Run it here” "
            "measures single points."
        ),
        icon=":material/query_stats:",
    )
    st.code(f"python -m core quantize-grid {' '.join(ids)}", language="bash")


def accuracy(known: Sequence[Measured], at: Setting, guess: Guess) -> pd.DataFrame:
    """The main chart with its controls and sentences; returns what it shows."""
    ways: dict[Against, str] = {"bits": _("bits"), "bytes": _("bytes of the file")}
    with st.container(horizontal=True, vertical_alignment="center"):
        against = one_of(
            st.segmented_control, _("Against"), ways, "against", default="bits", required=True
        )
        reveal = toggle(_("Show what was measured"), "reveal")
        by_scheme = toggle(_("All schemes on this network"), "all_schemes")
    own = [one for one in known if one.grid.checkpoint == at.checkpoint.id]
    many = bool(by_scheme and own)
    networks = own if many else list(known)
    frame = accuracy_frame(networks, SCHEMES if many else (at.scheme,))
    _not_measured(networks, at, many)
    if frame.empty:
        return frame
    show(
        accuracy_chart(frame, against, guess.bits, at.scheme, _live_points(at), reveal),
        accuracy_alt(frame, against, reveal),
        key="accuracy",
    )
    shown = "" if many else scheme_title(at.scheme) + ". "
    st.caption(
        shown
        + _(
            "Weights only: the network computes in float32 with what the codes stand for. Sizes: "
            "safetensors files, with their scales and float32 BatchNorm. Bands: 95 % interval. "
            "Dashed grey: one in eleven, pure chance. Stars: measured here, now."
        )
        + (" " + _("Dotted: your guess.") if against == "bits" else "")
    )
    if not reveal:
        st.caption(_("Make your guess, then switch on “Show what was measured”."))
        return frame[frame["bits"] == 32]
    _told(frame, known, at, guess, many)
    return frame


def _not_measured(networks: Sequence[Measured], at: Setting, many: bool) -> None:
    schemes = SCHEMES if many else (at.scheme,)
    missing = [
        scheme_title(scheme) if many else one.title
        for one in networks
        for scheme in schemes
        if not any(row.score for row in curve_rows(one.grid, scheme))
    ]
    if missing:
        st.caption(
            _("Not measured: {names}. See: python -m core quantize --help").format(
                names=", ".join(missing)
            )
        )


def _told(
    frame: pd.DataFrame, known: Sequence[Measured], at: Setting, guess: Guess, many: bool
) -> None:
    st.markdown(f"**{_('What you see')}**")
    lines = short_lines(frame) if many else accuracy_lines(frame)
    own = frame[(frame["checkpoint"] == at.checkpoint.id) & (frame["scheme"] == at.scheme)]
    if guess.bits is not None and len(own):
        lines.append(guess_line(own, guess.bits))
    st.markdown("\n".join(f"- {line}" for line in lines))
    files = limit_lines([(one.title, one.grid) for one in known])
    if files:
        st.markdown(_("HW7's own 8-bit file (a pickle), written, weighed, and read back:"))
        st.markdown("\n".join(f"- {line}" for line in files))


def _live_points(at: Setting) -> pd.DataFrame | None:
    """What visitors measured of this network and scheme since the server started."""
    done = RUNS.finished(at.checkpoint.id, at.sha256, at.scheme)
    rows = [
        {
            "bits": job.point.bits,
            "size_bytes": job.rows[0].size_bytes,
            "accuracy": job.rows[0].score.accuracy,
        }
        for job in done
        if job.rows[0].score is not None
    ]
    return pd.DataFrame(rows) if rows else None


def table(at: Setting) -> None:
    """Every figure of this network and scheme, folded away."""
    rows = curve_rows(at.grid, at.scheme) if at.grid else []
    if rows:
        with st.expander(_("Every figure of this network and scheme"), icon=":material/table:"):
            figures(rows)


def figures(rows: Sequence[QuantRow]) -> None:
    """A table of rows; what was not measured is left out."""
    frame = rows_table(rows).dropna(axis="columns", how="all").fillna("–")
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


# ------------------------------------------------------------------------------------------------
# "Run it here" of the quantisation page: a network, a scheme, a number of bits.


def live(at: Setting) -> None:
    """Bits to try, the button, the running measurement, its result."""
    bits = one_of(
        st.segmented_control, _("Bits"), BITS, "bits", START, format_func=str, required=True
    )
    start, again = run_it_here()
    LivePoint(
        RUNS,
        QuantPoint(at.checkpoint.id, at.sha256, at.scheme, bits),
        _(
            "Quantises {network} now, {scheme}, {bits}, in a process of its own: the file is "
            "written and weighed, and all test photographs are looked at (where they are on this "
            "machine). One run at a time; whoever asks for the same point shares it."
        ).format(
            network=_(at.checkpoint.title), scheme=scheme_title(at.scheme), bits=bits_text(bits)
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


# ------------------------------------------------------------------------------------------------
# Real int8, the dynamic int8 that changes next to nothing, and training for few bits.


def int8(at: Setting, guess: Guess, reveal: bool) -> None:
    """Bytes and times of the ONNX forms, their accuracy, and the guess beside them."""
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
    if not reveal:
        st.caption(_("Shown together with the curves: make your guess first."))
        return
    column = one_of(
        st.segmented_control,
        _("Measured with"),
        {name: column_title(name) for name in columns},
        "time_with",
        default=columns[0],
        required=True,
    )
    frame = int8_frame(at.grid, column)
    show(
        int8_chart(frame),
        _("Bytes and time of each form as shares of float32's. {rows}.").format(
            rows="; ".join(
                _("{name}: {text}").format(name=name, text=text)
                for name, text in zip(frame["name"], frame["text"], strict=True)
            )
        ),
        key="int8",
    )
    data_button(frame, "int8")
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
    _int8_told(at.grid, column, guess)
    figures([row for scheme in FORMS if (row := form_row(at.grid, scheme)) is not None])


def _int8_told(grid: QuantizationGrid, column: str, guess: Guess) -> None:
    whole, small = form_row(grid, "float32"), form_row(grid, "ort_int8")
    if whole is None or small is None:
        return
    base, time = whole.latency[column], small.latency[column]
    st.markdown(f"**{_('What you see')}**")
    lines = [
        _(
            "**static int8** is {verdict} ({share} of float32's time, {column}), and its ONNX file "
            "has {size} of the bytes of float32's safetensors file."
        ).format(
            verdict=speed_word(time, base),
            share=numbers.share(time.median / base.median),
            column=column_title(column),
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
                verdict=verdict(low, high),
                gap=points(gap),
                interval=points_interval(low, high),
            )
        )
    if time.against(base) != "faster":
        lines.append(
            _(
                "Fewer bits are not faster by themselves: a convolution in int8 needs a kernel and "
                "a processor that are quicker with integers, and every change of format costs time."
            )
        )
    st.markdown("\n".join(f"- {line}" for line in lines))
    if guess.speed:
        truth = time.against(base)
        told = _("Well seen.") if truth == guess.speed else _("Not quite.")
        st.markdown(
            told
            + " "
            + _("You guessed “{guess}”; static int8 measured “{truth}”.").format(
                guess=speed_title(guess.speed), truth=speed_title(truth)
            )
        )


def trap(at: Setting) -> None:
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
        st.markdown(_operators(row))
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


def _operators(row: QuantRow) -> str:
    interesting = ("Conv", "Gemm", "MatMul", "Linear", "Quant")
    counts = [
        f"{n} `{name}`"
        for name, n in sorted((row.operators or {}).items())
        if any(word in name for word in interesting)
    ]
    told = ", ".join(counts) or _("its operators were not counted")
    return f"- **{scheme_title(row.scheme)}**: {told}"


def aware(at: Setting, known: Sequence[Measured], reveal: bool) -> None:
    """Training for few bits against rounding afterwards: the paired verdict in words."""
    st.markdown(
        _(
            "*Post-training* quantisation rounds a finished network. *Quantisation-aware* "
            "fine-tuning rounds in every forward pass, so that the network learns to live with it; "
            "the gradient passes straight through the rounding as if it were not there."
        )
    )
    told = [(one, found) for one in known for found in one.grid.comparisons]
    if not told:
        st.info(
            _("Not measured yet. This fine-tunes a student at 4 bits:"),
            icon=":material/fitness_center:",
        )
        names = [one.grid.checkpoint for one in known if one.role != "teacher"]
        st.code(
            f"python -m core quantize-grid {(names or [at.checkpoint.id])[0]} --stages aware",
            language="bash",
        )
        return
    if not reveal:
        st.caption(_("Shown together with the curves: make your guess first."))
        return
    for one, found in told:
        for said in comparison_lines(found, _names(found)):
            st.markdown(f"- {one.title}, {_scheme_and_bits(found)}: {said}")
    rows = [row for one in known for row in one.grid.tuned]
    with st.expander(_("Every fine-tuned network"), icon=":material/table:"):
        figures(rows)
    st.caption(
        _(
            "One training each: the interval covers which photographs happened to be in the test "
            "split, not the luck of training. The control was fine-tuned as long, in float32, and "
            "rounded afterwards: it shows what training longer does by itself."
        )
    )


def _scheme_and_bits(found: Comparison) -> str:
    return _("{scheme}, {bits}").format(
        scheme=scheme_title(found.a.scheme), bits=bits_text(found.a.bits)
    )


def _names(found: Comparison) -> tuple[str, str]:
    return _name(found.a), _name(found.b)


def _name(key: RowKey) -> str:
    if key.scheme == "float32":
        return _("the network in float32")
    return {
        "none": _("rounding afterwards"),
        "plain": _("fine-tuning in float32 ({n} epochs), then rounding"),
        "aware": _("quantisation-aware fine-tuning ({n} epochs)"),
    }[key.training].format(n=key.epochs)


# ------------------------------------------------------------------------------------------------
# Open a homework's 8-bit file: what it holds, whose network it is, or why it is refused.


NAMED = 3
"""Networks named in a sentence; of the others only the number is given."""


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
    mark = f"{sample}/{at.sha256}" if file is None else file.file_id

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
    return HOSTILE if sample == "hostile" else _own_file(at.checkpoint.id, at.sha256)


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


# ------------------------------------------------------------------------------------------------
# A photo through one network: in float32, and at fewer and fewer bits.


PHOTO_BITS = (8, 6, 5, 4, 3, 2, 1)


def photo(at: Setting) -> None:
    """Choose a photo and up to three numbers of bits; see where the answer changes."""
    one = at.checkpoint

    def rounded(bits: int) -> Version:
        return Version(
            bits_text(bits), lambda: quantized_predictor(one.id, at.scheme, bits), "quantised"
        )

    def versions(chosen: Sequence[int]) -> list[Version]:
        whole = Version(_("float32"), lambda: quantized_predictor(one.id, "float32", 32))
        return [whole, *map(rounded, chosen)]

    photo_check(
        one,
        Choice(_("Bits to try, up to three"), PHOTO_BITS, (8, 4, 2), "photo_bits"),
        versions,
        way=scheme_title(at.scheme),
        hint=_("Drop a photo: it goes through the network in float32, and at fewer bits."),
        name="quantisation-photo",
    )


# ------------------------------------------------------------------------------------------------
# The quantisation page's formulas and source, and the homework's questions.


ASKED: tuple[Form, ...] = ("float32", "float16", "hw7_8bit")


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
    st.latex(
        r"\begin{gathered} \text{MSE} = \frac{1}{n}\sum_i (w_i - \hat w_i)^2 \\[6pt] \text{SQNR} = "
        r"10 \log_{10} \frac{\sum_i w_i^2}{\sum_i (w_i - \hat w_i)^2}\ \text{dB} \end{gathered}"
    )
    st.markdown(_("This function made the codes, here on this page, too:"))
    st.code(inspect.getsource(method.quantise), language="python")
    st.markdown(_("And this one writes HW7's 8-bit file:"))
    st.code(inspect.getsource(hw7.encode8), language="python")


def homework(known: Sequence[Measured]) -> None:
    """HW7's question about 16- and 8-bit weights, with the numbers of this page."""
    st.markdown(
        _(
            "**HW7: keep the weights in 16 bits, and in 8.** 16 bits: float16. 8 bits: each tensor "
            "is kept as its minimum, its maximum and a byte per weight; BatchNorm's counters stay "
            "as they are. Written, weighed, read back, and asked about the test photographs:"
        )
    )
    for one in known:
        rows = [row for form in ASKED for row in _rows(one, form)]
        if rows:
            st.markdown(f"- **{one.title}**: " + " · ".join(map(_lessons_told, rows)))
    if not any(_rows(one, form) for one in known for form in ASKED):
        st.caption(_("Not measured yet: python -m core quantize-grid"))
    st.markdown(
        _(
            "“Bits against accuracy” shows how far one can go on. Quantisation is one of the four "
            "families HW7 asks about, beside pruning, distillation and low-rank approximation; it "
            "can be put on top of each."
        )
    )


def _rows(one: Measured, form: Form) -> list[QuantRow]:
    return one.grid.of(form)


def _lessons_told(row: QuantRow) -> str:
    name = {"float32": _("32 bits"), "float16": _("16 bits")}.get(row.scheme, _("8 bits"))
    said = _("{name}: {size}, {score}").format(
        name=name, size=numbers.size(row.size_bytes), score=score_text(row)
    )
    if row.difference is None or row.scheme == "float32":
        return said
    gap, low, high = row.difference
    return said + _(", {gap} points ({interval}, {verdict})").format(
        gap=points(gap), interval=points_interval(low, high), verdict=verdict(low, high)
    )


def main() -> None:
    """Draw the page."""
    st.title(contents.entry("quantization").question)
    st.markdown(
        _(
            "A trained weight is a 32-bit number. Keep only a few bits of each, and the file "
            "shrinks "
            "at once. How few will do before the network forgets what food looks like?"
        )
    )

    found = networks.checkpoints()
    if not found:
        networks.explain_empty()
        st.stop()

    guess = predict_first()
    with st.container(border=True):
        at = setting(found)

    st.subheader(_("The number line: one layer's weights"))
    number_line(at)

    st.subheader(_("Bits against accuracy"))
    known = measured(found)
    frame = accuracy(known, at, guess) if known else None
    if frame is None:
        explain_missing(networks.starters(found))
    revealed = is_on("reveal")
    if revealed:
        table(at)

    st.subheader(_("Run it here"))
    live(at)

    st.subheader(_("Integers all the way: is it faster?"))
    int8(at, guess, revealed)

    st.subheader(_("Trained for few bits, or rounded afterwards?"))
    aware(at, known, revealed)

    st.subheader(_("Your photo at fewer bits"))
    photo(at)

    st.subheader(_("Open a homework's 8-bit file"))
    upload(found, at)

    with st.expander(_("Why: what a code stands for"), icon=":material/function:"):
        why(at)

    with st.expander(_("Trap: dynamic int8 leaves the convolutions"), icon=":material/warning:"):
        trap(at)

    with st.expander(_("From the homework: HW7"), icon=":material/school:"):
        homework(known)

    provenance(
        [one for one in found if any(one.id == each.grid.checkpoint for each in known)]
        or [at.checkpoint]
    )
    foot("quantization", frame)


if __name__ == "__main__":
    main()
