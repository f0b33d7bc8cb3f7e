"""The queue of trainings hands its runs to a Ray cluster: the files are those of a run alone."""

import sys
from pathlib import Path
from time import monotonic, sleep

import pytest

from core.data.find import find_food11
from core.errors import ConfigError
from core.training import cluster
from core.training.config import TrainConfig
from core.training.loop import train
from core.training.queue import process
from core.training.queue.line import RAY_PLACES, Job, JobQueue, JobSettings
from core.training.runs import RunFolder
from tests.food import make_food11
from tests.ray_nodes import needs_ray, started_by_hand

PATIENCE_S = 240
CONFIG = TrainConfig(
    model="design:px32-relu6-stem8p-sep16", px=32, epochs=120, batch_size=11, warmup_epochs=0,
    precision="float32",
)  # fmt: skip


def until(queue: JobQueue, id: str, *states: str) -> Job:
    deadline = monotonic() + PATIENCE_S
    while (job := queue.job(id, "ann")).state not in states:
        assert monotonic() < deadline, (job.state, job.lines())
        sleep(0.1)
    return job


def epochs(run: RunFolder) -> list[tuple[int, float, float]]:
    return [(entry["epoch"], entry["loss"], entry["val_accuracy"]) for entry in run.metrics()]


@needs_ray
@pytest.mark.slow
def test_a_run_is_trained_on_the_cluster_paused_and_taken_up_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    food = make_food11(
        tmp_path / "food", per_class={"training": 8, "validation": 2, "testing": 2}, size=(48, 40)
    )
    monkeypatch.setenv("FOOD11_ROOT", str(food))
    monkeypatch.setenv("SMALL_PLATES_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("SMALL_PLATES_TRAIN_THREADS", "1")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("HOME", str(tmp_path))
    with started_by_hand(tmp_path) as address:
        monkeypatch.setenv("SMALL_PLATES_RAY", address)
        queue = JobQueue()
        job = queue.ask(CONFIG, "ann", find_food11(food).fingerprint)
        deadline = monotonic() + PATIENCE_S
        while len(job.run.metrics()) < 3:
            assert monotonic() < deadline, job.lines()
            sleep(0.05)
        asking = process.find(job.run.path, None)
        assert asking is not None
        libraries = {Path(each.path).name for each in asking.memory_maps()}
        assert not any(name.startswith("libtorch") for name in libraries)  # it only asks
        assert queue.stop(job.id, "ann")
        while job.run.status() == "running":
            assert monotonic() < deadline
            sleep(0.1)
        assert 3 <= len(job.run.metrics()) < CONFIG.epochs
        queue.resume(job.id, "ann")
        done = until(queue, job.id, "done", "failed", "killed", "interrupted")
        assert done.state == "done", done.lines()
    alone = tmp_path / "alone"
    train(CONFIG, alone)
    assert epochs(done.run) == epochs(RunFolder(alone))
    assert (tmp_path / "runs" / "checkpoints" / job.id / "weights.safetensors").is_file()


def test_places_are_on_the_cluster_that_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMALL_PLATES_RAY", "10.0.0.1:6379")
    assert JobSettings.from_environment().devices == ("ray",) * RAY_PLACES
    command = process.train_command(CONFIG, Path("run"), "ray")
    assert command[-2:] == ["--ray", "10.0.0.1:6379"] and "--device" not in command
    monkeypatch.setenv("SMALL_PLATES_DEVICES", "ray,cuda:0")
    assert JobSettings.from_environment().devices == ("ray", "cuda:0")


def test_without_ray_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match="requirements-cluster.txt"):
        cluster.train_on_ray("auto", CONFIG, tmp_path / "run")
