"""`train` and `runs`: one run of the training loop, and the runs there are."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import arg

from core.cli.answer import Answer, table
from core.errors import ConfigError, UserError
from core.i18n import _
from core.models.registry import get
from core.paths import runs_dir
from core.training.cluster import train_on_ray
from core.training.config import TrainConfig
from core.training.runs import Progress, seconds_left


@dataclass(frozen=True)
class Train:
    """Train a network from scratch, fine-tune it, or distil it from a teacher.

    Every epoch is saved. The same command goes on with a run that was stopped, however it was.
    On several GPUs or machines: torchrun --nproc-per-node 4 -m core train ...
    """

    config: TrainConfig

    folder: Annotated[Path | None, arg(metavar="FOLDER")] = None
    """Where to keep the run; without it, a folder of its own among this machine's runs."""

    device: Annotated[str | None, arg(metavar="cpu|cuda|mps")] = None
    """Where to compute; without it, on the GPU if there is one."""

    publish: bool = False
    """When it is done, test it and keep it as a checkpoint (as the app does): in the folder
    `checkpoints` beside the run's, so usually SMALL_PLATES_RUNS/checkpoints."""

    ray: Annotated[str | None, arg(metavar="ADDRESS")] = None
    """Compute on the Ray cluster at this address (`auto`: the one that this machine is part of)."""

    json: bool = False
    """Print one JSON document and nothing else."""

    def run(self) -> Answer:
        folder = self.folder or runs_dir() / run_name(self.config)
        if self.ray is not None:
            result = train_on_ray(
                self.ray, self.config, folder, self._report, self.device, self.publish
            )
        else:
            result = self._train_here(folder)
        n, correct = result["validation"]["n"], result["validation"]["correct"]
        text = _(
            "Done: best epoch {epoch}, {correct:,} of {n:,} validation photographs right "
            "({accuracy:.4f}). The run is in {folder}"
        ).format(
            epoch=result["best_epoch"], correct=correct, n=n, accuracy=correct / n, folder=folder
        )
        return Answer({"folder": str(folder), **result}, text)

    def _train_here(self, folder: Path) -> dict[str, Any]:
        from core.training.distributed import leads

        if not leads():  # one answer for all processes
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        if self.publish:
            from core.training.queue.work import run_job as train
        else:
            from core.training.loop import train
        device, on_progress = device_here(self.device), _TimeLeft(self.config.epochs)
        return train(self.config, folder, self._report, device, on_progress)

    def _report(self, entry: dict[str, Any]) -> None:
        say(epoch_line(entry, self.config.epochs))


@dataclass(frozen=True)
class Runs:
    """List the training runs on this machine, oldest first; one that cannot be read is named."""

    folder: Annotated[Path | None, arg(metavar="FOLDER")] = None
    """Where to look, instead of this machine's runs."""

    json: bool = False
    """Print one JSON document and nothing else."""

    def run(self) -> Answer:
        from core.training.runs import list_runs

        rows, errors = [], []
        for run in list_runs(self.folder):
            try:
                rows.append(_row(run))
            except (UserError, OSError) as error:
                errors.append({"folder": str(run.path), "message": str(error)})
        shown = ("run", "status", "model", "teacher", "epochs_done", "epochs", "val_accuracy")
        where = self.folder or runs_dir()
        text = table(rows, shown) if rows else _("No runs in {folder}.").format(folder=where)
        if not errors:
            return Answer({"runs": rows}, text)
        note = _("Left out: {why}").format(why=" ".join(error["message"] for error in errors))
        return Answer({"runs": rows, "errors": errors}, text if rows else "", notes=(note,))


class _TimeLeft:
    """Says once, after the first timed steps, about how long the run still takes."""

    def __init__(self, epochs: int) -> None:
        self._epochs, self._announced = epochs, False

    def __call__(self, now: Progress) -> None:
        left = seconds_left(self._epochs, now.epoch - 1, now)
        if left is not None and not self._announced:
            self._announced = True
            say(_("about {minutes:,.0f} min left").format(minutes=left / 60))


def run_name(config: TrainConfig) -> str:
    """The folder of a run that was given none: the same settings always get the same one."""
    return f"{get(config.model).slug}-s{config.seed}-{config.key}"


def epoch_line(entry: dict[str, Any], epochs: int) -> str:
    """One epoch's metrics in one line."""
    parts = [
        f"epoch {entry['epoch']}/{epochs}",
        f"loss {entry['loss']:.3f}",
        f"training {entry['train_accuracy']:.3f}",
        f"validation {entry['val_accuracy']:.3f}",
        f"{entry['images_per_s']:,.0f} images/s",
        f"about {(epochs - entry['epoch']) * entry['seconds'] / 60:,.0f} min left",
    ]
    if entry.get("loss_soft") is not None:
        hard, soft, agreed = entry["loss_hard"], entry["loss_soft"], entry["agreement"]
        parts[1] += f" (hard {hard:.3f}, soft {soft:.3f})"
        parts.insert(4, f"agrees with the teacher {agreed:.3f}")
    return ", ".join(parts)


def device_here(name: str | None) -> str | None:
    """The device's name, if torch can compute there; ConfigError if not. None stays None."""
    if name is None:
        return None
    import torch

    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError):
        raise ConfigError(
            _("There is no device {name} here. Leave --device out.").format(name=repr(name))
        ) from None
    return name


def _row(run: Any) -> dict[str, Any]:
    content = run.read()
    config, metrics = content.get("config", {}), run.metrics()
    if not isinstance(config, dict):
        raise ConfigError(
            _("{folder}: its settings do not fit this version.").format(folder=run.path)
        )
    return {
        "run": run.path.name,
        "folder": str(run.path),
        "status": run.status(),
        "model": config.get("model"),
        "teacher": config.get("teacher") or None,
        "seed": config.get("seed"),
        "epochs_done": len(metrics),
        "epochs": config.get("epochs"),
        "val_accuracy": max((entry["val_accuracy"] for entry in metrics), default=None),
        "began": content.get("began"),
    }


def say(line: str) -> None:
    """A line of progress, on stderr."""
    print(line, file=sys.stderr, flush=True)
