"""Choices that a link carries by key, not by label: a link made in one language opens in another.

Streamlit's own `bind="query-params"` writes what the menu shows, so it serves numbers only.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, cast

import streamlit as st

K = TypeVar("K", bound=str)


def one_of(
    widget: Any, label: str, titles: Mapping[K, str], key: str, default: K, **extra: Any
) -> K:
    """One key of `titles` by a `widget` (`st.selectbox`, `st.segmented_control`, `st.pills` ...).

    `titles` says how each key is shown; `key` names the parameter in the address bar. What a link
    gives that is no key of `titles` counts as `default`, and so does a choice taken back. The
    default "" stands for no choice.
    """
    _begin(key, (st.query_params.get_all(key)[:1] or [default])[0], titles, default or None)
    chosen = widget(label, list(titles), format_func=titles.__getitem__, key=key, **extra)
    _keep(key, [str(chosen or default)], [default])
    return cast(K, chosen or default)


def several_of(
    widget: Any,
    label: str,
    titles: Mapping[str, str],
    key: str,
    default: Sequence[str],
    most: int,
    **extra: Any,
) -> list[str]:
    """Keys of `titles`, at most `most` of them, by a `widget` (`st.multiselect`), as `one_of`."""
    if key not in st.session_state:
        linked = [one for one in dict.fromkeys(st.query_params.get_all(key)) if one in titles]
        st.session_state[key] = (linked or list(default))[:most]
    else:  # what was chosen may be gone: a checkpoint removed, say
        st.session_state[key] = [one for one in st.session_state[key] if one in titles]
    chosen = widget(
        label,
        list(titles),
        format_func=titles.__getitem__,
        key=key,
        max_selections=most,
        **extra,
    )
    _keep(key, list(chosen), list(default))
    return list(chosen)


def _begin(key: str, linked: str, titles: Mapping[K, str], default: str | None) -> None:
    """Give the widget its first value, and a new one where what it held is no longer on offer."""
    if key not in st.session_state:
        st.session_state[key] = linked if linked in titles else default
    elif st.session_state[key] is not None and st.session_state[key] not in titles:
        st.session_state[key] = default


def _keep(key: str, chosen: list[str], default: list[str]) -> None:
    """Write the choice into the address bar; a default is left out, to keep links short."""
    written = st.query_params.get_all(key)
    if chosen == default:
        if written:
            del st.query_params[key]
    elif written != chosen:
        st.query_params[key] = chosen


# ------------------------------------------------------------------------------------------------
# A setting in the address bar by its key, so that a link means the same in every language.
#
# `bind="query-params"` writes what a menu shows, which a translation changes; this writes the
# option itself. A setting at its default is left out of the link.


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
