"""Names beside marks that cover neither each other nor any mark: found by trying places in turn.

A name is tried close to its mark first (right, left, above, below, the corners), then further and
further away, tied to it by a line. Greedy, after the label placement of cartography (Christensen,
Marks & Shieber 1995): a few dozen names need no more.
"""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

Box = tuple[float, float, float, float]
"""Left, top, right, bottom, in px."""
Line = tuple[float, float, float, float]
"""From x, y to x, y."""

MARK_PX = 8.0
"""Half a mark's side."""
_NEAR = 12.0
_CLOSE = (24.0, 36.0, 50.0)
_FAR = (*_CLOSE, 66.0, 84.0, 104.0, 128.0, 156.0, 190.0)
_TURNS = 24


class Place(NamedTuple):
    """Where a name stands: its box's left edge and middle height, and whether a line ties it."""

    x: float
    y: float
    tied: bool
    text: str = ""


def around(marks: Sequence[tuple[float, float]]) -> list[Box]:
    """The boxes that marks of the usual size fill."""
    return [(x - MARK_PX, y - MARK_PX, x + MARK_PX, y + MARK_PX) for x, y in marks]


def place_names(
    names: Sequence[Sequence[str]],
    marks: Sequence[tuple[float, float]],
    size: tuple[float, float],
    *,
    char_px: float,
    line_px: float,
    first: Sequence[bool] = (),
    others: Sequence[Box] = (),
    lines: Sequence[Box] = (),
) -> list[Place | None]:
    """A place for each mark's name; None where there is none, or no room.

    `names`: of each mark, its name and shorter ones to fall back on, best first; they may have
    several lines. `marks`: centres in px from the top left corner; `size`: width and height of the
    picture, which no name leaves; `others`: what else must stay uncovered; `lines`: what a name
    stands on only where all else is taken. Names marked in `first` choose before the rest.
    """
    wide, high = size
    boxes = around(marks)
    taken: list[Box] = []
    ties: list[Line] = []
    places: list[Place | None] = [None] * len(names)
    order = sorted(range(len(names)), key=lambda i: (not (first[i] if first else False), i))
    for i in order:
        room = _Room(size, [*taken, *others, *boxes], [*taken, *_but(boxes, i)], ties)
        # a shorter name close by is read more easily than a long one at the end of a long tie
        for reach, text, avoided in itertools.product((_CLOSE, _FAR), names[i], (lines, ())):
            box_size = _extent(text, char_px, line_px)
            place = room.find(marks[i], box_size, avoided, reach)
            if place is not None:
                places[i] = place._replace(text=text)
                taken.append(_box(place, box_size))
                if place.tied:
                    ties.append((*marks[i], *_end(marks[i], place, box_size[0])))
                break
    return places


def lengthened(
    names: Sequence[Sequence[str]],
    places: Sequence[Place | None],
    marks: Sequence[tuple[float, float]],
    size: tuple[float, float],
    *,
    char_px: float,
    line_px: float,
    others: Sequence[Box] = (),
    lines: Sequence[Box] = (),
) -> list[Place | None]:
    """The same, with longer names wherever there is room for them close by; none is lost.

    Arguments as of `place_names`, which gave `places`. One after the other takes the next longer
    of its names, so that no name grows at the expense of all others.
    """
    found = list(places)
    boxes = around(marks)

    for _round, i in itertools.product(
        range(max(map(len, names), default=1) - 1), range(len(names))
    ):
        place = found[i]
        longer = names[i].index(place.text) - 1 if place is not None else -1
        if longer < 0:
            continue
        rest = [(j, one) for j, one in enumerate(found) if one is not None and j != i]
        sizes = [_extent(one.text, char_px, line_px) for _j, one in rest]
        taken = [_box(one, box_size) for (_j, one), box_size in zip(rest, sizes, strict=True)]
        ties = [
            (*marks[j], *_end(marks[j], one, box_size[0]))
            for (j, one), box_size in zip(rest, sizes, strict=True)
            if one.tied
        ]
        room = _Room(size, [*taken, *others, *boxes], [*taken, *_but(boxes, i)], ties)
        text = names[i][longer]
        better = room.find(marks[i], _extent(text, char_px, line_px), lines, _CLOSE)
        if better is not None:
            found[i] = better._replace(text=text)
    return found


class _Room(NamedTuple):
    """What is taken already, when a name looks for its place."""

    size: tuple[float, float]
    blocked: list[Box]
    """What the name may not cover."""
    untied: list[Box]
    """What its tie may not cross."""
    ties: list[Line]

    def find(
        self,
        mark: tuple[float, float],
        size: tuple[float, float],
        lines: Sequence[Box],
        reach: Sequence[float],
    ) -> Place | None:
        """The first place that is free, of `lines` too, at a distance in `reach`."""
        for place in _tries(*mark, *size, self.size[0], reach):
            box = _box(place, size)
            if box[0] < 0 or box[1] < 0 or box[2] > self.size[0] or box[3] > self.size[1]:
                continue
            if any(overlap(box, other) for other in (*self.blocked, *lines)):
                continue
            tie = (*mark, *_end(mark, place, size[0]))
            if place.tied and any(_crosses(tie, one) for one in self.untied):
                continue
            if place.tied and any(_cross_each_other(tie, one) for one in self.ties):
                continue
            if not any(_crosses(one, box) for one in self.ties):
                return place
        return None


def _extent(text: str, char_px: float, line_px: float) -> tuple[float, float]:
    """Width and height of a name, which may have several lines."""
    rows = text.split("\n")
    return char_px * max(map(len, rows)), line_px * len(rows)


def _box(place: Place, size: tuple[float, float]) -> Box:
    return (place.x, place.y - size[1] / 2, place.x + size[0], place.y + size[1] / 2)


def _end(mark: tuple[float, float], place: Place, wide: float) -> tuple[float, float]:
    """Where the tie meets the name: at the end nearer to the mark."""
    return (place.x if place.x > mark[0] else min(mark[0], place.x + wide), place.y)


def _tries(
    x: float, y: float, w: float, h: float, wide: float, distances: Sequence[float]
) -> list[Place]:
    """Places to try, best first."""
    sides = [(x + _NEAR, y), (x - _NEAR - w, y)]
    if x > wide / 2:
        sides.reverse()
    rise = _NEAR + h / 2
    sides += [(x - w / 2, y - rise), (x - w / 2, y + rise)]
    found = [Place(left, middle, False) for left, middle in sides]
    for reach in distances:
        for turn in range(_TURNS):
            angle = 2 * math.pi * turn / _TURNS
            at_x, at_y = x + reach * math.cos(angle), y + reach * math.sin(angle)
            left = at_x if math.cos(angle) >= 0 else at_x - w
            found.append(Place(left, at_y, True))
    return found


def _but(boxes: Sequence[Box], i: int) -> list[Box]:
    return [box for j, box in enumerate(boxes) if j != i]


def overlap(a: Box, b: Box) -> bool:
    """Whether two boxes share a point inside."""
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _crosses(line: Line, box: Box) -> bool:
    """Whether a line from (x, y) to (x, y) passes through a box: tried at twenty points of it."""
    x0, y0, x1, y1 = line
    return any(
        box[0] < x0 + t * (x1 - x0) < box[2] and box[1] < y0 + t * (y1 - y0) < box[3]
        for t in (step / 20 for step in range(21))
    )


def _cross_each_other(a: Line, b: Line) -> bool:
    """Whether two lines cross: the ends of each lie on both sides of the other."""

    def side(line: Line, x: float, y: float) -> float:
        x0, y0, x1, y1 = line
        return (x1 - x0) * (y - y0) - (y1 - y0) * (x - x0)

    return side(a, *b[:2]) * side(a, *b[2:]) < 0 and side(b, *a[:2]) * side(b, *a[2:]) < 0
