"""The shelf of traps on real checkpoints: stored answers, a copy of the teacher, real pictures."""

from pathlib import Path

import numpy as np
import pytest

from core.checkpoints import TEST_LOGITS, folder, get
from core.checkpoints import test_logits as stored_logits
from core.distillation import trial
from core.errors import CheckpointError
from tests.food import make_food11
from tests.tiny_network import publish_tiny


@pytest.fixture(autouse=True)
def nothing_is_kept() -> None:
    trial._run_traps.cache_clear()


@pytest.mark.slow
def test_a_student_that_knows_nothing_against_a_real_teacher(tiny_checkpoint: str) -> None:
    tried = trial.run_traps(get(tiny_checkpoint), None, 2.0)
    logits, labels = stored_logits(tiny_checkpoint)
    powers = np.exp(logits.astype(float) / 2)
    p = powers / powers.sum(axis=1, keepdims=True)
    by_hand = 4 * (p * np.log(p * 11)).sum() / len(labels)  # KL to the uniform answer
    assert tried.readings.n == len(labels) == 30
    assert tried.readings.cells["fixed"].loss == pytest.approx(by_hand, rel=1e-6)
    assert tried.readings.hard == pytest.approx(np.log(11))
    assert tried.drift is not None and tried.problem == ""
    assert tried.drift["failing"].moved > 0 and tried.drift["fixed"].moved == 0
    assert tried.data is None  # no Food-11 here: made-up pictures, and said
    assert trial.run_traps(get(tiny_checkpoint), None, 2.0) is tried  # kept
    publish_tiny("tiny-distilled-s0", seed=1)
    two = trial.run_traps(get(tiny_checkpoint), get("tiny-distilled-s0"), 2.0)
    assert two.readings.hard != pytest.approx(np.log(11))


def test_photographs_are_used_where_they_are(
    tiny_checkpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_food11(tmp_path / "food", per_class={"training": 1, "testing": 6})
    monkeypatch.setenv("FOOD11_ROOT", str(root))
    assert trial.run_traps(get(tiny_checkpoint), None, 4.0).data


def test_damage_is_said_and_a_second_trial_waits(
    tiny_checkpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "WAIT_S", 0.01)
    with trial._ONE_AT_A_TIME, pytest.raises(trial.TrialBusyError):
        trial.run_traps(get(tiny_checkpoint), None, 4.0)
    (folder(tiny_checkpoint) / TEST_LOGITS).write_bytes(b"")
    with pytest.raises(CheckpointError):
        trial.run_traps(get(tiny_checkpoint), None, 4.0)


def test_rows_are_spread_over_the_split() -> None:
    rows = np.arange(1000)
    chosen = trial._evenly(rows, 64)
    assert len(chosen) == len(set(chosen)) == 64
    assert chosen[0] == 0 and chosen[-1] == 999
    assert list(trial._evenly(rows[:5], 64)) == [0, 1, 2, 3, 4]
