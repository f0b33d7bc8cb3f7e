"""Bits against accuracy and bytes: what was measured, drawn and told."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from core.charts import quantization_words
from core.charts.quantization import (
    Against,
    Measured,
    accuracy_chart,
    accuracy_frame,
    curve_rows,
    scheme_title,
)
from core.compression.quantize import SCHEMES
from core.measure.quantization_grid import QuantRow
from core.training.quantization_live import RUNS
from core.words import _
from pages.parts.figure import show
from pages.parts.linked import one_of
from pages.parts.quantization_controls import Guess, Setting


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
        reveal = st.toggle(_("Show what was measured"), key="reveal", bind="query-params")
        by_scheme = st.toggle(
            _("All schemes on this network"), key="all_schemes", bind="query-params"
        )
    own = [one for one in known if one.grid.checkpoint == at.checkpoint.id]
    many = bool(by_scheme and own)
    networks = own if many else list(known)
    frame = accuracy_frame(networks, SCHEMES if many else (at.scheme,))
    _not_measured(networks, at, many)
    if frame.empty:
        return frame
    show(
        accuracy_chart(frame, against, guess.bits, at.scheme, _live_points(at), reveal),
        quantization_words.accuracy_alt(frame, against, reveal),
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
    if many:
        lines = quantization_words.short_lines(frame)
    else:
        lines = quantization_words.accuracy_lines(frame)
    own = frame[(frame["checkpoint"] == at.checkpoint.id) & (frame["scheme"] == at.scheme)]
    if guess.bits is not None and len(own):
        lines.append(quantization_words.guess_line(own, guess.bits))
    st.markdown("\n".join(f"- {line}" for line in lines))
    files = quantization_words.limit_lines([(one.title, one.grid) for one in known])
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
    frame = quantization_words.rows_table(rows).dropna(axis="columns", how="all").fillna("–")
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
