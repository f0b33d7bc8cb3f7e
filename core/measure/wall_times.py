"""How long each file of cached measurements took to make: `pretrained/wall_times.json`.

The file holds seconds of wall time by the name of the result, over all sittings that it was filled
in. One that was begun before times were kept has none: part of a time would pass for the whole.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from core.errors import CheckpointError
from core.places import pretrained_dir, write_json
from core.results import results_dir
from core.words import _

_SECONDS = TypeAdapter(dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]])


def wall_times_path() -> Path:
    """Where the times are kept, whether or not there are any."""
    return pretrained_dir() / "wall_times.json"


def load_wall_times() -> dict[str, float]:
    """Seconds by the name of a file in `pretrained/results/`; empty where nothing was timed.

    Raises CheckpointError if there is a file that cannot be understood.
    """
    path = wall_times_path()
    try:
        return _SECONDS.validate_json(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValidationError) as error:
        raise CheckpointError(
            _("{file} cannot be read. Get it again with git, or delete it.").format(file=path.name)
        ) from error


@contextmanager
def timed(step: str, afresh: bool) -> Iterator[None]:
    """Note how long the body took for each of this step's results that it wrote.

    `afresh`: the results are new, and an earlier time of theirs is forgotten; else the body filled
    up what was begun, and its time is added. What was written before an error counts too. Raises
    CheckpointError as `load_wall_times`.
    """
    load_wall_times()  # what cannot be read is said before the work, not after
    before, began = _written(step), time.perf_counter()
    try:
        yield
    finally:
        took = time.perf_counter() - began
        times = load_wall_times()
        for name, when in _written(step).items():
            if before.get(name) != when and (afresh or name not in before or name in times):
                times[name] = round(took + (0 if afresh else times.get(name, 0)), 1)
        write_json(wall_times_path(), dict(sorted(times.items())))


def _written(step: str) -> dict[str, int]:
    """When each result of a step was last written."""
    return {path.name: path.stat().st_mtime_ns for path in results_dir().glob(f"{step}*.json")}
