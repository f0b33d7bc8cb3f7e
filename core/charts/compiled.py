"""A chart is compiled once, its data put in each time: half a second of Altair, then microseconds.

A function under `@compiled` returns an Altair chart on named data (`alt.NamedData`) and depends on
nothing but its arguments and the language; it is compiled once per process. `with_rows` adds a few
rows, `with_data` frames.
"""

import functools
import os
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, ParamSpec

import altair as alt
import pandas as pd
import pyarrow as pa
from altair.utils import schemapi

from core import i18n

Spec = dict[str, Any]
"""A Vega-Lite specification; `datasets` holds data frames, as Streamlit takes them."""

P = ParamSpec("P")

KEPT = 64
"""The most specifications kept of one function."""
_compiling = threading.RLock()
_validate = "SMALL_PLATES_VALIDATE_CHARTS" in os.environ
"""Whether Altair compares each chart with Vega-Lite's schema: half of its time; tests do."""


def compiled(build: Callable[P, Any]) -> Callable[P, Spec]:
    """Compile the chart that `build` returns, once per arguments (hashable) and language.

    Visitors who come for a chart while it is being compiled wait for it.
    """
    specs: dict[Any, Spec] = {}

    @functools.wraps(build)
    def remembered(*args: P.args, **kwargs: P.kwargs) -> Spec:
        key = (i18n.language(), args, tuple(sorted(kwargs.items())))
        if (spec := specs.get(key)) is not None:
            return spec
        with _compiling:  # Altair's settings are the process', too
            if key not in specs:
                if len(specs) >= KEPT:
                    del specs[next(iter(specs))]
                specs[key] = _compile(build, *args, **kwargs)
            return specs[key]

    return remembered


def _compile(build: Callable[P, Any], *args: P.args, **kwargs: P.kwargs) -> Spec:
    # a row or two written in a layer stay there: Streamlit sends each of `datasets` as a table
    with (
        alt.data_transformers.enable(consolidate_datasets=False),
        schemapi.debug_mode(_validate),
    ):
        spec: Spec = build(*args, **kwargs).to_dict(validate=_validate)
    return spec


def with_data(
    spec: Spec,
    starts: Mapping[str, float | int | str] | None = None,
    /,
    **frames: pd.DataFrame | pa.Table,
) -> Spec:
    """A compiled chart with its named data and parameters of its own.

    All sessions share the rest: it must not be changed. `starts`: parameters of the chart -> where
    they begin. A table of plain rows (`pa.Table.from_pylist`) costs a hundredth of a frame.
    """
    return {**_begun(spec, starts), "datasets": {**spec.get("datasets", {}), **frames}}


def _begun(spec: Spec, starts: Mapping[str, float | int | str] | None) -> Spec:
    """The same chart with parameters of its own, which begin where `starts` says."""
    if "params" not in spec:
        return spec
    params = [dict(parameter) for parameter in spec["params"]]
    for parameter in params:
        if starts and parameter["name"] in starts:
            parameter["value"] = starts[parameter["name"]]
    return {**spec, "params": params}


def with_rows(
    spec: Spec,
    starts: Mapping[str, float | int | str] | None = None,
    /,
    **rows: Iterable[Mapping[str, Any]],
) -> Spec:
    """`with_data` for a few dozen rows: they travel inside the layers, without pandas and Arrow.

    Each of `rows` replaces the named data of that name; rows hold JSON's types alone.
    """
    values = {name: [dict(row) for row in given] for name, given in rows.items()}

    def put(part: Any) -> Any:
        if isinstance(part, list):
            return [put(each) for each in part]
        if not isinstance(part, dict):
            return part
        data = part.get("data")
        if data is not None and data.get("name") in values:
            # once: the layers after this one find the same rows by their name
            part = {**part, "data": {**data, "values": values.pop(data["name"])}}
        return {key: value if key == "data" else put(value) for key, value in part.items()}

    if "data" in spec and "layer" in spec:  # Streamlit would send that as a table
        layers = [{"data": spec["data"], **layer} for layer in spec["layer"]]
        spec = {key: part for key, part in spec.items() if key != "data"} | {"layer": layers}
    made: Spec = put(spec)
    return _begun(made, starts)


LONG = 300
"""Rows from which on data travels better in Arrow's format than written out."""


def inlined(spec: Spec, but: Collection[str] = ()) -> Spec:
    """A chart with its data as rows inside its layers, all but the tables named in `but`.

    Those and long ones become Arrow tables. To be kept and drawn often: pandas has no more to do.
    While only the data in `but` changes (where a control stands), the browser keeps the chart and
    moves what they draw.
    """
    beside: dict[str, Any] = {}
    rows: dict[str, Any] = {}
    for name, data in spec["datasets"].items():
        if not isinstance(data, pd.DataFrame):  # the rows of an `alt.InlineData`
            rows[name] = data
        elif name in but or len(data) >= LONG:
            beside[name] = pa.Table.from_pandas(data, preserve_index=False)
        else:
            rows[name] = [  # JSON has no NaN, the only value unequal to itself
                {key: None if value != value else value for key, value in row.items()}
                for row in data.to_dict("records")
            ]
    plain = {key: part for key, part in spec.items() if key != "datasets"}
    return {**with_rows(plain, **rows), "datasets": beside}
