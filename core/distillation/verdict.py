"""Does distillation help? Scratch against distilled, seed by seed, on the same test pictures.

The shipped checkpoints' stored answers are paired picture by picture. With two seeds or more the
interval of the mean difference holds the luck of the pictures and that of training
(`core.stats.paired_over_seeds`); with one seed it holds that of the pictures alone.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from core.checkpoints import Checkpoint
from core.checkpoints.by_recipe import (
    Collected,
    Contrast,
    PairedSeed,
    collect,
    contrast,
    is_dream_trial,
    is_trial,
    pair_seed,
    stem_of,
)
from core.data.dreams import DREAMS

ITS_OWN = frozenset({"teacher", "alpha", "temperature", "seed"})
"""Settings in which a distilled run and its twin from scratch may differ."""


def compare(found: Iterable[Checkpoint]) -> tuple[list[Contrast], list[str]]:
    """Every distilled student minus its twin from scratch: same network, photographs, side, seed,
    start.

    Returns one contrast for each network, recipe and teacher (most seeds first), and the ids of
    distilled students that were left out because they have no twin, or no stored answers to the
    same pictures. Versions of a trained network do not count, nor the arms of the trial with
    generated pictures (`trials`).
    """
    trained = (one for one in found if one.derived_from is None)
    whole = [one for one in trained if not is_dream_trial(one.recipe)]
    groups: dict[tuple[str, ...], list[PairedSeed]] = {}
    left_out = []
    for one in whole:
        if one.teacher is None or "distil" not in one.recipe:
            continue
        pair = _with_twin(one, whole)
        if pair is None:
            left_out.append(one.id)
            continue
        key = (one.model, one.recipe, one.teacher, one.data.fingerprint, str(one.input_px))
        groups.setdefault(key, []).append(pair)
    made = [_contrast(sorted(pairs, key=lambda pair: pair.a.seed)) for pairs in groups.values()]
    return sorted(made, key=lambda each: (-len(each.pairs), each.a.stem)), left_out


def _contrast(pairs: Sequence[PairedSeed]) -> Contrast:
    distilled, scratch = [pair.a for pair in pairs], [pair.b for pair in pairs]
    return Contrast(
        Collected(stem_of(distilled[0]), tuple(distilled)),
        Collected(stem_of(scratch[0]), tuple(scratch)),
        tuple(pairs),
    )


def _with_twin(distilled: Checkpoint, found: Sequence[Checkpoint]) -> PairedSeed | None:
    twins = [
        one
        for one in found
        if one.teacher is None and "scratch" in one.recipe and _shared(one) == _shared(distilled)
    ]
    if not twins:
        return None
    return pair_seed(distilled, min(twins, key=lambda one: len(_differing(one, distilled))))


def _shared(one: Checkpoint) -> tuple[object, ...]:
    """What a distilled run and its twin must share: among it a start from other weights, and
    whether both are short trials."""
    start, is_short = one.config.get("start_from") or "", is_trial(one.recipe)
    return one.model, one.input_px, one.seed, one.data.fingerprint, start, is_short


def _differing(a: Checkpoint, b: Checkpoint) -> list[str]:
    """Settings in which the two trainings differ although they need not."""
    names = (a.config.keys() & b.config.keys()) - ITS_OWN
    return sorted(name for name in names if a.config[name] != b.config[name])


def verdict_frame(contrasts: Sequence[Contrast]) -> pd.DataFrame:
    """One row per comparison and seed, ids and all, for CSV and table; fractions 0..1."""
    return pd.DataFrame(
        [
            {
                "model": one.a.model,
                "recipe": one.a.recipe,
                "teacher": one.a.teacher,
                "seed": one.a.seed,
                "scratch": one.b.id,
                "distilled": one.a.id,
                "n": one.n,
                "scratch_accuracy": float(one.right_b.mean()),
                "distilled_accuracy": float(one.right_a.mean()),
                "difference": one.difference,
                "low": one.low,
                "high": one.high,
                "only_scratch": one.only_b,
                "only_distilled": one.only_a,
                "p": one.p,
            }
            for each in contrasts
            for one in each.pairs
        ]
    )


AMOUNT = frozenset({"data", "share", "epochs", "select"})
"""Settings that say how much was seen of what: a student that learned from generated pictures is
set against those that the same teacher taught on photographs, as many or all of them."""


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
