"""The distillation loss as Vega's own transforms: what both halves of its picture compute alike.

Parameters of the picture: `T`, `alpha`, `move` (added to one student logit) and `pick` (its label).
Data `answers`: one row per class with label, food, place, z, v (logits of student and teacher) and
truth (1 for the true class).
"""

from typing import Any

import altair as alt

HARD, SOFT, TOTAL = "correct", "teacher", "distilled"
"""Colour slots of the terms: from the label, from the teacher, what the student gets."""
ANSWERS = alt.NamedData("answers")


def softened(chart: alt.Chart, t: str, *per: str) -> alt.Chart:
    """Teacher's p and student's q at temperature `t`, q1 at T = 1, and their logarithms.

    `per`: columns of which each value has its own eleven rows.
    """
    by: list[Any] = list(per)
    return (
        chart.transform_calculate(zs="datum.z + (datum.label == pick ? move : 0)")
        .transform_joinaggregate(zmax="max(zs)", vmax="max(v)", groupby=by)
        .transform_calculate(zg="datum.zs - datum.zmax", vg="datum.v - datum.vmax")
        .transform_calculate(
            pw=f"exp(datum.vg / {t})", qw=f"exp(datum.zg / {t})", q1w="exp(datum.zg)"
        )
        .transform_joinaggregate(ps="sum(pw)", qs="sum(qw)", q1s="sum(q1w)", groupby=by)
        .transform_calculate(
            p="datum.pw / datum.ps",
            q="datum.qw / datum.qs",
            q1="datum.q1w / datum.q1s",
            logp=f"datum.vg / {t} - log(datum.ps)",
            logq=f"datum.zg / {t} - log(datum.qs)",
            logq1="datum.zg - log(datum.q1s)",
        )
    )


def expression(sentence: str, **values: str) -> str:
    """A Vega expression for a translated sentence with {names} in it, each an expression."""
    made, rest = [], sentence
    while rest:
        before, brace, tail = rest.partition("{")
        if before:
            made.append(repr(before))
        if brace:
            name, _brace, rest = tail.partition("}")
            made.append(f"({values[name]})")
        else:
            rest = ""
    return " + ".join(made)


def point(**values: object) -> alt.InlineData:
    """One row: a place for a line or a word that needs no data."""
    return alt.InlineData(values=[values])
