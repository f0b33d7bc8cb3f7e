"""The two homeworks' questions put to the shipped checkpoints: which runs answer which figure.

Everything is looked up in what is shipped: a question without its runs says which are missing. The
reports' figures (`core.course`) are theirs, on the real Food-11; only which network came out ahead
can be compared with networks trained on other photographs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Literal, NamedTuple

import pandas as pd

from core.checkpoints import WEIGHTS, Checkpoint, History, history
from core.checkpoints.by_recipe import Collected, Contrast, contrast
from core.collection.latency import LatencyTable
from core.course import REPORTED, REPORTED_DEPTHWISE_LOSS, REPORTED_Q4, Reported
from core.errors import CheckpointError

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

Outcome = Literal["agrees", "differs", "unclear", "answers", "missing"]


@dataclass(frozen=True)
class Tested:
    """A claim and what our runs say of it."""

    claim: Claim
    found: Contrast | None
    missing: tuple[str, ...]
    """Stems without a checkpoint."""

    def outcome(self) -> Outcome:
        """`unclear` wherever our interval holds 0, unless "no difference" is the claim.

        That an interval holds 0 does not prove two things equal: then `unclear` it stays, and the
        words say so.
        """
        if self.found is None:
            return "missing"
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

    Accuracies of the test split and their 95 % interval as fractions; `seeds` as text "0, 1, 2".
    """
    rows = []
    for stem, group in groups.items():
        one = group.first
        sha = one.files[WEIGHTS].sha256 if WEIGHTS in one.files else ""
        ms = times.of(one.id, sha) if times else None
        theirs = REPORTED.get(stem) or REPORTED_Q4.get(stem)
        rows.append(
            (
                stem, one.title, one.family, one.recipe, one.params, one.size_bytes, one.macs,
                ms and ms.median, ms and ms.p25, ms and ms.p75, *group.interval(), group.n,
                ", ".join(str(each.seed) for each in group.seeds), one.input_px, one.epochs,
                theirs and theirs.accuracy, one.data.name,
            )
        )  # fmt: skip
    frame = pd.DataFrame(rows, columns=list(TABLE_COLUMNS))
    order = frame.assign(student=frame["family"] != "teacher")
    order = order.sort_values(["student", "accuracy"], ascending=[True, False], kind="stable")
    return frame.loc[order.index].reset_index(drop=True)
