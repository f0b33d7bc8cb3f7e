"""Altair, pandas and Arrow, imported when they are first used.

Together they take 0.4 s of processor time and 60 MB. Home needs none of them once its charts are
compiled (`core.charts.compiled`), so neither does a server's first visitor. A module that takes
them from here starts with `from __future__ import annotations`: what stands in a signature is then
no use.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd
    import pyarrow as pa
else:

    class _Later:
        def __init__(self, name: str) -> None:
            self._name = name

        def __getattr__(self, attribute: str) -> Any:
            return getattr(importlib.import_module(self._name), attribute)

    alt, pd, pa = map(_Later, ("altair", "pandas", "pyarrow"))

__all__ = ["alt", "pa", "pd"]
