"""Pruning a network, three ways of writing the result down: masked, removed, narrow.

What goes is decided in `core.compression.prune_select`; here a network is changed accordingly.

- *masked*: `torch.nn.utils.prune` keeps the weight and a mask, and multiplies them in every forward
  pass. Nothing gets smaller or faster; this is what HW13 Q3 does.
- *removed*: `prune.remove` writes the product back. Size and speed are as before, with zeros in it.
- *narrow*: the channels are cut out of every layer that writes or reads them, with all that hangs
  on them (Fang et al. 2023, DepGraph: Torch-Pruning). Only this does less work.

Every function returns a new network and leaves its argument as it was, so a network that others
share can be given. torch is imported when a function is called, so that a page can show the source.
"""

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from core.compression.prune_select import (
    CHANNEL_METHODS,
    ChannelGroup,
    Keep,
    Method,
    Scope,
    choose,
    dropped_channels,
)
from core.errors import ConfigError
from core.words import _

if TYPE_CHECKING:
    from torch import nn

Form = Literal["masked", "removed", "narrow"]
FORMS: tuple[Form, ...] = get_args(Form)


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

    `groups`: what `core.compression.prune_channels.find_groups` found; channel methods need it,
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
        from core.compression.prune_channels import narrow

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
