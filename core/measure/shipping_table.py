"""What was measured of the files that a checkpoint can be shipped as, and the file that keeps it.

A row is one file format: its bytes, its time, and how far its answers are from the original's. The
rows of a checkpoint stand in `pretrained/results/shipping-<checkpoint>.json`, with the hash of the
weights and the fingerprint of the photographs they belong to. Nothing here imports torch.
"""

import json
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.errors import CheckpointError
from core.measure.accuracy import Score
from core.measure.pruning_grid import Spread, results_dir
from core.places import write_atomic
from core.words import _

Format = Literal["safetensors", "onnx", "onnx-fp16", "onnx-int8", "hw7-8bit"]
FORMATS: tuple[Format, ...] = get_args(Format)
"""`safetensors`: the weights alone. `onnx`: graph and float32 weights. `onnx-fp16`: the same with
half-precision weights. `onnx-int8`: ONNX Runtime's static quantisation. `hw7-8bit`: the weights
alone in the homework's 8-bit format."""

Runtime = Literal["torch", "onnxruntime", "none"]
RUNTIMES: dict[Format, Runtime] = {
    "safetensors": "torch",
    "onnx": "onnxruntime",
    "onnx-fp16": "onnxruntime",
    "onnx-int8": "onnxruntime",
    "hw7-8bit": "none",
}
"""What computes with a file as it is. HW7's file is decoded to float32 first: it has no time of
its own, a decoded network is as fast as one that never was 8 bits."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Parity(_Frozen):
    """How far a file's answers are from the original's, on the same pictures."""

    pictures: Literal["testing", "made"]
    """The test split, or (without photographs) coloured squares made by a seed."""
    n: int = Field(gt=0)
    max_logit_difference: float = Field(ge=0)
    """The largest |difference| of any logit of any picture."""
    agreement: float = Field(ge=0, le=1)
    """Share of pictures on which both give the same class."""
    correct: int | None = None
    """Right answers of the file; None on made pictures, which show no food."""
    original_correct: int | None = None

    @property
    def score(self) -> Score | None:
        """The file's accuracy with its interval, if it looked at photographs."""
        return None if self.correct is None else Score.of(self.correct, self.n)


class FileRow(_Frozen):
    """One file, measured. What was not measured is None."""

    format: Format
    size_bytes: int = Field(gt=0)
    sha256: str
    latency: Spread | None = None
    """Milliseconds for one picture, in one sitting with the other files."""
    parity: Parity | None = None

    @property
    def runtime(self) -> Runtime:
        """What it was timed with."""
        return RUNTIMES[self.format]

    def report(self) -> dict[str, Any]:
        """The row as the command line gives it."""
        time, parity = self.latency, self.parity
        return {
            "format": self.format,
            "size_bytes": self.size_bytes,
            "sha256": self.sha256,
            "runtime": self.runtime,
            "latency_ms": time and {"median": time.median, "p25": time.p25, "p75": time.p75},
            "parity": parity and parity.model_dump(mode="json"),
            "n": parity.n if parity and parity.score else None,
            "correct": parity and parity.correct,
            "accuracy": parity.score.accuracy if parity and parity.score else None,
        }


class Shipping(_Frozen):
    """Everything measured of one checkpoint's files, and where."""

    checkpoint: str
    weights_sha256: str
    data: str
    """Name of the photographs; empty where there were none."""
    fingerprint: str
    device: str
    threads: int = 1
    versions: dict[str, str]
    commit: str
    date: str
    calibration: dict[str, tuple[float, float]] = Field(default_factory=dict)
    """Range of each activation, for int8: with them it can be made without photographs."""
    rows: tuple[FileRow, ...] = ()

    def row(self, format: Format) -> FileRow | None:
        """The row of a format, if that file could be made."""
        return next((row for row in self.rows if row.format == format), None)


def shipping_path(checkpoint: str) -> Path:
    """The file of one checkpoint's rows, whether or not it is there."""
    return results_dir() / f"shipping-{checkpoint}.json"


def load_shipping(checkpoint: str) -> Shipping | None:
    """The measured rows of a checkpoint; None if nobody measured them.

    Raises CheckpointError if there is a file that cannot be understood.
    """
    path = shipping_path(checkpoint)
    try:
        return Shipping.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise CheckpointError(
            _("{file} cannot be read. Get it again with git, or make it with: {command}").format(
                file=path.name, command="python -m core reproduce --steps shipping"
            )
        ) from error


def save_shipping(found: Shipping) -> None:
    """Write the rows, atomically, a line each so that a change shows as what it is."""
    content = found.model_dump(mode="json", exclude_defaults=True)
    rows = ",\n".join(
        json.dumps(row, separators=(",", ":"), allow_nan=False) for row in content.pop("rows", [])
    )
    parts = [f'"{name}": {json.dumps(value)}' for name, value in content.items()]
    text = "{\n" + ",\n".join([*parts, f'"rows": [\n{rows}\n]']) + "\n}\n"
    write_atomic(shipping_path(found.checkpoint), text.encode())
