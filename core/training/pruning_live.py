"""Live runs of the pruning page: one point of the curves measured again, here and now."""

from typing import Any, NamedTuple

from core.compression.prune_select import Method
from core.live import LiveRuns, Report
from core.measure.pruning_grid import PruningRow


class Point(NamedTuple):
    """What is measured; the hash makes a newly published network a new point."""

    checkpoint: str
    weights_sha256: str
    method: Method
    ratio: float


def measure_live(asked: dict[str, Any], report: Report) -> None:
    """Measure one point; `report` hears steps, and at the end `{"rows": [...]}`.

    `asked`: the fields of `Point`. Raises UserError.
    """
    from core.measure.network_timing import time_networks
    from core.training.pruning import PruningExperiment, measure

    one = PruningExperiment.open(asked["checkpoint"])
    report({"step": "prune"})

    def timed(nets: Any) -> Any:
        report({"step": "time"})
        return time_networks(nets, one.px, repeats=20, budget_s=8)

    def heard(done: int, of: int) -> None:
        report({"step": "accuracy", "done": done, "of": of})

    rows = measure(one, asked["method"], asked["ratio"], time=timed, heard=heard)
    report({"rows": [row.model_dump(mode="json") for row in rows]})


RUNS: LiveRuns[Point, PruningRow] = LiveRuns(PruningRow, f"{__name__}:measure_live")
"""The line of this server."""
