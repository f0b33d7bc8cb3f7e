"""Home's chart: the frontier, what is inside the picture, and names that cover nothing."""

import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.charts.names import Label, Side, place_labels, versions
from core.checkpoints import load_manifest
from core.collection import chart
from core.collection.latency import LatencyTable
from core.course import BASELINES
from tests import results_shelf


def network(name: str, params: int, accuracy: float, role: str = "scratch") -> dict[str, Any]:
    return {
        "checkpoint": name,
        "model": name,
        "recipe": "scratch",
        "title": name,
        "role": role,
        "params": params,
        "macs": params * 100,
        "size_bytes": params * 2,
        "latency_ms": params / 1e5,
        "accuracy": accuracy,
        "low": accuracy - 0.02,
        "high": accuracy + 0.02,
        "n": 1492,
        "data": "made up",
        "is_food11": False,
        "seeds": 1,
        "of_seeds": (accuracy,),
        "derived": "",
    }


def rows(spec: Any, name: str) -> list[dict[str, Any]]:
    """The rows of a named data set inside a specification's layers; empty where it has none."""
    if isinstance(spec, list):
        return next((found for part in spec if (found := rows(part, name))), [])
    if not isinstance(spec, dict):
        return []
    if spec.get("name") == name and "values" in spec:
        return list(spec["values"])
    return next((found for part in spec.values() if (found := rows(part, name))), [])


def values(spec: Any, name: str, key: str) -> list[Any]:
    return [row[key] for row in rows(spec, name)]


def encodings(spec: Any) -> list[dict[str, Any]]:
    """Every `encoding` anywhere in a specification."""
    if isinstance(spec, list):
        return [found for part in spec for found in encodings(part)]
    if not isinstance(spec, dict):
        return []
    own = [spec["encoding"]] if "encoding" in spec else []
    return own + [found for part in spec.values() for found in encodings(part)]


@pytest.fixture(params=range(20))
def cloud(request: pytest.FixtureRequest) -> pd.DataFrame:
    rng = np.random.default_rng(request.param)
    return pd.DataFrame(
        [
            network(f"n{i}", int(10 ** rng.uniform(4, 7)), rng.choice([0.5, 0.6, 0.7]))
            for i in range(12)
        ]
    )


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    """The frame of a full collection: seventeen recipes, several with three seeds."""
    monkeypatch.setenv("SMALL_PLATES_PRETRAINED", str(tmp_path))
    results_shelf.fill()
    return chart.collection_frame(load_manifest().values(), LatencyTable.load())


def test_the_frontier_is_what_nothing_beats(cloud: pd.DataFrame) -> None:
    chosen = chart.frontier(cloud, "params")
    for i, (_, one) in enumerate(cloud.iterrows()):
        beaten = any(
            (other.params <= one.params and other.accuracy > one.accuracy)
            or (other.params < one.params and other.accuracy >= one.accuracy)
            for _, other in cloud.iterrows()
        )
        assert chosen.iloc[i] == (not beaten)


@pytest.mark.parametrize("year", [None, *BASELINES])
@pytest.mark.parametrize("cost", chart.COSTS)
def test_every_mark_interval_and_baseline_is_inside_the_picture(
    cost: chart.Cost, year: str | None
) -> None:
    frame = pd.DataFrame(
        [network("teacher", 3_384_871, 0.985, "teacher"), network("student", 99_060, 0.031)]
    )
    spec = chart.collection_chart(frame, cost, year)
    shown = pd.DataFrame(rows(spec, "networks"))
    lines = values(spec, "lines", "accuracy")
    assert lines == (list(BASELINES[year]) if year else [])
    for one in encodings(spec):
        for axis, columns in (("x", [cost]), ("y", ["low", "accuracy", "high"])):
            scale = one.get(axis, {}).get("scale")
            if scale:
                low, high = scale["domain"]
                for column in columns:
                    inside = shown[column].clip(0, 1) if axis == "y" else shown[column]
                    assert low <= inside.min() and inside.max() <= high
                if axis == "y" and year:
                    assert low <= min(lines) and max(lines) <= high


def test_seeds_are_one_mark_at_their_mean(shipped: pd.DataFrame) -> None:
    assert len(shipped) == len(results_shelf.WHOLE)
    row = shipped.set_index("checkpoint").loc["dwpw_256k-scratch-s0"]
    right = results_shelf.WHOLE["dwpw_256k-scratch"]
    assert row["seeds"] == 3 and row["accuracy"] == pytest.approx(sum(right) / 3600)
    assert row["low"] < min(right) / 1200 and row["high"] > max(right) / 1200
    faint = values(chart.collection_chart(shipped, "params"), "seeds", "accuracy")
    several = [each for each in results_shelf.WHOLE.values() if len(each) > 1]
    assert sorted(faint) == pytest.approx(sorted(one / 1200 for each in several for one in each))
    pruned = shipped[shipped["recipe"].str.contains("narrow")]
    assert list(pruned["role"]) == ["pruned"]


def test_networks_that_were_not_timed_are_left_out_of_that_picture(shipped: pd.DataFrame) -> None:
    frame = shipped.copy()
    frame.loc[0, "latency_ms"] = np.nan
    spec = chart.collection_chart(frame, "latency_ms")
    assert len(rows(spec, "networks")) == len(frame) - 1


def test_the_joined_marks_are_the_frontier(shipped: pd.DataFrame) -> None:
    edge = pd.DataFrame(rows(chart.collection_chart(shipped, "macs"), "edge"))
    assert list(edge["macs"]) == sorted(edge["macs"])
    assert list(edge["accuracy"]) == sorted(edge["accuracy"])
    assert len(edge) == chart.frontier(shipped, "macs").sum() > 2


@pytest.mark.parametrize("cost", chart.COSTS)
def test_names_are_the_frontiers_and_the_most_accurate_has_one(
    shipped: pd.DataFrame, cost: chart.Cost
) -> None:
    spec = chart.collection_chart(shipped, cost, "HW13 2022")
    names, edge = rows(spec, "names"), rows(spec, "edge")
    assert {row[cost] for row in names} <= {row[cost] for row in edge}
    best = shipped.iloc[0]
    for wide in (False, True):
        (named,) = [
            row for row in names if row["wide"] == wide and row["accuracy"] == best.accuracy
        ]
        assert best.title.split(",")[0] in named["text"]
    assert sum(row["wide"] for row in names) >= 3
    for one in names:  # it covers no other mark
        px = chart.WIDTHS_PX[one["wide"]]
        label = Label(one["text"], one["align"], one["dx"], one["dy"])
        (low, high), (bottom, top) = (
            next(e[axis]["scale"]["domain"] for e in encodings(spec) if "scale" in e.get(axis, {}))
            for axis in ("x", "y")
        )
        at = {
            (px * math.log(x / low) / math.log(high / low), 285 * (top - y) / (top - bottom))
            for x, y in zip(shipped[cost], shipped["accuracy"], strict=True)
        }
        mark = (
            px * math.log(one[cost] / low) / math.log(high / low),
            285 * (top - one["accuracy"]) / (top - bottom),
        )
        left, upper, right, lower = label.box(*mark)
        assert not [(x, y) for x, y in at if left < x < right and upper < y < lower]
    assert json.loads(json.dumps(spec, allow_nan=False)) == spec


def test_names_get_shorter_and_end_in_the_network() -> None:
    said = versions(
        "dwpw_256k", "distilled_x", "Depthwise + pointwise CNN, distilled, 22.6 % cut out", "narrow"
    )
    assert said[1:] == ["DW+PW 257 k, distilled, 22.6 % cut out", "DW+PW 257 k, cut"]
    assert versions("design:x", "scratch", "Mine") == [
        "Mine",
        "Mine, from scratch",
    ]


TEXTS = st.sampled_from([("A long name", "Short"), ("Short",), ()])
SIZE, SIDES = (400.0, 300.0), ("right", "left", "above", "below")


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), TEXTS), min_size=1, max_size=12),
    st.permutations(SIDES),
    st.floats(1, 4),
)
def test_names_cover_neither_each_other_nor_marks_however_wide_the_picture(
    marks: list[tuple[float, float, tuple[str, ...]]],
    sides: list[Side],
    wider: float,
) -> None:
    texts = [each for _x, _y, each in marks]
    at = [(x * SIZE[0], y * SIZE[1]) for x, y, _texts in marks]
    labels = place_labels(texts, at, SIZE, sides)
    boxes = []
    for label, (x, y), wanted in zip(labels, at, texts, strict=True):
        assert label is None or label.text in wanted
        if label is not None:
            left, top, right, bottom = label.box(x * wider, y)
            assert left >= 0 and top >= 0 and right <= wider * SIZE[0] and bottom <= SIZE[1]
            boxes.append((left, top, right, bottom))
    solid = [(wider * x - 8, y - 8, wider * x + 8, y + 8) for x, y in at]
    for one, other in [*itertools.combinations(boxes, 2), *itertools.product(boxes, solid)]:
        across = one[0] < other[2] - 1e-6 and other[0] < one[2] - 1e-6
        down = one[1] < other[3] and other[1] < one[3]
        assert not (across and down)


def test_a_name_stands_on_the_first_side_with_room_or_nowhere() -> None:
    def side(x: float, sides: tuple[Side, ...], *others: tuple[float, float]) -> str:
        names = [("Alone",), *((),) * len(others)]
        label = place_labels(names, [(x, 150.0), *others], SIZE, sides)[0]
        return label.align if label else ""

    assert side(80.0, ("right", "left")) == "left"  # held by its left end: it stands right
    assert side(380.0, ("right", "left")) == "right"
    assert side(80.0, ("right", "left"), (110.0, 150.0)) == "right"
    assert side(380.0, ("right",)) == "" == side(80.0, ("right",), (110.0, 150.0))


def test_an_earlier_mark_is_named_before_a_later_one() -> None:
    marks = [(100.0, 150.0), (100.0, 155.0)]
    labels = place_labels([("First",), ("Second",)], marks, SIZE, ("right",))
    assert [label and label.text for label in labels] == ["First", None]
    labels = place_labels([(), ("Second",)], [(100.0, 150.0), (100.0, 190.0)], SIZE, ("right",))
    assert [label and label.text for label in labels] == [None, "Second"]
