"""The distillation loss against the formula written out as sums."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from core.training.loss import agreement, loss_fn_kd


def _softmax(row: list[float], t: float) -> list[float]:
    exps = [math.exp(z / t) for z in row]
    return [e / sum(exps) for e in exps]


def _by_hand(student: Tensor, labels: Tensor, teacher: Tensor, alpha: float, t: float) -> float:
    total = 0.0
    for s, y, z in zip(student.tolist(), labels.tolist(), teacher.tolist(), strict=True):
        p, q = _softmax(z, t), _softmax(s, t)
        kl = sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
        total += alpha * t * t * kl - (1 - alpha) * math.log(_softmax(s, 1.0)[y])
    return total / len(labels)


@pytest.fixture
def batch() -> tuple[Tensor, Tensor, Tensor]:
    g = torch.Generator().manual_seed(3)
    logits = torch.randn(5, 11, generator=g, dtype=torch.float64)
    teacher = 3 * torch.randn(5, 11, generator=g, dtype=torch.float64)
    return logits, torch.tensor([0, 3, 10, 3, 7]), teacher


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0, 20.0])
def test_loss_equals_the_formula(
    batch: tuple[Tensor, Tensor, Tensor], alpha: float, temperature: float
) -> None:
    student, labels, teacher = batch
    loss = loss_fn_kd(student, labels, teacher, alpha, temperature)
    expected = _by_hand(student, labels, teacher, alpha, temperature)
    assert float(loss.total) == pytest.approx(expected, rel=1e-9)
    total = alpha * float(loss.soft) + (1 - alpha) * float(loss.hard)
    assert float(loss.total) == pytest.approx(total)


def test_a_student_that_equals_its_teacher_has_no_soft_loss(
    batch: tuple[Tensor, Tensor, Tensor],
) -> None:
    _, labels, teacher = batch
    assert float(loss_fn_kd(teacher, labels, teacher, 1.0, 4.0).total) == pytest.approx(
        0, abs=1e-12
    )


def test_soft_gradients_keep_their_scale_as_t_grows(batch: tuple[Tensor, Tensor, Tensor]) -> None:
    """T^2's purpose (Hinton et al. 2015, section 2): for large T the gradient is free of T."""
    student, labels, teacher = batch

    def gradient(t: float) -> Tensor:
        z = student.clone().requires_grad_()
        loss_fn_kd(z, labels, teacher, 1.0, t).total.backward()
        assert z.grad is not None
        return z.grad

    assert torch.allclose(gradient(1000.0), gradient(4000.0), rtol=0.02, atol=1e-4)
    matching = (student - student.mean(1, keepdim=True)) - (teacher - teacher.mean(1, keepdim=True))
    assert torch.allclose(gradient(4000.0) * 5 * 11, matching, rtol=0.02, atol=1e-3)


def test_mixup_weighs_both_labels_picture_by_picture(batch: tuple[Tensor, Tensor, Tensor]) -> None:
    student, y_a, teacher = batch
    y_b, lam = torch.tensor([1, 3, 0, 2, 7]), torch.tensor([1.0, 0.7, 0.5, 0.9, 0.6]).double()
    loss = loss_fn_kd(student, y_a, teacher, 0.3, 2.0, y_b=y_b, lam=lam)
    log_p = torch.log_softmax(student, 1)
    target = F.one_hot(y_a, 11) * lam[:, None] + F.one_hot(y_b, 11) * (1 - lam[:, None])
    assert float(loss.hard) == pytest.approx(float(-(target * log_p).sum(1).mean()))
    plain = loss_fn_kd(student, y_a, teacher, 0.3, 2.0)
    assert float(loss.soft) == float(plain.soft)


def test_label_smoothing_is_a_mixture_with_the_uniform_distribution(
    batch: tuple[Tensor, Tensor, Tensor],
) -> None:
    student, labels, _ = batch
    log_p = torch.log_softmax(student, 1)
    target = 0.9 * F.one_hot(labels, 11) + 0.1 / 11
    loss = loss_fn_kd(student, labels, None, label_smoothing=0.1)
    assert float(loss.total) == pytest.approx(float(-(target * log_p).sum(1).mean()))
    assert float(loss.soft) == 0


def test_agreement_counts_equal_classes() -> None:
    a = torch.eye(4)
    b = torch.eye(4)[[0, 1, 3, 2]]
    assert agreement(a, b) == 0.5
