"""What whoever runs the server may set for its queue of trainings, by environment variables.

SMALL_PLATES_DEVICES            cuda:0,cuda:1: a job at a time on each; without it, every GPU,
                                or the processor
SMALL_PLATES_TRAIN_THREADS      processor threads of a job
SMALL_PLATES_JOBS_PER_VISITOR   how many one visitor may have running and waiting
SMALL_PLATES_JOBS_WAITING       how many may be running and waiting altogether
SMALL_PLATES_JOB_MINUTES        how long a job may run at a stretch; it is then stopped, not lost
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from core.cores import cores
from core.errors import ConfigError
from core.words import _


@dataclass(frozen=True)
class JobSettings:
    """The limits of a queue."""

    devices: tuple[str, ...] = ("",)
    """Where jobs compute, one at a time each; "" lets the job choose: a GPU if there is one."""
    threads: int = 1
    per_visitor: int = 4
    waiting: int = 60
    limit_s: float = 2 * 3600

    @classmethod
    def from_environment(cls) -> Self:
        """What the variables say. Raises ConfigError where one is no number."""
        named = os.environ.get("SMALL_PLATES_DEVICES", "")
        devices = tuple(word.strip() for word in named.split(",") if word.strip()) or _found()
        on_processor = sum(device in ("", "cpu") for device in devices)
        return cls(
            devices=devices,
            threads=_number("SMALL_PLATES_TRAIN_THREADS", max(1, cores() // max(1, on_processor))),
            per_visitor=_number("SMALL_PLATES_JOBS_PER_VISITOR", cls.per_visitor),
            waiting=_number("SMALL_PLATES_JOBS_WAITING", cls.waiting),
            limit_s=60.0 * _number("SMALL_PLATES_JOB_MINUTES", round(cls.limit_s / 60)),
        )


def _found() -> tuple[str, ...]:
    """One place a GPU where there are several; asking torch would cost the server its memory."""
    gpus = sorted(Path("/dev").glob("nvidia[0-9]*"))
    return tuple(f"cuda:{n}" for n in range(len(gpus))) if len(gpus) > 1 else ("",)


def _number(name: str, default: int) -> int:
    text = os.environ.get(name, "")
    if not text:
        return default
    try:
        number = int(text)
        if number < 1:
            raise ValueError
    except ValueError:
        raise ConfigError(
            _("{name} must be a whole number from 1, not {text}.").format(
                name=name, text=repr(text)
            )
        ) from None
    return number
