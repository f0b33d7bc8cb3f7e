"""Which language this session reads: the address bar's `lang`, the menu's, or the browser's."""

import streamlit as st

from core import words
from core.words import _
from pages.parts.linked import one_of


def speak() -> None:
    """Set the language for this run, and offer a menu where there is more than one.

    Call it first in app.py, and first in a function under `st.fragment`: a fragment's rerun does
    not pass through app.py, and the language is a context variable of the running thread.
    """
    words.set_language(st.session_state.get("lang") or words.match_language(st.context.locale))


def menu() -> None:
    """The language menu, in the sidebar; nothing where there is only English."""
    offered = words.available_languages()
    if len(offered) < 2:
        return
    default = words.match_language(st.context.locale)
    chosen = one_of(st.sidebar.selectbox, _("Language"), offered, "lang", default=default)
    words.set_language(chosen)
