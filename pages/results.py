"""Results: the two homeworks' figures and tables again, from the runs that ship with the app."""

import streamlit as st

from core.serving.collected import by_stem, collect, on_one_set
from core.serving.results import CLAIMS, judge
from core.words import _
from pages.parts import contents, results_claims, results_figure, results_lessons, shelf
from pages.parts.elsewhere import measured_elsewhere
from pages.parts.foot import foot
from pages.parts.latency import latency, latency_provenance
from pages.parts.provenance import provenance
from pages.parts.results_table import final_table

st.title(contents.entry("results").question)
st.markdown(
    _(
        "Two reports handed in for a course found that a teacher helps a small network, and that "
        "the kind of convolution matters. Here are their figures again, from networks that were "
        "trained for this app, several times each where luck could matter."
    )
)

found = shelf.checkpoints()
same, others = on_one_set(collect(found))
groups = by_stem(same)
if not groups:
    shelf.explain_empty()
    st.stop()

guess = results_claims.predict_first()

st.subheader(_("The figures, again"))
chosen = results_figure.choose_figure()
with st.container(border=True):
    results_figure.curves(chosen, groups)
st.subheader(_("Theirs and ours, side by side"))
results_figure.ladder(chosen, groups)

st.subheader(_("What agrees with the reports, and what does not"))
answers = [judge(claim, groups) for claim in CLAIMS]
results_claims.list_claims(answers, guess)

st.subheader(_("Every network"))
times = latency()
table = final_table(groups, times)
measured_elsewhere(others)

with st.expander(
    _("Why it may not agree, and what the intervals mean"), icon=":material/function:"
):
    results_lessons.why(groups)

with st.expander(_("Trap: one training each"), icon=":material/warning:"):
    results_lessons.trap(answers, groups)

with st.expander(_("From the homework: every question, and its page"), icon=":material/school:"):
    results_lessons.homework()

provenance([one for group in groups.values() for one in group.seeds])
latency_provenance(times)
foot("results", table)
