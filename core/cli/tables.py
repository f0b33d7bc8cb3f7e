"""`tables`: the tables in README and docs, written from the manifest."""

from dataclasses import dataclass

from core.cli.answer import NOT_OK, OK, Answer
from core.words import _


@dataclass(frozen=True)
class Tables:
    """Write the tables of README.md and of docs/ from the shipped checkpoints."""

    check: bool = False
    """Only say which documents are out of date; exit code 1 if there are any."""

    json: bool = False
    """Print one JSON document and nothing else."""

    def run(self) -> Answer:
        from core.published import stale_tables, write_tables

        names = stale_tables() if self.check else write_tables()
        if self.check:
            said = _("Out of date: {names}. Write them with: python -m core tables")
        else:
            said = _("Written: {names}.")
        text = said.format(names=", ".join(names)) if names else _("All tables are up to date.")
        document = {"stale" if self.check else "written": names}
        return Answer(document, text, NOT_OK if self.check and names else OK)
