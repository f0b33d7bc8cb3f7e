"""Scratch against distilled: the right pairs, the right interval, no more than it allows to say."""

from pathlib import Path
from statistics import stdev

import numpy as np
import pytest

from core.checkpoints import Checkpoint, DerivedFrom, load_manifest
from core.checkpoints.by_recipe import Contrast
from core.distillation.against_scratch import compare, contrast_frame
from core.stats import mcnemar, paired_difference
from tests.kd_shelf import LABELS, publish_answers

pytestmark = pytest.mark.usefixtures("pretrained")
N = len(LABELS)


def compared() -> tuple[list[Contrast], list[str]]:
    return compare(load_manifest().values())


def only() -> Contrast:
    (found,), left_out = compared()
    assert not left_out
    return found


def test_one_seed_is_paired_picture_by_picture() -> None:
    publish_answers("scratch", 0, 200)
    publish_answers("distilled", 0, 250, shift=20)  # 20..269 against 0..199
    found = only()
    (pair,) = found.pairs
    assert (pair.right_b.sum(), pair.right_a.sum(), pair.n) == (200, 250, N)
    assert (pair.only_b, pair.only_a) == (20, 70)
    a, b = np.isin(np.arange(N), range(20, 270)), np.arange(N) < 200
    assert (pair.difference, pair.low, pair.high) == paired_difference(a, b)
    assert pair.p == mcnemar(a, b)
    assert not found.over_seeds and found.interval() == (pair.difference, pair.low, pair.high)
    assert found.side() == "more"


@pytest.mark.parametrize(
    ("right", "verdict"), [(200, "unclear"), (203, "unclear"), (160, "less"), (260, "more")]
)
def test_the_verdict_is_what_the_interval_allows(right: int, verdict: str) -> None:
    publish_answers("scratch", 0, 200, shift=7)
    publish_answers("distilled", 0, right)
    assert only().side() == verdict


def test_several_seeds_are_averaged_and_judged_over_seeds() -> None:
    for seed, gain in enumerate((40, 10, -25)):
        publish_answers("scratch", seed, 200)
        publish_answers("distilled", seed, 200 + gain)
    found = only()
    assert [one.a.seed for one in found.pairs] == [0, 1, 2]
    mean, low, high = found.interval()
    assert mean == pytest.approx(25 / 3 / N)
    assert high - mean > 4.303 * stdev([40 / N, 10 / N, -25 / N]) / 3**0.5 and low < 0
    assert found.pairs[0].low > 0  # alone, the first seed would have said yes
    assert found.side() == "unclear"


def test_seeds_that_agree_decide() -> None:
    for seed, gain in enumerate((20, 22, 21)):
        publish_answers("scratch", seed, 200)
        publish_answers("distilled", seed, 200 + gain)
    assert only().side() == "more"


def test_only_a_twin_counts(pretrained: Path) -> None:
    publish_answers("distilled", 0, 200)
    publish_answers("scratch", 1, 100)  # another seed
    publish_answers("scratch", 0, 100, id="other-scratch-s0", model="plain_275k")
    publish_answers("scratch", 0, 100, id="small-scratch-s0", input_px=64)
    assert compared() == ([], ["dwpw_256k-distilled-s0"])


def test_what_was_compressed_afterwards_and_trials_with_dreams_are_not_compared() -> None:
    publish_answers("scratch", 0, 200)
    publish_answers("distilled", 0, 260)
    made = DerivedFrom(id="dwpw_256k-distilled-s0", kind="quantised")
    publish_answers("distilled_qat4_ft5", 0, 250, derived_from=made)
    publish_answers("distilled_narrow", 0, 240, widths={"stem": (12,)})
    publish_answers("distilled_lowrank", 0, 240, ranks={"stem": (3,)})
    publish_answers("dreams_distilled", 0, 100)
    assert only().a.first.recipe == "distilled"


def test_a_short_trial_is_nobodys_twin_but_another_short_ones() -> None:
    publish_answers("distilled", 0, 260)
    publish_answers("scratch_10ep", 0, 200)
    assert compared() == ([], ["dwpw_256k-distilled-s0"])
    publish_answers("distilled_10ep", 0, 220)
    (short,), left_out = compared()
    assert short.a.first.recipe == "distilled_10ep" and left_out == ["dwpw_256k-distilled-s0"]


def test_answers_to_other_pictures_are_not_paired() -> None:
    publish_answers("scratch", 0, 100, labels=LABELS[::-1].copy())
    publish_answers("distilled", 0, 200)
    assert compared() == ([], ["dwpw_256k-distilled-s0"])


def test_a_damaged_file_leaves_the_others() -> None:
    publish_answers("scratch", 0, 200)
    publish_answers("distilled", 0, 250)
    publish_answers("scratch", 1, 200)
    broken = publish_answers("distilled", 1, 250)
    from core.checkpoints import TEST_LOGITS, folder

    (folder(broken.id) / TEST_LOGITS).write_bytes(b"x")
    (found,), left_out = compared()
    assert [one.a.seed for one in found.pairs] == [0] and left_out == [broken.id]


def test_settings_that_differ_besides_the_teacher_are_named() -> None:
    publish_answers("scratch", 0, 200)
    publish_answers("distilled", 0, 200, config={"seed": 0, "alpha": 0.7, "epochs": 90})
    assert only().also_differs() == ["epochs"]


def test_pictures_without_a_class_do_not_count() -> None:
    labels = LABELS.copy()
    labels[300:] = -1
    publish_answers("scratch", 0, 200, labels=labels)
    publish_answers("distilled", 0, 250, labels=labels)
    (pair,) = only().pairs
    assert pair.n == 300


def test_recipes_and_narrowed_networks_stay_apart() -> None:
    scratch = publish_answers("scratch", 0, 200)
    publish_answers("distilled", 0, 210)
    publish_answers("distilled_t1", 0, 220)
    publish_answers("scratch", 0, 100, id="narrow-scratch-s0", widths={"fc": (1, 2)})
    found, left_out = compared()
    assert [one.a.first.recipe for one in found] == ["distilled", "distilled_t1"] and not left_out
    twins: list[Checkpoint] = [one.pairs[0].b for one in found]
    assert twins == [scratch, scratch]


def test_the_table_holds_every_pair() -> None:
    for seed in range(2):
        publish_answers("scratch", seed, 200)
        publish_answers("distilled", seed, 250)
    frame = contrast_frame(compared()[0])
    assert list(frame.seed) == [0, 1]
    np.testing.assert_allclose(
        frame.distilled_accuracy - frame.scratch_accuracy, frame.difference, atol=1e-12
    )
    assert contrast_frame([]).empty


def test_what_started_from_other_weights_is_compared_with_its_like() -> None:
    first = {"seed": 0, "alpha": 0.5, "epochs": 120, "start_from": "a-start-s0"}
    publish_answers("food101_distilled", 0, 300, config=first)
    publish_answers("scratch", 0, 200)
    assert compared() == ([], ["dwpw_256k-food101_distilled-s0"])
    publish_answers("food101_scratch", 0, 280, config=first)
    publish_answers("distilled", 0, 210)
    found, left_out = compared()
    assert not left_out
    assert {(one.a.first.recipe, one.pairs[0].b.recipe) for one in found} == {
        ("food101_distilled", "food101_scratch"), ("distilled", "scratch"),
    }  # fmt: skip
    assert all(one.also_differs() == [] for one in found)
