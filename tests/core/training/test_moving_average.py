"""The moving average of the weights, against the weighted mean written out."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from core.training.config import TrainConfig
from core.training.learner import Learner, moving_average
from core.training.loop import train
from core.training.runs import RunFolder
from tests.core.training import several


class Weights(nn.Module):
    """A parameter, a buffer and a count, as a network with BatchNorm has them."""

    def __init__(self, size: int = 1) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(size))
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("count", torch.tensor(0))

    def become(self, value: Tensor, count: int) -> None:
        with torch.no_grad():
            self.weight.copy_(value)
            self.get_buffer("mean").copy_(-value)
            self.get_buffer("count").fill_(count)


def corrected(values: Tensor, decay: float) -> Tensor:
    """sum decay^(n-i) w_i / sum decay^(n-i) over the first axis, in float64."""
    n = len(values)
    shares = torch.tensor([decay ** (n - i) for i in range(1, n + 1)], dtype=torch.float64)
    return (shares[:, None] * values.double()).sum(0) / shares.sum()


def weight(average: AveragedModel) -> Tensor:
    return average.module.get_parameter("weight").detach()


def formerly(net: nn.Module, decay: float) -> AveragedModel:
    """Torch's own, as it was before."""
    return AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)


def averaged(values: Tensor, decay: float, kind: Any = moving_average) -> AveragedModel:
    net = Weights(values.shape[1])
    average = kind(net, decay)
    for step, value in enumerate(values):
        net.become(value, step + 1)
        average.update_parameters(net)
    return average


def walk(steps: int, size: int = 200) -> Tensor:
    """Weights that begin somewhere and wander: (steps, size)."""
    draw = torch.Generator().manual_seed(steps)
    moves = torch.randn(steps, size, generator=draw) / steps**0.5
    return torch.randn(1, size, generator=draw) + moves.cumsum(0)


def test_sixty_steps_at_0_999_are_averaged_and_not_remembered() -> None:
    weights = torch.arange(1.0, 61.0)[:, None]
    assert corrected(weights, 0.999).item() == pytest.approx(30.8, abs=0.01)
    found = averaged(weights, 0.999)
    assert weight(found).item() == pytest.approx(corrected(weights, 0.999).item(), rel=1e-5)
    assert found.module.get_buffer("mean").item() == pytest.approx(-weight(found).item(), rel=1e-6)
    assert found.module.get_buffer("count").item() == 60


@pytest.mark.parametrize(
    ("decay", "steps"), [(0.5, 1), (0.9, 2), (0.99, 3), (0.999, 10), (0.9999, 300)]
)
def test_it_is_the_weighted_mean(decay: float, steps: int) -> None:
    weights = walk(steps)
    mean = weight(averaged(weights, decay)).double()
    assert torch.allclose(mean, corrected(weights, decay), rtol=2e-5, atol=2e-6)


# Decay and steps up to the chosen epoch of shipped checkpoints: the shortest, and a usual one.
# float16 rounds by up to 2^-11 of a weight.
@pytest.mark.parametrize(
    ("decay", "steps", "within"), [(0.98, 448, 2**-11), (0.98, 560, 2**-14), (0.99, 1350, 2e-6)]
)
def test_long_runs_keep_what_they_had(decay: float, steps: int, within: float) -> None:
    weights = walk(steps)
    former = weight(averaged(weights, decay, formerly))
    average = weight(averaged(weights, decay))
    moved = (weights[0] - average).abs().max().item()
    assert moved > 0.5  # otherwise nothing would be shown
    assert (average - former).abs().max().item() <= within * max(1.0, moved)


def test_a_state_of_the_former_average_is_taken_up() -> None:
    """The bias that it has fades sooner than it would have, and no step is counted twice."""
    decay, weights = 0.99, walk(400)
    net = Weights(weights.shape[1])
    former = averaged(weights[:100], decay, formerly)
    average = moving_average(net, decay)
    average.load_state_dict(former.state_dict())
    for step, value in enumerate(weights[100:]):
        net.become(value, 100 + step)
        average.update_parameters(net)
    assert int(average.n_averaged) == 400
    bias = (weight(former).double() - corrected(weights[:100], decay)).abs()
    left = (weight(average).double() - corrected(weights, decay)).abs()
    # what is left of it, by the recursion written out: decay^300 (1 - decay^100) / (1 - decay^400)
    share = decay**300 * (1 - decay**100) / (1 - decay**400)
    assert torch.allclose(left, share * bias, rtol=1e-3, atol=1e-5)
    kept = weight(averaged(weights, decay, formerly)).double()
    assert left.max() <= (kept - corrected(weights, decay)).abs().max()


def steps_of(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Tensor]]:
    """The network's weights after each step of the runs that follow."""
    seen: list[dict[str, Tensor]] = []
    step = Learner._step

    def noted(self: Learner, *arguments: Any) -> Tensor:
        result = step(self, *arguments)
        seen.append({name: p.detach().clone() for name, p in self.net.named_parameters()})
        return result

    monkeypatch.setattr(Learner, "_step", noted)
    return seen


def test_a_run_ends_with_the_weighted_mean_of_its_steps(
    tiny: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped after an epoch, and resumed."""
    config = tiny.model_copy(update={"ema_decay": 0.999, "select": "last"})
    seen = steps_of(monkeypatch)
    several.train_until(config, tmp_path / "run", 1)
    del seen[4:]  # steps of an epoch that was not kept
    train(config, tmp_path / "run", device="cpu")
    assert len(seen) == 12
    kept = RunFolder(tmp_path / "run").load_weights()
    for name in seen[0]:
        steps = torch.stack([one[name].flatten() for one in seen])
        mean = corrected(steps, 0.999).reshape(kept[name].shape)
        assert torch.allclose(kept[name].double(), mean, rtol=1e-4, atol=1e-6), name
