"""The trainings behind `pretrained/`: which networks, with which settings, in which order.

Two schedules. *quick* fits the stand-in photographs and two processor cores; *full* is for the real
Food-11 on a GPU. Runs that are compared (scratch against distilled, seed against seed) share
photographs, steps, views and the rule that picks the epoch; only what is compared differs.
"""

from dataclasses import dataclass
from typing import Any, Literal

from core.errors import UserError
from core.i18n import _
from core.training.config import TrainConfig

Schedule = Literal["quick", "full"]


@dataclass(frozen=True)
class Recipe:
    """One training and the checkpoint that comes out of it."""

    id: str
    title: str
    recipe: str
    """`imagenet`, `scratch`, `distilled`, `distilled_weak`; `_10ep` marks the short schedule;
    `food101` before them a start from Food-101, by itself that start."""
    config: TrainConfig


TEACHER = "efficientnet_lite0-imagenet-s0"
"""The strong teacher."""
STRONGER_TEACHER = "efficientnet_lite2-imagenet_more-s0"
"""A larger network, which saw more of each picture, and more pictures."""
WEAK_TEACHER = "resnet18-scratch-s0"
"""HW7's own: a ResNet-18 that saw nothing but these photographs."""
SEEDS = (0, 1, 2)
SHOWCASE = (TEACHER, WEAK_TEACHER, "dwpw_256k-scratch-s0", "dwpw_256k-distilled-s0")
"""The checkpoints whose pruned versions the pages show."""

_STUDENT: dict[Schedule, dict[str, Any]] = {
    # 30 views, shared by every student and seed: the teacher answers 30 x 3,634 pictures once.
    # The side grows from 64 px, which saves a third of the time; the teacher always sees 128.
    "quick": {
        "epochs": 60, "views": 30, "start_px": 64, "lr": 2e-3, "mixup": 0.2, "ema_decay": 0.99,
    },
    "full": {"epochs": 300, "batch_size": 128, "lr": 3e-3, "mixup": 0.2, "ema_decay": 0.999},
}  # fmt: skip
# hw13_residual costs 620 million multiply-adds a picture, 20 times dwpw_256k: fewer epochs, and the
# same for every network that is compared with it
_SHORT: dict[str, Any] = {
    "epochs": 10, "views": 10, "start_px": 64, "lr": 2e-3, "warmup_epochs": 1.0, "ema_decay": 0.98,
    "augment": "light",
}  # fmt: skip
_RESNET18: dict[Schedule, dict[str, Any]] = {
    "quick": {**_STUDENT["quick"], "epochs": 30, "lr": 1e-3, "weight_decay": 0.05},
    "full": {**_STUDENT["full"], "epochs": 200, "lr": 1e-3, "weight_decay": 0.05},
}
_SWEEP: dict[Schedule, dict[str, Any]] = {
    "quick": {
        "px": 96, "start_px": 64, "epochs": 10, "views": 10, "warmup_epochs": 1.0, "lr": 2e-3,
        "ema_decay": 0.98, "augment": "light",
    },
    "full": {"epochs": 30, "views": 30, "batch_size": 128, "lr": 3e-3, "ema_decay": 0.99},
}  # fmt: skip
SWEPT_TEMPERATURES = (1.0, 2.0, 4.0, 8.0, 20.0)
SWEPT_ALPHAS = (0.1, 0.5, 0.9)
SWEPT_SEEDS = (0, 1)
LESSON: dict[str, Any] = {"alpha": 0.7, "temperature": 4.0}
"""alpha and temperature of the shipped distilled students."""

PRESETS: dict[str, dict[str, Any]] = {
    "minute": {
        "px": 64,
        "share": 0.5,
        "epochs": 8,
        "batch_size": 32,
        "lr": 2e-3,
        "warmup_epochs": 1.0,
        "augment": "light",
        "views": 4,  # so the teacher is asked half as often, and not at all by the next run
    },
    "hour": _STUDENT["quick"],
    "full": _STUDENT["full"],
}
"""What the training page offers: a minute on a laptop, an hour on two cores, the full recipe."""


DREAMED: dict[str, dict[str, Any]] = {
    "minute": {
        "share": 1.0, "epochs": 30, "batch_size": 16, "augment": "standard", "views": 8,
        "ema_decay": 0.98,
    },
}  # fmt: skip
"""What presets say otherwise where there is nothing to learn from but dreams: they are few, so a
student needs many small steps on different views of them before it is better than chance."""


def preset(name: str, dreamed: bool = False) -> dict[str, Any]:
    """A preset's settings. Raises KeyError for an unknown one."""
    return PRESETS[name] | (DREAMED.get(name, {}) if dreamed else {})


def recipes(schedule: Schedule) -> tuple[Recipe, ...]:
    """All trainings of a schedule; each comes after those it needs."""
    first = (*_first_food101(), *_more()) if schedule == "quick" else ()
    return (*_teachers(schedule), *_hw7(schedule), *_hw13(schedule), *_dreamed(), *first)


def sweep(schedule: Schedule) -> tuple[TrainConfig, ...]:
    """The short trainings of one student over T, alpha and seed, and those on labels alone."""
    shared = {"model": "dwpw_256k", **_SWEEP[schedule]}
    alone = [TrainConfig(seed=seed, **shared) for seed in SWEPT_SEEDS]
    taught = [
        TrainConfig(seed=seed, teacher=TEACHER, temperature=temperature, alpha=alpha, **shared)
        for seed in SWEPT_SEEDS
        for alpha in SWEPT_ALPHAS
        for temperature in SWEPT_TEMPERATURES
    ]
    return (*alone, *taught)


_DREAM_TRIAL: dict[str, Any] = {
    "model": "dwpw_256k", "px": 64, "lr": 2e-3, "views": 20, "ema_decay": 0.99, "select": "last",
    "teacher": TEACHER, **LESSON,
}  # fmt: skip
_NAMES = {
    "efficientnet_lite0": "EfficientNet-Lite0",
    "efficientnet_lite2": "EfficientNet-Lite2",
    "resnet18": "ResNet-18",
    "dwpw_256k": "Depthwise + pointwise CNN",
    "plain_2m": "Plain CNN, 2.2 M",
    "plain_275k": "Plain CNN, 275 k",
    "group8_277k": "Group convolution CNN",
    "hw13_sample": "HW13 sample student",
    "hw13_residual": "HW13 residual student",
    "best_100k": "Best under 100,000",
}
_WAYS = {
    "imagenet": "from ImageNet",
    "imagenet_more": "from ImageNet, more photographs",
    "scratch": "from scratch",
    "distilled": "distilled",
    "distilled_weak": "distilled from ResNet-18",
    "distilled_stronger": "distilled from EfficientNet-Lite2",
    "food101": "on Food-101 at 64 px",
    "food101_scratch": "pre-trained on Food-101, labels alone",
    "food101_distilled": "pre-trained on Food-101, distilled",
    "food101_more_distilled": "pre-trained on Food-101, distilled with more photographs",
    "dreams_distilled": "distilled on dreams alone, 64 px",
    "photos_distilled": "distilled on as many photographs, 64 px",
    "photos_all_distilled": "distilled on all photographs, 64 px",
}


def _recipe(
    model: str, kind: str, settings: dict[str, Any], teacher: str = "", seed: int = 0
) -> Recipe:
    """A training of `kind`, with the settings that it shares with those it is compared with."""
    way = _WAYS[kind.removesuffix("_10ep")]
    length = f", {settings['epochs']} epochs" if kind.endswith("_10ep") else ""
    lesson = {"teacher": teacher, **LESSON} if teacher else {}
    return Recipe(
        f"{model}-{kind}-s{seed}",
        f"{_NAMES[model]}{length}, {way}",
        kind,
        TrainConfig(**{"model": model, "seed": seed, **settings, **lesson}),
    )


def _both(model: str, settings: dict[str, Any], seed: int = 0, length: str = "") -> list[Recipe]:
    """The same network from scratch and distilled."""
    return [
        _recipe(model, kind + length, settings, teacher, seed)
        for kind, teacher in (("scratch", ""), ("distilled", TEACHER))
    ]


def _teachers(schedule: Schedule) -> list[Recipe]:
    lite, resnet = {"pretrained": True, "mixup": 0.2}, _RESNET18[schedule]
    if schedule == "full":
        lite |= {"epochs": 40, "lr": 6e-4, "ema_decay": 0.999}
    else:
        lite |= {
            "start_px": 96, "epochs": 8, "lr": 5e-4, "weight_decay": 0.05, "warmup_epochs": 0.5,
            "ema_decay": 0.98,
        }  # fmt: skip
    return [_recipe("efficientnet_lite0", "imagenet", lite), *_both("resnet18", resnet)]


def _hw7(schedule: Schedule) -> list[Recipe]:
    students = [
        _recipe("dwpw_256k", kind, _STUDENT[schedule], teacher, seed)
        for seed in SEEDS
        for kind, teacher in (
            ("scratch", ""),
            ("distilled", TEACHER),
            ("distilled_weak", WEAK_TEACHER),
        )
    ]
    return students + [
        _recipe(model, "scratch", _STUDENT[schedule], seed=seed)
        for seed in SEEDS
        for model in ("plain_2m", "plain_275k", "group8_277k")
    ]


def _hw13(schedule: Schedule) -> list[Recipe]:
    long = _STUDENT[schedule]
    plan = [recipe for seed in SEEDS for recipe in _both("best_100k", long, seed)]
    if schedule == "full":  # there is a GPU: all of them train as long
        settings, length, models = long, "", ["hw13_sample", "hw13_residual"]
    else:
        settings, length, models = _SHORT, "_10ep", ["hw13_sample", "hw13_residual", "best_100k"]
    return plan + [recipe for model in models for recipe in _both(model, settings, length=length)]


def _dreamed() -> list[Recipe]:
    """A student of dreams alone, of as many photographs, and of all: 1,350 steps each."""
    arms: dict[str, dict[str, Any]] = {
        "dreams_distilled": {"data": "dreams", "epochs": 90},
        "photos_distilled": {"share": 0.27, "epochs": 90},
        "photos_all_distilled": {"epochs": 24},
    }
    return [
        _recipe("dwpw_256k", kind, {**_DREAM_TRIAL, **settings}, seed=seed)
        for seed in SEEDS
        for kind, settings in arms.items()
    ]


FOOD101 = "FOOD101_ROOT"
"""Variable that names the photographs to learn from first: made by `python -m tools distinct`."""
_FIRST: dict[str, Any] = {
    "data": FOOD101, "px": 64, "epochs": 60, "lr": 2e-3, "ema_decay": 0.99,
}  # fmt: skip
_LONGER = 120
"""Epochs after it: one that has seen more goes on gaining for longer."""


def _first_food101() -> list[Recipe]:
    """Students that learn from Food-101 first: that start, and what becomes of it.

    Those that are compared share start, photographs, steps and views; each seed has a start of its
    own, so that the luck of both stages is in what the seeds differ by. `best_100k` shows how far a
    student of its size gets.
    """
    plan = []
    for model, kinds in (("dwpw_256k", ("scratch", "distilled")), ("best_100k", ("distilled",))):
        for seed in SEEDS:
            start = _recipe(model, "food101", _FIRST, seed=seed)
            after = {**_STUDENT["quick"], "epochs": _LONGER, "start_from": start.id}
            plan.append(start)
            for kind in kinds:
                teacher = TEACHER if kind == "distilled" else ""
                plan.append(_recipe(model, f"food101_{kind}", after, teacher, seed))
    return plan


FOOD_MORE = "FOODMORE_ROOT"
"""Variable that names further photographs to learn from: made by `python -m tools distinct`."""
_FURTHER: dict[str, Any] = {"more_data": FOOD_MORE, "more_share": 0.33}
"""An epoch takes all of the usual photographs and a third of the others, about as many."""


def _more() -> list[Recipe]:
    """A stronger teacher, which learned from further photographs too, and what it teaches.

    First `dwpw_256k` as it learned from the other two teachers: does a better one help? Then the
    students that begin with Food-101, with the further photographs in the last lesson too: as many
    steps as without them, half as many epochs of twice the photographs.
    """
    lite = {
        **_FURTHER, "px": 160, "start_px": 112, "epochs": 6, "batch_size": 32, "lr": 4e-4,
        "weight_decay": 0.05, "warmup_epochs": 0.5, "label_smoothing": 0.1, "ema_decay": 0.99,
        "precision": "float32", "pretrained": True,
    }  # fmt: skip
    third = [
        _recipe("dwpw_256k", "distilled_stronger", _STUDENT["quick"], STRONGER_TEACHER, seed)
        for seed in SEEDS
    ]
    longer = {**_STUDENT["quick"], **_FURTHER, "epochs": _LONGER // 2, "teacher_int8": True}
    best = [
        _recipe(
            model,
            "food101_more_distilled",
            {**longer, "start_from": f"{model}-food101-s{seed}"},
            STRONGER_TEACHER,
            seed,
        )
        for model in ("dwpw_256k", "best_100k")
        for seed in SEEDS
    ]
    return [_recipe("efficientnet_lite2", "imagenet_more", lite), *third, *best]


def chosen_recipes(schedule: Schedule, only: tuple[str, ...] = ()) -> tuple[Recipe, ...]:
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
