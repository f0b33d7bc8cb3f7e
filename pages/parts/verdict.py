"""Compare in words: who agrees with whom, what was guessed, the table, the trap."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

from core.charts import numbers
from core.checkpoints import Checkpoint
from core.course import CLASSES
from core.serving import compare
from core.words import _, food_class
from pages.parts.answers import Seen, look
from pages.parts.photos import Photo
from pages.parts.provenance import accuracy_line
from pages.parts.shelf import name_of

__all__ = ["accuracy_line", "draw_table", "draw_trap", "mark", "predict_first", "say", "summary"]


def predict_first(networks: Sequence[Checkpoint]) -> str | None:
    """One tap before the answer: which network will be surest? The id, or None so far."""
    if len(networks) < 2:
        return None
    titles = {one.id: name_of(one) for one in networks}
    return st.pills(
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
    if not st.toggle(_("Show the networks random dots"), key="trap"):
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
