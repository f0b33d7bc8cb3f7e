"""Which browser this is: a secret name that it keeps, so that it finds its own runs again."""

import re
import uuid

import streamlit as st

_REMEMBER = """
export default function ({ setStateValue, data }) {
  const key = "small-plates-visitor";
  let id = "";
  try {
    id = localStorage.getItem(key) || "";
    if (!/^[0-9a-f]{32}$/.test(id)) {
      const bytes = crypto.getRandomValues(new Uint8Array(16));
      id = Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
      localStorage.setItem(key, id);
    }
  } catch (refused) {
    return; // a browser that keeps nothing: this tab alone is known
  }
  if (data.known !== id) setStateValue("id", id);
}
"""
_TOLD = "visitor"
_remember = st.components.v2.component("small_plates_visitor", js=_REMEMBER)


def visitor() -> str:
    """The secret name of this browser, so that it finds its runs again after its tab was closed.

    It is drawn at random and kept by the browser; a browser that keeps nothing is known by its tab.
    After a page that has asked for it, app.py calls `remember`.
    """
    st.session_state["visitor_asked"] = True
    known: str = st.session_state.setdefault("visitor_id", uuid.uuid4().hex)
    return known


def remember() -> None:
    """Let the browser keep the visitor's name, or say the one that it kept, if a page asked for it.

    The last call of a run: what the browser says starts a run anew, and by then all controls have
    been drawn.
    """
    if not st.session_state.pop("visitor_asked", False):
        return
    st.html("<style>.st-key-visitor_place {display: none}</style>")
    with st.container(key="visitor_place"):
        _remember(key=_TOLD, data={"known": visitor()}, on_id_change=_recognise)


def _recognise() -> None:
    """The browser has said a name: it counts before the page is drawn again."""
    id = st.session_state[_TOLD].get("id")
    if isinstance(id, str) and re.fullmatch(r"[0-9a-f]{32}", id):
        st.session_state["visitor_id"] = id
