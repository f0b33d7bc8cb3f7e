"""Components that show feature maps in the browser: what their JavaScript and Python share."""

import base64
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

_HERE = Path(__file__)


@lru_cache  # a page's file runs anew for every visitor
def maps_component(name: str, script: Path) -> Callable[..., Any]:
    """A component of that name: maps.js and maps.css of this folder, then the page's own `script`
    and the style sheet beside it, where there is one."""
    sheets = (_HERE.with_suffix(".css"), script.with_suffix(".css"))
    return st.components.v2.component(
        f"small_plates_{name}",
        js=_HERE.with_suffix(".js").read_text(encoding="utf-8")
        + script.read_text(encoding="utf-8"),
        css="".join(sheet.read_text(encoding="utf-8") for sheet in sheets if sheet.exists()),
    )


def packed(values: NDArray[Any]) -> dict[str, str]:
    """An array for `unpack` in maps.js, row by row: bytes as they are, all else as float32."""
    dtype = "uint8" if values.dtype == np.uint8 else "float32"
    data = np.ascontiguousarray(values, np.uint8 if dtype == "uint8" else "<f4").tobytes()
    return {"dtype": dtype, "data": base64.b64encode(data).decode("ascii")}
