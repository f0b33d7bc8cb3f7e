"""Cutting channels out for good: which must go together, and the narrower network that is left.

Torch-Pruning's dependency graph (Fang et al. 2023) finds, by tracing one forward pass, every layer
that a channel passes through: the BatchNorm behind it, the depthwise layer that maps it to itself,
all branches of a residual sum, the layers that read it. torch is imported when called.
"""

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.compression.prune import copy_of, masked, without_masks
from core.compression.prune_select import ChannelGroup, kept_channels
from core.errors import ConfigError
from core.words import _

if TYPE_CHECKING:
    from torch import Tensor, nn

AGREEMENT = 1e-3
"""A narrow network's logits may differ from the masked one's by this share of the largest."""


def find_groups(net: "nn.Module", px: int) -> tuple[ChannelGroup, ...]:
    """Every set of channels that can be dropped, in the network's order; never the 11 outputs.

    `px`: side of a picture that `net` accepts. `net` is left as it is.
    """
    graph, copied, names = _traced(net, px)
    found = []
    for group in graph.get_all_groups(ignored_layers=_last_layers(copied)):
        channels = len(group[0].idxs)
        writers, norms, ties = _members(group, names, channels)
        if writers and channels > 1:
            units = math.gcd(channels, *(channels // tie for tie in ties))
            found.append(ChannelGroup(channels=channels, units=units, writers=writers, norms=norms))
    order = {name: place for place, name in enumerate(names.values())}
    return tuple(sorted(found, key=lambda group: order[group.writers[0]]))


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
    graph, cut, _names = _traced(net, px)
    for group, channels in zip(groups, dropped, strict=True):
        if len(channels):
            root = cut.get_submodule(group.writers[0])
            prune_out = graph.get_pruner_of_module(root).prune_out_channels
            graph.get_pruning_group(root, prune_out, channels.tolist()).prune()
    cut.train(net.training)
    _prove(net, cut, groups, dropped, px)
    return cut


def _traced(net: "nn.Module", px: int) -> tuple[Any, "nn.Module", dict[Any, str]]:
    """Dependency graph of a copy of `net`, the copy, and its modules' names."""
    import torch
    import torch_pruning

    copied = copy_of(net).eval()
    for parameter in copied.parameters():
        parameter.requires_grad_(True)  # the tracing follows gradients
    device = next(copied.parameters()).device
    with torch.enable_grad():
        graph = torch_pruning.DependencyGraph().build_dependency(
            copied, example_inputs=torch.zeros(1, 3, px, px, device=device), verbose=False
        )
    return graph, copied, {module: name for name, module in copied.named_modules()}


def _last_layers(net: "nn.Module") -> list["nn.Linear"]:
    """The layer that gives the logits: its outputs are the classes."""
    from torch import nn

    return [module for module in net.modules() if isinstance(module, nn.Linear)][-1:]


def _members(
    group: Any, names: dict[Any, str], channels: int
) -> tuple[tuple[str, ...], tuple[str, ...], list[int]]:
    """Names of the layers that write the group's channels, of its BatchNorms, and the groups of
    the group convolutions that write or read them."""
    from torch import nn

    writers, norms, ties = set(), set(), []
    for module, writes in _layers(group):
        if isinstance(module, nn.Conv2d):
            depthwise = module.groups == module.out_channels == module.in_channels
            if module.groups > 1 and not depthwise:
                ties.append(module.groups)
            if (writes or depthwise) and module.out_channels == channels:
                writers.add(names[module])
        elif isinstance(module, nn.Linear) and writes:
            writers.add(names[module])
        elif isinstance(module, nn.BatchNorm2d):
            norms.add(names[module])
    inner = [name for name in names.values() if name in writers or name in norms]
    return (
        tuple(name for name in inner if name in writers),
        tuple(name for name in inner if name in norms),
        ties,
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

    from core.compression.prune import arrays

    zeroed = without_masks(masked(net, kept_channels(arrays(net), groups, dropped)))
    device = next(net.parameters()).device
    pictures = torch.randn(2, 3, px, px, generator=torch.Generator().manual_seed(0)).to(device)

    def answers(one: "nn.Module") -> "Tensor":
        mode = one.training
        with torch.inference_mode():
            logits: Tensor = one.eval()(pictures)
        one.train(mode)
        return logits

    expected, got = answers(zeroed), answers(cut)
    if float((got - expected).abs().max()) > AGREEMENT * (1 + float(expected.abs().max())):
        raise ConfigError(_("This network cannot be made narrower: its channels are entangled."))
