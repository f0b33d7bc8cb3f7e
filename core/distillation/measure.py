"""Run a sweep: the same short training again and again, only T, alpha and the seed differ.

Each point is a run of its own, so a stopped sweep goes on where it was; its weights are thrown away
once they are measured. All points share the teacher's answers, so each is as cheap as from scratch.
"""

import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from core import checkpoints
from core.data.find import find_food11
from core.data.named import data_root
from core.data.pixels import Pixels, load_pixels
from core.distillation.sweep import Sweep, SweepPoint
from core.errors import UserError
from core.i18n import _
from core.models import get
from core.paths import runs_dir
from core.provenance import commit, library_versions
from core.stats import Score
from core.training.config import TrainConfig
from core.training.learner import evaluate
from core.training.loop import train
from core.training.photographs import photographs
from core.training.runs import RunFolder
from core.training.speed import Compute, best_device, device_name

Log = Callable[[str], None]
VARIED = ("temperature", "alpha", "seed", "teacher")
"""Settings in which the points of a sweep may differ."""


def missing_points(configs: Sequence[TrainConfig]) -> list[TrainConfig]:
    """Those of these trainings that the kept sweep does not hold, in order.

    All of them if the sweep was made with other settings, or taught by other weights. Raises
    UserError if they differ in more than temperature, alpha, seed and having a teacher.
    """
    model, teacher, shared = _common(configs)
    kept = Sweep.load(model)
    entry = checkpoints.load_manifest().get(teacher)
    if kept is None or entry is None or not _belongs(kept, entry, shared):
        return list(configs)
    done = {(*point.setting, point.seed) for point in kept.points}
    return [config for config in configs if (*_setting(config), config.seed) not in done]


def make_sweep(
    configs: Sequence[TrainConfig], log: Log = print, device: str | None = None
) -> Sweep:
    """Train and measure every point that is missing; the file is written after each.

    Raises UserError (see `missing_points`), DataError without photographs, CheckpointError without
    the teacher.
    """
    model, teacher, shared = _common(configs)
    entry = checkpoints.get(teacher)
    device = device or best_device()
    index = find_food11(data_root(configs[0].data))
    pixels = load_pixels(index, px=configs[0].px, crop=get(configs[0].model).crop)
    kept = Sweep.load(model)
    if (
        kept is None
        or not _belongs(kept, entry, shared)
        or kept.fingerprint != pixels.index.fingerprint
    ):
        kept = Sweep(
            model=model,
            teacher=teacher,
            teacher_sha256=entry.weights_sha256,
            shared=shared,
            data=pixels.index.name,
            is_food11=pixels.index.is_food11,
            fingerprint=pixels.index.fingerprint,
            device=device_name(device),
            versions=library_versions(),
            commit=commit(),
            date=time.strftime("%Y-%m-%d"),
        )
    done = {(*point.setting, point.seed) for point in kept.points}
    for number, config in enumerate(configs, 1):
        if (*_setting(config), config.seed) in done:
            continue
        folder = runs_dir() / f"sweep-{config.key}"
        point = _point(config, folder, pixels, device)
        kept = kept.model_copy(update={"points": (*kept.points, point)})
        kept.save()
        shutil.rmtree(folder)  # only now: what was measured is safe
        score = point.test or point.validation
        log(
            f"sweep {number}/{len(configs)}: T {point.temperature}, alpha {point.alpha}, "
            f"seed {point.seed}: {score.accuracy:.3f} of {score.n}"
        )
    return kept


def _belongs(kept: Sweep, teacher: checkpoints.Checkpoint, shared: dict[str, object]) -> bool:
    sha256 = teacher.weights_sha256
    return kept.teacher_sha256 == sha256 and kept.shared == shared


def _common(configs: Sequence[TrainConfig]) -> tuple[str, str, dict[str, object]]:
    """(model, teacher, settings that all share)."""
    every = [
        {name: value for name, value in config.model_dump().items() if name not in VARIED}
        for config in configs
    ]
    teachers = {config.teacher for config in configs if config.teacher}
    if not every or any(settings != every[0] for settings in every) or len(teachers) != 1:
        raise UserError(_("The points of a sweep may differ in T, alpha and seed only."))
    return configs[0].model, teachers.pop(), every[0]


def _setting(config: TrainConfig) -> tuple[float | None, float | None]:
    return (config.temperature, config.alpha) if config.teacher else (None, None)


def _point(config: TrainConfig, folder: Path, pixels: Pixels, device: str) -> SweepPoint:
    result = train(config, folder, device=device)
    test = None
    if (pixels.labels[pixels.split("testing")] >= 0).any():
        spec = get(config.model)
        net = spec.build()
        net.load_state_dict(RunFolder(folder).load_weights())
        # float32 whatever the training used: as the exported networks are measured
        compute = Compute(device, bfloat16=False, channels_last=True)
        testing = photographs(pixels, "testing")
        _loss, correct = evaluate(compute.place(net), spec, testing, config.px, compute)
        test = Score.of(correct, len(testing))
    validation = Score.of(result["validation"]["correct"], result["validation"]["n"])
    temperature, alpha = _setting(config)
    return SweepPoint(
        temperature=temperature,
        alpha=alpha,
        seed=config.seed,
        best_epoch=result["best_epoch"],
        validation=validation,
        test=test,
        wall_s=result["wall_s"],
    )
