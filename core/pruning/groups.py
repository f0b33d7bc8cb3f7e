"""Group convolutions while channels are cut out: what their groups tie together.

The groups of a layer must stay equally wide. Where each has several inputs and several outputs, all
of them lose the same places: input c goes with c + n, c + 2n ... (n inputs a group). Where a group
has one input, or gives one output, that would be all or nothing; there a group is cut whole, its
inputs together with its outputs. (Depthwise convolution, one of each, is a case of its own: its
channels are one feature map to everybody.)

Torch-Pruning takes a layer with one output a group for depthwise, whatever it reads. So it meets
our group convolutions as layers of another class, with a pruner of their own.
"""

from collections.abc import Hashable, Iterator, Sequence
from typing import Any, NamedTuple

import torch_pruning
from torch import Tensor, nn
from torch.nn import functional as F


class GroupConv2d(nn.Module):
    """What a group convolution is while a network is traced and cut (`hide`, `show`)."""

    read: int
    """Inputs of each group, before anything was cut."""
    written: int
    """Outputs of each group, before anything was cut."""

    @property
    def goes_whole(self) -> bool:
        """Whether groups are cut whole; else all of them lose the same places."""
        return self.read == 1 or self.written == 1

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, H, W) -> (B, C_out, H', W')."""
        layer: Any = self
        return F.conv2d(
            x, layer.weight, layer.bias, layer.stride, layer.padding, layer.dilation, layer.groups
        )


def is_depthwise(module: nn.Module) -> bool:
    """Whether each channel is mapped to itself."""
    if not isinstance(module, nn.Conv2d):
        return False
    return module.groups == module.in_channels == module.out_channels


def hide(net: nn.Module) -> None:
    """Give the group convolutions of `net`, depthwise ones aside, another class, in place."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d) and module.groups > 1 and not is_depthwise(module):
            read = module.in_channels // module.groups
            written = module.out_channels // module.groups
            module.__class__ = GroupConv2d  # type: ignore[assignment]
            vars(module).update(read=read, written=written)


def show(net: nn.Module) -> None:
    """Make them convolutions again, in place."""
    for module in net.modules():
        if isinstance(module, GroupConv2d):
            module.__class__ = nn.Conv2d  # type: ignore[assignment]
            del vars(module)["read"], vars(module)["written"]


class GroupPruner(torch_pruning.BasePruningFunc):
    """Cuts whole groups of a layer, or the same places of every group."""

    TARGET_MODULES = GroupConv2d

    def prune_out_channels(self, layer: Any, idxs: Sequence[int]) -> Any:
        """Drop these outputs. How many groups there are is settled by the inputs."""
        kept = _without(layer.out_channels, idxs)
        layer.out_channels = len(kept)
        layer.weight = nn.Parameter(layer.weight.detach()[kept])
        if layer.bias is not None:
            layer.bias = nn.Parameter(layer.bias.detach()[kept])
        return layer

    def prune_in_channels(self, layer: Any, idxs: Sequence[int]) -> Any:
        """Drop these inputs, and with all inputs of a group the group."""
        kept = _without(layer.in_channels, idxs)
        if layer.goes_whole:
            layer.groups = len(kept) // layer.read
        else:
            first = [channel for channel in kept if channel < layer.read]
            layer.weight = nn.Parameter(layer.weight.detach()[:, first])
        layer.in_channels = len(kept)
        return layer

    def get_out_channels(self, layer: Any) -> int:
        """How many there are now."""
        return int(layer.out_channels)

    def get_in_channels(self, layer: Any) -> int:
        """How many there are now."""
        return int(layer.in_channels)


def _without(n: int, idxs: Sequence[int]) -> list[int]:
    gone = set(idxs)
    return [channel for channel in range(n) if channel not in gone]


class FeatureMap(NamedTuple):
    """Channels with one numbering: who writes them, what normalises them, who groups them."""

    channels: int
    writers: tuple[str, ...]
    norms: tuple[str, ...]
    read_by: tuple[GroupConv2d, ...]
    written_by: tuple[GroupConv2d, ...]


def tied(maps: Sequence[FeatureMap]) -> Iterator[dict[int, list[int]]]:
    """The feature maps that lose channels together: number of the map -> unit of each channel.

    Channels of one unit go or stay together. A map that no group convolution touches comes alone,
    each of its channels a unit.
    """
    links: dict[Hashable, Hashable] = {}

    def root(node: Hashable) -> Hashable:
        while links.setdefault(node, node) != node:
            links[node] = node = links[links[node]]
        return node

    read = {layer for feature_map in maps for layer in feature_map.read_by}
    both = read & {layer for feature_map in maps for layer in feature_map.written_by}
    for number, feature_map in enumerate(maps):
        sides = [(layer, layer.read) for layer in feature_map.read_by]
        sides += [(layer, layer.written) for layer in feature_map.written_by]
        for layer, wide in sides:
            for channel in range(feature_map.channels):
                tie: Hashable = (number, channel % wide)
                if layer.goes_whole:  # all of its groups stay if its other side cannot be cut
                    tie = (layer, channel // wide if layer in both else None)
                links[root((number, channel))] = root(tie)
    roots = [[root((number, channel)) for channel in range(feature_map.channels)]
             for number, feature_map in enumerate(maps)]  # fmt: skip
    done: set[int] = set()
    for number, of_map in enumerate(roots):
        if number in done:
            continue
        units = {unit: place for place, unit in enumerate(dict.fromkeys(of_map))}
        together = [other for other, theirs in enumerate(roots) if theirs[0] in units]
        done.update(together)
        yield {other: [units[unit] for unit in roots[other]] for other in together}
