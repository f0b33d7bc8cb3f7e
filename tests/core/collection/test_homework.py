"""The homeworks' questions put to a collection whose answers are known."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from core.checkpoints import TEST_LOGITS, WEIGHTS, FileInfo, load_manifest, read_files, store
from core.checkpoints.by_recipe import Collected, by_stem, collect
from core.collection.homework import (
    CLAIMS,
    DWPW,
    FIGURES,
    HARDLY,
    STRONG,
    WEAK,
    Compressed,
    at_size,
    compressed,
    curves,
    flattery,
    is_better,
    judge,
    missing_ids,
    network_rows,
    single_differences,
)
from core.collection.latency import LatencyTable
from core.course import REPORTED, REPORTED_Q4
from core.export.same_size import SameSize, SameSizeRow, Way, packed
from core.pruning.rows import PruningGrid, PruningRow
from core.quantization.rows import QuantizationGrid, QuantRow
from tests import results_shelf as shelf

CLAIM = {claim.key: claim for claim in CLAIMS}


@pytest.fixture(autouse=True)
def pretrained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMALL_PLATES_PRETRAINED", str(tmp_path))


def collected() -> dict[str, Collected]:
    return by_stem(collect(load_manifest().values()))


def test_the_reports_differences_are_those_of_their_figures() -> None:
    low, high = CLAIM["kd_helps"].reported or (0, 0)
    assert low == high == pytest.approx(0.83801 - 0.71010)
    assert CLAIM["plain_depthwise"].reported == pytest.approx((0.77047 - 0.76867,) * 2)
    assert CLAIM["depthwise_group"].reported == pytest.approx((0.76867 - 0.71607,) * 2)
    assert CLAIM["depthwise_loses"].reported == (0.05, 0.07)


@pytest.mark.parametrize(
    ("key", "a", "b", "outcome"),
    [
        ("kd_helps", (830, 840, 822), (640, 655, 630), "agrees"),
        ("kd_helps", (640, 655, 630), (830, 840, 822), "differs"),
        ("kd_helps", (640, 655, 630), (645, 640, 641), "unclear"),
        ("kd_passes_big", (700,), (800,), "differs"),
        ("weak_is_enough", (700, 705, 710), (698, 712, 706), "agrees"),  # by its size
        ("weak_is_enough", (730, 735, 740), (698, 712, 706), "undecided"),
        ("weak_is_enough", (700, 790, 710), (698, 712, 706), "unclear"),
        ("weak_is_enough", (698, 703, 706), (800, 805, 810), "differs"),
        ("weak_is_enough", (800, 805, 810), (698, 703, 706), "differs"),
        ("small_kd", (800,), (600,), "answers"),
        ("small_kd", (600,), (601,), "unclear"),
    ],
)
def test_a_claim_is_judged_by_the_interval(
    key: str, a: tuple[int, ...], b: tuple[int, ...], outcome: str
) -> None:
    claim = next(one for one in CLAIMS if one.key == key)
    shelf.fill({claim.a: a, claim.b: b})
    assert judge(claim, collected()).outcome() == outcome


def test_hardly_is_a_quarter_of_what_a_teacher_brought() -> None:
    assert pytest.approx((0.83801 - 0.71010) / 4) == HARDLY


def version(way: Way, size_bytes: int, right: float, epochs: int = 0) -> Compressed:
    return Compressed("big-s0", way, "", 16, 9, size_bytes, right, right, right, 1200, epochs)


def test_a_network_counts_for_a_size_that_it_is_near() -> None:
    rows = [
        version("lowrank", 290_000, 0.5, 3), version("lowrank", 300_000, 0.2),
        version("quantised", 310_000, 0.4), version("quantised", 390_000, 0.6),
        version("pruned", 190_000, 0.7), version("pruned", 1_340_000, 0.3),
    ]  # fmt: skip
    found = at_size(rows, 300_000)
    assert found == {
        ("big-s0", "lowrank"): rows[0],  # trained afterwards
        ("big-s0", "quantised"): rows[2],  # the nearest, not the most accurate
    }
    assert at_size(rows, 1_000_000) == {("big-s0", "pruned"): rows[-1]}
    assert at_size([], 300_000) == {}


def test_versions_come_from_the_networks_and_from_the_measured_rows() -> None:
    shelf.fill()
    one = load_manifest()[f"{DWPW}-s0"]
    common: dict[str, Any] = {"checkpoint": one.id,
                              "weights_sha256": one.weights_sha256,
                              "data": "d", "fingerprint": "f", "device": "x", "versions": {},
                              "commit": "c", "date": "2026-11-22"}  # fmt: skip
    row = {"params": 1000, "n": 100, "correct": 40}
    QuantizationGrid(
        **common,
        rows=(
            QuantRow(scheme="kmeans", bits=4, size_bytes=700, **row),
            QuantRow(scheme="float32", bits=32, size_bytes=4000, **row),
            QuantRow(scheme="ort_int8", bits=8, size_bytes=1100, **row),
        ),
    ).save()
    cut: dict[str, Any] = {"method": "bn_gamma", "nonzero": 1, "macs": 1, "size_bytes": 4000, **row}
    PruningGrid(
        **common,
        layers=(),
        groups=(),
        rows=(
            PruningRow(ratio=0.5, form="narrow", finetune_epochs=2, **cut),
            PruningRow(ratio=0.5, form="masked", **cut),
        ),
    ).save()
    rows = [row for row in compressed(list(collected().values())) if row.big == one.id]
    assert [(row.way, row.bits, row.size_bytes, row.epochs) for row in rows] == [
        ("pruned", 16, 2000, 2),  # a state dict in float32: half of it
        ("quantised", 4, 700, 0),
    ]
    assert {row.accuracy for row in rows} == {0.4}
    teacher = "efficientnet_lite0-imagenet-s0"
    students = [row.network for row in compressed(list(collected().values())) if row.big == teacher]
    assert f"{STRONG}-s0" in students and not any("10ep" in id for id in students)
    narrow = [row for row in compressed(list(collected().values())) if row.big == f"{STRONG}-s0"]
    assert {row.way for row in narrow} == {"pruned"}


def test_versions_that_were_all_trained_as_long_take_the_place_of_others() -> None:
    """And are compared by the photographs that each was right about."""
    shelf.fill({DWPW: (640,), f"{STRONG}_narrow_bn_gamma22p6_ft1x5": (740,), STRONG: (830,)})
    one = load_manifest()[f"{STRONG}-s0"]
    right = np.arange(1000) < 600
    facts: dict[str, Any] = {"target_bytes": 300_000, "bits": 16, "params": 9, "macs": 9,
                             "size_bytes": 290_000, "epochs": 10, "n": 1000}  # fmt: skip
    rows = []
    for way, answers in (("pruned", right), ("lowrank", right | (np.arange(1000) < 615))):
        rows.append(
            SameSizeRow(way=way, setting="", correct=int(answers.sum()), right=packed(answers),
                        **facts)
        )  # fmt: skip
    before = compressed(list(collected().values()))
    assert {(row.big, row.way) for row in before} >= {(one.id, "pruned")}
    SameSize(
        checkpoint=one.id, weights_sha256=one.weights_sha256, data="d", fingerprint="f",
        device="x", versions={}, commit="c", date="2026-11-30", rows=tuple(rows),
    ).save()  # fmt: skip
    pruned, lowrank = after = compressed(list(collected().values()))
    assert [(row.way, row.accuracy, row.epochs) for row in after] == [
        ("pruned", 0.6, 10), ("lowrank", 0.615, 10),
    ]  # fmt: skip
    assert lowrank.low < pruned.high  # the intervals overlap, the pairs tell them apart
    assert is_better(lowrank, pruned) and not is_better(pruned, lowrank)
    other = lowrank._replace(measured=None)
    assert not is_better(other, pruned)
    assert is_better(other._replace(low=0.9), pruned)


def test_bytes_are_those_of_float16_whatever_a_file_is_stored_in() -> None:
    tensors = {"w": np.ones((3, 5), np.float32), "n.num_batches_tracked": np.asarray(3)}
    files = {
        dtype: safetensors.numpy.save({**tensors, "w": tensors["w"].astype(dtype)})
        for dtype in ("float32", "float16")
    }
    for seed, dtype in enumerate(("float32", "float16")):
        shelf.publish(DWPW, seed, 640)
        one = load_manifest()[f"{DWPW}-s{seed}"]
        content = files[dtype]
        answers = read_files(one.id, TEST_LOGITS)[1]
        store(
            one.model_copy(
                update={
                    "files": {name: FileInfo.of(data)
                              for name, data in {**answers, WEIGHTS: content}.items()},
                    "size_bytes": len(content), "weights_dtype": dtype,
                }
            ),
            {**answers, WEIGHTS: content},
        )  # fmt: skip
        group = collected()[DWPW]
        assert group.size_bytes == len(files["float16"])
        if seed == 0:
            assert group.first.size_bytes == len(files["float32"]) == group.size_bytes + 30


def test_without_the_runs_nothing_is_claimed() -> None:
    shelf.fill({DWPW: (600,)})
    for claim in CLAIMS:
        answer = judge(claim, collected())
        assert answer.outcome() == "missing" and answer.missing
        assert DWPW not in answer.missing


def test_what_is_missing_is_what_is_planned_and_not_there() -> None:
    shelf.fill({DWPW: (600, 610), WEAK: (700,)})
    plan = {f"{stem}-s{seed}": stem for stem in (DWPW, WEAK) for seed in range(2)}
    assert missing_ids(DWPW, plan, collected()) == []
    assert missing_ids(WEAK, plan, collected()) == [f"{WEAK}-s1"]
    assert missing_ids(STRONG, plan, collected()) == [f"{STRONG}-s0"]  # not even planned
    assert missing_ids(WEAK, {}, collected()) == []


def test_curves_are_the_epochs_of_each_seed() -> None:
    shelf.publish(DWPW, 0, 640, epochs=12)
    shelf.publish(DWPW, 1, 640, epochs=0)
    (validation, training), without = curves(collected(), FIGURES["1"])
    assert without == [f"{DWPW}-s1"]
    kept = shelf.curve(640, 12, 0)
    assert validation.split == "validation" and training.split == "training"
    assert list(validation.accuracies) == [right / 100 for right in kept.val_correct]
    assert training.epochs == tuple(range(1, 13)) and training.accuracies == kept.train_accuracy
    assert {curve.split for curve in curves(collected(), FIGURES["9"])[0]} == {"validation"}
    assert curves({}, FIGURES["16"]) == ((), [])


def test_the_table_holds_every_recipe_once() -> None:
    shelf.fill()
    groups = collected()
    rows = {row.stem: row for row in network_rows(groups.values(), LatencyTable.load())}
    assert sorted(rows) == sorted(shelf.WHOLE)
    assert [row.accuracy for row in rows.values()] == sorted(
        (row.accuracy for row in rows.values()), reverse=True
    )
    row = rows[DWPW]
    assert row.seeds == (0, 1, 2) and row.reported == REPORTED[DWPW].accuracy
    assert row.accuracy == pytest.approx((640 + 655 + 630) / 3600)
    assert row.latency_ms == pytest.approx(29_600_512 / 3e7)
    assert rows["plain_275k-scratch"].reported == REPORTED_Q4["plain_275k-scratch"].accuracy
    assert {row.latency_ms for row in network_rows(groups.values())} == {None}


def test_a_finding_is_worked_out_once_for_the_same_networks() -> None:
    shelf.fill({STRONG: (830, 840), DWPW: (640, 655)})
    first, again = (judge(CLAIM["kd_helps"], collected()).contrast for _ in range(2))
    assert first is not None and first is again
    shelf.publish(STRONG, 1, 600)  # published anew: other answers
    changed = judge(CLAIM["kd_helps"], collected()).contrast
    assert changed is not None and changed.interval() != first.interval()


def test_all_pairs_of_single_trainings() -> None:
    shelf.fill({STRONG: (612, 600), DWPW: (606, 588)})
    between = judge(CLAIM["kd_helps"], collected()).contrast
    assert between is not None
    assert single_differences(between) == pytest.approx([-6 / 1200, 6 / 1200, 12 / 1200, 24 / 1200])


def test_the_best_epoch_flatters() -> None:
    shelf.publish(DWPW, 0, 640, epochs=30)
    shelf.publish(STRONG, 0, 800, epochs=3)  # too few epochs to choose from
    (one,) = flattery(collected())
    curve = shelf.curve(640, 30, 0).val_correct
    best = max(curve)
    start = min(max(0, curve.index(best) - 2), 25)
    assert one.best == best / 100
    assert one.typical == sorted(curve[start : start + 5])[2] / 100
    assert one.test == 640 / 1200
