"""Does distillation help? Scratch against distilled, seed by seed, on the same test pictures.

The shipped checkpoints' stored answers are paired picture by picture (`core.stats`): the
interval of one seed covers the choice of test pictures only. Training has luck of its own, so with
two seeds or more the differences are averaged over seeds and get Student's interval
(`core.stats`); the verdict is read off that one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from core.checkpoints import Checkpoint, test_logits
from core.checkpoints.by_recipe import (
    Collected,
    Contrast,
    collect,
    contrast,
    is_dream_trial,
    is_trial,
)
from core.data.dreams import DREAMS
from core.errors import CheckpointError
from core.stats import mcnemar, mean_interval, paired_difference

Verdict = Literal["helps", "hurts", "unclear"]

ITS_OWN = frozenset({"teacher", "alpha", "temperature", "seed"})
"""Settings in which a distilled run and its twin from scratch may differ."""


@dataclass(frozen=True)
class SeedPair:
    """One seed: both networks on the same n pictures; accuracies are fractions."""

    scratch: Checkpoint
    distilled: Checkpoint
    n: int
    scratch_correct: int
    distilled_correct: int
    difference: float
    """Distilled minus scratch."""
    low: float
    high: float
    """95 % interval of the difference over pictures (Newcombe 1998, method 10)."""
    only_scratch: int
    only_distilled: int
    """Pictures that only this one got right."""
    p: float
    """McNemar's exact test."""

    @property
    def seed(self) -> int:
        """The seed of both."""
        return self.distilled.seed


@dataclass(frozen=True)
class Comparison:
    """All seeds of one network, distilled by one recipe from one teacher."""

    model: str
    recipe: str
    teacher: str
    pairs: tuple[SeedPair, ...]
    """By seed; at least one."""
    also_differs: tuple[str, ...]
    """Training settings that differ between scratch and distilled besides the teacher's."""

    @property
    def title(self) -> str:
        """What the distilled student is called."""
        return self.pairs[0].distilled.title

    @property
    def over_seeds(self) -> bool:
        """Whether the interval speaks of seeds; with one seed it speaks of pictures only."""
        return len(self.pairs) > 1

    def interval(self) -> tuple[float, float, float]:
        """(difference, low, high): over seeds where there are two or more, else over pictures."""
        if self.over_seeds:
            return mean_interval([one.difference for one in self.pairs])
        (only,) = self.pairs
        return only.difference, only.low, only.high

    def verdict(self) -> Verdict:
        """What the interval allows to say: unclear wherever it holds 0."""
        _mean, low, high = self.interval()
        return "helps" if low > 0 else "hurts" if high < 0 else "unclear"


def compare(found: Iterable[Checkpoint]) -> tuple[list[Comparison], list[str]]:
    """Every distilled student that has a twin from scratch: same network, photographs, side, seed,
    start.

    Returns the comparisons (most seeds first) and the ids of distilled students that were left out
    for want of a twin or of stored answers to the same pictures. Versions of a trained network do
    not count, nor the arms of the trial with dreams, which have a judge of their own.
    """
    trained = (one for one in found if one.derived_from is None)
    whole = [one for one in trained if not is_dream_trial(one.recipe)]
    groups: dict[tuple[str, ...], list[SeedPair]] = {}
    left_out = []
    for one in whole:
        if one.teacher is None or "distil" not in one.recipe:
            continue
        pair = _pair(one, whole)
        if pair is None:
            left_out.append(one.id)
            continue
        key = (one.model, one.recipe, one.teacher, one.data.fingerprint, str(one.input_px))
        groups.setdefault(key, []).append(pair)
    made = [
        Comparison(model, recipe, teacher, tuple(sorted(pairs, key=lambda p: p.seed)), _odd(pairs))
        for (model, recipe, teacher, *_rest), pairs in groups.items()
    ]
    return sorted(made, key=lambda each: (-len(each.pairs), each.model, each.recipe)), left_out


def _pair(distilled: Checkpoint, found: Sequence[Checkpoint]) -> SeedPair | None:
    twins = [
        one
        for one in found
        if one.teacher is None and "scratch" in one.recipe and _shared(one) == _shared(distilled)
    ]
    if not twins:
        return None
    scratch = min(twins, key=lambda one: len(_differing(one, distilled)))
    try:
        answers, labels = test_logits(distilled.id)
        others, same = test_logits(scratch.id)
    except CheckpointError:
        return None
    known = labels >= 0
    if not np.array_equal(labels, same) or not known.any():
        return None
    right = (answers.argmax(axis=1) == labels)[known]
    twin_right = (others.argmax(axis=1) == labels)[known]
    difference, low, high = paired_difference(right, twin_right)
    return SeedPair(
        scratch,
        distilled,
        int(known.sum()),
        int(twin_right.sum()),
        int(right.sum()),
        difference,
        low,
        high,
        int((twin_right & ~right).sum()),
        int((right & ~twin_right).sum()),
        mcnemar(right, twin_right),
    )


def _shared(one: Checkpoint) -> tuple[object, ...]:
    """What a distilled run and its twin must share: among it a start from other weights, and
    whether both are short trials."""
    start, is_short = one.config.get("start_from") or "", is_trial(one.recipe)
    return one.model, one.input_px, one.seed, one.data.fingerprint, start, is_short


def _differing(a: Checkpoint, b: Checkpoint) -> list[str]:
    """Settings in which the two trainings differ although they need not."""
    names = (a.config.keys() & b.config.keys()) - ITS_OWN
    return sorted(name for name in names if a.config[name] != b.config[name])


def _odd(pairs: Sequence[SeedPair]) -> tuple[str, ...]:
    odd = {name for one in pairs for name in _differing(one.scratch, one.distilled)}
    return tuple(sorted(odd))


def verdict_frame(comparisons: Sequence[Comparison]) -> pd.DataFrame:
    """One row per comparison and seed, ids and all, for CSV and table; fractions 0..1."""
    return pd.DataFrame(
        [
            {
                "model": each.model,
                "recipe": each.recipe,
                "teacher": each.teacher,
                "seed": one.seed,
                "scratch": one.scratch.id,
                "distilled": one.distilled.id,
                "n": one.n,
                "scratch_accuracy": one.scratch_correct / one.n,
                "distilled_accuracy": one.distilled_correct / one.n,
                "difference": one.difference,
                "low": one.low,
                "high": one.high,
                "only_scratch": one.only_scratch,
                "only_distilled": one.only_distilled,
                "p": one.p,
            }
            for each in comparisons
            for one in each.pairs
        ]
    )


# ------------------------------------------------------------------------------------------------
# Learned from dreams alone: how far does it carry on real photographs?
#
# A student that was distilled on nothing but what its teacher dreamed (`core.data.dreams`) is
# tested on real photographs, and set against twins that the same teacher taught, with the same
# network, picture side and settings, on real ones. Twins may have seen as many photographs as there
# are dreams, or all of them in as many steps: which, is told.


AMOUNT = frozenset({"data", "share", "epochs", "select"})
"""Settings that say how much was seen of what: these are what is compared."""


@dataclass(frozen=True)
class DreamTrial:
    """One recipe that learned from dreams, and the twins that learned from photographs."""

    dreamed: Collected
    twins: tuple[Contrast, ...]
    """Each dreamed minus its twin; fewest pictures first; may be empty."""


def learned_from_dreams(one: Checkpoint) -> bool:
    """Whether a checkpoint's pictures were dreams."""
    return one.config.get("data") == DREAMS


def pictures(one: Checkpoint) -> int:
    """About how many different pictures it learned from: its share of the training split."""
    return round(one.data.training * float(one.config.get("share", 1.0)))


def steps(one: Checkpoint) -> int:
    """About how many steps its training took; 0 where its settings do not say."""
    batch = int(one.config.get("batch_size", 0))
    return max(1, pictures(one) // batch) * one.epochs if batch else 0


def trials(found: Iterable[Checkpoint]) -> list[DreamTrial]:
    """Every recipe that learned from dreams, with its twins; smallest network first."""
    groups = collect(one for one in found if one.derived_from is None)
    made = []
    for group in groups:
        if learned_from_dreams(group.first):
            against = [contrast(group, twin) for twin in groups if _is_twin(group, twin)]
            known = [one for one in against if one is not None]
            known.sort(key=lambda one: pictures(one.b.first))
            made.append(DreamTrial(group, tuple(known)))
    return sorted(made, key=lambda one: (one.dreamed.first.params, one.dreamed.stem))


def _is_twin(dreamed: Collected, other: Collected) -> bool:
    a, b = dreamed.first, other.first
    return (
        not learned_from_dreams(b)
        and (a.model, a.teacher, a.input_px, a.data.fingerprint)
        == (b.model, b.teacher, b.input_px, b.data.fingerprint)
        and all(a.config.get(name) == b.config.get(name) for name in a.config.keys() - _FREE)
    )


_FREE = AMOUNT | {"seed"}


def trial_frame(found: Iterable[DreamTrial]) -> pd.DataFrame:
    """One row a recipe, for chart and CSV: accuracies are fractions, 0..1.

    Columns: stem, title, learned_from (`dreams` or `photographs`), pictures, steps, seeds, n,
    accuracy, low, high (95 %), gap, gap_low, gap_high (dreamed minus it; empty for the dreamed).
    """
    rows = []
    for trial in found:
        rows.append(_row(trial.dreamed, None))
        rows += [_row(one.b, one) for one in trial.twins]
    return pd.DataFrame(rows)


def _row(group: Collected, against: Contrast | None) -> dict[str, object]:
    first = group.first
    mean, low, high = group.interval()
    gap = against.interval() if against else (None, None, None)
    return {
        "stem": group.stem,
        "title": first.title,
        "learned_from": DREAMS if learned_from_dreams(first) else "photographs",
        "pictures": pictures(first),
        "steps": steps(first),
        "seeds": len(group.seeds),
        "n": group.n,
        "accuracy": mean,
        "low": low,
        "high": high,
        **dict(zip(("gap", "gap_low", "gap_high"), gap, strict=True)),
    }
