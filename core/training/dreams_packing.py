"""Dreams judged and packed: JPEG sheets, and a list that says what two networks see in each.

The teacher should see what it dreamed of. The harder judge is a network that was trained on its
own and never heard this teacher: what it recognises is in the picture, not in the teacher's head.
Both look at the dreams as they are shipped, through JPEG and through the very steps that prepare
an upload.
"""

import hashlib
import time

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core import checkpoints
from core.checkpoints import WEIGHTS, Checkpoint
from core.data.dreams import Dreams, DreamSet, Sheet, dreams_dir, sheet_jpeg, tiles
from core.photos import prepare
from core.places import write_atomic, write_json
from core.provenance import commit, versions
from core.serving.predict import predictor, softmax
from core.training.dreams import DreamSettings
from core.training.speed import best_device, device_name

QUALITY = 90
MOST_COLUMNS = 12


def pack(
    teacher: Checkpoint,
    plan: tuple[DreamSettings, ...],
    made: list[NDArray[np.uint8]],
    compute_s: float,
) -> Dreams:
    """Write the sheets and dreams.json; `made` holds (11, per_class, 3, px, px) uint8 a setting.

    After a crash the old list and its sheets are still there, or the new ones: sheets are named by
    what is in them, and those that no list names go last. Raises OSError for a full disk.
    """
    folder, checker = dreams_dir(), independent(teacher)
    sets = []
    for settings, pictures in zip(plan, made, strict=True):
        columns = min(MOST_COLUMNS, settings.per_class)
        sheets = []
        for label, of_class in enumerate(pictures):
            data = sheet_jpeg(of_class, columns, QUALITY)
            sha256 = hashlib.sha256(data).hexdigest()
            name = f"{settings.px}-{label:02}-{sha256[:8]}.jpg"
            write_atomic(folder / name, data)
            sheets.append(
                Sheet(
                    label=label, file=name, sha256=sha256, bytes=len(data),
                    teacher_answers=(0,) * len(of_class), teacher_sure=(0.0,) * len(of_class),
                )
            )  # fmt: skip
        plain = DreamSet(
            px=settings.px,
            columns=columns,
            validation=settings.validation,
            settings=settings.model_dump(),
            sheets=tuple(sheets),
        )
        sets.append(_judged(plain, teacher, checker))
    found = Dreams(
        teacher=teacher.id,
        teacher_sha256=teacher.files[WEIGHTS].sha256,
        checker=checker.id if checker else None,
        checker_sha256=checker.files[WEIGHTS].sha256 if checker else None,
        sets=tuple(sets),
        commit=commit(),
        date=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        device=device_name(best_device()),
        compute_s=round(compute_s, 1),
        versions=versions(),
    )
    write_json(folder / "dreams.json", found.model_dump(mode="json"))
    named = {sheet.file for one in found.sets for sheet in one.sheets}
    for old in folder.glob("*.jpg"):
        if old.name not in named:
            old.unlink()
    return found


def independent(teacher: Checkpoint) -> Checkpoint | None:
    """The best network that heard no teacher and is not this one, by its validation accuracy.

    None where there is none. A pruned version of the teacher is the teacher.
    """
    others = [
        one
        for one in checkpoints.load_manifest().values()
        if one.model != teacher.model
        and one.teacher is None
        and one.recipe.startswith("scratch")
        and not one.widths
        and one.validation is not None
        and one.data.fingerprint == teacher.data.fingerprint
    ]
    return max(others, key=lambda one: (one.validation.accuracy, one.id), default=None)  # type: ignore[union-attr]


def _judged(plain: DreamSet, teacher: Checkpoint, checker: Checkpoint | None) -> DreamSet:
    sheets = []
    for sheet in plain.sheets:
        pictures = tiles(plain, sheet.label)
        p = _probabilities(teacher, pictures)
        answers = _probabilities(checker, pictures).argmax(1).tolist() if checker else []
        judged = {
            "teacher_answers": tuple(p.argmax(1).tolist()),
            "teacher_sure": tuple(round(float(one), 4) for one in p[:, sheet.label]),
            "checker_answers": tuple(answers),
        }
        sheets.append(sheet.model_copy(update=judged))
    return plain.model_copy(update={"sheets": tuple(sheets)})


def _probabilities(who: Checkpoint, pictures: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(n, 11) of what a checkpoint says of (n, 3, px, px) uint8, prepared as an upload is."""
    images = [Image.fromarray(one.transpose(1, 2, 0)) for one in pictures]
    squares = np.stack([prepare(image, who.input_px, who.crop) for image in images])
    return softmax(predictor(who.id).logits(squares))
