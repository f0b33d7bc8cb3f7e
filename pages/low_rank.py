"""Low rank: a layer's singular values, a network factored, and what that saves and costs."""

import streamlit as st

from core.words import _
from pages.parts import contents, low_rank_lessons, low_rank_network, shelf
from pages.parts.foot import foot
from pages.parts.low_rank_controls import (
    candidates,
    grid_of,
    predict_first,
    setting,
    whole_setting,
)
from pages.parts.low_rank_layer import layer
from pages.parts.low_rank_live import live
from pages.parts.low_rank_photo import photo_check
from pages.parts.provenance import provenance

st.title(contents.entry("low_rank").question)
st.markdown(
    _(
        "A layer is a large matrix. If few of its directions do most of the work, two thin "
        "matrices in a row can stand in for it: a low-rank approximation."
    )
)

found = shelf.checkpoints()
whole = candidates(found)
if not whole:
    shelf.explain_empty()
    st.stop()

guess = predict_first()
with st.container(border=True):
    at = setting(whole)
    layer(at, guess)

st.subheader(_("The whole network"))
with st.container(border=True):
    how = whole_setting(grid_of(at.checkpoint))
frame, revealed = low_rank_network.accuracy(at, how, whole)

st.subheader(_("Run it here"))
live(at, how)

st.subheader(_("Fewer MACs, less time?"))
low_rank_network.times(at, how, guess, revealed)

st.subheader(_("The extreme case: depthwise + pointwise"))
low_rank_lessons.extreme(at, whole)

st.subheader(_("Your photo, at lower rank"))
photo_check(at, how, found)

with st.expander(_("Why: what a rank is, and what is kept"), icon=":material/function:"):
    low_rank_lessons.why(at)

with st.expander(_("Trap: factors larger than the layer"), icon=":material/warning:"):
    low_rank_lessons.trap(at, how.grid)

with st.expander(_("From the homework: HW7 Q1"), icon=":material/school:"):
    low_rank_lessons.homework(whole)

provenance([at.checkpoint])
foot("low_rank", frame)
