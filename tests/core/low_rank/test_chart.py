"""The low-rank page's charts and sentences: round numbers in, the same numbers out."""

from pathlib import Path

import numpy as np
import pytest

from core.charts import numbers
from core.checkpoints import Checkpoint, load_manifest
from core.checkpoints.factored import METHODS, Form, LayerShape, Method, Ranks
from core.low_rank.chart import (
    FLOOR,
    accuracy_chart,
    accuracy_data,
    accuracy_frame,
    floor_of,
    formula,
    layer_chart,
    layer_data,
    others_frame,
    ranks_frame,
    time_chart,
    time_frame,
    values_frame,
    whole_row,
)
from core.low_rank.method import Decomposition, LayerCurve, layer_curve
from core.low_rank.rows import LowRankGrid, LowRankRow
from core.timing import Spread
from pages import low_rank as words_of
from tests import results_shelf

CONV = LayerShape("body.0", 6, 8, (3, 3), in_size=(4, 4), out_size=(4, 4))
POINT = LayerShape("body.3", 9, 5, bias=False, in_size=(4, 4), out_size=(4, 4))
SHAPES = (CONV, LayerShape("body.1", 8, 8, (3, 3), groups=8), POINT)
N = 1000


def curve(shape: LayerShape, form: Form) -> LayerCurve:
    rng = np.random.default_rng(0)
    return layer_curve(shape, Decomposition(form, rng.normal(size=_size(shape))))


def _size(shape: LayerShape) -> tuple[int, ...]:
    return (shape.outputs, shape.inputs, *shape.kernel)


def spread(median: float, half: float = 0.1) -> Spread:
    return Spread(median=median, p25=median - half, p75=median + half, n=30)


def row(
    method: Method, energy: float, correct: int | None, ms: float | None = None, epochs: int = 0
) -> LowRankRow:
    ranks: Ranks = {} if energy == 1 else {"body.0": (2, 3) if method == "tucker2" else (4,)}
    return LowRankRow(
        method=method, energy=energy, finetune_epochs=epochs, ranks=ranks, kept=energy,
        params=round(10_000 * energy**2), macs=round(1e6 * energy**2), size_bytes=20_000,
        latency={} if ms is None else {"torch_1": spread(ms)},
        n=None if correct is None else N, correct=correct,
    )  # fmt: skip


GRID = LowRankGrid(
    checkpoint="x-scratch-s0", weights_sha256="0" * 64, data="made up", fingerprint="f",
    shapes=SHAPES, device="an abacus", versions={}, commit="none", date="2026-11-22",
    rows=(
        *(row(method, 1.0, 800, 10.0) for method in METHODS),
        row("spatial", 0.9, 790, 9.0), row("tucker2", 0.9, 700, 12.0), row("svd", 0.99, 800),
        row("spatial", 0.5, 300, 9.95), row("tucker2", 0.5, 200),
        row("spatial", 0.5, 750, epochs=3),
    ),
)  # fmt: skip


def flat(text: str) -> str:
    return text.replace(numbers.THIN, "")


@pytest.mark.parametrize(("shape", "form"), [(CONV, "spatial"), (CONV, "tucker2"), (POINT, "svd")])
def test_the_formula_filled_in_gives_the_number_of_parameters(
    shape: LayerShape, form: Form
) -> None:
    """Evaluated as arithmetic, against the factors' own sizes."""
    one = curve(shape, form)
    weight = np.random.default_rng(0).normal(size=_size(shape))
    for rank in (1, 3, one.full):
        ranks = one.ranks(rank)
        written = formula(shape, form).format(*ranks)
        made = sum(f.size for f in Decomposition(form, weight).factors(ranks))
        value = eval(written.replace("·", "*"), {})  # noqa: S307 - our own sum of numbers
        assert value == made + shape.bias * shape.outputs


def test_a_layers_data_can_be_taken_along() -> None:
    weight = np.diag([4.0, 3.0, 2.0, 1.0])  # singular values that need no library
    one = layer_curve(LayerShape("fc", 4, 4), Decomposition("svd", weight))
    frame = layer_data(one)
    assert frame["rank"].tolist() == [1, 2, 3, 4]
    assert frame["value"].tolist() == pytest.approx([1, 0.75, 0.5, 0.25])
    assert frame["kept"].tolist() == pytest.approx([16 / 30, 25 / 30, 29 / 30, 1])
    both = layer_data(curve(CONV, "tucker2")).set_index("rank")
    assert both["value_in"].notna().sum() == 6 and both["value_out"].notna().sum() == 8


def test_every_rank_travels_to_the_browser() -> None:
    one = curve(CONV, "tucker2")
    spec = layer_chart(one, 3)
    data = spec["datasets"]
    assert len(data["ranks"]) == one.full == 8 and len(data["values"]) == 6 + 8
    assert data["ranks"]["first"].tolist() == [1, 2, 3, 4, 5, 6, 6, 6]
    assert data["ranks"]["last"].tolist() == list(range(1, 9))
    assert data["even"]["rank"].tolist() == [one.break_even]
    (slider,) = [p for p in spec["params"] if p["name"] == "R"]
    assert (slider["bind"]["min"], slider["bind"]["max"], slider["value"]) == (1, 8, 3)
    assert data["ranks"]["kept"].iloc[-1] == pytest.approx(1)
    assert len({round(y, 6) for y in data["ends"]["label_at"]}) == 2


def test_before_the_reveal_nothing_says_what_a_rank_keeps() -> None:
    one = curve(CONV, "tucker2")
    data = layer_chart(one, 3, reveal=False)["datasets"]
    assert data["ranks"]["kept"].isna().all() and data["ranks"]["params"].notna().all()
    assert len(data["ends"]) == 1 and len(data["values"]) == 6 + 8


def test_singular_values_are_shares_of_the_first() -> None:
    weight = np.diag([8.0, 4.0, 1.0, 0.0])[:, :]
    one = layer_curve(LayerShape("fc", 4, 4), Decomposition("svd", weight))
    frame = values_frame(one)
    assert frame["value"].tolist() == pytest.approx([1, 0.5, 0.125, FLOOR])
    assert floor_of(one) == FLOOR
    assert ranks_frame(one)["kept"].tolist() == pytest.approx([64 / 81, 80 / 81, 1, 1])
    flatter = layer_curve(LayerShape("fc", 2, 2), Decomposition("svd", np.diag([2.0, 0.5])))
    assert floor_of(flatter) == pytest.approx(0.1)


def test_what_a_layer_needs_is_said_from_its_numbers() -> None:
    weight = np.diag([8.0, 4.0, 1.0, 0.5])
    one = layer_curve(LayerShape("fc", 4, 4, bias=False), Decomposition("svd", weight))
    first, second = (flat(line) for line in words_of.layer_lines(one))
    assert "first **1** of 4 ranks" in first and "first **2** (50%)" in first
    assert "only up to rank **1**" in second and "32 parameters, the layer 16" in second
    assert words_of.guess_of(one) == "most"
    wide = np.diag([9.0] + [0.1] * 19)
    assert words_of.guess_of(
        layer_curve(LayerShape("fc", 20, 20), Decomposition("svd", wide))
    ) == "tenth"  # fmt: skip
    none = layer_curve(LayerShape("fc", 1, 3), Decomposition("svd", np.ones((3, 1))))
    assert "No rank saves" in words_of.layer_lines(none)[1]


@pytest.fixture
def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Checkpoint]:
    """A collection with every recipe of the reports."""
    monkeypatch.setenv("SMALL_PLATES_PRETRAINED", str(tmp_path))
    results_shelf.fill()
    return load_manifest()


def test_the_accuracy_chart_draws_what_was_measured(found: dict[str, Checkpoint]) -> None:
    frame = accuracy_frame(GRID, ("spatial", "tucker2"), finetuned=True)
    others = others_frame([], found["plain_2m-scratch-s0"], "")
    now = GRID.rows[0]
    shown = accuracy_chart(frame, others, now)["datasets"]
    assert len(shown["curves"]) == 6 and len(shown["tuned"]) == 1
    assert shown["now"]["params"].tolist() == [now.params]
    assert shown["ends"].empty  # a name in the plot would look like a network


def test_beside_the_curves_stand_other_designs_trained_in_the_same_way(
    found: dict[str, Checkpoint],
) -> None:
    whole = found["plain_2m-scratch-s0"]
    frame = others_frame(found.values(), whole, whole.data.fingerprint)
    assert sorted(frame["name"]) == [
        "■ Best 100 k", "■ Depthwise 257 k", "■ Group 277 k", "■ Plain 275 k",
    ]  # fmt: skip
    row = frame.set_index("name").loc["■ Depthwise 257 k"]  # three seeds, of 1,200 photographs each
    assert row["accuracy"] == pytest.approx((640 + 655 + 630) / 3 / 1200)
    assert row["low"] < row["accuracy"] < row["high"]
    taught = others_frame(found.values(), found["dwpw_256k-distilled-s0"], whole.data.fingerprint)
    assert list(taught["name"]) == ["◆ Best 100 k"]
    assert others_frame(found.values(), whole, "other photographs").empty
    curves = accuracy_frame(GRID, ("spatial",))
    data = accuracy_data(curves, frame)  # to take along: a row a point, then a row a design
    assert len(data) == len(curves) + 4
    assert set(data["series"].tail(4)) == set(frame["title"])
    assert data["accuracy"].notna().all() and data["params"].notna().all()


def test_accuracy_is_told_from_its_numbers() -> None:
    frame = accuracy_frame(GRID, ("spatial",))
    (line,) = (flat(one) for one in words_of.accuracy_lines(frame))
    assert "80.0%" in line and "down to 81% of the parameters" in line
    assert "2,500 parameters it is right on 30.0%" in line


def test_methods_that_take_nothing_are_not_drawn() -> None:
    assert GRID.worth_showing(METHODS) == ("spatial", "tucker2")


def test_times_stand_against_macs() -> None:
    frame = time_frame(GRID, ("spatial", "tucker2"), "torch_1")
    assert frame[["method", "energy"]].to_numpy().tolist() == [
        ["spatial", 0.9], ["spatial", 0.5], ["tucker2", 0.9],
    ]  # fmt: skip
    assert frame["share"].tolist() == pytest.approx([0.9, 0.995, 1.2])
    assert frame["macs_share"].tolist() == pytest.approx([0.81, 0.25, 0.81])
    assert time_frame(GRID, ("spatial",), "onnx_1").empty and whole_row(GRID, "onnx_1") is None
    assert time_chart(frame)["datasets"]["times"]["low"].min() == pytest.approx(0.89)


def test_faster_is_said_only_where_it_measured_so() -> None:
    frame = time_frame(GRID, ("spatial", "tucker2"), "torch_1")
    assert frame["verdict"].tolist() == ["faster", "same", "slower"]
