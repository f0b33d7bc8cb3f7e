"""A `pretrained` folder for the export page: two real, untrained networks and made-up figures.

The networks are those of `pruning_shelf`, so downloads and live runs are real; the rows are round
numbers that no file gave, so that a page which shows them must have read them.
"""

from typing import Any

from core import checkpoints
from core.export.files import FileRow, Parity, Shipping
from core.export.stack import FORMATS, STEPS, Format, Stack, StackRow
from core.pruning.rows import RowKey
from core.timing import Spread
from tests.pages.pruning_shelf import SCRATCH, TEACHER, publish

__all__ = ["N", "SCRATCH", "TEACHER", "fill", "publish", "save_rows", "save_way"]

N = 1000
SIZES: dict[Format, int] = {
    "safetensors": 530_000, "onnx": 1_050_000, "onnx-fp16": 540_000, "onnx-int8": 320_000,
    "hw7-8bit": 265_000,
}  # fmt: skip
TIMES: dict[Format, float] = {
    "safetensors": 8.0, "onnx": 1.0, "onnx-fp16": 1.01, "onnx-int8": 2.0,
}  # fmt: skip


def _spread(median: float) -> Spread:
    return Spread(median=median, p25=0.95 * median, p75=1.05 * median, n=30)


def file_row(format: Format) -> FileRow:
    """A made-up row: int8 is smaller and slower, and answers 30 of 1,000 otherwise."""
    eight = format in ("onnx-int8", "hw7-8bit")
    return FileRow(
        format=format,
        size_bytes=SIZES[format],
        sha256="0" * 64,
        latency=_spread(TIMES[format]) if format in TIMES else None,
        parity=Parity(
            pictures="testing", n=N, max_logit_difference=1.5 if eight else 0.0,
            agreement=0.97 if eight else 1.0, correct=540, original_correct=541,
        ),
    )  # fmt: skip


def save_rows(id: str, **changes: Any) -> None:
    """Rows of all files of one of the networks."""
    given: dict[str, Any] = {
        "checkpoint": id,
        "weights_sha256": checkpoints.get(id).weights_sha256,
        "data": "made up",
        "fingerprint": "0" * 16,
        "device": "an abacus",
        "versions": {},
        "commit": "none",
        "date": "2026-11-22",
        "rows": tuple(file_row(format) for format in FORMATS),
    }
    Shipping(**given | changes).save()


def save_way(**changes: Any) -> None:
    """A way from the teacher to the student's 8-bit file."""
    teacher, student = checkpoints.get(TEACHER), checkpoints.get(SCRATCH)
    rows = tuple(
        StackRow(
            step=step, checkpoint=TEACHER if step == "teacher" else SCRATCH, format="onnx",
            size_bytes=(8 - place) ** 3 * 100_000, params=1000 * (8 - place), macs=10**7,
            latency=_spread(1.5), n=N, correct=700 - 20 * place,
        )
        for place, step in enumerate(STEPS)
    )  # fmt: skip
    given: dict[str, Any] = {
        "student": SCRATCH,
        "teacher": TEACHER,
        "weights_sha256": student.weights_sha256,
        "teacher_sha256": teacher.weights_sha256,
        "key": RowKey("bn_gamma", 0.25, "narrow", 12),
        "data": "made up",
        "fingerprint": "0" * 16,
        "device": "an abacus",
        "versions": {},
        "commit": "none",
        "date": "2026-11-22",
        "rows": rows,
    }
    Stack(**given | changes).save()


def fill() -> None:
    """Rows of both networks' files, and a way."""
    save_rows(TEACHER)
    save_rows(SCRATCH)
    save_way()
