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


def compare(checkpoints: Iterable[Checkpoint]) -> tuple[list[Contrast], list[str]]:
    """Every distilled student minus its twin from scratch: same network, photographs, side, seed,
    start.

    Returns one contrast for each network, recipe and teacher (most seeds first), and the ids of
    distilled students that were left out because they have no twin, or no stored answers to the
    same pictures. Versions of a trained network do not count, nor the arms of the trial with
    generated pictures (`trials`).
    """
    trained = (checkpoint for checkpoint in checkpoints if checkpoint.derived_from is None)
    whole = [checkpoint for checkpoint in trained if not is_dream_trial(checkpoint.recipe)]
    groups: dict[tuple[str, ...], list[PairedSeed]] = {}
    left_out = []
    for checkpoint in whole:
        if checkpoint.teacher is None or "distil" not in checkpoint.recipe:
            continue
        pair = _with_twin(checkpoint, whole)
        if pair is None:
            left_out.append(checkpoint.id)
            continue
        key = (
            checkpoint.model,
            checkpoint.recipe,
            checkpoint.teacher,
            checkpoint.data.fingerprint,
            str(checkpoint.input_px),
        )
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


def _with_twin(distilled: Checkpoint, checkpoints: Sequence[Checkpoint]) -> PairedSeed | None:
    twins = [
        other
        for other in checkpoints
        if other.teacher is None
        and "scratch" in other.recipe
        and _shared(other) == _shared(distilled)
    ]
    if not twins:
        return None
    return pair_seed(distilled, min(twins, key=lambda twin: len(_differing(twin, distilled))))


def _shared(checkpoint: Checkpoint) -> tuple[object, ...]:
    """What a distilled run and its twin must share: among it a start from other weights, and
    whether both are short trials."""
    start, is_short = checkpoint.config.get("start_from") or "", is_trial(checkpoint.recipe)
    return (
        checkpoint.model,
        checkpoint.input_px,
        checkpoint.seed,
        checkpoint.data.fingerprint,
        start,
        is_short,
    )


def _differing(a: Checkpoint, b: Checkpoint) -> list[str]:
    """Settings in which the two trainings differ although they need not."""
    names = (a.config.keys() & b.config.keys()) - ITS_OWN
    return sorted(name for name in names if a.config[name] != b.config[name])


def contrast_frame(contrasts: Sequence[Contrast]) -> pd.DataFrame:
    """One row per comparison and seed, ids and all, for CSV and table; fractions 0..1."""
    return pd.DataFrame(
        [
            {
                "model": pair.a.model,
                "recipe": pair.a.recipe,
                "teacher": pair.a.teacher,
                "seed": pair.a.seed,
                "scratch": pair.b.id,
                "distilled": pair.a.id,
                "n": pair.n,
                "scratch_accuracy": float(pair.right_b.mean()),
                "distilled_accuracy": float(pair.right_a.mean()),
                "difference": pair.difference,
                "low": pair.low,
                "high": pair.high,
                "only_scratch": pair.only_b,
                "only_distilled": pair.only_a,
                "p": pair.p,
            }
            for each in contrasts
            for pair in each.pairs
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


def learned_from_dreams(checkpoint: Checkpoint) -> bool:
    """Whether a checkpoint's pictures were dreams."""
    return checkpoint.config.get("data") == DREAMS


def pictures(checkpoint: Checkpoint) -> int:
    """About how many different pictures it learned from: its share of the training split."""
    return round(checkpoint.data.training * float(checkpoint.config.get("share", 1.0)))


def steps(checkpoint: Checkpoint) -> int:
    """About how many steps its training took; 0 where its settings do not say."""
    batch = int(checkpoint.config.get("batch_size", 0))
    return max(1, pictures(checkpoint) // batch) * checkpoint.epochs if batch else 0


def trials(checkpoints: Iterable[Checkpoint]) -> list[DreamTrial]:
    """Every recipe that learned from dreams, with its twins; smallest network first."""
    groups = collect(checkpoint for checkpoint in checkpoints if checkpoint.derived_from is None)
    made = []
    for group in groups:
        if learned_from_dreams(group.first):
            against = [contrast(group, twin) for twin in groups if _is_twin(group, twin)]
            known = [compared for compared in against if compared is not None]
            known.sort(key=lambda compared: pictures(compared.b.first))
            made.append(DreamTrial(group, tuple(known)))
    return sorted(made, key=lambda trial: (trial.dreamed.first.params, trial.dreamed.stem))


def _is_twin(dreamed: Collected, other: Collected) -> bool:
    a, b = dreamed.first, other.first
    return (
        not learned_from_dreams(b)
        and (a.model, a.teacher, a.input_px, a.data.fingerprint)
        == (b.model, b.teacher, b.input_px, b.data.fingerprint)
        and all(a.config.get(name) == b.config.get(name) for name in a.config.keys() - _FREE)
    )


_FREE = AMOUNT | {"seed"}
