"""The pages' own charts: what they draw, and that their axes stand still."""

from typing import Any

import numpy as np
import pandas as pd

from core.charts import answers
from core.course import CLASSES
from core.distillation import chart as heat
from core.distillation.temperature import T_HIGH, T_LOW
from tests.charts import rows_of

K = len(CLASSES)


def encodings(spec: Any) -> list[dict[str, Any]]:
    """Every `encoding` anywhere in a specification."""
    if isinstance(spec, list):
        return [found for part in spec for found in encodings(part)]
    if not isinstance(spec, dict):
        return []
    own = [spec["encoding"]] if "encoding" in spec else []
    return own + [found for part in spec.values() for found in encodings(part)]


def test_bars_of_an_answer_stay_on_a_fixed_axis() -> None:
    domains = []
    for top in (0.2, 1.0):
        rest = (1 - top) / (K - 1)
        frame = pd.DataFrame(
            {
                "label": range(K),
                "food": CLASSES,
                "probability": [top] + [rest] * (K - 1),
                "rank": range(1, K + 1),
                "top": [True] * 3 + [False] * (K - 3),
            }
        )
        spec = answers.answer_chart(frame, "teacher")
        domains += [one["x"]["scale"]["domain"] for one in encodings(spec) if "x" in one]
        names = [row["name"] for row in rows_of(spec, "answer")]
        assert names[:4] == ["1. Bread", "2. Dairy product", "3. Dessert", "Egg"]
    assert all(domain == [0, 1.22] for domain in domains)


def voices(scale: float = 1.0) -> list[heat.Voice]:
    rng = np.random.default_rng(1)
    return [
        heat.Voice("Teacher", "A teacher", "teacher", (rng.normal(size=K) * scale).astype("f4")),
        heat.Voice("Student", "A student", "distilled", (rng.normal(size=K) * scale).astype("f4")),
    ]


def picture(scale: float = 1.0, start: float = 1.0, truth: int | None = 3) -> dict[str, Any]:
    drawn = voices(scale)
    return heat.temperature_chart(drawn, start, truth)


def test_one_slider_moves_the_whole_picture() -> None:
    spec = picture(start=4.0)
    (slider,) = [one for one in spec["params"] if one["name"] == "T"]
    assert slider["value"] == 4.0
    assert slider["bind"]["input"] == "range"
    assert (slider["bind"]["min"], slider["bind"]["max"]) == (T_LOW, T_HIGH)
    assert "concat" not in str(list(spec))  # one plot follows the width of the screen


def test_another_example_changes_data_only() -> None:
    """So nothing jumps: axes, and the slider's place, are those of the example before."""
    one, other = picture(1.0, truth=3), picture(5.0, truth=None)
    for spec in (one, other):
        spec.pop("datasets")
    assert one == other


def test_classes_stand_in_the_teachers_order_and_the_true_one_is_ticked() -> None:
    rows = picture(truth=3)["datasets"]["answers"].to_pandas()
    teacher = rows[rows["series"] == "A teacher"].sort_values("place")
    assert list(teacher["logit"]) == sorted(teacher["logit"], reverse=True)
    assert teacher["gap"].max() == 0
    ticked = rows[rows["food"].str.startswith("✓")]
    assert set(ticked["food"]) == {f"✓ {CLASSES[3]}"}
    unknown = picture(truth=None)["datasets"]["answers"].to_pylist()
    assert not any(row["food"].startswith("✓") for row in unknown)
