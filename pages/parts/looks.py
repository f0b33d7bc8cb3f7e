"""What the theme of `.streamlit/config.toml` has no setting for."""

import streamlit as st


def halo() -> None:
    """A rim of the page's colour around every word in a chart: one that crosses a line stays
    readable."""
    day, night = (st.get_option(f"theme.{half}.backgroundColor") for half in ("light", "dark"))
    st.html(
        "<style>[data-testid='stVegaLiteChart'] .mark-text.role-mark text {paint-order: stroke; "
        f"stroke: light-dark({day}, {night}); stroke-width: 4px; stroke-linejoin: round}}</style>"
    )
