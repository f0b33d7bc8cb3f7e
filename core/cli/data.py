"""`data`: which photographs are here, whether every one can be read; and other sets made fit to
learn from before them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import Positional, arg

from core.cli.answer import Answer, table
from core.course import CLASSES
from core.errors import ConfigError
from core.words import _


@dataclass(frozen=True)
class Data:
    """Report on the photographs that FOOD11_ROOT names or that lie in data/food11; or fetch them.

    The first report reads every photograph once and keeps the pixels for training: a minute or so.
    `data distinct SOURCE` makes another data set fit to learn from before Food-11: a folder of its
    photographs without those that Food-11's validation and testing splits hold too.
    """

    action: Positional[Literal["report", "fetch", "distinct"]] = "report"
    """report: what is here. fetch: get the Kaggle copy of Food-11 (needs the internet).
    distinct: write SOURCE anew, without near duplicates of what is tested on."""

    source: Annotated[Positional[str], arg(metavar="SOURCE")] = ""
    """distinct: the folder with the photographs, or a variable that names it."""

    against: Annotated[str, arg(metavar="FOLDER")] = ""
    """distinct: the set that is tested on, a folder or a variable; without it, Food-11."""

    into: Annotated[Path | None, arg(metavar="FOLDER")] = None
    """distinct: where to write; without it, a folder of that name in your data folder."""

    root: Annotated[Path | None, arg(metavar="FOLDER")] = None
    """A folder to look in, instead of FOOD11_ROOT or data/food11."""

    names_only: bool = False
    """Look at folders and file names only; open no photograph."""

    json: bool = False
    """Print one JSON document and nothing else."""

    def run(self) -> Answer:
        if self.action == "distinct":
            return self._distinct()
        if self.source or self.against or self.into:
            raise ConfigError(
                _("SOURCE, --against and --into belong to: python -m core data distinct SOURCE")
            )
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

    def _distinct(self) -> Answer:
        from core.data.distinct import write_distinct
        from core.data.find import SPLITS, find_food11
        from core.data.named import data_root
        from core.places import data_dir

        if not self.source:
            raise ConfigError(
                _("Name the photographs: python -m core data distinct SOURCE --into FOLDER")
            )
        source, against = find_food11(data_root(self.source)), find_food11(data_root(self.against))
        made = write_distinct(
            source, against, self.into or data_dir() / f"{source.root.name}_distinct"
        )
        index = made.index
        document = {
            "root": str(index.root),
            "name": index.name,
            "fingerprint": index.fingerprint,
            "against": against.name,
            "splits": {split: len(index.of(split)) for split in SPLITS},
            "left_out": [twin._asdict() for twin in made.left_out],
            "unreadable": list(made.unreadable),
        }
        counts = [f"{split} {n:,}" for split, n in document["splits"].items()]  # type: ignore[attr-defined]
        text = _(
            "{name}: {counts}. {n:,} near duplicates of {against} were left out. It is in {root}"
        ).format(
            name=index.name, counts=", ".join(counts), n=len(made.left_out), against=against.name,
            root=index.root,
        )  # fmt: skip
        return Answer(document, text)


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
