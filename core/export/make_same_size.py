"""Bring a big network to the same size by each method, train each as long, measure them together.

A row is written after every network, so that a stopped sitting goes on where it was; the times come
last, all in one sitting. Fine-tuned networks are run folders like any other and are not repeated.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import safetensors.torch
from torch import nn

from core import checkpoints
from core.errors import CheckpointError
from core.export.same_size import (
    EPOCHS,
    NEAR,
    SIZES_BYTES,
    WAYS,
    RowKey,
    SameSize,
    SameSizeRow,
    Way,
    packed,
)
from core.i18n import _
from core.inference.export import onnx_bytes, trace
from core.inference.predict import open_session, run_batches
from core.low_rank.measure import LowRankExperiment, factor_and_finetune
from core.models import registry
from core.models.cost import count_macs, count_params
from core.paths import runs_dir
from core.provenance import made_here
from core.pruning import rows as pruning
from core.pruning.measure import PruningExperiment, networks, prune_and_finetune
from core.quantization import aware
from core.quantization import rows as quantization
from core.quantization.graph import suffix
from core.quantization.measure import QuantizationExperiment, version, written_bytes
from core.timing import Spread, time_sessions
from core.training.config import TrainConfig
from core.training.loop import train
from core.training.publish import weights_bytes
from core.training.runs import RunFolder

Log = Callable[[str], None]

STUDENTS = {
    1_000_000: "design:px128-relu6-stem16p-sep32p-sep64p-sep128p-sep256x7",
    300_000: "design:px128-relu6-stem12p-sep24p-sep48p-sep96p-sep192x4",
}
"""HW7's student, deeper or narrower: what a big network teaches, by the bytes of its file."""
LESSON: dict[str, Any] = {
    "alpha": 0.7, "temperature": 4.0, "views": EPOCHS, "ema_decay": 0.98, "select": "last",
}  # fmt: skip
"""How it teaches; the rest of the settings are those it learned by itself."""
SCHEME: quantization.Form = "channel_symmetric"
REPEATS = 60
BUDGET_S = 12.0


class Made(NamedTuple):
    """A smaller network: as ONNX Runtime computes it, and as its file keeps it."""

    setting: str
    bits: int
    params: int
    macs: int
    size_bytes: int
    graph: bytes


def state(id: str) -> str:
    """How far it is: "missing", "started" or "done". Raises CheckpointError."""
    entry, kept = checkpoints.load_manifest().get(id), SameSize.load(id)
    if entry is None or kept is None or kept.weights_sha256 != entry.weights_sha256:
        return "missing"
    known = [kept.row(key) for key in wanted(kept)]
    return "done" if all(row is not None and row.latency and row.n for row in known) else "started"


def wanted(kept: SameSize) -> list[RowKey]:
    """The versions that can be made: at one bit a weight some networks are still too large."""
    return [
        RowKey(way, size)
        for size in SIZES_BYTES
        for way in WAYS
        if way != "quantised" or kept.smallest_bytes <= (1 + NEAR) * size
    ]


def make_same_size(
    id: str,
    log: Log = print,
    *,
    threads: int = 1,
    device: str | None = None,
    epochs: int = EPOCHS,
    timed: bool = True,
) -> SameSize:
    """Make and measure every version that is missing; returns all rows, which are written, too.

    `threads`: for accuracies; times use one. Raises CheckpointError without photographs, and what
    training raises.
    """
    maker = _Maker(id, threads, device, epochs, log)
    experiment = maker.pruning
    if experiment.pixels is None:
        raise CheckpointError(_("Compressing to the same size takes photographs to train on."))
    kept = SameSize.begin(
        experiment.checkpoint,
        experiment.pixels.index,
        lambda: made_here(smallest_bytes=experiment.checkpoint.params // 8),
    )
    for key in wanted(kept):
        if kept.row(key) is None:
            kept = kept.keep([_row(maker, key, maker.make(key))])
            row = kept.row(key)
            assert row is not None and row.score is not None
            log(f"{id}, {key.way}: {row.size_bytes:,} bytes, {row.score.accuracy:.1%} right")
    rows = [row for row in (kept.row(key) for key in wanted(kept)) if row is not None]
    if timed and any(not row.latency for row in rows):
        kept = kept.keep(_timed(maker, rows))
        log(f"{id}: timed")
    return kept


class _Maker:
    """Makes one big network's versions."""

    def __init__(self, id: str, threads: int, device: str | None, epochs: int, log: Log) -> None:
        self.id, self.threads, self.device, self.epochs = id, threads, device, epochs
        self.log = log
        self.pruning = PruningExperiment.open(id, threads)

    def report(self, metrics: dict[str, Any]) -> None:
        """Hears every epoch."""
        self.log(f"{self.id}: epoch {metrics['epoch']}, loss {metrics['loss']:.3f}")

    def make(self, key: RowKey) -> Made:
        """The version of that key, trained; what was trained before is only read."""
        make: dict[Way, Callable[[int], Made]] = {
            "distilled": self.distilled,
            "lowrank": self.factored,
            "pruned": self.cut,
            "quantised": self.rounded,
        }
        return make[key.way](key.target_bytes)

    def distilled(self, size: int) -> Made:
        """A small student that the big network teaches."""
        big, design = self.pruning.checkpoint, STUDENTS[size]
        config = TrainConfig.model_validate(
            big.config
            | LESSON
            | {"model": design, "teacher": self.id, "epochs": self.epochs}
            | {"warmup_epochs": self.epochs / 10}
        )
        weights = big.weights_sha256[:8]
        folder = runs_dir() / f"same-size-{self.id}-{weights}-{size}-{self.epochs}e"
        run = RunFolder(folder)
        if run.result() is None or run.config() != config:
            train(config, folder, self.report, self.device)
        net = registry.get(design).build()
        net.load_state_dict(run.load_weights())
        return self._halved(net, design, design)

    def factored(self, size: int) -> Made:
        """Low-rank factors, the same share of energy in every layer."""
        experiment = LowRankExperiment.open(self.id, self.threads)
        plan = experiment.plan_for_budget("auto", size // 2)
        net = factor_and_finetune(
            experiment, plan, self.epochs, report=self.report, device=self.device
        )
        return self._halved(net, f"energy {plan.energy:.3f}")

    def cut(self, size: int) -> Made:
        """The channels of the smallest BatchNorm scales cut out, until the file is so small."""
        low, high = 0.0, 1.0  # of 128 shares, the smallest that is small enough
        while high - low > 1 / 128:
            middle = (low + high) / 2
            net = networks(self.pruning, "bn_gamma", middle)["narrow"]
            low, high = (middle, high) if 2 * count_params(net) > size else (low, middle)
        key = pruning.RowKey("bn_gamma", high, "narrow", self.epochs)
        net = prune_and_finetune(self.pruning, key, report=self.report, device=self.device)
        narrow = networks(self.pruning, key.method, high, net=net)["narrow"]
        return self._halved(narrow, f"{high:.1%} of channels")

    def rounded(self, size: int) -> Made:
        """As many bits a weight as come nearest, known to the network while it is trained."""
        params = self.pruning.checkpoint.params
        bits = min(range(1, 9), key=lambda bits: abs(params * bits / 8 - size))
        key = quantization.RowKey(SCHEME, bits, "aware", self.epochs)
        net = aware.tuned(self.pruning, key, self.report, self.device)
        made = version(
            QuantizationExperiment.open(self.id, self.threads), key, aware.state_arrays(net)
        )
        big = self.pruning.checkpoint
        return Made(
            f"{bits} bits", bits, big.params, big.macs,
            written_bytes(made.file, suffix(SCHEME)), made.graph,
        )  # fmt: skip

    def _halved(self, net: nn.Module, setting: str, model: str = "") -> Made:
        """A network whose file is in float16, measured with the numbers of that file."""
        about = {"checkpoint": self.id, "model": model or self.pruning.checkpoint.model}
        file = weights_bytes(net, "float16", about)
        weights = {name: value.float() if value.is_floating_point() else value
                   for name, value in safetensors.torch.load(file).items()}  # fmt: skip
        net.load_state_dict(weights)
        net.eval()
        spec, px = registry.get(about["model"]), self.pruning.px
        return Made(
            setting, 16, count_params(net), count_macs(net, (3, px, px)),
            written_bytes(file, ".safetensors"), onnx_bytes(trace(net, spec, px)),
        )  # fmt: skip


def _row(maker: _Maker, key: RowKey, made: Made) -> SameSizeRow:
    pictures = maker.pruning.pictures()
    assert pictures is not None  # they are what it was trained on
    session = open_session(made.graph, threads=maker.threads)
    right = run_batches(session, pictures.pixels).argmax(1) == pictures.labels
    return SameSizeRow(
        way=key.way,
        target_bytes=key.target_bytes,
        setting=made.setting,
        bits=made.bits,
        params=made.params,
        macs=made.macs,
        size_bytes=made.size_bytes,
        epochs=maker.epochs,
        n=len(right),
        correct=int(right.sum()),
        right=packed(right),
    )


def _timed(maker: _Maker, rows: list[SameSizeRow]) -> list[SameSizeRow]:
    """All of them, one picture at a time, taking turns in one sitting."""
    sessions = {str(row.key): open_session(maker.make(row.key).graph) for row in rows}
    timed = time_sessions(sessions, maker.pruning.px, repeats=REPEATS, budget_s=BUDGET_S)
    return [
        row.model_copy(update={"latency": {"onnx_1": Spread.of(timed[str(row.key)])}})
        for row in rows
    ]
