"""The two homeworks' questions put to the shipped checkpoints: which runs answer which figure.

Everything is looked up in what is shipped: a question without its runs says which are missing. The
reports' figures (`core.course`) are theirs, on the real Food-11; only which network came out ahead
can be compared with networks trained on other photographs.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal, NamedTuple

import pandas as pd

from core.checkpoints import Checkpoint, History, history
from core.checkpoints.by_recipe import Collected, Contrast, contrast, is_trial
from core.collection.latency import LatencyTable
from core.course import REPORTED, REPORTED_DEPTHWISE_LOSS, REPORTED_Q4, Reported
from core.errors import CheckpointError
from core.export.same_size import NEAR, Way
from core.low_rank.rows import LowRankGrid
from core.pruning.rows import PruningGrid
from core.quantization.method import SCHEMES
from core.quantization.rows import QuantizationGrid
from core.results import AccuracyRow

FigureKey = Literal["1", "4", "9", "16", "hw13", "best", "first"]
DWPW, PLAIN_2M = "dwpw_256k-scratch", "plain_2m-scratch"
WEAK, STRONG = "dwpw_256k-distilled_weak", "dwpw_256k-distilled"
_AROUND = 5
_SMALL = ("best_100k", "hw13_residual", "hw13_sample")


class Figure(NamedTuple):
    """One figure of the reports: whose curves it holds, and the figures they reported."""

    stems: tuple[str, ...]
    both_splits: bool
    """Training and validation, as figures 1 and 4 have them; else validation alone."""
    reported: Mapping[str, Reported]


FIGURES: dict[FigureKey, Figure] = {
    "1": Figure((DWPW,), True, REPORTED),
    "4": Figure((PLAIN_2M,), True, {}),
    "9": Figure((STRONG, WEAK, DWPW), False, REPORTED),
    "16": Figure(tuple(REPORTED_Q4), False, REPORTED_Q4),
    "hw13": Figure(
        tuple(
            f"{model}-{recipe}{length}"
            for length in ("_10ep", "")
            for model in _SMALL
            for recipe in ("distilled", "scratch")
            if length or model != "best_100k"
        ),
        False,
        {},
    ),
    "best": Figure(("best_100k-distilled", "best_100k-scratch"), False, {}),
    "first": Figure(
        (
            "dwpw_256k-food101_distilled", "dwpw_256k-food101_scratch",
            "best_100k-food101_distilled", STRONG,
        ),
        False,
        {},
    ),
}  # fmt: skip
"""HW7 2020's figures by their numbers; `hw13` and `best` are ours, for HW13 Q1's
students: all on one short schedule (on a GPU, on the long one), and the best one on the long.
`first` is ours, too: students that saw other photographs of food first."""

ClaimKey = Literal[
    "depthwise_loses", "kd_helps", "kd_passes_big", "weak_is_enough", "weak_helps",
    "plain_depthwise", "depthwise_group", "small_kd",
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
"""The most that counts as "hardly better" or "as good as equal": a quarter of what a strong teacher
brought in the report, 3.2 points."""

Outcome = Literal["agrees", "differs", "unclear", "answers", "missing"]


@dataclass(frozen=True)
class Tested:
    """A claim and what our runs say of it."""

    claim: Claim
    found: Contrast | None
    missing: tuple[str, ...]
    """Stems without a checkpoint."""

    def outcome(self) -> Outcome:
        """Judged by our interval, which holds the luck of photographs and of training.

        That there is a difference: `unclear` wherever the interval holds 0. That there is hardly
        one ("same"): by its size, `agrees` only where the whole interval lies within HARDLY.
        """
        if self.found is None:
            return "missing"
        if self.claim.expects == "same":
            _mean, low, high = self.found.interval()
            if low > HARDLY or high < -HARDLY:
                return "differs"
            return "agrees" if max(-low, high) <= HARDLY else "unclear"
        side = self.found.side()
        if side == "unclear":
            return "unclear"
        if self.claim.expects == "open":
            return "answers"
        return "agrees" if self.claim.expects == side else "differs"


def judge(claim: Claim, groups: Mapping[str, Collected]) -> Tested:
    """The claim put to what is shipped."""
    missing = tuple(stem for stem in (claim.a, claim.b) if stem not in groups)
    found = None if missing else contrast(groups[claim.a], groups[claim.b])
    return Tested(claim, found, missing)


def missing_ids(
    stem: str, planned: Mapping[str, str], groups: Mapping[str, Collected]
) -> list[str]:
    """Ids of a recipe that are planned (id -> stem) and not there; its first seed at least."""
    there = {one.id for one in groups[stem].seeds} if stem in groups else set()
    wanted = [id for id, of in planned.items() if of == stem] or [f"{stem}-s0"]
    return [] if there and not set(wanted) - there else [id for id in wanted if id not in there]


def single_differences(found: Contrast) -> list[float]:
    """a minus b for every seed of a against every seed of b: what one training each could have
    reported. Fractions, sorted; seeds need not be shared."""
    return sorted(x - y for x in found.a.accuracies for y in found.b.accuracies)


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
    found = []
    for group in groups.values():
        for one in group.seeds:
            curve = _history(one)
            if curve is None or len(curve.epoch) < _AROUND or one.test is None:
                continue
            at = curve.epoch.index(curve.chosen_epoch)
            start = min(max(0, at - _AROUND // 2), len(curve.epoch) - _AROUND)
            near = curve.val_accuracy()[start : start + _AROUND]
            best = curve.val_accuracy()[at]
            found.append(Flattery(one.id, best, median(near), one.test.accuracy))
    return found


CURVE_COLUMNS = ("checkpoint", "stem", "seed", "split", "epoch", "accuracy", "n")


def curves_frame(groups: Mapping[str, Collected], figure: Figure) -> tuple[pd.DataFrame, list[str]]:
    """Accuracy per epoch of a figure's runs, and the ids whose curves were not kept.

    Columns CURVE_COLUMNS; `split` is training or validation, accuracies are fractions.
    """
    rows, without = [], []
    for stem in figure.stems:
        for one in groups[stem].seeds if stem in groups else ():
            found = _history(one)
            if found is None:
                without.append(one.id)
                continue
            about = (one.id, stem, one.seed)
            pictures = one.validation.n if one.validation else found.val_n
            for epoch, right in zip(found.epoch, found.val_accuracy(), strict=True):
                rows.append((*about, "validation", epoch, right, pictures))
            if figure.both_splits:
                for epoch, right in zip(found.epoch, found.train_accuracy, strict=True):
                    rows.append((*about, "training", epoch, right, one.data.learned_from))
    return pd.DataFrame(rows, columns=list(CURVE_COLUMNS)), without


def _history(one: Checkpoint) -> History | None:
    try:
        return history(one.id)
    except CheckpointError:
        return None


TABLE_COLUMNS = (
    "stem", "title", "family", "recipe", "params", "size_bytes", "macs", "latency_ms",
    "latency_p25_ms", "latency_p75_ms", "accuracy", "low", "high", "n", "seeds", "px", "epochs",
    "reported", "data",
)  # fmt: skip


def results_frame(groups: Mapping[str, Collected], times: LatencyTable | None) -> pd.DataFrame:
    """The final table: a row a recipe, teachers first, then the most accurate; TABLE_COLUMNS.

    Accuracies of the test split and their 95 % interval as fractions; `seeds` as text "0, 1, 2";
    bytes of weights files in float16, whatever a file is stored in.
    """
    rows = []
    for stem, group in groups.items():
        one = group.first
        ms = times.of(one.id, one.weights_sha256) if times else None
        theirs = REPORTED.get(stem) or REPORTED_Q4.get(stem)
        rows.append(
            (
                stem, one.title, one.family, one.recipe, one.params, group.size_bytes, one.macs,
                ms and ms.median, ms and ms.p25, ms and ms.p75, *group.interval(), group.n,
                ", ".join(str(each.seed) for each in group.seeds), one.input_px, one.epochs,
                theirs and theirs.accuracy, one.data.name,
            )
        )  # fmt: skip
    frame = pd.DataFrame(rows, columns=list(TABLE_COLUMNS))
    order = frame.assign(student=frame["family"] != "teacher")
    order = order.sort_values(["student", "accuracy"], ascending=[True, False], kind="stable")
    return frame.loc[order.index].reset_index(drop=True)


# ------------------------------------------------------------------------------------------------
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


def compressed(groups: Sequence[Collected]) -> list[Compressed]:
    """Every version of a trained network that was measured here, and every distilled student.

    Trial runs are left out. Raises CheckpointError for a file of rows that cannot be read.
    """
    rows: list[Compressed] = []
    for group in groups:
        one = group.first
        if is_trial(one.recipe):
            continue
        kinds: dict[str, Way] = {"narrow": "pruned", "factored": "lowrank"}
        made = one.derived_from
        if made is not None and made.id and made.kind in kinds:
            rows.append(_of_group(group, made.id, kinds[made.kind]))
        elif made is None:
            if one.teacher:
                rows.append(_of_group(group, one.teacher, "distilled"))
            rows += _of_grids(one)
    return rows


def _of_group(group: Collected, big: str, way: Way) -> Compressed:
    one = group.first
    return Compressed(
        big, way, one.id, 16, one.params, group.size_bytes, *group.interval(), group.n, one.epochs
    )


def _of_grids(one: Checkpoint) -> list[Compressed]:
    """Versions of a network of which only rows are kept; each has one training at most."""

    def made(way: Way, bits: int, size: float, params: int, row: AccuracyRow, epochs: int) -> None:
        if row.score is not None:
            score = row.score
            rows.append(
                Compressed(one.id, way, "", bits, params, round(size), score.accuracy, *score.ci95,
                           score.n, epochs)
            )  # fmt: skip

    rows: list[Compressed] = []
    if (factored := LowRankGrid.of_checkpoint(one)) is not None:
        in_half = 1.0 if one.weights_dtype == "float16" else 0.5
        for row in factored.rows:
            if row.ranks:
                size = in_half * row.size_bytes
                made("lowrank", 16, size, row.params, row, row.finetune_epochs)
    if (pruned := PruningGrid.of_checkpoint(one)) is not None:
        for cut in pruned.rows:
            if cut.form == "narrow" and cut.ratio:  # a state dict, in float32
                made("pruned", 16, cut.size_bytes / 2, cut.params, cut, cut.finetune_epochs)
    if (quantised := QuantizationGrid.of_checkpoint(one)) is not None:
        for rounded in quantised.rows:
            if rounded.scheme in SCHEMES:
                made("quantised", rounded.bits, rounded.size_bytes, rounded.params, rounded,
                     rounded.epochs)  # fmt: skip
    return rows


def at_size(rows: Iterable[Compressed], size_bytes: int) -> dict[tuple[str, Way], Compressed]:
    """(big network, way) -> the one of about that size: that was trained longest, of these the
    nearest. Not the most accurate one: that would choose by the photographs it is tested on."""

    def distance(row: Compressed) -> tuple[int, int]:
        return -row.epochs, abs(row.size_bytes - size_bytes)

    nearest: dict[tuple[str, Way], Compressed] = {}
    for row in rows:
        known = nearest.get((row.big, row.way))
        is_near = distance(row)[1] <= NEAR * size_bytes
        if is_near and (known is None or distance(row) < distance(known)):
            nearest[row.big, row.way] = row
    return nearest


def command_for(big: str, way: Way, size_bytes: int) -> str:
    """What makes a version of about that size."""
    if way == "distilled":
        return f"python -m core train --teacher {big} --model dwpw_256k"
    if way == "lowrank":
        return f"python -m core lowrank {big} --params {size_bytes // 2} --finetune-epochs 3 --save"
    grid = {"pruned": "prune-grid", "quantised": "quantize-grid"}[way]
    return f"python -m core {grid} {big}"
