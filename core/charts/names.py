"""What networks are called where there is little room, and which names stand beside their marks."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from core.i18n import _

if TYPE_CHECKING:
    from core.checkpoints import Checkpoint


def short_network(model: str, title: str) -> str:
    """A network's name where there is little room; what its title begins with, for others."""
    return {
        "efficientnet_lite0": "EfficientNet-Lite0",
        "efficientnet_lite2": "EfficientNet-Lite2",
        "resnet18": "ResNet-18",
        "plain_2m": _("Plain 2.2 M"),
        "dwpw_256k": _("Depthwise 257 k"),
        "plain_275k": _("Plain 275 k"),
        "group8_277k": _("Group 277 k"),
        "hw13_sample": _("HW13 sample"),
        "hw13_residual": _("HW13 residual"),
        "best_100k": _("Best 100 k"),
    }.get(model, parts_of(title)[0])


def parts_of(title: str) -> list[str]:
    """A network's title, in any language, cut at its commas: the network, then its training."""
    return re.split(r", |，", title)


def title_of(checkpoint: "Checkpoint") -> str:
    """A network's title in the language of this context.

    A `core.export.files.FilePredictor` has its checkpoint's, and an id of its own that begins with
    the checkpoint's.
    """
    title, whole = _(checkpoint.title), checkpoint.derived_from
    is_file = whole is not None and checkpoint.id.startswith(f"{whole.id}.")
    return _("{title}, in 8 bits").format(title=title) if is_file else title


def _recipe_words(recipe: str, title: str) -> str:
    """What a recipe is called where there is little room."""
    names = {
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
    if recipe in names:
        return names[recipe]
    done = "".join(parts_of(title)[1:][-1:])  # "22.6 % of channels cut out"
    if recipe.endswith("_10ep"):
        done = _("10 epochs")
    begun = names.get(recipe.split("_")[0], "")
    return _("{name}, {recipe}").format(name=begun, recipe=done) if begun else done


def versions(model: str, recipe: str, title: str, derived: str = "") -> list[str]:
    """Names for a mark, the longest first: whole, network with recipe, network alone.

    The last is enough, as colour and shape say what was done to it; of a network that was cut
    (`derived` is "narrow") it says so.
    """
    short, words = short_network(model, title), _recipe_words(recipe, title)
    last = _("{name}, cut").format(name=short) if derived == "narrow" else short
    both = _("{name}, {recipe}").format(name=short, recipe=words)
    return list(dict.fromkeys([title, both if words else last, last]))


def menu_versions(model: str, recipe: str, title: str) -> list[str]:
    """Names for a menu, the longest first; the shortest leaves out what all of a model share."""
    short = {
        "imagenet": "",
        "imagenet_more": "",
        "distilled_weak": _("weak teacher"),
        "distilled_stronger": _("stronger teacher"),
        "food101_scratch": _("Food-101 first"),
        "food101_distilled": _("Food-101, distilled"),
        "food101_more_distilled": _("more photographs"),
        "dreams_distilled": _("generated pictures"),
        "photos_distilled": _("as many photographs"),
        "photos_all_distilled": _("all photographs"),
    }.get(recipe, _("10 epochs") if recipe.endswith("_10ep") else parts_of(title)[-1])
    network = short_network(model, title).removesuffix(" 257 k")
    brief = _("{name}, {recipe}").format(name=network, recipe=short) if short else network
    return list(dict.fromkeys([*versions(model, recipe, title)[-2:-1], brief]))


Box = tuple[float, float, float, float]
"""Left, top, right, bottom, in px."""
Side = Literal["right", "left", "above", "below"]
MARK_PX = 8.0
"""Half a mark's side."""
CHAR_PX, HAN_PX, LINE_PX = 7.0, 14.0, 17.0
"""A letter, a Chinese character and a line of a chart's words."""


def width_px(text: str) -> float:
    """About how wide a text is in a chart."""
    return sum(HAN_PX if letter >= "\u2e80" else CHAR_PX for letter in text)


class Label(NamedTuple):
    """A name and how it hangs on its mark: by which end, how far from the mark's centre in px."""

    text: str
    align: Literal["left", "right"]
    dx: float
    dy: float

    def box(self, x: float, y: float) -> Box:
        """What it covers beside a mark at `x`, `y`."""
        wide = width_px(self.text)
        left = x + self.dx - (wide if self.align == "right" else 0)
        return left, y + self.dy - LINE_PX / 2, left + wide, y + self.dy + LINE_PX / 2


_SIDES: dict[Side, tuple[Literal["left", "right"], float, float]] = {
    "right": ("left", 12, 0),
    "left": ("right", -12, 0),
    "above": ("left", 6, -18),
    "below": ("left", 6, 18),
}


def place_labels(
    names: Sequence[Sequence[str]],
    marks: Sequence[tuple[float, float]],
    size: tuple[float, float],
    sides: Sequence[Side],
) -> list[Label | None]:
    """A label for each mark; None where every name would leave the picture or cover something.

    `names`: of each mark its name and shorter ones, none for a mark that needs no name; an earlier
    mark is named before a later one. `marks`: centres in px from the top left corner; `size`: width
    and height of the picture; `sides`: the sides of a mark that are tried, in this order. What
    covers nothing at this width covers nothing in a wider picture either.
    """
    taken = [(x, (x - MARK_PX, y - MARK_PX, x + MARK_PX, y + MARK_PX)) for x, y in marks]
    placed: list[Label | None] = []
    for texts, (x, y) in zip(names, marks, strict=True):
        tried = (Label(text, *_SIDES[side]) for text in texts for side in sides)
        label = next((each for each in tried if _is_free(x, each.box(x, y), size, taken)), None)
        if label is not None:
            taken.append((x, label.box(x, y)))
        placed.append(label)
    return placed


def _is_free(
    x: float, box: Box, size: tuple[float, float], taken: Sequence[tuple[float, Box]]
) -> bool:
    """Whether a label of the mark at `x` stands free of what belongs to the marks at others.

    In a wider picture the others move away from this mark: none may pass through its label.
    """
    left, top, right, bottom = box
    if left < 0 or top < 0 or right > size[0] or bottom > size[1]:
        return False
    for at, other in taken:
        apart = top >= other[3] or other[1] >= bottom
        before, after = at <= x and other[2] <= left, at >= x and other[0] >= right
        if not (apart or before or after):
            return False
    return True
