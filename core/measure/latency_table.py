"""One sitting in which every shipped network took turns: milliseconds for one picture.

Times are comparable only with times of the same sitting, so the table is made whole or not at all;
a network that was published anew since has no time in it. `pretrained/results/latency.json`, made
by `core.training.latency_sitting`. Nothing here imports torch.
"""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.errors import CheckpointError
from core.measure.pruning_grid import Spread, results_dir
from core.places import write_json
from core.words import _

COMMAND = "python -m core reproduce --steps latency"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Timed(_Frozen):
    """One network's time per call, and the weights it belongs to."""

    weights_sha256: str
    px: int
    ms: Spread


class LatencyTable(_Frozen):
    """All times of the sitting, and how it was held."""

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


def latency_path() -> Path:
    """The table's file, whether or not it is there."""
    return results_dir() / "latency.json"


def load_latency() -> LatencyTable | None:
    """The table, or None if nobody has measured it.

    Raises CheckpointError if there is a file that cannot be understood.
    """
    try:
        return LatencyTable.model_validate_json(latency_path().read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise CheckpointError(
            _("{file} cannot be read. Get it again with git, or make it with: {command}").format(
                file=latency_path().name, command=COMMAND
            )
        ) from error


def save_latency(table: LatencyTable) -> None:
    """Write the table, atomically."""
    write_json(latency_path(), table.model_dump(mode="json"))
