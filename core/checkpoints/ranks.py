"""A factored network's ranks, and the same factors' shapes given to a freshly built one.

A factored layer is a `Factored`: a plain sequence of two or three layers under the old layer's
name. A checkpoint carries the ranks beside the widths, so that its weights load strictly into a
network that has their shapes.
"""

import copy
from collections.abc import Mapping
from typing import Any

from torch import nn

from core.checkpoints.factored import Form, LayerShape, Ranks
from core.checkpoints.widths import set_widths
from core.errors import CheckpointError, ConfigError
from core.i18n import _


class Factored(nn.Sequential):
    """The layers in place of one: their product is (nearly) its weight, the last has its bias."""


def shape_of(name: str, module: nn.Module) -> LayerShape | None:
    """A linear layer's or convolution's shape without its sizes; None for any other module.

    `fixed` where the padding is not plain zeros given as numbers.
    """
    if isinstance(module, nn.Linear):
        return LayerShape(
            name, module.in_features, module.out_features, bias=module.bias is not None
        )
    if not isinstance(module, nn.Conv2d):
        return None
    plain = (
        type(module) is nn.Conv2d
        and module.padding_mode == "zeros"
        and not isinstance(module.padding, str)
    )
    # a 1 x 1 layer with stride 1 needs no padding, whatever rule a subclass has for it
    point = module.kernel_size == (1, 1) and tuple(module.stride) == (1, 1)
    return LayerShape(
        name,
        module.in_channels,
        module.out_channels,
        (module.kernel_size[0], module.kernel_size[1]),
        (module.stride[0], module.stride[1]),
        module.groups,
        module.bias is not None,
        fixed=not (plain or point),
    )


def factored_layer(module: nn.Module, form: Form, ranks: tuple[int, ...]) -> Factored:
    """Layers of these ranks in place of a linear layer or convolution, on its device; not filled.

    The bias, if it has one, goes to the last.
    """
    weight = next(module.parameters())
    where: dict[str, Any] = {"device": weight.device, "dtype": weight.dtype}
    if isinstance(module, nn.Linear):
        has_bias = module.bias is not None
        return Factored(
            nn.Linear(module.in_features, ranks[0], bias=False, **where),
            nn.Linear(ranks[0], module.out_features, bias=has_bias, **where),
        )
    assert isinstance(module, nn.Conv2d)
    (high, wide), (down, across) = module.kernel_size, module.stride
    point = high == wide == 1
    pads = (0, 0) if point and isinstance(module.padding, str) else module.padding
    (pad_y, pad_x), (gap_y, gap_x) = _pair(pads), _pair(module.dilation)
    last: dict[str, Any] = {"bias": module.bias is not None, **where}
    inner: dict[str, Any] = {"bias": False, **where}
    a, b = module.in_channels, module.out_channels
    if form == "svd":
        stride, pad = (down, across), (pad_y, pad_x)
        return Factored(
            nn.Conv2d(a, ranks[0], 1, stride, pad, **inner), nn.Conv2d(ranks[0], b, 1, **last)
        )
    if form == "spatial":
        return Factored(
            nn.Conv2d(a, ranks[0], (high, 1), (down, 1), (pad_y, 0), (gap_y, 1), **inner),
            nn.Conv2d(ranks[0], b, (1, wide), (1, across), (0, pad_x), (1, gap_x), **last),
        )
    r_in, r_out = ranks
    core = nn.Conv2d(
        r_in, r_out, (high, wide), (down, across), (pad_y, pad_x), (gap_y, gap_x), **inner
    )
    return Factored(nn.Conv2d(a, r_in, 1, **inner), core, nn.Conv2d(r_out, b, 1, **last))


def found_ranks(net: nn.Module) -> Ranks:
    """The ranks of a network's factored layers, by the name of the layer they stand for."""
    return {
        name: tuple(_width(layer)[1] for layer in list(module)[:-1])
        for name, module in net.named_modules()
        if isinstance(module, Factored)
    }


def set_ranks(net: nn.Module, ranks: Mapping[str, tuple[int, ...]]) -> nn.Module:
    """Put factored layers of these ranks into a network, in place; their weights are void.

    Raises CheckpointError for a layer it does not have, or that cannot be factored, and for ranks
    beyond the full one: a manifest cannot make us allocate without end.
    """
    for name, chosen in ranks.items():
        try:
            module = net.get_submodule(name)
            shape = shape_of(name, module)
            if shape is None:
                raise ConfigError(_("{layer} is no layer to factor.").format(layer=name))
            form = shape.form_of(tuple(chosen))
        except (AttributeError, ConfigError) as error:
            raise CheckpointError(
                _("The ranks of {layer} do not fit the network.").format(layer=name)
            ) from error
        put(net, name, factored_layer(module, form, tuple(chosen)))
    return net


def whole_shapes(net: nn.Module, original: nn.Module) -> nn.Module:
    """A copy of `net` with the layers of `original`, void, in place of its factored ones.

    They are as wide as the factored ones; so what is left has the widths of the network before it
    was factored. Raises CheckpointError if `original` does not have such layers.
    """
    made = copy.deepcopy(net)
    for name, module in net.named_modules():
        if isinstance(module, Factored):
            try:
                put(made, name, copy.deepcopy(original.get_submodule(name)))
            except AttributeError as error:
                raise CheckpointError(_("There is no layer {layer}.").format(layer=name)) from error
            wide = _width(module[0])[0], _width(module[-1])[1]
            set_widths(made, {name: wide if isinstance(module[0], nn.Linear) else (*wide, 1)})
    return made


def put(net: nn.Module, name: str, module: nn.Module) -> None:
    """Replace the submodule `name` of `net`."""
    parent, _dot, child = name.rpartition(".")
    setattr(net.get_submodule(parent), child, module)


def _width(layer: nn.Module) -> tuple[int, int]:
    """(in, out) of a factor."""
    if isinstance(layer, nn.Linear):
        return layer.in_features, layer.out_features
    assert isinstance(layer, nn.Conv2d)
    return layer.in_channels, layer.out_channels


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])
