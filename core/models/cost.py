"""What a network costs: parameters, multiply-accumulates (MACs), bytes, layer by layer.

A MAC is one multiplication and one addition; convolutions and linear layers are counted, biases,
BatchNorm and activations are not, as is usual in the literature (and in Torch-Pruning).
"""

import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class LayerRow:
    """A row of the layer table. `output_shape` is (channels, height, width) or (features,)."""

    layer: str
    output_shape: tuple[int, ...]
    params: int
    macs: int


def count_params(net: nn.Module) -> int:
    """Number of weights and biases, shared ones once; buffers (BatchNorm statistics) are not."""
    return sum(p.numel() for p in net.parameters())


def state_bytes(net: nn.Module) -> int:
    """Bytes of everything in the state dict, statistics included, as torch would save it."""
    return sum(t.numel() * t.element_size() for t in net.state_dict().values())


def count_macs(net: nn.Module, input_shape: Shape) -> int:
    """MACs of one forward pass over one image of `input_shape` (channels, height, width)."""
    return sum(row.macs for row in layer_table(net, input_shape))


def layer_table(net: nn.Module, input_shape: Shape) -> list[LayerRow]:
    """Every module torchsummary would list, in order of execution, named as it names them."""
    rows: list[LayerRow] = []

    def listen(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        own = sum(p.numel() for p in _weight_and_bias(module))
        name = f"{type(module).__name__}-{len(rows) + 1}"
        rows.append(LayerRow(name, tuple(output.shape[1:]), own, _macs(module, output)))

    handles = [m.register_forward_hook(listen) for m in net.modules() if _is_listed(net, m)]
    try:
        with _evaluating(net), torch.inference_mode():
            net(torch.zeros(1, *input_shape, device=_device(net)))
    finally:
        for handle in handles:
            handle.remove()
    return rows


def torchsummary_text(net: nn.Module, input_shape: Shape) -> str:
    """The table that torchsummary prints, taken in eval mode and without touching the RNG.

    `torchsummary.summary` runs a random forward pass: in train mode that would change BatchNorm's
    running statistics, and it always consumes the global random state. Both are kept from harm.
    """
    import torchsummary

    printed = io.StringIO()
    device = "cuda" if _device(net).type == "cuda" else "cpu"
    with _evaluating(net), torch.random.fork_rng(), contextlib.redirect_stdout(printed):
        torchsummary.summary(net, input_shape, device=device)
    return printed.getvalue().rstrip("\n") + "\n"


def _is_listed(root: nn.Module, module: nn.Module) -> bool:
    """torchsummary's own rule: everything but containers and the network itself."""
    return module is not root and not isinstance(module, nn.Sequential | nn.ModuleList)


def _weight_and_bias(module: nn.Module) -> Iterator[Tensor]:
    for name in ("weight", "bias"):
        tensor = getattr(module, name, None)
        if isinstance(tensor, Tensor):
            yield tensor


def _macs(module: nn.Module, output: Tensor) -> int:
    if isinstance(module, nn.Conv2d | nn.Linear):
        # each output value is a dot product with one filter: weight.numel() / out_channels long
        per_output = module.weight.numel() // module.weight.shape[0]
        return output[0].numel() * per_output
    return 0


def _device(net: nn.Module) -> torch.device:
    return next((p.device for p in net.parameters()), torch.device("cpu"))


@contextlib.contextmanager
def _evaluating(net: nn.Module) -> Iterator[None]:
    """Eval mode inside, every submodule's own mode restored after."""
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
