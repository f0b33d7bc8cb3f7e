"""A network in training: learning rate and weight decay, one epoch of steps, the validation.

A `Learner` holds what learns (network, optimiser, moving average) and what it learns from; it knows
no files. Random numbers depend on seed, purpose and epoch alone, so an epoch is the same whatever
ran before it, and in however many processes (`core.training.distributed`).
"""

import math
import time
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from core.data.augment import View, apply_view, centre_crop, draw_view
from core.errors import LossError
from core.i18n import _
from core.models import ModelSpec
from core.training.config import TrainConfig
from core.training.distributed import ALONE, World
from core.training.loss import loss_fn_kd
from core.training.photographs import Photographs, derive, generator
from core.training.runs import ProgressWriter
from core.training.speed import Compute, room_for_photographs
from core.training.teacher_cache import Teacher, view_key
from core.training.watch import Watch


def lr_factor(step: int, warmup: float, total: int) -> float:
    """Share of the highest learning rate at a step: linear warm-up, then half a cosine to 0.

    `warmup` and `total` in steps (Loshchilov & Hutter 2017, without restarts).
    """
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1.0, total - warmup)))


def adamw(net: nn.Module, lr: float, weight_decay: float) -> torch.optim.AdamW:
    """AdamW (Loshchilov & Hutter 2019) in one kernel a step: a third of the time of one kernel a
    tensor for a small network, the same numbers up to float32's rounding."""
    return torch.optim.AdamW(parameter_groups(net, weight_decay), lr=lr, fused=True)


def parameter_groups(net: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """No weight decay on biases and BatchNorm: shrinking them only fights the normalisation."""
    decayed = [p for p in net.parameters() if p.ndim > 1]
    plain = [p for p in net.parameters() if p.ndim <= 1]
    return [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]


BATCH = 128


@torch.inference_mode()
def evaluate(
    net: nn.Module,
    spec: ModelSpec,
    data: Photographs,
    px: int,
    compute: Compute,
    world: World = ALONE,
) -> tuple[float, int]:
    """Mean cross-entropy (nats) and number of right answers; leaves `net` in eval mode.

    Several processes take the batches in turn; the sums are those of one process, to the bit.
    """
    net.eval()
    batches = torch.arange(len(data)).split(BATCH)
    empty = torch.zeros(2, device=compute.device)
    sums = [empty] * len(batches)  # loss, right answers of each batch
    for number, rows in enumerate(batches):
        if not world.takes(number):
            continue
        x = spec.normalize(centre_crop(data.take(rows, compute.device), px))
        with compute.autocast():
            logits = net(compute.lay(x)).float()
        y = data.labels[rows].to(compute.device)
        batch_loss = nn.functional.cross_entropy(logits, y, reduction="sum")
        sums[number] = torch.stack([batch_loss, (logits.argmax(1) == y).sum().float()])
    loss, correct = 0.0, 0
    # the only wait for a GPU; float64 because losses are added up (`mps` has none)
    for batch_loss, batch_correct in world.add(torch.stack(sums).cpu().double()).tolist():
        loss += batch_loss
        correct += int(batch_correct)
    return loss / len(data), correct


_LOOKED_AT = 50
"""Steps from one look at the loss to the next: each look waits for a GPU."""

Tensors = tuple[Tensor, ...] | list[Tensor]


class Answers(NamedTuple):
    """A teacher's answers to one view of the training photographs."""

    logits: Tensor
    """(n, 11) on the device; 0 where it was not asked yet."""
    view: dict[str, Any] | None
    """The view's key while the teacher is being asked; None where the store had all."""


class Learner:
    """A network in training, from its first weights to those that count at the end."""

    def __init__(
        self,
        config: TrainConfig,
        spec: ModelSpec,
        net: nn.Module,
        compute: Compute,
        training: Photographs,
        validation: Photographs,
        teacher: Teacher | None = None,
        world: World = ALONE,
        progress: ProgressWriter | None = None,
        shown: Photographs | None = None,
    ) -> None:
        """`shown`: the training photographs as the teacher sees them, where it sees another part
        of a picture than the student; the views (crop, flip, colours) are the same.

        `watch` may be replaced: it is told every step's loss, and asks about the pictures of
        `watched`, positions in `validation`."""
        self.config, self.spec, self.compute, self.world = config, spec, compute, world
        self.training, self.validation, self.teacher = training, validation, teacher
        self.progress = progress or ProgressWriter(None)
        self.watch, self.watched = Watch(), torch.zeros(0, dtype=torch.long)
        self.shown = training if shown is None else shown
        if not np.array_equal(self.shown.rows, training.rows):
            raise ValueError("the teacher is shown other photographs than the student")
        added = round(config.more_share * training.added)
        self.steps = max(1, (len(training) - training.added + added) // config.batch_size)
        self.net = world.whole_batch(compute.place(net))
        self.average = moving_average(self.net, config.ema_decay) if config.ema_decay else None
        self.optimizer = adamw(self.net, config.lr, config.weight_decay)
        self.called = world.wrap(self.net)
        self.labels = training.labels.to(compute.device)
        for data in {id(split): split for split in (training, self.shown, validation)}.values():
            data.keep(compute.device, room_for_photographs(compute.device))

    def epoch(self, epoch: int) -> dict[str, Any]:
        """Learn one epoch (counted from 0); its line of metrics, the same in every process.

        Raises LossError where the loss is no longer a number.
        """
        config, began = self.config, time.perf_counter()
        view, key = self._view(epoch)
        view = view.to(self.compute.augments_on)
        px = config.px_at(epoch)
        used = self._used(key)
        answers = self._answers(view, key, used)
        torch.manual_seed(self._dropout_seed(epoch))
        order = torch.randperm(len(self.training), generator=generator(config.seed, "order", epoch))
        order = order[used[order]]
        if len(order) >= config.batch_size:  # a last, smaller batch would weigh its pictures more
            order = order[: self.steps * config.batch_size]

        order = order.to(view.lam.device)

        self.net.train()
        self.progress.note(epoch + 1, "training", 0, len(order))
        sums = torch.zeros(5, device=self.compute.device)
        seen, training_began = 0, time.perf_counter()
        for step, rows in enumerate(order.split(config.batch_size)):
            self._set_lr(epoch * self.steps + step)
            mine = self.world.part(rows)
            means = self._step(mine, view, answers, px, len(rows))
            sums += means * len(mine)
            self.watch.step(means[0], self.answers_to_watched)
            seen += len(rows)
            if step % _LOOKED_AT == 0:
                self._look(sums)
            self.progress.note(epoch + 1, "training", seen, len(order))
        self._look(sums)
        if answers is not None and answers.view is not None:  # a step was not made on all of them
            self._ask_the_rest(answers, view, used, order)
        training_s = time.perf_counter() - training_began
        loss, hard, soft, correct, agreed = (self.world.add(sums.cpu()) / seen).tolist()
        n = len(self.validation)
        self.progress.note(epoch + 1, "validation", 0, n)
        val_loss, val_correct = evaluate(
            self.chosen(), self.spec, self.validation, config.px, self.compute, self.world
        )
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

    @torch.inference_mode()
    def answers_to_watched(self) -> list[list[float]]:
        """Probabilities (pictures, 11) of the watched pictures now; changes nothing of the run."""
        if not len(self.watched):
            return []
        net = self.chosen()
        was_training = net.training
        net.eval()
        squares = self.validation.take(self.watched, self.compute.device)
        x = self.spec.normalize(centre_crop(squares, self.config.px))
        with self.compute.autocast():
            logits = net(self.compute.lay(x)).float()
        net.train(was_training)
        probabilities: list[list[float]] = [
            [round(share, 4) for share in row] for row in logits.softmax(1).cpu().tolist()
        ]
        return probabilities

    def chosen(self) -> nn.Module:
        """The weights that count: the moving average where there is one."""
        return self.average.module if self.average is not None else self.net

    def state(self, epochs_done: int) -> dict[str, Any]:
        """What going on needs: tensors and plain containers."""
        return {
            "epochs_done": epochs_done,
            "net": self.net.state_dict(),
            "average": self.average.state_dict() if self.average is not None else None,
            "optimizer": self.optimizer.state_dict(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take up a `state`, from however many processes it came."""
        self.net.load_state_dict(state["net"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])

    def _view(self, epoch: int) -> tuple[View, tuple[object, ...]]:
        """The epoch's view: one of the shared bank, or a fresh one of this seed's own."""
        config = self.config
        key = ("bank", epoch % config.views) if config.views else (config.seed, "view", epoch)
        crop = config.px / self.training.stored.shape[-1]
        view = draw_view(
            len(self.training), config.augment, generator(*key), mixup=config.mixup, crop=crop
        )
        return view, key

    def _used(self, key: tuple[object, ...]) -> Tensor:
        """(n,) bool, which photographs this view uses: all own ones, a share of those added.

        It depends on the view alone, so that all who share a view share the teacher's answers.
        """
        used = torch.ones(len(self.training), dtype=torch.bool)
        added = self.training.added
        if self.config.more_share < 1 and added:
            drawn = torch.randperm(added, generator=generator(*key, "more"))
            left_out = drawn[round(self.config.more_share * added) :]
            used[len(self.training) - added + left_out] = False
        return used

    def _dropout_seed(self, epoch: int) -> int:
        """Each process its own: two parts of a batch under one mask would be half as random."""
        others = (self.world.rank,) if self.world.rank else ()
        return derive(self.config.seed, "dropout", epoch, *others)

    def _answers(self, view: View, key: tuple[object, ...], used: Tensor) -> "Answers | None":
        """The teacher's answers to the view, where they are kept; those of the store, if any."""
        if self.teacher is None or not self.config.views:
            return None
        n, device = len(self.training), self.compute.device
        # the teacher looks at full size even while the student's side grows
        named = view_key(
            view, self.training.fingerprint, self.teacher.px, self.training.rows[used.numpy()]
        )
        if self.shown is not self.training:
            named["crop"] = self.teacher.crop
        kept = self.teacher.kept(n, named, self.world)
        if kept is not None:
            return Answers(kept.to(device), None)
        return Answers(torch.zeros(n, 11, device=device), named)

    def _ask_the_rest(self, answers: "Answers", view: View, used: Tensor, order: Tensor) -> None:
        """Ask about the photographs that no step was made on, and keep all answers."""
        assert self.teacher is not None and answers.view is not None
        rest = used.clone()
        rest[order.cpu()] = False
        for number, rows in enumerate(rest.nonzero().flatten().split(BATCH)):
            if len(rows) and self.world.takes(number):  # nothing is split into one empty part
                logits = self.teacher.logits(self._see(rows, view, self.teacher.px, self.shown))
                answers.logits[rows.to(answers.logits.device)] = logits
        self.teacher.keep(answers.logits, answers.view, self.world)

    def _see(self, rows: Tensor, view: View, px: int, data: Photographs) -> Tensor:
        """What a network sees of these photographs in this view: (B, 3, px, px), whole 0..255."""
        on = self.compute.augments_on
        rows = rows.to(on)
        own = view[rows]
        partners = data.take(own.partner, on) if self.config.mixup > 0 else None
        # whole numbers, as in any picture: what the teacher's answers are kept for is exactly this
        seen = apply_view(data.take(rows, on), own, px, partners).round_()
        return seen.to(self.compute.device)

    def _step(
        self, rows: Tensor, view: View, answers: "Answers | None", px: int, batch: int
    ) -> Tensor:
        """One optimiser step on this process' `rows` of a batch of so many.

        Returns loss, hard, soft, accuracy, agreement: means over `rows`, (5,) on the device, so
        that a GPU need not be waited for.
        """
        config, device, world = self.config, self.compute.device, self.world
        x = self._see(rows, view, px, self.training)
        y_a = self.labels[rows.to(device)]
        mixed = config.mixup > 0
        y_b = self.labels[view.partner[rows].to(device)] if mixed else None
        teacher_logits = None
        if answers is not None and answers.view is None:
            teacher_logits = answers.logits[rows.to(device)]
        elif self.teacher is not None:
            same = px == self.teacher.px and self.shown is self.training
            shown = x if same else self._see(rows, view, self.teacher.px, self.shown)
            teacher_logits = self.teacher.logits(shown)
            if answers is not None:
                answers.logits[rows.to(device)] = teacher_logits
        with self.compute.autocast():
            logits = self.called(self.compute.lay(self.spec.normalize(x)))
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
        self.optimizer.zero_grad(set_to_none=True)
        total = loss.total
        if len(rows) * world.size != batch:  # DDP takes plain means: unequal parts count unequally
            total = total * (len(rows) * world.size / batch)
        total.backward()
        nn.utils.clip_grad_norm_(self.net.parameters(), config.clip_norm)
        self.optimizer.step()
        if self.average is not None:
            self.average.update_parameters(self.net)
        answered = logits.argmax(1)
        correct = (answered == y_a).float().mean()
        agreed = torch.zeros_like(correct)
        if teacher_logits is not None:
            agreed = (answered == teacher_logits.argmax(1)).float().mean()
        means = (loss.total, loss.hard, loss.soft, correct, agreed)
        return torch.stack([value.detach() for value in means])

    def _look(self, sums: Tensor) -> None:
        """Raises LossError where the loss has become no number: once it is none, so is its sum."""
        if self.world.any(not math.isfinite(float(sums[0]))):
            raise LossError(
                _("The loss is no longer a number. Try a lower learning rate than {lr:g}.").format(
                    lr=self.config.lr
                )
            )

    def _set_lr(self, step: int) -> None:
        config, steps = self.config, self.steps
        factor = lr_factor(step, config.warmup * steps, config.epochs * steps)
        for group in self.optimizer.param_groups:
            group["lr"] = config.lr * factor


def moving_average(net: nn.Module, decay: float) -> AveragedModel:
    """A moving average of a network's weights that is not biased towards the first step.

    After n steps it is the mean of all weights so far, those of i steps ago counted decay^i
    (0 < decay < 1): sum decay^(n-i) w_i / sum decay^(n-i). Torch's own starts as a copy of the
    first weights, which then count decay^(n-1), in 60 steps at 0.999 still 94 %. This is Adam's
    bias correction (Kingma & Ba 2015) as a step size: (1 - decay) / (1 - decay^n) instead of
    1 - decay. The two differ by a share of decay^n, and their states are read alike.
    """

    @torch.no_grad()
    def update(averaged: Tensors, current: Tensors, _steps: object) -> None:
        # counted on the CPU: `_steps` is a copy on the GPU, which would have to be waited for
        step = (1 - decay) / (1 - decay ** (int(average.n_averaged) + 1))
        if averaged[0].is_floating_point():
            torch._foreach_lerp_(averaged, current, step)
            return
        for count, latest in zip(averaged, current, strict=True):  # BatchNorm's, of batches seen
            count.copy_(latest)

    average = AveragedModel(net, multi_avg_fn=update, use_buffers=True)
    return average
