"""Live runs of the low-rank page: one point of the curves measured again, here and now."""

from typing import Any, NamedTuple

from core.compression.lowrank_shapes import Method
from core.live import Job, LiveRuns, Report
from core.measure.lowrank_grid import LowRankRow


class LowRankPoint(NamedTuple):
    """What is measured; the hash makes a newly published network a new point."""

    checkpoint: str
    weights_sha256: str
    method: Method
    energy: float


LowRankJob = Job[LowRankPoint, LowRankRow]


def measure_live(asked: dict[str, Any], report: Report) -> None:
    """Measure one point; `report` hears steps, and at the end one row, which has the whole
    network's time in it.

    `asked`: the fields of `LowRankPoint`. Raises UserError.
    """
    from core.measure.latency import Spread
    from core.measure.network_timing import time_networks
    from core.training.lowrank import WHOLE, LowRankExperiment, measure

    low = LowRankExperiment.open(asked["checkpoint"])
    report({"step": "factor"})
    plan = low.plan(asked["method"], asked["energy"])
    whole: dict[str, Any] = {}

    def timed(nets: Any) -> Any:
        report({"step": "time"})
        found = time_networks(nets, low.px, repeats=20, budget_s=8)
        whole["torch_1"] = Spread.of(found[WHOLE])
        return found

    def heard(done: int, of: int) -> None:
        report({"step": "accuracy", "done": done, "of": of})

    row = measure(low, plan, time=timed, heard=heard)
    beside = row.model_copy(update={"latency": {**row.latency, "whole_torch_1": whole["torch_1"]}})
    report({"rows": [beside.model_dump(mode="json")]})


RUNS: LiveRuns[LowRankPoint, LowRankRow] = LiveRuns(LowRankRow, f"{__name__}:measure_live")
"""The line of this server."""
