"""Knowledge distillation: a student learns from a teacher's softened answers.

Hinton, Vinyals, Dean 2015, "Distilling the Knowledge in a Neural Network". With z the logits,
p_T = softmax(z / T), y the label:

    loss = alpha T^2 KL(p_T(teacher) || p_T(student)) + (1 - alpha) CE(student, y)

Answers HW7 Q2 and HW13 Q2.1. Four things go wrong in practice, all of them silently: probabilities
instead of log-probabilities as KLDivLoss' input, its default `reduction="mean"` (which divides by
the number of classes too), the forgotten T^2, the arguments swapped.
"""

from typing import NamedTuple

from torch import Tensor
from torch.nn import functional as F


class KDLoss(NamedTuple):
    """The loss and its two parts, scalars. `total = alpha * soft + (1 - alpha) * hard`."""

    total: Tensor
    hard: Tensor
    """Cross-entropy against the labels."""
    soft: Tensor
    """T^2 KL(teacher || student), 0 where there is no teacher."""


def loss_fn_kd(
    student_logits: Tensor,
    labels: Tensor,
    teacher_logits: Tensor | None,
    alpha: float = 0.5,
    temperature: float = 1.0,
    *,
    y_b: Tensor | None = None,
    lam: Tensor | float = 1.0,
    label_smoothing: float = 0.0,
) -> KDLoss:
    """Distillation loss, mean over the batch (HW13's `loss_fn_kd`, with HW7's T and mixup).

    student_logits, teacher_logits: (B, C) raw logits; without a teacher the loss is the hard term
    alone. labels: (B,) class numbers. alpha in 0..1: weight of the soft term. temperature > 0.
    y_b, lam: mixup's second labels (B,) and the first label's weight, a number or (B,). The soft
    term needs no lam: the teacher has looked at the same mixture.
    """
    hard = _cross_entropy(student_logits, labels, y_b, lam, label_smoothing)
    if teacher_logits is None:
        return KDLoss(hard, hard, student_logits.new_zeros(()))
    # T^2 keeps the soft gradients, which shrink as 1 / T^2, on the hard ones' scale
    soft = temperature**2 * F.kl_div(
        F.log_softmax(student_logits / temperature, dim=1),
        F.log_softmax(teacher_logits / temperature, dim=1),
        reduction="batchmean",
        log_target=True,
    )
    return KDLoss(alpha * soft + (1 - alpha) * hard, hard, soft)


def _cross_entropy(
    logits: Tensor, y_a: Tensor, y_b: Tensor | None, lam: Tensor | float, smoothing: float
) -> Tensor:
    first = F.cross_entropy(logits, y_a, label_smoothing=smoothing, reduction="none")  # (B,)
    if y_b is None:
        return first.mean()
    second = F.cross_entropy(logits, y_b, label_smoothing=smoothing, reduction="none")
    return (lam * first + (1 - lam) * second).mean()


def agreement(student_logits: Tensor, teacher_logits: Tensor) -> float:
    """Share of the pictures for which both name the same class, 0..1."""
    return float((student_logits.argmax(1) == teacher_logits.argmax(1)).float().mean())
