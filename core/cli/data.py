"""`data`: which photographs are here, and whether every one can be read; or fetch them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import Positional, arg

from core.cli.answer import Answer, table
from core.course import CLASSES
from core.i18n import _


@dataclass(frozen=True)
class Data:
    """Report on the photographs that FOOD11_ROOT names or that lie in data/food11; or fetch them.

    The first report reads every photograph once and keeps the pixels for training: a minute or so.
    """

    action: Positional[Literal["report", "fetch"]] = "report"
    """report: what is here. fetch: get the Kaggle copy of Food-11 (needs the internet)."""

    root: Annotated[Path | None, arg(metavar="FOLDER")] = None
    """A folder to look in, instead of FOOD11_ROOT or data/food11."""

    names_only: bool = False
    """Look at folders and file names only; open no photograph."""

    json: bool = False
    """Print one JSON document and nothing else."""

    def run(self) -> Answer:
        if self.action == "fetch":
            return _fetch()
        from core.data.find import SPLITS, find_food11

        index = find_food11(self.root)
        counts = {split: index.class_counts(split).tolist() for split in SPLITS}
        document: dict[str, Any] = {
            "name": index.name,
            "is_food11": index.is_food11,
            "root": str(index.root),
            "layout": index.layout,
            "fingerprint": index.fingerprint,
            "classes": list(CLASSES),
            "splits": {
                split: {
                    "n": len(index.of(split)),
                    "per_class": counts[split],
                    "unlabelled": len(index.of(split)) - sum(counts[split]),
                }
                for split in SPLITS
            },
            "skipped": list(index.skipped),
            "unreadable": None,
        }
        if not self.names_only:
            from core.data.pixels import load_pixels

            unreadable = load_pixels(index).unreadable
            document["unreadable"] = [{"file": f, "reason": reason} for f, reason in unreadable]
        return Answer(document, _text(document))


def _fetch() -> Answer:
    from core.data.fetch import fetch
    from core.data.find import find_food11

    index = find_food11(fetch())
    text = _("{name} is in {folder}").format(name=index.name, folder=index.root)
    return Answer({"root": str(index.root), "name": index.name}, text)


def _text(document: dict[str, Any]) -> str:
    splits = document["splits"]
    rows: list[dict[str, Any]] = [
        {"class": name} | {split: splits[split]["per_class"][i] for split in splits}
        for i, name in enumerate(CLASSES)
    ]
    if any(split["unlabelled"] for split in splits.values()):
        rows.append({"class": _("(unlabelled)")} | {s: splits[s]["unlabelled"] for s in splits})
    rows.append({"class": _("all")} | {split: splits[split]["n"] for split in splits})
    lines = [
        document["name"],
        _("in {root} ({layout}), fingerprint {fingerprint}").format(**document),
        "",
        table(rows),
        "",
    ]
    if document["skipped"]:
        lines.append(_left_out(_("of no known class"), document["skipped"]))
    if document["unreadable"] is None:
        lines.append(_("Not opened: whether each photograph can be read is not known."))
    elif document["unreadable"]:
        named = [f"{row['file']}: {row['reason']}" for row in document["unreadable"]]
        lines.append(_left_out(_("unreadable"), named))
    else:
        lines.append(_("Every photograph can be read."))
    return "\n".join(lines)


def _left_out(why: str, names: list[str]) -> str:
    return "\n".join([_("{n} left out, {why}:").format(n=len(names), why=why), *names])
