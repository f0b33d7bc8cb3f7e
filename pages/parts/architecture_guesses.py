"""The architecture page's guesses, one for each way to use it, and what becomes of them."""

import pandas as pd
import streamlit as st

from core.charts import architecture, architecture_words, numbers
from core.charts.architecture_bars import ratio_text
from core.models.described import Described
from core.models.design import Design
from core.models.design_cost import Row, layer_rows, totals
from core.models.design_edit import widened
from core.words import _


def guess_half() -> str | None:
    """One tap before looking: which half of the network holds most parameters?"""
    titles = {
        "first": _("in its first half"),
        "second": _("in its second half"),
        "classifier": _("in the classifier"),
    }
    return st.pills(
        _("First, a guess: where do most of its parameters sit?"),
        list(titles),
        format_func=titles.__getitem__,
        key="guess_half",
    )


def reveal_half(guess: str | None, rows: list[Row], found: Described) -> None:
    """The guess beside the shares; the same line is there without one, so nothing jumps."""
    if guess is None:
        st.caption(_("Make a guess above: the answer appears here."))
        return
    frame = architecture.parts_frame(rows, found.parts)
    shares = dict(
        zip(
            ("first", "second", "classifier"),
            architecture_words.halves(frame, "params"),
            strict=True,
        )
    )
    told = _("Right.") if guess == max(shares, key=shares.__getitem__) else _("Look again.")
    st.markdown(
        told
        + " "
        + _("First half {first}, second half {second}, classifier {classifier}.").format(
            **{name: numbers.share(share) for name, share in shares.items()}
        )
    )


def guess_memory() -> str | None:
    """One tap before comparing: does memory fall as parameters do?"""
    titles = {
        "as_much": _("falls as much as the parameters"),
        "less": _("falls, but far less"),
        "not": _("hardly changes, or grows"),
    }
    return st.pills(
        _("First, a guess: from the first network to the second, the memory for feature maps …"),
        list(titles),
        format_func=titles.__getitem__,
        key="guess_memory",
    )


def reveal_memory(guess: str | None, frame: pd.DataFrame) -> None:
    """The guess beside both ratios."""
    if guess is None:
        st.caption(_("Make a guess above: the answer appears here."))
        return
    ratio = dict(zip(frame["measure"], frame["ratio"], strict=True))
    params, memory = ratio["params"], ratio["activation_bytes"]
    answer = "not" if memory < 1.15 else "less" if memory < 0.6 * params else "as_much"
    told = _("Right:") if guess == answer else _("Not so:")
    st.markdown(
        told
        + " "
        + _("parameters {params}, memory {memory}.").format(
            params=ratio_text(params), memory=ratio_text(memory)
        )
    )


def guess_wider() -> int | None:
    """One tap: what twice the width does to the number of parameters."""
    return st.pills(
        _("A guess: make every layer twice as wide, and the parameters become …"),
        (2, 3, 4, 8),
        format_func=lambda times: _("{n} times as many").format(n=times),
        key="guess_wider",
    )


def reveal_wider(guess: int | None, made: Design, params: int) -> None:
    """The guess beside the count of this very design, made twice as wide."""
    wide = widened(made, 2)
    if guess is None or wide is None:
        st.caption(_("Make a guess above: the answer for this very design appears here."))
        return
    more = totals(layer_rows(wide)).params
    told = _("Right:") if round(more / params) == guess else _("Not quite:")
    st.markdown(
        told
        + " "
        + _(
            "{params} become {more}, {times} times as many. A layer's weights are input channels "
            "times output channels, and both double; only biases, BatchNorm and depthwise layers "
            "grow by two."
        ).format(
            params=numbers.count(params), more=numbers.count(more), times=f"{more / params:.1f}"
        )
    )
