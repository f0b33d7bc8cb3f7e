"""Several networks on the same photo: tidy frames to draw, where they agree, and a table.

Everything is arithmetic on logits already computed, so a temperature costs microseconds.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from core.checkpoints import Checkpoint
from core.course import CLASSES
from core.i18n import _, food_class
from core.inference.predict import entropy, softmax

TOP = 3
"""How many of the most probable classes are marked."""


class Answer(NamedTuple):
    """What one network says of one photo."""

    checkpoint: Checkpoint
    logits: NDArray[np.float32]
    """(11,), in label order."""
    latency_ms: float
    """Median milliseconds of inference for one picture."""
    features: NDArray[np.float32] | None = None
    """(C,): what its last linear layer made the logits of; None where nobody asked."""


def bars_frame(answer: Answer, temperature: float = 1.0) -> pd.DataFrame:
    """One network's answer, most probable class first: 11 rows.

    Columns: label (0..10), food (class, translated), probability (0..1), rank (1..11), top (rank at
    most TOP). Equal probabilities keep label order.
    """
    probabilities = softmax(answer.logits, temperature)
    order = np.argsort(-probabilities, kind="stable")
    return pd.DataFrame(
        {
            "label": order,
            "food": [food_class(CLASSES[label]) for label in order],
            "probability": probabilities[order],
            "rank": np.arange(1, len(order) + 1),
            "top": np.arange(len(order)) < TOP,
        }
    )


@dataclass(frozen=True)
class Agreement:
    """Where several networks' answers to one photo part."""

    camps: tuple[tuple[int, tuple[str, ...]], ...]
    """(label, ids of the networks whose first choice it is), the largest camp first."""
    label: int
    """The class on whose probability the networks differ most."""
    highest: tuple[str, float]
    """(id, probability) of the network that believes in `label` most."""
    lowest: tuple[str, float]
    """(id, probability) of the one that believes in it least."""

    @property
    def unanimous(self) -> bool:
        """Whether all networks have the same first choice."""
        return len(self.camps) == 1


def agreement(answers: Sequence[Answer], temperature: float = 1.0) -> Agreement:
    """How far the networks agree on one photo, at a temperature. Needs at least one answer."""
    table = softmax(np.stack([answer.logits for answer in answers]), temperature)  # (k, 11)
    ids = [answer.checkpoint.id for answer in answers]
    camps: dict[int, list[str]] = {}
    for name, label in zip(ids, table.argmax(axis=1), strict=True):
        camps.setdefault(int(label), []).append(name)
    label = int(np.ptp(table, axis=0).argmax())
    most, least = int(table[:, label].argmax()), int(table[:, label].argmin())
    return Agreement(
        tuple((food, tuple(who)) for food, who in sorted(camps.items(), key=lambda c: -len(c[1]))),
        label,
        (ids[most], float(table[most, label])),
        (ids[least], float(table[least, label])),
    )


def surest(photos: Sequence[Sequence[Answer]], temperature: float = 1.0) -> tuple[str, float]:
    """(id, mean confidence) of the network surest of its first choice over all photos.

    `photos`: per photo one answer per network, at least one of each.
    """
    tops_of: dict[str, list[float]] = {}
    for answers in photos:
        for answer in answers:
            top = float(softmax(answer.logits, temperature).max())
            tops_of.setdefault(answer.checkpoint.id, []).append(top)
    means = {name: float(np.mean(tops)) for name, tops in tops_of.items()}
    winner = max(means, key=means.__getitem__)
    return winner, means[winner]


def random_dots(side: int = 160, seed: int = 11) -> Image.Image:
    """A picture of nothing: uniform random RGB in blocks of 8 x 8 pixels; the same each time."""
    cells = np.random.default_rng(seed).integers(0, 256, (side // 8, side // 8, 3), dtype=np.uint8)
    return Image.fromarray(cells.repeat(8, axis=0).repeat(8, axis=1))


def answers_table(
    photos: Iterable[tuple[str, Sequence[Answer]]], temperature: float = 1.0
) -> pd.DataFrame:
    """Every photo by every network, one row each; class names untranslated for code.

    Columns: photo, checkpoint, first, second, third (classes), confidence (of the first, 0..1),
    entropy_nats, temperature, latency_ms, params, size_bytes, and one column per class with its
    probability.
    """
    rows = []
    for photo, answers in photos:
        for answer in answers:
            probabilities = softmax(answer.logits, temperature)
            first, second, third = np.argsort(-probabilities, kind="stable")[:TOP]
            rows.append(
                {
                    "photo": photo,
                    "checkpoint": answer.checkpoint.id,
                    "first": CLASSES[first],
                    "confidence": probabilities[first],
                    "second": CLASSES[second],
                    "third": CLASSES[third],
                    "entropy_nats": float(entropy(probabilities)),
                    "temperature": temperature,
                    "latency_ms": answer.latency_ms,
                    "params": answer.checkpoint.params,
                    "size_bytes": answer.checkpoint.size_bytes,
                    **dict(zip(CLASSES, probabilities, strict=True)),
                }
            )
    return pd.DataFrame(rows)


def photo_name(file_name: str, number: int) -> str:
    """A short, harmless name for an upload: letters, digits, space, dot, dash, underline."""
    stem = re.sub(r"[^\w .-]+", " ", file_name).strip(" .-_")
    return stem[:40] or _("Photo {number}").format(number=number)
