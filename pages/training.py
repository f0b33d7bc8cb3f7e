"""Training: choose a student and a teacher, start, and watch it learn, live."""

import streamlit as st

from core.charts.training import metrics_frame
from core.data.dreams import DREAMS
from core.words import _
from pages.parts import contents, training_form, training_live, training_start
from pages.parts.foot import foot
from pages.parts.training_lessons import homework, trap, why
from pages.parts.training_queue import (
    curve,
    explain_dreams,
    explain_missing,
    marked_title,
    photographs,
    queue,
    remember,
    visitor,
)
from pages.parts.training_result import result

KEY = "training"

st.title(contents.entry(KEY).question)
st.markdown(
    _(
        "Start a training and watch it. It runs in a process of its own on this machine: close the "
        "tab, come back, it is still there."
    )
)
who, line, index = visitor(), queue(), photographs()
dreamed = index is not None and index.is_dreamed
if index is None:
    explain_missing()
elif dreamed:
    explain_dreams(index)
guess = training_start.predict_first()

with st.container(border=True):
    configs = training_form.wanted(line, who, DREAMS if dreamed else "")
    training_start.start(configs, line, who, index)
if index is not None and not dreamed:
    st.caption(
        _("It learns from {data}: {n} training photographs here.").format(
            data=index.name, n=f"{int(index.class_counts('training').sum()):,}"
        )
    )

st.subheader(_("Runs"))
shown = training_live.live(line, who)
training_start.reveal(guess, shown)

st.subheader(_("What you see"))
lines = training_live.compared(shown)
if lines:
    st.markdown("\n".join(f"- {said}" for said in lines))
st.markdown(
    _(
        "The **hard** loss falls when the student learns the labels, the **soft** one when it "
        "learns to answer like its teacher; **agreement** says how often both name the same food. "
        "Where training accuracy climbs on while validation stands still, the student has begun to "
        "learn the photographs by heart."
    )
)

done = [job for job in shown if job.state == "done"]
if done:
    st.subheader(_("The finished run"))
    titles = {job.id: marked_title(job, done) for job in done}
    if len(done) > 1:
        chosen = st.selectbox(
            _("Which one"), list(titles), format_func=titles.__getitem__, key="finished"
        )
    else:
        chosen = done[0].id
    result(next(job for job in done if job.id == chosen), index)

with st.expander(_("Why: the loss that is minimised"), icon=":material/function:"):
    why()
with st.expander(_("Trap: the best epoch, and the lowest loss"), icon=":material/warning:"):
    trap(shown)
with st.expander(_("From the homework: HW13 Q2.1, HW7 Q2"), icon=":material/school:"):
    homework()

foot(KEY, metrics_frame([curve(job, shown) for job in shown]))
remember()
