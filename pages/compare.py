"""Compare: your photo through several networks, side by side, and where they disagree."""

import inspect

import pandas as pd
import streamlit as st

from core.charts import numbers
from core.charts.answers import answer_chart
from core.charts.theme import role_of
from core.serving import compare, predict
from core.words import _
from pages.parts import contents, shelf, verdict
from pages.parts.answers import Seen, look
from pages.parts.figure import show
from pages.parts.foot import foot
from pages.parts.photos import pick
from pages.parts.provenance import accuracy_lines, provenance

PER_ROW = 3

st.title(contents.entry("compare").question)
st.markdown(
    _(
        "Give it a photo of lunch: each network says which of eleven kinds of food it sees, "
        "and how sure it is."
    )
)

found = shelf.checkpoints()
if not found:
    shelf.explain_empty()
    st.stop()

with st.container(border=True):
    photos = pick()
    networks = shelf.choose(found)
    temperature = st.slider(
        _("Temperature T"),
        0.1,
        20.0,
        1.0,
        0.1,
        key="T",
        bind="query-params",
        help=_("Divides the logits before the softmax: above 1 the bars even out, below 1 the "
               "largest wins. The networks are not asked again."),
    )  # fmt: skip

if not networks:
    st.info(_("Choose at least one network."), icon=":material/touch_app:")
    st.stop()
guess = verdict.predict_first(networks)


def draw(seen: Seen) -> None:
    """One photo: the picture, what the networks make of it together, and each one's bars."""
    st.subheader(seen.photo.name)
    left, right = st.columns([1, 3])
    said = _("The photo {name}").format(name=seen.photo.name)
    left.image(seen.thumb, caption=seen.photo.caption, alt=said, width="stretch")
    with right:
        verdict.say(seen, temperature)
    per_row = min(PER_ROW, max(2, len(seen.answers)))
    for start in range(0, len(seen.answers), per_row):
        columns = st.columns(per_row)
        for column, answer in zip(columns, seen.answers[start : start + per_row], strict=False):
            with column:
                draw_answer(seen, answer)


def draw_answer(seen: Seen, answer: compare.Answer) -> None:
    """One network's bars for one photo, with its confidence, time and size."""
    one = answer.checkpoint
    bars = compare.bars_frame(answer, temperature)
    first = bars.iloc[0]
    st.markdown(f"**{shelf.name_of(one)}**")
    show(
        answer_chart(bars, role_of(one.family, one.recipe)),
        _("{network}: {food} {p}, then {second} and {third}.").format(
            network=one.title,
            food=first.food,
            p=numbers.share(first.probability),
            second=bars.iloc[1].food,
            third=bars.iloc[2].food,
        ),
        key=f"bars-{seen.photo.key}-{one.id}",
    )
    st.caption(
        verdict.mark(seen.photo.label, int(first.label))
        + _("confidence {p} · {ms} here · {params} parameters · {size}").format(
            p=numbers.share(first.probability),
            ms=numbers.milliseconds(answer.latency_ms),
            params=numbers.count(one.params),
            size=numbers.size(one.size_bytes),
        )
    )


results = look(photos, networks)
table = pd.DataFrame()
if not photos:
    st.info(
        _("No photo yet. Drop one above, switch the camera on, or take an example."),
        icon=":material/add_a_photo:",
    )
for seen in results:
    draw(seen)

if results:
    table = compare.answers_table(
        [(seen.photo.name, seen.answers) for seen in results], temperature
    )
    st.subheader(_("All answers"))
    verdict.summary(results, temperature, guess)
    verdict.draw_table(table, {one.id: shelf.name_of(one) for one in networks})
    st.caption(
        _(
            "Times: median of a few runs on this machine, one photo at a time, "
            "{threads} thread, preparing the photo not counted."
        ).format(threads=predict.THREADS)
    )

with st.expander(_("Why: from pixels to percentages"), icon=":material/function:"):
    st.markdown(
        _(
            "A network gives eleven numbers $z_i$, the *logits*. The softmax turns them into "
            "probabilities that add up to one; the temperature $T$ divides the logits first:"
        )
    )
    st.latex(r"p_i = \frac{e^{z_i / T}}{\sum_j e^{z_j / T}}")
    st.code(inspect.getsource(predict.softmax), language="python", wrap_lines=True)

with st.expander(_("Trap: sure, and not even food"), icon=":material/warning:"):
    verdict.draw_trap(networks)

with st.expander(_("From the homework"), icon=":material/school:"):
    st.markdown(
        _(
            "**Is the small network as good as the big one?** One photo cannot say: the accuracies "
            "below stand on the whole test split, each with its 95 % interval."
        )
    )
    st.markdown(
        "  \n".join(f"{shelf.name_of(one)}: {line}" for one, line in accuracy_lines(networks))
    )

provenance(networks)
foot("compare", table)
