"""A function as it is written, read from its file: shown to readers without importing its module.

`inspect.getsource` needs the module imported; for those that import torch that costs seconds and
hundreds of megabytes, too much for a page that only shows them.
"""

import ast
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path


@lru_cache(maxsize=64)
def source_of(module: str, name: str) -> str:
    """The text of the top-level function or class `name` of `module`, as `inspect.getsource` gives.

    Raises LookupError if the module's file has none of that name.
    """
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise LookupError(f"no module {module}")
    text = Path(spec.origin).read_text(encoding="utf-8")
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name:
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            lines = text.splitlines(keepends=True)[first - 1 : node.end_lineno]
            return "".join(lines)
    raise LookupError(f"{module} has no {name}")
