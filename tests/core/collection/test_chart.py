"""Home's chart: the frontier, what is inside the picture, and names that cover nothing."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.charts import names as collection_names
from core.charts import placing
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
    shown, lines = spec["datasets"]["networks"], spec["datasets"]["lines"]
    assert list(lines["accuracy"]) == (list(BASELINES[year]) if year else [])
    for one in encodings(spec):
        for axis, columns in (("x", [cost]), ("y", ["low", "accuracy", "high"])):
            scale = one.get(axis, {}).get("scale")
            if scale:
                low, high = scale["domain"]
                for column in columns:
                    inside = shown[column].clip(0, 1) if axis == "y" else shown[column]
                    assert low <= inside.min() and inside.max() <= high
                if axis == "y" and year:
                    assert low <= lines["accuracy"].min() and lines["accuracy"].max() <= high


def test_seeds_are_one_mark_at_their_mean(shipped: pd.DataFrame) -> None:
    assert len(shipped) == len(results_shelf.WHOLE)
    row = shipped.set_index("checkpoint").loc["dwpw_256k-scratch-s0"]
    right = results_shelf.WHOLE["dwpw_256k-scratch"]
    assert row["seeds"] == 3 and row["accuracy"] == pytest.approx(sum(right) / 3600)
    assert row["low"] < min(right) / 1200 and row["high"] > max(right) / 1200
    faint = chart.collection_chart(shipped, "params")["datasets"]["seeds"]
    several = [each for each in results_shelf.WHOLE.values() if len(each) > 1]
    assert sorted(faint["accuracy"]) == pytest.approx(
        sorted(one / 1200 for each in several for one in each)
    )
    pruned = shipped[shipped["recipe"].str.contains("narrow")]
    assert list(pruned["role"]) == ["pruned"]


def test_networks_that_were_not_timed_are_left_out_of_that_picture(shipped: pd.DataFrame) -> None:
    frame = shipped.copy()
    frame.loc[0, "latency_ms"] = np.nan
    spec = chart.collection_chart(frame, "latency_ms")
    assert len(spec["datasets"]["networks"]) == len(frame) - 1


def test_the_joined_marks_are_the_frontier(shipped: pd.DataFrame) -> None:
    edge = chart.collection_chart(shipped, "macs")["datasets"]["edge"]
    assert list(edge["macs"]) == sorted(edge["macs"])
    assert list(edge["accuracy"]) == sorted(edge["accuracy"])
    assert len(edge) == chart.frontier(shipped, "macs").sum() > 2


@pytest.mark.parametrize("cost", chart.COSTS)
def test_on_a_screen_nearly_every_network_of_a_full_collection_is_named(
    shipped: pd.DataFrame, cost: chart.Cost
) -> None:
    names = chart.collection_chart(shipped, cost, "HW13 2022")["datasets"]["names"]
    assert set(names["px"]) == set(collection_names.WIDTHS_PX)
    assert (names["text"].str.count("\n") < collection_names.ROWS).all()
    for px, least in ((1000, 15), (850, 14), (730, 12), (270, 10)):
        here = names[names["px"] == px]
        assert (here["slot"] == "text").sum() >= least, px
        baselines = here.loc[here["slot"] == "muted", "text"]
        assert list(baselines.str.split().str[0]) == ["simple", "medium", "strong", "boss"]


def test_names_get_shorter_and_end_in_the_network() -> None:
    said = collection_names.versions(
        "dwpw_256k", "distilled_x", "Depthwise + pointwise CNN, distilled, 22.6 % cut out", "narrow"
    )
    assert said[1:] == ["DW+PW 257 k, distilled, 22.6 % cut out", "DW+PW 257 k, cut"]
    assert collection_names.versions("design:x", "scratch", "Mine") == [
        "Mine",
        "Mine, from scratch",
    ]


NAMES = st.sampled_from([("Short",), ("Long,\nin two lines", "Long"), ()])
SIZE, CHAR, LINE = (400.0, 300.0), 7.0, 16.0


@given(
    st.lists(st.tuples(st.floats(0, 400), st.floats(0, 300), NAMES), min_size=1, max_size=12),
    st.lists(st.tuples(st.floats(0, 390), st.floats(0, 290)), max_size=3),
    st.booleans(),
)
def test_names_cover_neither_each_other_nor_marks_nor_what_else_is_there(
    marks: list[tuple[float, float, tuple[str, ...]]],
    blocks: list[tuple[float, float]],
    short_first: bool,
) -> None:
    others = [(x, y, x + 10, y + 10) for x, y in blocks]
    at = [(x, y) for x, y, _names in marks]
    texts = [names for _x, _y, names in marks]
    places = placing.place_names(
        [names[-1:] for names in texts] if short_first else texts,
        at,
        SIZE,
        char_px=CHAR,
        line_px=LINE,
        others=others,
    )
    if short_first:
        longer = placing.lengthened(
            texts, places, at, SIZE, char_px=CHAR, line_px=LINE, others=others
        )
        assert list(map(bool, longer)) == list(map(bool, places))  # none lost, none from nowhere
        places = longer
    boxes = []
    for place, (_x, _y, names) in zip(places, marks, strict=True):
        assert place is None or place.text in names
        if place is not None:
            lines = place.text.split("\n")
            wide, high = CHAR * max(map(len, lines)), LINE * len(lines)
            assert place.x >= 0 and place.x + wide <= SIZE[0]
            assert place.y - high / 2 >= 0 and place.y + high / 2 <= SIZE[1]
            boxes.append((place.x, place.y - high / 2, place.x + wide, place.y + high / 2))
    solid = [*others, *((x - 8, y - 8, x + 8, y + 8) for x, y, _names in marks)]
    for one, other in [*itertools.combinations(boxes, 2), *itertools.product(boxes, solid)]:
        across = one[0] < other[2] and other[0] < one[2]
        down = one[1] < other[3] and other[1] < one[3]
        assert not (across and down)


def test_a_name_with_room_stands_beside_its_mark() -> None:
    for x, is_after in ((80.0, True), (360.0, False)):
        (place,) = placing.place_names([["Alone"]], [(x, 150.0)], SIZE, char_px=CHAR, line_px=LINE)
        assert place is not None and not place.tied and place.y == 150
        assert (place.x > x) == is_after


def test_names_grow_where_there_is_room_and_only_there() -> None:
    names, marks = [["A name that is long", "A name"]] * 2, [(60.0, 100.0), (60.0, 200.0)]
    short = placing.place_names(
        [one[-1:] for one in names], marks, SIZE, char_px=CHAR, line_px=LINE
    )
    wall = [(130.0, 130.0, 400.0, 270.0), (0.0, 130.0, 50.0, 270.0)]  # beside the second mark
    found = placing.lengthened(names, short, marks, SIZE, char_px=CHAR, line_px=LINE, others=wall)
    assert [place and place.text for place in found] == ["A name that is long", "A name"]
    assert found[1] == short[1]


def test_a_crowd_is_named_with_ties_that_cross_no_name() -> None:
    marks = [(200.0 + 30 * (i % 2), 60 + 20.0 * i) for i in range(10)]
    places = placing.place_names(
        [[f"Network {i}"] for i in range(10)], marks, SIZE, char_px=CHAR, line_px=LINE
    )
    found = [place for place in places if place is not None]
    assert len(found) == 10
    wide = CHAR * len("Network 0")
    for place, (x, y) in zip(found, marks, strict=True):
        if not place.tied:
            continue
        end = place.x if place.x > x else min(x, place.x + wide)
        for t in np.linspace(0, 1, 50):
            at_x, at_y = x + t * (end - x), y + t * (place.y - y)
            for other in found:
                inside_x = other.x + 0.5 < at_x < other.x + wide - 0.5
                inside_y = abs(at_y - other.y) < LINE / 2 - 1.5
                assert other is place or not (inside_x and inside_y)
