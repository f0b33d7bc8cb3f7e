"""A checkpoint in each format it is quantised to: the file, and the graph that answers from it.

The file is made first and read back, so what answers is what was in it; 4-bit codes are widened to
float32. `core.inference.graph` makes the graphs, int8 too.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from core import limited
from core.checkpoints import GRAPH, WEIGHTS, Checkpoint, get, read_files
from core.errors import CheckpointError, ConfigError
from core.i18n import _
from core.inference.graph import (
    Ranges,
    float32_graph,
    int8_graph,
    prepared,
    stored_state,
    weight_shapes,
)
from core.inference.predict import (
    THREADS,
    OnProgress,
    count_correct,
    open_session,
    run_batches,
    shared,
)
from core.quantization.file import check_shapes, matched, pack, unpack
from core.quantization.hw7 import decode8, encode8
from core.quantization.method import Error, Scheme, network_error, quantisable
from core.quantization.rows import Form, QuantizationGrid, key_of
from core.stats import Labelled


def int8_error(graph: bytes, quantised: bytes) -> Error:
    """What the weights of a `prepared` graph lost on their way into `quantised`."""
    import onnx
    from onnx import numpy_helper

    def weights(file: bytes) -> dict[str, NDArray[Any]]:
        tensors = onnx.load_model_from_string(file).graph.initializer
        return {tensor.name: numpy_helper.to_array(tensor) for tensor in tensors}

    before, after = weights(graph), weights(quantised)
    restored = {}
    for name, weight in list(before.items()):
        codes = after.get(f"{name}_quantized")
        if weight.ndim < 2 or codes is None:
            continue
        scale, zero = after[f"{name}_scale"], after[f"{name}_zero_point"]
        along = (-1,) + (1,) * (codes.ndim - 1) if scale.size > 1 else ()
        shift = codes.astype(np.float64) - zero.astype(np.float64).reshape(along)
        values = shift * scale.astype(np.float64).reshape(along)
        restored[name] = (values if codes.shape == weight.shape else values.T).astype(np.float32)
    return network_error(before, restored)


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

    `ranges`: what `core.inference.graph.calibrate` found, for `ort_int8`. Raises
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
    weights = get(id).weights_sha256
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
        keep_memory: bool = True,
    ) -> None:
        """Opens a session on `version`, by default the checkpoint's. Raises as `version_of`."""
        made = version or version_of(id, scheme, bits)
        self.checkpoint, self.scheme, self.bits = get(id), scheme, bits
        self.size_bytes, self.error = len(made.file), made.error
        self._session = open_session(made.graph, threads=threads, keep_memory=keep_memory)

    def logits(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits (N, 11) of uint8 RGB pixels (N, 3, px, px), px = `checkpoint.input_px`."""
        return run_batches(self._session, pixels)

    def correct(self, pictures: Labelled, on_progress: OnProgress | None = None) -> int:
        """How many pictures it is right about; `on_progress` hears of every batch."""
        return count_correct(self._session, pictures, on_progress)


def quantized_predictor(id: str, scheme: Form, bits: int = 8) -> QuantizedPredictor:
    """The same, shared by all visitors (`shared`). Raises as `version_of`."""
    scheme, bits = key_of(scheme, bits)[:2]
    make = partial(QuantizedPredictor, id, scheme, bits, keep_memory=False)
    return shared(get(id), make, scheme, bits)
