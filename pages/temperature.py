"""Temperature: drag it, and watch an answer grow softer, teacher and student together."""

import inspect

import streamlit as st

from core.charts import numbers
from core.charts.theme import role_of
from core.course import CLASSES
from core.distillation.chart import HEIGHT_PX, LIMIT_NATS, Range, Voice, temperature_chart
from core.distillation.temperature import (
    T_HIGH,
    T_LOW,
    T_STEP,
    entropy_curves,
    probabilities_frame,
    softening,
)
from core.i18n import _, food_class
from core.inference import predict
from pages.kit import example, frame
from pages.kit import networks as shelf
from pages.kit.figure import show_with_slider
from pages.kit.frame import foot
from pages.kit.provenance import provenance
from pages.kit.url_state import in_browser, number

SOFT = 4.0  # the temperature that the sentences compare with T = 1

st.title(frame.entry("temperature").question)
st.markdown(
    _(
        "A network's answer is eleven numbers; the temperature says how strongly the largest "
        "outshines the others. A student can learn more from a softer answer."
    )
)

found = shelf.checkpoints()
if not found:
    shelf.explain_empty()
    st.stop()

with st.container(border=True):
    pair = example.choose_pair(found)
    chosen = example.choose(pair)
if chosen is None:
    st.stop()
guess = example.predict_first()

voices = [
    Voice(short, one.title, role_of(one), logits)
    for short, one, logits in zip(example.short_names(pair), pair, chosen.logits, strict=True)
]
first = pair[0]
speaker = example.speaker(first)
plain, soft = (softening(chosen.logits[0], t) for t in (1.0, SOFT))
top, second = (food_class(CLASSES[label]) for label in (plain.top, plain.runner_up))

if chosen.thumb is not None:
    said = _("The photo these answers are about")
    st.image(chosen.thumb, caption=chosen.caption, width=160, alt=said)
if chosen.label is not None and chosen.label >= 0:
    told = _("It was dreamed as **{food}**.") if chosen.caption else _("The label says **{food}**.")
    st.markdown(told.format(food=food_class(CLASSES[chosen.label])))
show_with_slider(
    temperature_chart(
        voices,
        entropy_curves([voice.logits for voice in voices], [voice.title for voice in voices]),
        Range(T_LOW, T_HIGH, T_STEP, in_browser("T", number(T_LOW, T_HIGH, 1), 1.0)),
        chosen.label,
    ),
    # the same words for every example: other words would make the chart, and its slider, anew
    _(
        "Class probabilities of {networks} at the temperature of the slider, and their entropy "
        "against the temperature. The text below the chart gives the numbers at T = 1 and T = 4."
    ).format(networks=_(" and ").join(voice.title for voice in voices)),
    "softmax",
    HEIGHT_PX + 100,
)
example.reveal(guess, speaker, plain, soft)

st.subheader(_("What you see"))
st.markdown(
    _(
        "At T = 1 {name} gives **{top}** {p}, at T = 4 only {q}; the other ten bars together grow "
        "from {rest} to {rest_soft}. The order of the bars never changes: whatever T, the answer "
        "stays {top}."
    ).format(
        name=speaker,
        top=top,
        p=numbers.share(plain.confidence),
        q=numbers.share(soft.confidence),
        rest=numbers.share(plain.rest),
        rest_soft=numbers.share(soft.rest),
    )
)
st.markdown(
    _(
        "**Dark knowledge** is what the small bars say: of all that {name} does not give to {top}, "
        "{second} gets {share} at T = 1. A label says only “{top}, and nothing else”; the small "
        "bars say what it looks like besides. At T = 1 they are too small to teach; a higher T "
        "lifts them to where a student can hear them."
    ).format(name=speaker, top=top, second=second, share=numbers.share(plain.runner_up_share))
)
left, right = st.columns(2)
left.markdown(
    _(
        "**T → 0**: the largest bar takes all, entropy goes to 0. That is the *argmax*: a hard "
        "answer without a second thought."
    )
)
right.markdown(
    _(
        "**T → ∞**: every bar goes to 1/11 = {even} (the dashed line), entropy to ln 11 = {limit} "
        "nats. An answer that knows nothing."
    ).format(even=numbers.percent(1 / len(CLASSES)), limit=f"{LIMIT_NATS:.2f}")
)

with st.expander(_("Why: the softmax with a temperature"), icon=":material/function:"):
    st.latex(r"p_i(T) = \frac{e^{z_i / T}}{\sum_{j=1}^{11} e^{z_j / T}} \qquad "
             r"H(T) = -\sum_{i=1}^{11} p_i(T)\,\ln p_i(T)")  # fmt: skip
    st.markdown(
        _(
            "$z_i$ is the logit of class $i$, $T$ the temperature, $p_i$ the probability, $H$ the "
            "entropy. Two classes keep the ratio $p_i / p_j = e^{(z_i - z_j)/T}$: it shrinks "
            "towards 1 as $T$ grows. This is the function that answers here:"
        )
    )
    st.code(inspect.getsource(predict.softmax), language="python", wrap_lines=True)

with st.expander(_("Trap: a teacher that is too sure"), icon=":material/warning:"):
    example.trap(first, SOFT)

with st.expander(_("From the homework: HW13 Q2.2"), icon=":material/school:"):
    example.homework()

provenance(pair)
foot("temperature", probabilities_frame(chosen.logits, [one.id for one in pair]))
