"""Fill a checkpoint's grid of pruned versions, stage by stage; what is there is not done again.

- `curves`: every method at 0, 5, ... 95 %, all forms: accuracy, parameters, MACs, bytes.
- `times`: one sitting in which all forms take turns (`core.training.pruning_times`), and zipped
  bytes where the curves were made without them.
- `scan`: each convolution pruned alone, on pictures of the validation split.
- `finetune`: some points after an epoch of fine-tuning, and HW7's slimming in five rounds.

The file is written after every point, so a stopped run goes on where it was.
"""

import time
from collections.abc import Callable, Sequence
from typing import Literal, get_args

import numpy as np
from torch import nn

from core import checkpoints
from core.compression.prune import arrays, forms_of
from core.compression.prune_select import METHODS, Scope, kept_weights
from core.measure.accuracy import Labelled
from core.measure.cost import count_macs
from core.measure.pruning_grid import RATIOS, PruningGrid, PruningRow, RowKey, ScanPoint
from core.measure.sparsity import gzip_bytes
from core.provenance import made_here
from core.serving.pruned import PrunedPredictor
from core.training.pruning import (
    PruningExperiment,
    describe,
    measure,
    networks,
    prune_and_finetune,
)
from core.training.pruning_publish import publish_pruned
from core.training.pruning_times import TIMED, columns, timed_rows

Stage = Literal["curves", "times", "scan", "finetune"]
STAGES: tuple[Stage, ...] = get_args(Stage)
Say = Callable[[str], None]

SCAN_RATIOS = (0.5, 0.8, 0.95)
SCAN_PER_CLASS = 36
"""Validation pictures of each class that the scan looks at, as far as there are."""
FINETUNED: tuple[RowKey, ...] = (
    *(RowKey("l1", ratio, "removed", 1) for ratio in (0.7, 0.9)),
    *(RowKey("channel_l2", ratio, "narrow", 1) for ratio in (0.25, 0.5)),
)
SLIMMED = RowKey("bn_gamma", round(1 - 0.95**5, 4), "narrow", 1, 5)
"""HW7's network slimming: five rounds, each leaving 0.95 of every layer, then fine-tuning."""


def missing_stages(id: str) -> tuple[Stage, ...]:
    """What `make_grid` would still have to do for this checkpoint, teachers' fine-tuning aside.

    Raises CheckpointError if there is no such checkpoint.
    """
    entry, grid = checkpoints.get(id), PruningGrid.load(id)
    wanted = [stage for stage in STAGES if stage != "finetune" or entry.family != "teacher"]
    if grid is None or grid.weights_sha256 != entry.files[checkpoints.WEIGHTS].sha256:
        return tuple(wanted)
    known = {row.key for row in grid.rows if row.n}
    curves = (
        RowKey(method, ratio, form)
        for method in METHODS
        for ratio in RATIOS
        for form in forms_of(method)
    )
    scanned = {(point.layer, point.ratio) for point in grid.scan}
    done = {
        "curves": known.issuperset(curves),
        "times": _is_timed(grid) and not _unzipped(grid),
        "scan": scanned.issuperset((a, b) for a in grid.layers for b in SCAN_RATIOS),
        "finetune": known.issuperset((*FINETUNED, SLIMMED)),
    }
    return tuple(stage for stage in wanted if not done[stage])


def make_grid(
    id: str,
    stages: Sequence[Stage] = STAGES,
    say: Say = print,
    *,
    threads: int = 1,
    teachers: bool = False,
    device: str | None = None,
) -> PruningGrid:
    """Do what is missing of these stages for one checkpoint; returns its grid.

    `threads`: computing threads for accuracies (times use one). Teachers are fine-tuned only if
    asked for: an epoch of one takes minutes. Raises CheckpointError and what training raises.
    """
    one = PruningExperiment.open(id, threads)
    grid = PruningGrid.begin(
        one.checkpoint,
        one.pixels.index if one.pixels else None,
        lambda: made_here(layers=_in_order(one), groups=one.groups),
    )

    def hear(line: str) -> None:
        say(f"{id}: {line}")

    if "curves" in stages:
        grid = _curves(one, grid, hear)
    if "times" in stages and not _is_timed(grid):
        grid = _keep(grid, timed_rows(one, grid.row, hear))
    if "times" in stages:
        grid = _zipped(one, grid, hear)
    if "scan" in stages:
        grid = _scan(one, grid, hear)
    if "finetune" in stages and (teachers or one.checkpoint.family != "teacher"):
        grid = _finetuned(one, grid, hear, device)
    return grid


def _in_order(one: PruningExperiment) -> tuple[str, ...]:
    """Names of the convolution weights in order of execution."""
    seen: dict[str, None] = {}
    hooks = [
        module.register_forward_hook(
            lambda *_call, name=f"{name}.weight": seen.setdefault(name, None)
        )
        for name, module in one.net.named_modules()
        if isinstance(module, nn.Conv2d)
    ]
    try:
        count_macs(one.net, (3, one.px, one.px))  # any forward pass will do
    finally:
        for hook in hooks:
            hook.remove()
    return tuple(seen)


def _keep(grid: PruningGrid, rows: Sequence[PruningRow]) -> PruningGrid:
    """The grid with these rows, written; times that were measured earlier stay."""
    kept = []
    for row in rows:
        old = grid.row(row.key)
        if old and not row.latency:
            zipped = row.gzip_bytes or old.gzip_bytes
            row = row.model_copy(update={"latency": old.latency, "gzip_bytes": zipped})
        kept.append(row)
    return grid.keep(kept)


def _told(rows: Sequence[PruningRow]) -> str:
    score = rows[0].score
    return "no photographs" if score is None else f"{score.accuracy:.1%} right"


def _curves(one: PruningExperiment, grid: PruningGrid, say: Say) -> PruningGrid:
    plain = next((row.correct for row in grid.rows if row.ratio == 0), None)
    photographs = one.pictures() is not None
    for method in METHODS:
        for ratio in RATIOS:
            known = [grid.row(RowKey(method, ratio, form)) for form in forms_of(method)]
            if all(row is not None and (row.n or not photographs) for row in known):
                continue
            if ratio == 0 and plain is not None:  # the network itself, whatever the method
                key = RowKey(method, ratio, "masked")
                rows = describe(one, networks(one, method, ratio), key, plain, zipped=True)
            else:
                rows = measure(one, method, ratio, zipped=True)
                plain = rows[0].correct if ratio == 0 else plain
            grid = _keep(grid, rows)
            say(f"{method} {ratio:.0%}, {_told(rows)}")
    return grid


def _is_timed(grid: PruningGrid) -> bool:
    rows = {key: grid.row(key) for key in TIMED}
    return all(row is not None and set(columns(key)) <= set(row.latency)
               for key, row in rows.items())  # fmt: skip


def _unzipped(grid: PruningGrid) -> list[PruningRow]:
    """Rows whose zipped bytes are missing, those after fine-tuning aside: their network is gone."""
    return [row for row in grid.rows if row.gzip_bytes is None and not row.finetune_epochs]


def _zipped(one: PruningExperiment, grid: PruningGrid, say: Say) -> PruningGrid:
    points = dict.fromkeys((row.method, row.ratio) for row in _unzipped(grid))
    for method, ratio in points:
        made = networks(one, method, ratio)
        rows = [
            row.model_copy(update={"gzip_bytes": gzip_bytes(made[row.form])})
            for row in _unzipped(grid)
            if (row.method, row.ratio) == (method, ratio)
        ]
        grid = grid.with_rows(rows)
        grid.save()
        say(f"{method} {ratio:.0%}, zipped")
    return grid


def _scan(one: PruningExperiment, grid: PruningGrid, say: Say) -> PruningGrid:
    pictures = one.pictures("validation")
    if pictures is None:
        return grid
    some = _some_of_each(pictures)
    tensors = arrays(one.net)
    known = {(point.layer, point.ratio) for point in grid.scan}
    for layer in grid.layers:
        for ratio in SCAN_RATIOS:
            if (layer, ratio) in known:
                continue
            keep = kept_weights(tensors, "l1", ratio, layers=[layer])
            right = PrunedPredictor(one.checkpoint.id, keep, one.threads).correct(some)
            point = ScanPoint(layer=layer, ratio=ratio, n=len(some.labels), correct=right)
            grid = grid.model_copy(update={"scan": (*grid.scan, point)})
        grid.save()
        say(f"scanned {layer}")
    return grid


def _some_of_each(pictures: Labelled) -> Labelled:
    rows = np.concatenate(
        [np.flatnonzero(pictures.labels == label)[:SCAN_PER_CLASS] for label in range(11)]
    )
    return Labelled(pictures.pixels[rows], pictures.labels[rows])


def _finetuned(
    one: PruningExperiment, grid: PruningGrid, say: Say, device: str | None
) -> PruningGrid:
    for key in (*FINETUNED, SLIMMED):
        if grid.row(key) is not None:
            continue
        scope: Scope | None = "layer" if key == SLIMMED else None
        began = time.perf_counter()
        net = prune_and_finetune(one, key, scope=scope, device=device)
        forms = networks(one, key.method, key.ratio, net=net, scope=scope)
        made = {key.form: forms[key.form]}
        rows = describe(one, made, key, one.right_answers(made[key.form]))
        if key == SLIMMED:
            publish_pruned(one, made[key.form], key, time.perf_counter() - began)
        grid = _keep(grid, rows)
        say(f"{key.method} {key.ratio:.0%} after fine-tuning, {_told(rows)}")
    return grid
