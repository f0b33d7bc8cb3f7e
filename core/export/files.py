"""What was measured of the files that a checkpoint can be shipped as, and the file that keeps it.

A row is one file format: its bytes, its time, and how far its answers are from the original's. The
rows of a checkpoint stand in `pretrained/results/shipping-<checkpoint>.json`, with the hash of the
weights and the fingerprint of the photographs they belong to. Nothing here imports torch.
"""

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import onnx
import onnxruntime as ort
from filelock import FileLock, Timeout
from pydantic import Field, TypeAdapter, ValidationError

from core import paths
from core.checkpoints import GRAPH, WEIGHTS, Checkpoint, DerivedFrom, get, read_files
from core.errors import CheckpointError
from core.export.stack import RUNTIMES, Format, Runtime
from core.i18n import _
from core.inference.explain import Explainer
from core.inference.graph import Ranges, float32_graph, int8_graph, prepared, stored_state
from core.inference.predict import THREADS, Predictor, open_session, shared, with_features
from core.live import LiveRuns
from core.quantization.hw7 import decode8, encode8
from core.quantization.measure import QuantizationExperiment, calibrated
from core.quantization.rows import QuantizationGrid
from core.results import CheckpointRows, Frozen, MeasuredRow
from core.stats import Score
from core.timing import Spread


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


# One file instead of two: a checkpoint's ONNX graph with its weights written into it, no torch.
#
# In `pretrained/` a graph points into `weights.safetensors` (`core.inference.export`), where halved
# weights are widened to float32 by a Cast node. A phone wants one file. As float32 every weight is
# widened here and the Cast nodes go; as float16 both stay as they are, and the file is about half
# as large. ONNX Runtime folds the Casts away when it opens the file: it computes the same either
# way.


def float32_file(graph: bytes, weights: bytes) -> bytes:
    """A self-contained float32 ONNX file from a checkpoint's graph and `weights.safetensors`.

    It answers to the last bit as the two files do. Raises CheckpointError where they do not belong
    together.
    """
    return float32_graph(graph, stored_state(weights), {})


def as_stored(graph: bytes, weights: bytes) -> bytes:
    """The same with every weight in the type it is stored in: halved ones stay half.

    Raises CheckpointError where the graph points at what `weights` does not hold.
    """
    model = onnx.load_model_from_string(graph)
    for tensor in model.graph.initializer:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            _fill(tensor, weights)
    return bytes(model.SerializeToString(deterministic=True))


def _fill(tensor: onnx.TensorProto, weights: bytes) -> None:
    """Put the bytes in that an external initializer points at."""
    fields = {entry.key: entry.value for entry in tensor.external_data}
    try:
        at, length = int(fields.get("offset", 0)), int(fields["length"])
    except (KeyError, ValueError):
        at = length = -1
    item = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    sound = fields.get("location") == WEIGHTS and 0 <= at <= at + length <= len(weights)
    if not sound or length != item * int(np.prod(tensor.dims, dtype=np.int64)):
        raise CheckpointError(
            _("The graph points at weights of {name} that are not there.").format(name=tensor.name)
        )
    del tensor.external_data[:]
    tensor.data_location = onnx.TensorProto.DEFAULT
    tensor.raw_data = weights[at : at + length]


# The files a checkpoint can be shipped as, made when somebody asks and kept for the next who does.
#
# All are made from the published bytes without torch: the weights as they are, graph and weights as
# one ONNX file, its 8-bit version, HW7's 8-bit file. One visitor's request makes a file, under a
# lock that other threads and other processes wait for; it then stays in the cache folder, by the
# hash of the weights, so that a class of forty that presses the button together costs one
# conversion.
#
# Int8 needs the range of each layer's values. They ship with the results; with photographs anybody
# can measure them (`calibrate`).


ENDINGS: dict[Format, str] = {
    "safetensors": ".safetensors",
    "onnx": ".onnx",
    "onnx-fp16": ".fp16.onnx",
    "onnx-int8": ".int8.onnx",
    "hw7-8bit": ".8bit.pkl",
}
LOCK_WAIT_S = 120.0
KEPT_FOLDERS = 40
_VERSION = 1
"""Counted up when the same checkpoint gives other files than before."""
_RANGES = TypeAdapter(Ranges)


def file_name(id: str, format: Format) -> str:
    """What the file is called: the checkpoint's id and an ending that says what is in it."""
    return id + ENDINGS[format]


def make(id: str, format: Format) -> bytes:
    """The file's bytes, made now. Equal checkpoints give equal bytes.

    Raises CheckpointError for an unknown or damaged checkpoint, and for int8 where nobody has
    measured its ranges (`obstacle` says so before, `calibrate` helps).
    """
    files = read_files(id, GRAPH, WEIGHTS)[1]
    if format == "safetensors":
        return files[WEIGHTS]
    if format == "onnx-fp16":
        return as_stored(files[GRAPH], files[WEIGHTS])
    if format == "onnx":
        return float32_file(files[GRAPH], files[WEIGHTS])
    state = stored_state(files[WEIGHTS])
    if format == "hw7-8bit":
        return encode8(state)
    ranges = known_ranges(id)
    if ranges is None:
        raise CheckpointError(obstacle(id, format))
    return int8_graph(prepared(float32_graph(files[GRAPH], state, {})), "ort_int8", ranges)


def obstacle(id: str, format: Format) -> str:
    """Why this file cannot be made here, as a sentence; empty where it can."""
    if format != "onnx-int8":
        return ""
    try:
        if known_ranges(id) is not None:
            return ""
    except CheckpointError as error:
        return str(error)
    return _(
        "Int8 needs the range of every layer's values on training photographs, and nobody has "
        "measured those of this network yet. Where photographs are: python -m core export {id} "
        "--format onnx-int8"
    ).format(id=id)


def known_ranges(id: str) -> Ranges | None:
    """The ranges int8 needs, for these very weights: with the results that ship, or measured here.

    None if nobody has measured them. Raises CheckpointError for a damaged file.
    """
    sha256 = get(id).weights_sha256
    for results in (QuantizationGrid.load(id), Shipping.load(id)):
        if results is not None and results.weights_sha256 == sha256 and results.calibration:
            return dict(results.calibration)
    try:
        return _RANGES.validate_json(_ranges_path(sha256).read_bytes())
    except (OSError, ValidationError):  # a cache: what is damaged in it is made again
        return None


def calibrate(id: str) -> bool:
    """Measure the ranges on training photographs, unless they are known; False without any."""
    if known_ranges(id) is not None:
        return True
    experiment = QuantizationExperiment.open(id)
    if experiment.split("training") is None:
        return False
    sha256 = experiment.checkpoint.weights_sha256
    paths.write_atomic(_ranges_path(sha256), _RANGES.dump_json(calibrated(experiment)))
    return True


def _ranges_path(sha256: str) -> Path:
    return paths.cache_dir() / "ranges" / f"{sha256}.json"


def shipped(id: str, format: Format) -> bytes:
    """The file's bytes, from the cache where somebody asked before. Raises as `make` does."""
    if format == "safetensors":
        return make(id, format)
    folder = _folder(get(id), format)
    path = folder / file_name(id, format)
    if not path.is_file():
        with _alone(folder):
            if not path.is_file():  # else another one made it while we waited
                paths.write_atomic(path, make(id, format))
                _forget_oldest(folder.parent)
    return path.read_bytes()


def _folder(checkpoint: Checkpoint, format: Format) -> Path:
    """Where the files of these weights are kept; another calibration is another int8 file."""
    key = f"{_VERSION} {checkpoint.weights_sha256} {checkpoint.files[GRAPH].sha256}"
    if format == "onnx-int8":
        key += f" {known_ranges(checkpoint.id)!r}"
    return paths.cache_dir() / "shipping" / hashlib.sha256(key.encode()).hexdigest()[:24]


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One thread of one process at a time for each folder."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / ".lock", timeout=LOCK_WAIT_S):
            yield
    except Timeout as error:
        raise CheckpointError(
            _("This file is being made for somebody else right now. Try again in a minute.")
        ) from error


def _forget_oldest(root: Path) -> None:
    folders = sorted(root.iterdir(), key=lambda folder: folder.stat().st_mtime, reverse=True)
    for old in folders[KEPT_FOLDERS:]:
        shutil.rmtree(old, ignore_errors=True)


def open_file(
    id: str, format: Format, data: bytes, threads: int = THREADS, keep_memory: bool = True
) -> ort.InferenceSession:
    """What runs the file `data` on the processor: uint8 pixels (N, 3, px, px) -> logits (N, 11).

    A file without a graph is run with its checkpoint's: safetensors beside it, HW7's file decoded
    to float32 first. `keep_memory` as in `open_session`. Raises CheckpointError if the file makes
    no sense.
    """
    if format.startswith("onnx"):
        return open_session(data, threads=threads, keep_memory=keep_memory)
    files = read_files(id, GRAPH, WEIGHTS)[1]
    if format == "safetensors":
        return open_session(files[GRAPH], data, threads, keep_memory=keep_memory)
    state = stored_state(files[WEIGHTS])
    decoded = decode8(data, {name: value.shape for name, value in state.items()})
    graph = float32_graph(files[GRAPH], state, decoded)
    return open_session(graph, threads=threads, keep_memory=keep_memory)


class FilePredictor(Predictor):
    """A file that a checkpoint can be shipped as, ready to answer as the checkpoint does.

    `checkpoint` is the checkpoint's entry as of this file: its id ends in the format, it is a
    version of the checkpoint, `size_bytes` is the file's, and `test` what was measured of the file,
    None where nothing was.
    """

    def __init__(self, id: str, format: Format) -> None:
        """Makes the file, or takes it from the cache. Raises CheckpointError as `shipped` does."""
        checkpoint = get(id)
        data = shipped(id, format)
        measured = Shipping.load(id)
        rows = (
            measured.rows
            if measured and measured.weights_sha256 == checkpoint.weights_sha256
            else ()
        )
        parity = next((row.parity for row in rows if row.format == format), None)
        self.checkpoint = checkpoint.model_copy(
            update={
                "id": f"{id}.{format}",
                "size_bytes": len(data),
                "derived_from": DerivedFrom(id=id, kind="quantised"),
                "test": parity.score if parity else None,
            }
        )
        self.threads = THREADS
        file = with_features(data) if "onnx" in format else data
        self._session = open_file(id, format, file, keep_memory=False)
        self._data = data

    @cached_property
    def explainer(self) -> Explainer:
        """What says where it looks; of an ONNX file. Raises CheckpointError."""
        return Explainer(self._data)


def int8_predictor(checkpoint: Checkpoint) -> FilePredictor | None:
    """The checkpoint's int8 ONNX file, opened once for all visitors; None where it cannot be made.

    Raises CheckpointError if the checkpoint's files are damaged.
    """
    return (
        None
        if obstacle(checkpoint.id, "onnx-int8")
        else shared(checkpoint, partial(FilePredictor, checkpoint.id, "onnx-int8"), "onnx-int8")
    )


# The line of live runs that make and measure a checkpoint's files; torch-free, as the page is.
#
# One process at a time for all visitors, as `core.live` says; a run's result stays
# for the next who asks.


class FilePoint(NamedTuple):
    """What is made: all files of a checkpoint; the hash makes newly published weights new."""

    checkpoint: str
    weights_sha256: str


RUNS: LiveRuns[FilePoint, FileRow] = LiveRuns(FileRow, "core.export.measure:measure_live")
"""The line of this server."""
