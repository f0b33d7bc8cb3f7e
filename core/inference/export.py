"""A network as an ONNX graph whose weights are not written twice.

ONNX lets an initializer live in another file, at a byte offset; a safetensors file is a short
header and then plain little-endian tensors. So the graph of a checkpoint points into
`weights.safetensors`, and both the file torch loads and the one ONNX Runtime loads are the same
bytes. Half-precision weights are cast to float32 by a node that ONNX Runtime folds away when the
session opens: it computes in float32 and is as fast as with float32 stored.

The graph takes uint8 `pixels` (N, 3, px, px), RGB on 0-255, normalises them as the network's spec
says, and gives float32 `logits` (N, 11). BatchNorm is left in (ONNX Runtime fuses it), so every
initializer keeps its name from the state dict.
"""

import copy
import warnings
from typing import Protocol

import onnx_ir as ir
import torch
from onnx_ir.passes import common as passes
from onnxscript import optimizer
from torch import Tensor, nn

from core.checkpoints.tensors import read_header

PIXELS, LOGITS = "pixels", "logits"
_DTYPES = {"F16": ir.DataType.FLOAT16, "F32": ir.DataType.FLOAT, "I64": ir.DataType.INT64}
_PREFIX = "network."


class Normalization(Protocol):
    """What the export needs of a `ModelSpec`: per-channel figures on the 0-255 scale."""

    @property
    def mean(self) -> tuple[float, float, float]: ...
    @property
    def std(self) -> tuple[float, float, float]: ...


class _FromPixels(nn.Module):
    """The network with its own normalisation in front: uint8 (N, 3, px, px) -> logits (N, 11)."""

    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(self, network: nn.Module, spec: Normalization) -> None:
        super().__init__()
        self.network = network
        for name, values in (("pixel_mean", spec.mean), ("pixel_std", spec.std)):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        logits: Tensor = self.network((pixels.float() - self.pixel_mean) / self.pixel_std)
        return logits


def trace(net: nn.Module, spec: Normalization, px: int) -> ir.Model:
    """The ONNX graph of `net` in eval mode, float32, initializers named as in its state dict.

    `net` itself is left as it is (mode, device, gradients). Takes some seconds.
    """
    wrapped = _FromPixels(copy.deepcopy(net).cpu().float(), spec).eval()
    example = torch.zeros(2, 3, px, px, dtype=torch.uint8)  # of 1 the tracer would make a constant
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the exporter's notes on its own future
        program = torch.onnx.export(
            wrapped,
            (example,),
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("N", min=1)},),
            input_names=[PIXELS],
            output_names=[LOGITS],
            optimize=False,  # its optimiser would fold BatchNorm into weights of the same name
            verbose=False,
        )
    assert program is not None
    return _tidied(program.model, set(wrapped.state_dict()))


def _tidied(model: ir.Model, weights: set[str]) -> ir.Model:
    """Constants folded; weights untouched, named as in the state dict; no trace of this machine."""

    def may_fold(node: ir.Node) -> bool | None:
        touches = any(value is not None and value.name in weights for value in node.inputs)
        return False if touches else None

    optimizer.fold_constants_ir(model, should_fold=may_fold)
    passes.RemoveUnusedNodesPass()(model)
    _forget_origin(model)
    # in an order of their own: a set's would make another file in every process
    for name in sorted(weights & set(model.graph.initializers)):
        value = model.graph.initializers.pop(name)
        value.name = name.removeprefix(_PREFIX)
        model.graph.initializers[value.name] = value
    return model


def _forget_origin(model: ir.Model) -> None:
    """Drop the exporter's notes, among them stack traces with the paths of this machine."""
    passes.ClearMetadataAndDocStringPass()(model)  # leaves those of values in place
    for value in model.graph.initializers.values():
        value.metadata_props.clear()
    for node in model.graph:
        for output in node.outputs:
            output.metadata_props.clear()


def onnx_bytes(
    model: ir.Model, weights: bytes | None = None, location: str = "weights.safetensors"
) -> bytes:
    """The graph as an ONNX file's bytes; `model` is not changed.

    With `weights` (the bytes of a safetensors file that will stand beside it under the name
    `location`), each initializer found in there points at its offset; the others, a few
    constants, are embedded. Without, all are embedded and the file stands alone.
    Raises CheckpointError if `weights` is no sound safetensors file.
    """
    graph_only = model.clone()
    if weights is not None:
        _point_into(graph_only.graph, weights, location)
    proto = ir.to_proto(graph_only)
    return bytes(proto.SerializeToString(deterministic=True))


def _point_into(graph: ir.Graph, weights: bytes, location: str) -> None:
    for name, entry in read_header(weights).items():
        value = graph.initializers.get(name)
        if value is None:  # BatchNorm's step counters are in no graph
            continue
        dtype, shape = _DTYPES[entry.dtype], ir.Shape(entry.shape)
        tensor = ir.ExternalTensor(
            location, entry.begin, entry.end - entry.begin, dtype, shape=shape, name=name
        )
        if dtype != ir.DataType.FLOAT16:
            value.const_value = tensor
            continue
        del graph.initializers[name]
        stored = ir.Value(name=name, shape=shape, type=ir.TensorType(dtype), const_value=tensor)
        graph.initializers[name] = stored
        cast = ir.node("Cast", [stored], {"to": ir.DataType.FLOAT.value})
        cast.outputs[0].name = f"{name}.float32"
        cast.outputs[0].type, cast.outputs[0].shape = ir.TensorType(ir.DataType.FLOAT), shape
        ir.convenience.replace_all_uses_with(value, cast.outputs[0])
        graph.insert_before(graph[0], cast)
