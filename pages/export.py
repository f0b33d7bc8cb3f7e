"""Export: one network as every file it can be shipped as, and the whole way to a 300 KB file."""

import streamlit as st

from core.charts.shipping import files_frame
from core.words import _
from pages.parts import contents, export_files, export_lessons, export_stack, shelf
from pages.parts.export_downloads import downloads
from pages.parts.export_live import live
from pages.parts.foot import foot
from pages.parts.provenance import provenance

st.title(contents.entry("export").question)
st.markdown(
    _(
        "One trained network, five files: they differ in bytes, in speed, and a little in what "
        "they answer. Choose one knowing what was measured, and take it with you."
    )
)

found = shelf.checkpoints()
if not found:
    shelf.explain_empty()
    st.stop()

guess = export_files.predict_first()
with st.container(border=True):
    one = export_files.preferred(found)
    reveal = st.toggle(_("Show what was measured"), key="reveal", bind="query-params")

st.subheader(_("Five files of one network"))
known = export_files.known(one)
if known is None:
    export_files.explain_missing(one)
elif reveal:
    export_files.measured(one, known, guess)
else:
    st.caption(_("Make your guess, then switch on “Show what was measured”."))
    export_files.listed(one)

st.subheader(_("Take it with you"))
downloads(one, known)

st.subheader(_("Make it here"))
live(one)

st.subheader(_("The whole way: from the teacher to a file for a phone"))
stack = export_stack.choose_stack(found)
if stack is None:
    export_stack.explain_missing()
else:
    export_stack.way(stack)

with st.expander(_("Why: what is in the bytes, and what parity means"), icon=":material/function:"):
    export_lessons.why(one, known)

with st.expander(_("Trap: half the bytes, half the time?"), icon=":material/warning:"):
    export_lessons.trap(known)

with st.expander(_("From the homework: HW7's limits"), icon=":material/school:"):
    export_lessons.homework(one, known, stack)

shown = {one.id, *(row.checkpoint for row in (stack.rows if stack else ()) if row.checkpoint)}
provenance([each for each in found if each.id in shown])
foot("export", files_frame(one, known.rows) if known is not None and reveal else None)
