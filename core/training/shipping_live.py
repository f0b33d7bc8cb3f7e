"""The line of live runs that make and measure a checkpoint's files; torch-free, as the page is.

One process at a time for all visitors, as `core.live` says; a run's result stays
for the next who asks.
"""

from typing import Any, NamedTuple

from core.live import LiveRuns, Report
from core.measure.shipping_table import FileRow


class FilePoint(NamedTuple):
    """What is made: all files of a checkpoint; the hash makes newly published weights new."""

    checkpoint: str
    weights_sha256: str


def measure_live(asked: dict[str, Any], report: Report) -> None:
    """Make and measure every file of `asked["checkpoint"]`; `report` hears steps, then the rows.

    Raises UserError.
    """
    from core.training.shipping import measure

    report({"step": "make"})

    def heard(what: str, done: int, of: int) -> None:
        step = what if what in ("calibrate", "time") else "compare"
        report({"step": step, "done": done, "of": of})

    found = measure(asked["checkpoint"], heard=heard)
    report({"rows": [row.model_dump(mode="json") for row in found.rows]})


RUNS: LiveRuns[FilePoint, FileRow] = LiveRuns(FileRow, f"{__name__}:measure_live")
"""The line of this server."""
