"""The pages: words, widgets and layout. They compute nothing: they ask core and draw."""

import streamlit as st
from streamlit.runtime.pages_manager import PagesManager
from streamlit.runtime.scriptrunner import get_script_run_ctx

# Streamlit 1.67 takes a folder of this name for its first kind of multi-page app until
# st.navigation is called for the first time in the process: a link to a page, opened on a cold
# server, would run that page without app.py. So say that it is not, and begin again.
if PagesManager.uses_pages_directory:
    PagesManager.uses_pages_directory = False
    if get_script_run_ctx(suppress_warning=True) is not None:
        st.rerun()
