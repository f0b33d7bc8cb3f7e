"""What a training shows while it runs: its loss step by step, its answers to six fixed pictures.

    watch.json      beside the run: steps done and to do, the losses, the pictures' files, labels
                    and the first and the latest answers to them

It is written at most once a second, replaced as a whole and never waited for: losing it loses
nothing, for no result is made of it. A page reads it without torch.
"""

import contextlib
import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, SupportsFloat

import numpy as np
from numpy.typing import NDArray

from core.course import CLASSES
from core.data.find import Index
from core.paths import read_json

FILE = "watch.json"
EVERY_S = 1.0
PICTURES = 6
MOST_POINTS = 300
"""Points of the loss curve that are kept; where there would be more, each stands for more steps."""

Answers = list[list[float]]
"""Probabilities (pictures, 11)."""


class Picture(NamedTuple):
    """One of the fixed pictures: its file, relative to the data set's root, and its class."""

    file: str
    label: int


class Watched(NamedTuple):
    """A look at a run."""

    steps: int
    """Of the whole run."""
    steps_per_epoch: int
    done: int
    stride: int
    """Steps that a point of `loss` stands for."""
    loss: list[float]
    """Means over `stride` steps each, in order."""
    pictures: list[Picture]
    first: Answers
    """Before the first step; probabilities of every picture."""
    latest: Answers


def fixed_rows(labels: NDArray[np.int64]) -> list[int]:
    """Six rows, of as many classes as there are: the first ones of classes that lie apart.

    Always the same of the same labels; fewer than six where there are fewer rows.
    """
    first = [int(np.flatnonzero(labels == label)[0]) for label in np.unique(labels[labels >= 0])]
    if len(first) > PICTURES:
        return [first[round(place)] for place in np.linspace(0, len(first) - 1, PICTURES)]
    others = [row for row in range(len(labels)) if labels[row] >= 0 and row not in first]
    return [*first, *others][:PICTURES]


def fixed_pictures(index: Index) -> list[Picture]:
    """The pictures of the validation split that every training on `index` is asked about."""
    rows = index.of("validation")
    chosen = rows[fixed_rows(index.labels[rows])]
    return [Picture(index.files[row], int(index.labels[row])) for row in chosen]


class Watch:
    """Writes watch.json of one run; silent without a folder."""

    def __init__(
        self,
        folder: Path | None = None,
        pictures: Sequence[Picture] = (),
        steps: int = 0,
        steps_per_epoch: int = 1,
        done: int = 0,
    ) -> None:
        """`done` steps are behind it: what the folder knows of them is kept."""
        self._folder, self._written_at = folder, float("-inf")
        self._waiting: list[SupportsFloat] = []
        self._part: list[float] = []
        self.now = Watched(steps, steps_per_epoch, done, 1, [], list(pictures), [], [])
        before = read_watch(folder) if folder is not None and done else None
        if before is not None and before.pictures == list(pictures):
            kept = before.loss[: done // before.stride]
            self.now = self.now._replace(
                stride=before.stride, loss=kept, first=before.first, latest=before.latest
            )

    def step(self, loss: SupportsFloat, ask: Callable[[], Answers]) -> None:
        """Note one step's loss (a number, or a tensor that is read later); `ask` the network about
        the pictures when it is time to write: at the first one, then once a second."""
        if self._folder is None:
            return
        self._waiting.append(loss)
        if not self.now.loss or time.monotonic() - self._written_at >= EVERY_S:
            self.write(ask)

    def write(self, ask: Callable[[], Answers]) -> None:
        """Write at once: before the first step, and after the last."""
        if self._folder is None:
            return
        losses = [float(loss) for loss in self._waiting]
        self._waiting.clear()
        self._add(losses)
        latest = ask()
        self.now = self.now._replace(
            done=self.now.done + len(losses), first=self.now.first or latest, latest=latest
        )
        text = json.dumps(self.now._asdict())
        new = self._folder / f".{FILE}.new"
        with contextlib.suppress(OSError):
            new.write_text(text, encoding="utf-8")
            os.replace(new, self._folder / FILE)
        self._written_at = time.monotonic()

    def _add(self, losses: list[float]) -> None:
        points, stride = self.now.loss, self.now.stride
        self._part += [round(loss, 4) for loss in losses]
        while len(self._part) >= stride:
            points.append(round(sum(self._part[:stride]) / stride, 4))
            del self._part[:stride]
            if len(points) > MOST_POINTS:
                pairs = zip(points[::2], points[1::2], strict=False)
                left = points[len(points) // 2 * 2 :]
                points[:] = [round((a + b) / 2, 4) for a, b in pairs]
                self._part = left * stride + self._part
                stride *= 2
        self.now = self.now._replace(stride=stride)


def read_watch(folder: Path) -> Watched | None:
    """What watch.json of a run says; None where there is none, or none that is whole."""
    try:
        content = read_json(folder / FILE)
        watched = Watched(
            steps=int(content["steps"]),
            steps_per_epoch=int(content["steps_per_epoch"]),
            done=int(content["done"]),
            stride=int(content["stride"]),
            loss=[float(loss) for loss in content["loss"]],
            pictures=[Picture(str(file), int(label)) for file, label in content["pictures"]],
            first=_answers(content["first"]),
            latest=_answers(content["latest"]),
        )
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return None
    labels = (picture.label for picture in watched.pictures)
    sound = (
        min(watched.steps, watched.steps_per_epoch, watched.stride) > 0
        and watched.done >= 0
        and len(watched.first) == len(watched.latest) == len(watched.pictures)
        and all(0 <= label < len(CLASSES) for label in labels)
        and bool(np.isfinite(watched.loss).all())
    )
    return watched if sound else None


def _answers(content: Any) -> Answers:
    answers = [[float(share) for share in answer] for answer in content]
    if any(len(answer) != len(CLASSES) or not np.isfinite(answer).all() for answer in answers):
        raise ValueError("no probabilities of all classes")
    return answers
