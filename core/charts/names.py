"""Where the names of Home's chart stand, for each width of the screen.

A browser cannot place names without covering marks; so it is done here, for a few widths, and the
chart shows the one that fits. A name keeps its distance from its mark in px when the plot is wider.
"""

import functools
import itertools
import textwrap

import numpy as np
import pandas as pd

from core.charts.placing import Box, Place, around, lengthened, overlap, place_names
from core.i18n import _

WIDTHS_PX = (270, 330, 400, 480, 560, 640, 730, 850, 1000)
"""Widths of the plot, a phone's first; the widest that fits the screen is shown."""
PHONE_PX = 560
"""Plots narrower than this have smaller letters."""
ROWS = 3
"""Of how many lines a name may be, if there is a shorter one."""

COLUMNS = ("text", "x", "y", "dx", "dy", "align", "tie_dx", "tie_dy", "tied", "px", "slot")


def short_network(model: str, title: str) -> str:
    """A network's name where there is little room; what its title begins with, for others."""
    return {
        "efficientnet_lite0": "EfficientNet-Lite0",
        "efficientnet_lite2": "EfficientNet-Lite2",
        "resnet18": "ResNet-18",
        "plain_2m": _("plain 2.2 M"),
        "dwpw_256k": "DW+PW 257 k",
        "plain_275k": _("plain 275 k"),
        "group8_277k": _("group 277 k"),
        "hw13_sample": _("HW13 sample"),
        "hw13_residual": _("HW13 residual"),
        "best_100k": _("best 100 k"),
    }.get(model, title.split(",")[0])


def _recipe_words(recipe: str, title: str) -> str:
    """What a recipe is called where there is little room."""
    said = {
        "scratch": _("from scratch"),
        "imagenet": _("from ImageNet"),
        "imagenet_more": _("from ImageNet, more photographs"),
        "distilled": _("distilled"),
        "distilled_weak": _("weak teacher"),
        "distilled_stronger": _("stronger teacher"),
        "food101": _("on Food-101"),
        "food101_scratch": _("Food-101 first"),
        "food101_distilled": _("Food-101 first, distilled"),
        "food101_more_distilled": _("Food-101 first, distilled, more photographs"),
    }
    if recipe in said:
        return said[recipe]
    done = title.rpartition(", ")[2]  # "22.6 % of channels cut out"
    if recipe.endswith("_10ep"):
        done = _("10 epochs")
    return ", ".join(filter(None, (said.get(recipe.split("_")[0], ""), done)))


def versions(model: str, recipe: str, title: str, derived: str = "") -> list[str]:
    """Names for a mark, the longest first: whole, network with recipe, network alone.

    The last is enough, as colour and shape say what was done to it; of a network that was cut
    (`derived` is "narrow") it says so.
    """
    short, words = short_network(model, title), _recipe_words(recipe, title)
    last = _("{name}, cut").format(name=short) if derived == "narrow" else short
    return list(dict.fromkeys([title, f"{short}, {words}" if words else last, last]))


def named(
    shown: pd.DataFrame,
    x: np.ndarray,
    y: np.ndarray,
    lines: pd.DataFrame,
    accuracies: tuple[float, float],
    height: int,
) -> pd.DataFrame:
    """Every name that found a place, for each of WIDTHS_PX; columns as COLUMNS.

    `shown`: model, recipe, title, derived, low, high, first (on the frontier). `x`, `y`: the marks,
    as shares of the picture from its top left corner. `lines`: accuracy, text and shorter words of
    lines across it.
    `accuracies`: the axis, bottom and top. In px: `dx`, `dy` from the mark to the name's first
    line, at the end that `align` says, `tie_dx`, `tie_dy` to the end of the line that ties it to
    its mark. The words of `lines` are among them, in another `slot` of the theme's colours,
    wherever they cover nothing.
    """
    rows = []
    for wide in WIDTHS_PX:
        rows += _at(wide, shown, x, y, lines, accuracies, height)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _at(
    wide: int,
    shown: pd.DataFrame,
    x: np.ndarray,
    y: np.ndarray,
    lines: pd.DataFrame,
    accuracies: tuple[float, float],
    height: int,
) -> list[tuple[object, ...]]:
    char, line, most = (5.4, 13.0, 18) if wide < PHONE_PX else (6.9, 17.0, 26)
    bottom, top = accuracies

    def down(value: float) -> float:
        return height * (top - value) / (top - bottom)

    names = [
        _wrapped(versions(*words), most)
        for words in zip(
            shown["model"], shown["recipe"], shown["title"], shown["derived"], strict=True
        )
    ]
    marks = list(zip(wide * x, height * y, strict=True))
    bars: list[Box] = [
        (wide * at - 2, down(high), wide * at + 2, down(low))
        for at, low, high in zip(x, shown["low"], shown["high"], strict=True)
    ]
    across: list[Box] = [(0, down(at) - 2, wide, down(at) + 2) for at in lines["accuracy"]]
    corners = sorted(mark for mark, first in zip(marks, shown["first"], strict=True) if first)
    drawn = [*bars, *_stairs(corners), *around(marks)]
    written = [
        _free((text, short), down(at), (char - 0.4, line), wide, drawn)
        for text, short, at in zip(lines["text"], lines["short"], lines["accuracy"], strict=True)
    ]
    drawn += [box for _text, box in written]
    places = _best(
        tuple(map(tuple, names)),
        tuple(marks),
        (wide, height),
        (char, line),
        tuple(shown["first"]),
        tuple(drawn),
        tuple(across),
    )
    rows: list[tuple[object, ...]] = []
    for text, box in written:  # in the middle of its place, so that it moves as the marks do
        at = ((box[0] + box[2]) / 2 / wide, box[1] / height)
        rows.append((text, *at, 0.0, 0.6 * line, "center", 0.0, 0.0, False, wide, "muted"))
    for place, (at_x, at_y) in zip(places, marks, strict=True):
        if place is not None:
            broken = place.text.split("\n")
            dx, dy = place.x - at_x, place.y - at_y
            w = char * max(map(len, broken))
            align = "left" if dx > 0 else "center" if dx + w > 0 else "right"
            anchor = {"left": dx, "center": dx + w / 2, "right": dx + w}[align]
            end = {"left": dx - 2, "center": 0.0, "right": dx + w + 2}[align]
            rise = line * (len(broken) - 1) / 2  # the first line carries the position
            at = (at_x / wide, at_y / height)
            rows.append(
                (place.text, *at, anchor, dy - rise, align, end, dy, place.tied, wide, "text")
            )
    return rows


def _wrapped(names: list[str], most: int) -> list[str]:
    """Broken into lines of up to `most` letters, less what fills too many, except the last."""
    wrapped = [textwrap.wrap(name, most) for name in names]
    return ["\n".join(one) for one in wrapped if len(one) <= ROWS or one is wrapped[-1]]


def _free(
    texts: tuple[str, str], at: float, letter: tuple[float, float], wide: float, drawn: list[Box]
) -> tuple[str, Box]:
    """Words just above a line at height `at`, and a place that covers nothing.

    The left end is tried first, then the right, then between; then the same with the second,
    shorter words, which stand at the left end if nothing is free.
    """
    char, line = letter
    found: list[tuple[str, Box]] = []
    for text in texts:
        w = char * len(text)
        room = max(0.0, wide - w - 8)
        for share in (0.0, 1.0, *(step / 20 for step in range(1, 20))):
            left = 4 + room * share
            found.append((text, (left, at - 1.2 * line, left + w, at - 1)))
    free = (one for one in found if not any(overlap(one[1], other) for other in drawn))
    return next(free, (texts[1], (4.0, at - 1.2 * line, 4 + char * len(texts[1]), at - 1)))


@functools.lru_cache(maxsize=64)  # the same for every visitor, until something is published
def _best(
    names: tuple[tuple[str, ...], ...],
    marks: tuple[tuple[float, float], ...],
    size: tuple[float, float],
    letter: tuple[float, float],
    first: tuple[bool, ...],
    others: tuple[Box, ...],
    lines: tuple[Box, ...],
) -> list[Place | None]:
    """Names as long as can be, as far as that leaves none without a place that could have one."""
    best: list[Place | None] = []
    for shorter in range(max(map(len, names), default=0)):
        found = place_names(
            [of_mark[shorter:] or of_mark[-1:] for of_mark in names],
            marks,
            size,
            char_px=letter[0],
            line_px=letter[1],
            first=first,
            others=others,
            lines=lines,
        )
        if not best or sum(map(bool, found)) > sum(map(bool, best)):
            best = found
        if all(best):
            break
    return lengthened(
        names,
        best,
        marks,
        size,
        char_px=letter[0],
        line_px=letter[1],
        others=others,
        lines=lines,
    )


def _stairs(corners: list[tuple[float, float]]) -> list[Box]:
    """The frontier's line from mark to mark, as boxes that no name may cover."""
    boxes: list[Box] = []
    for (x0, y0), (x1, y1) in itertools.pairwise(corners):
        boxes += [(x0, y0 - 2, x1, y0 + 2), (x1 - 2, min(y0, y1), x1 + 2, max(y0, y1))]
    return boxes
