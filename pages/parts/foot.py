"""The foot of a page: its data as CSV, a link to this very setting, the next page."""

from collections.abc import Mapping
from urllib.parse import urlencode

import pandas as pd
import streamlit as st
from streamlit.errors import StreamlitAPIException

from core.charts.tables import to_csv
from core.words import _
from pages.parts import contents


def page_link(found: contents.Entry, label: str, query: Mapping[str, str] | None = None) -> None:
    """A link to another page, with its settings if given; plain text where a page runs alone,
    without app.py around it."""
    try:
        st.page_link(found.file, label=label, icon=found.icon, query_params=query)
    except (StreamlitAPIException, KeyError):
        st.markdown(label)


def setting_link() -> str:
    """The address of this page with the settings now in force."""
    base = (st.context.url or "").split("?", 1)[0]
    pairs = [(key, value) for key in st.query_params for value in st.query_params.get_all(key)]
    query = urlencode(pairs)
    return f"{base}?{query}" if query else base


def foot(page: str, frame: pd.DataFrame | None = None) -> None:
    """Draw the foot of `page` (a key of the contents); `frame` is what its main picture shows."""
    st.divider()
    with st.container(horizontal=True, vertical_alignment="center"):
        if frame is not None and len(frame):
            st.download_button(
                _("Data as CSV"),
                to_csv(frame),
                file_name=f"small-plates-{page}.csv",
                mime="text/csv",
                icon=":material/download:",
                on_click="ignore",
            )
        with st.popover(_("Link to this setting"), icon=":material/link:"):
            st.code(setting_link(), language=None, wrap_lines=True)
        following = contents.after(page)
        page_link(following, _("Next: {page}").format(page=following.name))
