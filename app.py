"""Small Plates: how a big neural network becomes a small one, on photographs of food.

The router: page set-up, language, navigation. Run with `streamlit run app.py`: the server imports
this file once and finds `app`; then every run of a visitor's page runs it as a script.
"""

import gc

if __name__ != "__main__":
    gc.disable()  # until Home was opened: a fifth of what the imports take; `server.lifespan`

import streamlit as st

from core.errors import UserError
from core.i18n import _, language
from pages.kit import frame, room, server, stage, url_state, visitor


def main() -> None:
    """One run of a visitor's page."""
    frame.speak()
    st.set_page_config(
        page_title=_("Small Plates"),
        page_icon=frame.ICON,
        layout="wide",
        initial_sidebar_state=frame.SIDEBAR_PX,
    )
    frame.style()
    frame.menu()
    page = st.navigation(frame.navigation(), expanded=True)
    if refused := server.refusal():
        st.toast(refused, icon=":material/block:", duration="infinite")
    url_state.arrive(page.url_path or "home")
    url_state.listen(language())
    try:
        room.enter()
        stage.enter()
        page.run()
        visitor.remember()
    except UserError as error:
        st.error(str(error), icon=":material/error:")
    finally:
        url_state.write_address()


if __name__ == "__main__":
    main()
else:
    app = st.App(
        __file__, lifespan=server.lifespan, middleware=server.middleware(), routes=[room.route()]
    )
