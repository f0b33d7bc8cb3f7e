"""A checkpoint's ONNX graph as one file, with other weights in it, or in real int8.

A checkpoint's graph points into its weights file and widens float16 with Cast nodes. Here it
becomes one self-contained float32 graph; torch is not needed, and nothing is exported again. From
it ONNX Runtime makes int8:

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
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from core.checkpoints.tensors import read_header
from core.errors import CheckpointError, ConfigError
from core.i18n import _

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


def operators(graph: bytes) -> dict[str, int]:
    """How many nodes of each kind a graph has, by name."""
    import onnx

    model = onnx.load_model_from_string(graph)
    return dict(sorted(Counter(node.op_type for node in model.graph.node).items()))
