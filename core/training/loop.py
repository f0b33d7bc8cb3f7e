"""The one training loop: from scratch, fine-tuning and distillation.

What changes between them is where the weights start and whether a teacher answers. Runs that are
compared share everything else: order, views, number of steps, the rule that picks the epoch.
"""

import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from core.compression.distill import agreement, loss_fn_kd
from core.data.augment import View, apply_view, draw_view
from core.data.find import find_food11
from core.data.pixels import Pixels, load_pixels
from core.errors import ConfigError, LossError
from core.models import get
from core.places import write_json
from core.training.config import TrainConfig
from core.training.evaluation import evaluate
from core.training.photographs import data_root, photographs
from core.training.runs import RunFolder, commit, start, weights_of
from core.training.schedule import lr_factor, parameter_groups
from core.training.seeds import derive, generator
from core.training.speed import (
    Compute,
    best_device,
    choose,
    device_name,
    keep_memory,
    versions,
)
from core.training.teaching import load_teacher, view_key
from core.words import _

Report = Callable[[dict[str, Any]], None]


def train(
    config: TrainConfig, folder: Path, report: Report | None = None, device: str | None = None
) -> dict[str, Any]:
    """Train, or go on where a stopped run left off; returns the content of result.json.

    `report` gets each epoch's metrics. Raises ConfigError, DataError or CheckpointError with a
    sentence for the user; the folder is then as it was, and can be resumed.
    """
    run = RunFolder(folder)
    with run.locked():
        finished = run.result()
        if finished is not None and run.config() == config:
            return finished
        keep_memory()
        return _Run(config, run, device or best_device()).go(report)


class _Run:
    """One run's working state."""

    def __init__(self, config: TrainConfig, folder: RunFolder, device: str) -> None:
        self.config, self.folder = config, folder
        self.spec = get(config.model)
        index = find_food11(data_root(config.data))
        pixels = load_pixels(index, px=config.px)
        self.training = photographs(pixels, "training", config.share, config.seed)
        self.validation = photographs(pixels, "validation")
        self.steps = max(1, len(self.training) // config.batch_size)

        stored = (folder.path / "run.json").exists() and folder.read().get("compute")
        self.compute = (
            Compute(**stored)
            if stored and stored["device"] == device
            else choose(self.spec, config.px, config.batch_size, config.precision, device)
        )
        self.teacher = load_teacher(config.teacher, config.px, device) if config.teacher else None
        start(folder, config, self._facts(pixels))

        torch.manual_seed(derive(config.seed, "weights"))
        self.net = self.compute.place(self._initial())
        self.average = (
            AveragedModel(
                self.net, multi_avg_fn=get_ema_multi_avg_fn(config.ema_decay), use_buffers=True
            )
            if config.ema_decay
            else None
        )
        self.optimizer = torch.optim.AdamW(
            parameter_groups(self.net, config.weight_decay), lr=config.lr
        )

    def _facts(self, pixels: Pixels) -> dict[str, Any]:
        index = pixels.index
        return {
            "data": {
                "name": index.name,
                "fingerprint": index.fingerprint,
                "is_food11": index.is_food11,
                "training": len(self.training),
                "validation": len(self.validation),
                "unreadable": len(pixels.unreadable),
            },
            "teacher_sha256": self.teacher.sha256 if self.teacher else None,
            "compute": vars(self.compute),
            "device": device_name(self.compute.device),
            "commit": commit(),
            "versions": versions(),
            "began": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }

    def _initial(self) -> nn.Module:
        net = self.spec.build(pretrained=self.config.pretrained)
        if self.config.start_from:
            net.load_state_dict(weights_of(self.config.start_from))
        return net

    def go(self, report: Report | None) -> dict[str, Any]:
        config = self.config
        entries = self._resume()
        by = "epoch" if config.select == "last" else "val_accuracy"
        best = max(entries, key=lambda entry: entry[by], default=None)
        for epoch in range(len(entries), config.epochs):
            entry = self._epoch(epoch)
            entries.append(entry)
            if best is None or entry[by] > best[by]:  # of equals, the earliest stays
                best = entry
                self.folder.save_weights(self._chosen().state_dict())
            # metrics first: a crash in between leaves a line too many, which resuming drops
            self.folder.write_metrics(entries)
            self.folder.save_state(self._state(len(entries)))
            if report:
                report(entry)
        assert best is not None  # epochs >= 1
        return self._finish(entries, best)

    def _finish(self, entries: list[dict[str, Any]], best: dict[str, Any]) -> dict[str, Any]:
        result = {
            "epochs": len(entries),
            "best_epoch": best["epoch"],
            "validation": {"n": best["val_n"], "correct": best["val_correct"]},
            "wall_s": round(sum(e["seconds"] for e in entries), 1),
            "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        write_json(self.folder.path / "result.json", result)
        return result

    # -- one epoch ---------------------------------------------------------------------------

    def _epoch(self, epoch: int) -> dict[str, Any]:
        config, began = self.config, time.perf_counter()
        view, key = self._view(epoch)
        px = config.px_at(epoch)
        answers = self._answers(view, key) if self.teacher and config.views else None
        torch.manual_seed(derive(config.seed, "dropout", epoch))
        order = torch.randperm(len(self.training), generator=generator(config.seed, "order", epoch))
        if len(order) >= config.batch_size:  # a last, smaller batch would weigh its pictures more
            order = order[: self.steps * config.batch_size]

        self.net.train()
        sums, seen, training_began = torch.zeros(5), 0, time.perf_counter()
        for step, rows in enumerate(order.split(config.batch_size)):
            self._set_lr(epoch * self.steps + step)
            sums += self._step(rows, view, answers, px) * len(rows)
            seen += len(rows)
        training_s = time.perf_counter() - training_began
        loss, hard, soft, correct, agreed = (sums / seen).tolist()
        val_loss, val_correct = evaluate(
            self._chosen(), self.spec, self.validation, config.px, self.compute
        )
        n = len(self.validation)
        return {
            "epoch": epoch + 1,
            "lr": self.optimizer.param_groups[0]["lr"],
            "px": px,
            "loss": loss,
            "loss_hard": hard,
            "loss_soft": soft if self.teacher else None,
            "train_accuracy": correct,
            "agreement": agreed if self.teacher else None,
            "val_loss": val_loss,
            "val_accuracy": val_correct / n,
            "val_correct": val_correct,
            "val_n": n,
            "images_per_s": round(seen / training_s, 2),
            "seconds": round(time.perf_counter() - began, 2),
        }

    def _view(self, epoch: int) -> tuple[View, tuple[object, ...]]:
        """The epoch's view: one of the shared bank, or a fresh one of this seed's own."""
        config = self.config
        key = ("bank", epoch % config.views) if config.views else (config.seed, "view", epoch)
        crop = config.px / self.training.stored.shape[-1]
        view = draw_view(
            len(self.training), config.augment, generator(*key), mixup=config.mixup, crop=crop
        )
        return view, key

    def _answers(self, view: View, key: tuple[object, ...]) -> Tensor:
        assert self.teacher is not None
        px = self.config.px  # the teacher looks at full size even while the student's side grows

        def batches() -> Iterator[tuple[Tensor, Tensor]]:
            for rows in torch.arange(len(self.training)).split(128):
                yield rows, self._see(rows, view, px)

        named = view_key(view, self.training.fingerprint, px, self.training.rows)
        return self.teacher.answers(len(self.training), named, batches)

    def _see(self, rows: Tensor, view: View, px: int) -> Tensor:
        """What the networks see of these photographs in this view: (B, 3, px, px), whole 0..255."""
        device = self.compute.device
        own = view[rows].to(device)
        partners = self.training.take(view.partner[rows], device) if self.config.mixup > 0 else None
        # whole numbers, as in any picture: what the teacher's answers are kept for is exactly this
        return apply_view(self.training.take(rows, device), own, px, partners).round_()

    def _step(self, rows: Tensor, view: View, answers: Tensor | None, px: int) -> Tensor:
        """One optimiser step; returns loss, hard, soft, accuracy, agreement (CPU, float)."""
        config, device = self.config, self.compute.device
        x = self._see(rows, view, px)
        y_a = self.training.labels[rows].to(device)
        mixed = config.mixup > 0
        y_b = self.training.labels[view.partner[rows]].to(device) if mixed else None
        teacher_logits = None
        if answers is not None:
            teacher_logits = answers[rows].to(device)
        elif self.teacher is not None:
            at_full = x if px == config.px else self._see(rows, view, config.px)
            teacher_logits = self.teacher.logits(at_full)
        with self.compute.autocast():
            logits = self.net(self.compute.lay(self.spec.normalize(x)))
        logits = logits.float()
        loss = loss_fn_kd(
            logits,
            y_a,
            teacher_logits,
            config.alpha,
            config.temperature,
            y_b=y_b,
            lam=view.lam[rows].to(device),
            label_smoothing=config.label_smoothing,
        )
        if not math.isfinite(loss.total.item()):
            raise LossError(
                _("The loss is no longer a number. Try a lower learning rate than {lr:g}.").format(
                    lr=config.lr
                )
            )
        self.optimizer.zero_grad(set_to_none=True)
        loss.total.backward()
        nn.utils.clip_grad_norm_(self.net.parameters(), config.clip_norm)
        self.optimizer.step()
        if self.average is not None:
            self.average.update_parameters(self.net)
        correct = float((logits.argmax(1) == y_a).float().mean())
        agreed = agreement(logits, teacher_logits) if teacher_logits is not None else 0.0
        return torch.tensor(
            [loss.total.item(), loss.hard.item(), loss.soft.item(), correct, agreed]
        )

    def _set_lr(self, step: int) -> None:
        config, steps = self.config, self.steps
        factor = lr_factor(step, config.warmup_epochs * steps, config.epochs * steps)
        for group in self.optimizer.param_groups:
            group["lr"] = config.lr * factor

    def _chosen(self) -> nn.Module:
        """The weights that count: the moving average where there is one."""
        return self.average.module if self.average is not None else self.net

    # -- stopping and going on ---------------------------------------------------------------

    def _state(self, epochs_done: int) -> dict[str, Any]:
        return {
            "epochs_done": epochs_done,
            "net": self.net.state_dict(),
            "average": self.average.state_dict() if self.average is not None else None,
            "optimizer": self.optimizer.state_dict(),
        }

    def _resume(self) -> list[dict[str, Any]]:
        state = self.folder.load_state()
        if state is None:
            return []
        self.net.load_state_dict(state["net"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        entries = self.folder.metrics()[: state["epochs_done"]]
        if len(entries) < state["epochs_done"]:
            raise ConfigError(
                _("{folder} has lost part of its metrics. Delete it and start again.").format(
                    folder=self.folder.path
                )
            )
        return entries
