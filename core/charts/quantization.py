"""The quantisation page's main chart: bits, or bytes of the file, against accuracy.

Colour and mark say whose network it is; the scheme is said by dashes. Few bits stand at the left,
on a scale of halvings; the network as it was trained stands at the right end, at 32 bits.
"""

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import altair as alt
import pandas as pd

from core.charts import numbers
from core.charts.lines import CHANCE, DASHES, LABEL_SIZE, beside, stacked
from core.charts.shape import Spec, filled, shape
from core.charts.theme import SLOTS, finish, ink_text, layered, painted, role_color
from core.compression.quantize import Scheme
from core.course import SIZE_LIMITS_BYTES
from core.measure.quantization_grid import QuantizationGrid, QuantRow
from core.words import _

HEIGHT_PX = 400
Against = Literal["bits", "bytes"]
LIMIT_BYTES = SIZE_LIMITS_BYTES["HW7 2020, 8 bit"]
_GAP = 0.11
_SHAPES = {"circle": "●", "square": "■", "diamond": "◆", "triangle-up": "▲", "triangle-down": "▼"}
"""Mark of a scheme, where one network's schemes stand side by side: as a shape and as a letter."""
_STAR = "M0,-1L.3,-.3L1,0L.3,.3L0,1L-.3,.3L-1,0L-.3,-.3Z"
COLUMNS = ["checkpoint", "network", "role", "scheme", "series", "bits", "size_bytes", "accuracy",
           "low", "high", "n", "correct"]  # fmt: skip


class Measured(NamedTuple):
    """One network's grid as the charts name it."""

    title: str
    role: str
    grid: QuantizationGrid


def curve_rows(grid: QuantizationGrid, scheme: Scheme) -> list[QuantRow]:
    """Post-training rows of a scheme by falling bits, the network as it was trained first.

    float16 and float32 belong to every scheme. Empty where the scheme was not measured.
    """
    low = grid.of(scheme)
    if not low:
        return []
    ends = [grid.float32, *grid.of("float16")]
    return [row for row in ends if row is not None] + list(low)


def accuracy_frame(networks: Sequence[Measured], schemes: Sequence[Scheme]) -> pd.DataFrame:
    """A row per network, scheme and number of bits with an accuracy; columns COLUMNS."""
    rows = [
        {
            "checkpoint": network.grid.checkpoint,
            "network": network.title,
            "role": network.role,
            "scheme": scheme,
            "series": scheme_title(scheme) if len(schemes) > 1 else network.title,
            "bits": row.bits,
            "size_bytes": row.size_bytes,
            "accuracy": row.score.accuracy,
            "low": row.score.ci95[0],
            "high": row.score.ci95[1],
            "n": row.score.n,
            "correct": row.score.correct,
        }
        for network in networks
        for scheme in schemes
        for row in curve_rows(network.grid, scheme)
        if row.score is not None
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def scheme_title(scheme: str) -> str:
    """What a scheme, or a format, is called."""
    return {
        "tensor_minmax": _("Min–max, per tensor"),
        "tensor_symmetric": _("Symmetric, per tensor"),
        "channel_minmax": _("Min–max, per channel"),
        "channel_symmetric": _("Symmetric, per channel"),
        "kmeans": _("k-means codebook"),
        "float32": _("float32"),
        "float16": _("float16"),
        "hw7_8bit": _("HW7's 8-bit file"),
        "ort_int8": _("static int8"),
        "ort_dynamic": _("dynamic int8"),
        "ort_dynamic_conv": _("dynamic int8, convolutions too"),
    }[scheme]


def file_kind(scheme: str) -> str:
    """What kind of file a format is weighed as; sizes of two kinds are not quite comparable."""
    if scheme.startswith("ort"):
        return _("ONNX")
    return _("pickle") if scheme == "hw7_8bit" else _("safetensors")


def accuracy_chart(
    frame: pd.DataFrame,
    against: Against,
    guess: int | None = None,
    chosen: str = "",
    live: pd.DataFrame | None = None,
    reveal: bool = True,
) -> Spec:
    """Accuracy against bits or bytes with 95 % bands; without `reveal` only the whole networks.

    `frame`: columns COLUMNS, a row a point. `guess`: the bits at which the visitor expects it to
    break. `chosen`: the scheme whose band is drawn where there are several. `live`: rows with
    bits, size_bytes and accuracy measured here just now, drawn as stars.
    """
    drawn = frame if reveal else frame[frame["bits"] == 32]
    x = "bits" if against == "bits" else "size_bytes"
    order = list(dict.fromkeys(frame["scheme"]))
    many = len(order) > 1
    shapes = list(_SHAPES)
    shown = drawn.assign(
        x=drawn[x].astype(float),
        shape=[
            shapes[order.index(scheme) % len(shapes)] if many else SLOTS[role].shape
            for scheme, role in zip(drawn["scheme"], drawn["role"], strict=True)
        ],
        # five bands over one another would say nothing
        banded=(drawn["scheme"] == (chosen if chosen in order else order[0])) if many else True,
        dash=[f"m{order.index(scheme) % len(DASHES)}" for scheme in drawn["scheme"]],
        score=[
            f"{numbers.percent(p, n)} ({numbers.interval(low, high, n)})"
            for p, low, high, n in zip(
                drawn["accuracy"], drawn["low"], drawn["high"], drawn["n"], strict=True
            )
        ],
        size=[numbers.size(size) for size in drawn["size_bytes"]],
    ).sort_values(["series", "x"])
    empty = pd.DataFrame({"x": [], "accuracy": []}).astype(float)
    stars = empty if live is None or live.empty else live.assign(x=live[x].astype(float))
    return filled(
        _shape(against, *_domain(frame[x], against)),
        curves=shown,
        ends=_ends(shown, against),
        guess=pd.DataFrame({"x": [float(guess)] if guess and against == "bits" else []}),
        live=stars,
    )


def _domain(values: pd.Series, against: Against) -> tuple[float, float]:
    """From the smallest to past the largest: the room at the right is for names."""
    if against == "bits":
        return 1.8, 100.0
    low, high = float(values.min()), float(values.max())
    return 10 ** _floor_tenth(low), 10 ** (_floor_tenth(high) + 0.9)


def _floor_tenth(value: float) -> float:
    return math.floor(10 * math.log10(value)) / 10


def _ends(shown: pd.DataFrame, against: Against) -> pd.DataFrame:
    """The right end of every curve, and where its name stands."""
    ends = shown.loc[shown.groupby("series", sort=False)["x"].idxmax()].copy()
    ends["label_at"] = beside(ends["accuracy"], _GAP)
    ends["label_x"] = 40.0 if against == "bits" else ends["x"] * 1.25
    ends["near"] = ends["label_x"] / 1.04
    many = ends["scheme"].nunique() > 1
    ends["name"] = [
        stacked(f"{_SHAPES[shape]} {name}" if many else name)
        for shape, name in zip(ends["shape"], ends["series"], strict=True)
    ]
    return ends


@shape
def _shape(against: Against, low: float, high: float) -> Any:
    is_bits = against == "bits"
    x = alt.X(
        "x:Q",
        title=_("Bits per weight") if is_bits else _("Bytes of the file"),
        scale=alt.Scale(type="log", base=2 if is_bits else 10, domain=[low, high], nice=False),
        axis=alt.Axis(values=[2, 3, 4, 5, 6, 8, 16, 32], format="d", grid=False)
        if is_bits
        else alt.Axis(
            values=[3e4, 1e5, 3e5, 1e6, 3e6, 1e7, 3e7],
            labelExpr="datum.value < 1e6 ? datum.value / 1e3 + ' KB' : datum.value / 1e6 + ' MB'",
            grid=False,
        ),
    )
    title = _("Right on the test photographs")
    scale = alt.Scale(domain=[0, 1], nice=False)
    axis = alt.Axis(format=".0%", tickCount=6)
    y = alt.Y("accuracy:Q", title=title, scale=scale, axis=axis)
    tooltip = [
        alt.Tooltip("network:N", title=_("Network")),
        alt.Tooltip("series:N", title=_("Curve")),
        alt.Tooltip("bits:Q", title=_("Bits")),
        alt.Tooltip("size:N", title=_("Bytes of the file")),
        alt.Tooltip("score:N", title=_("Right (95 % interval)")),
        alt.Tooltip("n:Q", title=_("Test photographs"), format=","),
    ]
    dash = alt.StrokeDash(
        "dash:N",
        scale=alt.Scale(domain=[f"m{i}" for i in range(len(DASHES))], range=DASHES),
        legend=None,
    )
    kinds = list(dict.fromkeys([*_SHAPES, *(slot.shape for slot in SLOTS.values())]))
    shape_of = alt.Shape("shape:N", scale=alt.Scale(domain=kinds, range=kinds), legend=None)
    curves = alt.Chart(alt.NamedData("curves")).encode(
        x=x, color=role_color(), detail=alt.Detail("series:N")
    )
    band = (
        curves.transform_filter("datum.banded")
        .mark_area(opacity=0.14)
        .encode(alt.Y("low:Q", title=title, scale=scale, axis=axis), y2="high:Q")
    )
    marks = curves.mark_point(size=80, filled=True, opacity=1).encode(
        y=y, shape=shape_of, tooltip=tooltip
    )
    guess = alt.Chart(alt.NamedData("guess")).mark_rule(strokeDash=[3, 5], strokeWidth=3)
    live = alt.Chart(alt.NamedData("live")).mark_point(
        size=260, shape=_STAR, filled=True, opacity=1
    )
    ends = alt.Chart(alt.NamedData("ends"))
    leaders = ends.mark_rule(strokeWidth=1, opacity=0.7).encode(
        x=x, x2="near:Q", y=y, y2="label_at:Q", color=role_color()
    )
    names = ends.encode(alt.X("label_x:Q", title=x["title"]), alt.Y("label_at:Q", title=title))
    return finish(
        layered(
            *_lines(x, low, high, None if is_bits else LIMIT_BYTES),
            band,
            painted(guess.encode(x=x), "text"),
            curves.mark_line(strokeWidth=2.5).encode(y=y, strokeDash=dash),
            marks,
            painted(live.encode(x=x, y=y, tooltip=["bits:Q", "accuracy:Q"]), "text"),
            leaders,
            ink_text(
                names, "name:N", align="left", baseline="middle", lineBreak="\n", **LABEL_SIZE
            ),
        ),
        height=HEIGHT_PX,
    )


def _lines(x: alt.X, low: float, high: float, limit: int | None) -> list[alt.Chart]:
    """Chance, and the homework's limit where bytes are drawn."""
    even = alt.Chart(alt.InlineData(values=[{"x": low, "to": high, "at": CHANCE}]))
    rules = [
        painted(
            even.mark_rule(strokeDash=[5, 4], strokeWidth=1.5).encode(x=x, x2="to:Q", y="at:Q"),
            "muted",
        )
    ]
    if limit is not None:
        line = alt.Chart(alt.InlineData(values=[{"x": limit}])).encode(x=x)
        rules.append(painted(line.mark_rule(strokeDash=[8, 3], strokeWidth=1.5), "text"))
        rules.append(
            ink_text(
                line.encode(y=alt.value(10)),
                alt.value(_("HW7: {size}").format(size=numbers.size(limit))),
                align="left",
                dx=6,
            )
        )
    return rules
