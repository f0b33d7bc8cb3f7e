"""The line of live runs that make and measure a checkpoint's files; torch-free, as the page is.

One process at a time for all visitors, as `core.training.pruning_live` says; a run's result stays
for the next who asks.
"""

import sys
from typing import NamedTuple

from core.measure.shipping_table import FileRow
from core.training.pruning_live import Job, LiveRuns

WORKER = (sys.executable, "-m", "core.training.shipping_worker")


class FilePoint(NamedTuple):
    """What is made: all files of a checkpoint; the hash makes newly published weights new."""

    checkpoint: str
    weights_sha256: str


FileJob = Job[FilePoint, FileRow]


class FileRuns(LiveRuns[FilePoint, FileRow]):
    """The line, with rows of files."""

    row = FileRow


RUNS = FileRuns(WORKER)
"""The line of this server."""
