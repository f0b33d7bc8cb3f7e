"""One sitting in which every shipped network took turns: milliseconds for one picture.

Times are comparable only with times of the same sitting, so the table is made whole or not at all;
a network that was published anew since has no time in it. `pretrained/results/latency.json`, made
by `core.training.latency_sitting`. Nothing here imports torch.
"""

from pydantic import Field

from core.measure.latency import Spread
from core.results import Frozen, ResultFile


class Timed(Frozen):
    """One network's time per call, and the weights it belongs to."""

    weights_sha256: str
    px: int
    ms: Spread


class LatencyTable(ResultFile):
    """All times of the sitting, and how it was held."""

    kind = "latency"
    command = "python -m core reproduce --steps latency"
    lists = ()

    engine: str
    device: str
    threads: int
    batch: int
    warmup: int
    rounds: int
    date: str
    commit: str
    networks: dict[str, Timed] = Field(min_length=1)
    """By checkpoint id."""

    def of(self, id: str, weights_sha256: str) -> Spread | None:
        """The time of these very weights, if they took part."""
        found = self.networks.get(id)
        return found.ms if found is not None and found.weights_sha256 == weights_sha256 else None
