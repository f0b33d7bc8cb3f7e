"""Live runs of the quantisation page: one point of the curves measured again, here and now.

The line, its patience and its limits are those of `core.training.pruning_live`.
"""

import sys
from typing import NamedTuple

from core.measure.quantization_grid import QuantRow
from core.training.pruning_live import Job, LiveRuns

WORKER = (sys.executable, "-m", "core.training.quantization_worker")


class QuantPoint(NamedTuple):
    """What is measured; the hash makes a newly published network a new point."""

    checkpoint: str
    weights_sha256: str
    scheme: str
    """One of `core.compression.quantize.SCHEMES`."""
    bits: int


QuantJob = Job[QuantPoint, QuantRow]


class QuantizationRuns(LiveRuns[QuantPoint, QuantRow]):
    """The line of these runs."""

    row = QuantRow


RUNS = QuantizationRuns(WORKER)
"""The line of this server."""
