"""Learned from dreams alone: how far does it carry on real photographs?

A student that was distilled on nothing but what its teacher dreamed (`core.data.dreams`) is
tested on real photographs, and set against twins that the same teacher taught, with the same
network, picture side and settings, on real ones. Twins may have seen as many photographs as there
are dreams, or all of them in as many steps: which, is told.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from core.checkpoints import Checkpoint
from core.data.dreams import DREAMS
from core.serving.collected import Collected, Contrast, collect, contrast

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
    groups = collect(one for one in found if not one.widths)
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
