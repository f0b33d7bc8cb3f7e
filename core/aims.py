"""What the collection was meant to reach, and what it does reach: written into docs/students.md."""

from collections.abc import Callable, Sequence
from statistics import fmean
from typing import NamedTuple

from core import checkpoints
from core.serving.collected import Collected, collect, is_compressed, is_trial, on_one_set


class Aim(NamedTuple):
    """A test accuracy to reach on the stand-in photographs, and the recipes that count."""

    title: str
    accuracy: float
    """Fraction of the test photographs."""
    counts: Callable[[str, str], bool]
    """(model, recipe) -> whether such a training may fulfil it."""


AIMS: tuple[Aim, ...] = (
    Aim("the strong teacher", 0.83, lambda model, recipe: model.startswith("efficientnet_lite")),
    Aim(
        "a distilled student of 256,779 parameters",
        0.68,
        lambda model, recipe: model == "dwpw_256k" and "distilled" in recipe,
    ),
    Aim("a student under 100,000 parameters", 0.65, lambda model, recipe: model == "best_100k"),
)
STUDENTS = ("dwpw_256k", "best_100k")
"""The students of which docs/students.md lists every way of training."""


def trained() -> list[Collected]:
    """Every recipe trained to its end at full side, on the photographs of most; not compressed."""
    same, _others = on_one_set(collect(checkpoints.load_manifest().values()))
    return [
        group
        for group in same
        if not is_compressed(group.first) and not is_trial(group.first.recipe)
    ]


def aims_rows(groups: Sequence[Collected]) -> list[tuple[str, ...]]:
    """For each aim: what, aim, best recipe, what it reaches, its interval, what is missing."""
    rows: list[tuple[str, ...]] = []
    for aim in AIMS:
        fit = [one for one in groups if aim.counts(one.first.model, one.first.recipe)]
        if not fit:
            rows.append((aim.title, f"{aim.accuracy:.1%}", "not trained yet", "", "", ""))
            continue
        best = max(fit, key=lambda one: one.interval()[0])
        mean, low, high = best.interval()
        gap = aim.accuracy - mean
        rows.append(
            (
                aim.title, f"{aim.accuracy:.1%}", best.first.title, f"{mean:.1%}",
                f"{low:.1%} to {high:.1%}",
                "reached" if gap <= 0 else f"{100 * gap:.1f} points",
            )
        )  # fmt: skip
    return rows


def student_rows(groups: Sequence[Collected]) -> list[tuple[str, ...]]:
    """Every way in which STUDENTS were trained, best last: epochs, seeds, validation, test."""
    chosen = [one for one in groups if one.first.model in STUDENTS]
    chosen.sort(key=lambda one: (STUDENTS.index(one.first.model), one.interval()[0]))
    rows: list[tuple[str, ...]] = []
    for one in chosen:
        mean, low, high = one.interval()
        right = [seed.validation.accuracy for seed in one.seeds if seed.validation]
        rows.append(
            (
                one.first.title, str(one.first.epochs),
                ", ".join(str(seed.seed) for seed in one.seeds),
                f"{fmean(right):.1%}" if right else "", f"{mean:.1%}", f"{low:.1%} to {high:.1%}",
            )
        )  # fmt: skip
    return rows
