"""Quantised versions of a checkpoint measured: bytes on the disk, error, right answers, time.

Accuracies are paired: every version answers the same photographs in the same batches as the
checkpoint itself does. No torch, so a page can measure a point while its visitor waits.
"""

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from core import checkpoints
from core.checkpoints import Checkpoint
from core.data.pixels import Pixels, pixels_here
from core.inference.graph import Ranges, calibrate, float32_graph, operators, prepared
from core.inference.predict import BATCH, OnProgress, open_session, run_batches
from core.live import Report
from core.provenance import made_here
from core.quantization.graph import Version, make, ranges_of, source, suffix
from core.quantization.hw7 import decode8, encode8
from core.quantization.method import SCHEMES, quantisable
from core.quantization.number_line import LayerRows, layer_row
from core.quantization.rows import (
    COMPUTED,
    FIXED_BITS,
    PARTS,
    ROW_BITS,
    Comparison,
    Form,
    Part,
    PartRow,
    QuantizationGrid,
    QuantRow,
    RowKey,
    key_of,
)
from core.stats import Labelled, labelled, mcnemar, paired_difference
from core.timing import Spread, time_sessions

CALIBRATION_PICTURES = 128
BATCHES = (1, 32)
REPEATS = {1: 60, 32: 8}
BUDGET_S = {1: 10.0, 32: 25.0}
"""Rounds at most and seconds of measuring, per batch size."""

Answers = NDArray[np.bool_]
"""(n,) true where a version was right."""
State = Mapping[str, NDArray[Any]]


@dataclass
class QuantizationExperiment:
    """A checkpoint to be quantised: its graph and weights, the photographs if there are any."""

    checkpoint: Checkpoint
    graph: bytes
    state: dict[str, NDArray[Any]]
    pixels: Pixels | None
    threads: int = 1
    """Computing threads while measuring accuracy; times always use one."""
    ranges: Ranges | None = None
    """Of the activations, once `calibrated` has found them."""
    answered: dict[RowKey, NDArray[np.int64]] = field(default_factory=dict)
    """What each version measured so far answered on the test split, (n,) classes."""

    @classmethod
    def open(cls, id: str, threads: int = 1) -> Self:
        """A checkpoint and the photographs on this machine, if any. Raises CheckpointError."""
        checkpoint, graph, state = source(id)
        pixels = pixels_here(checkpoint.input_px, checkpoint.crop)
        return cls(checkpoint, graph, state, pixels, threads)

    @cached_property
    def pictures(self) -> Labelled | None:
        """The labelled pictures of the test split, or None where there are none."""
        return self.split("testing")

    def split(self, name: str) -> Labelled | None:
        """The labelled pictures of a split, or None where there are none."""
        if self.pixels is None:
            return None
        pictures = labelled(self.pixels, name, self.checkpoint.input_px)
        return pictures if len(pictures.labels) else None

    def right(self, key: RowKey) -> Answers | None:
        """Where a version measured before was right; None if it was not measured here."""
        if self.pictures is None or key not in self.answered:
            return None
        right: Answers = self.answered[key] == self.pictures.labels
        return right


WHOLE = RowKey("float32", 32)


def calibrated(experiment: QuantizationExperiment) -> Ranges:
    """The activations' ranges: measured on training photographs, or else those in the grid.

    Raises ConfigError where there are neither.
    """
    if experiment.ranges is None:
        pictures = experiment.split("training")
        if pictures is None:
            experiment.ranges = ranges_of(experiment.checkpoint.id)
        else:
            drawn = np.random.default_rng(0).permutation(len(pictures.labels))
            chosen = pictures.pixels[np.sort(drawn[:CALIBRATION_PICTURES])]
            ready = prepared(float32_graph(experiment.graph, experiment.state, {}))
            experiment.ranges = calibrate(ready, chosen)
    return experiment.ranges


def version(experiment: QuantizationExperiment, key: RowKey, state: State | None = None) -> Version:
    """The network in the format of `key`, with the weights `state` instead of its own if given."""
    ranges = calibrated(experiment) if key.scheme == "ort_int8" else None
    return make(
        experiment.graph, experiment.state if state is None else state, key.scheme, key.bits, ranges
    )


def measure(
    experiment: QuantizationExperiment,
    key: RowKey,
    *,
    made: Version | None = None,
    on_progress: OnProgress | None = None,
) -> QuantRow:
    """One row, without times. `made`: its version, if it is there already; a key that tells of
    fine-tuning needs it. Raises ConfigError as `make` and `calibrated` do.
    """
    made = made or version(experiment, key)
    row = QuantRow(
        **key._asdict(),
        params=experiment.checkpoint.params,
        size_bytes=written_bytes(made.file, suffix(key.scheme)),
        sqnr_db=None if made.error is None else made.error.sqnr_db,
        operators=operators(made.graph) if key.scheme in COMPUTED else {},
    )
    if experiment.pictures is None:
        return row
    if WHOLE not in experiment.answered and key != WHOLE:
        whole = float32_graph(experiment.graph, experiment.state, {})
        experiment.answered[WHOLE] = _answers(whole, experiment.pictures, experiment.threads)
    answers = experiment.answered[key] = _answers(
        made.graph, experiment.pictures, experiment.threads, on_progress
    )
    right, before = experiment.right(key), experiment.right(WHOLE)
    assert right is not None and before is not None
    return row.model_copy(
        update={
            "n": len(right),
            "correct": int(right.sum()),
            "difference": None if key == WHOLE else paired_difference(right, before),
            "agreement": float((answers == experiment.answered[WHOLE]).mean()),
        }
    )


def hw7_parts(experiment: QuantizationExperiment) -> tuple[PartRow, ...]:
    """The accuracy with only some of the tensors as HW7's 8-bit file gives them back, by PARTS.

    Parts that the network does not have are left out. Raises ValueError without photographs.
    """
    if experiment.pictures is None:
        raise ValueError("no photographs to ask about")
    if WHOLE not in experiment.answered:
        measure(experiment, WHOLE)
    state, before = experiment.state, experiment.right(WHOLE)
    assert before is not None
    read = decode8(encode8(state), {name: tensor.shape for name, tensor in state.items()})
    rows = []
    for part in PARTS:
        names = [
            name for name, tensor in state.items() if tensor.ndim and _is_of(name, part, state)
        ]
        if not names:
            continue
        mixed = {name: read[name] if name in names else tensor for name, tensor in state.items()}
        graph = float32_graph(experiment.graph, state, mixed)
        right = (
            _answers(graph, experiment.pictures, experiment.threads) == experiment.pictures.labels
        )
        rows.append(
            PartRow(
                part=part,
                values=sum(state[name].size for name in names),
                zeroed=sum(int(((read[name] == 0) & (state[name] != 0)).sum()) for name in names),
                n=len(right),
                correct=int(right.sum()),
                difference=paired_difference(right, before),
            )
        )
    return tuple(rows)


def _is_of(name: str, part: Part, state: State) -> bool:
    """Whether a tensor of dimensions belongs to a part of `PARTS`."""
    layer, _dot, kind = name.rpartition(".")
    if part == "all_but_variances":
        return kind != "running_var"
    if part in ("variances", "means"):
        return kind == {"variances": "running_var", "means": "running_mean"}[part]
    of_batchnorm = f"{layer}.running_var" in state and kind in ("weight", "bias")
    return of_batchnorm if part == "scales" else name in quantisable({name: state[name]})


def compare(experiment: QuantizationExperiment, a: RowKey, b: RowKey) -> Comparison | None:
    """Two versions that were measured here, paired; None without photographs."""
    right_a, right_b = experiment.right(a), experiment.right(b)
    if right_a is None or right_b is None:
        return None
    difference, low, high = paired_difference(right_a, right_b)
    return Comparison(
        a=a, b=b, n=len(right_a), difference=difference, low=low, high=high,
        p=mcnemar(right_a, right_b),
    )  # fmt: skip


def written_bytes(file: bytes, ending: str) -> int:
    """How long the file is once it is on a disk: written, looked at, removed."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"network{ending}"
        path.write_bytes(file)
        return path.stat().st_size


def time_versions(
    graphs: Mapping[RowKey, bytes], px: int, batches: Sequence[int] = BATCHES
) -> dict[RowKey, dict[str, Spread]]:
    """`onnx_<batch>` of each graph, all taking turns in one sitting; one computing thread."""
    sessions = {str(tuple(key)): open_session(graph) for key, graph in graphs.items()}
    spreads: dict[RowKey, dict[str, Spread]] = {key: {} for key in graphs}
    for batch in batches:
        timed = time_sessions(sessions, px, batch, repeats=REPEATS[batch], budget_s=BUDGET_S[batch])
        for key, columns in spreads.items():
            columns[f"onnx_{batch}"] = Spread.of(timed[str(tuple(key))])
    return spreads


def _answers(
    graph: bytes, pictures: Labelled, threads: int, on_progress: OnProgress | None = None
) -> NDArray[np.int64]:
    """(n,) the class that the graph names for each picture."""
    session, n = open_session(graph, threads=threads), len(pictures.labels)
    answers = np.empty(n, np.int64)
    for at in range(0, n, BATCH):
        logits = run_batches(session, pictures.pixels[at : at + BATCH])
        answers[at : at + BATCH] = logits.argmax(1)
        if on_progress:
            on_progress(min(at + BATCH, n), n)
    return answers


Stage = Literal["weights", "int8", "aware", "layers"]
STAGES: tuple[Stage, ...] = get_args(Stage)
"""`weights`: every scheme at ROW_BITS, float32, float16 and HW7's 8-bit file, whole and part by
part. `int8`: ONNX Runtime's, and one sitting of times beside float32. `aware`: fine-tuning with
4-bit weights against the same without, then quantised. `layers`: the number line. The file is
written after every point, so a stopped run goes on where it was."""
Log = Callable[[str], None]

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
    layered = LayerRows.of_checkpoint(entry) is not None
    if grid is None or grid.weights_sha256 != entry.weights_sha256:
        return tuple(stage for stage in wanted if stage != "layers" or not layered)
    known = {row.key for row in grid.rows if row.n}
    done = {
        "layers": layered,
        "weights": known.issuperset(points(entry)) and bool(grid.hw7_parts),
        "int8": known.issuperset(RowKey(form, 8) for form in COMPUTED[1:]) and _is_timed(grid),
        "aware": known.issuperset((PLAIN_FLOAT, PLAIN, AWARE))
        and all(grid.comparison(*pair) for pair in COMPARED),
    }
    return tuple(stage for stage in wanted if not done[stage])


def make_grid(
    id: str,
    stages: Sequence[Stage] = STAGES,
    log: Log = print,
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
    experiment = QuantizationExperiment.open(id, threads)
    grid = QuantizationGrid.begin(
        experiment.checkpoint, experiment.pixels.index if experiment.pixels else None, made_here
    )

    def log_line(line: str) -> None:
        log(f"{id}: {line}")

    if "layers" in stages:
        _layers(experiment, log_line)
    if "weights" in stages:
        for key in points(experiment.checkpoint):
            grid = _point(experiment, grid, key, log_line)
        if not grid.hw7_parts and experiment.pictures is not None:
            grid = grid.model_copy(update={"hw7_parts": hw7_parts(experiment)})
            grid.save()
            log_line("HW7's 8-bit file, part by part")
    if "int8" in stages:
        grid = _int8(experiment, grid, log_line)
    if "aware" in stages and (large or not is_large(experiment.checkpoint)):
        grid = _aware(experiment, grid, log_line, device)
    return grid


def _is_timed(grid: QuantizationGrid) -> bool:
    rows = map(grid.form, COMPUTED)
    return all(row and {f"onnx_{n}" for n in BATCHES} <= set(row.latency) for row in rows)


def _layers(experiment: QuantizationExperiment, log: Log) -> None:
    """Write down what the number line shows of these weights, unless it is there."""
    if LayerRows.of_checkpoint(experiment.checkpoint) is not None:
        return
    weights = checkpoints.checkpoint_tensors(experiment.checkpoint.id)
    rows = [layer_row(name, weights[name]) for name in quantisable(weights)]
    LayerRows.begin(experiment.checkpoint, None, made_here).keep(rows)
    log(f"{len(rows)} layers for the number line")


def _point(
    experiment: QuantizationExperiment, grid: QuantizationGrid, key: RowKey, log: Log
) -> QuantizationGrid:
    """The grid with this row in it, measured if it was not; times that are known stay."""
    known = grid.row(key)
    if known and (known.n or experiment.pictures is None):
        return grid
    row = measure(experiment, key)
    if known and known.latency:
        row = row.model_copy(update={"latency": known.latency})
    log(f"{key.scheme} {key.bits} bits, {_summary(row)}")
    return grid.keep([row])


def _summary(row: QuantRow) -> str:
    right = "no photographs" if row.score is None else f"{row.score.accuracy:.1%} right"
    return f"{row.size_bytes:,} bytes, {right}"


def _int8(experiment: QuantizationExperiment, grid: QuantizationGrid, log: Log) -> QuantizationGrid:
    if not grid.calibration:
        ranges = calibrated(experiment)
        training = experiment.split("training")
        used = 0 if training is None else min(CALIBRATION_PICTURES, len(training.labels))
        grid = grid.model_copy(update={"calibration": ranges, "calibrated_on": used})
        grid.save()
        log(f"calibrated on {used} photographs")
    experiment.ranges = dict(grid.calibration)
    keys = [RowKey(form, FIXED_BITS[form]) for form in COMPUTED]
    for key in keys:
        grid = _point(experiment, grid, key, log)
    if _is_timed(grid):
        return grid
    timed = time_versions(
        {key: version(experiment, key).graph for key in keys}, experiment.checkpoint.input_px
    )
    log("timed")
    rows = {key: grid.row(key) for key in keys}
    return grid.keep(
        row.model_copy(update={"latency": timed[key]}) for key, row in rows.items() if row
    )


def _aware(
    experiment: QuantizationExperiment, grid: QuantizationGrid, log: Log, device: str | None
) -> QuantizationGrid:
    """Fine-tune twice, quantise, compare on the same photographs."""
    if all(grid.row(key) for key in (PLAIN_FLOAT, PLAIN, AWARE)) and all(
        grid.comparison(*pair) for pair in COMPARED
    ):
        return grid
    from core.quantization import aware
    from core.training.experiment import Experiment

    networked = Experiment.open(experiment.checkpoint.id, experiment.threads)

    def on_progress(entry: dict[str, object]) -> None:
        log(f"epoch {entry['epoch']}, loss {entry['loss']:.3f}")

    rows = []
    for key in (PLAIN, AWARE):
        began = time.perf_counter()
        net = aware.tuned(networked, key, on_progress, device)
        if key == AWARE:
            aware.publish_aware(networked, net, key, time.perf_counter() - began)
        state = aware.state_arrays(net)
        for of in (PLAIN_FLOAT, PLAIN) if key == PLAIN else (AWARE,):
            rows.append(measure(experiment, of, made=version(experiment, of, state)))
            log(f"{of.training} fine-tuning, {of.scheme} {of.bits} bits, {_summary(rows[-1])}")
    rows += [measure(experiment, key) for key in (NONE, WHOLE) if key not in experiment.answered]
    pairs = [made for pair in COMPARED if (made := compare(experiment, *pair))]
    kept = [row for row in rows if row.training != "none" or grid.row(row.key) is None]
    return grid.model_copy(update={"comparisons": tuple(pairs)}).keep(kept)


def measure_live(point: dict[str, Any], report: Report) -> None:
    """Measure one point, and the network in float32 before it, on the same photographs.

    `report` hears steps, and at the end `{"rows": [...]}`: the point's row, then float32's.

    `point`: the fields of `QuantPoint`. Raises UserError.
    """
    experiment = QuantizationExperiment.open(point["checkpoint"])
    rows = []
    for step, key in (("whole", WHOLE), ("accuracy", key_of(point["scheme"], point["bits"]))):
        report({"step": step})

        def on_progress(done: int, of: int, step: str = step) -> None:
            report({"step": step, "done": done, "of": of})

        rows.append(measure(experiment, key, on_progress=on_progress))
    report({"rows": [row.model_dump(mode="json") for row in reversed(rows)]})
