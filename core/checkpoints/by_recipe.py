"""The shipped checkpoints by recipe: the seeds of one recipe are one thing, measured several times.

Two recipes are compared on what they share: the same seed, the same test photographs. With two
seeds or more the interval of their difference holds the luck of the photographs and that of
training (`core.stats.paired_over_seeds`); with one it holds that of the photographs alone.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from core.checkpoints import WEIGHTS, Checkpoint, DataInfo, read_files, test_logits
from core.checkpoints.tensors import read_header
from core.errors import CheckpointError
from core.stats import accuracy_interval, mcnemar, paired_difference, paired_over_seeds

COMPARED = frozenset({"model", "teacher", "alpha", "temperature", "seed"})
"""Settings in which runs that are compared may differ: they are what is compared."""
SELDOM = frozenset({"more_data", "more_share", "teacher_int8"})
"""Settings that a configuration leaves out where they are not used."""

Side = Literal["more", "less", "unclear"]

_DREAM_TRIALS = ("dreams_", "photos_")
_TRIALS = ("_10ep", *_DREAM_TRIALS)
FROM_FILE = "file"
"""The recipe of a network that somebody brought as a file: nobody here knows how it was trained."""


@dataclass(frozen=True)
class Collected:
    """All measured seeds of one recipe."""

    stem: str
    """`<model>-<recipe>`: the ids without their seeds."""
    seeds: tuple[Checkpoint, ...]
    """By seed, at least one, each with a test accuracy on the same number of photographs."""

    @property
    def first(self) -> Checkpoint:
        """The lowest seed; it represents the recipe."""
        return self.seeds[0]

    @property
    def size_bytes(self) -> int:
        """Of the weights file in float16, whichever seed is stored so: what recipes compare."""
        in_half = [
            checkpoint.size_bytes
            for checkpoint in self.seeds
            if checkpoint.weights_dtype == "float16"
        ]
        return in_half[0] if in_half else _in_half(self.first)

    @property
    def is_trained(self) -> bool:
        """Whether these are trainings; else they are versions of networks that were trained."""
        return self.first.derived_from is None

    @property
    def n(self) -> int:
        """Test photographs."""
        return self.seeds[0].test.n if self.seeds[0].test else 0

    @property
    def accuracies(self) -> list[float]:
        """Right on the test split, a fraction per seed."""
        return [checkpoint.test.accuracy for checkpoint in self.seeds if checkpoint.test]

    def interval(self) -> tuple[float, float, float]:
        """(mean, low, high) of the accuracy: photographs' luck, and training's with two seeds."""
        return accuracy_interval(
            [checkpoint.test.correct for checkpoint in self.seeds if checkpoint.test], self.n
        )


def _in_half(checkpoint: Checkpoint) -> int:
    """How long a file of float32 weights would be in float16: its header as it is."""
    try:
        return _half_bytes(checkpoint.id, checkpoint.weights_sha256)
    except CheckpointError:
        return checkpoint.size_bytes - 2 * checkpoint.params


@lru_cache(maxsize=64)
def _half_bytes(id: str, sha256: str) -> int:
    del sha256  # only the key of the cache
    data = read_files(id, WEIGHTS)[1][WEIGHTS]
    return len(data) - sum(
        (entry.end - entry.begin) // 2
        for entry in read_header(data).values()
        if entry.dtype == "F32"
    )


def is_trial(recipe: str) -> bool:
    """Whether a recipe is a short one, or one at 64 px, or unknown: no training to compare with."""
    return recipe == FROM_FILE or any(mark in recipe for mark in _TRIALS)


def is_dream_trial(recipe: str) -> bool:
    """Whether a recipe is an arm of the trial with dreams: those are compared with each other."""
    return any(mark in recipe for mark in _DREAM_TRIALS)


def stem_of(checkpoint: Checkpoint) -> str:
    """The id without its seed; the whole id where it does not end in one (a visitor's run)."""
    return checkpoint.id.removesuffix(f"-s{checkpoint.seed}")


def collect(checkpoints: Iterable[Checkpoint]) -> list[Collected]:
    """Measured checkpoints by recipe, in the order in which each recipe's first was found.

    Seeds belong together if photographs and side are the same too. A version of a network
    (`Checkpoint.derived_from`) is no seed of a training, whatever it is called.
    """
    groups: dict[tuple[str, str, int, int, str], list[Checkpoint]] = {}
    for checkpoint in checkpoints:
        if checkpoint.test is not None:
            kind = checkpoint.derived_from.kind if checkpoint.derived_from else ""
            key = (
                stem_of(checkpoint),
                checkpoint.data.fingerprint,
                checkpoint.input_px,
                checkpoint.test.n,
                kind,
            )
            groups.setdefault(key, []).append(checkpoint)
    return [
        Collected(stem, tuple(sorted(seeds, key=lambda checkpoint: checkpoint.seed)))
        for (stem, *_rest), seeds in groups.items()
    ]


@dataclass(frozen=True)
class PairedSeed:
    """Two networks of one seed on the same n pictures; fractions."""

    a: Checkpoint
    b: Checkpoint
    n: int
    difference: float
    """a minus b."""
    low: float
    high: float
    """95 % interval over pictures (Newcombe 1998, method 10)."""
    p: float
    """McNemar's exact test."""
    right_a: NDArray[np.bool_] = field(compare=False, repr=False)
    right_b: NDArray[np.bool_] = field(compare=False, repr=False)
    """(n,) each: the pictures that a network got right."""

    @property
    def only_a(self) -> int:
        """Pictures that a alone got right."""
        return int((self.right_a & ~self.right_b).sum())

    @property
    def only_b(self) -> int:
        """Pictures that b alone got right."""
        return int((self.right_b & ~self.right_a).sum())


@dataclass(frozen=True)
class Contrast:
    """Accuracy of recipe a minus that of recipe b."""

    a: Collected
    b: Collected
    pairs: tuple[PairedSeed, ...]
    """By seed; at least one."""

    @property
    def over_seeds(self) -> bool:
        """Whether the interval holds the luck of training; with one seed it cannot."""
        return len(self.pairs) > 1

    def also_differs(self) -> list[str]:
        """Settings of the trainings that differ besides network, teacher and seed."""
        return sorted(
            {
                name
                for pair in self.pairs
                for name in (pair.a.config.keys() & pair.b.config.keys()) - COMPARED | SELDOM
                if pair.a.config.get(name) != pair.b.config.get(name)
            }
        )

    def interval(self) -> tuple[float, float, float]:
        """(difference, low, high), fractions: over pictures, and over seeds if there are two."""
        return self._interval

    @cached_property
    def _interval(self) -> tuple[float, float, float]:
        return paired_over_seeds(
            [pair.right_a for pair in self.pairs], [pair.right_b for pair in self.pairs]
        )

    def side(self) -> Side:
        """Whether a is more often right, less often, or the interval holds 0."""
        _mean, low, high = self.interval()
        return "more" if low > 0 else "less" if high < 0 else "unclear"


def contrast(a: Collected, b: Collected) -> Contrast | None:
    """a against b on the seeds they share; None if they share none, or no stored answers."""
    others = {checkpoint.seed: checkpoint for checkpoint in b.seeds}
    pairs = [
        pair
        for checkpoint in a.seeds
        if checkpoint.seed in others
        and (pair := pair_seed(checkpoint, others[checkpoint.seed])) is not None
    ]
    return Contrast(a, b, tuple(pairs)) if pairs else None


def pair_seed(a: Checkpoint, b: Checkpoint) -> PairedSeed | None:
    """Two networks picture by picture; None without stored answers to the same pictures."""
    if a.data.fingerprint != b.data.fingerprint:
        return None
    try:
        answers, labels = test_logits(a.id)
        others, same = test_logits(b.id)
    except CheckpointError:
        return None
    if not np.array_equal(labels, same) or not (labels >= 0).any():
        return None
    right, also = _right(answers, labels), _right(others, labels)
    interval, p = paired_difference(right, also), mcnemar(right, also)
    return PairedSeed(a, b, len(right), *interval, p, right, also)


def _right(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    known = labels >= 0
    right: NDArray[np.bool_] = (logits.argmax(axis=1) == labels)[known]
    return right


def on_one_set(groups: Sequence[Collected]) -> tuple[list[Collected], list[Collected]]:
    """The groups measured on the photographs that most trainings were, and the others, in order.

    An accuracy on other photographs is another quantity: what is ranked or drawn together is of one
    set. Of two sets with as many groups, the first one met counts.
    """
    voting = [group for group in groups if group.is_trained] or groups
    marks = [group.first.data.fingerprint for group in voting]
    main = max(marks, key=marks.count, default="")  # of equals, max keeps the first
    same = [group for group in groups if group.first.data.fingerprint == main]
    return same, [group for group in groups if group.first.data.fingerprint != main]


def own_data(checkpoints: Iterable[Checkpoint]) -> DataInfo:
    """What one set's photographs (one at least) are called: of its names the shortest.

    The longer ones say what a network learned from besides.
    """
    return min((checkpoint.data for checkpoint in checkpoints), key=lambda data: len(data.name))


def by_stem(groups: Sequence[Collected]) -> dict[str, Collected]:
    """The groups by `<model>-<recipe>`; of several on different photographs, the first.

    Trainings come before versions of networks.
    """
    groups_by_stem: dict[str, Collected] = {}
    for group in sorted(groups, key=lambda group: not group.is_trained):
        groups_by_stem.setdefault(group.stem, group)
    return groups_by_stem
