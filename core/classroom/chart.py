"""A class on one chart: how long each device took for a picture; what was measured for it."""

import statistics
from collections.abc import Sequence
from typing import Any, NamedTuple

from core.charts import numbers
from core.charts.compiled import Spec, compiled, with_rows
from core.charts.curves import STAR, accuracy_axis
from core.charts.libraries import alt
from core.charts.theme import finish, ink_text, layered, painted, role_color
from core.classroom.rooms import DEVICES, FASTEST_MS, SLOWEST_MS, Device, Point, Timing
from core.i18n import _, ngettext
from core.stats import Score

ROW_PX = 56
POINTS_PX = 300
SHAPES: dict[Device, str] = {"phone": "circle", "tablet": "diamond", "computer": "square"}
"""Of the marks. Their colour says whose a device is: those of the theme stand for networks."""
_STEPS = [step * 10.0**power for power in range(-2, 5) for step in (1, 2, 5)]


def device_title(device: Device, n: int) -> str:
    """So many devices of a kind, in words."""
    return {
        "phone": ngettext("{n} phone", "{n} phones", n),
        "tablet": ngettext("{n} tablet", "{n} tablets", n),
        "computer": ngettext("{n} computer", "{n} computers", n),
    }[device].format(n=n)


def medians(timings: Sequence[Timing]) -> dict[Device, tuple[int, float]]:
    """Kind of device -> (how many, their median in milliseconds), of those that are there."""
    times = {device: [each.ms for each in timings if each.device == device] for device in DEVICES}
    return {device: (len(ms), statistics.median(ms)) for device, ms in times.items() if ms}


def devices_chart(timings: Sequence[Timing]) -> Spec:
    """A row a kind of device, a mark a device, a line at the median of three or more.

    `timings`: of one network, at least one. The axis is logarithmic and fits all of them.
    """
    by_device = medians(timings)
    titles = {device: device_title(device, n) for device, (n, _ms) in by_device.items()}
    own = _("your device")
    rows: list[dict[str, Any]] = [
        {
            "title": titles[each.device],
            "device": each.device,
            "role": "text" if each.is_own else "muted",
            "ms": each.ms,
            "text": _("{ms}: {fps:.3g} pictures a second").format(
                ms=numbers.milliseconds(each.ms), fps=1000 / each.ms
            ),
            "own": own if each.is_own else "",
        }
        for each in timings
    ]
    middles = [
        {"title": titles[device], "ms": ms} for device, (n, ms) in by_device.items() if n >= 3
    ]
    times = [each.ms for each in timings]
    first = max((step for step in _STEPS if step <= min(times) / 1.1), default=FASTEST_MS)
    last = min((step for step in _STEPS if step >= max(times) * 1.1), default=SLOWEST_MS)
    return with_rows(_devices(tuple(titles.values()), first, last), devices=rows, medians=middles)


@compiled
def _devices(titles: tuple[str, ...], first: float, last: float) -> Any:
    x = alt.X(
        "ms:Q",
        title=_("Milliseconds a picture"),
        scale=alt.Scale(type="log", domain=[first, last], nice=False),
        axis=alt.Axis(values=[step for step in _STEPS if first <= step <= last], format="~g"),
    )
    y = alt.Y("title:N", sort=list(titles), title=None)
    devices = alt.Chart(alt.NamedData("devices")).encode(x, y)
    tips = [
        alt.Tooltip("title:N", title=_("Kind")),
        alt.Tooltip("text:N", title=_("Speed")),
    ]
    shape = alt.Shape(
        "device:N",
        scale=alt.Scale(domain=list(SHAPES), range=list(SHAPES.values())),
        legend=None,
    )
    marks = devices.mark_point(size=130, filled=True, opacity=0.75).encode(
        color=role_color(), shape=shape, tooltip=tips
    )
    own = ink_text(devices, "own:N", dy=-16)
    middle = alt.Chart(alt.NamedData("medians")).mark_tick(thickness=3, size=38).encode(x, y)
    return finish(layered(painted(middle, "text"), marks, own), height=ROW_PX * len(titles))


class Axis(NamedTuple):
    """The horizontal axis of a curve."""

    title: str
    first: float
    last: float
    is_share: bool
    """Whether its numbers are shares, 0 to 1, written as percent."""

    def text(self, x: float) -> str:
        """A place on it in words."""
        return numbers.share(x) if self.is_share else f"{x:g}"


def points_chart(points: Sequence[Point], before: Sequence[tuple[float, Score]], at: Axis) -> Spec:
    """A star for each point of the class, with its 95 % interval, over what was measured before.

    `points`: of one curve. `before`: x and accuracy of the cached curve, or nothing.
    """
    own = _("yours")
    rows = []
    for point in points:
        score = Score.of(point.correct, point.n)
        by = ngettext("{n} of the class", "{n} of the class", point.pupils)
        rows.append(
            {
                "x": point.spot.x,
                "accuracy": score.accuracy,
                "low": score.ci95[0],
                "high": score.ci95[1],
                "place": at.text(point.spot.x),
                "score": numbers.score_text(score),
                "by": by.format(n=point.pupils),
                "own": own if point.is_own else "",
            }
        )
    curve = [{"x": x, "accuracy": score.accuracy} for x, score in sorted(before)]
    return with_rows(_points(at), points=rows, before=curve)


@compiled
def _points(at: Axis) -> Any:
    x = alt.X(
        "x:Q",
        title=at.title,
        scale=alt.Scale(domain=[at.first, at.last], nice=False),
        axis=alt.Axis(format=".0%" if at.is_share else "d", tickMinStep=0.1 if at.is_share else 1),
    )
    y = accuracy_axis()
    before = alt.Chart(alt.NamedData("before")).encode(x, y)
    points = alt.Chart(alt.NamedData("points")).encode(x)
    tips = [
        alt.Tooltip("place:N", title=at.title),
        alt.Tooltip("score:N", title=_("Right")),
        alt.Tooltip("by:N", title=_("Measured by")),
    ]
    stars = points.mark_point(shape=STAR, size=260, filled=True, opacity=1).encode(y, tooltip=tips)
    bars = points.mark_rule(strokeWidth=2).encode(alt.Y("low:Q"), alt.Y2("high:Q"))
    own = ink_text(points.encode(y), "own:N", dy=-20)
    layers = (
        painted(before.mark_line(strokeWidth=2), "muted"),
        painted(before.mark_point(filled=True, size=40, opacity=1), "muted"),
        painted(bars, "text"),
        painted(stars, "text"),
        own,
    )
    return finish(layered(*layers), height=POINTS_PX)
