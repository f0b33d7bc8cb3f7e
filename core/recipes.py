"""The trainings behind `pretrained/`: which networks, with which settings, in which order.

Two schedules. *quick* fits the stand-in photographs and two processor cores; *full* is for the real
Food-11 on a GPU. Runs that are compared (scratch against distilled, seed against seed) share
photographs, steps, views and the rule that picks the epoch; only what is compared differs.
"""

from dataclasses import dataclass
from typing import Any, Literal

from core.errors import UserError
from core.training.config import TrainConfig
from core.words import _

Schedule = Literal["quick", "full"]
SCHEDULES: tuple[Schedule, ...] = ("quick", "full")


@dataclass(frozen=True)
class Recipe:
    """One training and the checkpoint that comes out of it."""

    id: str
    title: str
    recipe: str
    """`imagenet`, `scratch` or `distilled`; `stage` is a step on the way that is not shipped."""
    config: TrainConfig

    @property
    def ships(self) -> bool:
        """Whether the result becomes a checkpoint of `pretrained/`."""
        return self.recipe != "stage"


TEACHER = "efficientnet_lite0-imagenet-s0"

_STUDENT: dict[Schedule, dict[str, Any]] = {
    # 20 views: the teacher answers 20 x 3,634 pictures once, all its students share the answers
    "quick": {"epochs": 60, "views": 20, "lr": 2e-3, "ema_decay": 0.99},
    "full": {"epochs": 300, "batch_size": 128, "lr": 3e-3, "ema_decay": 0.999},
}
_DISTILLED: dict[str, Any] = {"teacher": TEACHER, "alpha": 0.7, "temperature": 4.0}

PRESETS: dict[str, dict[str, Any]] = {
    "minute": {
        "px": 64,
        "share": 0.5,
        "epochs": 8,
        "batch_size": 32,
        "lr": 2e-3,
        "warmup_epochs": 1.0,
        "augment": "light",
    },
    "hour": _STUDENT["quick"],
    "full": _STUDENT["full"],
}
"""What the training page offers: a minute on a laptop, an hour on two cores, the full recipe."""
LESSON: dict[str, Any] = {name: value for name, value in _DISTILLED.items() if name != "teacher"}
"""alpha and temperature of the shipped distilled students."""


def recipes(schedule: Schedule) -> tuple[Recipe, ...]:
    """All trainings of a schedule; each comes after those it needs."""
    return (*_teachers(schedule), *_students(schedule))


def _teachers(schedule: Schedule) -> tuple[Recipe, ...]:
    title = "EfficientNet-Lite0, from ImageNet"
    if schedule == "full":
        config = TrainConfig(
            model="efficientnet_lite0", pretrained=True, epochs=40, lr=6e-4, mixup=0.2,
            ema_decay=0.999,
        )  # fmt: skip
        return (Recipe(TEACHER, title, "imagenet", config),)
    config = TrainConfig(
        model="efficientnet_lite0", pretrained=True, start_px=96, epochs=8, lr=5e-4,
        weight_decay=0.05, warmup_epochs=0.5, mixup=0.2, ema_decay=0.98,
    )  # fmt: skip
    return (Recipe(TEACHER, title, "imagenet", config),)


def _students(schedule: Schedule) -> tuple[Recipe, ...]:
    common = {"model": "dwpw_256k", **_STUDENT[schedule]}
    name = "Depthwise + pointwise CNN"
    return (
        Recipe("dwpw_256k-scratch-s0", f"{name}, from scratch", "scratch", TrainConfig(**common)),
        Recipe(
            "dwpw_256k-distilled-s0",
            f"{name}, distilled",
            "distilled",
            TrainConfig(**common, **_DISTILLED),
        ),
    )


def choose(schedule: Schedule, only: tuple[str, ...] = ()) -> tuple[Recipe, ...]:
    """The recipes of these ids, in order; all if `only` is empty. UserError for an unknown id."""
    plan = recipes(schedule)
    unknown = sorted(set(only) - {recipe.id for recipe in plan})
    if unknown:
        raise UserError(
            _("There is no training called {unknown}. Choose from: {known}.").format(
                unknown=", ".join(unknown), known=", ".join(recipe.id for recipe in plan)
            )
        )
    return tuple(recipe for recipe in plan if not only or recipe.id in only)
