"""Fill a checkpoint's grid of quantised versions, stage by stage; what is there is not done again.

- `weights`: every scheme at 8, 6, 5, 4, 3, 2 bits, float32, float16 and HW7's 8-bit file.
- `int8`: ONNX Runtime's int8, static and dynamic, and one sitting of times beside float32.
- `aware`: fine-tuning with 4-bit weights against the same fine-tuning without, then quantised.

The file is written after every point, so a stopped run goes on where it was.
"""

import time
from collections.abc import Callable, Sequence
from typing import Literal, get_args

from core import checkpoints
from core.checkpoints import Checkpoint
from core.compression.quantize import SCHEMES
from core.measure.quantization_grid import (
    COMPUTED,
    ROW_BITS,
    Form,
    QuantizationGrid,
    QuantRow,
    RowKey,
)
from core.provenance import made_here
from core.serving.quantized_measure import (
    BATCHES,
    CALIBRATION_PICTURES,
    WHOLE,
    QuantizationExperiment,
    calibrated,
    compare,
    measure,
    time_versions,
    version,
)

Stage = Literal["weights", "int8", "aware"]
STAGES: tuple[Stage, ...] = get_args(Stage)
Say = Callable[[str], None]

FEWER: tuple[Form, ...] = ("tensor_minmax", "channel_symmetric", "kmeans")
"""Schemes of a teacher: each point takes it long."""
AWARE_BITS, AWARE_EPOCHS = 4, 5
LARGE_MACS = 60_000_000
"""Networks with more to compute are fine-tuned only if asked for: an epoch takes them minutes."""

NONE = RowKey("channel_symmetric", AWARE_BITS)
PLAIN = RowKey("channel_symmetric", AWARE_BITS, "plain", AWARE_EPOCHS)
AWARE = RowKey("channel_symmetric", AWARE_BITS, "aware", AWARE_EPOCHS)
PLAIN_FLOAT = RowKey("float32", 32, "plain", AWARE_EPOCHS)
COMPARED = ((AWARE, NONE), (AWARE, PLAIN), (PLAIN, NONE), (AWARE, WHOLE))
"""Which rows are compared, first minus second."""


def points(checkpoint: Checkpoint) -> list[RowKey]:
    """The rows of the stage `weights`."""
    schemes = FEWER if checkpoint.family == "teacher" else SCHEMES
    return [
        WHOLE,
        RowKey("float16", 16),
        RowKey("hw7_8bit", 8),
        *(RowKey(scheme, bits) for scheme in schemes for bits in ROW_BITS),
    ]


def is_large(checkpoint: Checkpoint) -> bool:
    """Whether it is left out of the stage `aware` unless asked for."""
    return checkpoint.family == "teacher" or checkpoint.macs > LARGE_MACS


def missing_stages(id: str) -> tuple[Stage, ...]:
    """What `make_grid` would still have to do for this checkpoint, large networks' training aside.

    Raises CheckpointError if there is no such checkpoint.
    """
    entry, grid = checkpoints.get(id), QuantizationGrid.load(id)
    wanted = [stage for stage in STAGES if stage != "aware" or not is_large(entry)]
    if grid is None or grid.weights_sha256 != entry.files[checkpoints.WEIGHTS].sha256:
        return tuple(wanted)
    known = {row.key for row in grid.rows if row.n}
    done = {
        "weights": known.issuperset(points(entry)),
        "int8": known.issuperset(RowKey(form, 8) for form in COMPUTED[1:]) and _is_timed(grid),
        "aware": known.issuperset((PLAIN_FLOAT, PLAIN, AWARE))
        and all(grid.comparison(*pair) for pair in COMPARED),
    }
    return tuple(stage for stage in wanted if not done[stage])


def make_grid(
    id: str,
    stages: Sequence[Stage] = STAGES,
    say: Say = print,
    *,
    threads: int = 1,
    large: bool = False,
    device: str | None = None,
) -> QuantizationGrid:
    """Do what is missing of these stages for one checkpoint; returns its grid.

    `threads`: computing threads for accuracies (times use one). `large`: fine-tune teachers and
    other large networks, too. Raises CheckpointError, ConfigError where there are no photographs
    to calibrate on, and what training raises.
    """
    one = QuantizationExperiment.open(id, threads)
    grid = QuantizationGrid.begin(
        one.checkpoint, one.pixels.index if one.pixels else None, made_here
    )

    def hear(line: str) -> None:
        say(f"{id}: {line}")

    if "weights" in stages:
        for key in points(one.checkpoint):
            grid = _point(one, grid, key, hear)
    if "int8" in stages:
        grid = _int8(one, grid, hear)
    if "aware" in stages and (large or not is_large(one.checkpoint)):
        grid = _aware(one, grid, hear, device)
    return grid


def _is_timed(grid: QuantizationGrid) -> bool:
    rows = [grid.row(RowKey(form, 32 if form == "float32" else 8)) for form in COMPUTED]
    return all(row and {f"onnx_{n}" for n in BATCHES} <= set(row.latency) for row in rows)


def _point(
    one: QuantizationExperiment, grid: QuantizationGrid, key: RowKey, say: Say
) -> QuantizationGrid:
    """The grid with this row in it, measured if it was not; times that are known stay."""
    known = grid.row(key)
    if known and (known.n or one.pictures is None):
        return grid
    row = measure(one, key)
    if known and known.latency:
        row = row.model_copy(update={"latency": known.latency})
    say(f"{key.scheme} {key.bits} bits, {_told(row)}")
    return _keep(grid, row)


def _keep(grid: QuantizationGrid, *rows: QuantRow) -> QuantizationGrid:
    return grid.keep(rows)


def _told(row: QuantRow) -> str:
    right = "no photographs" if row.score is None else f"{row.score.accuracy:.1%} right"
    return f"{row.size_bytes:,} bytes, {right}"


def _int8(one: QuantizationExperiment, grid: QuantizationGrid, say: Say) -> QuantizationGrid:
    if not grid.calibration:
        found = calibrated(one)
        training = one.split("training")
        used = 0 if training is None else min(CALIBRATION_PICTURES, len(training.labels))
        grid = grid.model_copy(update={"calibration": found, "calibrated_on": used})
        grid.save()
        say(f"calibrated on {used} photographs")
    one.ranges = dict(grid.calibration)
    keys = [RowKey(form, 32 if form == "float32" else 8) for form in COMPUTED]
    for key in keys:
        grid = _point(one, grid, key, say)
    if _is_timed(grid):
        return grid
    timed = time_versions({key: version(one, key).graph for key in keys}, one.checkpoint.input_px)
    say("timed")
    rows = {key: grid.row(key) for key in keys}
    return _keep(
        grid,
        *(row.model_copy(update={"latency": timed[key]}) for key, row in rows.items() if row),
    )


def _aware(
    one: QuantizationExperiment, grid: QuantizationGrid, say: Say, device: str | None
) -> QuantizationGrid:
    """Fine-tune twice, quantise, compare on the same photographs."""
    if all(grid.row(key) for key in (PLAIN_FLOAT, PLAIN, AWARE)) and all(
        grid.comparison(*pair) for pair in COMPARED
    ):
        return grid
    from core.training import quantization_aware as aware
    from core.training.experiment import Experiment

    networked = Experiment.open(one.checkpoint.id, one.threads)

    def heard(entry: dict[str, object]) -> None:
        say(f"epoch {entry['epoch']}, loss {entry['loss']:.3f}")

    rows = []
    for key in (PLAIN, AWARE):
        began = time.perf_counter()
        net = aware.tuned(networked, key, heard, device)
        if key == AWARE:
            aware.publish_aware(networked, net, key, time.perf_counter() - began)
        state = aware.state_arrays(net)
        for of in (PLAIN_FLOAT, PLAIN) if key == PLAIN else (AWARE,):
            rows.append(measure(one, of, made=version(one, of, state)))
            say(f"{of.training} fine-tuning, {of.scheme} {of.bits} bits, {_told(rows[-1])}")
    rows += [measure(one, key) for key in (NONE, WHOLE) if key not in one.answered]
    found = [made for pair in COMPARED if (made := compare(one, *pair))]
    kept = [row for row in rows if row.training != "none" or grid.row(row.key) is None]
    return _keep(grid.model_copy(update={"comparisons": tuple(found)}), *kept)
