"""Small Plates: how a big neural network becomes a small one, on photographs of food.

The router: page set-up, language, navigation. Run with `streamlit run app.py`.
"""

import streamlit as st

from core.errors import UserError
from core.i18n import _
from pages.kit import frame

frame.speak()
st.set_page_config(page_title=_("Small Plates"), page_icon="🍽️", layout="wide")
frame.halo()
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

try:
    page.run()
except UserError as error:
    st.error(str(error), icon=":material/error:")
