"""Why T²: how long each term's gradient is against T, computed in the browser from the logits."""

import altair as alt

from core.charts.distillation_terms import ANSWERS, HARD, SOFT, point, softened
from core.charts.theme import ink_text, painted, role_color, role_shape
from core.serving.kd_parts import GRID, T_HIGH, T_LOW
from core.words import _

_LENGTHS = (3e-4, 20.0)
"""The axis: what is shorter stands at its lower end."""


def lengths(stretch: tuple[int, int]) -> list[alt.Chart]:
    """The gradients' lengths against T, unweighted: with T², without it, and the hard one.

    `stretch`: from where to where they stand, in px from the top of the picture.
    """
    low, high = _LENGTHS
    x = alt.X(
        "at:Q",
        title=_("Temperature T"),
        scale=alt.Scale(type="log", domain=[T_LOW, T_HIGH], nice=False),
        axis=alt.Axis(values=[1, 2, 5, 10, 20], format="~g", grid=False, orient="bottom"),
    )
    y = alt.Y(
        "length:Q",
        title=None,
        scale=alt.Scale(
            type="log", domain=[low, high], range=[stretch[1], stretch[0]], nice=False, clamp=True
        ),
        axis=alt.Axis(values=[0.001, 0.01, 0.1, 1, 10], grid=True, format="~g", orient="left"),
    )
    grid = ", ".join(f"{t:.6g}" for t in GRID)
    start = alt.Chart(ANSWERS).transform_calculate(at=f"[{grid}]").transform_flatten(["at"])
    now = alt.Chart(ANSWERS).transform_calculate(at="T")
    curves, here = (_norms(softened(chart, "datum.at", "at")) for chart in (start, now))
    kinds = {
        "soft": (SOFT, [1, 0], _("soft, with T²")),
        "bare": (SOFT, [6, 5], _("soft, without T²")),
        "hard": (HARD, [1, 0], _("hard")),
    }
    layers = [ink_text(_head(stretch), alt.value(_("How long each gradient is")), align="left",
                       fontWeight="bold")]  # fmt: skip
    for name, (slot, dash, title) in kinds.items():
        line = curves.transform_calculate(length=f"datum.{name}").mark_line(
            strokeWidth=2.5, strokeDash=dash
        )
        layers.append(painted(line.encode(x=x, y=y), slot))
        mark = here.transform_calculate(length=f"datum.{name}", slot=f"'{slot}'")
        layers.append(
            mark.mark_point(size=110, filled=True, opacity=1).encode(
                x=x, y=y, color=role_color("slot"), shape=role_shape("slot")
            )
        )
        end = T_LOW if name == "hard" else T_HIGH
        near = curves.transform_calculate(length=f"datum.{name}").transform_filter(
            f"abs(datum.at - {end}) < 1e-6"
        )
        # each name on the side of its curve where the others are not
        over = {"soft": "datum.soft >= datum.hard", "hard": "datum.hard > datum.soft"}.get(name)
        for is_over in (True, False) if over else (False,):
            side = near.transform_filter(over if is_over else f"!({over})") if over else near
            layers.append(
                ink_text(
                    side.encode(x=x, y=y),
                    alt.value(title),
                    slot,
                    align="left" if name == "hard" else "right",
                    baseline="bottom" if is_over else "top",
                    dy=-8 if is_over else 9,
                    fontWeight="bold",
                )
            )
    rule = alt.Chart(point(here=1)).transform_calculate(at="T", text="'T = ' + format(T, '.1f')")
    top, bottom = (alt.value(at) for at in stretch)
    layers.append(painted(rule.mark_rule(strokeWidth=2).encode(x=x, y=top, y2=bottom), "text"))
    layers.append(ink_text(rule.encode(x=x, y=alt.value(stretch[0] - 10)), "text:N"))
    return layers


def _head(stretch: tuple[int, int]) -> alt.Chart:
    return alt.Chart(point(here=1)).encode(x=alt.value(0), y=alt.value(stretch[0] - 34))


def _norms(softened: alt.Chart) -> alt.Chart:
    """One row per `at`: the Euclidean lengths `soft` (of T² KL), `bare` (of KL) and `hard`."""
    return (
        softened.transform_calculate(
            d2="pow(datum.q - datum.p, 2)", h2="pow(datum.q1 - datum.truth, 2)"
        )
        .transform_aggregate(d="sum(d2)", h="sum(h2)", groupby=["at"])
        .transform_calculate(
            soft="sqrt(datum.d) * datum.at",
            bare="sqrt(datum.d) / datum.at",
            hard="sqrt(datum.h)",
        )
    )
