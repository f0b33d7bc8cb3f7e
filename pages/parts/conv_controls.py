"""The convolution calculator's controls: the layer, what is wrong with it, and a first guess."""

import re
from dataclasses import replace
from typing import Literal

import streamlit as st

from core.charts import conv_words
from core.charts.convolutions import share_text
from core.measure.conv_cost import Cost
from core.measure.conv_setting import EXAMPLES, LIMITS, ConvSetting, Field, Problem
from core.words import _

RANK_PERCENT = 25
"""Where the rank slider begins: a quarter of the full rank."""
GUESSES = (1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32)
DEFAULT = ConvSetting()


def setting() -> ConvSetting:
    """The layer as the reader has set it; every control is part of the link."""
    _examples()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        values = {field: _number(field) for field in LIMITS}
        bias = st.toggle(_("Bias"), DEFAULT.bias, key="bias", bind="query-params")
    percent = st.slider(
        _("Rank of the low-rank pair, % of full rank"),
        1,
        100,
        RANK_PERCENT,
        key="rank_percent",
        bind=_bind("rank_percent"),
        help=_(
            "How many channels stand between the k × 1 and the 1 × k step. At full rank, "
            "k · min(input, output channels), the pair can be any standard layer."
        ),
    )
    chosen = ConvSetting(**values, bias=bias)
    chosen = replace(chosen, rank=chosen.rank_at(percent / 100))
    st.caption(_("Rank {r} of {full}").format(r=chosen.rank, full=chosen.full_rank))
    return chosen


def _number(field: Field) -> int:
    low, high = LIMITS[field]
    helps = {
        "groups": _("Of the group layer. They must divide input and output channels."),
        "padding": _("Zeros added on each side of the map."),
        "map_size": _("Height and width of the input map."),
    }
    return st.number_input(
        conv_words.field_title(field),
        low,
        high,
        getattr(DEFAULT, field),
        key=field,
        bind=_bind(field),
        width=150,
        help=helps.get(field),
    )


def _bind(key: str) -> Literal["query-params"] | None:
    """Bind a number to the link, unless the link gives what Streamlit falls over ("1e999").

    Such a value is taken out of the link, so that the next run binds.
    """
    linked = st.query_params.get(key)
    if linked is None or re.fullmatch("[0-9]{1,6}", linked):
        return "query-params"
    del st.query_params[key]
    return None


def _examples() -> None:
    titles = {
        "plain_2m_4": _("HW7 plain_2m, layer 4"),
        "plain_2m_8": _("HW7 plain_2m, layer 8"),
        "hw13_residual": _("HW13 residual, stage 2"),
    }
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(_("A layer of the homework:"), width="content")
        for name, title in titles.items():
            st.button(title, key=f"example_{name}", on_click=_take, args=(name,), type="tertiary")


def _take(name: str) -> None:
    """Set every control to an example's value (called before the page runs again)."""
    for field in LIMITS:
        st.session_state[field] = getattr(EXAMPLES[name], field)


def _change(field: Field, value: int) -> None:
    st.session_state[field] = value


def explain(problems: list[Problem]) -> None:
    """Say what keeps the layers from being built, with the nearest values that work as buttons."""
    for number, problem in enumerate(problems):
        st.warning(problem.message, icon=":material/rule:")
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(_("Nearest that work:"), width="content")
            for offer in problem.offers:
                st.button(
                    conv_words.offer_title(offer),
                    key=f"offer_{number}_{offer.field}_{offer.value}",
                    on_click=_change,
                    args=(offer.field, offer.value),
                )


def predict_first() -> float | None:
    """One tap before looking: the share of weights that depthwise + pointwise needs."""
    titles = {share: _("about 1/{n}").format(n=round(1 / share)) for share in GUESSES}
    return st.pills(
        _(
            "First, a guess: how many of the standard layer's parameters does depthwise + "
            "pointwise need?"
        ),
        GUESSES,
        format_func=titles.__getitem__,
        key="guess_share",
    )


def reveal(guess: float | None, standard: Cost, separable: Cost) -> None:
    """The guess beside the answer; the same line is there without a guess, so nothing jumps."""
    share = separable.params / standard.params
    if guess is None:
        st.caption(_("Your guess will be drawn into the first picture."))
        return
    nearest = min(GUESSES, key=lambda one: abs(one / share - 1))
    told = _("Well seen.") if guess == nearest else _("Not quite.")
    st.caption(
        told
        + " "
        + _("You guessed about 1/{n}; it is {share}, or 1/{exact}.").format(
            n=round(1 / guess), share=share_text(share), exact=f"{1 / share:.1f}"
        )
    )
