"""A run is a folder: what was asked, what happened each epoch, and the state to go on from.

    run.json           configuration, data fingerprint, commit, device, versions (once, at start),
                       from which epoch on how many processes trained it
    metrics.jsonl      one line an epoch
    state.pt           weights, optimiser, epoch: what resuming needs (replaced after every epoch)
    best.safetensors   the weights of the epoch chosen on the validation split
    result.json        written last: a run without it is not finished
    progress.json      how far the running epoch is (`core.training.progress`); no result

Each file is replaced as a whole, so killing the process loses the running epoch and nothing else.
"""

import contextlib
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from pydantic import ValidationError

from core.errors import ConfigError
from core.places import parse_json, read_json, runs_dir, write_atomic, write_json
from core.training.config import TrainConfig
from core.words import _


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
        said = self.read()
        known: dict[str, int] = said.get("processes") or {"1": 1}
        if list(known.values())[-1] != processes:
            said["processes"] = known | {str(epochs_done + 1): processes}
            write_json(self.path / "run.json", said)

    def widths(self) -> dict[str, tuple[int, ...]]:
        """Layers that are narrower than the model's, where it started from a pruned network."""
        said: dict[str, list[int]] = self.read().get("widths") or {}
        return {name: tuple(width) for name, width in said.items()}

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
    there = folder.read()
    if there.get("config") != wanted["config"]:
        changed = sorted(
            name for name in wanted["config"] if there["config"].get(name) != wanted["config"][name]
        )
        raise ConfigError(
            _("{folder} holds a run with other settings ({names}). Choose another folder.").format(
                folder=folder.path, names=", ".join(changed)
            )
        )
    if _fingerprints(there) != _fingerprints(facts):
        raise ConfigError(
            _("The photographs have changed since {folder} began. Start a new run.").format(
                folder=folder.path
            )
        )
    if there.get("teacher_sha256") != facts["teacher_sha256"]:
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
        said = read_json(file)
    except FileNotFoundError:
        raise ConfigError(_("{folder} holds no training run.").format(folder=file.parent)) from None
    except OSError as error:
        why = error.strerror or str(error)
    except ValueError as error:
        why = str(error)
    else:
        if isinstance(said, dict):
            return said
        why = _("it is no table of facts")
    raise ConfigError(_("{file} cannot be read ({why}).").format(file=file, why=why))


def list_runs(folder: Path | None = None) -> list[RunFolder]:
    """All runs under `folder` (default: this machine's runs), oldest first.

    Whether one can be read is for the reader to find out: `RunFolder.read`.
    """
    found = []
    for file in (folder or runs_dir()).glob("*/run.json"):
        with contextlib.suppress(OSError):  # deleted meanwhile
            found.append((file.stat().st_mtime, file.parent))
    return [RunFolder(run) for _when, run in sorted(found)]


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
