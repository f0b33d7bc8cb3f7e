"""Home: what compression is for, every shipped network in one picture, and the way to each page."""

import streamlit as st

from core.charts import numbers
from core.charts.collection import (
    COSTS,
    Cost,
    collection_chart,
    collection_frame,
    cost_title,
)
from core.charts.theme import ROLES, glyph, role_title
from core.words import _
from pages.parts import contents, shelf
from pages.parts.figure import show
from pages.parts.foot import foot, page_link
from pages.parts.linked import one_of
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
frame = collection_frame(found)
if not found:
    shelf.explain_empty()
elif frame.empty:
    st.info(_("The networks here have no test accuracy yet. Measure it with: python -m core check"))
else:
    st.subheader(_("How small can it get and still be right?"))
    costs: dict[Cost, str] = {one: cost_title(one) for one in COSTS}
    cost = one_of(st.segmented_control, _("Size counted in"), costs, "cost", default="params")
    best = frame.iloc[0]
    smallest = frame.sort_values(cost).iloc[0]
    show(
        collection_chart(frame, cost),
        _(
            "Accuracy on the test photographs against {cost}, one mark per network. "
            "Most accurate: {best}, {accuracy}. Smallest: {smallest}, {its}."
        ).format(
            cost=cost_title(cost),
            best=best.title,
            accuracy=numbers.percent(best.accuracy, best.n),
            smallest=smallest.title,
            its=numbers.percent(smallest.accuracy, smallest.n),
        ),
    )
    present = [role for role in ROLES if role in set(frame["role"])]
    st.caption(
        _("{roles}. Bars: 95 % interval. Up is more often right, left is smaller.").format(
            roles=" · ".join(f"{glyph(role)} {role_title(role)}" for role in present)
        )
    )
    if best[cost] > smallest[cost]:
        st.markdown(
            _(
                "**What you see.** *{best}* is right on {accuracy} of the test photographs. "
                "*{smallest}* is {ratio} smaller and right on {its}."
            ).format(
                best=best.title,
                accuracy=numbers.percent(best.accuracy, best.n),
                smallest=smallest.title,
                ratio=numbers.ratio(best[cost] / smallest[cost]),
                its=numbers.percent(smallest.accuracy, smallest.n),
            )
        )
    provenance(found)

st.subheader(_("Where to go"))
others = [one for one in contents.entries() if one.key != "home"]
for start in range(0, len(others), PER_ROW):
    for column, one in zip(st.columns(PER_ROW), others[start : start + PER_ROW], strict=False):
        with column.container(border=True, height="stretch"):
            page_link(one, f"**{one.name}**")
            st.caption(one.question)

foot("home", frame)
