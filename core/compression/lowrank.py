"""Low-rank factoring of a network: layers replaced with two or three smaller ones in a row.

HW7 names low-rank approximation as one of its four families (Denton et al. 2014; Jaderberg et al.
2014; Kim et al. 2016). Which ranks is decided in `core.compression.lowrank_plan`, what a factored
layer costs in `core.compression.lowrank_shapes`, its weights come from
`core.compression.lowrank_factors`; here they are put into a network. A new network is returned and
the given one is left as it was. torch is imported when a function is called.
"""

import copy
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from core.compression.lowrank_plan import Decompositions
from core.compression.lowrank_shapes import LayerShape, Ranks
from core.errors import ConfigError
from core.words import _

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

    from core.compression.lowrank_ranks import Factored, factored_layer, put, shape_of

    parts = parts or Decompositions(weights_of(net))
    made = copy.deepcopy(net)
    inside = {n for n, m in net.named_modules() if isinstance(m, Factored)}
    for name, chosen in ranks.items():
        module = dict(net.named_modules()).get(name)
        shape = None if module is None else shape_of(name, module)
        if module is None or shape is None or any(name.startswith(f"{one}.") for one in inside):
            raise ConfigError(_("There is no layer {layer} to factor.").format(layer=name))
        form = shape.form_of(chosen)
        layer = factored_layer(module, form, chosen).train(module.training)
        with torch.no_grad():
            factors = parts.of(name, form).factors(chosen)
            for one, weight in zip(layer, factors, strict=True):
                one.get_parameter("weight").copy_(torch.from_numpy(np.ascontiguousarray(weight)))
            if module.bias is not None:
                layer[-1].get_parameter("bias").copy_(module.get_parameter("bias"))
        put(made, name, layer)
    return made


def layer_shapes(net: "nn.Module", px: int) -> tuple[LayerShape, ...]:
    """Every linear layer and convolution of `net`, in order of execution, with its sizes.

    `px`: side of a picture that it accepts. Factors of a factored layer are marked `fixed`: what
    was factored once is not factored again.
    """
    from core.compression.lowrank_ranks import Factored, shape_of
    from core.measure.cost import layer_table

    inside = tuple(f"{n}." for n, m in net.named_modules() if isinstance(m, Factored))
    found: dict[str, LayerShape] = {}

    def listen(name: str, inputs: "tuple[Tensor, ...]", output: "Tensor") -> None:
        shape = shape_of(name, net.get_submodule(name))
        assert shape is not None
        found.setdefault(
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
    return tuple(found.values())


def weights_of(net: "nn.Module") -> dict[str, NDArray[np.float32]]:
    """Module name -> weight, of every layer that has a weight of two or four dimensions."""
    return {
        name.removesuffix(".weight"): value.detach().cpu().numpy()
        for name, value in net.named_parameters()
        if name.endswith(".weight") and value.dim() in (2, 4)
    }


def _size(tensor: "Tensor") -> tuple[int, int]:
    return (tensor.shape[2], tensor.shape[3]) if tensor.dim() == 4 else (1, 1)
