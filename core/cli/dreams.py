"""`dreams`: which pictures the teacher dreamed, and what two networks see in them."""

from dataclasses import dataclass

from core.cli.answer import Answer, table
from core.data.dreams import MARK, dreams_dir, load_dreams
from core.errors import DataError
from core.words import _


@dataclass(frozen=True)
class DreamList:
    """List the shipped dreams: pictures made up by the teacher, no photographs.

    `python -m core reproduce --steps dreams` makes them.
    """

    json: bool = False
    """Print one JSON document and nothing else."""

    def run(self) -> Answer:
        found = load_dreams()
        if found is None:
            raise DataError(
                _(
                    "There are no dreams here. Make them with: "
                    "python -m core reproduce --steps dreams"
                )
            )
        rows = []
        for one in found.sets:
            (right, n), (also, asked) = one.right("teacher"), one.right("checker")
            rows.append(
                {
                    "px": one.px,
                    "dreams": n,
                    "validation": one.validation * len(one.sheets),
                    "bytes": sum(sheet.bytes for sheet in one.sheets),
                    "teacher_right": right,
                    "checker_right": also if asked else None,
                }
            )
        said = _("{teacher} dreamed them ({mark}); {checker} was asked, too.").format(
            teacher=found.teacher, mark=MARK(), checker=found.checker or _("no other network")
        )
        document = {"folder": str(dreams_dir()), **found.model_dump(mode="json")}
        return Answer(document, f"{table(rows)}\n{said}")
