"""Two processes train as one does: same loss, same order, one writer; resuming across numbers."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from core.errors import ConfigError
from core.training import distributed
from core.training.config import TrainConfig
from core.training.distributed import World, joined
from core.training.loop import train
from core.training.queue import process as jobs_process
from core.training.runs import RunFolder
from tests.core.training import several
from tests.core.training.queue.queueing import wait_until

TIMES = ("seconds", "images_per_s")


@pytest.fixture(autouse=True)
def unnormed_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    from core.models import registry

    monkeypatch.setattr(registry, "MODELS", dict(registry.MODELS))
    several.register()


def figures(folder: Path) -> list[list[float]]:
    """All numbers of all epochs, times apart."""
    return [
        [v for k, v in entry.items() if k not in TIMES and v is not None]
        for entry in RunFolder(folder).metrics()
    ]


def in_two(config: TrainConfig, folder: Path, stop_after: int = 0) -> list[tuple[int | None, str]]:
    return several.finish(several.start(config, folder, 2, stop_after))


@pytest.mark.slow
def test_two_processes_have_the_losses_and_the_average_of_one(
    tiny: TrainConfig, tmp_path: Path
) -> None:
    """Without BatchNorm only the order of additions differs. 11 does not divide by 2."""
    update = {"model": several.UNNORMED, "mixup": 0.2, "lr": 0.01, "ema_decay": 0.999}
    config = tiny.model_copy(update=update | {"select": "last", "epochs": 2})
    train(config, tmp_path / "one", device="cpu")
    assert in_two(config, tmp_path / "two") == [(0, ""), (0, "")]
    for alone, shared in zip(figures(tmp_path / "one"), figures(tmp_path / "two"), strict=True):
        assert shared == pytest.approx(alone, rel=2e-5)
    run = RunFolder(tmp_path / "two")
    assert run.read()["processes"] == {"1": 2}
    assert run.read()["config"] == config.model_dump()
    weights, others = run.load_weights(), RunFolder(tmp_path / "one").load_weights()
    for name, tensor in weights.items():
        assert torch.allclose(tensor, others[name], rtol=1e-3, atol=1e-5), name


@pytest.mark.slow
def test_batchnorm_sees_the_whole_batch(tiny: TrainConfig, tmp_path: Path) -> None:
    """Parts of 5 and 6 photographs have other statistics than the 11: the losses would tell."""
    config = tiny.model_copy(update={"lr": 2e-4})
    train(config, tmp_path / "one", device="cpu")
    assert in_two(config, tmp_path / "two") == [(0, ""), (0, "")]
    alone, shared = (RunFolder(tmp_path / name) for name in ("one", "two"))
    for a, b in zip(alone.metrics(), shared.metrics(), strict=True):
        assert (b["loss"], b["val_loss"]) == pytest.approx((a["loss"], a["val_loss"]), rel=1e-3)
    weights, others = alone.load_weights(), shared.load_weights()
    assert weights.keys() == others.keys()  # BatchNorm's tensors have their usual names
    name = "features.0.1.running_var"
    assert torch.allclose(weights[name], others[name], rtol=1e-3)


@pytest.mark.slow
def test_a_run_goes_on_with_another_number_of_processes(tiny: TrainConfig, tmp_path: Path) -> None:
    """One, then two; two, then one: both end where the unbroken run ends."""
    config = tiny.model_copy(update={"model": several.UNNORMED, "epochs": 4, "lr": 0.01})
    train(config, tmp_path / "whole", device="cpu")

    several.train_until(config, tmp_path / "1-2", stop_after=2)
    (first, last), _end = in_two(config, tmp_path / "1-2")
    assert (first, last) == (0, "")
    assert RunFolder(tmp_path / "1-2").read()["processes"] == {"1": 1, "3": 2}

    ends = in_two(config, tmp_path / "2-1", stop_after=2)
    assert ends[0][0] == 0 and len(RunFolder(tmp_path / "2-1").metrics()) == 2
    assert ends[1][0] == 2 and "Another process of this training has ended" in ends[1][1]
    train(config, tmp_path / "2-1", device="cpu")
    assert RunFolder(tmp_path / "2-1").read()["processes"] == {"1": 2, "3": 1}

    whole = figures(tmp_path / "whole")
    for name in ("1-2", "2-1"):
        assert RunFolder(tmp_path / name).result() is not None
        for one, other in zip(whole, figures(tmp_path / name), strict=True):
            assert other == pytest.approx(one, rel=2e-5)


@pytest.mark.slow
def test_torchrun_distils_with_kept_answers_and_one_voice(
    tiny: TrainConfig, tiny_teacher: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The documented command, end to end: the answers are those that one process keeps."""
    update = {"teacher": tiny_teacher, "views": 2, "mixup": 0.2, "epochs": 2, "lr": 2e-4}
    config = tiny.model_copy(update=update)
    monkeypatch.setenv("SMALL_PLATES_CACHE", str(tmp_path / "cache one"))
    train(config, tmp_path / "one", device="cpu")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", "2", "-m", "core", "train", "--json", "--device", "cpu"]
    command += ["--folder", str(tmp_path / "two"), *jobs_process.config_arguments(config)]
    done = subprocess.run(
        command,
        cwd=several.REPO,
        env=os.environ | {"SMALL_PLATES_CACHE": str(tmp_path / "cache two")},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["epochs"] == 2  # one document
    assert done.stderr.count("epoch 1/2") == 1
    kept = [sorted((tmp_path / f"cache {n}" / "answers").iterdir()) for n in ("one", "two")]
    assert [f.name for f in kept[0]] == [f.name for f in kept[1]] and len(kept[0]) == 2
    for alone, shared in zip(*kept, strict=True):
        assert np.allclose(np.load(alone), np.load(shared), rtol=1e-4, atol=1e-4)
    for one, two in zip(
        RunFolder(tmp_path / "one").metrics(), RunFolder(tmp_path / "two").metrics(), strict=True
    ):
        assert two["loss_soft"] == pytest.approx(one["loss_soft"], rel=2e-3)


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_when_one_is_killed_the_other_ends_with_a_sentence(
    tiny: TrainConfig, tmp_path: Path, victim: int
) -> None:
    config = tiny.model_copy(update={"model": several.UNNORMED, "epochs": 5000})
    processes = several.start(config, tmp_path / "run")
    wait_until(lambda: len(RunFolder(tmp_path / "run").metrics()) > 1, 90)
    os.kill(processes[victim].process.pid, signal.SIGKILL)
    ends = several.finish(processes, 60)
    assert ends[victim][0] == -signal.SIGKILL
    assert ends[1 - victim][0] == 2
    assert "Another process of this training has ended" in ends[1 - victim][1]
    run = RunFolder(tmp_path / "run")
    assert run.status() == "interrupted" and run.read_state() is not None


@pytest.mark.slow
def test_what_fails_in_one_fails_in_all(tiny: TrainConfig, tmp_path: Path) -> None:
    """Another process trains this run already: the first finds out, the second must not wait."""
    with RunFolder(tmp_path / "run").locked():
        ends = in_two(tiny, tmp_path / "run")
    assert [code for code, _line in ends] == [2, 2]
    assert "Another process is training" in ends[0][1]
    assert "Another process of this training has ended" in ends[1][1]


@pytest.mark.slow
def test_a_loss_that_is_no_number_ends_all(tiny: TrainConfig, tmp_path: Path) -> None:
    update = {"lr": 1e18, "clip_norm": 1e30, "weight_decay": 0.0, "ema_decay": 0.0}
    ends = in_two(tiny.model_copy(update=update), tmp_path / "run")
    assert [code for code, _line in ends] == [2, 2]
    assert all("lower learning rate" in line for _code, line in ends)


@pytest.mark.slow
def test_a_batch_smaller_than_the_number_of_processes_is_refused(
    tiny: TrainConfig, tmp_path: Path
) -> None:
    ends = several.finish(several.start(tiny.model_copy(update={"batch_size": 2}), tmp_path, 3))
    assert [code for code, _line in ends] == [2, 2, 2]
    assert "A batch of 2 cannot be split over 3 processes." in ends[0][1]


@pytest.mark.parametrize(("name", "value"), [("WORLD_SIZE", "many"), ("RANK", "-1")])
def test_a_broken_environment_is_said(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=name), joined("cpu"):
        distributed.leads()


def test_nowhere_to_meet_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(ConfigError, match="do not find each other"), joined("cpu"):
        pass


def test_alone_nothing_is_exchanged() -> None:
    alone, rows = World(), torch.arange(5)
    net = nn.Sequential(nn.BatchNorm2d(3))
    assert alone.part(rows) is rows and alone.share_bytes(b"x") == b"x"
    assert (
        alone.wrap(net) is net and alone.whole_batch(net) is net and type(net[0]) is nn.BatchNorm2d
    )
    assert [World(1, 3).part(rows).tolist(), World(2, 3).part(rows).tolist()] == [[2, 3], [4]]


def test_whole_batch_norm_is_batchnorm(monkeypatch: pytest.MonkeyPatch) -> None:
    """With one process its sums are its own: output, gradients and statistics are torch's."""
    monkeypatch.setattr("torch.distributed.all_reduce", lambda tensor: None)
    torch.manual_seed(0)
    plain = nn.BatchNorm2d(4).double()
    nn.init.normal_(plain.weight)
    whole = World(0, 2).whole_batch(nn.Sequential(nn.BatchNorm2d(4).double()))[0]  # type: ignore[index]
    whole.load_state_dict(plain.state_dict())
    x = torch.randn(6, 4, 5, 5, dtype=torch.float64)
    for _step in range(3):
        a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
        out, other = plain(a), whole(b)
        assert torch.allclose(out, other)
        out.square().mul(x).sum().backward()
        other.square().mul(x).sum().backward()
        assert a.grad is not None and b.grad is not None
        assert torch.allclose(a.grad, b.grad)
        assert torch.allclose(plain.weight.grad, whole.weight.grad)  # type: ignore[arg-type]
    for name, tensor in plain.state_dict().items():
        assert torch.allclose(tensor, whole.state_dict()[name]), name
    assert torch.allclose(plain.eval()(x), whole.eval()(x))
