"""What network a stranger's file holds: its tensors by name, matched to a network that is known.

Weights alone do not say where a network pools, nor which activations it has: that is taken from a
registered network, or from a design in one line, with tensors of the same shapes. A registered
network with other channel counts is matches too, and written as a design.

Files are read in a process of its own and never unpickled (`core.quantization.read_file`). Of an
ONNX graph only the weights are read, in the order in which its layers use them; it is never run.
Nothing here imports torch.
"""

import math
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from core import limited
from core.checkpoints import GRAPH, listing
from core.course import CLASSES
from core.errors import CheckpointError
from core.i18n import _
from core.models.design import plans
from core.models.design.plan import plan, state_shapes
from core.models.design.spec import Block, Design, Stage
from core.models.registry import PREFIX, as_key, split_scaling
from core.quantization.file import (
    LAST_WORDS,
    MAX_FILE_BYTES,
    MAX_VALUES,
    Refused,
    Shapes,
    matched,
    refusals,
)
from core.quantization.graph import LIMITS, State, read_stranger
from core.quantization.hw7 import LARGEST
from core.quantization.read_file import is_onnx
from core.quantization.upload import shapes_of

COUNTED = ("total_ops", "total_params")
"""Numbers that thop, a counter of MACs, leaves in a state dict."""
STATISTICS = ("running_mean", "running_var")


class Match(NamedTuple):
    """A network that the file can be."""

    model: str
    """Key of `core.models.registry`, without an input scaling."""
    names: dict[str, str]
    """The network's names of its tensors -> the file's, in the order of its state dict."""
    folded: bool = False
    """Whether BatchNorm is folded into the file's convolutions, as in most ONNX graphs: `names` are
    then those of convolutions and linear layers, each with a bias."""


def read(data: bytes) -> State:
    """The float32 tensors by name in a stranger's file, in its order; counters are left out.

    Masks of `torch.nn.utils.prune` are applied. Raises CheckpointError for a file that is hostile,
    damaged, too large or of no format that is read.
    """
    if is_onnx(data):
        return limited.call(read_onnx, data, limits=LIMITS, error=CheckpointError)
    state = {name: tensor for name, tensor in read_stranger(data).items() if tensor.ndim}
    modules: dict[str, State] = {}
    for name, tensor in state.items():
        module, _dot, last = name.rpartition(".")
        if last not in COUNTED and not last.endswith("_mask"):
            mask = state.get(f"{module}.{last.removesuffix('_orig')}_mask")
            if mask is not None and last.endswith("_orig") and mask.shape == tensor.shape:
                last, tensor = last.removesuffix("_orig"), tensor * mask
            modules.setdefault(module, {})[last] = tensor
    order = {word: place for place, word in enumerate(LAST_WORDS)}  # pruning puts weights last
    return {
        f"{module}.{last}" if module else last: tensors[last]
        for module, tensors in modules.items()
        for last in sorted(tensors, key=lambda word: order.get(word, -1))
    }


def find(shapes: Shapes, model: str = "") -> list[Match]:
    """The networks that tensors of these shapes can be, in the file's order; at least one.

    `model`: a registered key or `design:...`, to consider nothing else; without it, all registered
    networks, and those of them that are designs with other channel counts, too. Raises
    CheckpointError that names the nearest network and the first tensor that differs, and UserError
    for a `model` that does not exist.
    """
    keys = [split_scaling(as_key(model))[0]] if model else plans.known()
    for part in _parts(shapes):
        if matches := [match for key in keys if (match := _match(key, part))]:
            return matches
        if not model and (matches := list(_with_other_widths(keys, part))):
            return matches
    raise CheckpointError(_difference(shapes, keys))


def _parts(shapes: Shapes) -> Iterator[Shapes]:
    """All tensors; then those below each first name: a training module holds teacher and student.

    A student comes before a teacher."""
    yield shapes
    firsts = dict.fromkeys(name.split(".")[0] for name in shapes)
    for first in sorted(firsts, key=lambda name: "student" not in name.lower()):
        part = {name: shape for name, shape in shapes.items() if name.split(".")[0] == first}
        if len(part) < len(shapes):
            yield part


def _match(key: str, in_file: Shapes) -> Match | None:
    for names in _names_of(key):
        if pairs := matched(in_file, names):
            return Match(plans.describe(key).key, pairs)
    wanted = _folded(state_shapes(plans.describe(key).parts))
    if len(wanted) == len(in_file) and not any(name.endswith(STATISTICS) for name in in_file):
        pairs = matched(in_file, wanted)
        return None if pairs is None else Match(plans.describe(key).key, pairs, folded=True)
    return None


def _names_of(key: str) -> Iterator[Shapes]:
    """The network's tensors: by the names of a checkpoint that ships, and by a design's names."""
    known = state_shapes(plans.describe(key).parts)
    for checkpoint in listing().checkpoints.values():
        is_whole = not (checkpoint.widths or checkpoint.ranks or checkpoint.derived_from)
        if checkpoint.model == key and is_whole and GRAPH in checkpoint.files:
            try:
                shapes = shapes_of(checkpoint)
            except CheckpointError:
                continue
            if list(shapes.values()) == list(known.values()):
                yield shapes
                break
    yield known


def _folded(shapes: Shapes) -> Shapes:
    """The tensors that are left where BatchNorm is folded into the convolutions before it."""
    norms = {name.removesuffix(".running_mean") for name in shapes if name.endswith(STATISTICS[0])}
    left: dict[str, tuple[int, ...]] = {}
    for name, shape in shapes.items():
        module, _dot, last = name.rpartition(".")
        if module not in norms and last == "weight":
            left |= {name: tuple(shape), f"{module}.bias": (shape[0],)}
    return left


_TELLS: dict[Block, int] = {
    "plain": 0, "group": 0, "separable": 1, "resnet": 0, "basic": 1, "bottleneck": 1, "inverted": 2
}  # fmt: skip
"""Which convolution of a block has as many filters as its stage is wide."""


def _with_other_widths(keys: list[str], in_file: Shapes) -> Iterator[Match]:
    """Matches of the known designs with the file's channel counts, kernels and biases."""
    convolutions = [tuple(shape) for shape in in_file.values() if len(shape) == 4]
    seen: set[str] = set()
    for key in keys:
        design = plans.describe(key).design
        if design is None or not convolutions:
            continue
        for bias, stem_bias in product((True, False), repeat=2):
            try:
                made = _rewidened(design, convolutions, bias, stem_bias)
            except (ValidationError, IndexError, ZeroDivisionError):
                continue
            if made.line not in seen and (match := _match(PREFIX + made.line, in_file)):
                seen.add(made.line)
                yield match


def _rewidened(
    design: Design, convolutions: Sequence[tuple[int, ...]], bias: bool, stem_bias: bool
) -> Design:
    """The design with the channel counts of convolutions (out, in / groups, k, k) in their order.

    Raises ValidationError where that cannot be built, IndexError where there are too few.
    """
    stem = design.stem.model_copy(
        update={"width": convolutions[0][0], "kernel": convolutions[0][2], "bias": stem_bias}
    )
    made, at = design.model_copy(update={"stem": stem, "bias": bias, "stages": ()}), 1
    channels = stem.width
    for stage in design.stages:
        for number in range(stage.repeats):
            down = {"pool": stage.repeats - 1, "stride": 0, "none": number}[stage.down] == number
            first, tells = convolutions[at], convolutions[at + _TELLS[stage.block]]
            changes: dict[str, Any] = {"width": tells[0], "repeats": 1}
            changes["down"] = stage.down if down else "none"
            if stage.block in ("plain", "group", "separable"):
                changes["kernel"] = first[2]
            if stage.block == "group":
                changes["groups"] = channels // first[1]
            if stage.block == "inverted":
                changes["expansion"] = first[0] // channels
            block = stage.model_copy(update=changes)
            made = made.model_copy(update={"stages": (*made.stages, block)})
            own = state_shapes(plan(made)[-2:-1]).values()
            at, channels = at + sum(len(shape) == 4 for shape in own), block.channels
    stages: list[Stage] = []
    for block in made.stages:  # equal ones in a row become one stage
        last = stages[-1].model_copy(update={"repeats": 1}) if stages else None
        if last and last.down != "pool" and _alike(last, block) and block.down != "stride":
            update: dict[str, Any] = {"repeats": stages[-1].repeats + 1}
            update |= {"down": block.down} if last.down == "none" else {}
            if last.down == "none" or block.down == "none":
                stages[-1] = stages[-1].model_copy(update=update)
                continue
        stages.append(block)
    return Design.model_validate(
        made.model_dump() | {"stages": tuple(s.model_dump() for s in stages)}
    )


def _alike(a: Stage, b: Stage) -> bool:
    return a.model_copy(update={"down": b.down}) == b


def _difference(shapes: Shapes, keys: list[str]) -> str:
    """Why the file is none of these networks: classes, or the nearest and what differs first."""
    listed = list(shapes.values())
    linear = [place for place, shape in enumerate(listed) if len(shape) == 2]
    if not any(len(shape) == 4 for shape in listed) or not linear:
        return _(
            "This file holds {n} tensors, but no network of convolutions and a linear layer."
        ).format(n=len(listed))
    classes = listed[linear[-1]][0]
    if classes != len(CLASSES):
        return _("The network in this file has {n} classes; Food-11 has {of}.").format(
            n=f"{classes:,}", of=len(CLASSES)
        )
    folded = not any(name.endswith(STATISTICS) for name in shapes)
    best: tuple[float, str, Shapes] = (-1.0, "", {})
    for key in keys:
        whole = state_shapes(plans.describe(key).parts)
        wanted: Shapes = _folded(whole) if folded else whole
        alike = SequenceMatcher(None, listed, list(wanted.values()), autojunk=False).ratio()
        best = max(best, (alike, key, wanted), key=lambda each: each[0])
    _share, key, nearest = best
    pairs = list(zip(shapes.items(), nearest.values(), strict=False))
    same = sum(theirs[1] == ours for theirs, ours in pairs)
    differing = next((pair for pair in pairs if pair[0][1] != pair[1]), None)
    where = _("It has {n} tensors, the network {of}.").format(n=len(shapes), of=len(nearest))
    if differing:
        (name, shape), ours = differing
        where = _("The first that differs is {name}: {shape} in the file, {wanted} there.").format(
            name=repr(name[:100]), shape=_sides(shape), wanted=_sides(ours)
        )
    return _(
        "The tensors in this file are not those of {network}, the nearest network that is known: "
        "{n} of {of} agree. {where} If it is of your own design, give the design in one line."
    ).format(network=split_scaling(key)[0][:120], n=same, of=len(nearest), where=where)


def _sides(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


# An ONNX graph. Its weights are arrays in the file; its operators say which layer uses which.

OPERATORS = frozenset(
    {
        *("Conv", "BatchNormalization", "Gemm", "MatMul", "Add", "Relu", "Clip", "HardSwish"),
        *("HardSigmoid", "Sigmoid", "Mul", "Sub", "Div", "MaxPool", "AveragePool", "ReduceMean"),
        *("GlobalAveragePool", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Cast"),
        *("Constant", "Shape", "Gather", "Concat", "Dropout", "Transpose", "Min", "Max", "Slice"),
        *("Resize", "Pad"),
    }
)
"""What graphs of our kinds of networks are made of."""


@limited.task
def read_onnx(data: bytes) -> dict[str, NDArray[Any]]:
    """The weights in an ONNX graph, float32, as `layer<n>.<tensor>` in the order of their use.

    Raises CheckpointError for weights in another file, for an operator that is none of `OPERATORS`
    (loops and branches among them), for weights that are no finite numbers, for a damaged graph.
    """
    import onnx
    from onnx import numpy_helper

    with refusals(_("ONNX graph")):
        if len(data) > MAX_FILE_BYTES:
            raise Refused(_("it is larger than any network of ours"))
        try:
            model = onnx.load_model_from_string(data)
        except Exception as error:  # protobuf's own class
            raise ValueError(str(error)) from error
        graph, kinds = model.graph, onnx.TensorProto
        floats = {kinds.FLOAT, kinds.FLOAT16, kinds.DOUBLE}
        if model.functions or graph.sparse_initializer:
            raise Refused(_("it has functions or sparse weights of its own"))
        tensors = list(graph.initializer)
        for node in graph.node:
            if node.op_type not in OPERATORS or node.domain not in ("", "ai.onnx"):
                raise Refused(_no_operator(node.op_type))
            if node.op_type == "Constant":
                for each in node.attribute:
                    each.t.name = node.output[0]
                    tensors += [each.t] if each.HasField("t") else []
        values: dict[str, NDArray[Any]] = {}
        left = MAX_VALUES
        for tensor in tensors:
            if tensor.data_location == kinds.EXTERNAL or tensor.external_data:
                raise Refused(
                    _("its weights are in another file (torch.onnx.export: external_data=False)")
                )
            left -= math.prod(tensor.dims)
            if left < 0 or min(tensor.dims, default=0) < 0:
                raise Refused(_("it unfolds to more than any network of ours"))
            if tensor.data_type in floats and tensor.dims:
                values[tensor.name] = numpy_helper.to_array(tensor)
        return _layers(graph.node, values)


def _no_operator(name: str) -> str:
    if "quant" in name.lower() or "Integer" in name or name.startswith("QLinear"):
        return _("its weights are 8-bit integers; take the file with float weights instead")
    return _("it has the operator {name}, which no network here has").format(name=name[:60])


def _layers(nodes: Any, values: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The weights of each layer. `values`: the arrays by name; those only passed on are added."""
    layers: dict[str, NDArray[Any]] = {}
    products: dict[str, str] = {}  # what a MatMul gives -> its layer, until its bias is met
    for node in nodes:
        given = [values.get(name) for name in node.input]
        stored = next((array for array in given if array is not None), None)
        name = f"layer{len({layer.split('.')[0] for layer in layers})}"
        settings = {each.name: each for each in node.attribute}
        if node.op_type in ("Cast", "Identity") and stored is not None:
            values[node.output[0]] = stored
        elif node.op_type in ("Conv", "BatchNormalization") and stored is not None:
            words = LAST_WORDS if node.op_type == "BatchNormalization" else LAST_WORDS[:2]
            for word, array in zip(words, given[1:], strict=False):
                if array is None:
                    raise Refused(_("a layer's weights are computed, not stored"))
                layers[f"{name}.{word}"] = _plain(array)
        elif node.op_type == "Gemm" and len(given) == 3 and stored is not None:
            if any(each.f != 1 for key, each in settings.items() if key in ("alpha", "beta")):
                raise Refused(_("its linear layer has a factor"))
            weight = stored if "transB" in settings and settings["transB"].i else stored.T
            layers[f"{name}.weight"] = _plain(weight)
            if given[2] is not None:
                layers[f"{name}.bias"] = _plain(given[2])
        elif node.op_type == "MatMul" and given[1] is not None and given[1].ndim == 2:
            layers[f"{name}.weight"] = _plain(given[1].T)
            products[node.output[0]] = name
        elif node.op_type == "Add" and stored is not None and stored.ndim == 1:
            layer = next((products[each] for each in node.input if each in products), None)
            if layer:
                layers[f"{layer}.bias"] = _plain(stored)
    if not layers:
        raise Refused(_("there is no layer with weights in it"))
    return layers


def _plain(array: NDArray[Any]) -> NDArray[np.float32]:
    with np.errstate(over="ignore", invalid="ignore"):
        values = np.ascontiguousarray(array, np.float32)
    if not bool((np.abs(values) <= LARGEST).all()):  # nor NaN
        raise Refused(_("it has weights that are no finite numbers, or too large"))
    return values
