"""The distillation page's pictures: fixed axes, one set of inputs, intervals drawn as measured."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.charts import numbers
from core.checkpoints import load_manifest
from core.checkpoints.by_recipe import Contrast
from core.course import CLASSES
from core.distillation import chart, terms
from core.distillation.chart import expression
from core.distillation.verdict import compare
from tests.charts import rows_of
from tests.kd_shelf import publish_answers


def picture(seed: int = 1, t: float = 4.0, alpha: float = 0.5, label: int = 3) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    z, v = rng.normal(0, 2, 11).astype("f4"), rng.normal(0, 4, 11).astype("f4")
    return chart.distillation_chart(z, v, label, t, alpha)


def test_the_inputs_start_where_they_are_told() -> None:
    found = {one["name"]: one for one in picture(t=2.5, alpha=0.3)["params"] if "bind" in one}
    assert {name: one["value"] for name, one in found.items()} == {
        "T": 2.5,
        "alpha": 0.3,
        "move": 0.0,
        "pick": 0,
    }
    assert (found["T"]["bind"]["min"], found["T"]["bind"]["max"]) == (1.0, 20.0)
    assert found["pick"]["bind"]["labels"] == list(CLASSES)


def test_another_example_changes_data_only() -> None:
    """So the sliders stay where the reader put them."""
    one, other = picture(1, label=3), picture(2, label=5)
    for spec in (one, other):
        spec.pop("datasets")
    assert one == other


def test_classes_stand_in_the_teachers_order_and_the_true_one_is_ticked() -> None:
    rows = picture(label=5)["datasets"]["answers"]
    assert list(rows.v) == sorted(rows.v, reverse=True)
    assert list(rows.food[rows.truth == 1]) == [f"✓ {CLASSES[5]}"]
    assert rows.truth.sum() == 1


def test_the_axis_holds_every_setting() -> None:
    frames = picture(7)["datasets"]
    rows = frames["answers"].sort_values("label")
    (low, high) = frames["bounds"].reach
    assert low == -high
    for t in (1.0, 5.0, 20.0):
        parts = terms.take_apart(rows.z, rows.v, 3, 1.0, t)
        assert np.abs(parts.gradient).max() <= high


@pytest.mark.parametrize(
    ("sentence", "made"),
    [
        ("{a} soft = {b}", "(A) + ' soft = ' + (B)"),
        ("loss: {a}", "'loss: ' + (A)"),
        ("{b}", "(B)"),
        ("no number", "'no number'"),
    ],
)
def test_a_translated_sentence_becomes_an_expression(sentence: str, made: str) -> None:
    assert expression(sentence, a="A", b="B") == made


@pytest.fixture
def gains(pretrained: Path) -> list[Contrast]:
    for seed, gain in enumerate((40, 10, -25)):
        publish_answers("scratch", seed, 200)
        publish_answers("distilled", seed, 200 + gain)
    return compare(load_manifest().values())[0]


def test_a_recipe_has_a_row_and_its_seeds_stand_in_it(gains: list[Contrast]) -> None:
    (row,) = chart.gain_frame(gains).to_dict("records")
    assert row["gain"] == pytest.approx(25 / 12) and row["text"].startswith("+2.1  (")
    assert row["row"].endswith("distilled, 3 seeds") and row["seeds"] == 3
    assert row["short"] == "DW+PW 257 k, distilled"
    assert (row["low"], row["high"]) == pytest.approx([100 * x for x in gains[0].interval()[1:]])
    spec = chart.gain_chart(gains)
    assert [one["gain"] for one in rows_of(spec, "seeds")] == pytest.approx([10, 2.5, -6.25])
    assert {one["place"] for one in rows_of(spec, "seeds")} == {0}
    (mean,) = rows_of(spec, "means")
    assert mean["gain"] == row["gain"]
    (mark,) = [one["mark"] for one in spec["layer"] if one["mark"]["type"] == "point"]
    assert mark["size"] ** 0.5 > 10  # wider than the bar that it lies on


def test_zero_and_every_interval_are_in_the_picture(gains: list[Contrast]) -> None:
    domains = [
        layer["encoding"]["x"]["scale"]["domain"]
        for layer in chart.gain_chart(gains)["layer"]
        if "scale" in layer["encoding"].get("x", {})
    ]
    assert len(domains) >= 2
    _mean, least, most = gains[0].interval()
    for low, high in domains:
        assert low == -high and low < 100 * least and 100 * most < high


def test_small_p_values_are_not_given_as_zero() -> None:
    assert numbers.p_text(0.0312) == "p = 0.031"
    assert numbers.p_text(1e-9) == "p < 0.001"
