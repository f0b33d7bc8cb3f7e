"""The one training loop: from scratch, fine-tuning and distillation.

What changes between them is where the weights start and whether a teacher answers. Runs that are
compared share everything else: order, views, number of steps, the rule that picks the epoch. Here
a run begins, is stored after every epoch, goes on and ends; `core.training.learner` has the epoch.
"""

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from torch import nn

from core.checkpoints.widths import Widths, set_widths
from core.data.find import find_food11
from core.data.named import data_root
from core.data.pixels import Pixels, load_pixels
from core.errors import CheckpointError, ConfigError
from core.i18n import _
from core.models import get
from core.paths import write_json
from core.provenance import commit, library_versions
from core.training.config import TrainConfig
from core.training.distributed import ALONE, World, joined
from core.training.learner import Learner
from core.training.photographs import derive, learned_from, photographs
from core.training.runs import Progress, ProgressWriter, RunFolder, start, starting_point
from core.training.speed import Compute, best_device, choose_compute, device_name, keep_memory
from core.training.teacher_cache import in_int8, load_teacher
from core.training.watch import Picture, Watch, fixed_rows

Report = Callable[[dict[str, Any]], None]


def train(
    config: TrainConfig,
    folder: Path,
    report: Report | None = None,
    device: str | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> dict[str, Any]:
    """Train, or go on where a stopped run left off; returns the content of result.json.

    `report` gets each epoch's metrics, `on_progress` looks at the running epoch, at most one a
    second. Started by `torchrun`, the processes share the work; the
    first one writes and reports. Raises ConfigError, DataError or CheckpointError with a sentence
    for the user; the folder is then as it was, and can be resumed.
    """
    run = RunFolder(folder)
    with joined(device or best_device()) as world, ExitStack() as held:
        with world.together():
            finished = None
            if world.leads:
                held.enter_context(run.locked())
                finished = run.result()
                finished = finished if finished is not None and run.config() == config else None
        finished = world.share(finished)
        if finished is not None:
            result: dict[str, Any] = finished
            return result
        keep_memory()
        return _Run(config, run, world.device, world, on_progress).go(report)


class _Run:
    """One run's working state."""

    def __init__(
        self,
        config: TrainConfig,
        folder: RunFolder,
        device: str,
        world: World = ALONE,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> None:
        self.config, self.folder, self.world = config, folder, world
        self.spec = get(config.model)
        self.widths: Widths = {}
        with world.together():
            index = find_food11(data_root(config.data))
            crop = self.spec.crop
            pixels = load_pixels(index, px=config.px, progress=world.leads, crop=crop)
            self.more = find_food11(data_root(config.more_data)) if config.more_data else None
            self.training = learned_from(config, index, config.px, crop, world.leads)
            self.validation = photographs(pixels, "validation")
            smallest = min(config.batch_size, len(self.training))
            if smallest < world.size:
                raise ConfigError(
                    _("A batch of {batch} cannot be split over {n} processes.").format(
                        batch=smallest, n=world.size
                    )
                )
        self.compute = self._compute(device)
        with world.together():
            self.teacher, shown = None, None
            if config.teacher:
                self.teacher = load_teacher(config.teacher, config.px, device, crop)
                if self.teacher.crop != crop:
                    shown = learned_from(
                        config, index, self.teacher.px, self.teacher.crop, world.leads
                    )
                if config.teacher_int8:
                    self.teacher = in_int8(self.teacher, shown or self.training)
            torch.manual_seed(derive(config.seed, "weights"))
            net = self._initial()
        self._agree(self.training.fingerprint)
        with world.together():
            if world.leads:
                start(folder, config, self._facts(pixels))
        self.progress = ProgressWriter(folder.path if world.leads else None, on_progress)
        self.learner = Learner(
            config,
            self.spec,
            net,
            self.compute,
            self.training,
            self.validation,
            self.teacher,
            world,
            self.progress,
            shown,
        )
        self.pixels = pixels

    def _compute(self, device: str) -> Compute:
        """Number format and layout: the stored run's, else the fastest here; the same for all."""
        config, compute = self.config, None
        with self.world.together():
            if self.world.leads:
                stored = self.folder.stored_compute()
                if stored and torch.device(stored["device"]).type == torch.device(device).type:
                    compute = stored
                else:
                    part = -(-config.batch_size // self.world.size)
                    compute = vars(
                        choose_compute(self.spec, config.px, part, config.precision, device)
                    )
        return Compute(**(self.world.share(compute) | {"device": device}))

    def _agree(self, fingerprint: str) -> None:
        """Raises ConfigError where the processes do not train the same run on the same pictures."""
        taught = self.teacher.sha256 if self.teacher else ""
        mine = [self.config.model_dump_json(exclude={"data", "more_data"}), fingerprint, taught]
        theirs = self.world.share(mine)
        with self.world.together():
            if theirs != mine:
                raise ConfigError(
                    _(
                        "This process has other settings, photographs or teacher weights than the "
                        "first one: start the same command on the same files everywhere."
                    )
                )

    def _facts(self, pixels: Pixels) -> dict[str, Any]:
        index, more = pixels.index, self.more
        further = more and {
            "name": more.name,
            "fingerprint": more.fingerprint,
            "is_food11": more.is_food11,
            "training": self.training.added,
        }
        return {
            "data": {
                "name": index.name,
                "fingerprint": index.fingerprint,
                "is_food11": index.is_food11,
                "training": len(self.training) - self.training.added,
                "validation": len(self.validation),
                "unreadable": len(pixels.unreadable),
                **({"more": further} if further else {}),
            },
            "teacher_sha256": self.teacher.sha256 if self.teacher else None,
            **({"teacher_runs_on": self.teacher.runtime} if self.teacher else {}),
            "widths": self.widths,
            "compute": vars(self.compute),
            "device": device_name(self.compute.device),
            "processes": {"1": self.world.size},
            "commit": commit(),
            "versions": library_versions(),
            "began": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }

    def _initial(self) -> nn.Module:
        net = self.spec.build(pretrained=self.config.pretrained)
        if self.config.start_from:
            weights, self.widths = starting_point(self.config.start_from)
            try:
                set_widths(net, self.widths).load_state_dict(weights)
            except (CheckpointError, RuntimeError) as error:
                raise ConfigError(
                    _("The weights of {start} do not fit the network {model}.").format(
                        start=self.config.start_from, model=self.config.model
                    )
                ) from error
        return net

    def go(self, report: Report | None) -> dict[str, Any]:
        config, learner = self.config, self.learner
        entries = self._resume()
        if self.world.leads:
            self._watch(len(entries))
        by = "epoch" if config.select == "last" else "val_accuracy"
        best = max(entries, key=lambda entry: entry[by], default=None)
        for epoch in range(len(entries), config.epochs):
            entry = learner.epoch(epoch)
            entries.append(entry)
            is_best = best is None or entry[by] > best[by]  # of equals, the earliest stays
            best = entry if is_best else best
            with self.world.together():
                if self.world.leads:
                    self._store(entries, is_best)
            if report and self.world.leads:
                report(entry)
        assert best is not None  # epochs >= 1
        return self._finish(entries, best)

    def _watch(self, epochs_done: int) -> None:
        """Let the learner tell its steps and its answers to the fixed pictures, from now on."""
        learner, pixels = self.learner, self.pixels
        positions = fixed_rows(self.validation.labels.numpy())
        rows = self.validation.rows[positions]
        files = [pixels.index.files[row] for row in pixels.rows[rows]]
        pictures = [Picture(file, int(pixels.labels[row]))
                    for file, row in zip(files, rows, strict=True)]  # fmt: skip
        learner.watched = torch.tensor(positions)
        learner.watch = Watch(
            self.folder.path,
            pictures,
            self.config.epochs * learner.steps,
            learner.steps,
            epochs_done * learner.steps,
        )
        learner.watch.write(learner.answers_to_watched)

    def _store(self, entries: list[dict[str, Any]], is_best: bool) -> None:
        if is_best:
            self.folder.save_weights(self.learner.chosen().state_dict())
        # metrics first: a crash in between leaves a line too many, which resuming drops
        self.folder.write_metrics(entries)
        self.folder.save_state(self.learner.state(len(entries)))

    def _finish(self, entries: list[dict[str, Any]], best: dict[str, Any]) -> dict[str, Any]:
        result = {
            "epochs": len(entries),
            "best_epoch": best["epoch"],
            "validation": {"n": best["val_n"], "correct": best["val_correct"]},
            "wall_s": round(sum(e["seconds"] for e in entries), 1),
            "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        with self.world.together():
            if self.world.leads:
                learner = self.learner
                learner.watch.write(learner.answers_to_watched)
                write_json(self.folder.path / "result.json", result)
                self.progress.finish()
        shared: dict[str, Any] = self.world.share(result)
        return shared

    def _resume(self) -> list[dict[str, Any]]:
        """Take up the stored state, told by the first process; the metrics up to it."""
        with self.world.together():
            stored = self.folder.read_state() if self.world.leads else None
        stored = self.world.share_bytes(stored)
        if stored is None:
            return []
        state = RunFolder.parse_state(stored)
        self.learner.load(state)
        done: int = state["epochs_done"]
        entries: list[dict[str, Any]] = self.world.share(self.folder.metrics()[:done])
        if len(entries) < done:
            raise ConfigError(
                _("{folder} has lost part of its metrics. Delete it and start again.").format(
                    folder=self.folder.path
                )
            )
        if self.world.leads:
            self.folder.note_processes(done, self.world.size)
        return entries
