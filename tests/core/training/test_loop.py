"""The loop: what it writes, that it learns, that a killed run ends as an unbroken one does."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from core import checkpoints
from core.errors import CheckpointError, ConfigError, DataError
from core.training.config import TrainConfig
from core.training.learner import lr_factor, parameter_groups
from core.training.loop import train
from core.training.runs import Phase, Progress, RunFolder, list_runs, seconds_left

TIMES = ("seconds", "images_per_s")


def _timeless(entries: list[dict[str, object]]) -> list[dict[str, object]]:
    return [{k: v for k, v in entry.items() if k not in TIMES} for entry in entries]


def _weights_equal(a: Path, b: Path) -> bool:
    one, two = RunFolder(a).load_weights(), RunFolder(b).load_weights()
    return one.keys() == two.keys() and all(torch.equal(one[k], two[k]) for k in one)


class Finished(NamedTuple):
    """One run of `tiny`, which nobody may change."""

    run: RunFolder
    heard: list[dict[str, Any]]
    result: dict[str, Any]


@pytest.fixture(scope="module")
def finished(tiny: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    run, heard = RunFolder(tmp_path_factory.mktemp("finished") / "run"), list[dict[str, Any]]()
    return Finished(run, heard, train(tiny, run.path, heard.append))


def test_a_run_writes_all_it_promises(tiny: TrainConfig, finished: Finished) -> None:
    run, heard, result = finished
    assert run.metrics() == heard
    assert [entry["epoch"] for entry in heard] == [1, 2, 3]
    assert heard[-1]["val_n"] == result["validation"]["n"] == 22
    best = max(heard, key=lambda entry: entry["val_accuracy"])
    assert result["best_epoch"] == best["epoch"]
    assert result["validation"]["correct"] == best["val_correct"]
    facts = run.read()
    assert facts["config"] == tiny.model_dump()
    assert {"data", "commit", "device", "versions", "compute", "began"} <= facts.keys()
    assert facts["data"]["training"] == 44
    assert run.status() == "finished"
    assert list_runs(run.path.parent)[0] == run
    before = sorted((file.name, file.read_bytes()) for file in run.path.iterdir())
    assert train(tiny, run.path) == result  # asked again: nothing more to do
    with pytest.raises(ConfigError, match=r"other settings \(lr\)"):
        train(tiny.model_copy(update={"lr": 0.1}), run.path)
    assert before == sorted((file.name, file.read_bytes()) for file in run.path.iterdir())


def test_the_kept_weights_answer_as_often_right_as_the_metrics_say(
    tiny: TrainConfig, finished: Finished
) -> None:
    """The stored weights, loaded into a fresh network and counted here."""
    from core.data.find import find_food11
    from core.data.pixels import load_pixels
    from core.models import get
    from core.stats import labelled

    spec = get(tiny.model)
    net = spec.build()
    net.load_state_dict(finished.run.load_weights())
    pictures = labelled(load_pixels(find_food11(Path(tiny.data)), px=32), "validation", 32)
    with torch.inference_mode():
        logits = net.eval()(spec.normalize(torch.from_numpy(pictures.pixels.copy())))
    correct = int((logits.argmax(1).numpy() == pictures.labels).sum())
    assert correct == finished.result["validation"]["correct"]


def test_it_learns_what_it_is_shown(tiny: TrainConfig, tmp_path: Path) -> None:
    config = tiny.model_copy(update={"epochs": 25, "augment": "none", "ema_decay": 0.0})
    heard: list[dict[str, float]] = []
    train(config, tmp_path / "run", heard.append)
    assert heard[-1]["loss"] < 0.5 * heard[0]["loss"]
    assert heard[-1]["train_accuracy"] > 0.8


def test_same_seed_same_run_other_seed_other_run(
    tiny: TrainConfig, finished: Finished, tmp_path: Path
) -> None:
    torch.rand(7)  # the state of the global generator must not matter
    train(tiny, tmp_path / "same")
    train(tiny.model_copy(update={"seed": 1, "epochs": 1}), tmp_path / "other")
    same, other = (RunFolder(tmp_path / name) for name in ("same", "other"))
    assert _timeless(same.metrics()) == _timeless(finished.heard)
    assert _weights_equal(same.path, finished.run.path)
    assert _timeless(other.metrics()) != _timeless(finished.heard[:1])


@pytest.mark.slow
def test_killed_runs_end_as_if_never_stopped(tiny: TrainConfig, tmp_path: Path) -> None:
    """A real process, a real kill -9 after an epoch, and again in the middle of the next."""
    config = tiny.model_copy(update={"epochs": 5, "mixup": 0.2, "augment": "strong"})
    train(config, tmp_path / "whole")
    folder = tmp_path / "killed"
    for done in (1, 2):
        process = _in_a_process(config, folder)
        _wait_for(lambda done=done: len(RunFolder(folder).metrics()) >= done, process)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert not (folder / "result.json").exists()
    assert RunFolder(folder).status() == "interrupted"
    train(config, folder)
    whole, killed = RunFolder(tmp_path / "whole"), RunFolder(folder)
    assert _timeless(killed.metrics()) == _timeless(whole.metrics())
    assert _weights_equal(whole.path, killed.path)
    one, two = (torch.load(run.path / "state.pt", weights_only=True) for run in (whole, killed))
    assert all(torch.equal(one["net"][k], two["net"][k]) for k in one["net"])


def _in_a_process(config: TrainConfig, folder: Path) -> subprocess.Popen[bytes]:
    code = (
        "import sys, time\nfrom pathlib import Path\n"
        "from core.training.config import TrainConfig\nfrom core.training.loop import train\n"
        "train(TrainConfig.model_validate_json(sys.argv[1]), Path(sys.argv[2]),"
        " lambda entry: time.sleep(0.3))\n"
    )
    arguments = [sys.executable, "-c", code, config.model_dump_json(), str(folder)]
    return subprocess.Popen(arguments, cwd=Path(__file__).parents[3])


def _wait_for(condition: object, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 90
    while not condition():  # type: ignore[operator]
        assert process.poll() is None, "the training ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_two_processes_do_not_train_one_run(tiny: TrainConfig, tmp_path: Path) -> None:
    with (
        RunFolder(tmp_path).locked(),
        pytest.raises(ConfigError, match="Another process"),
    ):
        train(tiny, tmp_path)
    with RunFolder(tmp_path).locked():
        pass


def test_unlabelled_or_missing_photographs_are_said(tiny: TrainConfig, tmp_path: Path) -> None:
    with pytest.raises(DataError):
        train(tiny.model_copy(update={"data": str(tmp_path)}), tmp_path / "run")
    with pytest.raises(ConfigError, match="NO_SUCH_FOLDER"):
        train(tiny.model_copy(update={"data": "NO_SUCH_FOLDER"}), tmp_path / "run")


def test_a_share_keeps_every_class(tiny: TrainConfig, tmp_path: Path) -> None:
    train(tiny.model_copy(update={"share": 0.5, "epochs": 1, "warmup_epochs": 0}), tmp_path / "run")
    assert RunFolder(tmp_path / "run").read()["data"]["training"] == 22


def test_distilling_reports_both_losses_and_agreement(
    tiny: TrainConfig, tiny_teacher: str, tmp_path: Path
) -> None:
    config = tiny.model_copy(update={"teacher": tiny_teacher, "alpha": 0.3, "mixup": 0.2})
    heard: list[dict[str, float]] = []
    train(config, tmp_path / "student", heard.append)
    for entry in heard:
        total = 0.3 * entry["loss_soft"] + 0.7 * entry["loss_hard"]
        assert entry["loss"] == pytest.approx(total, rel=1e-4)
        assert 0 <= entry["agreement"] <= 1


def test_kept_answers_are_what_the_teacher_would_say_live(
    tiny: TrainConfig, tiny_teacher: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that finds the answers in the store ends bit for bit where the run that asked did."""
    from core.training import teacher_cache

    # 44 photographs in steps of 13: five of each view have no step, and are asked about too
    config = tiny.model_copy(
        update={"teacher": tiny_teacher, "views": 2, "mixup": 0.2, "batch_size": 13}
    )
    monkeypatch.setenv("SMALL_PLATES_CACHE", str(tmp_path / "cache"))
    train(config, tmp_path / "asked")
    stored = list((tmp_path / "cache" / "answers").iterdir())
    assert len(stored) == 2
    for file in stored:
        assert np.load(file).shape == (44, 11) and (np.load(file) != 0).any(axis=1).all()

    def silent(*_: object) -> None:
        raise AssertionError("the teacher was asked again")

    monkeypatch.setattr(teacher_cache.Teacher, "logits", silent)
    train(config, tmp_path / "read")
    assert _weights_equal(tmp_path / "asked", tmp_path / "read")


def test_both_ways_of_asking_give_the_same_answers(tiny_teacher: str) -> None:
    from core.training.teacher_cache import load_teacher

    x = torch.randint(0, 256, (5, 3, 32, 32), generator=torch.Generator().manual_seed(1)).float()
    fast, plain = load_teacher(tiny_teacher, 32, "cpu"), load_teacher(tiny_teacher, 48, "cpu")
    assert (fast.runtime, plain.runtime) == ("onnxruntime", "torch")
    assert torch.allclose(fast.logits(x), plain.logits(x), rtol=1e-4, atol=1e-4)


def test_a_teacher_in_int8_answers_nearly_the_same_and_says_so(
    tiny: TrainConfig, tiny_teacher: str, tmp_path: Path
) -> None:
    from core.data.find import find_food11
    from core.data.named import data_root
    from core.training.photographs import learned_from
    from core.training.teacher_cache import in_int8, load_teacher

    config = tiny.model_copy(update={"teacher": tiny_teacher, "views": 2, "teacher_int8": True})
    shown = learned_from(config, find_food11(data_root(config.data)), 32, 0.875)
    exact = load_teacher(tiny_teacher, 32, "cpu")
    rounded = in_int8(exact, shown)
    x = torch.randint(0, 256, (64, 3, 32, 32), generator=torch.Generator().manual_seed(1)).float()
    expected, answers = exact.logits(x), rounded.logits(x)
    error = (answers - expected).abs().mean() / expected.std()
    assert 0 < error < 0.1
    assert rounded.runtime.startswith("onnxruntime-int8-")  # its answers have a store of their own
    assert not in_int8(load_teacher(tiny_teacher, 48, "cpu"), shown).runtime.startswith("onnx")
    train(config, tmp_path / "run")
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    assert facts["teacher_runs_on"] == rounded.runtime
    assert "teacher_int8" not in tiny.model_dump(), "earlier runs keep their key"


def test_a_student_of_a_missing_teacher_is_refused(tiny: TrainConfig, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError):
        train(tiny.model_copy(update={"teacher": "nobody"}), tmp_path / "run")


def test_start_from_a_checkpoint(tiny: TrainConfig, tiny_teacher: str, tmp_path: Path) -> None:
    """With a learning rate of almost nothing, the first epoch ends where the checkpoint stood."""
    config = tiny.model_copy(
        update={"start_from": tiny_teacher, "lr": 1e-12, "epochs": 1, "warmup_epochs": 0.0}
    )
    train(config, tmp_path / "run")
    started = checkpoints.load_weights(tiny_teacher)
    ended = RunFolder(tmp_path / "run").load_weights()
    name = "features.0.0.weight"
    assert torch.allclose(started[name], ended[name], atol=1e-6)
    with pytest.raises(CheckpointError, match="no checkpoint called 'nothing'"):
        train(config.model_copy(update={"start_from": "nothing"}), tmp_path / "other")


def test_learning_rate_rises_then_falls_to_zero() -> None:
    factors = [lr_factor(step, 10, 100) for step in range(101)]
    assert factors[:10] == sorted(factors[:10]) and factors[0] > 0
    assert factors[10] == max(factors) == 1.0
    assert factors[10:] == sorted(factors[10:], reverse=True)
    assert factors[100] == pytest.approx(0)
    assert factors[55] == pytest.approx(0.5)


def test_only_weights_decay() -> None:
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    decayed, plain = parameter_groups(net, 0.1)
    assert [tuple(p.shape) for p in decayed["params"]] == [(4, 3, 3, 3)]
    assert decayed["weight_decay"] == 0.1 and plain["weight_decay"] == 0.0
    assert len(plain["params"]) == 3


def test_metrics_cut_short_by_a_crash_are_readable(tmp_path: Path) -> None:
    whole = json.dumps({"epoch": 1, "val_accuracy": 0.5})
    (tmp_path / "metrics.jsonl").write_text(whole + "\n" + whole[:4])
    assert RunFolder(tmp_path).metrics() == [{"epoch": 1, "val_accuracy": 0.5}]


def test_how_far_the_epoch_is_can_be_seen_and_changes_nothing(
    tiny: TrainConfig, finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from core.training import runs as progress

    told: list[progress.Progress] = []
    replace = os.replace

    def seen(new: Path, file: Path) -> None:
        replace(new, file)
        if Path(file).name == progress.FILE:
            found = progress.read_progress(Path(file).parent, epochs_done=len(told_epochs()))
            assert found is not None
            told.append(found)

    def told_epochs() -> list[dict[str, object]]:
        return RunFolder(tmp_path / "watched").metrics()

    monkeypatch.setattr(progress, "EVERY_S", 0.0)
    monkeypatch.setattr("core.training.runs.os.replace", seen)
    train(tiny, tmp_path / "watched")
    first = [one for one in told if one.epoch == 1]
    steps = [(one.done, one.of) for one in first if one.phase == "training"]
    assert steps == [(0, 44), (11, 44), (22, 44), (33, 44), (44, 44)]
    assert first[-1][:4] == (1, "validation", 0, 22)
    assert {one.epoch for one in told} == {1, 2, 3}
    assert all(one.images_per_s > 0 for one in first if one.phase == "training" and one.done)
    assert not (tmp_path / "watched" / progress.FILE).exists()  # nothing runs any more
    assert _weights_equal(finished.run.path, tmp_path / "watched")


@pytest.mark.parametrize(
    ("done", "now", "last_epoch_s", "left"),
    [
        (0, (1, "training", 10, 40, 20.0), 0.0, 4.75 * 2),  # 5 epochs of 40 pictures, 20 a second
        (2, (3, "training", 30, 40, 20.0), 0.0, 2.25 * 2),
        (2, (3, "training", 30, 40, 20.0), 7.0, 2.25 * 7),  # the last epoch knows better
        (2, (3, "validation", 0, 40, 0.0), 7.0, 2 * 7),
        (2, None, 7.0, 3 * 7),
        (5, None, 7.0, 0),
        (0, (1, "training", 0, 40, 0.0), 0.0, None),  # before its first steps
        (0, (1, "training", 1, 40, float("nan")), 0.0, None),
        (0, (1, "validation", 0, 40, 0.0), 0.0, None),
        (0, None, 0.0, None),
    ],
)
def test_the_time_left_is_that_of_the_steps_to_come(
    done: int,
    now: tuple[int, Phase, int, int, float] | None,
    last_epoch_s: float,
    left: float | None,
) -> None:
    told = seconds_left(5, done, Progress(*now) if now else None, last_epoch_s)
    assert told == (None if left is None else pytest.approx(left))


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '{"epoch": 1}', '{"epoch": 2, "phase": "training", "done": 1, "of": 2}',
     '{"epoch": 1, "phase": "soup", "done": 1, "of": 2, "images_per_s": 3}',
     '{"epoch": 1, "phase": "training", "done": 1, "of": 0, "images_per_s": 3}',
     '{"epoch": Infinity, "phase": "training", "done": 1, "of": 2, "images_per_s": 3}'],
)  # fmt: skip
def test_progress_that_is_broken_or_of_another_epoch_is_none(tmp_path: Path, content: str) -> None:
    from core.training.runs import FILE, read_progress

    (tmp_path / FILE).write_text(content)
    assert read_progress(tmp_path, 0) is None
    (tmp_path / FILE).write_text(
        '{"epoch": 1, "phase": "training", "done": 1, "of": 2, "images_per_s": 3}'
    )
    found = read_progress(tmp_path, 0)
    assert found is not None and found.share == 0.5
    assert read_progress(tmp_path, 1) is None


def test_a_full_disk_loses_the_running_epoch_only(
    tiny: TrainConfig, finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system refuses each write in turn after the first epoch: state and metrics stay whole."""
    import errno

    from core.training.queue.process import ending
    from core.training.queue.work import run_job

    fsync = os.fsync
    for refused in range(3):  # metrics, state, and whatever comes first where an epoch is the best
        folder, calls, full = tmp_path / f"run{refused}", [0], [False]

        def write(fd: int, folder: Path = folder, calls: list[int] = calls,
                  full: list[bool] = full, refused: int = refused) -> None:  # fmt: skip
            if len(RunFolder(folder).metrics()) >= 1 and (folder / "state.pt").exists():
                calls[0] += 1
                full[0] = full[0] or calls[0] > refused
            if full[0]:
                raise OSError(errno.ENOSPC, "No space left on device")
            fsync(fd)

        monkeypatch.setattr("core.paths.os.fsync", write)
        with pytest.raises(OSError, match="No space"):
            run_job(tiny, folder)
        assert not (folder / "ended.json").exists()  # that could not be written either
        (folder / "log.txt").write_text("No space left on device\n")  # what the command prints
        assert ending(folder, 2)[:2] == ("failed", "disk")
        state = torch.load(folder / "state.pt", weights_only=True)
        assert 1 <= state["epochs_done"] < 3
        assert len(RunFolder(folder).metrics()) >= state["epochs_done"]
        assert not [file for file in folder.iterdir() if file.name.startswith(".metrics")]
        monkeypatch.setattr("core.paths.os.fsync", fsync)
        train(tiny, folder)  # somebody made room
        assert _weights_equal(finished.run.path, folder)
        assert _timeless(RunFolder(folder).metrics()) == _timeless(finished.heard)


@pytest.mark.slow
def test_photographs_that_vanish_while_it_is_stopped_lose_no_epoch(
    tiny: TrainConfig, tmp_path: Path
) -> None:
    from core.training.queue.process import ending
    from core.training.queue.work import run_job
    from tests.core.training.several import train_until
    from tests.food import make_food11

    food = make_food11(tmp_path / "food", per_class={"training": 2, "validation": 1})
    config = tiny.model_copy(update={"data": str(food)})
    train_until(config, tmp_path / "run", stop_after=1)
    food.rename(tmp_path / "gone")
    with pytest.raises(DataError):
        run_job(config, tmp_path / "run")
    assert ending(tmp_path / "run", 2)[:2] == ("failed", "data")
    assert len(RunFolder(tmp_path / "run").metrics()) == 1
    (tmp_path / "gone").rename(food)
    train(config, tmp_path / "run")
    assert len(RunFolder(tmp_path / "run").metrics()) == 3


@pytest.mark.slow
def test_a_pruned_network_is_trained_on_as_narrow_as_it_is(
    tiny: TrainConfig, tiny_teacher: str, tmp_path: Path
) -> None:
    """Half the channels cut out; the run, a run that starts from it, and its checkpoint agree."""
    from core.training.queue.work import publish_run, run_job

    narrow = narrowed(tiny_teacher)
    config = tiny.model_copy(update={"start_from": narrow.id, "epochs": 1, "warmup_epochs": 0.0})
    run_job(config, tmp_path / "first-0123456789")
    first = RunFolder(tmp_path / "first-0123456789")
    assert first.widths() == narrow.widths
    published = checkpoints.load_manifest(tmp_path / checkpoints.own_dir().name)[first.path.name]
    assert (published.params, published.widths) == (narrow.params, narrow.widths)
    assert published.recipe == "finetuned_narrow" and "narrower" in published.title
    assert published.params < checkpoints.get(tiny_teacher).params
    assert published.derived_from == checkpoints.DerivedFrom(id=narrow.id, kind="narrow")

    again = config.model_copy(update={"start_from": str(first.path)})
    train(again, tmp_path / "second-0123456789")
    second = publish_run(again, tmp_path / "second-0123456789")
    assert second.widths == narrow.widths
    assert second.derived_from == checkpoints.DerivedFrom(id=first.path.name, kind="narrow")
    with pytest.raises(ConfigError, match="do not fit the network plain_275k"):
        train(config.model_copy(update={"model": "plain_275k"}), tmp_path / "other")
    assert not (tmp_path / "other" / "run.json").exists()


def narrowed(id: str) -> checkpoints.Checkpoint:
    """A published version of a checkpoint with half its channels cut out."""
    from core.pruning.measure import PruningExperiment, networks, publish_pruned
    from core.pruning.rows import RowKey

    one, key = PruningExperiment.open(id), RowKey("channel_l2", 0.5, "narrow")
    return publish_pruned(one, networks(one, key.method, key.ratio)["narrow"], key)


@pytest.mark.slow
def test_a_teacher_that_changed_while_the_run_was_stopped_is_said(
    tiny: TrainConfig, tiny_teacher: str, tmp_path: Path
) -> None:
    from core.collection.recipes import Recipe
    from core.collection.reproduce import publish
    from tests.core.training.several import train_until

    config = tiny.model_copy(update={"teacher": tiny_teacher})
    train_until(config, tmp_path / "run", stop_after=1)
    other = tiny.model_copy(update={"epochs": 1, "seed": 1, "warmup_epochs": 0.0})
    train(other, tmp_path / "other")
    publish(Recipe(tiny_teacher, "Tiny", "scratch", other), tmp_path / "other")
    with pytest.raises(ConfigError, match="has other weights"):
        train(config, tmp_path / "run")
    assert len(RunFolder(tmp_path / "run").metrics()) == 1
