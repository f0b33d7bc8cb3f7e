"""The files a checkpoint can be shipped as, made when somebody asks and kept for the next who does.

All are made from the published bytes without torch: the weights as they are, graph and weights as
one ONNX file, its 8-bit version, HW7's 8-bit file. One visitor's request makes a file, under a lock
that other threads and other processes wait for; it then stays in the cache folder, by the hash of
the weights, so that a class of forty that presses the button together costs one conversion.

Int8 needs the range of each layer's values. They ship with the results; with photographs anybody
can measure them (`calibrate`).
"""

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import onnxruntime as ort
from filelock import FileLock, Timeout
from pydantic import TypeAdapter, ValidationError

from core import places
from core.checkpoints import GRAPH, WEIGHTS, Checkpoint, get, read_files
from core.compression.quantize_hw7 import decode8, encode8
from core.errors import CheckpointError
from core.measure.quantization_grid import QuantizationGrid
from core.measure.shipping_table import Format, Shipping
from core.serving.inline import as_stored, float32_file
from core.serving.predict import THREADS, open_session
from core.serving.quantized_graph import Ranges, float32_graph, int8_graph, prepared, stored_state
from core.serving.quantized_measure import QuantizationExperiment, calibrated
from core.words import _

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
    sha256 = get(id).files[WEIGHTS].sha256
    for found in (QuantizationGrid.load(id), Shipping.load(id)):
        if found is not None and found.weights_sha256 == sha256 and found.calibration:
            return dict(found.calibration)
    try:
        return _RANGES.validate_json(_ranges_path(sha256).read_bytes())
    except (OSError, ValidationError):  # a cache: what is damaged in it is made again
        return None


def calibrate(id: str) -> bool:
    """Measure the ranges on training photographs, unless they are known; False without any."""
    if known_ranges(id) is not None:
        return True
    one = QuantizationExperiment.open(id)
    if one.split("training") is None:
        return False
    sha256 = one.checkpoint.files[WEIGHTS].sha256
    places.write_atomic(_ranges_path(sha256), _RANGES.dump_json(calibrated(one)))
    return True


def _ranges_path(sha256: str) -> Path:
    return places.cache_dir() / "ranges" / f"{sha256}.json"


def shipped(id: str, format: Format) -> bytes:
    """The file's bytes, from the cache where somebody asked before. Raises as `make` does."""
    if format == "safetensors":
        return make(id, format)
    folder = _folder(get(id), format)
    path = folder / file_name(id, format)
    if not path.is_file():
        with _alone(folder):
            if not path.is_file():  # else another one made it while we waited
                places.write_atomic(path, make(id, format))
                _forget_oldest(folder.parent)
    return path.read_bytes()


def _folder(one: Checkpoint, format: Format) -> Path:
    """Where the files of these weights are kept; another calibration is another int8 file."""
    key = f"{_VERSION} {one.files[WEIGHTS].sha256} {one.files[GRAPH].sha256}"
    if format == "onnx-int8":
        key += f" {known_ranges(one.id)!r}"
    return places.cache_dir() / "shipping" / hashlib.sha256(key.encode()).hexdigest()[:24]


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
    folders = sorted(root.iterdir(), key=lambda one: one.stat().st_mtime, reverse=True)
    for old in folders[KEPT_FOLDERS:]:
        shutil.rmtree(old, ignore_errors=True)


def open_file(id: str, format: Format, data: bytes, threads: int = THREADS) -> ort.InferenceSession:
    """What runs the file `data` on the processor: uint8 pixels (N, 3, px, px) -> logits (N, 11).

    A file without a graph is run with its checkpoint's: safetensors beside it, HW7's file decoded
    to float32 first. Raises CheckpointError if the file makes no sense.
    """
    if format.startswith("onnx"):
        return open_session(data, threads=threads)
    files = read_files(id, GRAPH, WEIGHTS)[1]
    if format == "safetensors":
        return open_session(files[GRAPH], data, threads)
    state = stored_state(files[WEIGHTS])
    decoded = decode8(data, {name: value.shape for name, value in state.items()})
    return open_session(float32_graph(files[GRAPH], state, decoded), threads=threads)
