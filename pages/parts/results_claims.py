"""What the reports found, one sentence each, put to our networks."""

from collections import Counter
from collections.abc import Sequence

import streamlit as st

from core.charts.results_words import claim_title, contrast_line, outcome_title, reported_text
from core.serving.results import Outcome, Tested
from core.words import _

GUESSED = "kd_passes_big"
ORDER = ("HW7 Q1", "HW7 Q2", "HW7 Q4", "HW13 Q2")


def guess_title(guess: Outcome) -> str:
    """What a guess is called."""
    return {
        "agrees": _("yes, it passes"),
        "differs": _("no, it stays behind"),
        "unclear": _("nobody could tell from this"),
    }[guess]


def predict_first() -> Outcome | None:
    """One tap before looking."""
    guess: Outcome | None = st.pills(
        _(
            "First, a guess. The report says: taught by a strong teacher, the small student passes "
            "a plain network eight times its size. Will it here, on other photographs?"
        ),
        ("agrees", "differs", "unclear"),
        format_func=guess_title,
        key="guess_results",
    )
    return guess


def list_claims(answers: Sequence[Tested], guess: Outcome | None) -> None:
    """All claims by question, each with its verdict; those without runs say which are missing."""
    told: dict[Outcome, str] = {
        "agrees": _("our networks agree with {n}"),
        "differs": _("they disagree with {n}"),
        "unclear": _("{n} cannot be told here"),
        "answers": _("{n} the reports left open"),
        "missing": _("{n} wait for a training"),
    }
    counts = Counter(one.outcome() for one in answers)
    parts = [text.format(n=counts[key]) for key, text in told.items() if counts[key]]
    st.markdown(
        _("Of the {n} lines below, {parts}.").format(n=len(answers), parts="; ".join(parts))
    )
    for question in ORDER:
        st.markdown(f"**{question}**")
        for one in answers:
            if one.claim.question == question:
                st.markdown(_line(one))
                if one.claim.key == GUESSED and guess is not None:
                    _tell(one, guess)


def _line(one: Tested) -> str:
    said = [f"- **{outcome_title(one.outcome())}** · {claim_title(one)}"]
    details = list(filter(None, (reported_text(one), contrast_line(one))))
    if one.missing:
        details.append(
            _("missing: {names}").format(names=", ".join(f"`{stem}`" for stem in one.missing))
        )
    elif one.found is None:
        details.append(_("no seed is shared, or the stored answers are missing"))
    return "  \n  ".join([*said, "; ".join(details)])


def _tell(one: Tested, guess: Outcome) -> None:
    if one.found is None:
        st.caption(_("Your guess waits for these networks."))
        return
    told = _("Well seen.") if one.outcome() == guess else _("Not quite.")
    st.caption(told + " " + _("You guessed “{guess}”.").format(guess=guess_title(guess)))
