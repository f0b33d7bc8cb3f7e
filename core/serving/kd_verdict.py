"""Does distillation help? Scratch against distilled, seed by seed, on the same test pictures.

The shipped checkpoints' stored answers are paired picture by picture (`core.measure.accuracy`): the
interval of one seed covers the choice of test pictures only. Training has luck of its own, so with
two seeds or more the differences are averaged over seeds and get Student's interval
(`core.measure.seeds`); the verdict is read off that one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from core.checkpoints import Checkpoint, test_logits
from core.errors import CheckpointError
from core.measure.accuracy import mcnemar, paired_difference
from core.measure.seeds import mean_interval
from core.serving.collected import is_compressed, is_dream_trial, is_trial

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
    for want of a twin or of stored answers to the same pictures. Networks that were compressed
    afterwards do not count, nor the arms of the trial with dreams, which have a judge of their own.
    """
    whole = [one for one in found if not is_compressed(one) and not is_dream_trial(one.recipe)]
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
