"""A design as PyTorch source: one file that needs torch and nothing of this app.

The text is written from the same plan that `designed` builds from, module for module and under the
same names, so its layer table is the one that was shown and a trained state dict loads into it.
The classes of residual blocks are copied from `designed` as they stand there. Imports no torch.
"""

import ast
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

from core.models.design.cost import layer_rows, totals
from core.models.design.plan import (
    ACT_LAYERS,
    Act,
    Head,
    Layer,
    Part,
    Residual,
    Upsample,
    plan,
    torch_call,
)
from core.models.design.spec import Design

INDENT = "    "
FUNCTIONS = {name: f"F.{key}" for key, name in ACT_LAYERS.items()}


def pytorch_source(design: Design) -> str:
    """The text of a Python module with a class `Student`; `Student()` is the network."""
    stem, *blocks, last = plan(design)
    head = last.layers[0]
    assert isinstance(head, Head)
    called = [
        n for n, layer in enumerate(stem.layers) if isinstance(layer, Act) and not layer.listed
    ]
    split = called[0] if called else len(stem.layers)
    after = stem.layers[split + 1 :]
    body = [
        *_assign("stem", _sequence(stem.layers[:split])),
        *(_assign("stem_pool", _sequence(after)) if after else ()),
        *_assign("blocks", list(_blocks(blocks))),
        *(_assign("pool", ["nn.AdaptiveAvgPool2d(1)"]) if head.pool_listed else ()),
        *_assign("classifier", [f"nn.Linear({head.channels}, {head.classes})"]),
    ]
    forward = ["x = self.stem(x)"]
    if called:
        function = FUNCTIONS[_act_name(stem.layers[split])]
        forward = [f"x = {function}(self.stem(x))"]
    if after:
        forward.append("x = self.stem_pool(x)")
    pool = "self.pool(x)" if head.pool_listed else "F.adaptive_avg_pool2d(x, 1)"
    forward += ["x = self.blocks(x)", f"x = {pool}", "return self.classifier(x.flatten(1))"]
    student = [
        "class Student(nn.Module):",
        f'{INDENT}"""Photographs (B, 3, {design.input_px}, {design.input_px}), normalised, to '
        f'logits (B, {head.classes})."""',
        "",
        f"{INDENT}def __init__(self) -> None:",
        f"{INDENT * 2}super().__init__()",
        *(INDENT * 2 + line for line in body),
        "",
        f"{INDENT}def forward(self, x: Tensor) -> Tensor:",
        *(INDENT * 2 + line for line in forward),
    ]
    return "\n".join([*_opening(design), *_classes(design), *student]) + "\n"


def _opening(design: Design) -> Iterator[str]:
    count = totals(layer_rows(design))
    yield f'"""{design.slug}: {count.params:,} parameters, {count.macs / 1e6:.1f} million MACs at'
    yield f"{design.input_px} x {design.input_px}. Drawn in Small Plates as"
    yield ""
    yield f"{INDENT}{design.line}"
    yield '"""'
    yield ""
    residual = any(isinstance(layer, Residual) for part in plan(design) for layer in part.layers)
    if residual:
        yield "from collections.abc import Callable"
        yield ""
    yield "from torch import Tensor, nn"
    if design.functional:
        yield "from torch.nn import functional as F"
    yield from ("", "")


def _classes(design: Design) -> Iterator[str]:
    """The residual classes that the design needs, as `designed` has them."""
    used = {
        layer.layer for part in plan(design) for layer in part.layers if isinstance(layer, Residual)
    }
    for name, text in _residual_sources().items():
        if name in used or (used and name == "Residual"):
            yield from (text, "", "")


@lru_cache(maxsize=1)
def _residual_sources() -> dict[str, str]:
    """Class name -> its source text in designed.py, read without importing it (or torch)."""
    text = Path(__file__).with_name("network.py").read_text(encoding="utf-8")
    wanted = {"Residual", "BasicBlock", "Bottleneck", "InvertedResidual"}
    found = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.ClassDef) and node.name in wanted:
            found[node.name] = ast.get_source_segment(text, node) or ""
    return found


def _blocks(parts: Iterable[Part]) -> Iterator[str]:
    yield "nn.Sequential("
    for part in parts:
        yield f"{INDENT}# stage {part.stage}, block {part.block}"
        single = len(part.layers) == 1
        text = _expression(part.layers[0]) if single else _sequence(part.layers)
        yield from _item(text)
    yield ")"


def _expression(layer: Layer) -> list[str]:
    """The lines that construct a layer."""
    if isinstance(layer, Residual):
        shortcut = ["None"] if layer.shortcut is None else _sequence(layer.shortcut)
        act = f"{_called(layer.act)}"
        return [
            f"{layer.layer}(",
            f"{INDENT}parts=[",
            *(INDENT + line for part in layer.parts for line in _item(_sequence(part))),
            f"{INDENT}],",
            *(INDENT + line for line in _keyword("shortcut", shortcut)),
            f"{INDENT}act={act},",
            f"{INDENT}act_last={layer.act_last},",
            ")",
        ]
    assert not isinstance(layer, Head | Upsample)
    name, arguments, options = torch_call(layer)
    given = [str(a) for a in arguments] + [f"{key}={value}" for key, value in options.items()]
    return [f"nn.{name}({', '.join(given)})"]


def _called(act: Act) -> str:
    return f"nn.{act.layer}()" if act.listed else FUNCTIONS[act.layer]


def _sequence(layers: Iterable[Layer]) -> list[str]:
    inner = [line for layer in layers for line in _item(_expression(layer))]
    return ["nn.Sequential(", *inner, ")"] if inner else ["nn.Sequential()"]


def _item(lines: list[str]) -> list[str]:
    """Lines of one argument, indented, with the comma behind the last."""
    *rest, last = [INDENT + line for line in lines]
    return [*rest, last + ","]


def _keyword(name: str, lines: list[str]) -> list[str]:
    first, *rest = lines
    *middle, last = [f"{name}={first}", *rest]
    return [*middle, last + ","]


def _assign(name: str, lines: list[str]) -> list[str]:
    first, *rest = lines
    return [f"self.{name} = {first}", *rest]


def _act_name(layer: Layer) -> str:
    assert isinstance(layer, Act)
    return layer.layer
