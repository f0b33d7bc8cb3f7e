"""The results page's charts and sentences, from a collection whose figures are known."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from core.checkpoints import load_manifest
from core.checkpoints.by_recipe import Collected, by_stem, collect
from core.collection import chart
from core.collection.homework import CLAIMS, DWPW, FIGURES, FigureKey, curves_frame, judge
from core.course import REPORTED, REPORTED_Q4
from pages import results as results_words
from tests import results_shelf as shelf
from tests.charts import rows_of

KEYS = list(FIGURES)


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Collected]:
    monkeypatch.setenv("SMALL_PLATES_PRETRAINED", str(tmp_path))
    shelf.fill()
    return by_stem(collect(load_manifest().values()))


@pytest.mark.parametrize("key", KEYS)
def test_each_curve_is_named_once_and_told_apart(
    groups: dict[str, Collected], key: FigureKey
) -> None:
    frame = chart.drawn_frame(curves_frame(groups, FIGURES[key])[0], groups)
    spec = chart.curves_chart(frame)
    ends = spec["datasets"]["ends"]
    shown = [stem for stem in FIGURES[key].stems if stem in groups]
    wanted = 2 if FIGURES[key].both_splits else len(shown)
    assert ends["series"].nunique() == len(ends) == wanted
    assert not ends.duplicated(["role", "dash"]).any()  # colour or dashes differ
    (top,) = {layer["encoding"]["y"]["scale"]["domain"][1] for layer in _lines(spec)}
    _stand_apart(ends, top)
    assert set(ends["epoch"]) == {30}


def _lines(spec: Mapping[str, Any]) -> list[Any]:
    return [layer for layer in spec["layer"] if layer["mark"]["type"] == "line"]


def _stand_apart(ends: pd.DataFrame, top: float) -> None:
    """Names, with lines of 16 px in a plot of 330, touch neither each other nor the plot's ends."""
    tall = 16 * (1 + ends["name"].str.count("\n")).to_numpy()
    middle = (ends["label_at"] / top * 330).to_numpy()
    order = np.argsort(middle)
    low, high = (middle - tall / 2)[order], (middle + tall / 2)[order]
    assert low[0] >= 0 and high[-1] <= 330 and (low[1:] >= high[:-1]).all()


def test_long_names_stand_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMALL_PLATES_PRETRAINED", str(tmp_path))
    shelf.fill({stem: (700 + 9 * i,) for i, stem in enumerate(FIGURES["first"].stems)})
    groups = by_stem(collect(load_manifest().values()))
    frame = chart.drawn_frame(curves_frame(groups, FIGURES["first"])[0], groups)
    ends = chart.curves_chart(frame)["datasets"]["ends"]
    assert (ends["name"].str.count("\n") == 2).any()
    _stand_apart(ends, 0.7)


def test_the_thick_line_is_the_mean_of_the_thin_ones(groups: dict[str, Collected]) -> None:
    frame = chart.drawn_frame(curves_frame(groups, FIGURES["1"])[0], groups)
    data = chart.curves_chart(frame)["datasets"]
    mean = data["means"]
    at = mean[(mean["epoch"] == 7) & (mean["split"] == "validation")]["accuracy"].item()
    by_hand = [shelf.curve(right, 30, s).val_correct[6] for s, right in
               enumerate(shelf.WHOLE[DWPW])]  # fmt: skip
    assert at == pytest.approx(sum(by_hand) / 300)
    assert data["seeds"]["checkpoint"].nunique() == 3


def test_a_single_seed_has_no_thin_line(groups: dict[str, Collected]) -> None:
    frame = chart.drawn_frame(curves_frame(groups, FIGURES["4"])[0], groups)
    assert chart.curves_chart(frame)["datasets"]["seeds"].empty


def test_a_mean_ends_with_its_shortest_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMALL_PLATES_PRETRAINED", str(tmp_path))
    shelf.publish(DWPW, 0, 640, epochs=12)
    shelf.publish(DWPW, 1, 640, epochs=20)
    groups = by_stem(collect(load_manifest().values()))
    frame = chart.drawn_frame(curves_frame(groups, FIGURES["9"])[0], groups)
    assert chart.mean_frame(frame)["epoch"].max() == 12
    assert frame["epoch"].max() == 20


def test_theirs_stands_beside_ours(groups: dict[str, Collected]) -> None:
    frame = chart.ladder_frame(groups, FIGURES["16"]).set_index("stem")
    for stem, reported in REPORTED_Q4.items():
        right = shelf.WHOLE[stem]
        assert frame.loc[stem, "accuracy"] == pytest.approx(sum(right) / 1200 / len(right))
        assert frame.loc[stem, "reported"] == reported.accuracy
        assert f"theirs {100 * reported.accuracy:.1f}" in str(frame.loc[stem, "text"])
    both = chart.ladder_frame(groups, FIGURES["9"])
    data = chart.ladder_chart(both, groups)["datasets"]
    assert sorted(data["theirs"]["reported"]) == sorted(
        [REPORTED[DWPW].accuracy, REPORTED["dwpw_256k-distilled"].accuracy]
    )
    assert len(data["seeds"]) == 9


def test_their_figure_shows_without_ours() -> None:
    frame = chart.ladder_frame({}, FIGURES["16"])
    assert list(frame["reported"]) == [one.accuracy for one in REPORTED_Q4.values()]
    spec = chart.ladder_chart(frame, {})
    assert spec["datasets"]["ours"].empty and len(spec["datasets"]["theirs"]) == 3
    assert chart.ladder_frame({}, FIGURES["hw13"]).empty


def test_a_sentence_says_its_numbers(groups: dict[str, Collected]) -> None:
    said = {}
    for claim in CLAIMS:
        one = judge(claim, groups)
        said[claim.key] = results_words.contrast_line(one)
        assert one.found is not None
        mean, low, high = one.found.interval()
        for value in (mean, low, high):
            assert f"{100 * value:+.1f}".replace("-", "−") in said[claim.key], claim.key
        if claim.expects == "same":
            assert "within ±3.2 points" in said[claim.key]
        else:
            assert ("includes 0" in said[claim.key]) == (low <= 0 <= high)
        assert results_words.claim_title(claim.key) and results_words.outcome_title(one.outcome())
    assert "more seeds" in said["depthwise_loses"]  # one seed knows nothing of training's luck
    assert "over seeds" in said["kd_helps"] and "McNemar" not in said["kd_helps"]
    theirs = results_words.reported_text(judge(CLAIMS[0], groups))
    assert re.sub(r"\s", " ", theirs) == "+5.0 to +7.0 points"


def test_the_findings_stand_in_one_picture_on_one_axis(groups: dict[str, Collected]) -> None:
    answers = [judge(claim, groups) for claim in CLAIMS]
    given = [results_words.claim_row(one) for one in answers]
    shown = chart.claims_chart(given, "kd_helps")
    hidden = chart.claims_chart(given, "kd_helps", reveal=False)
    for spec, revealed in ((shown, True), (hidden, False)):
        rows = {row["key"]: row for row in rows_of(spec)}
        assert rows.keys() == {claim.key for claim in CLAIMS}
        assert [key for key, row in rows.items() if row["on"]] == ["kd_helps"]
        assert rows["kd_helps"]["theirs_low"] == pytest.approx(12.791)
        assert all((row["mean"] is None) != revealed for row in rows.values())
        assert json.loads(json.dumps(spec, allow_nan=False)) == spec
    ours = answers[1].found
    assert ours is not None
    helps = next(row for row in rows_of(shown) if row["key"] == "kd_helps")
    assert (helps["mean"], helps["low"], helps["high"]) == pytest.approx(
        [100 * value for value in ours.interval()]
    )
    assert helps["mark"] == "triangle-right" and helps["slot"] == "correct"

    def ends(spec: dict[str, Any]) -> list[Any]:
        found = [layer["encoding"].get("x", {}).get("scale") for layer in spec["layer"]]
        return [scale for scale in found if scale and "domain" in scale]

    assert ends(shown) == ends(hidden) != []


def test_what_may_lie_behind_a_disagreement_is_in_numbers(groups: dict[str, Collected]) -> None:
    shown = [one for group in groups.values() for one in group.seeds]
    said = " ".join(results_words.why_lines(groups, shown))
    for number in ("9,866", "110", "90×", "30 epochs", "71.0", "76.9", "1 / 3 seeds", "88.4"):
        assert number in said, number
    assert results_words.why_lines(groups, []) == []
