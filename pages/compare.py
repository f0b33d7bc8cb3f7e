"""Compare: your photo through several networks, side by side, and where they disagree."""

import inspect
from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

from core.charts import numbers
from core.charts.answers import answer_chart
from core.charts.theme import role_of
from core.checkpoints import Checkpoint
from core.course import CLASSES
from core.i18n import _, food_class
from core.inference import compare, predict
from pages.kit import frame
from pages.kit import networks as shelf
from pages.kit.figure import show
from pages.kit.frame import foot
from pages.kit.networks import name_of
from pages.kit.photos import Photo, Seen, look, pick
from pages.kit.provenance import accuracy_line, accuracy_lines, provenance
from pages.kit.url_state import guess, number_of, toggle

# ------------------------------------------------------------------------------------------------
# Compare in words: who agrees with whom, what was guessed, the table, the trap.


__all__ = ["accuracy_line", "draw_table", "draw_trap", "mark", "predict_first", "say", "summary"]


def predict_first(networks: Sequence[Checkpoint]) -> str | None:
    """One tap before the answer: which network will be surest? The id, or None so far."""
    if len(networks) < 2:
        return None
    titles = {one.id: name_of(one) for one in networks}
    return guess(
        _("First, a guess: which network will be surest of itself?"),
        list(titles),
        format_func=titles.__getitem__,
        key="guess_surest",
    )


def mark(truth: int | None, label: int) -> str:
    """A tick or a cross before the figures, where the true class is known."""
    if truth is None:
        return ""
    return _("✓ **right** · ") if truth == label else _("✗ **wrong** · ")


def say(seen: Seen, temperature: float) -> None:
    """Whether the networks agree on this photo, and if not, where."""
    if seen.photo.label is not None:
        food = food_class(CLASSES[seen.photo.label])
        told = (
            _("It was dreamed as **{food}**.")
            if seen.photo.dreamed
            else _("The label says **{food}**.")
        )
        st.markdown(told.format(food=food))
    names = {answer.checkpoint.id: name_of(answer.checkpoint) for answer in seen.answers}
    found = compare.agreement(seen.answers, temperature)
    first = food_class(CLASSES[found.camps[0][0]])
    if len(names) == 1:
        st.markdown(_("It sees **{food}**.").format(food=first))
        return
    if found.unanimous:
        st.success(
            _("All {n} networks see **{food}**.").format(n=len(names), food=first),
            icon=":material/handshake:",
        )
    else:
        camps = "\n".join(
            f"- **{food_class(CLASSES[label])}**: {', '.join(names[one] for one in who)}"
            for label, who in found.camps
        )
        st.warning(_("The networks disagree:") + "\n\n" + camps, icon=":material/forum:")
    st.markdown(
        _("They differ most on **{food}**: {most} gives it {high}, {least} gives it {low}.").format(
            food=food_class(CLASSES[found.label]),
            most=names[found.highest[0]],
            high=numbers.share(found.highest[1]),
            least=names[found.lowest[0]],
            low=numbers.share(found.lowest[1]),
        )
    )


def summary(results: Sequence[Seen], temperature: float, guess: str | None) -> None:
    """Over all photos: how often the networks agree, and how the guess turned out."""
    names = {answer.checkpoint.id: name_of(answer.checkpoint) for answer in results[0].answers}
    if len(names) < 2:
        return
    agreed = sum(compare.agreement(seen.answers, temperature).unanimous for seen in results)
    n = len(results)
    if n > 1:
        st.markdown(_("Of {n} photos, the networks agree on {agreed}.").format(n=n, agreed=agreed))
    surest = compare.surest([seen.answers for seen in results], temperature)
    said = _("Surest on average: {name}, {p}.").format(
        name=names[surest[0]], p=numbers.share(surest[1])
    )
    if guess in names:
        told = _("You guessed {name}.").format(name=names[guess])
        said = f"{told} {said} " + (_("Well seen.") if guess == surest[0] else _("A surprise?"))
    st.markdown(said)


def draw_table(table: pd.DataFrame, names: dict[str, str]) -> None:
    """Every photo by every network; the eleven probabilities are in the CSV."""
    shown = table.assign(
        **{one: table[one].map(food_class) for one in ("first", "second", "third")},
        size=table["size_bytes"].map(numbers.size),
        network=table["checkpoint"].map(names),
    )
    columns: dict[str, Any] = {
        "photo": _("Photo"),
        "network": _("Network"),
        "first": _("First"),
        "confidence": st.column_config.NumberColumn(_("Confidence"), format="percent"),
        "second": _("Second"),
        "third": _("Third"),
        "entropy_nats": st.column_config.NumberColumn(_("Entropy, nats"), format="%.2f"),
        "latency_ms": st.column_config.NumberColumn(_("Time here, ms"), format="%.2f"),
        "params": st.column_config.NumberColumn(_("Parameters"), format="localized"),
        "size": _("Size"),
    }
    st.dataframe(
        shown,
        column_order=list(columns),
        column_config=columns,
        hide_index=True,
        alt=_("Each photo by each network: first three classes, confidence, time, size."),
    )


def draw_trap(networks: Sequence[Checkpoint]) -> None:
    """Show the networks a picture of nothing; they answer all the same."""
    st.markdown(
        _(
            "A high confidence does not mean *right*, nor even *food*: the eleven bars always add "
            "up to 100 %, and “none of these” is not among them. Try it: random dots."
        )
    )
    if not toggle(_("Show the networks random dots"), "trap"):
        return
    dots = compare.random_dots()
    seen = look([Photo("random-dots", _("Random dots"), lambda: dots)], networks, keep=False)
    if not seen:
        return
    left, right = st.columns([1, 4])
    left.image(seen[0].thumb, alt=_("Coloured random dots, no food"), width=120)
    lines = []
    for answer in seen[0].answers:
        first = compare.bars_frame(answer).iloc[0]
        lines.append(
            _("{name} sees **{food}**, {p}").format(
                name=name_of(answer.checkpoint),
                food=first.food,
                p=numbers.share(first.probability),
            )
        )
    right.markdown("  \n".join(lines))
    right.markdown(
        _(
            "How to notice: compare several networks. Where they disagree on something, "
            "do not believe a single one."
        )
    )


PER_ROW = 3


def draw(seen: Seen, temperature: float) -> None:
    """One photo: the picture, what the networks make of it together, and each one's bars."""
    st.subheader(seen.photo.name)
    left, right = st.columns([1, 3])
    said = _("The photo {name}").format(name=seen.photo.name)
    left.image(seen.thumb, caption=seen.photo.caption, alt=said, width="stretch")
    with right:
        say(seen, temperature)
    per_row = min(PER_ROW, max(2, len(seen.answers)))
    for start in range(0, len(seen.answers), per_row):
        columns = st.columns(per_row)
        for column, answer in zip(columns, seen.answers[start : start + per_row], strict=False):
            with column:
                draw_answer(seen, answer, temperature)


def draw_answer(seen: Seen, answer: compare.Answer, temperature: float) -> None:
    """One network's bars for one photo, with its confidence, time and size."""
    one = answer.checkpoint
    bars = compare.bars_frame(answer, temperature)
    first = bars.iloc[0]
    st.markdown(f"**{shelf.name_of(one)}**")
    show(
        answer_chart(bars, role_of(one)),
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
        mark(seen.photo.label, int(first.label))
        + _("confidence {p} · {ms} here · {params} parameters · {size}").format(
            p=numbers.share(first.probability),
            ms=numbers.milliseconds(answer.latency_ms),
            params=numbers.count(one.params),
            size=numbers.size(one.size_bytes),
        )
    )


def main() -> None:
    """Draw the page."""
    st.title(frame.entry("compare").question)
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
        temperature = number_of(
            st.slider,
            _("Temperature T"),
            0.1,
            20.0,
            1.0,
            0.1,
            key="T",
            help=_("Divides the logits before the softmax: above 1 the bars even out, below 1 the "
                   "largest wins. The networks are not asked again."),
        )  # fmt: skip

    if not networks:
        st.info(_("Choose at least one network."), icon=":material/touch_app:")
        st.stop()
    guess = predict_first(networks)

    results = look(photos, networks)
    table = pd.DataFrame()
    if not photos:
        st.info(
            _("No photo yet. Drop one above, switch the camera on, or take an example."),
            icon=":material/add_a_photo:",
        )
    for seen in results:
        draw(seen, temperature)

    if results:
        table = compare.answers_table(
            [(seen.photo.name, seen.answers) for seen in results], temperature
        )
        st.subheader(_("All answers"))
        summary(results, temperature, guess)
        draw_table(table, {one.id: shelf.name_of(one) for one in networks})
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
        draw_trap(networks)

    with st.expander(_("From the homework"), icon=":material/school:"):
        st.markdown(
            _(
                "**Is the small network as good as the big one?** One photo cannot say: the "
                "accuracies "
                "below stand on the whole test split, each with its 95 % interval."
            )
        )
        st.markdown(
            "  \n".join(f"{shelf.name_of(one)}: {line}" for one, line in accuracy_lines(networks))
        )

    provenance(networks)
    foot("compare", table)


if __name__ == "__main__":
    main()
