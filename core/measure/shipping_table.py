"""What was measured of the files that a checkpoint can be shipped as, and the file that keeps it.

A row is one file format: its bytes, its time, and how far its answers are from the original's. The
rows of a checkpoint stand in `pretrained/results/shipping-<checkpoint>.json`, with the hash of the
weights and the fingerprint of the photographs they belong to. Nothing here imports torch.
"""

from typing import Any, Literal, get_args

from pydantic import Field

from core.measure.accuracy import Score
from core.measure.latency import Spread
from core.results import CheckpointRows, Frozen, MeasuredRow

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


class Parity(Frozen):
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


class FileRow(MeasuredRow):
    """One file, measured. What was not measured is None."""

    format: Format
    size_bytes: int = Field(gt=0)
    sha256: str
    latency: Spread | None = None
    """Milliseconds for one picture, in one sitting with the other files."""
    parity: Parity | None = None

    @property
    def key(self) -> Format:
        """What names this row."""
        return self.format

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
            "latency_ms": time and time.report(),
            "parity": parity and parity.model_dump(mode="json"),
            "n": parity.n if parity and parity.score else None,
            "correct": parity and parity.correct,
            "accuracy": parity.score.accuracy if parity and parity.score else None,
        }


class Shipping(CheckpointRows[FileRow]):
    """Everything measured of one checkpoint's files, and where."""

    kind = "shipping"
    command = "python -m core reproduce --steps shipping"

    calibration: dict[str, tuple[float, float]] = Field(default_factory=dict)
    """Range of each activation, for int8: with them it can be made without photographs."""
