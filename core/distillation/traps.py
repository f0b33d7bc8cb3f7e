"""Six ways to get the distillation loss wrong without an error, each beside the line that is right.

HW13 Q2.1 asks for `loss_fn_kd`; every cell here is its soft term written by somebody in a hurry.
A cell takes student and teacher logits (B, 11) and a temperature and gives a scalar; the last trap
is about the teacher, so its cells take a network and pictures. `measure` and `measure_teacher` run
the cells and report the numbers in which a mistake shows; nothing here is stored.
"""

import copy
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Cell = Callable[[Tensor, Tensor, float], Tensor]

STEPS, STEP = 400, 2.0
"""Descent of free student logits on one cell: so many steps, each so long (per picture)."""


def mean_failing(student: Tensor, teacher: Tensor, T: float) -> Tensor:
    """reduction="mean" is its default."""
    return T**2 * nn.KLDivLoss()(
        F.log_softmax(student / T, 1),
        F.softmax(teacher / T, 1),
    )


def probabilities_failing(student: Tensor, teacher: Tensor, T: float) -> Tensor:
    """The student's probabilities."""
    return T**2 * F.kl_div(
        F.softmax(student / T, 1),
        F.softmax(teacher / T, 1),
        reduction="batchmean",
    )


def no_t2_failing(student: Tensor, teacher: Tensor, T: float) -> Tensor:
    """No T**2 in front."""
    return F.kl_div(
        F.log_softmax(student / T, 1),
        F.softmax(teacher / T, 1),
        reduction="batchmean",
    )


def swapped_failing(student: Tensor, teacher: Tensor, T: float) -> Tensor:
    """Teacher first, student second."""
    return T**2 * F.kl_div(
        F.log_softmax(teacher / T, 1),
        F.softmax(student / T, 1),
        reduction="batchmean",
    )


def twice_failing(student: Tensor, teacher: Tensor, T: float) -> Tensor:
    """The network ends in softmax."""
    student = F.softmax(student, 1)
    return T**2 * F.kl_div(
        F.log_softmax(student / T, 1),
        F.softmax(teacher / T, 1),
        reduction="batchmean",
    )


def twice_harmless(student: Tensor, teacher: Tensor, T: float) -> Tensor:
    """Once too often, to no effect."""
    student = F.log_softmax(student, 1)
    return T**2 * F.kl_div(
        F.log_softmax(student / T, 1),
        F.softmax(teacher / T, 1),
        reduction="batchmean",
    )


def fixed(student: Tensor, teacher: Tensor, T: float) -> Tensor:
    """T**2 KL(teacher || student)."""
    return T**2 * F.kl_div(
        F.log_softmax(student / T, 1),
        F.softmax(teacher / T, 1),
        reduction="batchmean",
    )


def train_mode_failing(teacher: nn.Module, pictures: Tensor) -> Tensor:
    """Nobody said eval()."""
    teacher.train()
    with torch.no_grad():
        return teacher(pictures)


def train_mode_fixed(teacher: nn.Module, pictures: Tensor) -> Tensor:
    """BatchNorm uses what it has learnt."""
    teacher.eval()
    with torch.no_grad():
        return teacher(pictures)


FAILING: dict[str, Cell] = {
    "probabilities": probabilities_failing,
    "mean": mean_failing,
    "no_t2": no_t2_failing,
    "swapped": swapped_failing,
    "twice": twice_failing,
}
"""The traps that a batch of logits shows, in the order of the shelf."""


@dataclass(frozen=True)
class Reading:
    """What a cell gives on a batch; losses in nats, unweighted by alpha."""

    loss: float
    """Soft loss of the batch."""
    at_teacher: float
    """Soft loss of a student that answers exactly as the teacher: 0 if it is a divergence."""
    gradient: float
    """Euclidean length of the gradient to all student logits."""
    as_label: float
    """Soft loss at T = 1 if the teacher is as good as sure of the labels: should be the hard
    loss."""
    floor: float
    """The right soft loss after descending on this cell from the student's logits."""
    warned: str
    """What torch warned of; empty for most."""


@dataclass(frozen=True)
class Readings:
    """All cells on one batch."""

    n: int
    hard: float
    """Cross-entropy of the student against the labels."""
    cells: dict[str, Reading]
    """`FAILING`'s keys, `harmless` and `fixed`."""


def measure(student: Tensor, teacher: Tensor, labels: Tensor, temperature: float) -> Readings:
    """Run every cell on logits (B, 11) with labels (B,); float64 inside, a fraction of a second."""
    student, teacher = student.double(), teacher.double()
    cells = {**FAILING, "harmless": twice_harmless, "fixed": fixed}
    return Readings(
        len(labels),
        float(F.cross_entropy(student, labels)),
        {name: _read(cell, student, teacher, labels, temperature) for name, cell in cells.items()},
    )


def _read(cell: Cell, student: Tensor, teacher: Tensor, labels: Tensor, t: float) -> Reading:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        loss, gradient = _run(cell, student, teacher, t)
    sure = 40.0 * F.one_hot(labels, student.shape[1]).to(student)  # others: e^-40, not 0: log
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # once is enough
        z = student.clone()
        for _step in range(STEPS):
            z -= STEP * len(z) / 11 * _run(cell, z, teacher, t)[1]
        return Reading(
            float(loss),
            float(cell(teacher, teacher, t)),
            float(gradient.norm()),
            float(cell(student, sure, 1.0)),
            float(fixed(z, teacher, t)),
            str(caught[0].message) if caught else "",
        )


def _run(cell: Cell, student: Tensor, teacher: Tensor, t: float) -> tuple[Tensor, Tensor]:
    """The cell's loss and its gradient to the student's logits (B, 11)."""
    z = student.clone().requires_grad_()
    loss = cell(z, teacher, t)
    (gradient,) = torch.autograd.grad(loss, z)
    return loss.detach(), gradient


@dataclass(frozen=True)
class Drift:
    """What a number of forward passes did to a teacher."""

    passes: int
    batch: int
    asked: int
    """Pictures that it was shown in eval mode before and after; none of them in the batches."""
    norms: int
    """BatchNorm layers."""
    moved: float
    """Relative change of the running means: length of the change over their length before."""
    changed: int
    """Answers to the `asked` that became another."""
    flipped: int
    """Of the passes x batch pictures shown, those answered otherwise than in eval mode before."""
    together: float
    """Largest change of a logit of one picture when the others in its batch change."""


def measure_teacher(
    teacher: nn.Module, batches: list[Tensor], pictures: Tensor
) -> dict[str, Drift] | None:
    """Show `batches` to copies of a teacher, one by each cell, and `pictures` before and after.

    batches: (B, 3, px, px) each, B >= 2, at least two of them; pictures: (N, 3, px, px); all
    normalised as the network wants it. The teacher itself is not touched. None if it has no
    BatchNorm, which alone makes this trap.
    """
    if not _norms(teacher):
        return None
    return {
        "failing": _drift(train_mode_failing, copy.deepcopy(teacher), batches, pictures),
        "fixed": _drift(train_mode_fixed, copy.deepcopy(teacher), batches, pictures),
    }


def _drift(
    cell: Callable[[nn.Module, Tensor], Tensor],
    net: nn.Module,
    batches: list[Tensor],
    pictures: Tensor,
) -> Drift:
    before, means = train_mode_fixed(net, pictures), _means(net)
    in_eval = [train_mode_fixed(net, batch).argmax(1) for batch in batches]
    in_cell = [cell(net, batch).argmax(1) for batch in batches]
    after, later = train_mode_fixed(net, pictures), _means(net)
    mixed = torch.cat([batches[0][:1], batches[1][1:]])
    alone = cell(net, batches[0])[0] - cell(net, mixed)[0]
    return Drift(
        passes=len(batches),
        batch=len(batches[0]),
        asked=len(pictures),
        norms=len(_norms(net)),
        moved=float((later - means).norm() / means.norm().clamp_min(1e-12)),
        changed=int((after.argmax(1) != before.argmax(1)).sum()),
        flipped=sum(int((a != b).sum()) for a, b in zip(in_cell, in_eval, strict=True)),
        together=float(alone.abs().max()),
    )


def _norms(net: nn.Module) -> list[nn.BatchNorm2d]:
    return [layer for layer in net.modules() if isinstance(layer, nn.BatchNorm2d)]


def _means(net: nn.Module) -> Tensor:
    """All running means in one vector, copied."""
    kept = [norm.running_mean for norm in _norms(net) if norm.running_mean is not None]
    return torch.cat(kept).clone()
