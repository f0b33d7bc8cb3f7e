"""A design as a network: every record of its plan becomes the torch module of the same meaning.

`Residual` and its kinds are also the text that a downloaded PyTorch source carries
(`design_source` copies them from here), so they depend on nothing but torch.
"""

from collections.abc import Callable, Iterable

from torch import Tensor, nn
from torch.nn import functional as F

from core.errors import ConfigError
from core.i18n import _
from core.models.design import plan as design_plan
from core.models.design.cost import layer_rows, totals
from core.models.design.plan import Act, Head, Layer, Upsample, plan, torch_call
from core.models.design.shipped import shipped
from core.models.design.spec import Design, read

MAX_PARAMS = 50_000_000
"""Room for a teacher of ResNet's size, none for a design that would fill the memory."""

FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "ReLU": F.relu,
    "ReLU6": F.relu6,
    "Hardswish": F.hardswish,
    "SiLU": F.silu,
}
"""What stands in for an activation that is to be a function call."""


class Residual(nn.Module):
    """Parts with an activation between them; the input, made to fit, is added at the end."""

    def __init__(
        self,
        parts: list[nn.Module],
        shortcut: nn.Module | None,
        act: Callable[[Tensor], Tensor],
        act_last: bool,
    ) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.shortcut = shortcut
        self.act = act
        self.act_last = act_last

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, H, W) -> (B, C_out, H / stride, W / stride)."""
        out = x
        for number, part in enumerate(self.parts):
            out = part(self.act(out) if number else out)
        if self.shortcut is not None:
            out = out + self.shortcut(x)
        return self.act(out) if self.act_last else out


class BasicBlock(Residual):
    """Two k x k convolutions (He et al. 2015)."""


class Bottleneck(Residual):
    """1 x 1 to narrow, k x k, 1 x 1 to widen four times (He et al. 2015)."""


class InvertedResidual(Residual):
    """1 x 1 to widen, depthwise k x k, 1 x 1 to narrow, linear (Sandler et al. 2018)."""


_RESIDUALS = {kind.__name__: kind for kind in (BasicBlock, Bottleneck, InvertedResidual)}


class DesignedNet(nn.Module):
    """The network of a design: stem, blocks, global average pool, one linear layer."""

    def __init__(self, design: Design) -> None:
        super().__init__()
        stem, *blocks, head = plan(design)
        called = [n for n, layer in enumerate(stem.layers) if _is_called(layer)]
        split = called[0] if called else len(stem.layers)
        self.stem = _sequence(stem.layers[:split])
        self.stem_act = _act(stem.layers[split]) if called else None
        self.stem_pool = _sequence(stem.layers[split + 1 :])
        self.blocks = nn.Sequential(*(_block(part.layers) for part in blocks))
        last = head.layers[0]
        assert isinstance(last, Head)
        self.pool = nn.AdaptiveAvgPool2d(1) if last.pool_listed else None
        self.classifier = nn.Linear(last.channels, last.classes)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) float -> (B, classes) logits."""
        x = self.stem(x)
        if self.stem_act is not None:
            x = self.stem_act(x)
        x = self.blocks(self.stem_pool(x))
        x = F.adaptive_avg_pool2d(x, 1) if self.pool is None else self.pool(x)
        return self.classifier(x.flatten(1))


def build(design: Design) -> DesignedNet:
    """A new network, randomly initialised from torch's global generator.

    Raises ConfigError for a design so large that building it could take the machine down.
    """
    params = totals(layer_rows(design)).params
    if params > MAX_PARAMS:
        raise ConfigError(
            _("This design has {n:,} parameters; more than {most:,} are not built.").format(
                n=params, most=MAX_PARAMS
            )
        )
    return DesignedNet(design)


def from_line(num_classes: int, line: str) -> DesignedNet:
    """The network that a line describes, with `num_classes` outputs: what the registry calls."""
    return build(read(line).model_copy(update={"classes": num_classes}))


def from_name(num_classes: int, name: str) -> DesignedNet:
    """The network of a design that ships with the app, with `num_classes` outputs."""
    return build(shipped()[name].model_copy(update={"classes": num_classes}))


def _is_called(layer: Layer) -> bool:
    return isinstance(layer, Act) and not layer.listed


def _act(layer: Layer) -> Callable[[Tensor], Tensor]:
    assert isinstance(layer, Act)
    return getattr(nn, layer.layer)() if layer.listed else FUNCTIONS[layer.layer]


def _module(layer: Layer) -> nn.Module:
    if isinstance(layer, design_plan.Residual):
        return _RESIDUALS[layer.layer](
            [_sequence(part) for part in layer.parts],
            None if layer.shortcut is None else _sequence(layer.shortcut),
            _act(layer.act),
            layer.act_last,
        )
    assert not isinstance(layer, Head | Upsample)
    name, arguments, options = torch_call(layer)
    module: nn.Module = getattr(nn, name)(*arguments, **options)
    return module


def _sequence(layers: Iterable[Layer]) -> nn.Sequential:
    return nn.Sequential(*map(_module, layers))


def _block(layers: tuple[Layer, ...]) -> nn.Module:
    return _module(layers[0]) if len(layers) == 1 else _sequence(layers)
