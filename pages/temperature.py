"""Temperature: drag it, and watch an answer grow softer, teacher and student together."""

import inspect
from collections.abc import Callable
from functools import partial

import numpy as np
import streamlit as st

from core.charts import numbers
from core.charts.theme import role_of
from core.checkpoints import Checkpoint
from core.course import CLASSES
from core.distillation.chart import (
    LIMIT_NATS,
    TEMPERATURE_HEIGHT_PX,
    Voice,
    temperature_chart,
)
from core.distillation.temperature import (
    T_HIGH,
    T_LOW,
    probabilities_frame,
    softening,
    sureness,
)
from core.i18n import _, food_class
from core.inference import predict
from pages.kit import example, frame, guess, networks, quiz, url_state
from pages.kit.example import Example
from pages.kit.figure import data_button, show_with_slider
from pages.kit.guess import Guess
from pages.kit.live_text import live_text
from pages.kit.provenance import provenance

_T = url_state.number(T_LOW, T_HIGH, 1)
SOFT = 4.0
"""The temperature that is compared with T = 1 where a sentence cannot follow the slider."""

_follow_the_slider = live_text(
    "follows_t",
    """
function numbers({logits}, {T}) {
  const [top, second, ...others] = softmax(logits, T);
  const rest = second + sum(others);
  const entropy = -sum([top, second, ...others].map((p) => (p > 0 ? p * Math.log(p) : 0)));
  return {T: T.toFixed(1), top: share(top), rest: share(rest), second: share(second / (rest || 1)),
    entropy: entropy.toFixed(2)};
}
""",
)


def main() -> None:
    """Draw the page."""
    st.title(frame.entry("temperature").question)
    st.markdown(
        _(
            "The temperature **T** divides a network's eleven logits before the softmax makes "
            "probabilities of them."
        )
    )
    checkpoints = networks.checkpoints()
    if not checkpoints:
        networks.explain_empty()
        st.stop()
    softened(checkpoints)
    frame.foot("temperature")


@frame.section
def softened(checkpoints: list[Checkpoint]) -> None:
    """The instrument, what it shows, the tabs: all that depends on the networks and the picture."""
    with frame.instrument() as (controls, picture):
        with controls:
            networks_place, picture_place = st.container(), st.container()
            more = example.more_choices()
            with networks_place:
                pair = example.choose_pair(checkpoints, more)
            with picture_place:
                chosen = example.choose(pair, example.kind_titles(), more)
        if chosen is None:
            return
        with picture:
            example.show_picture(chosen)
            chart = st.container()
            guessed = ask(pair[0], chosen)
            # the same words for every example: others would make the chart, and its slider, anew
            alt = _(
                "Class probabilities of {networks} at the temperature of the slider, and their "
                "entropy against the temperature. The text beside the chart gives the numbers."
            ).format(networks=_(" and ").join(_(network.title) for network in pair))
            voices = [
                Voice(short, _(network.title), role_of(network), logits)
                for short, network, logits in zip(
                    example.short_names(pair), pair, chosen.logits, strict=True
                )
            ]
            start = url_state.in_browser("T", _T, 1.0)
            with chart:
                show_with_slider(
                    temperature_chart(voices, start, chosen.label, guessed.is_open),
                    alt, "softmax", TEMPERATURE_HEIGHT_PX + 95,
                )  # fmt: skip
        with controls:  # beside the slider: the numbers follow it
            st.header(_("What you see"))
            follow_the_slider(pair[0], chosen, guessed, start)

    def tab(key: str, label: str, draw: Callable[[], None]) -> frame.Tab:
        return frame.Tab(key, label, lambda: None if guess.waits(guessed) else draw())

    at_one = softening(chosen.logits[0], 1.0)
    quiz_about = f"{pair[0].id}, {CLASSES[at_one.top]} {numbers.share(at_one.confidence)}"
    frame.tabs(
        [
            tab("why", _("Why"), why),
            tab("trap", _("Trap"), partial(too_sure, pair[0])),
            tab("homework", _("Homework"), homework),
            quiz.tab(partial(_quiz, chosen), quiz_about, guessed),
        ]
    )
    rows = partial(probabilities_frame, chosen.logits, [network.id for network in pair])
    provenance(pair)
    data_button(rows, "temperature")


def ask(network: Checkpoint, chosen: Example) -> Guess[str]:
    """The guess and its verdict; a link that sets T was made by somebody who has seen the answer,
    and opens it."""
    options = {
        "top": _("the longest bar"),
        "small": _("the short bars"),
        "none": _("none of them"),
    }
    question = _("Guess: which bars grow when T goes up?")
    is_linked = url_state.current("T", _T, 1.0) != 1.0
    guessed = guess.ask(question, options, "guess_grows", is_seen=is_linked)
    plain, soft = (softening(chosen.logits[0], t).confidence for t in (1.0, SOFT))
    answer = _(
        "The short bars grow: from T = 1 to T = 4 the longest bar of {name} shrinks from {p} to "
        "{q}, and the short bars get what it loses. Drag the slider."
    ).format(name=example.in_a_sentence(network), p=numbers.share(plain), q=numbers.share(soft))
    guess.verdict(guessed, guessed.value == "small", answer)
    return guessed


def follow_the_slider(
    network: Checkpoint, chosen: Example, guessed: Guess[str], start: float
) -> None:
    """What the first network's bars say, in numbers that follow the slider."""
    logits = np.sort(chosen.logits[0])[::-1]
    plain = softening(chosen.logits[0], 1.0)
    top, second = (food_class(CLASSES[label]) for label in (plain.top, plain.runner_up))
    name = example.in_a_sentence(network)
    now = {"T": "{T}", "p": "{top}", "rest": "{rest}", "share": "{second}", "nats": "{entropy}"}
    paragraphs = [
        _(
            "At T = {T} {name} gives **{food}** **{p}**, and the other ten classes together "
            "**{rest}**. Entropy: {nats} of at most {limit} nats."
        ).format(name=name, food=top, limit=f"{LIMIT_NATS:.2f}", **now)
    ]
    if guessed.is_open:
        paragraphs.append(
            _(
                "**Dark knowledge** is in the short bars: {second} has {share} of what is not "
                "{food}. The label says only “{food}”. A higher T makes the short bars longer, so "
                "they teach more. The order never changes: the answer stays {food}."
            ).format(second=second, food=top, **now)
        )
    _follow_the_slider(paragraphs, {"T": start}, logits=[float(logit) for logit in logits])


def why() -> None:
    """The softmax with a temperature, its limits, and the function that answers here."""
    st.latex(r"p_i(T) = \frac{e^{z_i / T}}{\sum_{j=1}^{11} e^{z_j / T}} \qquad "
             r"H(T) = -\sum_{i=1}^{11} p_i(T)\,\ln p_i(T)")  # fmt: skip
    st.markdown(
        _(
            "$z_i$ is the logit of class $i$, $p_i$ its probability, $H$ the entropy. The ratio "
            "$p_i / p_j = e^{{(z_i - z_j)/T}}$ of two classes goes to 1 as $T$ grows.\n\n"
            "- **T → 0**: the longest bar goes to 100 % (the *argmax*), the entropy to 0.\n"
            "- **T → ∞**: every bar goes to 1/11 = {even} (the dashed line), the entropy to ln 11 "
            "= {limit} nats.\n\n"
            "This function computes it here:"
        ).format(even=numbers.percent(1 / len(CLASSES)), limit=f"{LIMIT_NATS:.2f}")
    )
    st.code(inspect.getsource(predict.softmax), language="python", wrap_lines=True)


def too_sure(teacher: Checkpoint) -> None:
    """How often this teacher leaves nothing to learn at T = 1, counted over its test answers."""
    answers = example.bank(teacher)
    if answers is None:
        st.markdown(_("The test answers of {name} are missing.").format(name=_(teacher.title)))
        return
    cold, warm = sureness(answers.logits), sureness(answers.logits, SOFT)
    st.markdown(
        _(
            "**A teacher that is too sure.** On {sure} of {n} test photographs {name} is more than "
            "99 % sure. There, T = 1 teaches hardly more than the label. The mean entropy over all "
            "is {cold} nats at T = 1 and {warm} at T = {soft}. On its *training* photographs, a "
            "teacher is even more sure. How to notice: the entropy of its answers is near 0. Then "
            "raise T."
        ).format(
            n=numbers.count(cold.n),
            name=example.in_a_sentence(teacher),
            sure=numbers.count(cold.sure),
            cold=f"{cold.mean_entropy:.2f}",
            warm=f"{warm.mean_entropy:.2f}",
            soft=f"{SOFT:g}",
        )
    )


def homework() -> None:
    """The course's question on T, with an answer that explains."""
    options = {"softer": _("softer"), "harder": _("harder")}
    answer = guess.ask(
        _("HW13 Q2.2: does a higher temperature give a softer or a harder distribution?"),
        options,
        "homework_t",
        can_show=False,
        widget=st.radio,
        index=None,
        horizontal=True,
    )
    if not answer.is_open:
        return
    guess.verdict(
        answer,
        answer.value == "softer",
        _(
            "It is softer. A larger T brings the logits closer together. A difference of 4 "
            "becomes 1 at T = 4: the first class is then e times as likely as the second, not e⁴ "
            "times. Drag T up: the bars become more equal and the entropy rises. Distillation uses "
            "the same T for teacher and student."
        ),
    )


def _quiz(chosen: Example) -> list[quiz.Question]:
    """On this picture's answer: one bar at a higher T, the order, the most even answer."""
    plain, soft = (softening(chosen.logits[0], t) for t in (1.0, SOFT))
    order = np.argsort(chosen.logits[0])[::-1]
    top, second, last = (food_class(CLASSES[at]) for at in (order[0], order[1], order[-1]))
    return [
        quiz.Question(
            "higher",
            _("At T = 1, {food} gets {share}. What does it get at T = {t}?").format(
                food=top, share=numbers.share(plain.confidence), t=f"{SOFT:g}"
            ),
            *quiz.among(
                soft.confidence,
                (plain.confidence, plain.confidence / SOFT, 1 / len(CLASSES)),
                numbers.share,
            ),
            _("T divides the logits, not the probabilities; the softmax comes after."),
        ),
        quiz.Question(
            "order",
            _("T becomes 100. Which class has the longest bar?"),
            [top, second, last, _("all are exactly equal")],
            top,
            _("Dividing all logits by T never changes their order, though the bars become nearly "
              "equal."),
        ),
        quiz.Question(
            "even",
            _("What is the largest entropy that an answer over {n} classes can have, in nats?")
            .format(n=len(CLASSES)),
            *quiz.among(
                LIMIT_NATS, (1.0, LIMIT_NATS / 2, np.log2(len(CLASSES))), lambda h: f"{h:.2f}"
            ),
            _("It is ln {n}, when every class gets the same probability.").format(n=len(CLASSES)),
        ),
    ]  # fmt: skip


if __name__ == "__main__":
    main()
