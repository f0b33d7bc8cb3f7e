"""Tiny networks, published with scores on the made photographs: one alone, or a pair.

The pair is a teacher and its distilled student.
"""

from pathlib import Path

from core import checkpoints
from core.data.find import find_food11
from core.data.pixels import load_pixels
from core.stats import labelled
from core.training.config import TrainConfig
from tests.tiny_network import publish_tiny, trained

PX = 32
ID = "tiny-scratch-s0"
TEACHER, STUDENT = "tiny-imagenet-s0", "tiny-distilled-s0"


def publish_one(food: Path) -> None:
    """ID under SMALL_PLATES_PRETRAINED, measured on the photographs in `food`."""
    pixels = load_pixels(find_food11(food), PX, progress=False)
    config = TrainConfig(model="tiny", px=PX, batch_size=11, precision="float32", augment="none")
    publish_tiny(
        ID,
        input_px=PX,
        validation=labelled(pixels, "validation", PX),
        test=labelled(pixels, "testing", PX),
        data=checkpoints.DataInfo.of(pixels),
        config=config.model_dump(mode="json"),
    )


def publish_pair(food: Path) -> None:
    """Both under SMALL_PLATES_PRETRAINED, measured on the photographs in `food`."""
    pixels = load_pixels(find_food11(food), PX, progress=False)
    config = TrainConfig(model="tiny", px=PX, batch_size=11, precision="float32", augment="none")
    for seed, (id, recipe, teacher) in enumerate(
        ((TEACHER, "imagenet", None), (STUDENT, "distilled", TEACHER))
    ):
        publish_tiny(
            id,
            net=trained(seed),
            recipe=recipe,
            teacher=teacher,
            title="Tiny teacher" if teacher is None else "Tiny student",
            input_px=PX,
            validation=labelled(pixels, "validation", PX),
            test=labelled(pixels, "testing", PX),
            data=checkpoints.DataInfo.of(pixels),
            config=config.model_dump(mode="json"),
        )
