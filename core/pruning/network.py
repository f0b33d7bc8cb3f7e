"""Pruning a network, three ways of writing the result down: masked, removed, narrow.

What goes is decided in `core.pruning.method`; here a network is changed accordingly.

- *masked*: `torch.nn.utils.prune` keeps the weight and a mask, and multiplies them in every forward
  pass. Nothing gets smaller or faster; this is what HW13 Q3 does.
- *removed*: `prune.remove` writes the product back. Size and speed are as before, with zeros in it.
- *narrow*: the channels are cut out of every layer that writes or reads them, with all that hangs
  on them (Fang et al. 2023, DepGraph: Torch-Pruning). Only this does less work.

Every function returns a new network and leaves its argument as it was, so a network that others
share can be given. torch is imported when a function is called, so that a page can show the source.
"""

import copy
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.checkpoints import GRAPH, WEIGHTS, read_files
from core.checkpoints.tensors import DTYPES, read_header
from core.errors import ConfigError
from core.i18n import _
from core.inference.explain import Explainer
from core.inference.predict import THREADS, Predictor, open_session, with_features
from core.pruning.method import (
    CHANNEL_METHODS,
    FORMS,
    ChannelGroup,
    Form,
    Keep,
    Method,
    Scope,
    choose,
    dropped_channels,
    kept_channels,
)

if TYPE_CHECKING:
    from torch import Tensor, nn

    from core.pruning.groups import FeatureMap


# A pruned checkpoint in ONNX Runtime, without torch and without a second export.
#
# A checkpoint's graph points into `weights.safetensors` at byte offsets. Zeroing values there, in
# memory, gives the pruned network: the same graph over the same file, with zeros in it. So an
# accuracy at ratio 0 is that of the published bytes, and a page can prune under the visitor's hand.


def pruned_bytes(weights: bytes, keep: Keep) -> bytes:
    """A safetensors file in which the values that `keep` does not keep are zero; same length."""
    header, changed = read_header(weights), bytearray(weights)
    for name, mask in keep.items():
        entry = header[name]
        values = np.frombuffer(changed, DTYPES[entry.dtype], mask.size, entry.begin)
        values[~mask.ravel()] = 0  # a view: writes into `changed`
    return bytes(changed)


class PrunedPredictor(Predictor):
    """A checkpoint with some of its weights zeroed, ready to answer; safe to share."""

    def __init__(
        self, id: str, keep: Keep, threads: int = THREADS, keep_memory: bool = True
    ) -> None:
        """Opens a session. Raises CheckpointError if a file is not what the manifest says."""
        self.checkpoint, files = read_files(id, GRAPH, WEIGHTS)
        self.threads = threads
        weights = pruned_bytes(files.pop(WEIGHTS), keep)  # held once while the session opens
        graph = with_features(files[GRAPH])
        self._session = open_session(graph, weights, threads, keep_memory=keep_memory)


def pruned_explainer(id: str, keep: Keep) -> Explainer:
    """What says where a checkpoint looks with some of its weights zeroed. Raises CheckpointError.

    It is opened anew each time, for one look: keep what it says, not the network.
    """
    files = read_files(id, GRAPH, WEIGHTS)[1]
    return Explainer(files[GRAPH], pruned_bytes(files[WEIGHTS], keep))


def forms_of(method: Method) -> tuple[Form, ...]:
    """The forms a method's result can take; only whole channels can be cut out."""
    return FORMS if method in CHANNEL_METHODS else ("masked", "removed")


def prune(
    net: "nn.Module",
    method: Method,
    ratio: float,
    form: Form = "masked",
    *,
    groups: Sequence[ChannelGroup] = (),
    px: int = 128,
    seed: int = 0,
    scope: Scope | None = None,
) -> "nn.Module":
    """A pruned copy of `net`: a share `ratio` (0..1) of its weights or channels gone.

    `groups`: what `core.pruning.network.find_groups` found; channel methods need it,
    and may rank within each group or over the network (`scope`). `px`: side of a picture that
    `net` accepts, to trace a narrow one. `seed` is for `random`.
    Raises ConfigError for an unknown method, a ratio outside 0..1, a form that the method does not
    have, and a network that is masked already.
    """
    if form not in forms_of(method):
        raise ConfigError(
            _("Only whole channels can be cut out; {method} zeroes single weights.").format(
                method=method
            )
        )
    tensors = arrays(net)
    if form == "narrow" and method in ("channel_l2", "bn_gamma"):
        return narrow(net, groups, dropped_channels(tensors, groups, method, ratio, scope), px)
    keep = choose(tensors, method, ratio, groups, seed, scope)
    return masked(net, keep) if form == "masked" else removed(net, keep)


def masked(net: "nn.Module", keep: Keep) -> "nn.Module":
    """A copy whose forward pass multiplies each parameter named in `keep` with its mask."""
    import torch
    from torch.nn.utils import prune as torch_prune

    pruned = copy_of(net)  # before the masks: torch cannot deep-copy a masked network
    for name, mask in keep.items():
        layer, parameter = name.rsplit(".", 1)
        torch_prune.custom_from_mask(
            pruned.get_submodule(layer), parameter, torch.from_numpy(mask.copy())
        )
    return pruned


def removed(net: "nn.Module", keep: Keep) -> "nn.Module":
    """`masked`, and then `prune.remove`: plain parameters again, with zeros in them."""
    return without_masks(masked(net, keep))


def without_masks(net: "nn.Module") -> "nn.Module":
    """A masked network made plain by `prune.remove`, in place: for a copy that is yours."""
    from torch.nn.utils import prune as torch_prune

    for module in list(net.modules()):
        held = [name for name, _value in module.named_buffers(recurse=False)]
        for mask in [name for name in held if name.endswith("_mask")]:
            torch_prune.remove(module, mask.removesuffix("_mask"))
    return net


def copy_of(net: "nn.Module") -> "nn.Module":
    """A deep copy. Raises ConfigError for a masked network, which torch cannot copy."""
    from torch.nn.utils import prune as torch_prune

    if torch_prune.is_pruned(net):
        raise ConfigError(
            _("This network wears masks already, and those cannot be copied: remove them first.")
        )
    return copy.deepcopy(net)


def arrays(net: "nn.Module") -> dict[str, NDArray[np.float32]]:
    """Parameters by name as numpy arrays, of a network without masks; shares their memory."""
    return {name: value.detach().cpu().numpy() for name, value in net.named_parameters()}


# Cutting channels out for good: which must go together, and the narrower network that is left.
#
# Torch-Pruning's dependency graph (Fang et al. 2023) finds, by tracing one forward pass, every
# layer that a channel passes through: the BatchNorm behind it, the depthwise layer that maps it
# to itself, all branches of a residual sum, the layers that read it. torch is imported when
# called.

AGREEMENT = 1e-3
"""A narrow network's logits may differ from the masked one's by this share of the largest."""


def find_groups(net: "nn.Module", px: int) -> tuple[ChannelGroup, ...]:
    """Every set of channels that can be dropped, in the network's order; never the 11 outputs.

    `px`: side of a picture that `net` accepts. `net` is left as it is.
    """
    from torch import nn

    from core.pruning.groups import GroupConv2d, tied

    graph, copied, names = _traced(net, px)
    order = {name: place for place, name in enumerate(names.values())}
    maps = [
        feature_map
        for group in graph.get_all_groups(
            ignored_layers=_last_layers(copied),
            root_module_types=(nn.Conv2d, GroupConv2d, nn.Linear),
        )
        if (feature_map := _feature_map(group, names, len(group[0].idxs))).writers
    ]
    groups = []
    for units in tied(maps):
        writers = [(order[name], name, number) for number in units for name in maps[number].writers]
        first = min(writers)[2]
        if maps[first].channels == 1:
            continue
        norms = sorted(
            (name for number in units for name in maps[number].norms), key=order.__getitem__
        )
        places = {
            name: tuple(units[number])
            for number in units
            for name in (*maps[number].writers, *maps[number].norms)
        }
        groups.append(
            ChannelGroup(
                channels=maps[first].channels,
                units=max(units[first]) + 1,
                writers=tuple(name for _place, name, _number in sorted(writers)),
                norms=tuple(norms),
                places=places if len(units) > 1 else {},
            )
        )
    return tuple(sorted(groups, key=lambda group: order[group.writers[0]]))


def narrow(
    net: "nn.Module",
    groups: Sequence[ChannelGroup],
    dropped: Sequence[NDArray[np.int64]],
    px: int,
) -> "nn.Module":
    """A copy without the `dropped` channels of `groups`: fewer parameters, fewer MACs.

    The result is proved on the spot: it must answer random pictures as the network does in which
    the same channels are only zeroed. Raises ConfigError if it does not.
    """
    from core.pruning.groups import show

    graph, cut, _names = _traced(net, px)
    for group, channels in zip(groups, dropped, strict=True):
        if not len(channels):
            continue
        for writer in group.writers:
            root = cut.get_submodule(writer)
            pruner = graph.get_pruner_of_module(root)
            if pruner.get_out_channels(root) == len(group.place(writer)):  # not cut with another
                gone = group.at(writer, channels).tolist()
                graph.get_pruning_group(root, pruner.prune_out_channels, gone).prune()
    show(cut)
    cut.train(net.training)
    _prove(net, cut, groups, dropped, px)
    return cut


def _traced(net: "nn.Module", px: int) -> tuple[Any, "nn.Module", dict[Any, str]]:
    """Dependency graph of a copy of `net`, the copy, and its modules' names."""
    import torch
    import torch_pruning

    from core.pruning.groups import GroupConv2d, GroupPruner, hide

    copied = copy_of(net).eval()
    hide(copied)
    for parameter in copied.parameters():
        parameter.requires_grad_(True)  # the tracing follows gradients
    device = next(copied.parameters()).device
    with torch.enable_grad():
        graph = torch_pruning.DependencyGraph().build_dependency(
            copied,
            example_inputs=torch.zeros(1, 3, px, px, device=device),
            customized_pruners={GroupConv2d: GroupPruner()},
            verbose=False,
        )
    return graph, copied, {module: name for name, module in copied.named_modules()}


def _last_layers(net: "nn.Module") -> list["nn.Linear"]:
    """The layer that gives the logits: its outputs are the classes."""
    from torch import nn

    return [module for module in net.modules() if isinstance(module, nn.Linear)][-1:]


def _feature_map(group: Any, names: dict[Any, str], channels: int) -> "FeatureMap":
    """The channels of a Torch-Pruning group, and the layers that write, normalise or group them."""
    from torch import nn

    from core.pruning.groups import FeatureMap, GroupConv2d, is_depthwise

    layers = list(_layers(group))
    writers = {
        names[module]
        for module, writes in layers
        if (writes and isinstance(module, nn.Conv2d | nn.Linear | GroupConv2d))
        or is_depthwise(module)
    }
    norms = {names[module] for module, _writes in layers if isinstance(module, nn.BatchNorm2d)}
    sides = {side: dict.fromkeys(m for m, writes in layers
                                 if isinstance(m, GroupConv2d) and writes is side)
             for side in (True, False)}  # fmt: skip
    inner = list(names.values())
    return FeatureMap(
        channels,
        tuple(name for name in inner if name in writers),
        tuple(name for name in inner if name in norms),
        read_by=tuple(sides[False]),
        written_by=tuple(sides[True]),
    )


def _layers(group: Any) -> Iterator[tuple["nn.Module", bool]]:
    """Each module of a Torch-Pruning group, and whether its output channels are meant."""
    for dependency, _channels in group:
        yield dependency.target.module, "out_channels" in dependency.handler.__name__


def _prove(
    net: "nn.Module",
    cut: "nn.Module",
    groups: Sequence[ChannelGroup],
    dropped: Sequence[NDArray[np.int64]],
    px: int,
) -> None:
    import torch

    zeroed = without_masks(masked(net, kept_channels(arrays(net), groups, dropped)))
    device = next(net.parameters()).device
    pictures = torch.randn(2, 3, px, px, generator=torch.Generator().manual_seed(0)).to(device)

    def answers(network: "nn.Module") -> "Tensor":
        mode = network.training
        with torch.inference_mode():
            logits: Tensor = network.eval()(pictures)
        network.train(mode)
        return logits

    expected, got = answers(zeroed), answers(cut)
    if float((got - expected).abs().max()) > AGREEMENT * (1 + float(expected.abs().max())):
        raise ConfigError(_("This network cannot be made narrower: its channels are entangled."))
