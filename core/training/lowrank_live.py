"""Live runs of the low-rank page: one point of the curves measured again, here and now.

The line, its patience and its limits are those of `core.training.pruning_live`.
"""

import sys
from typing import NamedTuple

from core.compression.lowrank_shapes import Method
from core.measure.lowrank_grid import LowRankRow
from core.training.pruning_live import Job, LiveRuns

WORKER = (sys.executable, "-m", "core.training.lowrank_worker")


class LowRankPoint(NamedTuple):
    """What is measured; the hash makes a newly published network a new point."""

    checkpoint: str
    weights_sha256: str
    method: Method
    energy: float


LowRankJob = Job[LowRankPoint, LowRankRow]


class LowRankRuns(LiveRuns[LowRankPoint, LowRankRow]):
    """The line of these runs."""

    row = LowRankRow


RUNS = LowRankRuns(WORKER)
"""The line of this server."""
