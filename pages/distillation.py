"""Distillation: the KD loss of one picture taken apart, six ways to get it wrong, does it help?"""

import streamlit as st

from core.charts.distillation import HEIGHT_PX, INPUTS_PX, distillation_chart
from core.serving.kd_parts import T_HIGH, T_LOW, lengths, parts_frame
from core.words import _
from pages.parts import (
    contents,
    dream_verdict,
    kd_example,
    kd_lessons,
    kd_traps,
    kd_verdict,
    shelf,
    sweep,
)
from pages.parts.figure import show_with_slider
from pages.parts.foot import foot
from pages.parts.provenance import provenance

st.title(contents.entry("distillation").question)
st.markdown(
    _(
        "A distilled student learns from two masters: the label says which food it is, the teacher "
        "says what else it looks like. The loss adds both up; here it is taken apart."
    )
)

found = shelf.checkpoints()
if not found:
    shelf.explain_empty()
    st.stop()

with st.container(border=True):
    teacher, student = kd_example.choose_networks(found)
    shown = kd_example.choose_picture(teacher, student)
guess = kd_example.predict_first()

if shown is not None and shown.label is not None:
    label = shown.label
    voice, pupil = shown.logits
    kd_example.lay_out_sliders("distillation")
    show_with_slider(
        distillation_chart(
            pupil,
            voice,
            label,
            kd_example.start("T", T_LOW, T_HIGH, 4.0),
            kd_example.start("alpha", 0.0, 1.0, 0.5),
        ),
        # the same words for every example: other words would make the chart, and its sliders, anew
        _(
            "Hard and soft gradient of each of the student's eleven logits, and their sum, at the "
            "sliders' temperature and alpha; below, the lengths of both gradients against the "
            "temperature, with and without T squared. The text below gives the numbers at T = 1, "
            "4 and 20."
        ),
        "distillation",
        HEIGHT_PX + INPUTS_PX,
    )
    st.caption(
        _(
            "● soft: from the teacher · ✓ hard: from the label · ◆ both together. Descent goes "
            "against the gradient: a bar to the left raises its logit. All of it is computed in "
            "your browser."
        )
    )
    kd_example.reveal(guess, *(lengths(pupil, voice, label, t) for t in (T_LOW, T_HIGH)))

    st.subheader(_("What you see"))
    kd_lessons.what_you_see(shown, label)

st.subheader(_("Does distillation help?"))
compared = kd_verdict.verdict(found)

st.subheader(_("Which temperature, which alpha?"))
sweep.sweep()

st.subheader(_("What does it learn from its teacher's dreams?"))
dreamed = dream_verdict.dream_verdict(found)

if shown is not None:
    with st.expander(_("Why: two terms, and T²"), icon=":material/function:"):
        kd_lessons.why(shown)

st.subheader(_("Six traps, none of which raises an error"))
with st.container(border=True):
    kd_traps.shelf(teacher, student)

with st.expander(_("From the homework: HW7 Q2, HW13 Q2.1"), icon=":material/school:"):
    kd_lessons.homework()

st.caption(_("Add &T=20&alpha=0.5 to this page's address to start the sliders there."))
chosen = [teacher] if student is None else [teacher, student]
also = {one.id: one for one in (*compared, *dreamed)}
provenance([*chosen, *(one for one in also.values() if one not in chosen)])
foot(
    "distillation",
    parts_frame(shown.logits[1], shown.logits[0], shown.label)
    if shown is not None and shown.label is not None
    else None,
)
