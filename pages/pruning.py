"""Pruning: accuracy, time and size against the ratio; masked, masks removed, really narrower."""

import streamlit as st

from core.words import _
from pages.parts import contents, pruning_curves, pruning_lessons, shelf
from pages.parts.foot import foot
from pages.parts.provenance import measured_line, provenance
from pages.parts.pruning_controls import measured, predict_first, setting
from pages.parts.pruning_live import live
from pages.parts.pruning_photo import photo_check
from pages.parts.pruning_surgery import surgery

st.title(contents.entry("pruning").question)
st.markdown(
    _(
        "Pruning sets the least important weights of a network to zero, or cuts whole channels "
        "out. How much can go before it forgets what food looks like, and what is saved?"
    )
)

found = shelf.checkpoints()
if not found:
    shelf.explain_empty()
    st.stop()

guess = predict_first()
with st.container(border=True):
    at = setting(found)

st.subheader(_("Ratio against accuracy"))
known = measured(found)
frame = pruning_curves.accuracy(known, at, guess) if known else None
if frame is None:
    pruning_curves.explain_missing(shelf.starters(found))

st.subheader(_("Run it here"))
live(at)

st.subheader(_("Ratio against time and size"))
pruning_curves.times(at, guess, bool(st.session_state.get("reveal")))

st.subheader(_("Surgery: what goes, layer by layer"))
surgery(at)

st.subheader(_("Your photo, pruned"))
photo_check(at)

with st.expander(_("Why: what a mask is, and what it is not"), icon=":material/function:"):
    pruning_lessons.why(at)

with st.expander(_("Trap: a mask makes it larger"), icon=":material/warning:"):
    pruning_lessons.trap(at.grid)

with st.expander(_("From the homework: HW13 Q3, HW7"), icon=":material/school:"):
    pruning_lessons.homework(known)

provenance(
    [one for one in found if any(one.id == each.grid.checkpoint for each in known)]
    or [at.checkpoint]
)
if at.grid is not None:
    measured_line(_("Curves and times of {id}").format(id=f"`{at.grid.checkpoint}`"), at.grid)
foot("pruning", frame)
