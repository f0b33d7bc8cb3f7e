"""The benchmark trains both loops for real and states what it did."""

from pathlib import Path

import pytest

from tests.food import make_food11
from tools.bench_training import bench_training

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def food(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("food11")
    make_food11(folder, per_class={"training": 2, "validation": 1, "testing": 1}, size=(48, 40))
    (folder / "training" / "3_99.jpg").write_text("not a picture, which neither loop may trip over")
    return folder


def test_both_loops_are_measured_in_turns(food: Path) -> None:
    found = bench_training(px=32, batch_size=8, turns=1, steps=1, device="cpu", data=food)
    for name in ("course", "ours"):
        speed = found[name]["images_per_s"]
        assert 0 < speed["p25"] <= speed["median"] <= speed["p75"]
    slowest = found["ours"]["images_per_s"]["p25"] / found["course"]["images_per_s"]["p75"]
    fastest = found["ours"]["images_per_s"]["p75"] / found["course"]["images_per_s"]["p25"]
    assert slowest * 0.9 <= found["ratio"]["median"] <= fastest * 1.1
    assert found["batch_size"] == 8
    assert "not Food-11" in found["data"] or "Food-11 copy" in found["data"]
