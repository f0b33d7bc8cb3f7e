"""What pruning leaves of a network: values that are not zero, and the bytes it takes."""

import gzip
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import onnxruntime as ort
import torch
from torch import Tensor, nn

from core import checkpoints
from core.checkpoints import Checkpoint
from core.checkpoints.entry import method_name
from core.errors import ConfigError
from core.i18n import _
from core.inference.export import onnx_bytes, trace
from core.inference.predict import OnProgress, open_session
from core.live import Report
from core.models.cost import count_macs, count_params, state_bytes
from core.paths import runs_dir
from core.provenance import made_here
from core.pruning.method import (
    CHANNEL_METHODS,
    METHODS,
    ChannelGroup,
    Form,
    Method,
    Scope,
    choose,
    kept_weights,
)
from core.pruning.network import (
    PrunedPredictor,
    arrays,
    find_groups,
    forms_of,
    masked,
    prune,
    pruned_bytes,
    without_masks,
)
from core.pruning.rows import RATIOS, TIMED_RATIOS, PruningGrid, PruningRow, RowKey, ScanPoint
from core.stats import Labelled
from core.timing import BATCHES, Spread, Timing, time_sitting
from core.training.experiment import Experiment, finetune, finetune_config

if TYPE_CHECKING:
    from core.training.loop import Report


def effective_parameters(net: nn.Module) -> dict[str, Tensor]:
    """Parameters as the forward pass uses them: of a masked one, its product with the mask."""
    values = {}
    for name, parameter in net.named_parameters():
        layer, _dot, own = name.rpartition(".")
        module = net.get_submodule(layer)
        if own.endswith("_orig") and f"{own.removesuffix('_orig')}_mask" in module._buffers:
            own = own.removesuffix("_orig")
            parameter = getattr(module, f"{own}_orig") * getattr(module, f"{own}_mask")
        values[f"{layer}.{own}" if layer else own] = parameter.detach()
    return values


def count_nonzero(net: nn.Module) -> int:
    """Weights and biases that are not zero."""
    return sum(int(torch.count_nonzero(value)) for value in effective_parameters(net).values())


def gzip_bytes(net: nn.Module) -> int:
    """Length of the state dict as a safetensors file after gzip (level 6, as `gzip` does)."""
    from safetensors.torch import save

    plain = {name: t.detach().cpu().contiguous().clone() for name, t in net.state_dict().items()}
    return len(gzip.compress(save(plain), 6, mtime=0))


# Pruning experiments on a checkpoint: prune, fine-tune, measure.
#
# All forms of one method at one ratio give the same answers, so their accuracy is measured once, by
# ONNX Runtime on the published bytes with zeros in them; a narrow network is proved to agree when
# it is made. Fine-tuned networks are measured for themselves.

TimeForms = Callable[[Mapping[str, nn.Module]], Mapping[str, Timing]]


class PruningExperiment(Experiment):
    """A checkpoint to be pruned."""

    @cached_property
    def groups(self) -> tuple[ChannelGroup, ...]:
        """Its channel groups, traced once."""
        return find_groups(self.net, self.px)

    def groups_for(self, method: Method) -> tuple[ChannelGroup, ...]:
        """Its channel groups where the method needs them."""
        return self.groups if method in CHANNEL_METHODS else ()


def networks(
    experiment: PruningExperiment,
    method: Method,
    ratio: float,
    *,
    net: nn.Module | None = None,
    seed: int = 0,
    scope: Scope | None = None,
) -> dict[Form, nn.Module]:
    """The pruned network in each form that the method has; of `net` instead of the checkpoint's.

    For a `net` that was pruned so and trained on, its zeros are what goes.
    """
    return {
        form: prune(
            net or experiment.net,
            method,
            ratio,
            form,
            groups=experiment.groups_for(method),
            px=experiment.px,
            seed=seed,
            scope=scope,
        )
        for form in forms_of(method)
    }


def correct_of(
    experiment: PruningExperiment,
    method: Method,
    ratio: float,
    seed: int = 0,
    on_progress: OnProgress | None = None,
) -> int | None:
    """Right answers on the test split after pruning; None without photographs."""
    pictures = experiment.pictures()
    if pictures is None:
        return None
    keep = choose(arrays(experiment.net), method, ratio, experiment.groups_for(method), seed)
    return PrunedPredictor(experiment.checkpoint.id, keep, experiment.threads).correct(
        pictures, on_progress
    )


def describe(
    experiment: PruningExperiment,
    made: Mapping[Form, nn.Module],
    key: RowKey,
    correct: int | None,
    time: TimeForms | None = None,
    zipped: bool = False,
) -> list[PruningRow]:
    """A row per form: all that can be counted; with `zipped` or `time` its bytes after gzip, and
    with `time` its times."""
    pictures = None if correct is None else experiment.pictures()
    timed = time({str(form): net for form, net in made.items()}) if time else {}
    return [
        PruningRow(
            **key._replace(form=form)._asdict(),
            params=count_params(net),
            nonzero=count_nonzero(net),
            macs=count_macs(net, (3, experiment.px, experiment.px)),
            size_bytes=state_bytes(net),
            gzip_bytes=gzip_bytes(net) if time or zipped else None,
            latency={"torch_1": Spread.of(timed[form])} if time else {},
            n=None if pictures is None else len(pictures.labels),
            correct=correct,
        )
        for form, net in made.items()
    ]


def measure(
    experiment: PruningExperiment,
    method: Method,
    ratio: float,
    *,
    seed: int = 0,
    time: TimeForms | None = None,
    zipped: bool = False,
    on_progress: OnProgress | None = None,
) -> list[PruningRow]:
    """A row per form of one method at one ratio; `time` and `zipped` as in `describe`.

    Raises ConfigError for what `prune` cannot do.
    """
    made = networks(experiment, method, ratio, seed=seed)
    correct = correct_of(experiment, method, ratio, seed, on_progress)
    return describe(experiment, made, RowKey(method, ratio, "masked"), correct, time, zipped)


def prune_and_finetune(
    experiment: PruningExperiment,
    key: RowKey,
    *,
    scope: Scope | None = None,
    seed: int = 0,
    report: "Report | None" = None,
    device: str | None = None,
) -> nn.Module:
    """Prune to `key.ratio` in `key.rounds` equal steps, `key.finetune_epochs` epochs after each.

    Step k leaves (1 - ratio)^(k / rounds) of the weights or of the channels: five rounds to
    1 - 0.95^5 within each layer are HW7's network slimming. What is zero stays zero under its mask.
    Returns the network with its zeros written in, in eval mode; `networks(net=...)` gives its
    forms, which all answer alike. Raises ConfigError for 0 epochs or rounds, and what training
    raises.
    """
    if key.finetune_epochs < 1 or key.rounds < 1:
        raise ConfigError(_("Fine-tuning needs at least one round and one epoch."))
    config = finetune_config(experiment.checkpoint, key.finetune_epochs)
    weights = experiment.checkpoint.weights_sha256[:8]
    groups, net = experiment.groups_for(key.method), experiment.net
    for step in range(1, key.rounds + 1):
        last = step == key.rounds
        ratio = key.ratio if last else 1 - (1 - key.ratio) ** (step / key.rounds)
        keep = choose(arrays(net), key.method, ratio, groups, seed, scope)
        folder = f"prune-{experiment.checkpoint.id}-{weights}-{key.method}-{key.ratio:.4f}"
        folder += f"-{scope or 'own'}"
        folder += f"-{key.finetune_epochs}e-{step}of{key.rounds}-s{seed}"
        trained = finetune(masked(net, keep), config, runs_dir() / folder, report, device)
        net = without_masks(trained)
    return net


# A pruned network becomes a checkpoint like any other: exported, measured, in the manifest.
#
# Zeroed weights keep the model's shapes; a narrow network carries its widths in the manifest.

NARROW_TITLE = "{title}, {percent} % of channels cut out"
ZEROED_TITLE = "{title}, {percent} % of weights zeroed"


def _recipe(base: Checkpoint, kind: str, key: RowKey, draw: int) -> str:
    tuned = f"_ft{key.finetune_epochs}x{key.rounds}" if key.finetune_epochs else ""
    drawn = f"_draw{draw}" if draw else ""
    return f"{base.recipe}_{kind}_{method_name(key.method, key.ratio)}{drawn}{tuned}"


def publish_pruned(
    experiment: "PruningExperiment",
    net: "nn.Module",
    key: RowKey,
    wall_s: float = 0,
    *,
    own: bool = False,
    draw: int = 0,
) -> Checkpoint:
    """Publish `net`, a version without masks: see `Experiment.publish`.

    `draw`: the seed by which `random` chose the weights. Raises CheckpointError as `publish` does.
    """
    base = experiment.checkpoint
    kind: Literal["narrow", "pruned"] = "narrow" if key.form == "narrow" else "pruned"
    config = {"pruned_from": base.id, **key._asdict()}
    if key.finetune_epochs:
        config["finetune"] = finetune_config(base, key.finetune_epochs).model_dump(mode="json")
    title = NARROW_TITLE if kind == "narrow" else ZEROED_TITLE
    return experiment.publish(
        net,
        kind,
        _recipe(base, kind, key, draw if key.method == "random" else 0),
        title.format(title=base.title, percent=f"{100 * key.ratio:.3g}"),
        config,
        epochs=key.finetune_epochs * key.rounds,
        wall_s=wall_s,
        own=own,
    )


# All forms of a pruned network timed in one sitting: masked, removed, narrow; torch and ONNX.
#
# Only networks that took turns in the same sitting may be compared; so the page's chart of times
# comes from here, and every candidate is in memory at once.

TIMED: tuple[RowKey, ...] = (
    *(RowKey("l1", ratio, form) for ratio in TIMED_RATIOS for form in ("masked", "removed")),
    *(RowKey("channel_l2", ratio, "narrow") for ratio in TIMED_RATIOS[1:]),
    RowKey("channel_l2", 0.5, "masked"),
    RowKey("channel_l2", 0.5, "removed"),
    RowKey("bn_gamma", 0.5, "narrow"),
)
"""What takes turns. Dense arithmetic does not care where the zeros are: other methods' masks cost
what these cost."""


def times(engine: str) -> tuple[str, ...]:
    """The columns of an engine: `torch_1`, `torch_32` ..."""
    return tuple(f"{engine}_{batch}" for batch in BATCHES)


def columns(key: RowKey) -> tuple[str, ...]:
    """Which times a row has. An ONNX file holds no masks, so no masked form can be timed there."""
    return times("torch") if key.form == "masked" else (*times("torch"), *times("onnx"))


def timed_rows(
    experiment: PruningExperiment,
    known: Callable[[RowKey], PruningRow | None],
    log: Callable[[str], None],
) -> list[PruningRow]:
    """The rows of TIMED with their times and zipped bytes, on top of what is `known` of them."""
    made = {key: networks(experiment, key.method, key.ratio)[key.form] for key in TIMED}
    log("all forms made")
    sessions = {
        _name(key): _session(experiment, made[key], key)
        for key in TIMED
        if times("onnx")[0] in columns(key)
    }
    log("exported")
    nets = {_name(key): net for key, net in made.items()}
    latency = time_sitting(nets, sessions, experiment.px, log)
    return [
        (known(key) or describe(experiment, {key.form: made[key]}, key, None)[0]).model_copy(
            update={"latency": latency[_name(key)], "gzip_bytes": gzip_bytes(made[key])}
        )
        for key in TIMED
    ]


def _name(key: RowKey) -> str:
    return f"{key.method} {key.ratio} {key.form}"


def _session(experiment: PruningExperiment, net: nn.Module, key: RowKey) -> ort.InferenceSession:
    """A narrow network is exported anew; zeros alone fit the published graph."""
    if key.form == "narrow":
        return open_session(onnx_bytes(trace(net, experiment.spec, experiment.px)))
    graph, weights = checkpoints.GRAPH, checkpoints.WEIGHTS
    files = checkpoints.read_files(experiment.checkpoint.id, graph, weights)[1]
    keep = choose(arrays(experiment.net), key.method, key.ratio, experiment.groups_for(key.method))
    return open_session(files[graph], pruned_bytes(files[weights], keep))


# Fill a checkpoint's grid of pruned versions, stage by stage; what is there is not done again.
#
# - `curves`: every method at 0, 5, ... 95 %, all forms: accuracy, parameters, MACs, bytes.
# - `times`: one sitting in which all forms take turns (`core.pruning.measure`), and zipped
#   bytes where the curves were made without them.
# - `scan`: each convolution pruned alone, on pictures of the validation split.
# - `finetune`: some points after an epoch of fine-tuning, and HW7's slimming in five rounds.
#
# The file is written after every point, so a stopped run goes on where it was.

Stage = Literal["curves", "times", "scan", "finetune"]
STAGES: tuple[Stage, ...] = get_args(Stage)
Log = Callable[[str], None]

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
    if grid is None or grid.weights_sha256 != entry.weights_sha256:
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
    log: Log = print,
    *,
    threads: int = 1,
    teachers: bool = False,
    device: str | None = None,
) -> PruningGrid:
    """Do what is missing of these stages for one checkpoint; returns its grid.

    `threads`: computing threads for accuracies (times use one). Teachers are fine-tuned only if
    asked for: an epoch of one takes minutes. Raises CheckpointError and what training raises.
    """
    experiment = PruningExperiment.open(id, threads)
    grid = PruningGrid.begin(
        experiment.checkpoint,
        experiment.pixels.index if experiment.pixels else None,
        lambda: made_here(layers=_in_order(experiment), groups=experiment.groups),
    )

    def log_line(line: str) -> None:
        log(f"{id}: {line}")

    if "curves" in stages:
        grid = _curves(experiment, grid, log_line)
    if "times" in stages and not _is_timed(grid):
        grid = _keep(grid, timed_rows(experiment, grid.row, log_line))
    if "times" in stages:
        grid = _zipped(experiment, grid, log_line)
    if "scan" in stages:
        grid = _scan(experiment, grid, log_line)
    if "finetune" in stages and (teachers or experiment.checkpoint.family != "teacher"):
        grid = _finetuned(experiment, grid, log_line, device)
    return grid


def _in_order(experiment: PruningExperiment) -> tuple[str, ...]:
    """Names of the convolution weights in order of execution."""
    seen: dict[str, None] = {}
    hooks = [
        module.register_forward_hook(
            lambda *_call, name=f"{name}.weight": seen.setdefault(name, None)
        )
        for name, module in experiment.net.named_modules()
        if isinstance(module, nn.Conv2d)
    ]
    try:
        count_macs(experiment.net, (3, experiment.px, experiment.px))  # any forward pass will do
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


def _outcome(rows: Sequence[PruningRow]) -> str:
    score = rows[0].score
    return "no photographs" if score is None else f"{score.accuracy:.1%} right"


def _curves(experiment: PruningExperiment, grid: PruningGrid, log: Log) -> PruningGrid:
    plain = next((row.correct for row in grid.rows if row.ratio == 0), None)
    photographs = experiment.pictures() is not None
    for method in METHODS:
        for ratio in RATIOS:
            known = [grid.row(RowKey(method, ratio, form)) for form in forms_of(method)]
            if all(row is not None and (row.n or not photographs) for row in known):
                continue
            if ratio == 0 and plain is not None:  # the network itself, whatever the method
                key = RowKey(method, ratio, "masked")
                rows = describe(
                    experiment, networks(experiment, method, ratio), key, plain, zipped=True
                )
            else:
                rows = measure(experiment, method, ratio, zipped=True)
                plain = rows[0].correct if ratio == 0 else plain
            grid = _keep(grid, rows)
            log(f"{method} {ratio:.0%}, {_outcome(rows)}")
    return grid


def _is_timed(grid: PruningGrid) -> bool:
    rows = {key: grid.row(key) for key in TIMED}
    return all(row is not None and set(columns(key)) <= set(row.latency)
               for key, row in rows.items())  # fmt: skip


def _unzipped(grid: PruningGrid) -> list[PruningRow]:
    """Rows whose zipped bytes are missing, those after fine-tuning aside: their network is gone."""
    return [row for row in grid.rows if row.gzip_bytes is None and not row.finetune_epochs]


def _zipped(experiment: PruningExperiment, grid: PruningGrid, log: Log) -> PruningGrid:
    points = dict.fromkeys((row.method, row.ratio) for row in _unzipped(grid))
    for method, ratio in points:
        made = networks(experiment, method, ratio)
        rows = [
            row.model_copy(update={"gzip_bytes": gzip_bytes(made[row.form])})
            for row in _unzipped(grid)
            if (row.method, row.ratio) == (method, ratio)
        ]
        grid = grid.with_rows(rows)
        grid.save()
        log(f"{method} {ratio:.0%}, zipped")
    return grid


def _scan(experiment: PruningExperiment, grid: PruningGrid, log: Log) -> PruningGrid:
    pictures = experiment.pictures("validation")
    if pictures is None:
        return grid
    some = _some_of_each(pictures)
    tensors = arrays(experiment.net)
    known = {(point.layer, point.ratio) for point in grid.scan}
    for layer in grid.layers:
        for ratio in SCAN_RATIOS:
            if (layer, ratio) in known:
                continue
            keep = kept_weights(tensors, "l1", ratio, layers=[layer])
            right = PrunedPredictor(experiment.checkpoint.id, keep, experiment.threads).correct(
                some
            )
            point = ScanPoint(layer=layer, ratio=ratio, n=len(some.labels), correct=right)
            grid = grid.model_copy(update={"scan": (*grid.scan, point)})
        grid.save()
        log(f"scanned {layer}")
    return grid


def _some_of_each(pictures: Labelled) -> Labelled:
    rows = np.concatenate(
        [np.flatnonzero(pictures.labels == label)[:SCAN_PER_CLASS] for label in range(11)]
    )
    return Labelled(pictures.pixels[rows], pictures.labels[rows])


def _finetuned(
    experiment: PruningExperiment, grid: PruningGrid, log: Log, device: str | None
) -> PruningGrid:
    for key in (*FINETUNED, SLIMMED):
        if grid.row(key) is not None:
            continue
        scope: Scope | None = "layer" if key == SLIMMED else None
        began = time.perf_counter()
        net = prune_and_finetune(experiment, key, scope=scope, device=device)
        forms = networks(experiment, key.method, key.ratio, net=net, scope=scope)
        made = {key.form: forms[key.form]}
        rows = describe(experiment, made, key, experiment.right_answers(made[key.form]))
        if key == SLIMMED:
            publish_pruned(experiment, made[key.form], key, time.perf_counter() - began)
        grid = _keep(grid, rows)
        log(f"{key.method} {key.ratio:.0%} after fine-tuning, {_outcome(rows)}")
    return grid


def measure_live(point: dict[str, Any], report: Report) -> None:
    """Measure one point; `report` hears steps, and at the end `{"rows": [...]}`.

    `point`: the fields of `Point`. Raises UserError.
    """
    from core.timing import time_networks

    experiment = PruningExperiment.open(point["checkpoint"])
    report({"step": "prune"})

    def timed(nets: Any) -> Any:
        report({"step": "time"})
        return time_networks(nets, experiment.px, repeats=20, budget_s=8)

    def on_progress(done: int, of: int) -> None:
        report({"step": "accuracy", "done": done, "of": of})

    rows = measure(experiment, point["method"], point["ratio"], time=timed, on_progress=on_progress)
    report({"rows": [row.model_dump(mode="json") for row in rows]})
