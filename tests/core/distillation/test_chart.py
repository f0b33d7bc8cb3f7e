"""The distillation page's pictures: fixed axes, one set of inputs, intervals drawn as measured."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from core.charts import numbers
from core.checkpoints import load_manifest
from core.course import CLASSES
from core.distillation import chart, terms
from core.distillation.chart import expression
from core.distillation.verdict import compare
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
def gains(pretrained: Path) -> pd.DataFrame:
    for seed, gain in enumerate((40, 10, -25)):
        publish_answers("scratch", seed, 200)
        publish_answers("distilled", seed, 200 + gain)
    return chart.gain_frame(compare(load_manifest().values())[0])


def test_seeds_and_their_mean_stand_below_each_other(gains: pd.DataFrame) -> None:
    assert list(gains.gain) == pytest.approx([10, 2.5, -6.25, 25 / 12])
    assert [text.split("  ")[0] for text in gains.text] == ["+10.0", "+2.5", "−6.2", "+2.1"]
    assert gains.row.iloc[-1].endswith("mean of 3 seeds")
    assert gains.short.iloc[-1] == "DW+PW 257 k, distilled, mean of 3 seeds"
    assert (gains.low < gains.gain).all() and (gains.gain < gains.high).all()


def test_zero_and_every_interval_are_in_the_picture(gains: pd.DataFrame) -> None:
    spec = chart.gain_chart(gains).to_dict()
    domains = [
        layer["encoding"]["x"]["scale"]["domain"]
        for layer in spec["layer"]
        if "scale" in layer["encoding"].get("x", {})
    ]
    assert len(domains) >= 2
    for low, high in domains:
        assert low == -high and low < gains.low.min() and gains.high.max() < high


def test_a_mean_has_a_mark_that_shows_on_its_interval(gains: pd.DataFrame) -> None:
    spec = chart.gain_chart(gains).to_dict()
    (mark,) = [layer["mark"] for layer in spec["layer"] if layer["mark"]["type"] == "point"]
    assert mark["shape"] == "diamond"  # a stroke would lie in the bar
    mean = gains.iloc[-1]
    assert mean["role"] == "text" and mean["size"] ** 0.5 > 3 * mean["width"]


def test_small_p_values_are_not_given_as_zero() -> None:
    assert numbers.p_text(0.0312) == "p = 0.031"
    assert numbers.p_text(1e-9) == "p < 0.001"
