"""The training page's charts: the right columns, axes that stay, every count drawn."""

import json

import altair as alt
import pytest

from core.course import CLASSES
from core.training.chart import (
    Curve,
    _round_up,
    confusion_chart,
    confusion_frame,
    curve_rows,
    curves_chart,
    metrics_frame,
    panels,
)


def entry(epoch: int, soft: float | None) -> dict[str, object]:
    return {
        "epoch": epoch, "lr": 0.001, "loss": 2.0, "loss_hard": 1.5, "loss_soft": soft,
        "train_accuracy": 0.5, "val_accuracy": 0.4, "agreement": None if soft is None else 0.6,
        "images_per_s": 123.0,
    }  # fmt: skip


SCRATCH = Curve("scratch s0", "scratch", [entry(n, None) for n in (1, 2, 3)], 0.5, False)
TAUGHT = Curve("distilled s0", "distilled", [entry(n, 0.9) for n in (1, 2)], 0.7, True)
PANELS = {panel.key: panel for panel in panels()}


def test_hard_and_soft_losses_stand_apart_and_a_total_only_where_they_differ() -> None:
    def series(curves: list[Curve], key: str) -> set[str]:
        return {row["series"] for row in curve_rows(curves, PANELS[key])}

    assert series([SCRATCH, TAUGHT], "losses") == {
        "scratch s0: hard", "distilled s0: total", "distilled s0: hard", "distilled s0: soft",
    }  # fmt: skip
    assert series([SCRATCH], "losses") == {"hard"}
    assert {row["value"] for row in curve_rows([TAUGHT], PANELS["agreement"])} == {0.6}
    assert curve_rows([SCRATCH], PANELS["agreement"]) == []
    assert len(metrics_frame([SCRATCH, TAUGHT])) == 5


def test_every_panel_holds_all_epochs_and_names_each_curve_once_at_its_end() -> None:
    for panel in PANELS.values():
        rows = curve_rows([SCRATCH, TAUGHT], panel)
        spec = curves_chart(rows, panel, 40)
        assert '"domain": [0, 40]' in json.dumps(spec)
        alt.Chart.from_dict(spec)  # a valid Vega-Lite chart
        data = {
            layer["data"]["name"]: layer["data"]["values"]
            for layer in spec["layer"]
            if {"name", "values"} <= layer["data"].keys()
        }
        ends = data["ends"]
        assert data["lines"] == rows
        assert {(end["series"], end["epoch"]) for end in ends} == {
            (row["series"], 3 if row["series"].startswith("scratch") else 2) for row in rows
        }
        heights = sorted(end["label_at"] for end in ends)
        gaps = [b - a for a, b in zip(heights, heights[1:], strict=False)]
        assert all(gap > 0 for gap in gaps)


@pytest.mark.parametrize(
    ("value", "axis"),
    [
        (0.0, 1),
        (0.0009, 0.001),
        (0.0021, 0.003),
        (0.9, 1),
        (1.0, 1),
        (2.4, 3),
        (4.1, 5),
        (123, 200),
    ],
)
def test_an_axis_ends_at_a_round_number(value: float, axis: float) -> None:
    assert _round_up(value) == pytest.approx(axis)


def test_every_pair_of_classes_is_drawn_with_its_count() -> None:
    counts = [[0] * 11 for _ in range(11)]
    counts[0][0], counts[0][2] = 3, 1
    frame = confusion_frame(counts)
    assert len(frame) == 121 and frame["n"].sum() == 4
    (wrong,) = frame[(frame["n"] > 0) & ~frame["is_right"]].to_dict("records")
    assert (wrong["true"], wrong["answer"], wrong["share"]) == (CLASSES[0], CLASSES[2], 0.25)
    assert confusion_chart(counts)["datasets"]["cells"].equals(frame)
