"""What was measured of each network's scores, on photographs of food and on pictures of none.

A row is one version of a checkpoint: as it is published, in 8 bits, with weights pruned. The file
`pretrained/results/not_food-<checkpoint>.json` also keeps where the features of its training
photographs lie, so that a page can score a visitor's photo. Nothing here imports torch.
"""

from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, Self

from pydantic import Field, field_validator

from core.not_food.method import DECIDES, LIMIT, Plane, ScoreName
from core.results import CheckpointRows, Frozen, MeasuredRow

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from core.checkpoints import Checkpoint

PUBLISHED, INT8 = "published", "int8"
"""Versions: the checkpoint itself, and its 8-bit file. `l1-50`: half of its weights pruned."""
OTHERS = "scikit-image"
"""The pictures that come with scikit-image, where it is installed, as a kind beside those made."""


class Pictures(Frozen):
    """What one version says of the pictures of one kind, none of which is food."""

    flags: str = Field(pattern=r"^[01]+$")
    """A 1 for each picture that counts as unsure, in their order."""
    unsure: dict[ScoreName, int]
    """How many count as unsure by each score."""
    confidence: float = Field(ge=0, le=1)
    """Mean probability of the first choice."""

    @property
    def n(self) -> int:
        """How many pictures."""
        return len(self.flags)


class Spread(Frozen):
    """How scores spread: counts in equally wide bins from `low` to `high`, all else in the last."""

    low: float
    high: float
    food: tuple[int, ...]
    """Of the test photographs."""
    other: tuple[int, ...]
    """Of the made pictures."""


class VersionRow(MeasuredRow):
    """One version, measured."""

    version: str
    limits: dict[ScoreName, float]
    """By score: 95 % of the validation photographs are not above it."""
    n_validation: int = Field(gt=0)
    n: int = Field(gt=0)
    """Test photographs."""
    correct: int = Field(ge=0)
    alarms: dict[ScoreName, int]
    """How many test photographs, all of them food, count as unsure by each score."""
    unsure: tuple[int, ...]
    """Which ones by the score that decides: places among the test photographs."""
    unsure_correct: int = Field(ge=0)
    """How many of those the network is right about."""
    confidence: float = Field(ge=0, le=1)
    """Mean probability of the first choice, test photographs."""
    pictures: dict[str, Pictures]
    """By kind (`core.not_food.pictures.KINDS`, and OTHERS)."""
    spreads: dict[ScoreName, Spread]

    @property
    def key(self) -> str:
        """What names this row."""
        return self.version


class NotFood(CheckpointRows[VersionRow]):
    """Everything measured of one checkpoint's versions, and where."""

    kind = "not_food"
    command = "python -m core reproduce --steps not_food --only {name}"

    plane: str
    """`core.not_food.method.Plane.text`, of the published network's training photographs."""
    n_training: int
    """How many those were."""
    share: float = LIMIT
    """The share of validation photographs that keep to the limit."""

    @field_validator("plane")
    @classmethod
    def _is_plane(cls, text: str) -> str:
        Plane.from_text(text)
        return text

    @cached_property
    def training(self) -> Plane:
        """Where the features of the training photographs lie."""
        return Plane.from_text(self.plane)


class Doubt(NamedTuple):
    """How far an answer's score is from the limit of its network."""

    score: float
    """The score that decides, as a multiple of the limit: above 1 the answer is unsure."""

    @property
    def is_unsure(self) -> bool:
        """Whether the picture may not be food."""
        return self.score > 1

    @classmethod
    def of(cls, checkpoint: "Checkpoint", features: "NDArray[np.float32] | None") -> Self | None:
        """The doubt about an answer that a network made of features (C,).

        `checkpoint` may be the entry of a checkpoint's 8-bit file. None where nobody has measured
        a limit for these weights. Raises CheckpointError for a damaged file of results.
        """
        measured, row = measured_row(checkpoint)
        if measured is None or row is None or features is None:
            return None
        limit = row.limits[DECIDES]
        if features.shape != measured.training.mean.shape or limit <= 0:
            return None
        return cls(float(measured.training.distance(features)) / limit)


def measured_row(checkpoint: "Checkpoint") -> tuple[NotFood | None, VersionRow | None]:
    """What was measured of a network, or of a checkpoint's 8-bit file, and its row."""
    name, is_file, _ending = checkpoint.id.partition(".")
    version = PUBLISHED
    if is_file:  # its entry has the hash of the weights that it was made from
        checkpoint, version = checkpoint.model_copy(update={"id": name}), INT8
    measured = NotFood.of_checkpoint(checkpoint)
    return measured, measured.row(version) if measured else None
