"""Dreams for tests: plain coloured pictures packed as the real ones are, without a network."""

import hashlib

import numpy as np
from numpy.typing import NDArray

from core.course import CLASSES
from core.data.dreams import Dreams, DreamSet, Sheet, dreams_dir, sheet_jpeg
from core.paths import write_atomic, write_json
from tests.food import food_picture


def coloured(px: int, per_class: int) -> NDArray[np.uint8]:
    """(11, per_class, 3, px, px) uint8: each class in its hue."""
    return np.stack(
        [
            np.stack(
                [
                    np.asarray(food_picture(label, seed, (px, px))).transpose(2, 0, 1)
                    for seed in range(per_class)
                ]
            )
            for label in range(len(CLASSES))
        ]
    )


def dream_set(px: int, per_class: int, columns: int, validation: int = 0) -> DreamSet:
    """Write the sheets of one size under `pretrained/dreams`; the teacher is right on all of them,
    the checker on the first of each class."""
    sheets = []
    for label, pictures in enumerate(coloured(px, per_class)):
        data = sheet_jpeg(pictures, columns, 95)
        sha256 = hashlib.sha256(data).hexdigest()
        name = f"{px}-{label:02}-{sha256[:8]}.jpg"
        write_atomic(dreams_dir() / name, data)
        wrong = (label + 1) % len(CLASSES)
        sheets.append(
            Sheet(
                label=label,
                file=name,
                sha256=sha256,
                bytes=len(data),
                teacher_answers=(label,) * per_class,
                teacher_sure=(0.9,) * per_class,
                checker_answers=(label, *[wrong] * (per_class - 1)),
            )
        )
    return DreamSet(
        px=px,
        columns=columns,
        validation=validation,
        settings={"steps": 7},
        sheets=tuple(sheets),
    )


def fill_dreams(per_class: int = 5, validation: int = 2) -> Dreams:
    """Dreams of both sizes in SMALL_PLATES_PRETRAINED (set it first)."""
    found = Dreams(
        teacher="efficientnet_lite0-imagenet-s0",
        teacher_sha256="0" * 64,
        checker="dwpw_256k-scratch-s0",
        checker_sha256="1" * 64,
        sets=(dream_set(128, 2, 2), dream_set(64, per_class, 3, validation)),
        date="2026-11-22T00:00:00Z",
        device="a test",
        compute_s=1.0,
    )
    write_json(dreams_dir() / "dreams.json", found.model_dump(mode="json"))
    return found
