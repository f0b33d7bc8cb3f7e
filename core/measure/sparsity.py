"""What pruning leaves of a network: values that are not zero, and the bytes it takes."""

import gzip

import torch
from torch import Tensor, nn


def effective_parameters(net: nn.Module) -> dict[str, Tensor]:
    """Parameters as the forward pass uses them: of a masked one, its product with the mask."""
    found = {}
    for name, parameter in net.named_parameters():
        layer, _dot, own = name.rpartition(".")
        module = net.get_submodule(layer)
        if own.endswith("_orig") and f"{own.removesuffix('_orig')}_mask" in module._buffers:
            own = own.removesuffix("_orig")
            parameter = getattr(module, f"{own}_orig") * getattr(module, f"{own}_mask")
        found[f"{layer}.{own}" if layer else own] = parameter.detach()
    return found


def count_nonzero(net: nn.Module) -> int:
    """Weights and biases that are not zero."""
    return sum(int(torch.count_nonzero(value)) for value in effective_parameters(net).values())


def gzip_bytes(net: nn.Module) -> int:
    """Length of the state dict as a safetensors file after gzip (level 6, as `gzip` does)."""
    from safetensors.torch import save

    plain = {name: t.detach().cpu().contiguous().clone() for name, t in net.state_dict().items()}
    return len(gzip.compress(save(plain), 6, mtime=0))
