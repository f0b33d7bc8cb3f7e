"""A `pretrained` folder for the quantisation page: two real, untrained networks, made-up rows.

The networks are those of `pruning_shelf`, so that the number line, photos and live runs are real;
the rows are round numbers that no network gave, so that a page which shows them must have read
them.
"""

from pathlib import Path

from core import checkpoints
from core.checkpoints import Checkpoint
from core.quantization.method import SCHEMES
from core.quantization.rows import (
    PARTS,
    ROW_BITS,
    Comparison,
    Form,
    PartRow,
    QuantizationGrid,
    QuantRow,
    RowKey,
)
from core.timing import Spread
from tests.pages import pruning_shelf

TEACHER, SCRATCH = pruning_shelf.TEACHER, pruning_shelf.SCRATCH
N = 1000
WHOLE = {TEACHER: 830, SCRATCH: 540}
FEWER: tuple[Form, ...] = ("tensor_minmax", "channel_symmetric", "kmeans")
LOST = {8: 0, 6: 0, 5: 10, 4: 100, 3: 300, 2: 430}
"""Right answers fewer than whole, of 1,000: the interval of 830 begins at 806, of 540 at 509."""
AWARE, PLAIN, ROUNDED = (
    RowKey("channel_symmetric", 4, "aware", 5),
    RowKey("channel_symmetric", 4, "plain", 5),
    RowKey("channel_symmetric", 4),
)


def publish(food: Path) -> None:
    """Two networks under SMALL_PLATES_PRETRAINED, measured on the made photographs in `food`."""
    pruning_shelf.publish(food)


def row(key: RowKey, one: Checkpoint, correct: int, size: int | None = None) -> QuantRow:
    """A made-up row; its bytes are those of the codes alone."""
    whole = WHOLE[one.id]
    gap = (correct - whole) / N
    return QuantRow(
        **key._asdict(),
        params=one.params,
        size_bytes=size or one.params * key.bits // 8,
        sqnr_db=None if key.bits == 32 else 6.0 * key.bits,
        n=N,
        correct=correct,
        difference=None if key.bits == 32 else (gap, gap - 0.02, gap + 0.02),
        agreement=1 + gap,
    )


def parts(one: Checkpoint) -> tuple[PartRow, ...]:
    """Of HW7's 8-bit file: the teacher's variances lose 20 points, nothing else does."""
    lost = 0.2 if one.family == "teacher" else 0.003
    found = []
    for part in PARTS:
        gap = -lost if part == "variances" else -0.003
        zeroed = 30 if part == "variances" else 0
        found.append(
            PartRow(
                part=part,
                values=40,
                zeroed=zeroed,
                n=N,
                correct=round(WHOLE[one.id] + gap * N),
                difference=(gap, gap - 0.02, gap + 0.02),
            )
        )
    return tuple(found)


def _timed(one: QuantRow, ms: float, operators: dict[str, int]) -> QuantRow:
    spread = Spread(median=ms, p25=0.98 * ms, p75=1.02 * ms, n=30)
    return one.model_copy(
        update={"latency": {"onnx_1": spread, "onnx_32": spread}, "operators": operators}
    )


def make_grid(one: Checkpoint) -> QuantizationGrid:
    """Made-up rows of a published network."""
    whole, size = WHOLE[one.id], one.params
    schemes = FEWER if one.family == "teacher" else SCHEMES
    rows = [
        row(RowKey(scheme, bits), one, whole - LOST[bits])
        for scheme in schemes
        for bits in ROW_BITS
    ]
    rows.append(row(RowKey("float16", 16), one, whole))
    rows.append(row(RowKey("hw7_8bit", 8), one, whole - 2, 265_000 if size < 200_000 else 900_000))
    forms = (
        ("float32", 32, 10.0, whole, 4 * size, {"Conv": 4, "Gemm": 1}),
        ("ort_int8", 8, 4.0, whole - 5, size + 50, {"Conv": 4, "QuantizeLinear": 9}),
        ("ort_dynamic", 8, 10.1, whole, 4 * size - 90, {"Conv": 4, "MatMulInteger": 1}),
        ("ort_dynamic_conv", 8, 20.0, whole - 3, size + 80, {"ConvInteger": 4}),
    )
    for scheme, bits, ms, correct, n_bytes, operators in forms:
        key = RowKey(scheme, bits)  # type: ignore[arg-type]
        rows.append(_timed(row(key, one, correct, n_bytes), ms, operators))
    compared = []
    if one.family != "teacher":
        rows += [row(AWARE, one, whole - 20), row(PLAIN, one, whole - 90)]
        compared = [
            Comparison(a=AWARE, b=ROUNDED, n=N, difference=0.08, low=0.05, high=0.11, p=0.0001),
            Comparison(a=PLAIN, b=ROUNDED, n=N, difference=0.01, low=-0.02, high=0.04, p=0.5),
        ]
    return QuantizationGrid(
        checkpoint=one.id,
        weights_sha256=one.weights_sha256,
        data=one.data.name,
        fingerprint=one.data.fingerprint,
        device="an abacus",
        versions={},
        commit="none",
        date="2026-11-22",
        comparisons=tuple(compared),
        hw7_parts=parts(one),
    ).with_rows(rows)


def fill() -> None:
    """The rows of both networks beside them."""
    for id in (TEACHER, SCRATCH):
        make_grid(checkpoints.get(id)).save()
