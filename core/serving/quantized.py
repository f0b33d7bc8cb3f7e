"""A quantised checkpoint: its file, and the network in that file answering, without torch.

Whatever the format, the file is made first and read back; what answers is what was in it. Formats
that nothing computes in (4-bit codes, float16) are widened to float32 when they are loaded; ONNX
Runtime's int8 runs as it is.
"""

import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from core import limited
from core.checkpoints import GRAPH, WEIGHTS, Checkpoint, get, read_files
from core.compression.quantize import Error, Scheme, network_error, quantisable
from core.compression.quantize_file import check_shapes, matched, pack, unpack
from core.compression.quantize_hw7 import decode8, encode8
from core.errors import CheckpointError, ConfigError
from core.measure.accuracy import Labelled
from core.measure.quantization_grid import Form, QuantizationGrid, key_of
from core.serving.predict import THREADS, Heard, count_correct, open_session, run_batches
from core.serving.quantized_graph import (
    Ranges,
    float32_graph,
    int8_error,
    int8_graph,
    prepared,
    stored_state,
    weight_shapes,
)
from core.words import _

MAX_OPEN = 8
LIMITS = limited.Limits(cpu_s=5, wall_s=20, memory_bytes=400_000_000, answer_bytes=100_000_000)
"""For a stranger's file: one of 10 MB takes two seconds and 200 MB at most."""

State = dict[str, NDArray[Any]]


class Version(NamedTuple):
    """A network in one format."""

    file: bytes
    """As it would be handed on: safetensors, HW7's pickle, or ONNX."""
    graph: bytes
    """The ONNX graph that computes with what is in `file`."""
    error: Error | None
    """What the weights lost."""


def suffix(scheme: Form) -> str:
    """What the name of such a file ends with."""
    if scheme.startswith("ort"):
        return ".onnx"
    return ".pkl" if scheme == "hw7_8bit" else ".safetensors"


def source(id: str) -> tuple[Checkpoint, bytes, State]:
    """A checkpoint, its graph and its state dict. Raises CheckpointError as `read_files` does."""
    checkpoint, files = read_files(id, GRAPH, WEIGHTS)
    return checkpoint, files[GRAPH], stored_state(files[WEIGHTS])


def make(
    graph: bytes,
    state: Mapping[str, NDArray[Any]],
    scheme: Form,
    bits: int,
    ranges: Ranges | None = None,
) -> Version:
    """The network of a checkpoint's `graph` with the weights `state`, in one format.

    `ranges`: what `core.serving.quantized_graph.calibrate` found, for `ort_int8`. Raises
    ConfigError for a scheme or width that is not there, and for missing ranges.
    """
    scheme, bits = key_of(scheme, bits)[:2]
    if scheme.startswith("ort"):
        ready = prepared(float32_graph(graph, state, state))
        kind = cast(Any, scheme)
        file = int8_graph(ready, kind, ranges)
        return Version(file, file, int8_error(ready, file))
    shapes = {name: tensor.shape for name, tensor in state.items()}
    if scheme == "hw7_8bit":
        file = encode8(state)
        read: State = decode8(file, shapes)
    elif scheme == "float32":
        import safetensors.numpy

        copies = {name: np.array(tensor, order="C") for name, tensor in state.items()}
        file = bytes(safetensors.numpy.save(copies))
        read = dict(safetensors.numpy.load(file))
    else:
        as_scheme: Scheme = "tensor_minmax" if scheme == "float16" else cast(Scheme, scheme)
        file = pack(state, as_scheme, bits)
        read = unpack(file, shapes)
    weights = {name: read[name] for name in quantisable(state)}
    error = network_error(cast(Any, state), weights)
    return Version(file, float32_graph(graph, state, read), error)


def ranges_of(id: str) -> Ranges:
    """The activations' ranges that were measured of a checkpoint, for static int8.

    Raises ConfigError if they were not, or belong to other weights.
    """
    grid = QuantizationGrid.load(id)
    weights = get(id).files[WEIGHTS].sha256
    if grid is None or not grid.calibration or grid.weights_sha256 != weights:
        raise ConfigError(
            _("{id} was not calibrated for int8 yet. With photographs: {command}").format(
                id=id, command=f"python -m core quantize-grid {id} --stages int8"
            )
        )
    return dict(grid.calibration)


def version_of(id: str, scheme: Form, bits: int = 8) -> Version:
    """A checkpoint in one format. Raises CheckpointError, and ConfigError as `make` does."""
    scheme, bits = key_of(scheme, bits)[:2]
    _checkpoint, graph, state = source(id)
    return make(graph, state, scheme, bits, ranges_of(id) if scheme == "ort_int8" else None)


def quantized_file(id: str, scheme: Form, bits: int = 8) -> bytes:
    """The file whose size the rows give; `suffix` is what its name ends with."""
    return version_of(id, scheme, bits).file


def load_hw7(
    id: str, data: bytes, threads: int = THREADS, read: State | None = None
) -> "QuantizedPredictor":
    """A network from a stranger's file, of the shapes that the checkpoint has (`matched`).

    `read`: what `read_stranger` gave of `data`. Raises CheckpointError for a file that is hostile,
    damaged or of another network, and where its answers are not finite numbers.
    """
    _checkpoint, graph, state = source(id)
    read = read_stranger(data) if read is None else read
    arrays = {name: tensor for name, tensor in read.items() if tensor.ndim}
    ours = weight_shapes(graph)
    names = matched({name: tensor.shape for name, tensor in arrays.items()}, ours)
    if names is None:
        check_shapes(arrays, ours)
        raise CheckpointError(_("The tensors in the file stand in another order."))
    weights = {name: arrays[theirs] for name, theirs in names.items()}
    error = network_error(cast(Any, state), {name: weights[name] for name in quantisable(state)})
    made = Version(data, float32_graph(graph, state, weights), error)
    predictor = QuantizedPredictor(id, "hw7_8bit", 8, threads, made)
    px = predictor.checkpoint.input_px
    noise = np.random.default_rng(0).integers(0, 256, (1, 3, px, px), np.uint8)
    if not np.isfinite(predictor.logits(noise)).all():
        raise CheckpointError(_("With these weights the network's answers are not numbers."))
    return predictor


def read_stranger(data: bytes) -> State:
    """The state dict in a stranger's file, read by `decode8` in a process of its own.

    Raises CheckpointError as that does, and where the file needs more than `LIMITS`.
    """
    return limited.call(decode8, data, limits=LIMITS, error=CheckpointError)


class QuantizedPredictor:
    """A checkpoint in one format, ready to answer; safe to share between threads."""

    def __init__(
        self,
        id: str,
        scheme: Form,
        bits: int = 8,
        threads: int = THREADS,
        version: Version | None = None,
    ) -> None:
        """Opens a session on `version`, by default the checkpoint's. Raises as `version_of`."""
        made = version or version_of(id, scheme, bits)
        self.checkpoint, self.scheme, self.bits = get(id), scheme, bits
        self.size_bytes, self.error = len(made.file), made.error
        self._session = open_session(made.graph, threads=threads)

    def logits(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits (N, 11) of uint8 RGB pixels (N, 3, px, px), px = `checkpoint.input_px`."""
        return run_batches(self._session, pixels)

    def correct(self, pictures: Labelled, heard: Heard | None = None) -> int:
        """How many pictures it is right about; `heard` hears of every batch."""
        return count_correct(self._session, pictures, heard)


_guard = threading.Lock()
_making: dict[tuple[str, str, str, int], threading.Lock] = {}
_open: OrderedDict[tuple[str, str, str, int], QuantizedPredictor] = OrderedDict()


def quantized_predictor(id: str, scheme: Form, bits: int = 8) -> QuantizedPredictor:
    """The same, shared by all visitors; the last `MAX_OPEN` are kept. Raises as `version_of`."""
    scheme, bits = key_of(scheme, bits)[:2]
    key = (id, get(id).files[WEIGHTS].sha256, scheme, bits)
    with _guard:
        making = _making.setdefault(key, threading.Lock())
    with making:  # one visitor makes it, the others who want this one wait
        with _guard:
            found = _open.get(key)
        found = found or QuantizedPredictor(id, scheme, bits)
        with _guard:
            _open[key] = found
            _open.move_to_end(key)
            while len(_open) > MAX_OPEN:
                _open.popitem(last=False)
        return found
