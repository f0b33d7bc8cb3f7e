"""A chart is compiled once, its data put in each time: half a second of Altair, then microseconds.

A function under `@compiled` returns an Altair chart on named data (`alt.NamedData`) and depends on
nothing but its arguments and the language; it is compiled once per process, and its specification
is kept in the cache folder for the next. `with_rows` adds a few rows, `with_data` frames.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import shutil
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import Any, ParamSpec

from core import i18n, paths
from core.charts.libraries import alt, pa, pd
from core.errors import UserError

Spec = dict[str, Any]
"""A Vega-Lite specification; `datasets` holds data frames, as Streamlit takes them."""

P = ParamSpec("P")

KEPT = 64
"""The most specifications kept of one function."""
KEPT_FILES = 512
"""The most specifications kept on the disk."""
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
                file = _file(build, key)
                spec = _read(file)
                specs[key] = spec or _compile(build, *args, **kwargs)
                if spec is None:
                    _keep(file, specs[key])
            return specs[key]

    return remembered


@functools.lru_cache(maxsize=1)
def _folder() -> Path:
    """Where specifications of exactly this code, and this Altair, are kept."""
    core = Path(__file__).resolve().parents[1]
    state = [version("altair")]
    for folder, _folders, names in os.walk(core):
        files = (os.path.join(folder, name) for name in names if name.endswith((".py", ".mo")))
        state += [f"{file} {(at := os.stat(file)).st_mtime_ns} {at.st_size}" for file in files]
    digest = hashlib.sha256("\n".join(sorted(state)).encode()).hexdigest()
    return paths.cache_dir() / "charts" / digest[:16]


def _file(build: Callable[..., Any], key: object) -> Path | None:
    """Where the specification is kept; None where it is not, as in tests, which look at each."""
    called = f"{build.__module__}.{build.__qualname__} {key!r}"
    if _validate or "<" in called:  # a function in a function, or an object known by its address
        return None
    try:
        return _folder() / f"{hashlib.sha256(called.encode()).hexdigest()[:32]}.json"
    except (OSError, UserError):
        return None


def _read(file: Path | None) -> Spec | None:
    """What is kept there; None where nothing is, or something damaged."""
    try:
        spec = paths.read_json(file) if file else None
    except (OSError, ValueError):
        return None
    return spec if isinstance(spec, dict) and "$schema" in spec else None


def _keep(file: Path | None, spec: Spec) -> None:
    """Keep a specification that JSON does not change, if the disk takes it; forget older code's."""
    try:
        if file is None or json.loads(text := json.dumps(spec)) != spec:
            return
        if not file.parent.exists():
            for old in file.parent.parent.glob("*"):
                shutil.rmtree(old, ignore_errors=True)
        elif len(os.listdir(file.parent)) >= KEPT_FILES:
            return
        paths.write_atomic(file, text.encode())
    except (OSError, TypeError, ValueError):
        return


def _compile(build: Callable[P, Any], *args: P.args, **kwargs: P.kwargs) -> Spec:
    from altair.utils import schemapi

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


def table(rows: Iterable[Mapping[str, float | str]]) -> pa.Table:
    """At least one row of texts and numbers as an Arrow table, without pandas, which
    `pa.Table.from_pylist` imports."""
    from pyarrow.json import ParseOptions, read_json

    written = [json.dumps(row) for row in rows]
    types = {
        name: pa.string() if isinstance(value, str) else pa.float64()
        for name, value in json.loads(written[0]).items()
    }  # else a text that looks like a date would become one
    options = ParseOptions(explicit_schema=pa.schema(types.items()), newlines_in_values=False)
    return read_json(BytesIO("\n".join(written).encode()), parse_options=options)


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
