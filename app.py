"""Small Plates: how a big neural network becomes a small one, on photographs of food.

The router: page set-up, language, navigation. Run with `streamlit run app.py`: the server imports
this file once and finds `app`; then every run of a visitor's page runs it as a script.
"""

import streamlit as st

from core.errors import UserError
from core.i18n import _
from pages.kit import frame, server, url_state


def main() -> None:
    """One run of a visitor's page."""
    frame.speak()
    st.set_page_config(page_title=_("Small Plates"), page_icon="🍽️", layout="wide")
    frame.style()
    frame.menu()
    page = st.navigation(
        {
            section: [
                st.Page(
                    found.file,
                    title=found.name,
                    icon=found.icon,
                    url_path=found.key,
                    default=found.key == "home",
                )
                for found in listed
            ]
            for section, listed in frame.sections().items()
        },
        expanded=True,
    )
    if refused := server.refusal():
        st.toast(refused, icon=":material/block:", duration="infinite")
    url_state.arrive(page.url_path or "home")
    url_state.listen()
    try:
        page.run()
    except UserError as error:
        st.error(str(error), icon=":material/error:")
    finally:
        url_state.write_address()


if __name__ == "__main__":
    main()
else:
    app = st.App(__file__, lifespan=server.lifespan, middleware=server.middleware())
