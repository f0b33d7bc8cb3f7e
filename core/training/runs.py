"""A run is a folder: what was asked, what happened each epoch, and the state to go on from.

    run.json           configuration, data fingerprint, commit, device, versions (once, at start),
                       from which epoch on how many processes trained it
    metrics.jsonl      one line an epoch
    state.pt           weights, optimiser, epoch: what resuming needs (replaced after every epoch)
    best.safetensors   the weights of the epoch chosen on the validation split
    result.json        written last: a run without it is not finished
    progress.json      how far the running epoch is (`core.training.runs`); no result
    watch.json         losses step by step, answers to six pictures (`core.training.watch`)

Each file is replaced as a whole, so killing the process loses the running epoch and nothing else.
"""

import contextlib
import io
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from filelock import FileLock, Timeout
from pydantic import ValidationError

from core.errors import ConfigError
from core.i18n import _
from core.paths import parse_json, read_json, runs_dir, write_atomic, write_json
from core.training.config import TrainConfig


@dataclass(frozen=True)
class RunFolder:
    """One run on disk."""

    path: Path

    def read(self) -> dict[str, Any]:
        """What stood at the start: config, data, device ... Raises ConfigError if unreadable."""
        return _read(self.path / "run.json")

    def config(self) -> TrainConfig:
        """The run's configuration. Raises ConfigError if it was written by another version."""
        try:
            return TrainConfig.model_validate(self.read()["config"])
        except (KeyError, ValidationError) as error:
            raise ConfigError(
                _("{folder}: its settings do not fit this version.").format(folder=self.path)
            ) from error

    def result(self) -> dict[str, Any] | None:
        """The finished run's summary, or None. Raises ConfigError if it cannot be read."""
        file = self.path / "result.json"
        return _read(file) if file.exists() else None

    def metrics(self) -> list[dict[str, Any]]:
        """One entry an epoch; what comes after a line that was cut short is left out."""
        try:
            lines = (self.path / "metrics.jsonl").read_bytes().splitlines()
        except OSError:
            return []
        entries = []
        for line in lines:
            try:
                entry = parse_json(line)
            except ValueError:
                break
            known = isinstance(entry, dict) and isinstance(entry.get("val_accuracy"), int | float)
            if not known:
                break
            entries.append(entry)
        return entries

    def write_metrics(self, entries: list[dict[str, Any]]) -> None:
        """Replace metrics.jsonl."""
        text = "".join(json.dumps(entry, allow_nan=False) + "\n" for entry in entries)
        write_atomic(self.path / "metrics.jsonl", text.encode())

    def save_state(self, state: dict[str, Any]) -> None:
        """Replace state.pt: tensors and plain containers only, so that no unpickling is needed."""
        import torch

        buffer = io.BytesIO()
        torch.save(state, buffer)
        write_atomic(self.path / "state.pt", buffer.getvalue())

    def read_state(self) -> bytes | None:
        """The state after the last whole epoch as it is stored, or None at the start."""
        file = self.path / "state.pt"
        return file.read_bytes() if file.exists() else None

    @staticmethod
    def parse_state(stored: bytes) -> dict[str, Any]:
        """What `read_state` gave, on the CPU."""
        import torch

        state: dict[str, Any] = torch.load(
            io.BytesIO(stored), map_location="cpu", weights_only=True
        )
        return state

    def stored_compute(self) -> dict[str, Any] | None:
        """How the run computes (fields of `core.training.speed.Compute`); None before its start."""
        return self.read().get("compute") if (self.path / "run.json").exists() else None

    def note_processes(self, epochs_done: int, processes: int) -> None:
        """Note in run.json that from the next epoch on so many processes train."""
        facts = self.read()
        known: dict[str, int] = facts.get("processes") or {"1": 1}
        if list(known.values())[-1] != processes:
            facts["processes"] = known | {str(epochs_done + 1): processes}
            write_json(self.path / "run.json", facts)

    def widths(self) -> dict[str, tuple[int, ...]]:
        """Layers that are narrower than the model's, where it started from a pruned network."""
        widths: dict[str, list[int]] = self.read().get("widths") or {}
        return {name: tuple(width) for name, width in widths.items()}

    def save_weights(self, state_dict: dict[str, Any]) -> None:
        """Replace best.safetensors."""
        from safetensors.torch import save

        plain = {k: v.detach().cpu().contiguous().clone() for k, v in state_dict.items()}
        write_atomic(self.path / "best.safetensors", save(plain))

    def load_weights(self) -> dict[str, Any]:
        """The chosen epoch's weights. Raises ConfigError before the first epoch is done."""
        from safetensors.torch import load_file

        file = self.path / "best.safetensors"
        if not file.exists():
            raise ConfigError(_("{folder} has no weights yet.").format(folder=self.path))
        return load_file(file)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run; raises ConfigError if another process is training it."""
        self.path.mkdir(parents=True, exist_ok=True)
        try:
            # not 0: whoever asks for the `status` holds the lock for a moment
            with FileLock(self.path / ".lock", timeout=1):
                yield
        except Timeout:
            raise ConfigError(
                _("Another process is training {folder} right now.").format(folder=self.path)
            ) from None

    def status(self) -> str:
        """`finished`, `running` (a process holds it) or `interrupted` (can be resumed)."""
        if (self.path / "result.json").exists():
            return "finished"
        try:
            with FileLock(self.path / ".lock", timeout=0):
                return "interrupted"
        except Timeout:
            return "running"


def start(folder: RunFolder, config: TrainConfig, facts: dict[str, Any]) -> None:
    """Write run.json, or check that the folder holds this very run.

    Raises ConfigError if it holds another one: other settings, other photographs, another teacher,
    another network to start from.
    """
    wanted = {"config": config.model_dump(), **facts}
    if not (folder.path / "run.json").exists():
        write_json(folder.path / "run.json", wanted)
        return
    stored = folder.read()
    if stored.get("config") != wanted["config"]:
        changed = sorted(
            name
            for name in wanted["config"]
            if stored["config"].get(name) != wanted["config"][name]
        )
        raise ConfigError(
            _("{folder} holds a run with other settings ({names}). Choose another folder.").format(
                folder=folder.path, names=", ".join(changed)
            )
        )
    if _fingerprints(stored) != _fingerprints(facts):
        raise ConfigError(
            _("The photographs have changed since {folder} began. Start a new run.").format(
                folder=folder.path
            )
        )
    if stored.get("teacher_sha256") != facts["teacher_sha256"]:
        raise ConfigError(
            _(
                "The teacher {teacher} has other weights than when {folder} began. Start a new run."
            ).format(teacher=config.teacher, folder=folder.path)
        )
    if folder.widths() != facts["widths"]:
        raise ConfigError(
            _("{start} is not the network any more that {folder} began from.").format(
                start=config.start_from, folder=folder.path
            )
        )


def _fingerprints(facts: dict[str, Any]) -> tuple[str, str]:
    """Of a run's photographs, and of those that were added from another set (or "")."""
    data = facts["data"]
    return data["fingerprint"], (data.get("more") or {}).get("fingerprint", "")


def _read(file: Path) -> dict[str, Any]:
    try:
        content = read_json(file)
    except FileNotFoundError:
        raise ConfigError(_("{folder} holds no training run.").format(folder=file.parent)) from None
    except OSError as error:
        why = error.strerror or str(error)
    except ValueError as error:
        why = str(error)
    else:
        if isinstance(content, dict):
            return content
        why = _("it is no table of facts")
    raise ConfigError(_("{file} cannot be read ({why}).").format(file=file, why=why))


def list_runs(folder: Path | None = None) -> list[RunFolder]:
    """All runs under `folder` (default: this machine's runs, which need not be there yet), oldest
    first. Whether one can be read is for the reader to find out: `RunFolder.read`.

    Raises OSError for a folder that is not there or cannot be looked into.
    """
    try:
        inside = sorted((folder or runs_dir()).iterdir())
    except FileNotFoundError:
        if folder is not None:
            raise
        return []
    runs = []
    for run in inside:
        try:
            runs.append(((run / "run.json").stat().st_mtime, run))
        except (FileNotFoundError, NotADirectoryError):  # no run, or deleted meanwhile
            continue
        except OSError:  # whoever reads it will say why not
            runs.append((0.0, run))
    return [RunFolder(run) for _when, run in sorted(runs)]


def starting_point(name: str) -> tuple[dict[str, Any], dict[str, tuple[int, ...]]]:
    """Weights of a run (its folder, or its name here), else of a checkpoint; and its widths.

    The widths name the layers of a pruned network that are narrower than its model's. Raises
    CheckpointError if there is neither, ConfigError for a factored network.
    """
    for folder in (Path(name), runs_dir() / name):
        if (folder / "best.safetensors").exists():
            run = RunFolder(folder)
            return run.load_weights(), run.widths()
    from core import checkpoints

    entry = checkpoints.get(name)
    if entry.ranks:
        raise ConfigError(
            _(
                "{name} is factored: a training cannot start from it. Fine-tune while factoring: "
                "python -m core lowrank --finetune-epochs"
            ).format(name=name)
        )
    return checkpoints.load_weights(name), entry.widths


FILE = "progress.json"
"""How far the running epoch is, for the page: written at most once a second, replaced as a whole,
never waited for (no fsync). Losing it loses nothing; a full disk does not stop a run here."""
EVERY_S = 1.0

Phase = Literal["training", "validation"]
"""The network learns; it is tested."""


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
        return self.share if self.phase == "training" else 1.0


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


class ProgressWriter:
    """Writes progress.json of one run and calls `on_progress`; silent without a folder."""

    def __init__(
        self, folder: Path | None, on_progress: Callable[[Progress], None] | None = None
    ) -> None:
        self._folder, self._on_progress = folder, on_progress
        self._phase: tuple[int, str] = (0, "")
        self._began = self._written_at = 0.0

    def note(self, epoch: int, phase: Phase, done: int, of: int) -> None:
        """Note that `done` of `of` photographs are through; most calls only look at the clock.

        A phase begins with a call of 0: from there its speed counts.
        """
        now = time.monotonic()
        if (epoch, phase) != self._phase:
            self._phase, self._began = (epoch, phase), now
        if self._folder is None or now - self._written_at < EVERY_S:
            return
        self._written_at = now
        rate = done / (now - self._began) if now > self._began else 0.0
        progress = Progress(epoch, phase, done, of, round(rate, 1))
        text = json.dumps(progress._asdict())
        new = self._folder / f".{FILE}.new"
        with contextlib.suppress(OSError):
            new.write_text(text, encoding="utf-8")
            os.replace(new, self._folder / FILE)
        if self._on_progress is not None:
            self._on_progress(progress)

    def finish(self) -> None:
        """The run is over: nothing is under way any more."""
        if self._folder is not None:
            with contextlib.suppress(OSError):
                (self._folder / FILE).unlink(missing_ok=True)


def read_progress(folder: Path, epochs_done: int) -> Progress | None:
    """How far the epoch after `epochs_done` is; None where nothing whole is known."""
    try:
        content = read_json(folder / FILE)
        progress = Progress(
            int(content["epoch"]),
            content["phase"],
            int(content["done"]),
            int(content["of"]),
            float(content["images_per_s"]),
        )
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return None
    sound = progress.epoch == epochs_done + 1 and progress.phase in get_args(Phase)
    return progress if sound and progress.done >= 0 and progress.of > 0 else None
