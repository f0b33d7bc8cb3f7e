"""Names of rows, what a row reports, and the order in which a grid keeps them."""

from typing import Any

import pytest
from pydantic import ValidationError

from core.errors import ConfigError
from core.quantization.method import SCHEMES
from core.quantization.rows import FIXED_BITS, FORMS, QuantizationGrid, QuantRow, RowKey, key_of
from core.stats import wilson

GRID = QuantizationGrid(
    checkpoint="a-b-s0", weights_sha256="0", data="", fingerprint="", device="", versions={},
    commit="", date="",
)  # fmt: skip


def row(scheme: Any, bits: int, **more: Any) -> QuantRow:
    return QuantRow(scheme=scheme, bits=bits, params=10, size_bytes=5, **more)


def test_every_form_has_its_widths() -> None:
    assert set(SCHEMES) | set(FIXED_BITS) == set(FORMS)
    for scheme in SCHEMES:
        assert key_of(scheme, 16) == RowKey("float16", 16)
        assert key_of(scheme, 3) == RowKey(scheme, 3)
    for form, bits in FIXED_BITS.items():
        assert key_of(form, bits)[:2] == (form, bits)
        with pytest.raises(ConfigError, match=form):
            key_of(form, 5)
    with pytest.raises(ConfigError, match="magic"):
        key_of("magic", 8)


def test_a_row_reports_its_accuracy_and_time() -> None:
    spread = {"median": 2.0, "p25": 1.0, "p75": 3.0, "n": 9}
    one = row("ort_int8", 8, n=20, correct=5, latency={"onnx_1": spread})
    assert one.score is not None and one.score.ci95 == wilson(5, 20)
    told = one.report()
    assert told["latency_ms"] == {"median": 2.0, "p25": 1.0, "p75": 3.0}
    assert told["accuracy"] == 0.25
    bare = row("kmeans", 4).report()
    assert bare["latency_ms"] is bare["n"] is bare["accuracy"] is None


def test_a_grid_keeps_one_row_a_key_in_a_fixed_order() -> None:
    after = row("kmeans", 4, training="aware", epochs=5)
    grid = GRID.with_rows([row("kmeans", 2), after, row("kmeans", 4), row("float32", 32)])
    assert grid.float32 == grid.rows[0]
    assert [one.bits for one in grid.of("kmeans")] == [4, 2]
    assert grid.tuned == [after]
    better = row("kmeans", 2, n=4, correct=1)
    changed = grid.with_rows([better])
    assert len(changed.rows) == 4 and changed.row(RowKey("kmeans", 2)) == better
    assert GRID.float32 is None and GRID.row(RowKey("kmeans", 2)) is None


def test_no_row_is_made_of_nonsense() -> None:
    with pytest.raises(ValidationError):
        row("magic", 8)
    with pytest.raises(ValidationError):
        row("kmeans", 8, sqnr_db=float("inf"))
