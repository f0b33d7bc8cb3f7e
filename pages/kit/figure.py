"""A chart on the page: full width, the theme's colours, and alt text."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import streamlit as st

from core import i18n
from core.charts.libraries import pd
from core.charts.tables import to_csv
from core.i18n import _
from pages.kit import url_state

T = TypeVar("T")


def kept(make: Callable[[], T], what: str, *key: Hashable, of: Sequence[object] = ()) -> T:
    """`make()`, once for each language, `what`, `key` and `of`: shared by all sessions, read only.

    For what is small. `of`: immutable objects that stand for themselves in the key, such as
    measured rows. (A page script runs anew at each visit: a decorated function costs it 3 ms.)
    """
    # the objects are held with the result, so that no other gets the same identity
    return _kept((i18n.language(), what, *key, *map(id, of)), lambda: (make(), of))[0]


@st.cache_resource(max_entries=768, show_spinner=False)
def _kept(key: tuple[Hashable, ...], _make: Callable[[], T]) -> T:
    return _make()


class Picture(NamedTuple):
    """A finished chart with its words: made once, kept in a cache, drawn for all sessions."""

    frame: pd.DataFrame
    """What can be taken along."""
    chart: dict[str, Any]
    alt: str
    lines: Sequence[str] = ()
    """What it shows, a sentence each."""
    of: Any = None
    """What it was made of where the cache's key is that object's identity: held, so that no other
    gets the same."""


def show(chart: Any, alt: str, key: str | None = None) -> None:
    """Draw an Altair chart, or a compiled one with its data (`core.charts.compiled`).

    `alt` says in one or two sentences what it shows, with its numbers. A compiled chart with a
    `key` has its height kept free while it loads, so that nothing below it jumps.
    """
    if not isinstance(chart, dict):
        st.altair_chart(chart, width="stretch", theme="streamlit", alt=alt, key=key)
        return
    height_px = chart.get("height")
    with st.container(key=f"{key}-room" if key else None):
        if key and isinstance(height_px, int | float):
            st.html(f"<style>.st-key-{key}-room {{min-height: {height_px}px}}</style>")
        st.vega_lite_chart(chart, width="stretch", theme="streamlit", alt=alt, key=key)


def show_with_slider(chart: Any, alt: str, key: str, height_px: int) -> None:
    """`show` for a chart with a slider or radio buttons, which Vega would put below it: put on top.

    `height_px`, of chart and slider, is kept free while the chart loads, so that nothing jumps.
    """
    place = f".st-key-{key} .vega-embed"
    st.html(
        f"<style>{place} {{display: flex; flex-direction: column-reverse}}"
        f"{place} .vega-bindings {{padding-bottom: 1rem; min-height: 2.6rem}}"
        f"{place} label:has(> input[type='range']) {{display: flex; gap: 0.8rem}}"
        f"{place} input[type='range'] {{flex: 1; min-width: 6rem; max-width: 34rem}}"
        f"{place} .vega-bind-name {{font-weight: 600; min-width: 0 !important}}"
        f"{place} .vega-bind-radio {{display: flex; flex-wrap: wrap; gap: 0.4rem; flex: 1}}"
        f"{place} .vega-bind-radio label {{border: 1px solid color-mix(in srgb, currentColor 35%, "
        "transparent); border-radius: 0.6rem; padding: 0.25rem 0.8rem; cursor: pointer}"
        f"{place} .vega-bind-radio label:has(input:checked) {{font-weight: 600; "
        "border-color: var(--primary-color, currentColor)}"
        f".st-key-{key} {{min-height: {height_px}px}}</style>"
    )
    url_state.steady(chart, alt)
    with st.container(key=key):
        show(chart, alt, f"{key}-chart")


def table(
    columns: Mapping[str, Sequence[str]],
    n_text: int = 1,
    extra: Sequence[str] = (),
    key: str | None = None,
    height_px: int | None = None,
) -> None:
    """Draw a Markdown table: title -> cells, all columns of one length; the first `n_text` hold
    words, the others numbers, which stand right. Cells wrap, so that a narrow screen has room.

    `extra`: titles of columns that a phone held upright leaves out. `height_px`: of a long table,
    which scrolls under its head. Both need a `key`, which no other table of the page has.
    """
    rules = [*["---"] * n_text, *["---:"] * (len(columns) - n_text)]
    rows = [columns, rules, *zip(*columns.values(), strict=True)]
    text = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    if key is None:
        st.markdown(text)
        return
    left_out = ", ".join(
        f".st-key-table-{key} :is(th, td):nth-child({number})"
        for number, title in enumerate(columns, 1)
        if title in extra
    )
    with st.container(key=f"table-{key}", height=height_px or "content"):
        if left_out:
            st.html(f"<style>@media (max-width: 640px) {{{left_out} {{display: none}}}}</style>")
        st.markdown(text)


def source(words: str, text: str) -> None:
    """Show the source of a function under a sentence that says what it did here."""
    st.markdown(words)
    st.code(text, language="python", wrap_lines=True)


def data_button(frame: pd.DataFrame | Callable[[], pd.DataFrame], name: str) -> None:
    """A chart's data as CSV, in a quiet button under it; `name` becomes part of the file's name.

    The file is written when the button is pressed, not at every rerun; a function that makes the
    frame is called then.
    """
    if callable(frame) or len(frame):
        st.download_button(
            _("This chart's data"),
            lambda: to_csv(frame() if callable(frame) else frame),
            file_name=f"small-plates-{name}.csv",
            mime="text/csv",
            icon=":material/download:",
            on_click="ignore",
            type="tertiary",
            key=f"data-{name}",
        )
