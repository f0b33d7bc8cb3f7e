"""A factored checkpoint in ONNX Runtime, without torch and without a second export.

The factors of a layer in a row do what their product does in one layer. So a checkpoint's own graph
over its own file, with each factored weight replaced in memory by that product, answers as the
factored network does, up to the rounding of the file's numbers. The graph also says what a layer
reads and writes, so that a page can count MACs.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.checkpoints import GRAPH, WEIGHTS, read_files
from core.checkpoints.tensors import read_header, stored_tensors
from core.compression.lowrank_factors import product
from core.compression.lowrank_plan import Decompositions
from core.compression.lowrank_shapes import LayerShape, Ranks
from core.errors import CheckpointError
from core.measure.accuracy import Labelled
from core.serving.predict import THREADS, Heard, count_correct, open_session, run_batches
from core.words import _

_DTYPES = {"F16": "<f2", "F32": "<f4"}


def checkpoint_layers(id: str) -> tuple[tuple[LayerShape, ...], dict[str, NDArray[np.float32]]]:
    """The linear layers and convolutions of a checkpoint in order of execution, and their weights.

    Weights by module name. Raises CheckpointError as `read_files` does, or for a graph that cannot
    be read.
    """
    entry, files = read_files(id, GRAPH, WEIGHTS)
    shapes, weights = layers_of(files[GRAPH], files[WEIGHTS])
    inside = tuple(f"{name}." for name in entry.ranks)  # what was factored once stays so
    marked = (s._replace(fixed=s.fixed or s.name.startswith(inside)) for s in shapes)
    return tuple(marked) if inside else shapes, weights


def layers_of(
    graph: bytes, weights: bytes
) -> tuple[tuple[LayerShape, ...], dict[str, NDArray[np.float32]]]:
    """`checkpoint_layers` of a graph and the safetensors file that it points into."""
    import onnx

    try:
        model = onnx.load_from_string(graph)
    except Exception as error:  # protobuf's exceptions share no base class
        raise CheckpointError(_("A checkpoint's graph cannot be read.")) from error
    tensors = stored_tensors(weights)
    stored = {
        name.removesuffix(".weight"): value
        for name, value in tensors.items()
        if name.endswith(".weight") and value.ndim in (2, 4)
    }
    # the exporter gives every convolution a bias; only the file knows which are the network's own
    biased = {name for name in stored if f"{name}.bias" in tensors}
    shapes = tuple(_layers(model.graph, stored, biased))
    return shapes, {shape.name: stored[shape.name] for shape in shapes}


def _layers(
    graph: Any, stored: dict[str, NDArray[np.float32]], biased: set[str]
) -> Iterator[LayerShape]:
    sizes = {
        value.name: tuple(d.dim_value for d in value.type.tensor_type.shape.dim[2:])
        for value in (*graph.input, *graph.value_info, *graph.output)
    }
    padded = {name for node in graph.node if node.op_type == "Pad" for name in node.output}
    for node in graph.node:
        if node.op_type not in ("Conv", "Gemm"):
            continue
        names = [one.removesuffix(".float32").removesuffix(".weight") for one in node.input]
        weight = stored.get(names[1])
        if weight is None:
            continue
        has_bias = names[1] in biased
        if node.op_type == "Gemm":
            yield LayerShape(names[1], weight.shape[1], weight.shape[0], bias=has_bias)
            continue
        given = {one.name: one for one in node.attribute}
        groups = given["group"].i if "group" in given else 1
        stride = tuple(given["strides"].ints) if "strides" in given else (1, 1)
        yield LayerShape(
            names[1],
            weight.shape[1] * groups,
            weight.shape[0],
            (weight.shape[2], weight.shape[3]),
            (stride[0], stride[1]),
            groups,
            has_bias,
            _two(sizes.get(node.input[0], ())),
            _two(sizes.get(node.output[0], ())),
            fixed=node.input[0] in padded,
        )


def _two(size: tuple[int, ...]) -> tuple[int, int]:
    return (size[0], size[1]) if len(size) == 2 else (0, 0)


def lowrank_bytes(
    weights: bytes, ranks: Ranks, shapes: Iterable[LayerShape], parts: Decompositions
) -> bytes:
    """A safetensors file in which each weight named in `ranks` is the product of its factors.

    As long as it was; the products are rounded to the numbers that the file is made of.
    """
    header, changed = read_header(weights), bytearray(weights)
    by_name = {shape.name: shape for shape in shapes}
    for name, chosen in ranks.items():
        form, entry = by_name[name].form_of(chosen), header[f"{name}.weight"]
        made = product(form, parts.of(name, form).factors(chosen))
        values = np.frombuffer(changed, _DTYPES[entry.dtype], made.size, entry.begin)
        values[:] = made.ravel()  # a view: writes into `changed`
    return bytes(changed)


class FactoredPredictor:
    """A checkpoint with some of its layers at lower rank, ready to answer; safe to share."""

    def __init__(
        self, id: str, ranks: Ranks, parts: Decompositions | None = None, threads: int = THREADS
    ) -> None:
        """Opens a session. `parts`: its weights taken apart already.

        Raises CheckpointError if a file is not what the manifest says, ConfigError for ranks that
        do not fit a layer.
        """
        self.checkpoint, files = read_files(id, GRAPH, WEIGHTS)
        weights = files[WEIGHTS]
        if ranks:
            shapes, stored = layers_of(files[GRAPH], weights)
            weights = lowrank_bytes(weights, ranks, shapes, parts or Decompositions(stored))
        self._session = open_session(files[GRAPH], weights, threads)

    def logits(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits (N, 11) of uint8 RGB pixels (N, 3, px, px), px = `checkpoint.input_px`."""
        return run_batches(self._session, pixels)

    def correct(self, pictures: Labelled, heard: Heard | None = None) -> int:
        """How many pictures it is right about; `heard` hears of every batch."""
        return count_correct(self._session, pictures, heard)
