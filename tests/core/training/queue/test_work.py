"""What a job's process does: a checkpoint like any other, a right report, honest endings."""

import errno
import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core import checkpoints
from core.checkpoints import test_logits as stored_logits
from core.data.find import find_food11
from core.errors import CheckpointError, DataError, LossError
from core.training.config import TrainConfig
from core.training.loss import KDLoss, loss_fn_kd
from core.training.queue import work
from core.training.queue.line import JobQueue, JobSettings
from core.training.queue.process import REPORT, ending
from core.training.queue.work import confusion, mistakes, run_job
from tests.core.training.queue.queueing import wait_until
from tests.food import make_food11

LOGITS = np.array([[9, 0, 0], [0, 3, 0], [0, 5, 0], [2, 0, 1]], np.float32)
LABELS = np.array([0, 2, 0, 0])


def test_confusion_counts_true_class_by_answer() -> None:
    counts = confusion(LOGITS, LABELS)
    expected = np.zeros((3, 3), int)
    for label, row in zip(LABELS, LOGITS, strict=True):
        expected[label, list(row).index(max(row))] += 1
    assert (counts == expected).all()


def test_the_surest_mistake_comes_first() -> None:
    found = mistakes(LOGITS, LABELS, ["a", "b", "c", "d"])
    assert [one["file"] for one in found] == ["c", "b"]
    assert found[0]["confidence"] == pytest.approx(np.exp(5) / (np.exp(5) + 2), abs=1e-4)
    assert (found[0]["label"], found[0]["answer"]) == (0, 1)


@pytest.mark.slow
def test_a_queued_run_survives_a_kill_and_becomes_a_checkpoint(
    tiny: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real command in a real process: killed after an epoch, resumed, finished."""
    monkeypatch.setenv("SMALL_PLATES_PRETRAINED", str(tmp_path / "pretrained"))
    monkeypatch.setenv("SMALL_PLATES_RUNS", str(tmp_path / "runs"))
    config = tiny.model_copy(update={"epochs": 40, "ema_decay": 0.0})
    one = JobQueue(settings=JobSettings(threads=1))
    fingerprint = find_food11(Path(config.data)).fingerprint
    job = one.ask(config, "v", fingerprint)
    wait_until(lambda: any("epoch 1/40" in line for line in job.lines()), 120)
    assert job.run.status() == "running"
    with one._store.change() as change:
        (row,) = change.rows()
    assert row.pid
    os.kill(row.pid, signal.SIGKILL)
    wait_until(lambda: not one.job(job.id).is_active)
    assert one.job(job.id).state == "killed"
    kept = job.run.metrics()
    assert 0 < len(kept) < 40

    one.resume(job.id, "v")
    wait_until(lambda: not one.job(job.id).is_active, 180)
    done = one.job(job.id)
    assert (done.state, done.reason) == ("done", ""), done.lines()
    assert job.run.metrics()[: len(kept) - 1] == kept[:-1]  # nothing but the running epoch was lost
    assert [entry["epoch"] for entry in job.run.metrics()] == list(range(1, 41))

    published = checkpoints.get(job.id)
    assert published.test is not None and published.data.fingerprint == fingerprint
    assert job.id not in checkpoints.load_manifest()  # the shipped ones stay as they are
    checkpoints.read_files(job.id)
    assert sum(p.numel() for p in checkpoints.load_model(job.id).parameters()) == published.params
    logits, labels = stored_logits(job.id)
    report = json.loads((job.run.path / REPORT).read_text())
    assert np.trace(report["confusion"]) == (logits.argmax(1) == labels).sum()
    assert np.sum(report["confusion"]) == published.test.n == 22
    for mistake in report["mistakes"]:
        assert (Path(config.data) / mistake["file"]).exists()
        assert mistake["label"] != mistake["answer"]

    one.delete(job.id, "v")
    assert not job.run.path.exists() and not (tmp_path / "runs/checkpoints" / job.id).exists()
    with pytest.raises(CheckpointError, match="no checkpoint"):
        checkpoints.get(job.id)


def test_vanished_photographs_are_said(tiny: TrainConfig, tmp_path: Path) -> None:
    with pytest.raises(DataError):
        run_job(tiny.model_copy(update={"data": str(tmp_path / "gone")}), tmp_path / "run")
    said = ending(tmp_path / "run", 2)
    assert (said.state, said.reason) == ("failed", "data") and "gone" in said.message


@pytest.mark.parametrize(
    ("error", "reason", "message"),
    [
        (LossError("no number"), "loss", "no number"),
        (OSError(errno.ENOSPC, "No space left on device"), "disk", "No space left on device"),
        (ValueError("a bug"), "crashed", "ValueError: a bug"),
    ],
)
def test_each_way_to_fail_has_its_word(
    tiny: TrainConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    reason: str,
    message: str,
) -> None:
    def fail(*_arguments: object) -> None:
        raise error

    monkeypatch.setattr(work, "train", fail)
    (tmp_path / "run").mkdir()
    with pytest.raises(type(error)):
        run_job(tiny, tmp_path / "run")
    assert ending(tmp_path / "run", 1) == ("failed", reason, message)


def test_a_loss_that_is_no_number_is_a_loss_error(
    tiny: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    def no_number(*arguments: Any, **more: Any) -> KDLoss:
        loss = loss_fn_kd(*arguments, **more)
        return loss._replace(total=loss.total * float("nan"))

    monkeypatch.setattr("core.training.learner.loss_fn_kd", no_number)
    with pytest.raises(LossError, match="lower learning rate"):
        run_job(tiny, tmp_path / "run")
    assert ending(tmp_path / "run", 2).reason == "loss"


@pytest.mark.slow
def test_a_corrupt_picture_is_left_out_and_counted(tiny: TrainConfig, tmp_path: Path) -> None:
    food = make_food11(tmp_path / "food", per_class={"training": 2, "validation": 1})
    (food / "training" / "3_1.jpg").write_bytes(b"not a picture")
    config = tiny.model_copy(update={"data": str(food), "epochs": 1})
    run_job(config, tmp_path / "run")
    assert ending(tmp_path / "run", 0).state == "done"
    assert json.loads((tmp_path / "run/run.json").read_text())["data"]["unreadable"] == 1
    report = json.loads((tmp_path / "run" / REPORT).read_text())
    assert report["unreadable"][0][0] == "training/3_1.jpg"
    assert report["split"] == "validation"  # there is no test split
