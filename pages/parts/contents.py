"""The table of contents: every page once, for the navigation, the home page and "next page"."""

from collections.abc import Iterator
from typing import NamedTuple

from core.words import _


class Entry(NamedTuple):
    """One page: its file, place in the address bar, icon, short name, and the question it asks."""

    key: str
    icon: str
    name: str
    question: str

    @property
    def file(self) -> str:
        """Path from the folder of app.py, as Streamlit wants it."""
        return f"pages/{self.key}.py"


def sections() -> dict[str, list[Entry]]:
    """Section title -> its pages, in reading order, in the language of the session.

    A new page is a new line here: nothing else lists the pages.
    """
    return {
        "": [
            Entry(
                "home",
                ":material/restaurant_menu:",
                _("Home"),
                _("How does a big network become a small one?"),
            ),
        ],
        _("See"): [
            Entry(
                "compare",
                ":material/photo_camera:",
                _("Compare"),
                _("What does each network see on your plate?"),
            ),
            Entry(
                "results",
                ":material/leaderboard:",
                _("Results"),
                _("What did the two homeworks find, and does it hold?"),
            ),
        ],
        _("Build"): [
            Entry(
                "convolutions",
                ":material/grid_on:",
                _("Convolutions"),
                _("What does a convolution cost, and can it cost less?"),
            ),
            Entry(
                "architecture",
                ":material/account_tree:",
                _("Architecture"),
                _("Where do a network's parameters sit?"),
            ),
        ],
        _("Distil"): [
            Entry(
                "temperature",
                ":material/device_thermostat:",
                _("Temperature"),
                _("What does a higher temperature do to an answer?"),
            ),
            Entry(
                "distillation",
                ":material/local_drink:",
                _("Distillation"),
                _("What does a student learn from its teacher?"),
            ),
            Entry(
                "training",
                ":material/model_training:",
                _("Training"),
                _("Can you train a student yourself?"),
            ),
        ],
        _("Cut"): [
            Entry(
                "pruning",
                ":material/content_cut:",
                _("Pruning"),
                _("Does pruning make a network smaller, or faster?"),
            ),
            Entry(
                "quantization",
                ":material/straighten:",
                _("Quantisation"),
                _("How few bits does a weight need?"),
            ),
            Entry(
                "low_rank",
                ":material/view_column_2:",
                _("Low rank"),
                _("Does a layer need all its ranks?"),
            ),
        ],
        _("Ship"): [
            Entry(
                "export",
                ":material/phone_iphone:",
                _("Export"),
                _("What do you put on the phone?"),
            ),
        ],
    }


def entries() -> Iterator[Entry]:
    """All pages in reading order."""
    for listed in sections().values():
        yield from listed


def entry(key: str) -> Entry:
    """The page `key`; KeyError if the contents do not list it."""
    return next(found for found in entries() if found.key == key)


def after(key: str) -> Entry:
    """The page to read after `key`; the first one after the last."""
    listed = list(entries())
    place = [found.key for found in listed].index(key)
    return listed[(place + 1) % len(listed)]
