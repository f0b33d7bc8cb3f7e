"""What the course fixed: class names, limits, baselines. Constants, each with its source.

Years used different splits, so figures of different years never stand in one column.
"""

from typing import NamedTuple

CLASSES: tuple[str, ...] = (
    "Bread",
    "Dairy product",
    "Dessert",
    "Egg",
    "Fried food",
    "Meat",
    "Noodles/Pasta",
    "Rice",
    "Seafood",
    "Soup",
    "Vegetable/Fruit",
)
"""Food-11's classes in label order 0..10 (EPFL, Singla et al. 2016)."""

FOOD11_COUNTS = {"training": 9866, "validation": 3430, "testing": 3347}
"""Photographs per split of the real Food-11; the third folder is called `evaluation` by EPFL."""

PARAM_LIMITS = {"HW13 2021": 100_000, "HW13 2022": 100_000, "HW13 2023": 60_000}
"""Most parameters a student may have; torchsummary's total counts, over the limit scores 0."""

SIZE_LIMITS_BYTES = {"HW7 2020, about 1 MB": 1_000_000, "HW7 2020, 8 bit": 300_000}
"""HW7 counted the bytes of the file handed in."""


class Baseline(NamedTuple):
    """Accuracy on Food-11 that a year's homework called simple ... boss (fractions, 0..1)."""

    simple: float
    medium: float
    strong: float
    boss: float


BASELINES = {
    "HW13 2021": Baseline(0.59856, 0.65412, 0.72819, 0.81003),
    "HW13 2022": Baseline(0.44820, 0.64840, 0.82370, 0.85159),
    "HW13 2023": Baseline(0.44364, 0.68440, 0.78268, 0.82326),
}
"""From the course's slides; measured on Food-11, so not comparable with a stand-in set."""


class Reported(NamedTuple):
    """A figure of the two homework reports: theirs, on the real Food-11, of one training each."""

    accuracy: float
    """Fraction, 0..1."""
    where: str
    """Which homework and question it answers."""


REPORTED = {
    "resnet18-scratch": Reported(0.8009, "HW7 Q2"),
    "resnet18-imagenet": Reported(0.8841, "HW7 Q2"),
    "dwpw_256k-scratch": Reported(0.71010, "HW7 Q1"),
    "dwpw_256k-distilled": Reported(0.83801, "HW7 Q2"),
}
"""`<model>-<recipe>` -> test accuracy (of the teachers: accuracy, no split named). The distilled
student's teacher is the one fine-tuned from ImageNet."""

REPORTED_Q4 = {
    "plain_275k-scratch": Reported(0.77047, "HW7 Q4"),
    "dwpw_256k-scratch": Reported(0.76867, "HW7 Q4"),
    "group8_277k-scratch": Reported(0.71607, "HW7 Q4"),
}
"""Three designs of about 1 MB, test accuracy. The depthwise network stands in the report twice,
0.71010 in Q1 and 0.76867 here: trained twice, in two ways."""

REPORTED_DEPTHWISE_LOSS = (0.05, 0.07)
"""HW7 Q1: by how much the depthwise student stays behind `plain_2m`, 8 times its size."""
