"""The distillation loss of one example taken apart: two terms and their gradients, in numpy.

Hinton, Vinyals & Dean 2015, section 2. With student logits z, teacher logits v, label y,
p = softmax(v / T), q = softmax(z / T) and N classes,

    d CE / dz_i       = q_i(1) - y_i
    d T^2 KL / dz_i   = T (q_i - p_i)     -> (z_i - v_i) / N for large T and centred logits
    d KL / dz_i       = (q_i - p_i) / T   : without T^2 it shrinks as 1 / T^2

so that alpha keeps its meaning whatever T. Torch-free twin of `core.training.loss.loss_fn_kd`
for one picture; the tests hold both together.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from core.course import CLASSES

T_LOW, T_HIGH, T_STEP = 1.0, 20.0, 0.5
"""The slider's temperatures: HW13 distils at 1, HW7's reference at 20."""
MOVE = 5.0
"""How far the slider moves one student logit, either way."""
GRID: tuple[float, ...] = tuple(float(t) for t in np.geomspace(T_LOW, T_HIGH, 40))
"""Temperatures of the curves, evenly on a logarithmic scale."""

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Parts:
    """Loss and gradient of one example; vectors are (11,) float64 in label order."""

    alpha: float
    temperature: float
    teacher: Vector
    """Its probabilities p at T."""
    student: Vector
    """Its probabilities q at T."""
    hard: float
    """Cross-entropy against the label, in nats, without its weight."""
    soft: float
    """T^2 KL(p || q), without its weight."""
    hard_gradient: Vector
    """(1 - alpha) dCE/dz: what the label adds to the gradient of each student logit."""
    soft_gradient: Vector
    """alpha d(T^2 KL)/dz: what the teacher adds."""

    @property
    def total(self) -> float:
        """alpha soft + (1 - alpha) hard."""
        return self.alpha * self.soft + (1 - self.alpha) * self.hard

    @property
    def gradient(self) -> Vector:
        """Gradient of `total` to each student logit; a step of descent goes the other way."""
        return self.hard_gradient + self.soft_gradient


def take_apart(
    student: ArrayLike, teacher: ArrayLike, label: int, alpha: float, temperature: float
) -> Parts:
    """The loss of one example. student, teacher: logits (11,); alpha in 0..1; temperature > 0."""
    z, v = np.asarray(student, dtype=float), np.asarray(teacher, dtype=float)
    log_p, log_q = _log_softmax(v / temperature), _log_softmax(z / temperature)
    p, q = np.exp(log_p), np.exp(log_q)
    plain = _log_softmax(z)
    return Parts(
        alpha,
        temperature,
        p,
        q,
        float(-plain[label]),
        float(temperature**2 * (p * (log_p - log_q)).sum()),
        (1 - alpha) * (np.exp(plain) - np.eye(len(z))[label]),
        alpha * temperature * (q - p),
    )


def large_t_gradient(student: ArrayLike, teacher: ArrayLike) -> Vector:
    """Where d(T^2 KL)/dz goes as T grows: the centred logits' difference over the classes, (11,).

    Softened far enough, distillation is matching logits (Hinton et al. 2015, section 2.1).
    """
    apart = np.asarray(student, dtype=float) - np.asarray(teacher, dtype=float)
    limit: Vector = (apart - apart.mean()) / len(apart)
    return limit


@dataclass(frozen=True)
class Lengths:
    """How long each term's gradient is (Euclidean norm over the logits), none of them weighted."""

    temperature: float
    hard: float
    soft: float
    """Of T^2 KL."""
    without_t2: float
    """Of KL alone."""


def lengths(student: ArrayLike, teacher: ArrayLike, label: int, temperature: float) -> Lengths:
    """The three gradients' lengths for one example at a temperature."""
    soft = take_apart(student, teacher, label, 1.0, temperature).soft_gradient
    hard = take_apart(student, teacher, label, 0.0, temperature).hard_gradient
    long = float(np.linalg.norm(soft))
    return Lengths(temperature, float(np.linalg.norm(hard)), long, long / temperature**2)


def largest_gradient(student: ArrayLike, teacher: ArrayLike, moves: bool = True) -> float:
    """A bound for the axis: no slider makes any part of the gradient longer than this.

    `moves`: whether there is one that moves a logit of the student.
    """
    z, v = np.asarray(student, dtype=float), np.asarray(teacher, dtype=float)
    shifts = np.eye(len(z)) * (MOVE if moves else 0.0)
    steps = np.concatenate([np.zeros((1, len(z))), shifts, -shifts])
    t = np.array(GRID[::3])[:, None, None]
    p, q = (np.exp(_log_softmax(logits / t)) for logits in (v, z + steps))  # (T, moved, 11)
    # the hard part is a probability minus 0 or 1
    reach = 1.05 * max(1.0, float(np.abs(t * (q - p)).max()))
    return next(step for step in (1.2, 1.6, 2, 2.5, 3, 4, 5, 6, 8, 10, 15, 20, 30, 1e3)
                if step > reach)  # fmt: skip


def parts_frame(
    student: ArrayLike,
    teacher: ArrayLike,
    label: int,
    alphas: Sequence[float] = (0.0, 0.3, 0.5, 0.7, 1.0),
    temperatures: Sequence[float] = (1.0, 2.0, 4.0, 8.0, 20.0),
) -> pd.DataFrame:
    """The example at some settings, tidy, one row per setting and class; English class names.

    Columns: alpha, temperature, hard_loss, soft_loss, total_loss, class, label (1 for the true
    one), teacher_logit, student_logit, teacher_probability, student_probability, hard_gradient,
    soft_gradient, gradient.
    """
    z, v = (np.asarray(logits, dtype=float) for logits in (student, teacher))
    frames = []
    for alpha in alphas:
        for temperature in temperatures:
            parts = take_apart(z, v, label, alpha, temperature)
            columns = {
                "alpha": alpha,
                "temperature": temperature,
                "hard_loss": parts.hard,
                "soft_loss": parts.soft,
                "total_loss": parts.total,
                "class": CLASSES,
                "label": np.arange(len(z)) == label,
                "teacher_logit": v,
                "student_logit": z,
                "teacher_probability": parts.teacher,
                "student_probability": parts.student,
                "hard_gradient": parts.hard_gradient,
                "soft_gradient": parts.soft_gradient,
                "gradient": parts.gradient,
            }
            frames.append(pd.DataFrame(columns).astype({"label": int}))
    return pd.concat(frames, ignore_index=True)


def _log_softmax(logits: Vector) -> Vector:
    """Over the last axis."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    result: Vector = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result
