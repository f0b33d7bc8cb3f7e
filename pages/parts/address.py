"""A setting in the address bar by its key, so that a link means the same in every language.

`bind="query-params"` writes what a menu shows, which a translation changes; this writes the
option itself. A setting at its default is left out of the link.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import streamlit as st

T = TypeVar("T", str, int)


def choose(
    widget: Callable[..., Any], label: str, options: Sequence[T], default: T, key: str, **more: Any
) -> T:
    """Draw a widget of one choice (`st.selectbox`, `st.segmented_control` ...) named `key`.

    `options` are what the link holds and what is returned; show them with `format_func`. A link
    with anything else means the default.
    """
    by_text = {str(option): option for option in options}
    if st.session_state.get(key) not in options:
        st.session_state[key] = by_text.get(st.query_params.get(key, ""), default)
    widget(label, options, key=key, **more)
    chosen: T = st.session_state[key]
    if chosen == default:
        st.query_params.pop(key, None)
    elif st.query_params.get(key) != str(chosen):
        st.query_params[key] = str(chosen)
    return chosen
