"""What one network went through on its way to a phone: a row a step, and the file that keeps them.

Distil, cut, fine-tune, 8 bits: `core.export.make_stack` does it, and writes
`pretrained/results/stack-<student>.json` after every step. Nothing here imports torch or ONNX
Runtime: Home shows it.
"""

from collections.abc import Callable, Iterable
from typing import Any, Literal, NamedTuple, get_args

from pydantic import Field

from core.checkpoints import Checkpoint
from core.course import CLASSES
from core.errors import CheckpointError
from core.pruning.rows import RowKey
from core.results import Frozen, ResultFile
from core.stats import Score
from core.timing import Spread

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

Step = Literal["teacher", "student", "student_8bit", "cut", "tuned", "tuned_int8", "tuned_8bit"]
STEPS: tuple[Step, ...] = get_args(Step)
"""In the order of the way: the teacher; the student it taught; that student in HW7's 8-bit file, to
see what is gained without cutting; the student cut narrower; after fine-tuning; that one as int8
ONNX; and in HW7's 8-bit file."""

STUDENT = "dwpw_256k-distilled-s0"
"""Where the way begins, if it is there; else at the largest distilled student."""


class Dish(Frozen):
    """A picture that every step's file was shown."""

    source: Literal["photograph", "generated"]
    place: str
    """Of a photograph its path in the data set; of a generated picture, the first one of a sheet,
    that sheet's file in `pretrained/dreams/`."""
    sha256: str
    """Of that file."""
    label: int = Field(ge=0, lt=len(CLASSES))


class Answered(NamedTuple):
    """What a file says of a dish: the most probable class, and its probability at T = 1."""

    label: int
    probability: float


class Blocks(Frozen):
    """How many convolutions ONNX Runtime computes in blocks of channels, and what that is worth."""

    blocked: int
    of: int
    cpu: Spread
    """Milliseconds of processor time for one picture, in one thread; in the same sitting ..."""
    cpu_without: Spread
    """... where no blocks are allowed."""


class StackRow(Frozen):
    """One step's network and its file. What was not measured is None."""

    step: Step
    checkpoint: str | None = None
    """Id of the checkpoint whose file it is; None where the network was not kept."""
    weights_sha256: str = ""
    """Of that checkpoint's weights."""
    format: Format
    size_bytes: int = Field(gt=0)
    params: int
    macs: int
    latency: Spread | None = None
    """Milliseconds for one picture by ONNX Runtime; None where the file has no runtime."""
    blocks: Blocks | None = None
    """How ONNX Runtime computes its convolutions; None as `latency`."""
    n: int | None = None
    correct: int | None = None
    answers: tuple[Answered, ...] = ()
    """To each of the stack's dishes, in their order."""

    @property
    def score(self) -> Score | None:
        """The accuracy with its interval, if photographs were there."""
        if self.n is None or self.correct is None:
            return None
        return Score.of(self.correct, self.n)

    def report(self) -> dict[str, Any]:
        """The row as the command line gives it."""
        time, score = self.latency, self.score
        return {
            "step": self.step,
            "checkpoint": self.checkpoint,
            "format": self.format,
            "params": self.params,
            "macs": self.macs,
            "size_bytes": self.size_bytes,
            "latency_ms": time and time.report(),
            "n": self.n,
            "correct": self.correct,
            "accuracy": score and score.accuracy,
            "ci95": score and list(score.ci95),
        }


class Stack(ResultFile):
    """Every step of one student's way, and where it was measured."""

    kind = "stack"
    command = "python -m core reproduce --steps stack"

    student: str
    teacher: str
    weights_sha256: str
    """Of the student the way begins with."""
    teacher_sha256: str
    key: RowKey
    """How it is cut and fine-tuned."""
    data: str
    fingerprint: str
    device: str
    threads: int = 1
    versions: dict[str, str]
    commit: str
    date: str
    dishes: tuple[Dish, ...] = ()
    rows: tuple[StackRow, ...] = ()

    @property
    def name(self) -> str:
        """The student's id."""
        return self.student

    def row(self, step: Step) -> StackRow | None:
        """The row of a step, if it was taken."""
        return next((row for row in self.rows if row.step == step), None)

    @classmethod
    def first_of(
        cls, checkpoints: Iterable[Checkpoint], on_damage: Callable[[CheckpointError], object]
    ) -> "Stack | None":
        """The first way that was measured for one of the `checkpoints` and its weights.

        `on_damage` hears of a file that cannot be read; the next one is tried.
        """
        for checkpoint in checkpoints:
            try:
                stack = cls.now(checkpoint.id)
            except CheckpointError as error:
                on_damage(error)
                continue
            if stack is not None and stack.weights_sha256 == checkpoint.weights_sha256:
                return stack
        return None

    def with_rows(self, rows: Iterable[StackRow]) -> "Stack":
        """A copy in which `rows` are new or replace those of the same steps; in order."""
        merged = {row.step: row for row in (*self.rows, *rows)}
        ordered = tuple(merged[step] for step in STEPS if step in merged)
        return self.model_copy(update={"rows": ordered})
