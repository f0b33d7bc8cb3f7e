"""A design as PyTorch source: one file that needs torch and nothing of this app.

The text is written from the same plan that `network` builds from, module for module and under the
same names, so its layer table is the one that was shown and a trained state dict loads into it.
The classes of residual blocks are copied from `network` as they stand there. Imports no torch.
"""

import ast
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from core.models.design.cost import layer_rows, totals
from core.models.design.plan import (
    ACT_LAYERS,
    Act,
    Head,
    Layer,
    Residual,
    Upsample,
    plan,
    torch_call,
)
from core.models.design.spec import Design

INDENT = "    "
FUNCTIONS = {name: f"F.{key}" for key, name in ACT_LAYERS.items()}

Node = str | tuple[str, list["Node"], str]
"""An expression in one line, or its first line, the expressions inside, and its last line."""


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
    inside: list[Node] = []
    for part in blocks:
        single = len(part.layers) == 1
        inside.append(f"# stage {part.stage}, block {part.block}")
        inside.append(_expression(part.layers[0]) if single else _sequence(part.layers))
    modules: dict[str, Node] = {
        "stem": _sequence(stem.layers[:split]),
        **({"stem_pool": _sequence(after)} if after else {}),
        "blocks": ("nn.Sequential(", inside, ")"),
        **({"pool": "nn.AdaptiveAvgPool2d(1)"} if head.pool_listed else {}),
        "classifier": f"nn.Linear({head.channels}, {head.classes})",
    }
    act = stem.layers[split] if called else None
    forward = [
        f"x = {FUNCTIONS[act.layer]}(self.stem(x))" if isinstance(act, Act) else "x = self.stem(x)",
        *(["x = self.stem_pool(x)"] if after else []),
        "x = self.blocks(x)",
        f"x = {'self.pool(x)' if head.pool_listed else 'F.adaptive_avg_pool2d(x, 1)'}",
        "return self.classifier(x.flatten(1))",
    ]
    student = [
        "class Student(nn.Module):",
        f'{INDENT}"""Photographs (B, 3, {design.input_px}, {design.input_px}), normalised, to '
        f'logits (B, {head.classes})."""',
        "",
        f"{INDENT}def __init__(self) -> None:",
        f"{INDENT * 2}super().__init__()",
        *(
            INDENT * 2 + line
            for name, node in modules.items()
            for line in _lines(node, f"self.{name} = ")
        ),
        "",
        f"{INDENT}def forward(self, x: Tensor) -> Tensor:",
        *(INDENT * 2 + line for line in forward),
    ]
    return "\n".join([*_opening(design), *student]) + "\n"


def _opening(design: Design) -> list[str]:
    """Docstring, imports, and the residual classes that the design needs."""
    count = totals(layer_rows(design))
    used = {layer.layer for part in plan(design) for layer in part.layers
            if isinstance(layer, Residual)}  # fmt: skip
    classes = {
        name: text
        for name, text in _residual_sources().items()
        if name in used or (used and name == "Residual")
    }
    return [
        f'"""{design.slug}: {count.params:,} parameters, {count.macs / 1e6:.1f} million MACs at',
        f"{design.input_px} x {design.input_px}. Drawn in Small Plates as",
        "",
        f"{INDENT}{design.line}",
        '"""',
        "",
        *(["from collections.abc import Callable", ""] if used else []),
        "from torch import Tensor, nn",
        *(["from torch.nn import functional as F"] if design.functional else []),
        *("", ""),
        *(line for text in classes.values() for line in (text, "", "")),
    ]


@lru_cache(maxsize=1)
def _residual_sources() -> dict[str, str]:
    """Class name -> its source text in network.py, read without importing it (or torch)."""
    text = Path(__file__).with_name("network.py").read_text(encoding="utf-8")
    wanted = {"Residual", "BasicBlock", "Bottleneck", "InvertedResidual"}
    return {
        node.name: ast.get_source_segment(text, node) or ""
        for node in ast.parse(text).body
        if isinstance(node, ast.ClassDef) and node.name in wanted
    }


def _expression(layer: Layer) -> Node:
    """What constructs a layer."""
    if isinstance(layer, Residual):
        shortcut = "None" if layer.shortcut is None else _sequence(layer.shortcut)
        act = f"nn.{layer.act.layer}()" if layer.act.listed else FUNCTIONS[layer.act.layer]
        arguments: dict[str, Node] = {
            "parts": ("[", [_sequence(part) for part in layer.parts], "]"),
            "shortcut": shortcut,
            "act": act,
            "act_last": str(layer.act_last),
        }
        return (f"{layer.layer}(", [_named(*item) for item in arguments.items()], ")")
    assert not isinstance(layer, Head | Upsample)
    name, values, options = torch_call(layer)
    given = [str(value) for value in values] + [f"{key}={value}" for key, value in options.items()]
    return f"nn.{name}({', '.join(given)})"


def _sequence(layers: Iterable[Layer]) -> Node:
    inside = [_expression(layer) for layer in layers]
    return ("nn.Sequential(", inside, ")") if inside else "nn.Sequential()"


def _named(name: str, node: Node) -> Node:
    return f"{name}={node}" if isinstance(node, str) else (f"{name}={node[0]}", *node[1:])


def _lines(node: Node, before: str = "", after: str = "") -> list[str]:
    """An expression's lines, indented; a comment has no comma behind it."""
    if isinstance(node, str):
        return [before + node + ("" if node.startswith("#") else after)]
    first, inside, last = node
    within = [INDENT + line for part in inside for line in _lines(part, after=",")]
    return [before + first, *within, last + after]
