"""The process of one live shipping run: makes a checkpoint's files, compares and times them."""

import sys
from typing import Any

from core.training.pruning_worker import Tell, main


def run(asked: dict[str, Any], tell: Tell) -> None:
    """Make and measure every file of `asked["checkpoint"]`; `tell` hears steps, then the rows.

    Raises UserError.
    """
    from core.training.shipping import measure

    tell({"step": "make"})

    def heard(what: str, done: int, of: int) -> None:
        step = what if what in ("calibrate", "time") else "compare"
        tell({"step": step, "done": done, "of": of})

    found = measure(asked["checkpoint"], heard=heard)
    tell({"rows": [row.model_dump(mode="json") for row in found.rows]})


if __name__ == "__main__":
    sys.exit(main(run))
