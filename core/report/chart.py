"""What a visitor measured, drawn over the shipped curves as on the pages: SVG by vl-convert."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from core.charts.compiled import Spec
from core.charts.libraries import pd
from core.charts.theme import SLOTS, role_of
from core.checkpoints import Checkpoint, get
from core.errors import CheckpointError
from core.i18n import _
from core.low_rank import chart as low_rank
from core.low_rank.rows import LowRankGrid
from core.pruning import chart as pruning
from core.pruning.rows import PruningGrid
from core.quantization import chart as quantization
from core.quantization.method import SCHEMES
from core.quantization.rows import QuantizationGrid
from core.report.record import Measurement

MOST_CHARTS = 4
"""In one report: each is some 50 KB."""
_WIDTH_PX = 560


def _pruned(checkpoint: Checkpoint, method: str, stars: pd.DataFrame) -> Spec | None:
    grid = PruningGrid.of_checkpoint(checkpoint)
    if grid is None or method not in {row.method for row in grid.rows}:
        return None
    network = pruning.Measured(_(checkpoint.title), role_of(checkpoint), grid)
    rows = pruning.accuracy_frame([network], [method])
    stars = stars[stars["ratio"].between(0, 1)]
    if rows.empty or stars.empty:
        return None
    return pruning.accuracy_chart(rows, float("nan"), live=stars)


def _quantised(checkpoint: Checkpoint, scheme: str, stars: pd.DataFrame) -> Spec | None:
    grid = QuantizationGrid.of_checkpoint(checkpoint)
    if grid is None or scheme not in SCHEMES:
        return None
    network = quantization.Measured(_(checkpoint.title), role_of(checkpoint), grid)
    curves = quantization.curves_of([network], [scheme])
    stars = stars[stars["bits"].between(2, 32)]
    if not curves or stars.empty:
        return None
    return quantization.at_bits(quantization.accuracy_chart(curves, "bits"), "bits", 0, stars)


def _factored(checkpoint: Checkpoint, method: str, stars: pd.DataFrame) -> Spec | None:
    grid = LowRankGrid.of_checkpoint(checkpoint)
    if grid is None or method not in {row.method for row in grid.rows}:
        return None
    rows = low_rank.accuracy_frame(grid, [method])
    others = low_rank.others_frame([], checkpoint, grid.fingerprint)
    stars = stars[stars["params"].between(rows["params"].min(), rows["params"].max())]
    if rows.empty or stars.empty:
        return None
    return low_rank.accuracy_chart(rows, others, live=stars)


_DRAWN: dict[str, tuple[str, Callable[[Checkpoint, str, pd.DataFrame], Spec | None]]] = {
    "pruning": ("method", _pruned),
    "quantization": ("scheme", _quantised),
    "low_rank": ("method", _factored),
}
"""Page -> the setting that names a curve, and what draws it with the points measured live, as far
as they lie on its axis; None where there is nothing to draw."""


def charts(measured: list[Measurement]) -> dict[tuple[str, str, str], str]:
    """(page, checkpoint, way) -> SVG: the shipped curve, and the visitor's points as stars.

    Empty without vl-convert. What this server has no curve of is left out.
    """
    try:
        import vl_convert
    except ImportError:
        return {}
    points: dict[tuple[str, str, str], list[dict[str, float]]] = {}
    for each in measured:
        way = each.settings.get(_DRAWN[each.page][0]) if each.page in _DRAWN else None
        n, correct = each.values.get("n", 0), each.values.get("correct", -1)
        if way and n > 0 and 0 <= correct <= n:
            key = (each.page, each.settings.get("checkpoint", ""), way)
            points.setdefault(key, []).append(each.values | {"accuracy": correct / n})
    drawn: dict[tuple[str, str, str], str] = {}
    for (page, id, way), rows in points.items():
        # another server's network, a changed file, what Vega cannot draw: the report stands
        with suppress(CheckpointError, KeyError, ValueError):
            spec = _DRAWN[page][1](get(id), way, pd.DataFrame(rows))
            if spec is not None and len(drawn) < MOST_CHARTS:
                drawn[page, id, way] = vl_convert.vegalite_to_svg(_standalone(spec))
    return drawn


def _standalone(spec: Spec) -> str:
    """The chart as JSON with its data inside, in the colours of the day."""
    datasets = {
        name: json.loads(data.to_json(orient="records"))
        if isinstance(data, pd.DataFrame)
        else data.to_pylist()
        for name, data in spec["datasets"].items()
    }
    colours: dict[str, Any] = {
        "background": "#ffffff",
        "font": "sans-serif",
        "range": {"category": [slot.light for slot in SLOTS.values()]},
    }
    whole = spec | {
        "width": _WIDTH_PX, "datasets": datasets, "config": spec.get("config", {}) | colours,
    }  # fmt: skip
    return json.dumps(whole)
