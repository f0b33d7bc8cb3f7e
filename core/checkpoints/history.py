"""How a published training went, epoch by epoch: a small file beside the weights.

Runs stay on the machine that trained them; their curves ship. Columns, not rows, because sixty
epochs of names would be most of the file. A checkpoint without one is a checkpoint all the same.
Nothing here imports torch.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from core.checkpoints.manifest import get, read_files
from core.errors import CheckpointError
from core.i18n import _

HISTORY = "history.json"
_DIGITS = 6


class History(BaseModel):
    """One entry an epoch in every column; accuracies are fractions, losses in nats."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    chosen_epoch: int = Field(ge=1)
    """The epoch whose weights were published."""
    val_n: int = Field(gt=0)
    """Photographs of the validation split."""
    epoch: tuple[int, ...] = Field(min_length=1)
    lr: tuple[float, ...]
    px: tuple[int, ...]
    loss: tuple[float, ...]
    loss_hard: tuple[float, ...]
    loss_soft: tuple[float | None, ...]
    """None where there is no teacher."""
    train_accuracy: tuple[float, ...]
    """On the augmented photographs, while the weights still changed."""
    val_loss: tuple[float, ...]
    val_correct: tuple[int, ...]
    seconds: tuple[float, ...]

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        columns = [getattr(self, name) for name in _COLUMNS]
        if {len(column) for column in columns} != {len(self.epoch)}:
            raise ValueError("columns of different lengths")
        if self.chosen_epoch not in self.epoch or max(self.val_correct) > self.val_n:
            raise ValueError("figures that cannot be")
        return self

    @classmethod
    def of(cls, entries: Sequence[Mapping[str, Any]], chosen_epoch: int) -> Self:
        """The history of a run's metrics (`core.training.runs.RunFolder.metrics`).

        Raises CheckpointError if they lack a column, or there are none.
        """
        try:
            columns = {name: [_short(entry[name]) for entry in entries] for name in _COLUMNS}
            n = {entry["val_n"] for entry in entries}
            return cls(chosen_epoch=chosen_epoch, val_n=n.pop(), **columns)
        except (KeyError, ValidationError) as error:
            raise CheckpointError(_("This run's metrics are not complete.")) from error

    def val_accuracy(self) -> tuple[float, ...]:
        """Right on the validation split after each epoch, as fractions."""
        return tuple(correct / self.val_n for correct in self.val_correct)

    def to_bytes(self) -> bytes:
        """The file: JSON, a line a column."""
        lines = ",\n".join(
            f'"{name}": {json.dumps(value, separators=(",", ":"))}'
            for name, value in self.model_dump(mode="json").items()
        )
        return f"{{\n{lines}\n}}\n".encode()


_COLUMNS = tuple(name for name in History.model_fields if name not in ("chosen_epoch", "val_n"))


def _short(value: Any) -> Any:
    return round(value, _DIGITS) if isinstance(value, float) else value


def history(id: str) -> History | None:
    """How the checkpoint was trained; None if it has no such file.

    Raises CheckpointError if the file is not the one the manifest describes.
    """
    if HISTORY not in get(id).files:
        return None
    data = read_files(id, HISTORY)[1][HISTORY]
    try:
        return History.model_validate_json(data)
    except ValidationError as error:
        raise CheckpointError(
            _("{file} of the checkpoint {id} cannot be understood.").format(file=HISTORY, id=id)
        ) from error
