"""One network brought to the same size by each method: rows against the networks they speak of."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core import checkpoints
from core.errors import CheckpointError
from core.export import make_same_size as maker
from core.export.make_same_size import STUDENTS, make_same_size, state, wanted
from core.export.same_size import NEAR, SIZES_BYTES, WAYS, RowKey, SameSize, SameSizeRow, packed
from core.models import registry
from core.models.cost import count_params
from tests.core.tiny_shelf import ID, publish_one


def test_the_students_have_the_size_that_they_stand_for() -> None:
    assert set(STUDENTS) == set(SIZES_BYTES)
    for size, design in STUDENTS.items():
        net = registry.get(design).build()
        weights = sum(tensor.numel() for tensor in net.state_dict().values())
        assert abs(2 * weights - size) < 0.15 * size


def test_a_row_keeps_which_photographs_were_right() -> None:
    right = np.random.default_rng(0).random(1492) < 0.6
    row = SameSizeRow(way="pruned", target_bytes=9, setting="", bits=16, params=1, macs=1,
                      size_bytes=1, epochs=1, n=1492, right=packed(right))  # fmt: skip
    kept = SameSizeRow.model_validate_json(row.model_dump_json()).was_right()
    assert kept is not None and (kept == right).all()
    assert row.model_copy(update={"n": None}).was_right() is None


def test_bits_cannot_make_every_network_small_enough() -> None:
    facts: dict[str, Any] = dict.fromkeys(SameSize.model_fields, "") | {
        "versions": {},
        "rows": (),
        "threads": 1,
    }
    for smallest, ways in ((1_400_000, 6), (1_300_000, 7), (300_000 * (1 + NEAR), 8)):
        kept = SameSize(**facts | {"smallest_bytes": int(smallest)})
        assert len(wanted(kept)) == ways


@pytest.mark.slow
def test_every_method_reaches_the_size_and_is_measured(
    here: Path, food: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMALL_PLATES_PRETRAINED", str(tmp_path / "pretrained"))
    monkeypatch.setenv("SMALL_PLATES_CACHE", str(tmp_path / "cache"))
    publish_one(food)
    whole = checkpoints.get(ID)
    size = int(1.2 * whole.params)  # bytes: about half its weights in float16
    design = "design:px32-relu6-stem8p-sep16"
    monkeypatch.setattr(maker, "SIZES_BYTES", (size,))
    monkeypatch.setattr(maker, "STUDENTS", {size: design})
    monkeypatch.setattr(maker, "REPEATS", 3)
    monkeypatch.setitem(maker.LESSON, "views", 1)
    assert state(ID) == "missing"
    begun = make_same_size(ID, lambda _line: None, epochs=1, timed=False)
    assert state(ID) == "started"
    made = make_same_size(ID, lambda _line: None, epochs=1)
    assert state(ID) == "done" and SameSize.load(ID) == made
    assert [row.key for row in made.rows] == [RowKey(way, size) for way in WAYS]
    for row, before in zip(made.rows, begun.rows, strict=True):
        assert row.model_copy(update={"latency": {}}) == before  # only times are new
        right = row.was_right()
        assert right is not None and int(right.sum()) == row.correct and row.n == 22
        assert row.epochs == 1 and row.latency["onnx_1"].median > 0
    rows = {row.way: row for row in made.rows}
    assert rows["distilled"].params == count_params(registry.get(design).build())
    for way in ("lowrank", "pruned"):
        assert 2 * rows[way].params <= size and rows[way].params < whole.params
        assert rows[way].macs < whole.macs
    assert rows["quantised"].params == whole.params and rows["quantised"].macs == whole.macs
    nearest = min(range(1, 9), key=lambda bits: abs(bits * whole.params / 8 - size))
    assert rows["quantised"].bits == nearest


def test_it_takes_photographs(
    here: Path, food: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMALL_PLATES_PRETRAINED", str(tmp_path / "pretrained"))
    publish_one(food)
    monkeypatch.delenv("FOOD11_ROOT", raising=False)
    with pytest.raises(CheckpointError, match="photographs"):
        make_same_size(ID, lambda _line: None)
