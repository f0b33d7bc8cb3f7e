"""Dreams against photographs: who is compared with whom, and the numbers by hand."""

from typing import Any

import numpy as np
import pytest

from core.checkpoints import Checkpoint, DataInfo, by_recipe
from core.distillation.against_scratch import learned_from_dreams, pictures, steps, trials
from core.distillation.chart import dreamed_chart, dreamed_rows
from core.stats import Score, paired_difference

LABELS = np.arange(220) % 11
SETTINGS: dict[str, Any] = {
    "model": "dwpw_256k", "teacher": "t-s0", "alpha": 1.0, "px": 64, "batch_size": 64, "epochs": 90,
}  # fmt: skip


def entry(id: str, right: int, n: int, **config: Any) -> Checkpoint:
    return Checkpoint(
        id=id,
        model="dwpw_256k",
        family="student",
        recipe=id.split("-")[1],
        title=id,
        teacher="t-s0",
        seed=int(id[-1]),
        epochs=config.get("epochs", 90),
        input_px=64,
        params=256779,
        macs=1,
        size_bytes=1,
        weights_dtype="float32",
        files={},
        data=DataInfo(
            name="x", fingerprint="f", is_food11=False,
            training=n, validation=1, testing=len(LABELS),
        ),
        test=Score.of(right, len(LABELS)),
        config={**SETTINGS, "share": 1.0, "data": "", "seed": int(id[-1]), **config},
        date="2026-11-22",
        device="a test",
        wall_s=1.0,
    )  # fmt: skip


RIGHT = {
    "m-dreams_distilled-s0": np.arange(220) < 80,
    "m-photos_distilled-s0": np.arange(220) < 130,
    "m-photos_all-s0": (np.arange(220) > 40) & (np.arange(220) < 200),
}
DREAMED = entry("m-dreams_distilled-s0", 80, 968, data="dreams")
FEW = entry("m-photos_distilled-s0", 130, 3634, share=0.27)
ALL = entry("m-photos_all-s0", 159, 3634, epochs=24)
OTHERS = (
    entry("m-softer-s0", 100, 3634, alpha=0.5),  # another lesson: no twin
    DREAMED.model_copy(update={"id": "m-small-s0", "recipe": "small", "input_px": 32}),
)


@pytest.fixture(autouse=True)
def answers(monkeypatch: pytest.MonkeyPatch) -> None:
    def stored(id: str) -> tuple[np.ndarray, np.ndarray]:
        wrong = (LABELS + 1) % 11
        return np.eye(11, dtype=np.float32)[np.where(RIGHT[id], LABELS, wrong)], LABELS

    monkeypatch.setattr(by_recipe, "test_logits", stored)


def test_twins_share_all_but_what_was_seen_how_often() -> None:
    found = trials([ALL, DREAMED, FEW, OTHERS[0]])
    assert len(found) == 1 and found[0].dreamed.first == DREAMED
    assert [one.b.first.id for one in found[0].twins] == [FEW.id, ALL.id]
    assert not trials([FEW, ALL, OTHERS[0]])
    alone = trials([DREAMED, OTHERS[0]])
    assert len(alone) == 1 and not alone[0].twins


def test_another_side_has_no_twin_here() -> None:
    by_px = {one.dreamed.first.input_px: one for one in trials([DREAMED, FEW, OTHERS[1]])}
    assert len(by_px[64].twins) == 1 and not by_px[32].twins


def test_amounts_are_counted() -> None:
    assert learned_from_dreams(DREAMED) and not learned_from_dreams(FEW)
    assert (pictures(DREAMED), pictures(FEW), pictures(ALL)) == (968, 981, 3634)
    assert (steps(DREAMED), steps(FEW), steps(ALL)) == (15 * 90, 15 * 90, 56 * 24)


def test_rows_and_gaps_are_paired_and_dreams_are_marked_by_shape() -> None:
    (trial,) = trials([DREAMED, FEW, ALL])
    rows = dreamed_rows([trial])
    assert [row["hollow"] for row in rows] == [True, False, False]
    assert [row["accuracy"] for row in rows] == [80 / 220, 130 / 220, 159 / 220]
    assert [row["name"] for row in rows[:2]] == ["968 generated pictures", "981 photographs"]
    expected = paired_difference(RIGHT[DREAMED.id], RIGHT[ALL.id])
    assert trial.twins[1].interval() == pytest.approx(expected)
    assert expected[0] == pytest.approx((80 - 159) / 220)
    spec = dreamed_chart(rows)
    points = [layer for layer in spec["layer"] if layer["mark"].get("type") == "point"]
    assert {layer["mark"]["filled"] for layer in points} == {True, False}
    (blind,) = (
        float(step["calculate"])
        for layer in spec["layer"]
        for step in layer.get("transform", ())
        if step.get("as") == "guide"
    )
    assert blind == pytest.approx(1 / 11)
