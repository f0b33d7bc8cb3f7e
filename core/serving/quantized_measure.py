"""Quantised versions of a checkpoint measured: bytes on the disk, error, right answers, time.

Accuracies are paired: every version answers the same photographs in the same batches as the
checkpoint itself does. No torch, so a page can measure a point while its visitor waits.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from core.checkpoints import Checkpoint
from core.data.pixels import Pixels, pixels_here
from core.measure.accuracy import Labelled, labelled, mcnemar, paired_difference
from core.measure.latency import Spread
from core.measure.network_timing import time_sessions
from core.measure.quantization_grid import COMPUTED, Comparison, QuantRow, RowKey
from core.serving.predict import BATCH, Heard, open_session, run_batches
from core.serving.quantized import Version, make, ranges_of, source, suffix
from core.serving.quantized_graph import Ranges, calibrate, float32_graph, operators, prepared

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
        found = labelled(self.pixels, name, self.checkpoint.input_px)
        return found if len(found.labels) else None

    def right(self, key: RowKey) -> Answers | None:
        """Where a version measured before was right; None if it was not measured here."""
        if self.pictures is None or key not in self.answered:
            return None
        right: Answers = self.answered[key] == self.pictures.labels
        return right


WHOLE = RowKey("float32", 32)


def calibrated(one: QuantizationExperiment) -> Ranges:
    """The activations' ranges: measured on training photographs, or else those in the grid.

    Raises ConfigError where there are neither.
    """
    if one.ranges is None:
        pictures = one.split("training")
        if pictures is None:
            one.ranges = ranges_of(one.checkpoint.id)
        else:
            drawn = np.random.default_rng(0).permutation(len(pictures.labels))
            chosen = pictures.pixels[np.sort(drawn[:CALIBRATION_PICTURES])]
            ready = prepared(float32_graph(one.graph, one.state, {}))
            one.ranges = calibrate(ready, chosen)
    return one.ranges


def version(one: QuantizationExperiment, key: RowKey, state: State | None = None) -> Version:
    """The network in the format of `key`, with the weights `state` instead of its own if given."""
    ranges = calibrated(one) if key.scheme == "ort_int8" else None
    return make(one.graph, one.state if state is None else state, key.scheme, key.bits, ranges)


def measure(
    one: QuantizationExperiment,
    key: RowKey,
    *,
    made: Version | None = None,
    heard: Heard | None = None,
) -> QuantRow:
    """One row, without times. `made`: its version, if it is there already; a key that tells of
    fine-tuning needs it. Raises ConfigError as `make` and `calibrated` do.
    """
    made = made or version(one, key)
    row = QuantRow(
        **key._asdict(),
        params=one.checkpoint.params,
        size_bytes=written_bytes(made.file, suffix(key.scheme)),
        sqnr_db=None if made.error is None else made.error.sqnr_db,
        operators=operators(made.graph) if key.scheme in COMPUTED else {},
    )
    if one.pictures is None:
        return row
    if WHOLE not in one.answered and key != WHOLE:
        whole = float32_graph(one.graph, one.state, {})
        one.answered[WHOLE] = _answers(whole, one.pictures, one.threads)
    found = one.answered[key] = _answers(made.graph, one.pictures, one.threads, heard)
    right, before = one.right(key), one.right(WHOLE)
    assert right is not None and before is not None
    return row.model_copy(
        update={
            "n": len(right),
            "correct": int(right.sum()),
            "difference": None if key == WHOLE else paired_difference(right, before),
            "agreement": float((found == one.answered[WHOLE]).mean()),
        }
    )


def compare(one: QuantizationExperiment, a: RowKey, b: RowKey) -> Comparison | None:
    """Two versions that were measured here, paired; None without photographs."""
    right_a, right_b = one.right(a), one.right(b)
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
    sessions = {key: open_session(graph) for key, graph in graphs.items()}
    runs = {str(tuple(key)): partial(_run, session) for key, session in sessions.items()}
    found: dict[RowKey, dict[str, Spread]] = {key: {} for key in graphs}
    for batch in batches:
        timed = time_sessions(runs, px, batch, repeats=REPEATS[batch], budget_s=BUDGET_S[batch])
        for key, columns in found.items():
            columns[f"onnx_{batch}"] = Spread.of(timed[str(tuple(key))])
    return found


def _run(session: ort.InferenceSession, pixels: Any) -> Any:
    return session.run(None, {"pixels": pixels})


def _answers(
    graph: bytes, pictures: Labelled, threads: int, heard: Heard | None = None
) -> NDArray[np.int64]:
    """(n,) the class that the graph names for each picture."""
    session, n = open_session(graph, threads=threads), len(pictures.labels)
    found = np.empty(n, np.int64)
    for at in range(0, n, BATCH):
        logits = run_batches(session, pictures.pixels[at : at + BATCH])
        found[at : at + BATCH] = logits.argmax(1)
        if heard:
            heard(min(at + BATCH, n), n)
    return found
