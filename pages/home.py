"""Home: what compression is for, every shipped network in one picture, and the way to each page."""

import streamlit as st

from core.charts.collection import collection_frame
from core.serving.collected import collect, on_one_set
from core.words import _
from pages.parts import contents, shelf
from pages.parts.elsewhere import measured_elsewhere
from pages.parts.foot import foot, page_link
from pages.parts.frontier import frontier_chart
from pages.parts.latency import latency, latency_provenance
from pages.parts.provenance import provenance

PER_ROW = 3

st.title(contents.entry("home").question)
st.markdown(
    _(
        "A network that knows food well is large: millions of numbers, too many for a small phone. "
        "Compression makes a small network that answers almost as well, by learning from the large "
        "one, by leaving things out, or by writing the numbers shorter. Here you can see what that "
        "costs and what it saves, on real photographs and with networks that were really trained."
    )
)

found = shelf.checkpoints()
times = latency()
frame = collection_frame(found, times)
if not found:
    shelf.explain_empty()
elif frame.empty:
    st.info(_("The networks here have no test accuracy yet. Measure it with: python -m core check"))
else:
    st.subheader(_("How small can it get and still be right?"))
    frontier_chart(frame)
    same, elsewhere = on_one_set(collect(found))
    measured_elsewhere(elsewhere)
    provenance([one for group in same for one in group.seeds])
    latency_provenance(times)

st.subheader(_("Where to go"))
others = [one for one in contents.entries() if one.key != "home"]
for start in range(0, len(others), PER_ROW):
    for column, one in zip(st.columns(PER_ROW), others[start : start + PER_ROW], strict=False):
        with column.container(border=True, height="stretch"):
            page_link(one, f"**{one.name}**")
            st.caption(one.question)

foot("home", frame.assign(of_seeds=frame["of_seeds"].map(str)))
