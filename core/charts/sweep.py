"""Accuracy against temperature, a line for each alpha: what a sweep of short trainings found."""

import altair as alt
import pandas as pd

from core.charts.theme import finish, ink_text, layered, painted
from core.measure.sweep import Sweep, settings
from core.words import _

HEIGHT_PX = 340
MARKS = ("circle", "square", "triangle-up", "diamond", "cross")


def sweep_frame(sweep: Sweep) -> pd.DataFrame:
    """One row per setting: temperature, alpha, seeds, n, and accuracy with its interval in %."""
    return pd.DataFrame(
        {
            "temperature": row.temperature,
            "alpha": row.alpha,
            "seeds": row.seeds,
            "n": row.n,
            "accuracy": 100 * row.mean,
            "low": 100 * row.low,
            "high": 100 * row.high,
        }
        for row in settings(sweep)
    )


def points_frame(sweep: Sweep) -> pd.DataFrame:
    """One row per training: temperature, alpha, seed, split, n, correct, accuracy in %."""
    rows = []
    for point in sweep.points:
        score = point.test or point.validation
        rows.append(
            {
                "temperature": point.temperature,
                "alpha": point.alpha,
                "seed": point.seed,
                "split": "testing" if point.test else "validation",
                "n": score.n,
                "correct": score.correct,
                "accuracy": 100 * score.accuracy,
            }
        )
    return pd.DataFrame(rows)


def sweep_chart(sweep: Sweep) -> alt.LayerChart:
    """Every training as a small mark, the mean of the seeds as a line; labels alone as a rule."""
    means, points = sweep_frame(sweep), points_frame(sweep)
    taught, alone = means.dropna(subset=["alpha"]), means[means["alpha"].isna()]
    alphas = sorted(taught["alpha"].unique())
    taught = taught.assign(series=[f"α = {alpha:g}" for alpha in taught["alpha"]])
    each = points.dropna(subset=["alpha"])
    each = each.assign(series=[f"α = {alpha:g}" for alpha in each["alpha"]])
    names = [f"α = {alpha:g}" for alpha in alphas]
    temperatures = sorted(taught["temperature"].unique())
    x = alt.X(
        "temperature:Q",
        title=_("Temperature T"),
        scale=alt.Scale(type="log", base=2, nice=False, padding=24),
        axis=alt.Axis(values=temperatures, format="~g", grid=False),
    )
    y = alt.Y(
        "accuracy:Q", title=_("Accuracy, %"), scale=alt.Scale(zero=False, padding=12, nice=True)
    )
    shape = alt.Shape("series:N", scale=alt.Scale(domain=names, range=list(MARKS)), legend=None)
    dash = alt.StrokeDash(
        "series:N",
        scale=alt.Scale(domain=names, range=[[1, 0], [7, 3], [2, 3], [7, 3, 2, 3], [1, 2]]),
        legend=None,
    )
    tooltip = [
        alt.Tooltip("series:N", title=_("alpha")),
        alt.Tooltip("temperature:Q", title="T"),
        alt.Tooltip("accuracy:Q", title=_("accuracy, %"), format=".1f"),
    ]
    lines = alt.Chart(taught).mark_line(strokeWidth=2.5).encode(x=x, y=y, strokeDash=dash)
    marks = alt.Chart(each).mark_point(filled=True, size=70, opacity=0.75).encode(
        x=x, y=y, shape=shape, tooltip=[*tooltip, alt.Tooltip("seed:N", title=_("seed"))]
    )  # fmt: skip
    last = taught[taught["temperature"] == max(temperatures)]
    ends = ink_text(alt.Chart(last).encode(x=x, y=y), "series:N", align="left", dx=10)
    layers = [painted(lines, "distilled"), painted(marks, "distilled"), ends]
    if len(alone):
        rule = alt.Chart(alone).mark_rule(strokeDash=[5, 4], strokeWidth=2).encode(y=y)
        named = alone.assign(label=_("labels alone, no teacher"))
        text = alt.Chart(named).encode(y=y, x=alt.value(4))
        layers = [painted(rule, "scratch"), *layers, ink_text(text, "label:N", align="left", dy=-8)]
    return finish(layered(*layers), height=HEIGHT_PX)
