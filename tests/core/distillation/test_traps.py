"""Each trap's number against a formula of its own, written with sums."""

import inspect
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from core.distillation import traps
from core.source_text import source_of
from core.training import loss as distill
from tests.tiny_network import PX, pictures, trained

T = 4.0
N = 9


@pytest.fixture(scope="module")
def batch() -> tuple[Tensor, Tensor, Tensor]:
    g = torch.Generator().manual_seed(8)
    student = torch.randn(N, 11, generator=g, dtype=torch.float64)
    teacher = 3 * torch.randn(N, 11, generator=g, dtype=torch.float64)
    return student, teacher, torch.arange(N)


@pytest.fixture(scope="module")
def found(batch: tuple[Tensor, Tensor, Tensor]) -> traps.Readings:
    student, teacher, labels = batch
    return traps.measure(student, teacher, labels, T)


def softmax(logits: np.ndarray, t: float = 1.0) -> np.ndarray:
    powers = np.exp(logits / t)
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def kl(p: np.ndarray, q: np.ndarray) -> float:
    """Mean over rows, by plain sums."""
    rows = zip(p.tolist(), q.tolist(), strict=True)
    return sum(
        a * math.log(a / b) for one, other in rows for a, b in zip(one, other, strict=True)
    ) / len(p)


@pytest.fixture(scope="module")
def p_q(batch: tuple[Tensor, Tensor, Tensor]) -> tuple[np.ndarray, np.ndarray]:
    student, teacher, _labels = (one.numpy() for one in batch)
    return softmax(teacher, T), softmax(student, T)


def test_the_fixed_cell_is_the_loss_that_trains(
    found: traps.Readings,
    batch: tuple[Tensor, Tensor, Tensor],
    p_q: tuple[np.ndarray, np.ndarray],
) -> None:
    student, teacher, labels = batch
    right = found.cells["fixed"]
    assert right.loss == pytest.approx(T * T * kl(*p_q))
    real = distill.loss_fn_kd(student, labels, teacher, 1.0, T)
    assert right.loss == pytest.approx(float(real.soft))
    assert right.at_teacher == pytest.approx(0, abs=1e-12)
    assert right.as_label == pytest.approx(found.hard, abs=1e-9)
    assert found.hard == pytest.approx(float(real.hard))
    assert right.floor < 0.05 * right.loss
    assert right.warned == ""


def test_mean_and_the_missing_t2_are_too_small(
    found: traps.Readings, batch: tuple[Tensor, Tensor, Tensor]
) -> None:
    right = found.cells["fixed"]
    for name, times in (("mean", 11), ("no_t2", T * T)):
        wrong = found.cells[name]
        assert right.loss / wrong.loss == pytest.approx(times)
        assert right.gradient / wrong.gradient == pytest.approx(times)
    assert "batchmean" in found.cells["mean"].warned
    assert found.cells["mean"].floor > 2 * right.floor
    cold = traps.measure(*batch, 1.0).cells  # at T = 1 the missing factor cannot be seen
    assert cold["no_t2"].loss == pytest.approx(cold["fixed"].loss)


def test_probabilities_give_no_divergence(
    found: traps.Readings, p_q: tuple[np.ndarray, np.ndarray]
) -> None:
    p, q = p_q
    wrong = found.cells["probabilities"]
    assert wrong.loss == pytest.approx(T * T * (p * (np.log(p) - q)).sum() / N)
    assert wrong.at_teacher == pytest.approx(T * T * (p * (np.log(p) - p)).sum() / N)
    assert wrong.loss < 0 and wrong.at_teacher < 0
    assert wrong.floor > found.cells["fixed"].floor


def test_swapped_is_the_other_divergence(
    found: traps.Readings,
    batch: tuple[Tensor, Tensor, Tensor],
    p_q: tuple[np.ndarray, np.ndarray],
) -> None:
    p, q = p_q
    wrong = found.cells["swapped"]
    assert wrong.loss == pytest.approx(T * T * kl(q, p))
    assert wrong.loss != pytest.approx(T * T * kl(p, q), rel=0.05)
    assert wrong.at_teacher == pytest.approx(0, abs=1e-12)
    # a teacher 40 logits ahead on the label: KL(q || teacher) = -H(q) + 40 (1 - q_label)
    once = softmax(batch[0].numpy())
    by_hand = (once * np.log(once)).sum() / N + 40 * (1 - once[range(N), range(N)]).mean()
    assert wrong.as_label == pytest.approx(by_hand, rel=1e-6)
    assert wrong.as_label > 5 * found.hard


def test_a_second_log_softmax_is_harmless_and_a_softmax_is_not(
    found: traps.Readings,
    batch: tuple[Tensor, Tensor, Tensor],
    p_q: tuple[np.ndarray, np.ndarray],
) -> None:
    harmless, wrong, right = (found.cells[name] for name in ("harmless", "twice", "fixed"))
    assert harmless.loss == pytest.approx(right.loss, rel=1e-12)
    assert harmless.gradient == pytest.approx(right.gradient, rel=1e-9)
    squashed = softmax(softmax(batch[1].numpy()), T)
    assert wrong.at_teacher == pytest.approx(T * T * kl(p_q[0], squashed)) and wrong.at_teacher > 0
    assert wrong.floor > 10 * right.floor


def squares(n: int, seed: int) -> Tensor:
    return torch.tensor(pictures(n, seed).pixels).float() / 64 - 2


def test_train_mode_moves_the_teacher_and_eval_does_not() -> None:
    net = trained(4)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    drift = traps.measure_teacher(net, list(squares(24, 1).split(8)), squares(10, 2))
    assert drift is not None
    assert drift["fixed"] == traps.Drift(3, 8, 10, 2, 0.0, 0, 0, 0.0)
    wrong = drift["failing"]
    assert wrong.moved > 0 and wrong.together > 0
    assert 0 <= wrong.flipped <= 24 and 0 <= wrong.changed <= 10
    assert not net.training
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name]), name  # the teacher itself was not touched
    flat = nn.Sequential(nn.Flatten(), nn.Linear(3 * PX * PX, 11))
    assert traps.measure_teacher(flat, list(squares(4, 1).split(2)), squares(2, 2)) is None


def test_running_means_move_as_batchnorm_says() -> None:
    """One layer, so the running mean can be followed by hand: m <- 0.9 m + 0.1 batch mean."""
    net = nn.Sequential(nn.BatchNorm2d(3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 11))
    norm = net[0]
    assert isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None
    norm.running_mean.copy_(torch.tensor([1.0, 2.0, -1.0]))
    batches = list(squares(16, 3).split(8))
    drift = traps.measure_teacher(net.eval(), batches, squares(4, 4))
    assert drift is not None
    start = mean = np.array([1.0, 2.0, -1.0])
    for batch in batches:
        mean = 0.9 * mean + 0.1 * batch.numpy().mean(axis=(0, 2, 3))
    by_hand = np.linalg.norm(mean - start) / np.linalg.norm(start)
    assert drift["failing"].moved == pytest.approx(by_hand, rel=1e-5)


def test_the_source_shown_is_the_source_that_runs() -> None:
    functions: list[Any] = [*traps.FAILING.values(), traps.fixed, distill.loss_fn_kd]
    for function in functions:
        assert source_of(function.__module__, function.__name__) == inspect.getsource(function)
    for module, name in (("core.training.loss", "nothing"), ("core.distillation.no", "fixed")):
        with pytest.raises(LookupError):
            source_of(module, name)
