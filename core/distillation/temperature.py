"""What a temperature does to one answer and to many: examples, entropy curves, dark knowledge.

Hinton, Vinyals & Dean 2015, section 2: the softmax at T is softer for larger T, and the ratios of
the small probabilities ("dark knowledge") are what a student learns besides the label.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.course import CLASSES
from core.inference.predict import entropy, softmax

T_LOW, T_HIGH, T_STEP = 0.1, 20.0, 0.1
"""The slider's range: 20 is the temperature of HW7's reference solution."""

Kind = Literal["hesitates", "sure", "disagree", "both_wrong"]

_HESITANT = 0.75  # confidence of a teacher that sees the right class and a rival, too


def examples(
    teacher: NDArray[np.float32], student: NDArray[np.float32], labels: NDArray[np.int64]
) -> dict[Kind, NDArray[np.int64]]:
    """Rows of the test bank worth looking at, the clearest case of each kind first.

    `teacher`, `student`: logits (n, 11) of the same pictures in the same order; `labels`: (n,).
    hesitates: the teacher is right, with a confidence near 75 %; sure: right, and surest; disagree:
    the teacher is right and the student wrong, most confidently; both_wrong: both are, the teacher
    most confidently. A kind without a picture is left out.
    """
    known = labels >= 0
    p_teacher, p_student = softmax(teacher), softmax(student)
    sure_teacher, sure_student = p_teacher.max(axis=1), p_student.max(axis=1)
    right_teacher = (p_teacher.argmax(axis=1) == labels) & known
    right_student = (p_student.argmax(axis=1) == labels) & known
    cases: dict[Kind, tuple[NDArray[np.bool_], NDArray[np.float64]]] = {
        "hesitates": (right_teacher, np.abs(sure_teacher - _HESITANT)),
        "sure": (right_teacher, -sure_teacher),
        "disagree": (right_teacher & ~right_student, -sure_student),
        "both_wrong": (known & ~right_teacher & ~right_student, -sure_teacher),
    }
    rows_of: dict[Kind, NDArray[np.int64]] = {}
    for kind, (chosen, badness) in cases.items():
        rows = np.flatnonzero(chosen)
        if len(rows):
            rows_of[kind] = rows[np.argsort(badness[rows], kind="stable")]
    return rows_of


@dataclass(frozen=True)
class Softening:
    """One answer at one temperature, in the numbers a sentence needs."""

    temperature: float
    top: int
    """Label of the largest probability; the same at every temperature."""
    confidence: float
    """Its probability."""
    runner_up: int
    """Label of the second largest."""


def softening(logits: NDArray[np.float32], temperature: float) -> Softening:
    """The softmax of logits (11,) at a temperature, summed up."""
    probabilities = softmax(logits, temperature)
    order = np.argsort(-np.asarray(logits), kind="stable")
    top, second = int(order[0]), int(order[1])
    return Softening(temperature, top, float(probabilities[top]), second)


@dataclass(frozen=True)
class Sureness:
    """How much a whole bank of answers leaves to learn beyond the label, at one temperature."""

    n: int
    sure: int
    """Answers whose largest probability is above 0.99."""
    mean_entropy: float
    """Nats."""


def sureness(logits: NDArray[np.float32], temperature: float = 1.0) -> Sureness:
    """Sum up logits (n, 11) at a temperature; n at least 1."""
    probabilities = softmax(logits, temperature)
    sure = int((probabilities.max(axis=1) > 0.99).sum())
    return Sureness(len(probabilities), sure, float(entropy(probabilities).mean()))


def probabilities_frame(
    logits: Sequence[NDArray[np.float32]],
    names: Sequence[str],
    at: Sequence[float] = (0.5, 1.0, 2.0, 4.0, 8.0, 20.0),
) -> pd.DataFrame:
    """Probabilities of one example at some temperatures, tidy: checkpoint, class, logit, T, p.

    `logits`: one (11,) array per name. Class names untranslated, for code to read.
    """
    rows = [
        (name, food, float(logit), t, float(p))
        for name, answer in zip(names, logits, strict=True)
        for t in at
        for food, logit, p in zip(CLASSES, answer, softmax(answer, t), strict=True)
    ]
    return pd.DataFrame(
        rows, columns=["checkpoint", "class", "logit", "temperature", "probability"]
    )
