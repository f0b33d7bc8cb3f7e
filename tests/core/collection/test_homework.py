"""The homeworks' questions put to a collection whose answers are known."""

from pathlib import Path

import pytest

from core.checkpoints import load_manifest
from core.checkpoints.by_recipe import Collected, by_stem, collect
from core.collection.homework import (
    CLAIMS,
    DWPW,
    FIGURES,
    STRONG,
    WEAK,
    curves_frame,
    flattery,
    judge,
    missing_ids,
    results_frame,
    single_differences,
)
from core.collection.latency import LatencyTable
from core.course import REPORTED, REPORTED_Q4
from tests import results_shelf as shelf

CLAIM = {claim.key: claim for claim in CLAIMS}


@pytest.fixture(autouse=True)
def pretrained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMALL_PLATES_PRETRAINED", str(tmp_path))


def found() -> dict[str, Collected]:
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
        ("weak_is_enough", (700, 705, 710), (698, 712, 706), "unclear"),
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
    assert judge(claim, found()).outcome() == outcome


def test_without_the_runs_nothing_is_claimed() -> None:
    shelf.fill({DWPW: (600,)})
    for claim in CLAIMS:
        answer = judge(claim, found())
        assert answer.outcome() == "missing" and answer.missing
        assert DWPW not in answer.missing


def test_what_is_missing_is_what_is_planned_and_not_there() -> None:
    shelf.fill({DWPW: (600, 610), WEAK: (700,)})
    plan = {f"{stem}-s{seed}": stem for stem in (DWPW, WEAK) for seed in range(2)}
    assert missing_ids(DWPW, plan, found()) == []
    assert missing_ids(WEAK, plan, found()) == [f"{WEAK}-s1"]
    assert missing_ids(STRONG, plan, found()) == [f"{STRONG}-s0"]  # not even planned
    assert missing_ids(WEAK, {}, found()) == []


def test_curves_are_the_epochs_of_each_seed() -> None:
    shelf.publish(DWPW, 0, 640, epochs=12)
    shelf.publish(DWPW, 1, 640, epochs=0)
    frame, without = curves_frame(found(), FIGURES["1"])
    assert without == [f"{DWPW}-s1"]
    kept = shelf.curve(640, 12, 0)
    validation = frame[frame["split"] == "validation"]
    assert list(validation["accuracy"]) == [right / 100 for right in kept.val_correct]
    assert list(frame[frame["split"] == "training"]["epoch"]) == list(range(1, 13))
    assert set(curves_frame(found(), FIGURES["9"])[0]["split"]) == {"validation"}
    assert curves_frame({}, FIGURES["16"])[0].empty


def test_the_table_holds_every_recipe_once() -> None:
    shelf.fill()
    groups = found()
    frame = results_frame(groups, LatencyTable.load())
    assert sorted(frame["stem"]) == sorted(shelf.WHOLE)
    teachers = (frame["family"] == "teacher").to_numpy()
    assert teachers[:2].all() and not teachers[2:].any()
    row = frame.set_index("stem").loc[DWPW]
    assert row["seeds"] == "0, 1, 2" and row["reported"] == REPORTED[DWPW].accuracy
    assert row["accuracy"] == pytest.approx((640 + 655 + 630) / 3600)
    assert row["latency_ms"] == pytest.approx(29_600_512 / 3e7)
    plain = frame.set_index("stem").loc["plain_275k-scratch"]
    assert plain["reported"] == REPORTED_Q4["plain_275k-scratch"].accuracy
    assert results_frame(groups, None)["latency_ms"].isna().all()


def test_all_pairs_of_single_trainings() -> None:
    shelf.fill({STRONG: (612, 600), DWPW: (606, 588)})
    made = judge(CLAIM["kd_helps"], found()).found
    assert made is not None
    assert single_differences(made) == pytest.approx([-6 / 1200, 6 / 1200, 12 / 1200, 24 / 1200])


def test_the_best_epoch_flatters() -> None:
    shelf.publish(DWPW, 0, 640, epochs=30)
    shelf.publish(STRONG, 0, 800, epochs=3)  # too few epochs to choose from
    (one,) = flattery(found())
    curve = shelf.curve(640, 30, 0).val_correct
    best = max(curve)
    start = min(max(0, curve.index(best) - 2), 25)
    assert one.best == best / 100
    assert one.typical == sorted(curve[start : start + 5])[2] / 100
    assert one.test == 640 / 1200
