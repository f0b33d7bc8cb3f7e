"""The distillation page's pictures: fixed axes, one set of inputs, intervals drawn as measured."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.charts import numbers
from core.checkpoints import load_manifest
from core.course import CLASSES
from core.distillation import chart, terms
from core.distillation.against_scratch import compare
from core.distillation.chart import expression
from tests.charts import rows_of
from tests.kd_shelf import publish_answers

STARTS = {"T": 2.5, "alpha": 0.3, "move": 1.0, "pick": 9.0}


def picture(seed: int = 1, label: int = 3, **settings: bool) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    z, v = rng.normal(0, 2, 11).astype("f4"), rng.normal(0, 4, 11).astype("f4")
    return chart.distillation_chart(z, v, label, STARTS, **settings)


def test_the_inputs_start_where_they_are_told() -> None:
    params = {param["name"]: param for param in picture()["params"]}
    assert {name: param["value"] for name, param in params.items()} == STARTS
    assert (params["T"]["bind"]["min"], params["T"]["bind"]["max"]) == (1.0, 20.0)
    assert params["pick"]["bind"]["labels"] == list(CLASSES)
    still = picture(moves=False, is_open=False)
    assert [param["name"] for param in still["params"] if "bind" in param] == ["T", "alpha"]
    closed, whole = (str(spec["layer"][1]) for spec in (still, picture()))
    assert "length:Q" not in closed and "'field': 'length" not in closed  # it answers the guess
    waits = "hidden until you guess"
    assert waits in closed and waits not in whole and "'field': 'length" in whole
    assert still["height"] == picture()["height"]  # nothing jumps at the reveal


def test_another_example_changes_data_only() -> None:
    """So the sliders stay where the reader put them."""
    one, other = picture(1, label=3), picture(2, label=5)
    for spec in (one, other):
        rows = spec.pop("datasets")["answers"].to_pylist()
        assert [row["v"] for row in rows] == sorted((row["v"] for row in rows), reverse=True)
        assert [row["food"][0] == "✓" for row in rows] == [row["truth"] == 1 for row in rows]
    assert one == other


def test_the_axis_holds_every_setting() -> None:
    rows = sorted(picture(7)["datasets"]["answers"].to_pylist(), key=lambda row: row["label"])
    z, v = ([row[name] for row in rows] for name in ("z", "v"))
    assert {row["reach"] for row in rows} == {-rows[0]["reach"], rows[0]["reach"]}
    for t in (1.0, 5.0, 20.0):
        gradient = terms.take_apart(z, v, 3, 1.0, t).gradient
        assert np.abs(gradient).max() <= abs(rows[0]["reach"])


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("{a} soft = {b}", "(A) + ' soft = ' + (B)"),
        ("loss: {a}", "'loss: ' + (A)"),
        ("no number", "'no number'"),
    ],
)
def test_a_translated_sentence_becomes_an_expression(sentence: str, expected: str) -> None:
    assert expression(sentence, a="A", b="B") == expected


def test_a_recipe_has_a_row_with_its_seeds_and_its_interval(pretrained: Path) -> None:
    for seed, gain in enumerate((40, 10, -25)):
        publish_answers("scratch", seed, 200)
        publish_answers("distilled", seed, 200 + gain)
    gains = compare(load_manifest().values())[0]
    (row,) = chart.gain_rows(gains)
    assert row["gain"] == pytest.approx(25 / 12) and row["figure"] == "+2.1"
    assert (
        row["name"] == "Depthwise 257 k, distilled" and "distilled, 3 seeds: +2.1 (" in row["full"]
    )
    low, high = (100 * end for end in gains[0].interval()[1:])
    assert (row["low"], row["high"]) == pytest.approx((low, high))
    spec = chart.gain_chart(gains)
    assert [tick["gain"] for tick in rows_of(spec, "seeds")] == pytest.approx([10, 2.5, -6.25])
    assert rows_of(spec) == [row]
    for layer in spec["layer"]:  # zero and the interval are in the picture
        if "scale" in layer["encoding"].get("x", {}):
            least, most = layer["encoding"]["x"]["scale"]["domain"]
            assert least == -most and least < low and high < most


def test_small_p_values_are_not_given_as_zero() -> None:
    assert numbers.p_text(0.0312) == "p = 0.031"
    assert numbers.p_text(1e-9) == "p < 0.001"
