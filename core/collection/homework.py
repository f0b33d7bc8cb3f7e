"""The two homeworks' questions put to the shipped checkpoints: which runs answer which figure.

Everything is looked up in what is shipped: a question without its runs says which are missing. The
reports' figures (`core.course`) are theirs, on the real Food-11; only which network came out ahead
can be compared with networks trained on other photographs.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from statistics import median
from typing import Literal, NamedTuple

from core.charts.theme import RoleKey, role_of
from core.checkpoints import HISTORY, Checkpoint, History, history
from core.checkpoints.by_recipe import Collected, Contrast, contrast, is_trial
from core.collection.latency import LatencyTable
from core.course import REPORTED, REPORTED_DEPTHWISE_LOSS, REPORTED_Q4, Reported
from core.errors import CheckpointError
from core.export.same_size import NEAR, SameSize, SameSizeRow, Way
from core.low_rank.rows import LowRankGrid
from core.pruning.rows import PruningGrid
from core.quantization.method import SCHEMES
from core.quantization.rows import QuantizationGrid
from core.results import AccuracyRow
from core.stats import paired_difference

FigureKey = Literal["1", "4", "9", "16", "hw13", "best", "first"]
DWPW, PLAIN_2M = "dwpw_256k-scratch", "plain_2m-scratch"
WEAK, STRONG = "dwpw_256k-distilled_weak", "dwpw_256k-distilled"
STRONGER = "dwpw_256k-distilled_stronger"


class Figure(NamedTuple):
    """One figure of the reports: whose curves it holds, and the figures they reported."""

    stems: tuple[str, ...]
    both_splits: bool = False
    """Training and validation, as figures 1 and 4 have them; else validation alone."""
    reported: Mapping[str, Reported] = {}


FIGURES: dict[FigureKey, Figure] = {
    "1": Figure((DWPW,), True, REPORTED),
    "4": Figure((PLAIN_2M,), True),
    "9": Figure((STRONG, WEAK, DWPW), reported=REPORTED),
    "16": Figure(tuple(REPORTED_Q4), reported=REPORTED_Q4),
    "hw13": Figure(
        (
            "best_100k-distilled_10ep", "best_100k-scratch_10ep",
            "hw13_residual-distilled_10ep", "hw13_residual-scratch_10ep",
            "hw13_sample-distilled_10ep", "hw13_sample-scratch_10ep",
            "hw13_residual-distilled", "hw13_residual-scratch",
            "hw13_sample-distilled", "hw13_sample-scratch",
        )
    ),
    "best": Figure(("best_100k-distilled", "best_100k-scratch")),
    "first": Figure(
        (
            "dwpw_256k-food101_distilled", "dwpw_256k-food101_scratch",
            "best_100k-food101_distilled", STRONG,
        )
    ),
}  # fmt: skip
"""HW7 2020's figures by their numbers; `hw13` and `best` are ours, for HW13 Q1's
students: all on one short schedule (on a GPU, on the long one), and the best one on the long.
`first` is ours, too: students that saw other photographs of food first."""

ClaimKey = Literal[
    "depthwise_loses", "kd_helps", "kd_passes_big", "weak_is_enough", "weak_helps",
    "stronger_helps", "plain_depthwise", "depthwise_group", "small_kd",
]  # fmt: skip


@dataclass(frozen=True)
class Claim:
    """Something the reports found, as a difference of two recipes' accuracies."""

    key: ClaimKey
    question: str
    a: str
    b: str
    """Stems; the claim is about a minus b."""
    reported: tuple[float, float] | None
    """The difference they reported, from and to (fractions); None where they gave no number."""
    expects: Literal["more", "same", "open"]
    """What the report says of a against b; `open` where it does not say."""


def _exactly(a: Reported, b: Reported) -> tuple[float, float]:
    return (a.accuracy - b.accuracy,) * 2


CLAIMS: tuple[Claim, ...] = (
    Claim("depthwise_loses", "HW7 Q1", PLAIN_2M, DWPW, REPORTED_DEPTHWISE_LOSS, "more"),
    Claim("kd_helps", "HW7 Q2", STRONG, DWPW, _exactly(REPORTED[STRONG], REPORTED[DWPW]), "more"),
    Claim("weak_helps", "HW7 Q2", WEAK, DWPW, None, "more"),
    Claim("weak_is_enough", "HW7 Q2", STRONG, WEAK, None, "same"),
    Claim("stronger_helps", "HW7 Q2", STRONGER, STRONG, None, "open"),
    Claim("kd_passes_big", "HW7 Q2", STRONG, PLAIN_2M, None, "more"),
    Claim(
        "plain_depthwise", "HW7 Q4", "plain_275k-scratch", DWPW,
        _exactly(REPORTED_Q4["plain_275k-scratch"], REPORTED_Q4[DWPW]), "same",
    ),
    Claim(
        "depthwise_group", "HW7 Q4", DWPW, "group8_277k-scratch",
        _exactly(REPORTED_Q4[DWPW], REPORTED_Q4["group8_277k-scratch"]), "more",
    ),
    Claim("small_kd", "HW13 Q2", "best_100k-distilled", "best_100k-scratch", None, "open"),
)  # fmt: skip

HARDLY = (REPORTED[STRONG].accuracy - REPORTED[DWPW].accuracy) / 4
"""The most that counts as "hardly better" or "nearly equal": a quarter of what a strong teacher
brought in the report, 3.2 points."""

Outcome = Literal["agrees", "differs", "unclear", "undecided", "answers", "missing"]


@dataclass(frozen=True)
class Tested:
    """A claim and what our runs say of it."""

    claim: Claim
    contrast: Contrast | None
    missing: tuple[str, ...]
    """Stems without a checkpoint."""

    def outcome(self) -> Outcome:
        """Judged by our interval, which holds the luck of photographs and of training.

        That there is a difference: `unclear` wherever the interval holds 0. That there is hardly
        one ("same"): by its size, `agrees` only where the whole interval lies within HARDLY, and
        `undecided` where there is a difference that may be smaller or larger than that.
        """
        if self.contrast is None:
            return "missing"
        if self.claim.expects == "same":
            _mean, low, high = self.contrast.interval()
            if low > HARDLY or high < -HARDLY:
                return "differs"
            if max(-low, high) <= HARDLY:
                return "agrees"
            return "unclear" if self.contrast.side() == "unclear" else "undecided"
        side = self.contrast.side()
        if side == "unclear":
            return "unclear"
        if self.claim.expects == "open":
            return "answers"
        return "agrees" if self.claim.expects == side else "differs"


@dataclass(frozen=True)
class _Pair:
    """Two recipes; equal where they are the same objects, which the cache below keeps alive."""

    ids: tuple[int, ...]
    a: Collected = field(compare=False)
    b: Collected = field(compare=False)


@lru_cache(maxsize=32)
def _contrast(pair: _Pair) -> Contrast:
    """`contrast`, once for all visitors. Raises LookupError where there is none yet."""
    between = contrast(pair.a, pair.b)
    if between is None:
        raise LookupError
    return between


def judge(claim: Claim, groups: Mapping[str, Collected]) -> Tested:
    """The claim put to what is shipped."""
    missing = tuple(stem for stem in (claim.a, claim.b) if stem not in groups)
    if missing:
        return Tested(claim, None, missing)
    a, b = groups[claim.a], groups[claim.b]
    try:
        return Tested(claim, _contrast(_Pair(tuple(map(id, (*a.seeds, *b.seeds))), a, b)), ())
    except LookupError:
        return Tested(claim, None, ())


def missing_ids(
    stem: str, planned: Mapping[str, str], groups: Mapping[str, Collected]
) -> list[str]:
    """Ids of a recipe that are planned (id -> stem) and not there; its first seed at least."""
    there = {seed.id for seed in groups[stem].seeds} if stem in groups else set()
    wanted = [id for id, of in planned.items() if of == stem] or [f"{stem}-s0"]
    return [] if there and not set(wanted) - there else [id for id in wanted if id not in there]


def single_differences(between: Contrast) -> list[float]:
    """a minus b for every seed of a against every seed of b: what one training each could have
    reported. Fractions, sorted; seeds need not be shared."""
    return sorted(x - y for x in between.a.accuracies for y in between.b.accuracies)


_AROUND = 5


class Flattery(NamedTuple):
    """What choosing the best epoch on the validation split does to the figure of that split."""

    checkpoint: str
    best: float
    """Validation accuracy of the chosen epoch, as the training curve shows it."""
    typical: float
    """Median of the five epochs around it."""
    test: float
    """Test accuracy of the same weights."""


def flattery(groups: Mapping[str, Collected]) -> list[Flattery]:
    """For each checkpoint whose curve was kept, and which chose among several epochs."""
    rows = []
    for checkpoint in (seed for group in groups.values() for seed in group.seeds):
        curve = _history(checkpoint)
        if curve is None or len(curve.epoch) < _AROUND or checkpoint.test is None:
            continue
        at, accuracies = curve.epoch.index(curve.chosen_epoch), curve.val_accuracy()
        start = min(max(0, at - _AROUND // 2), len(curve.epoch) - _AROUND)
        typical = median(accuracies[start : start + _AROUND])
        rows.append(Flattery(checkpoint.id, accuracies[at], typical, checkpoint.test.accuracy))
    return rows


class Curve(NamedTuple):
    """One training's accuracy on one split, epoch by epoch."""

    stem: str
    split: Literal["training", "validation"]
    role: RoleKey
    checkpoint: str
    epochs: tuple[int, ...]
    accuracies: tuple[float, ...]
    """Fractions, one per epoch."""
    n: int
    """Photographs."""


def curves(groups: Mapping[str, Collected], figure: Figure) -> tuple[tuple[Curve, ...], list[str]]:
    """The curves of a figure's runs, and the ids whose curves were not kept."""
    rows, without = [], []
    for stem in figure.stems:
        for seed in groups[stem].seeds if stem in groups else ():
            kept = _history(seed)
            if kept is None:
                without.append(seed.id)
                continue
            role, n = role_of(seed), seed.validation.n if seed.validation else kept.val_n
            rows.append(
                Curve(stem, "validation", role, seed.id, kept.epoch, kept.val_accuracy(), n)
            )
            if figure.both_splits:
                n = seed.data.learned_from
                rows.append(
                    Curve(stem, "training", role, seed.id, kept.epoch, kept.train_accuracy, n)
                )
    return tuple(rows), without


def _history(checkpoint: Checkpoint) -> History | None:
    try:
        return _kept_history(checkpoint.id, checkpoint.files[HISTORY].sha256)
    except (CheckpointError, KeyError):
        return None


@lru_cache(maxsize=128)
def _kept_history(id: str, sha256: str) -> History | None:
    del sha256  # only the key of the cache
    return history(id)


class NetworkRow(NamedTuple):
    """A recipe with a measured test accuracy; its lowest seed represents it in all but accuracy."""

    stem: str
    checkpoint: str
    model: str
    family: str
    recipe: str
    title: str
    derived: str
    """What was done to the network after its training, or empty."""
    role: RoleKey
    params: int
    size_bytes: int
    """Of the weights in float16, whatever a file is stored in."""
    macs: int
    latency_ms: float | None
    """Median for one picture; None where these weights were not timed."""
    accuracy: float
    """Fraction of the test split: mean over seeds ..."""
    low: float
    high: float
    """... and its 95 % interval (`core.stats.accuracy_interval`)."""
    n: int
    seeds: tuple[int, ...]
    accuracies: tuple[float, ...]
    """Of each seed."""
    px: int
    epochs: int
    reported: float | None
    """What the reports state of it, on Food-11."""
    data: str
    is_food11: bool


def network_rows(
    groups: Iterable[Collected], times: LatencyTable | None = None
) -> tuple[NetworkRow, ...]:
    """A row a recipe, the most accurate first."""
    rows = []
    for group in groups:
        first = group.first
        spread = times.of(first.id, first.weights_sha256) if times else None
        reported = REPORTED.get(group.stem) or REPORTED_Q4.get(group.stem)
        rows.append(
            NetworkRow(
                group.stem, first.id, first.model, first.family, first.recipe, first.title,
                first.derived_from.kind if first.derived_from else "", role_of(first),
                first.params, group.size_bytes, first.macs,
                spread.median if spread else None, *group.interval(), group.n,
                tuple(seed.seed for seed in group.seeds), tuple(group.accuracies),
                first.input_px, first.epochs, reported and reported.accuracy,
                first.data.name, first.data.is_food11,
            )
        )  # fmt: skip
    return tuple(sorted(rows, key=lambda row: -row.accuracy))


# HW7 Q1: one big network brought to the same size by different methods, from what is measured.


class Compressed(NamedTuple):
    """A network made smaller from a big one."""

    big: str
    """The id of the big one; of a distilled student, of its teacher."""
    way: Way
    network: str
    """The id of the small one; empty where only its figures were kept."""
    bits: int
    """Of a weight, as the bytes are counted."""
    params: int
    size_bytes: int
    """Of its weights file in float16, or in `bits` where that is the method."""
    accuracy: float
    low: float
    high: float
    """95 % interval of the test accuracy: photographs, and training where there are seeds."""
    n: int
    epochs: int
    """Of training after it was made smaller; 0: none."""
    measured: SameSizeRow | None = None
    """The row of the trial in which all methods train as long; None of any other version."""


def compressed(groups: Sequence[Collected]) -> list[Compressed]:
    """Every version of a trained network that was measured here, and every distilled student.

    Where there are versions that were all trained as long (`core.export.same_size`), these alone.
    Trial runs are left out. Raises CheckpointError for a file of rows that cannot be read.
    """
    if trial := [row for group in groups for row in _of_trial(group.first)]:
        return trial
    kinds: dict[str, Way] = {"narrow": "pruned", "factored": "lowrank"}
    rows: list[Compressed] = []
    for group in groups:
        first, derived = group.first, group.first.derived_from
        if is_trial(first.recipe):
            continue
        way: Way | None = "distilled" if derived is None else kinds.get(derived.kind)
        big = first.teacher if derived is None else derived.id
        if way and big:
            rows.append(
                Compressed(big, way, first.id, 16, first.params, group.size_bytes,
                           *group.interval(), group.n, first.epochs)
            )  # fmt: skip
        if derived is None:
            rows += _of_grids(first)
    return rows


def _of_trial(checkpoint: Checkpoint) -> list[Compressed]:
    """The versions of a network that were all trained as long, as far as they were measured."""
    if checkpoint.derived_from is not None or (trial := SameSize.of_checkpoint(checkpoint)) is None:
        return []
    return [
        Compressed(checkpoint.id, row.way, "", row.bits, row.params, row.size_bytes,
                   score.accuracy, *score.ci95, score.n, row.epochs, row)
        for row in trial.rows
        if (score := row.score) is not None
    ]  # fmt: skip


def _of_grids(checkpoint: Checkpoint) -> list[Compressed]:
    """Versions of a network of which only rows are kept; each has one training at most."""
    rows: list[Compressed] = []

    def add(way: Way, bits: int, size: float, params: int, row: AccuracyRow, epochs: int) -> None:
        if score := row.score:
            rows.append(
                Compressed(checkpoint.id, way, "", bits, params, round(size), score.accuracy,
                           *score.ci95, score.n, epochs)
            )  # fmt: skip

    if (factored := LowRankGrid.of_checkpoint(checkpoint)) is not None:
        in_half = 1.0 if checkpoint.weights_dtype == "float16" else 0.5
        for row in factored.rows:
            if row.ranks:
                size = in_half * row.size_bytes
                add("lowrank", 16, size, row.params, row, row.finetune_epochs)
    if (pruned := PruningGrid.of_checkpoint(checkpoint)) is not None:
        for cut in pruned.rows:
            if cut.form == "narrow" and cut.ratio:  # a state dict, in float32
                add("pruned", 16, cut.size_bytes / 2, cut.params, cut, cut.finetune_epochs)
    if (quantised := QuantizationGrid.of_checkpoint(checkpoint)) is not None:
        for rounded in quantised.rows:
            if rounded.scheme in SCHEMES:
                size = rounded.size_bytes
                add("quantised", rounded.bits, size, rounded.params, rounded, rounded.epochs)
    return rows


def at_size(rows: Iterable[Compressed], size_bytes: int) -> dict[tuple[str, Way], Compressed]:
    """(big network, way) -> the one of about that size: that was trained longest, of these the
    nearest. Not the most accurate one: that would choose by the photographs it is tested on."""
    nearest: dict[tuple[str, Way], Compressed] = {}
    for row in sorted(rows, key=lambda row: (-row.epochs, abs(row.size_bytes - size_bytes))):
        if abs(row.size_bytes - size_bytes) <= NEAR * size_bytes:
            nearest.setdefault((row.big, row.way), row)
    return nearest


def is_better(a: Compressed, b: Compressed) -> bool:
    """Whether a is right more often than b: by pairs of answers where both are known, else where
    the intervals lie apart."""
    right_a, right_b = (row.measured.was_right() if row.measured else None for row in (a, b))
    if right_a is None or right_b is None or len(right_a) != len(right_b):
        return a.low > b.high
    return paired_difference(right_a, right_b)[1] > 0
