"""How far the running epoch is: a small file beside the run that the page reads.

    progress.json      epoch, what it is doing, photographs done and to do, images per second

It is written at most once a second, replaced as a whole and never waited for (no fsync): losing it
loses nothing, for no result is made of it. A full disk does not stop a run here.
"""

import contextlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from core.places import read_json

FILE = "progress.json"
EVERY_S = 1.0

Phase = Literal["teacher", "training", "validation"]
"""The teacher answers; the network learns; it is tested."""


class Progress(NamedTuple):
    """A look at a running epoch (counted from 1)."""

    epoch: int
    phase: Phase
    done: int
    """Photographs seen in this phase, of `of`."""
    of: int
    images_per_s: float

    @property
    def share(self) -> float:
        """How much of the phase is done, 0 to 1."""
        return min(1.0, self.done / self.of)

    @property
    def learned(self) -> float:
        """How much of the epoch's learning is done, 0 to 1."""
        return {"teacher": 0.0, "training": self.share, "validation": 1.0}[self.phase]


def seconds_left(
    epochs: int, done: int, now: Progress | None, last_epoch_s: float = 0.0
) -> float | None:
    """About how many seconds a run of `epochs` still takes, `done` of them being behind it.

    An epoch takes as long as the last one did (`last_epoch_s`; 0: there is none yet), else as long
    as the running one's steps suggest. None until its first steps are timed.
    """
    if last_epoch_s <= 0:
        if now is None or now.phase != "training" or not now.images_per_s > 0:
            return None
        last_epoch_s = now.of / now.images_per_s
    return (epochs - done - (now.learned if now else 0.0)) * last_epoch_s


class Teller:
    """Writes progress.json of one run and tells `hear`; silent without a folder."""

    def __init__(self, folder: Path | None, hear: Callable[[Progress], None] | None = None) -> None:
        self._folder, self._hear = folder, hear
        self._phase: tuple[int, str] = (0, "")
        self._began = self._told = 0.0

    def tell(self, epoch: int, phase: Phase, done: int, of: int) -> None:
        """Note that `done` of `of` photographs are through; most calls only look at the clock.

        A phase begins with a call of 0: from there its speed counts.
        """
        now = time.monotonic()
        if (epoch, phase) != self._phase:
            self._phase, self._began = (epoch, phase), now
        if self._folder is None or now - self._told < EVERY_S:
            return
        self._told = now
        rate = done / (now - self._began) if now > self._began else 0.0
        progress = Progress(epoch, phase, done, of, round(rate, 1))
        text = json.dumps(progress._asdict())
        new = self._folder / f".{FILE}.new"
        with contextlib.suppress(OSError):
            new.write_text(text, encoding="utf-8")
            os.replace(new, self._folder / FILE)
        if self._hear is not None:
            self._hear(progress)

    def finish(self) -> None:
        """The run is over: nothing is under way any more."""
        if self._folder is not None:
            with contextlib.suppress(OSError):
                (self._folder / FILE).unlink(missing_ok=True)


def read_progress(folder: Path, epochs_done: int) -> Progress | None:
    """How far the epoch after `epochs_done` is; None where nothing whole is known."""
    try:
        found = read_json(folder / FILE)
        told = Progress(
            int(found["epoch"]),
            found["phase"],
            int(found["done"]),
            int(found["of"]),
            float(found["images_per_s"]),
        )
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return None
    sound = told.epoch == epochs_done + 1 and told.phase in get_args(Phase)
    return told if sound and told.done >= 0 and told.of > 0 else None
