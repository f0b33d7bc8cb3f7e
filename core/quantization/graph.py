"""A checkpoint's ONNX graph with other weights in it, and the same network in real int8.

A checkpoint's graph points into its weights file and widens float16 with Cast nodes. Here it
becomes one self-contained float32 graph, the weights replaced by what quantising left of them:
torch is not needed, and nothing is exported again. Whatever the format, the file is made first and
read back, so what answers is what was in it; 4-bit codes are widened to float32. From a float32
graph ONNX Runtime makes int8:

- *static*: weights and activations in int8 (QDQ format, a scale per output channel), the
  activations' ranges measured on pictures beforehand. Convolutions run on integer kernels.
- *dynamic*: ranges measured anew in every call, for linear layers only: a convolutional network
  has one of those, so next to nothing changes. With its convolutions too, they become ConvInteger.
"""

import logging
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from core import limited
from core.checkpoints import GRAPH, WEIGHTS, Checkpoint, get, read_files
from core.checkpoints.tensors import read_header
from core.errors import CheckpointError, ConfigError
from core.i18n import _
from core.inference.predict import THREADS, OnProgress, count_correct, open_session, run_batches
from core.quantization.file import check_shapes, matched, pack, unpack
from core.quantization.hw7 import decode8, encode8
from core.quantization.method import Error, Scheme, network_error, quantisable
from core.quantization.rows import Form, QuantizationGrid, key_of
from core.stats import Labelled

Ranges = dict[str, tuple[float, float]]
"""Tensor of the prepared graph -> smallest and largest value seen."""
Int8 = Literal["ort_int8", "ort_dynamic", "ort_dynamic_conv"]
CALIBRATION_BATCH = 16
_ONE_AT_A_TIME = threading.Lock()  # the root logger belongs to all threads
_DTYPES = {"F16": "<f2", "F32": "<f4", "I64": "<i8"}


def stored_state(weights: bytes) -> dict[str, NDArray[Any]]:
    """The state dict in a safetensors file: float32 arrays and int64 counters."""
    state: dict[str, NDArray[Any]] = {}
    for name, entry in read_header(weights).items():
        values = np.frombuffer(weights[entry.begin : entry.end], _DTYPES[entry.dtype])
        values = values.reshape(entry.shape)
        state[name] = values.astype(np.float32) if entry.dtype == "F16" else values
    return state


def weight_shapes(graph: bytes) -> dict[str, tuple[int, ...]]:
    """Name -> shape of the weights of a checkpoint's graph, in the order in which they are used.

    That is the order of its state dict, which the weights file, sorted by name, does not keep; the
    counters are not among them.
    """
    import onnx

    model = onnx.load_model_from_string(graph)
    shapes = {
        tensor.name: tuple(tensor.dims)
        for tensor in model.graph.initializer
        if tensor.data_location == onnx.TensorProto.EXTERNAL  # the others are the graph's own
    }
    casts = [node for node in model.graph.node if node.op_type == "Cast"]
    widened = {node.output[0]: node.input[0] for node in casts}
    users = [node for node in model.graph.node if node.op_type != "Cast"]
    used = [widened.get(name, name) for node in users for name in node.input]
    return {name: shapes[name] for name in used if name in shapes}


def float32_graph(
    graph: bytes, state: Mapping[str, NDArray[Any]], replaced: Mapping[str, NDArray[Any]]
) -> bytes:
    """The network as one ONNX file: weights of `state`, those in `replaced` instead where named.

    `graph`: a checkpoint's own. Raises CheckpointError where a weight has no place in it.
    """
    import onnx
    from onnx import numpy_helper

    model = onnx.load_model_from_string(graph)
    values = {**state, **replaced}
    waiting = set(replaced)
    for tensor in model.graph.initializer:
        name = tensor.name
        if name not in values:
            continue
        if tuple(tensor.dims) != values[name].shape:
            raise CheckpointError(_("The weights {name} do not fit the graph.").format(name=name))
        content = np.ascontiguousarray(values[name], np.float32)
        tensor.CopyFrom(numpy_helper.from_array(content, name))
        waiting.discard(name)
    if lost := {name for name in waiting if values[name].ndim}:  # counters are in no graph
        raise CheckpointError(_("The weights {name} do not fit the graph.").format(name=min(lost)))
    _drop_casts(model.graph, values)
    return bytes(model.SerializeToString(deterministic=True))


def _drop_casts(graph: Any, values: Mapping[str, NDArray[Any]]) -> None:
    """Weights are float32 now: whoever read a widened one reads the weight itself."""
    widened = {
        node.output[0]: node.input[0]
        for node in graph.node
        if node.op_type == "Cast" and node.input[0] in values
    }
    kept = [node for node in graph.node if node.output[0] not in widened]
    for node in kept:
        for at, name in enumerate(node.input):
            node.input[at] = widened.get(name, name)
    del graph.node[:]
    graph.node.extend(kept)
    stale = [info for info in graph.value_info if info.name in values or info.name in widened]
    for info in stale:  # they say float16, or name what is gone: a strict reader would refuse
        graph.value_info.remove(info)


def prepared(graph: bytes) -> bytes:
    """A float32 graph as quantising wants it: BatchNorm folded into the convolutions."""
    from onnxruntime.quantization import quant_pre_process

    def work(source: Path, target: Path) -> None:
        quant_pre_process(str(source), str(target), skip_symbolic_shape=True)

    return _through_files(graph, work)


def calibrate(graph: bytes, pixels: NDArray[np.uint8]) -> Ranges:
    """The range of every activation of a `prepared` graph over pictures (N, 3, px, px)."""
    from onnxruntime.quantization import CalibrationMethod, create_calibrator

    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "model.onnx"
        source.write_bytes(graph)
        calibrator = create_calibrator(
            source,
            augmented_model_path=str(Path(folder) / "augmented.onnx"),
            calibrate_method=CalibrationMethod.MinMax,
        )
        calibrator.collect_data(_Pictures(pixels))
        seen = calibrator.compute_data().data
        del calibrator  # its session holds the file open, which Windows would not delete
    return {
        name: tuple(float(np.asarray(edge).item()) for edge in data.range_value)  # type: ignore
        for name, data in seen.items()
    }


class _Pictures:
    """Batches of pictures as the calibrator asks for them."""

    def __init__(self, pixels: NDArray[np.uint8]) -> None:
        self._batches = iter(np.array_split(pixels, max(1, len(pixels) // CALIBRATION_BATCH)))

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        batch = next(self._batches, None)
        return None if batch is None else {"pixels": np.ascontiguousarray(batch)}


def int8_graph(graph: bytes, kind: Int8, ranges: Ranges | None = None) -> bytes:
    """A `prepared` graph in int8. `ort_int8` needs the `ranges` that `calibrate` found.

    Raises ConfigError if they are missing or belong to another graph.
    """
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_dynamic, quantize_static

    if kind == "ort_int8":
        if not ranges:
            raise ConfigError(_("Static int8 needs ranges: calibrate on photographs first."))

        def work(source: Path, target: Path) -> None:
            cache = source.with_name("ranges.json")
            _write_ranges(ranges, cache)
            quantize_static(
                str(source),
                str(target),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                calibration_cache_path=cache,
            )
    else:
        layers = ["MatMul", "Gemm"] + (["Conv"] if kind == "ort_dynamic_conv" else [])

        def work(source: Path, target: Path) -> None:
            # ConvInteger has kernels for unsigned weights only
            weights = QuantType.QUInt8 if kind == "ort_dynamic_conv" else QuantType.QInt8
            _forget_shapes(source)
            quantize_dynamic(
                str(source), str(target), op_types_to_quantize=layers, weight_type=weights
            )

    try:
        return _through_files(graph, work)
    except ValueError as error:
        raise ConfigError(
            _("The stored ranges do not belong to this network: calibrate again.")
        ) from error


def _write_ranges(ranges: Ranges, path: Path) -> None:
    from onnxruntime.quantization import CalibrationMethod, TensorsData, save_tensors_data

    data = {
        name: (np.array(low, np.float32), np.array(high, np.float32))
        for name, (low, high) in ranges.items()
    }
    save_tensors_data(TensorsData(CalibrationMethod.MinMax, data), path)


def _forget_shapes(path: Path) -> None:
    """`quantize_dynamic` transposes Gemm weights in place; value_info would contradict them."""
    import onnx

    model = onnx.load_model(str(path))
    del model.graph.value_info[:]
    path.write_bytes(model.SerializeToString(deterministic=True))


def _through_files(graph: bytes, work: Callable[[Path, Path], None]) -> bytes:
    """ONNX Runtime's tools go from file to file."""
    root = logging.getLogger()
    with _ONE_AT_A_TIME, tempfile.TemporaryDirectory() as folder:
        before = root.level
        root.setLevel(logging.ERROR)  # they advise on the root logger what is done here already
        try:
            source, target = Path(folder) / "model.onnx", Path(folder) / "result.onnx"
            source.write_bytes(graph)
            work(source, target)
            return target.read_bytes()
        finally:
            root.setLevel(before)


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


def operators(graph: bytes) -> dict[str, int]:
    """How many nodes of each kind a graph has, by name."""
    import onnx

    model = onnx.load_model_from_string(graph)
    return dict(sorted(Counter(node.op_type for node in model.graph.node).items()))


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

    `ranges`: what `core.quantization.graph.calibrate` found, for `ort_int8`. Raises
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
    ) -> None:
        """Opens a session on `version`, by default the checkpoint's. Raises as `version_of`."""
        made = version or version_of(id, scheme, bits)
        self.checkpoint, self.scheme, self.bits = get(id), scheme, bits
        self.size_bytes, self.error = len(made.file), made.error
        self._session = open_session(made.graph, threads=threads)

    def logits(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits (N, 11) of uint8 RGB pixels (N, 3, px, px), px = `checkpoint.input_px`."""
        return run_batches(self._session, pixels)

    def correct(self, pictures: Labelled, on_progress: OnProgress | None = None) -> int:
        """How many pictures it is right about; `on_progress` hears of every batch."""
        return count_correct(self._session, pictures, on_progress)


_making = threading.Lock()


@lru_cache(maxsize=MAX_OPEN)
def _opened(id: str, sha256: str, scheme: Form, bits: int) -> QuantizedPredictor:
    del sha256  # only the key of the cache: a newly published network is opened anew
    return QuantizedPredictor(id, scheme, bits)


def quantized_predictor(id: str, scheme: Form, bits: int = 8) -> QuantizedPredictor:
    """The same, shared by all visitors; the last `MAX_OPEN` are kept. Raises as `version_of`."""
    scheme, bits = key_of(scheme, bits)[:2]
    with _making:  # one is made at a time; others who want it wait for it
        return _opened(id, get(id).weights_sha256, scheme, bits)
