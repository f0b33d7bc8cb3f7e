"""Low-rank factoring of a network: layers replaced with two or three smaller ones in a row.

HW7 names low-rank approximation as one of its four families (Denton et al. 2014; Jaderberg et al.
2014; Kim et al. 2016). Which ranks is decided in `core.low_rank.method`, what a factored
layer costs in `core.checkpoints.factored`, its weights come from
`core.low_rank.method`; here they are put into a network. A new network is returned and
the given one is left as it was. torch is imported when a function is called.
"""

import copy
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.checkpoints import GRAPH, WEIGHTS, read_files
from core.checkpoints.factored import LayerShape, Ranks
from core.checkpoints.tensors import read_header, stored_tensors
from core.errors import CheckpointError, ConfigError
from core.i18n import _
from core.inference.predict import THREADS, Predictor, open_session
from core.low_rank.method import Decompositions, product

if TYPE_CHECKING:
    from torch import Tensor, nn


def factor(
    net: "nn.Module",
    ranks: Ranks,
    parts: Decompositions | None = None,
) -> "nn.Module":
    """A copy of `net` in which each layer named in `ranks` is factored at its ranks.

    `parts`: its weights taken apart already, to save doing so again. At full ranks the copy answers
    as `net` does. Raises ConfigError for a layer that the network does not have or cannot factor,
    and for ranks that do not fit.
    """
    import torch

    from core.checkpoints.ranks import Factored, factored_layer, put, shape_of

    parts = parts or Decompositions(weights_of(net))
    made = copy.deepcopy(net)
    inside = {n for n, m in net.named_modules() if isinstance(m, Factored)}
    for name, chosen in ranks.items():
        module = dict(net.named_modules()).get(name)
        shape = None if module is None else shape_of(name, module)
        if module is None or shape is None or any(name.startswith(f"{outer}.") for outer in inside):
            raise ConfigError(_("There is no layer {layer} to factor.").format(layer=name))
        form = shape.form_of(chosen)
        layer = factored_layer(module, form, chosen).train(module.training)
        with torch.no_grad():
            factors = parts.of(name, form).factors(chosen)
            for sublayer, weight in zip(layer, factors, strict=True):
                sublayer.get_parameter("weight").copy_(
                    torch.from_numpy(np.ascontiguousarray(weight))
                )
            if module.bias is not None:
                layer[-1].get_parameter("bias").copy_(module.get_parameter("bias"))
        put(made, name, layer)
    return made


def layer_shapes(net: "nn.Module", px: int) -> tuple[LayerShape, ...]:
    """Every linear layer and convolution of `net`, in order of execution, with its sizes.

    `px`: side of a picture that it accepts. Factors of a factored layer are marked `fixed`: what
    was factored once is not factored again.
    """
    from core.checkpoints.ranks import Factored, shape_of
    from core.models.cost import layer_table

    inside = tuple(f"{n}." for n, m in net.named_modules() if isinstance(m, Factored))
    shapes: dict[str, LayerShape] = {}

    def listen(name: str, inputs: "tuple[Tensor, ...]", output: "Tensor") -> None:
        shape = shape_of(name, net.get_submodule(name))
        assert shape is not None
        shapes.setdefault(
            name,
            shape._replace(
                in_size=_size(inputs[0]),
                out_size=_size(output),
                fixed=shape.fixed or name.startswith(inside),
            ),
        )

    hooks = [
        module.register_forward_hook(lambda _m, i, o, name=name: listen(name, i, o))
        for name, module in net.named_modules()
        if shape_of(name, module) is not None
    ]
    try:
        layer_table(net, (3, px, px))  # any forward pass will do
    finally:
        for hook in hooks:
            hook.remove()
    return tuple(shapes.values())


def weights_of(net: "nn.Module") -> dict[str, NDArray[np.float32]]:
    """Module name -> weight, of every layer that has a weight of two or four dimensions."""
    return {
        name.removesuffix(".weight"): value.detach().cpu().numpy()
        for name, value in net.named_parameters()
        if name.endswith(".weight") and value.dim() in (2, 4)
    }


def _size(tensor: "Tensor") -> tuple[int, int]:
    return (tensor.shape[2], tensor.shape[3]) if tensor.dim() == 4 else (1, 1)


# A factored checkpoint in ONNX Runtime, without torch and without a second export.
#
# The factors of a layer in a row do what their product does in one layer. So a checkpoint's own
# graph over its own file, with each factored weight replaced in memory by that product, answers
# as the factored network does, up to the rounding of the file's numbers. The graph also says what
# a layer reads and writes, so that a page can count MACs.

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
        names = [
            input_name.removesuffix(".float32").removesuffix(".weight") for input_name in node.input
        ]
        weight = stored.get(names[1])
        if weight is None:
            continue
        has_bias = names[1] in biased
        if node.op_type == "Gemm":
            yield LayerShape(names[1], weight.shape[1], weight.shape[0], bias=has_bias)
            continue
        given = {attribute.name: attribute for attribute in node.attribute}
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


class FactoredPredictor(Predictor):
    """A checkpoint with some of its layers at lower rank, ready to answer; safe to share."""

    def __init__(
        self,
        id: str,
        ranks: Ranks,
        parts: Decompositions | None = None,
        threads: int = THREADS,
        keep_memory: bool = True,
    ) -> None:
        """Opens a session. `parts`: its weights taken apart already.

        Raises CheckpointError if a file is not what the manifest says, ConfigError for ranks that
        do not fit a layer.
        """
        self.checkpoint, files = read_files(id, GRAPH, WEIGHTS)
        self.threads, weights = threads, files.pop(WEIGHTS)
        if ranks:
            shapes, stored = layers_of(files[GRAPH], weights)
            weights = lowrank_bytes(weights, ranks, shapes, parts or Decompositions(stored))
        self._session = open_session(files[GRAPH], weights, threads, keep_memory=keep_memory)
