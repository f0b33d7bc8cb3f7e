"""A live quantisation run: what the worker tells, and that the line reads it."""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.errors import UserError
from core.live import LiveRuns
from core.quantization.graph import quantized_file
from core.quantization.measure import measure_live as run
from core.quantization.rows import RUNS, QuantPoint, QuantRow
from tests.food import make_food11
from tests.pages import pruning_shelf
from tests.pages.pruning_shelf import SCRATCH


@pytest.fixture(scope="module")
def food(tmp_path_factory: pytest.TempPathFactory) -> Path:
    counts = {"training": 1, "validation": 1, "testing": 4}
    return make_food11(tmp_path_factory.mktemp("food"), per_class=counts)


@pytest.fixture(scope="module", autouse=True)
def shipped(tmp_path_factory: pytest.TempPathFactory, food: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SMALL_PLATES_PRETRAINED", str(tmp_path_factory.mktemp("pretrained")))
        pruning_shelf.publish(food)
        yield


def asked(**changes: Any) -> dict[str, Any]:
    return QuantPoint(SCRATCH, "0" * 64, "kmeans", 3)._asdict() | changes


def test_the_worker_tells_its_steps_and_both_rows(
    food: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOOD11_ROOT", str(food))
    told: list[dict[str, Any]] = []
    run(asked(), told.append)
    steps = [one["step"] for one in told[:-1]]
    assert list(dict.fromkeys(steps)) == ["whole", "accuracy"]
    assert told[-2] == {"step": "accuracy", "done": 44, "of": 44}
    row, whole = (QuantRow.model_validate(one) for one in told[-1]["rows"])
    assert (row.scheme, row.bits, row.n) == ("kmeans", 3, 44)
    assert row.size_bytes == len(quantized_file(SCRATCH, "kmeans", 3))
    assert (whole.scheme, whole.bits, whole.n) == ("float32", 32, 44)


def test_without_photographs_there_is_no_accuracy_but_a_file() -> None:
    told: list[dict[str, Any]] = []
    run(asked(bits=16), told.append)
    (row, _whole) = told[-1]["rows"]
    assert row["n"] is None and row["scheme"] == "float16" and row["size_bytes"] > 0


@pytest.mark.parametrize("change", [{"checkpoint": "none-s0"}, {"bits": 9}, {"scheme": "magic"}])
def test_what_cannot_be_done_is_said(change: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        run(asked(**change), lambda _said: None)


def test_the_line_reads_the_workers_rows() -> None:
    row = QuantRow(scheme="kmeans", bits=3, params=9, size_bytes=36, n=10, correct=4)
    program = f"""
import json, sys
asked = json.loads(sys.stdin.readline())
assert asked["scheme"] == "kmeans" and asked["bits"] == 3
print(json.dumps({{"step": "accuracy", "done": 1, "of": 9}}), flush=True)
print({json.dumps({"rows": [row.model_dump(mode="json")]})!r}, flush=True)
"""
    line: LiveRuns[QuantPoint, QuantRow] = LiveRuns(QuantRow, "")
    line._worker = (sys.executable, "-c", program)
    point = QuantPoint("some-s0", "a" * 64, "kmeans", 3)
    job = line.ask(point, "me")
    end = time.monotonic() + 30
    while not job.is_over and time.monotonic() < end:
        time.sleep(0.02)
    assert job.state == "done" and job.rows == (row,)
    assert line.finished("some-s0", "a" * 64, "kmeans") == [job]
    assert line.finished("some-s0", "a" * 64, "tensor_minmax") == []


def test_the_line_names_its_measurement() -> None:
    assert RUNS._worker[1:] == ("-m", "core.live", f"{run.__module__}:measure_live")
