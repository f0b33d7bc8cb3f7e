"""Made-up Food-11: small folders of generated photographs in every layout met in the wild.

Each class has its own colour under noise, so that even a tiny network can learn to tell them apart;
none of it comes from a camera.
"""

import colorsys
from pathlib import Path

import numpy as np
from PIL import Image

from core.course import CLASSES

PER_CLASS = {"training": 2, "validation": 1, "testing": 1}
LAYOUTS = ("flat", "course", "kaggle", "labelled")


def food_picture(label: int, seed: int, size: tuple[int, int] = (48, 40)) -> Image.Image:
    """A picture of `size` (width, height): the class's hue with noise, the same for equal input."""
    rng = np.random.default_rng([label, seed])
    colour = np.array(colorsys.hsv_to_rgb(label / len(CLASSES), 0.8, 0.8)) * 255
    coarse = rng.normal(0, 25, (6, 6, 3)) + colour
    picture = Image.fromarray(coarse.clip(0, 255).astype(np.uint8))
    return picture.resize(size, Image.Resampling.BILINEAR)


def make_food11(
    folder: Path,
    layout: str = "flat",
    per_class: dict[str, int] | None = None,
    size: tuple[int, int] = (48, 40),
) -> Path:
    """Write JPEGs for every class and split under `folder`, and return it.

    Layouts: `flat`, EPFL's, whose third folder is `evaluation`; `course`, the same with an
    unlabelled `testing`; `kaggle`, a folder per class name; `labelled`, the course's of 2021, with
    an `unlabeled` folder beside the labelled ones and all testing photographs in `testing/00`.
    """
    for split, count in (per_class or PER_CLASS).items():
        for label in range(len(CLASSES)):
            for i in range(count):
                path = folder / _place(layout, split, label, i, count)
                path.parent.mkdir(parents=True, exist_ok=True)
                seed = i + 1000 * ("training", "validation", "testing").index(split)
                food_picture(label, seed, size).save(path, quality=90)
    if layout == "labelled":
        stray = folder / "training" / "unlabeled" / "00" / "0.jpg"
        stray.parent.mkdir(parents=True)
        food_picture(3, 9999, size).save(stray)
    return folder


def _place(layout: str, split: str, label: int, i: int, count: int) -> str:
    """Path of one photograph in a layout."""
    running = f"{label * count + i:04}.jpg"
    if layout == "flat":
        return f"{'evaluation' if split == 'testing' else split}/{label}_{i}.jpg"
    if layout == "course":
        return f"testing/{running}" if split == "testing" else f"{split}/{label}_{i}.jpg"
    if layout == "kaggle":
        name = CLASSES[label].replace("/", "-")
        return f"{'evaluation' if split == 'testing' else split}/{name}/{i}.jpg"
    if layout == "labelled":
        if split == "testing":
            return f"testing/00/{running}"
        below = "training/labeled" if split == "training" else split
        return f"{below}/{label:02}/{label}_{i}.jpg"
    raise ValueError(f"layout {layout!r} is none of {LAYOUTS}")
