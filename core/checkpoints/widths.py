"""How wide a narrowed network's layers are, and the same widths given to a freshly built one.

A pruned network is its model with other channel counts: a few numbers per layer, which a
checkpoint carries, so that its weights load strictly into a network that has their shapes.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from core.errors import CheckpointError
from core.i18n import _

if TYPE_CHECKING:
    from torch import Tensor, nn


Widths = dict[str, tuple[int, ...]]
"""Layer -> (in, out, groups) of a convolution, (in, out) of a linear layer, (n,) of a BatchNorm."""


def layer_widths(net: "nn.Module") -> Widths:
    """The widths of every convolution, linear layer and BatchNorm, by module name."""
    return {
        name: width for name, module in net.named_modules() if (width := _width(module)) is not None
    }


def changed_widths(net: "nn.Module", original: "nn.Module") -> Widths:
    """The widths in which `net` differs from `original`; empty for a network as it is built.

    Layers of another kind, or that `original` does not have, are somebody else's business.
    """
    before, modules = layer_widths(original), dict(original.named_modules())
    return {
        name: width
        for name, width in layer_widths(net).items()
        if name in before
        and type(net.get_submodule(name)) is type(modules[name])
        and before[name] != width
    }


def set_widths(net: "nn.Module", widths: Mapping[str, tuple[int, ...]]) -> "nn.Module":
    """Give a freshly built network these widths, in place, and return it; its weights are void.

    Raises CheckpointError for a layer it does not have and for a width that is not narrower:
    a manifest cannot make us allocate more than its model does.
    """
    for name, width in widths.items():
        try:
            module = net.get_submodule(name)
        except AttributeError:
            module = None
        full = None if module is None else _width(module)
        if (
            module is None
            or full is None
            or len(full) != len(width)
            or not all(1 <= new <= old for new, old in zip(width, full, strict=True))
        ):
            raise CheckpointError(
                _("The widths of {layer} do not fit the network.").format(layer=name)
            )
        _resize(module, width)
    return net


def _width(module: "nn.Module") -> tuple[int, ...] | None:
    from torch import nn

    if isinstance(module, nn.Conv2d):
        return module.in_channels, module.out_channels, module.groups
    if isinstance(module, nn.Linear):
        return module.in_features, module.out_features
    if isinstance(module, nn.BatchNorm2d):
        return (module.num_features,)
    return None


def _resize(module: "nn.Module", width: tuple[int, ...]) -> None:
    from torch import nn

    if isinstance(module, nn.Conv2d):
        module.in_channels, module.out_channels, module.groups = width
        if module.in_channels % module.groups or module.out_channels % module.groups:
            raise CheckpointError(_("The groups of a convolution do not divide its channels."))
        shape = (module.out_channels, module.in_channels // module.groups, *module.kernel_size)
        module.weight = nn.Parameter(module.weight.new_zeros(shape))
    elif isinstance(module, nn.Linear):
        module.in_features, module.out_features = width
        module.weight = nn.Parameter(module.weight.new_zeros(width[1], width[0]))
    elif isinstance(module, nn.BatchNorm2d):
        (module.num_features,) = width
        for name in ("running_mean", "running_var"):
            statistic: Tensor | None = getattr(module, name)
            if statistic is not None:
                setattr(module, name, statistic.new_zeros(width))
        if module.affine:
            module.weight = nn.Parameter(module.weight.new_zeros(width))
    bias: Tensor | None = getattr(module, "bias", None)
    if bias is not None:
        outputs = width[0] if isinstance(module, nn.BatchNorm2d) else width[1]
        module.bias = nn.Parameter(bias.new_zeros(outputs))
