"""`models` and `summary`: what the registered networks cost."""

from dataclasses import asdict, dataclass
from typing import Annotated, Any

from tyro.conf import Positional, arg

from core.cli.answer import Answer, table
from core.errors import UserError
from core.i18n import _
from core.models.registry import MODELS, ModelSpec, get


@dataclass(frozen=True)
class Models:
    """List the registered networks: parameters, multiply-accumulates, bytes as float32."""

    json: bool = False
    """Print one JSON document and nothing else."""

    def run(self) -> Answer:
        rows = [_cost(spec) for spec in MODELS.values()]
        return Answer({"models": rows}, table(rows))


@dataclass(frozen=True)
class Summary:
    """Print a network's layer table as torchsummary does (taken in eval mode)."""

    key: Annotated[Positional[str], arg(metavar="KEY")]
    """Which network: a key that `models` lists."""

    input_px: Annotated[int | None, arg(metavar="PX")] = None
    """Side of the square input in pixels; without it, the one the homework's tables use."""

    json: bool = False
    """Print one JSON document and nothing else; it has each layer's MACs too."""

    def run(self) -> Answer:
        from core.models.cost import layer_table, torchsummary_text

        spec = get(self.key)
        px = spec.input_px if self.input_px is None else self.input_px
        if not 1 <= px <= 1024:
            raise UserError(_("An input is between 1 and 1,024 pixels wide."))
        net, shape = spec.build(), (3, px, px)
        try:
            layers = layer_table(net, shape)
        except RuntimeError:
            raise UserError(
                _(
                    "{key} cannot take an input of {px} pixels: its layers shrink it to nothing."
                ).format(key=self.key, px=px)
            ) from None
        document = {
            "key": spec.key,
            "input": list(shape),
            "params": sum(layer.params for layer in layers),
            "macs": sum(layer.macs for layer in layers),
            "layers": [asdict(layer) for layer in layers],
        }
        text = "" if self.json else torchsummary_text(net, shape)
        return Answer(document, text.rstrip("\n"))


def _cost(spec: ModelSpec) -> dict[str, Any]:
    import torch

    from core.models.cost import count_macs, count_params, state_bytes

    with torch.device("meta"):  # shapes without values: nothing is drawn, nothing is computed
        net = spec.build()
    shape = (3, spec.input_px, spec.input_px)
    return {
        "key": spec.key,
        "params": count_params(net),
        "macs": count_macs(net, shape),
        "size_bytes": state_bytes(net),
        "input": list(shape),
        "family": spec.family,
    }
