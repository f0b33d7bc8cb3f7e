"""What a GPU run relies on, checked on a processor: no GPU is here to run it on."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from core.data import augment
from core.data.augment import apply_view, draw_view
from core.data.find import find_food11
from core.data.pixels import load_pixels
from core.errors import ConfigError, LossError
from core.models import get
from core.training import learner as learner_module
from core.training.config import TrainConfig
from core.training.distributed import joined
from core.training.learner import Learner, adamw, parameter_groups
from core.training.loop import train
from core.training.photographs import Photographs, generator, photographs
from core.training.runs import RunFolder
from core.training.speed import Compute, device_name, room_for_photographs
from core.training.teacher_cache import _through_torch, load_teacher


def test_adamw_is_the_published_rule() -> None:
    """Loshchilov & Hutter 2019, written out in float64, over five steps."""
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(7, 5), torch.nn.BatchNorm1d(5))
    lr, decay, b1, b2, eps = 3e-3, 0.1, 0.9, 0.999, 1e-8
    optimizer = adamw(net, lr, decay)
    hand = {name: p.detach().double().clone() for name, p in net.named_parameters()}
    m = {name: torch.zeros_like(p) for name, p in hand.items()}
    v = {name: torch.zeros_like(p) for name, p in hand.items()}
    for step in range(1, 6):
        for name, parameter in net.named_parameters():
            parameter.grad = torch.randn_like(parameter)
            g = parameter.grad.double()
            m[name] = b1 * m[name] + (1 - b1) * g
            v[name] = b2 * v[name] + (1 - b2) * g**2
            shrunk = hand[name] * (1 - lr * decay) if parameter.ndim > 1 else hand[name]
            root = (v[name] / (1 - b2**step)).sqrt() + eps
            hand[name] = shrunk - lr * m[name] / (1 - b1**step) / root
        optimizer.step()
    for name, parameter in net.named_parameters():
        assert torch.allclose(parameter.double(), hand[name], atol=1e-6)


def test_a_state_of_the_plain_optimiser_is_taken_up() -> None:
    """Runs begun before the optimiser was fused go on."""
    torch.manual_seed(0)
    nets = [torch.nn.Linear(4, 3) for _ in range(2)]
    plain = torch.optim.AdamW(parameter_groups(nets[0], 0.1), lr=1e-2)
    fused = adamw(nets[1], 1e-2, 0.1)
    for _step in range(2):
        for parameter in nets[0].parameters():
            parameter.grad = torch.ones_like(parameter)
        plain.step()
    nets[1].load_state_dict(nets[0].state_dict())
    fused.load_state_dict(copy.deepcopy(plain.state_dict()))
    for net, optimizer in zip(nets, (plain, fused), strict=True):
        for parameter in net.parameters():
            parameter.grad = torch.full_like(parameter, 0.5)
        optimizer.step()
    assert torch.allclose(nets[0].weight, nets[1].weight, atol=1e-6)


def _training(food: Path) -> Photographs:
    return photographs(load_pixels(find_food11(food), 32, progress=False), "training")


def test_squares_kept_on_a_device_are_those_of_the_cache(food: Path) -> None:
    plain, kept = _training(food), _training(food)
    size = len(kept) * 3 * 37 * 37
    assert [kept.keep("cpu", room) for room in (size - 1, size)] == [False, True]
    assert kept.kept is not None and kept.kept.shape == (44, 3, 37, 37)
    for positions in (torch.tensor([43, 0, 7, 7]), torch.arange(44)):
        assert torch.equal(kept.take(positions, "cpu"), plain.take(positions, "cpu"))
    assert room_for_photographs("cpu") == 0, "a processor reads the cache as memory"


@pytest.mark.slow
def test_a_run_on_kept_squares_ends_where_one_on_the_cache_does(
    tiny: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny.model_copy(update={"mixup": 0.2, "epochs": 1})
    train(config, tmp_path / "cache")
    monkeypatch.setattr(learner_module, "room_for_photographs", lambda device: 2**40)
    train(config, tmp_path / "kept")
    one, other = (RunFolder(tmp_path / name).load_weights() for name in ("cache", "kept"))
    assert all(torch.equal(one[name], other[name]) for name in one)


def _learner(config: TrainConfig, food: Path) -> Learner:
    spec, compute = get(config.model), Compute("cpu", bfloat16=False, channels_last=False)
    training = _training(food)
    training.keep("cpu", 2**40)
    return Learner(config, spec, spec.build(), compute, training, training)


class _Reads(TorchDispatchMode):
    """Counts how often a tensor's value is read by Python: each read waits for a GPU."""

    def __init__(self) -> None:
        super().__init__()
        self.n = 0

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        self.n += "_local_scalar_dense" in str(function)
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("policy", ["light", "strong"])
def test_a_step_reads_nothing_back(
    tiny: TrainConfig, food: Path, policy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(augment, "_known", lambda all_of: False)  # as on a GPU
    config = tiny.model_copy(update={"ema_decay": 0.0, "mixup": 0.2, "augment": policy})
    learner = _learner(config, food)
    view, _key = learner._view(0)
    rows = torch.arange(11)
    logits = torch.randn(44, 11, generator=torch.Generator().manual_seed(0))
    answers = learner_module.Answers(logits, None)
    learner._step(rows, view, answers, 32, 11)  # the optimiser makes its state
    with _Reads() as reads:
        told = learner._step(rows, view, answers, 32, 11)
    assert reads.n == 0 and told.shape == (5,) and not told.requires_grad


@pytest.mark.parametrize("at", [1, 3])
def test_a_loss_that_is_no_number_ends_the_epoch(
    at: int, tiny: TrainConfig, food: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learner, step, steps = _learner(tiny, food), Learner._step, list[int]()

    def broken(self: Learner, *arguments: Any) -> torch.Tensor:
        steps.append(1)
        told = step(self, *arguments)
        return told * float("nan") if len(steps) == at else told

    monkeypatch.setattr(Learner, "_step", broken)
    with pytest.raises(LossError, match="lower learning rate than 0.002"):
        learner.epoch(0)
    assert len(steps) == (1 if at == 1 else 4)


@pytest.mark.parametrize("policy", ["none", "light", "strong"])
def test_what_is_skipped_on_a_processor_changes_nothing_on_a_gpu(
    policy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = draw_view(40, policy, generator("devices"), mixup=0.2)
    squares = torch.randint(0, 256, (40, 3, 37, 37), dtype=torch.uint8)
    here = apply_view(squares, view, 32)
    monkeypatch.setattr(augment, "_known", lambda all_of: False)
    assert torch.allclose(apply_view(squares, view, 32), here, atol=1e-3)


@pytest.mark.slow
def test_answers_in_half_precision_are_those_in_full(tiny_teacher: str) -> None:
    x = torch.randint(0, 256, (64, 3, 32, 32), generator=torch.Generator().manual_seed(1)).float()
    full, half = (_through_torch(tiny_teacher, "cpu", half)(x) for half in (False, True))
    assert half.dtype == torch.float32 and not torch.equal(full, half)
    assert torch.allclose(full, half, rtol=0.02, atol=0.02)


def test_answers_in_half_precision_are_kept_apart(
    tiny_teacher: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[bool] = []

    def through(name: str, device: str, half: bool = False) -> Callable[..., torch.Tensor]:
        told.append(half)
        return torch.zeros_like

    monkeypatch.setattr("core.training.teacher_cache._through_torch", through)
    teachers = [load_teacher(tiny_teacher, 48, device) for device in ("cuda", "cpu", "mps")]
    assert told == [], "it is made when it is first asked"
    for teacher in teachers:
        for _time in range(2):
            teacher.logits(torch.zeros(1, 3, 48, 48))
    runtimes = [teacher.runtime for teacher in teachers]
    assert runtimes == ["torch-float16", "torch", "torch"] and told == [True, False, False]


def test_apple_gpus_leave_augmentation_to_the_processor() -> None:
    assert [Compute(device, False, False).augments_on for device in ("mps", "cpu", "cuda:1")] == [
        "cpu",
        "cpu",
        "cuda:1",
    ]
    assert device_name("mps").endswith("GPU (mps)")


def test_apple_gpus_train_in_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="one process"), joined("mps"):
        pass
