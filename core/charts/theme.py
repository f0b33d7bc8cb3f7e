"""The one visual language: a colour and a mark per role, and how a chart is finished.

A role's colour comes from the browser's theme: Streamlit gives `range: category` the ten colours
of `.streamlit/config.toml`, light or dark, so a nominal scale whose domain is all ten slots, in
this order, always picks the right one and follows a theme switch without asking the server. The
colours are chosen to stay apart under protan-, deutan- and tritanopia and to keep 3:1 against the
page (tested); the mark's shape, and a label, say the same again without colour.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, cast

from core.charts.libraries import alt
from core.i18n import _

if TYPE_CHECKING:
    from core.checkpoints import Checkpoint
    from core.checkpoints.entry import Derivation


class Slot(NamedTuple):
    """One colour of the language: Vega shape, the same shape as a letter, light and dark hex."""

    shape: str
    glyph: str
    light: str
    dark: str


RoleKey = Literal["teacher", "scratch", "distilled", "pruned", "quantised", "factored"]

SLOTS: Final[dict[str, Slot]] = {
    "teacher": Slot("circle", "●", "#4B2480", "#A268DC"),
    "scratch": Slot("square", "■", "#6B6764", "#A89D94"),
    "distilled": Slot("diamond", "◆", "#AB4A08", "#D9702B"),
    "pruned": Slot("triangle-up", "▲", "#14480F", "#8FCB85"),
    "quantised": Slot("triangle-down", "▼", "#0B79B8", "#6FA8E8"),
    "factored": Slot("cross", "✚", "#A08A38", "#F5E07A"),
    "correct": Slot("triangle-right", "✓", "#3A9A92", "#A8ECF0"),
    "wrong": Slot("triangle-left", "✗", "#8A1840", "#E2357F"),
    "text": Slot("stroke", "–", "#2B2320", "#F3ECE3"),
    "muted": Slot("stroke", "–", "#6A5E56", "#B9ADA2"),
}
"""Slot -> its mark and colours, in the order of `chartCategoricalColors` in config.toml."""

ROLES: Final[tuple[RoleKey, ...]] = (
    "teacher",
    "scratch",
    "distilled",
    "pruned",
    "quantised",
    "factored",
)
"""What a network can be to this app."""

FONT_PX: Final = 14
"""Size of every word inside a chart: readable from the back of a room."""


def role_title(role: str) -> str:
    """What a reader calls a slot, in the language of the session."""
    return {
        "teacher": _("Teacher"),
        "scratch": _("Student from scratch"),
        "distilled": _("Distilled student"),
        "pruned": _("Pruned"),
        "quantised": _("Quantised"),
        "factored": _("Factored"),
        "correct": _("Correct"),
        "wrong": _("Wrong"),
    }.get(role, role)


def role_of(checkpoint: Checkpoint) -> RoleKey:
    """The role of a checkpoint. What was done last names it: a pruned teacher is "pruned"."""
    if checkpoint.derived_from is None:
        return trained_role(checkpoint.family, checkpoint.recipe)
    roles: dict[Derivation, RoleKey] = {
        "pruned": "pruned",
        "narrow": "pruned",
        "factored": "factored",
        "quantised": "quantised",
    }
    return roles[checkpoint.derived_from.kind]


def trained_role(family: str, recipe: str) -> RoleKey:
    """The role of a network that was trained and is no version of another one."""
    if family == "teacher":
        return "teacher"
    return "distilled" if "distil" in recipe.lower() else "scratch"


def glyph(role: str) -> str:
    """The role's mark as one letter, to stand before a name in a sentence or a menu."""
    return SLOTS[role].glyph


def palette_scale() -> alt.Scale:
    """The colour scale of every chart: all ten slots, so that layers share it unharmed."""
    return alt.Scale(domain=list(SLOTS))


def role_color(field: str = "role") -> alt.Color:
    """Colour by a column of slot names (a role, "correct", "wrong", "text", "muted")."""
    return alt.Color(f"{field}:N", scale=palette_scale(), legend=None)


def painted(chart: alt.Chart, slot: str) -> alt.Chart:
    """The whole chart in one slot's colour; "text" is the page's ink, "muted" its grey.

    The slot is a constant column, because a plain value would not follow the browser's theme.
    """
    return chart.transform_calculate(slot=f"'{slot}'").encode(color=role_color("slot"))


def role_shape(field: str = "role") -> alt.Shape:
    """Mark shape by a column of slot names: says what the colour says."""
    scale = alt.Scale(domain=list(SLOTS), range=[slot.shape for slot in SLOTS.values()])
    return alt.Shape(f"{field}:N", scale=scale, legend=None)


def ink_text(chart: alt.Chart, text: Any, slot: str = "text", **mark: Any) -> alt.Chart:
    """A text layer on `chart` in the page's own ink (a bare text mark would be black at night)."""
    size = mark.pop("fontSize", FONT_PX)
    return painted(chart.mark_text(fontSize=size, **mark).encode(text=text), slot)


def guide(
    axis: Literal["x", "y"], value: float | alt.Parameter, slot: str = "muted", dash: bool = True
) -> alt.Chart:
    """A straight reference line at `value` of an axis (a limit, a baseline, the current setting).

    `value` may be an Altair parameter: the line then moves in the browser with it.
    """
    datum = value if isinstance(value, int | float) else alt.expr(value.name)
    position = alt.XDatum(datum) if axis == "x" else alt.YDatum(datum)
    mark = alt.Chart(alt.InlineData(values=[{}])).mark_rule(
        strokeDash=[5, 4] if dash else [], strokeWidth=1.5 if dash else 2.5
    )
    return painted(mark.encode(position), slot)


def row_guide(rows: alt.Chart, x: alt.X, value: float) -> alt.Chart:
    """A reference line at `value` in each of `rows`, a piece a row: none crosses a row's name.

    `x`: the axis, on the field `guide`. The names stand above the middles of the rows.
    """
    pieces = rows.transform_calculate(guide=f"{value}").mark_tick(
        orient="vertical", thickness=1, size=28, yOffset=9
    )
    return painted(pieces.encode(x=x), "muted")


def layered(*charts: Any) -> alt.LayerChart:
    """`alt.layer`, which returns a layer chart whenever its parts are plain charts."""
    return cast(alt.LayerChart, alt.layer(*charts))


CONFIG: Final[dict[str, Any]] = {
    "axis": {
        "labelFontSize": FONT_PX,
        "titleFontSize": FONT_PX,
        "labelLimit": 260,
        "titlePadding": 8,
        # Streamlit's own grey is too faint on a projector
        "labelColor": {"expr": "scale('color', 'text')"},
        "titleColor": {"expr": "scale('color', 'text')"},
    },
    "header": {"labelFontSize": FONT_PX, "titleFontSize": FONT_PX},
    "title": {"fontSize": FONT_PX + 1, "offset": 8},
    "text": {"fontSize": FONT_PX},
    "view": {"strokeWidth": 0},
}
"""Fonts, sizes and paddings of every chart. Colours, background and grid are the theme's."""


def finish(chart: Any, height: int | None = None) -> Any:
    """Set CONFIG, and `height` in px for a single chart. Call it once, on the outermost chart."""
    if height is not None:
        chart = chart.properties(height=height)
    return chart.configure(**CONFIG)
