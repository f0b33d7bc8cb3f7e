"""The pages' own charts: what they draw, and that their axes stand still."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.charts import answers, collection
from core.charts import temperature as heat
from core.course import CLASSES
from core.serving.softening import T_HIGH, T_LOW, entropy_curves

K = len(CLASSES)


def network(name: str, params: int, accuracy: float, role: str = "scratch") -> dict[str, Any]:
    return {
        "checkpoint": name,
        "title": name,
        "role": role,
        "params": params,
        "macs": params * 100,
        "size_bytes": params * 2,
        "accuracy": accuracy,
        "low": accuracy - 0.02,
        "high": accuracy + 0.02,
        "n": 1492,
        "data": "made up",
        "seed": 0,
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


def test_the_frontier_is_what_nothing_beats(cloud: pd.DataFrame) -> None:
    chosen = collection.frontier(cloud, "params")
    for i, (_, one) in enumerate(cloud.iterrows()):
        beaten = any(
            (other.params <= one.params and other.accuracy > one.accuracy)
            or (other.params < one.params and other.accuracy >= one.accuracy)
            for _, other in cloud.iterrows()
        )
        assert chosen.iloc[i] == (not beaten)


@pytest.mark.parametrize("cost", collection.COSTS)
def test_every_mark_and_interval_is_inside_the_picture(cost: collection.Cost) -> None:
    frame = pd.DataFrame(
        [network("teacher", 3_384_871, 0.985, "teacher"), network("student", 99_060, 0.031)]
    )
    spec = collection.collection_chart(frame, cost)
    shown = spec["datasets"]["networks"]
    for one in encodings(spec):
        for axis, columns in (("x", [cost]), ("y", ["low", "accuracy", "high"])):
            scale = one.get(axis, {}).get("scale")
            if scale:
                low, high = scale["domain"]
                for column in columns:
                    inside = shown[column].clip(upper=1.0 if axis == "y" else None)
                    assert low <= inside.min() and inside.max() <= high


def test_many_networks_are_not_all_named(cloud: pd.DataFrame) -> None:
    spec = collection.collection_chart(cloud, "params")
    shown = spec["datasets"]["networks"]
    named = shown[shown["label"] != ""]
    best = set(np.flatnonzero(collection.frontier(cloud, "params")))
    assert named.index.size and set(named.index) <= best  # less those without room


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
        names = list(spec["datasets"]["answer"]["name"])
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
    curves = entropy_curves([v.logits for v in drawn], [v.title for v in drawn])
    return heat.temperature_chart(drawn, curves, heat.Range(T_LOW, T_HIGH, 0.1, start), truth)


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
    rows = picture(truth=3)["datasets"]["answers"]
    teacher = rows[rows["series"] == "A teacher"].sort_values("place")
    assert list(teacher["logit"]) == sorted(teacher["logit"], reverse=True)
    assert teacher["gap"].max() == 0
    ticked = rows[rows["food"].str.startswith("✓")]
    assert set(ticked["food"]) == {f"✓ {CLASSES[3]}"}
    assert not picture(truth=None)["datasets"]["answers"]["food"].str.startswith("✓").any()


def test_the_frame_leaves_out_what_was_not_measured(tmp_path: Path) -> None:
    class Fake:
        id = title = "x"
        family, recipe, params, macs, size_bytes, seed = "student", "scratch", 10, 20, 30, 0
        test = None

    assert collection.collection_frame([Fake()]).empty  # type: ignore[list-item]
    assert list(collection.collection_frame([])) == list(collection.COLUMNS)


NAMES = st.sampled_from(["Short", "Long,\nin two lines"])


@given(
    st.lists(
        st.tuples(st.floats(0, 1), st.floats(0, 1), NAMES),
        min_size=1,
        max_size=12,
    )
)
def test_names_beside_the_marks_never_cover_each_other(
    marks: list[tuple[float, float, str]],
) -> None:
    """Each shown name's box, worked out here from its side, is free of every other and of marks."""
    x, y, names = (list(column) for column in zip(*marks, strict=True))
    shown, after = collection._beside(names, x, y, [False] * len(marks))
    boxes = []
    for a, b, name, is_after in zip(x, y, shown, after, strict=True):
        if not name:
            continue
        wide = 7.5 * max(map(len, name.split("\n")))
        left = collection.PLOT_PX * a + (12 if is_after else -12 - wide)
        assert left >= 0 and left + wide <= collection.PLOT_PX
        high = 17 * len(name.split("\n"))
        middle = collection.HEIGHT_PX * b
        boxes.append((left, left + wide, middle - high / 2, middle + high / 2))
    for i, one in enumerate(boxes):
        for other in boxes[i + 1 :]:
            across = one[0] < other[1] and other[0] < one[1]
            down = one[2] < other[3] and other[2] < one[3]
            assert not (across and down)


def test_a_name_with_room_is_shown() -> None:
    shown, after = collection._beside(["Alone"], [0.2], [0.5], [True])
    assert shown == ["Alone"] and after == [True]
    assert collection._beside(["Alone"], [0.9], [0.5], [True])[1] == [False]
