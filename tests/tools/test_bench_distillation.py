"""The benchmark of distillation: each way trains for real, and asks the teacher as it says."""

import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from core.training import teacher_cache
from core.training.config import TrainConfig
from core.training.speed import Compute
from tools import bench_training
from tools.bench_training import bench_distillation

pytestmark = pytest.mark.slow


class Pipe:
    """Asks for three epochs, then goes away."""

    def __init__(self) -> None:
        self.epochs = iter(range(3))
        self.calls = 0  # photographs that the teacher was asked about
        self.told: list[tuple[float, int]] = []

    def recv(self) -> int:
        try:
            return next(self.epochs)
        except StopIteration:
            raise EOFError from None

    def send(self, seconds: float) -> None:
        self.told.append((seconds, self.calls))


@pytest.mark.parametrize(
    ("way", "asked"), [("scratch", [0, 0, 0]), ("kept", [44, 44, 44]), ("asked", [44, 88, 132])]
)
def test_each_way_asks_the_teacher_as_it_says(
    tiny: TrainConfig,
    tiny_teacher: str,
    monkeypatch: pytest.MonkeyPatch,
    way: str,
    asked: list[int],
) -> None:
    """Of 44 photographs, once or in every epoch."""
    monkeypatch.setenv("SMALL_PLATES_CACHE", os.environ["SMALL_PLATES_CACHE"])
    pipe, answer = Pipe(), teacher_cache.Teacher.logits

    def counted(self: teacher_cache.Teacher, x: Any) -> Any:
        pipe.calls += len(x)
        return answer(self, x)

    monkeypatch.setattr(teacher_cache.Teacher, "logits", counted)
    config = tiny.model_copy(update={"teacher": tiny_teacher, "data": ""})
    compute = Compute("cpu", bfloat16=False, channels_last=False)
    work = bench_training.Training(way, config, Path(tiny.data), compute)
    bench_training._epochs(pipe, work)  # type: ignore[arg-type]
    assert [calls for _seconds, calls in pipe.told] == asked
    assert all(seconds > 0 for seconds, _calls in pipe.told)
    assert not Path(os.environ["SMALL_PLATES_CACHE"]).exists()  # its answers are not left behind


@pytest.mark.slow
def test_the_ways_take_turns(
    tiny: TrainConfig, tiny_teacher: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # a page tested before leaves its script as the main module, which new processes would run
    monkeypatch.setitem(sys.modules, "__main__", ModuleType("__main__"))
    found = bench_distillation(
        "dwpw_256k", tiny_teacher, px=32, turns=2, device="cpu", data=Path(tiny.data)
    )
    assert (found["photographs"], found["teacher_runs_on"]) == (44, "onnxruntime")
    for spread in (*found["epoch_s"].values(), *found["ratio"].values()):
        assert 0 < spread["p25"] <= spread["median"] <= spread["p75"]
    run, ratio = found["run"], found["ratio"]
    new = min(run["views"], run["epochs"])
    whole = new * ratio["asked"]["median"] + (run["epochs"] - new) * ratio["kept"]["median"]
    assert run["first_student"] == pytest.approx(whole / run["epochs"], abs=2e-3)
    assert run["later_students"] == pytest.approx(ratio["kept"]["median"], abs=2e-3)
