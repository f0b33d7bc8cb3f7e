"""Quantisation: how few bits a weight needs, what they cost in accuracy, what they save."""

import streamlit as st

from core.words import _
from pages.parts import contents, quantization_curves, quantization_lessons, shelf
from pages.parts.foot import foot
from pages.parts.provenance import provenance
from pages.parts.quantization_controls import measured, predict_first, setting
from pages.parts.quantization_int8 import aware, int8, trap
from pages.parts.quantization_line import number_line
from pages.parts.quantization_live import live
from pages.parts.quantization_photo import photo_check
from pages.parts.quantization_upload import upload

st.title(contents.entry("quantization").question)
st.markdown(
    _(
        "A trained weight is a 32-bit number. Keep only a few bits of each, and the file shrinks "
        "at once. How few will do before the network forgets what food looks like?"
    )
)

found = shelf.checkpoints()
if not found:
    shelf.explain_empty()
    st.stop()

guess = predict_first()
with st.container(border=True):
    at = setting(found)

st.subheader(_("The number line: one layer's weights"))
number_line(at)

st.subheader(_("Bits against accuracy"))
known = measured(found)
frame = quantization_curves.accuracy(known, at, guess) if known else None
if frame is None:
    quantization_curves.explain_missing(shelf.starters(found))
revealed = bool(st.session_state.get("reveal"))
if revealed:
    quantization_curves.table(at)

st.subheader(_("Run it here"))
live(at)

st.subheader(_("Integers all the way: is it faster?"))
int8(at, guess, revealed)

st.subheader(_("Trained for few bits, or rounded afterwards?"))
aware(at, known, revealed)

st.subheader(_("Your photo at fewer bits"))
photo_check(at)

st.subheader(_("Open a homework's 8-bit file"))
upload(found, at)

with st.expander(_("Why: what a code stands for"), icon=":material/function:"):
    quantization_lessons.why(at)

with st.expander(_("Trap: dynamic int8 leaves the convolutions"), icon=":material/warning:"):
    trap(at)

with st.expander(_("From the homework: HW7"), icon=":material/school:"):
    quantization_lessons.homework(known)

provenance(
    [one for one in found if any(one.id == each.grid.checkpoint for each in known)]
    or [at.checkpoint]
)
foot("quantization", frame)
