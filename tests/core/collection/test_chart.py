"""What Home and Results draw: frontier, names, the reports' figures, from known collections."""

import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.charts.names import Label, Side, place_labels, versions
from core.checkpoints import load_manifest
from core.checkpoints.by_recipe import Collected, by_stem, collect
from core.collection import chart
from core.collection.homework import (
    CLAIMS,
    DWPW,
    FIGURES,
    NetworkRow,
    curves,
    judge,
    network_rows,
)
from core.collection.latency import LatencyTable
from core.course import BASELINES, REPORTED, REPORTED_Q4
from pages import results
from tests import results_shelf
from tests.charts import rows_of

Groups = dict[str, Collected]


def network(name: str, params: int, accuracy: float) -> NetworkRow:
    return NetworkRow(
        stem=name, checkpoint=name, model=name, family="student", recipe="scratch", title=name,
        derived="", role="scratch", params=params, size_bytes=params * 2, macs=params * 100,
        latency_ms=params / 1e5, accuracy=accuracy,
        low=accuracy - 0.02, high=accuracy + 0.02, n=1492, seeds=(0,), accuracies=(accuracy,),
        px=128, epochs=30, reported=None, data="made up", is_food11=False,
    )  # fmt: skip


def encodings(spec: Any) -> list[dict[str, Any]]:
    """Every `encoding` anywhere in a specification."""
    if isinstance(spec, list):
        return [each for part in spec for each in encodings(part)]
    if not isinstance(spec, dict):
        return []
    own = [spec["encoding"]] if "encoding" in spec else []
    return own + [each for part in spec.values() for each in encodings(part)]


def domain(spec: Any, axis: str) -> tuple[float, float]:
    """The one domain of an axis: every layer that has one has the same."""
    scales = [each[axis]["scale"] for each in encodings(spec) if "scale" in each.get(axis, {})]
    assert scales and all(scale == scales[0] for scale in scales)
    if "domain" in scales[0]:
        low, high = scales[0]["domain"]
    else:  # its ends are parameters
        values = {param["name"]: param["value"] for param in spec["params"]}
        low, high = (values[scales[0][end]["expr"]] for end in ("domainMin", "domainMax"))
    return low, high


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A full collection: nineteen recipes, several with three seeds."""
    folder = tmp_path_factory.mktemp("pretrained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SMALL_PLATES_PRETRAINED", str(folder))
        results_shelf.fill()
    return folder


@pytest.fixture
def groups(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> Groups:
    monkeypatch.setenv("SMALL_PLATES_PRETRAINED", str(shelf))
    return by_stem(collect(load_manifest().values()))


@pytest.fixture
def shipped(groups: Groups) -> tuple[NetworkRow, ...]:
    return network_rows(groups.values(), LatencyTable.load())


@pytest.mark.parametrize("seed", range(5))
def test_the_frontier_is_what_nothing_beats(seed: int) -> None:
    rng = np.random.default_rng(seed)
    cloud = [
        network(f"n{i}", int(10 ** rng.uniform(4, 7)), float(rng.choice([0.5, 0.6, 0.7])))
        for i in range(12)
    ]
    unbeaten = [
        row
        for row in cloud
        if not any(
            (other.params <= row.params and other.accuracy > row.accuracy)
            or (other.params < row.params and other.accuracy >= row.accuracy)
            for other in cloud
        )
    ]
    edge = chart.frontier(cloud, "params")
    assert edge == sorted(unbeaten, key=lambda row: row.params)


@pytest.mark.parametrize(
    ("cost", "year"), [*((cost, None) for cost in chart.COSTS), *(("macs", y) for y in BASELINES)]
)
def test_every_mark_interval_and_baseline_is_inside_the_picture(
    cost: chart.Cost, year: str | None
) -> None:
    rows = network("teacher", 3_384_871, 0.985), network("student", 99_060, 0.031)
    spec = chart.collection_chart(rows, cost, year)
    stated = [row["accuracy"] for row in rows_of(spec, "lines")]
    assert stated == (list(BASELINES[year]) if year else [])
    (low, high), (bottom, top) = domain(spec, "x"), domain(spec, "y")
    for row in rows_of(spec, "networks"):
        assert low <= row[cost] <= high
        assert bottom <= max(row["low"], 0) and min(row["high"], 1) <= top
    assert all(bottom <= accuracy <= top for accuracy in stated)


def test_seeds_are_one_mark_at_their_mean(shipped: tuple[NetworkRow, ...]) -> None:
    assert len(shipped) == len(results_shelf.WHOLE)
    row = next(row for row in shipped if row.stem == DWPW)
    right = results_shelf.WHOLE[DWPW]
    assert row.checkpoint == f"{DWPW}-s0" and row.seeds == (0, 1, 2)
    assert row.accuracy == pytest.approx(sum(right) / 3600)
    assert row.low < min(right) / 1200 and row.high > max(right) / 1200
    faint = [
        seed["accuracy"] for seed in rows_of(chart.collection_chart(shipped, "params"), "seeds")
    ]
    several = [each for each in results_shelf.WHOLE.values() if len(each) > 1]
    assert sorted(faint) == pytest.approx(sorted(one / 1200 for each in several for one in each))
    assert [row.role for row in shipped if "narrow" in row.recipe] == ["pruned"]
    without = (shipped[0]._replace(latency_ms=None), *shipped[1:])
    timed = rows_of(chart.collection_chart(without, "latency_ms"), "networks")
    assert len(timed) == len(shipped) - 1  # what was not timed is left out


@pytest.mark.parametrize("cost", chart.COSTS)
def test_names_are_the_frontiers_and_cover_no_mark(
    shipped: tuple[NetworkRow, ...], cost: chart.Cost
) -> None:
    spec = chart.collection_chart(shipped, cost, "HW13 2022")
    names, edge = rows_of(spec, "names"), rows_of(spec, "edge")
    assert [(row[cost], row["accuracy"]) for row in edge] == sorted(
        (row[cost], row["accuracy"]) for row in edge
    )
    assert len(edge) == len(chart.frontier(shipped, cost)) > 2
    assert {row[cost] for row in names} <= {row[cost] for row in edge}
    best = shipped[0]
    for is_wide in (False, True):
        (named,) = [r for r in names if r["wide"] == is_wide and r["accuracy"] == best.accuracy]
        assert best.title.split(",")[0] in named["text"]
    assert sum(row["wide"] for row in names) >= 3
    (low, high), (bottom, top) = domain(spec, "x"), domain(spec, "y")

    def at(value: float, accuracy: float, px: int) -> tuple[float, float]:
        across = px * math.log(value / low) / math.log(high / low)
        return across, chart._PLOT_PX * (top - accuracy) / (top - bottom)

    for row in names:
        px = chart.WIDTHS_PX[row["wide"]]
        label = Label(row["text"], row["align"], row["dx"], row["dy"])
        left, upper, right, lower = label.box(*at(row[cost], row["accuracy"], px))
        marks = [at(getattr(each, cost), each.accuracy, px) for each in shipped]
        assert not [(x, y) for x, y in marks if left < x < right and upper < y < lower]
    assert json.loads(json.dumps(spec, allow_nan=False)) == spec


def test_the_same_chart_is_made_once(shipped: tuple[NetworkRow, ...]) -> None:
    again = tuple(row._replace() for row in shipped)
    assert chart.collection_chart(again, "macs") is chart.collection_chart(shipped, "macs")


@pytest.mark.parametrize("key", list(FIGURES))
def test_each_curve_is_named_once_and_told_apart(groups: Groups, key: Any) -> None:
    spec = chart.curves_chart(chart.mean_curves(curves(groups, FIGURES[key])[0]))
    ends = rows_of(spec, "ends")
    shown = [stem for stem in FIGURES[key].stems if stem in groups]
    wanted = 2 if FIGURES[key].both_splits else len(shown)
    assert len({end["series"] for end in ends}) == len(ends) == wanted
    assert len({(end["role"], end["dash"]) for end in ends}) == wanted  # colour or dashes differ
    assert {end["epoch"] for end in ends} == {30}
    _stand_apart(spec)


def _stand_apart(spec: Any) -> None:
    """Names, with lines of 16 px in a plot of 330, touch neither each other nor the plot's ends."""
    top = domain(spec, "y")[1]
    boxes = sorted(
        (330 * end["label_at"] / top - half, 330 * end["label_at"] / top + half)
        for end in rows_of(spec, "ends")
        for half in [8 * (1 + end["name"].count("\n"))]
    )
    assert boxes[0][0] >= 0 and boxes[-1][1] <= 330
    assert all(one[1] <= other[0] for one, other in itertools.pairwise(boxes))


def test_long_names_stand_apart_and_a_mean_ends_with_its_shortest_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMALL_PLATES_PRETRAINED", str(tmp_path))
    stems = FIGURES["first"].stems
    results_shelf.fill({stem: (700 + 9 * i,) for i, stem in enumerate(stems)})
    results_shelf.publish(DWPW, 0, 640, epochs=12)
    results_shelf.publish(DWPW, 1, 640, epochs=20)
    groups = by_stem(collect(load_manifest().values()))
    spec = chart.curves_chart(chart.mean_curves(curves(groups, FIGURES["first"])[0]))
    assert any(end["name"].count("\n") == 2 for end in rows_of(spec, "ends"))
    assert not rows_of(spec, "seeds")  # a single seed has no thin line
    _stand_apart(spec)
    (*_others, mean) = chart.mean_curves(curves(groups, FIGURES["9"])[0])
    assert mean.epochs[-1] == len(mean.accuracies) == 12
    assert [seed.epochs[-1] for seed in mean.seeds] == [12, 20]


def test_the_thick_line_is_the_mean_of_the_thin_ones(groups: Groups) -> None:
    spec = chart.curves_chart(chart.mean_curves(curves(groups, FIGURES["1"])[0]))
    (at,) = [
        row["accuracy"]
        for row in rows_of(spec, "means")
        if row["epoch"] == 7 and row["series"] == "validation"
    ]
    by_hand = [
        results_shelf.curve(right, 30, seed).val_correct[6]
        for seed, right in enumerate(results_shelf.WHOLE[DWPW])
    ]
    assert at == pytest.approx(sum(by_hand) / 300)
    assert len({row["checkpoint"] for row in rows_of(spec, "seeds")}) == 3


def test_theirs_stands_beside_ours_and_without_it(groups: Groups) -> None:
    ladder = {row["stem"]: row for row in chart.ladder_rows(groups, FIGURES["16"])}
    for stem, reported in REPORTED_Q4.items():
        right = results_shelf.WHOLE[stem]
        assert ladder[stem]["accuracy"] == pytest.approx(sum(right) / 1200 / len(right))
        assert ladder[stem]["reported"] == reported.accuracy
        assert f"theirs {100 * reported.accuracy:.1f}" in ladder[stem]["text"]
    spec = chart.ladder_chart(chart.ladder_rows(groups, FIGURES["9"]))
    assert sorted(row["reported"] for row in rows_of(spec, "theirs")) == sorted(
        [REPORTED[DWPW].accuracy, REPORTED["dwpw_256k-distilled"].accuracy]
    )
    assert len(rows_of(spec, "seeds")) == 9
    alone = chart.ladder_rows({}, FIGURES["16"])
    assert [row["reported"] for row in alone] == [each.accuracy for each in REPORTED_Q4.values()]
    assert len(rows_of(chart.ladder_chart(alone), "theirs")) == len(REPORTED_Q4)
    assert chart.ladder_rows({}, FIGURES["4"]) == []


def test_a_finding_states_difference_interval_and_what_it_is_over(groups: Groups) -> None:
    answers = {claim.key: judge(claim, groups) for claim in CLAIMS}
    texts = {
        key: results.contrast_text(answer, results.basis_text(answer))
        for key, answer in answers.items()
    }
    for key, answer in answers.items():
        assert answer.contrast is not None
        mean, low, high = answer.contrast.interval()
        for value in (mean, low, high):
            assert f"{100 * value:+.1f}".replace("-", "−") in texts[key], key
        if answer.claim.expects == "same":
            assert "within ±3.2 points" in texts[key]
        else:
            assert ("includes 0" in texts[key]) == (low <= 0 <= high)
    assert "one seed" in texts["depthwise_loses"]  # one seed knows nothing of training's luck
    assert "over seeds" in texts["kd_helps"] and "McNemar" not in texts["kd_helps"]
    reported = results.reported_text(answers["depthwise_loses"])
    assert reported.split() == ["+5.0", "to", "+7.0", "points"]


def test_the_findings_stand_in_one_picture_on_one_axis(groups: Groups) -> None:
    answers = [judge(claim, groups) for claim in CLAIMS]
    given_rows = [results.claim_row(answer) for answer in answers]
    shown = chart.claims_chart(given_rows, "kd_helps")
    hidden = chart.claims_chart(given_rows, "kd_helps", reveal=False)
    for spec, is_revealed in ((shown, True), (hidden, False)):
        rows = {row["key"]: row for row in rows_of(spec)}
        assert rows.keys() == {claim.key for claim in CLAIMS}
        assert [key for key, row in rows.items() if row["on"]] == ["kd_helps"]
        assert rows["kd_helps"]["theirs_low"] == pytest.approx(12.791)
        assert all((row["mean"] is None) != is_revealed for row in rows.values())
        assert json.loads(json.dumps(spec, allow_nan=False)) == spec
    ours = answers[1].contrast
    assert ours is not None
    helps = next(row for row in rows_of(shown) if row["key"] == "kd_helps")
    assert (helps["mean"], helps["low"], helps["high"]) == pytest.approx(
        [100 * value for value in ours.interval()]
    )
    assert helps["mark"] == "triangle-right" and helps["slot"] == "correct"
    assert domain(shown, "x") == domain(hidden, "x")


def test_what_may_lie_behind_a_disagreement_is_in_numbers(groups: Groups) -> None:
    text = " ".join(results.why_lines(groups))
    for number in ("9,866", "110", "90×", "30 epochs", "71.0", "76.9", "1 / 3 seeds", "88.4"):
        assert number in text, number
    assert results.why_lines({}) == []


def test_names_get_shorter_and_end_in_the_network() -> None:
    names = versions(
        "dwpw_256k", "distilled_x", "Depthwise + pointwise CNN, distilled, 22.6 % cut out", "narrow"
    )
    assert names[1:] == ["Depthwise 257 k, distilled, 22.6 % cut out", "Depthwise 257 k, cut"]
    assert versions("design:x", "scratch", "Mine") == ["Mine", "Mine, from scratch"]


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
