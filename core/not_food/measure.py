"""Measure the scores: features of training photographs, limits from validation, then both kinds.

For each version of a checkpoint (published, in 8 bits, pruned): the limit that 95 % of the
validation photographs keep to, how many test photographs are above it (false alarms), and how many
pictures of each kind that are not food. All versions see the same pictures, so that they can be
compared in pairs. Imports no torch.
"""

import importlib.util
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core import checkpoints
from core.checkpoints import Checkpoint, checkpoint_tensors
from core.data.pixels import pixels_here
from core.export.files import FilePredictor, obstacle
from core.inference.predict import Predictor, softmax
from core.not_food.method import DECIDES, LIMIT, SCORES, Plane, ScoreName, limit, scores
from core.not_food.pictures import KINDS, picture
from core.not_food.rows import INT8, OTHERS, PUBLISHED, NotFood, Pictures, Spread, VersionRow
from core.photos import prepare
from core.provenance import made_here
from core.pruning.method import choose
from core.pruning.network import PrunedPredictor
from core.pruning.rows import PruningGrid
from core.stats import Labelled, labelled

PER_KIND = 100
MOST_TRAINING = 1000
"""Training photographs whose features are taken, evenly spaced."""
RATIOS = (30, 50, 70, 90)
"""Per cent of the weights pruned, of a network whose pruned versions are measured."""
BINS = 30
OTHER_FILES = (
    "astronaut.png", "brick.png", "camera.png", "cell.png", "chelsea.png", "chessboard_GRAY.png",
    "clock_motion.png", "coins.png", "color.png", "grass.png", "gravel.png", "horse.png",
    "hubble_deep_field.jpg", "ihc.png", "logo.png", "microaneurysms.png", "moon.png",
    "motorcycle_left.png", "page.png", "phantom.png", "retina.jpg", "rocket.jpg", "text.png",
)  # fmt: skip
"""Pictures in scikit-image's package; not its cup of coffee, nor twins of these."""

Opened = Callable[[], Predictor]


def openers(checkpoint: Checkpoint) -> dict[str, Opened]:
    """What is measured of a checkpoint: each version's name, and what opens it."""
    id = checkpoint.id
    opened: dict[str, Opened] = {PUBLISHED: partial(Predictor, id)}
    if not checkpoint.seed and not obstacle(id, "onnx-int8"):
        opened[INT8] = partial(FilePredictor, id, "onnx-int8")
    if PruningGrid.of_checkpoint(checkpoint):
        opened |= {f"l1-{percent}": partial(_pruned, id, percent) for percent in RATIOS}
    return opened


def _pruned(id: str, percent: int) -> Predictor:
    return PrunedPredictor(id, choose(checkpoint_tensors(id), "l1", percent / 100, ()))


def missing_versions(id: str) -> list[str]:
    """The versions of a checkpoint that are not measured.

    Raises CheckpointError where there is no such checkpoint, or its results are damaged.
    """
    checkpoint = checkpoints.get(id)
    known = NotFood.of_checkpoint(checkpoint)
    return [name for name in openers(checkpoint) if known is None or known.row(name) is None]


def state(id: str) -> str:
    """ "done", "started" or "missing": also where the checkpoint itself is not there yet."""
    if id not in checkpoints.load_manifest():
        return "missing"
    missing = missing_versions(id)
    return "done" if not missing else "missing" if PUBLISHED in missing else "started"


def make_not_food(
    id: str,
    log: Callable[[str], None] = print,
    threads: int = 1,
    device: str | None = None,
    per_kind: int = PER_KIND,
) -> None:
    """Measure the versions of a checkpoint that are missing; each is kept as soon as it is done.

    One thread on the processor, whatever `threads` and `device` say: as the app answers a visitor.
    """
    del threads, device
    checkpoint, missing = checkpoints.get(id), missing_versions(id)
    pixels = pixels_here(checkpoint.input_px, checkpoint.crop) if missing else None
    if pixels is None or pixels.index.fingerprint != checkpoint.data.fingerprint:
        if missing:
            log(f"{id}: left out, {checkpoint.data.name} is not here")
        return
    photographs = {
        split: labelled(pixels, split, checkpoint.input_px)
        for split in ("training", "validation", "testing")
    }
    every = -(-len(photographs["training"].labels) // MOST_TRAINING)
    training = photographs["training"].pixels[::every]

    def facts() -> dict[str, object]:
        log(f"{id}: features of {len(training)} training photographs")
        plane = Plane.of(Predictor(id).answers(training)[1])
        return made_here(plane=plane.text, n_training=len(training))

    measured = NotFood.begin(checkpoint, pixels.index, facts)
    others = {
        kind: np.stack([prepare(image, checkpoint.input_px, checkpoint.crop) for image in images])
        for kind, images in _pictures(per_kind).items()
    }
    opened = openers(checkpoint)
    for name in missing:
        row = measure(name, opened[name](), measured.training, photographs, others)
        measured = measured.keep([row])
        caught = [pictures.unsure[DECIDES] for pictures in row.pictures.values()]
        log(
            f"{id} {name}: unsure about {row.alarms[DECIDES]} of {row.n} photographs, "
            f"{sum(caught)} of {sum(pictures.n for pictures in row.pictures.values())} others"
        )


def measure(
    name: str,
    network: Predictor,
    plane: Plane,
    photographs: Mapping[str, Labelled],
    others: Mapping[str, NDArray[np.uint8]],
) -> VersionRow:
    """One version's row. `others`: pictures (N, 3, px, px) that are not food, by kind."""
    validation = scores(*network.answers(photographs["validation"].pixels), plane)
    limits = {name: limit(validation[name], LIMIT) for name in SCORES}
    test = photographs["testing"]
    logits, features = network.answers(test.pixels)
    food = scores(logits, features, plane)
    unsure = np.flatnonzero(food[DECIDES] > limits[DECIDES])
    is_right = logits.argmax(axis=1) == test.labels
    pictures, by_kind = {}, []
    for kind, pixels in others.items():
        other_logits, other_features = network.answers(pixels)
        other = scores(other_logits, other_features, plane)
        by_kind.append(other)
        pictures[kind] = Pictures(
            flags="".join("01"[bool(value > limits[DECIDES])] for value in other[DECIDES]),
            unsure=_above(other, limits),
            confidence=_confidence(other_logits),
        )
    return VersionRow(
        version=name,
        limits=limits,
        n_validation=len(photographs["validation"].labels),
        n=len(test.labels),
        correct=int(is_right.sum()),
        alarms=_above(food, limits),
        unsure=tuple(unsure.tolist()),
        unsure_correct=int(is_right[unsure].sum()),
        confidence=_confidence(logits),
        pictures=pictures,
        spreads={
            score: _spread(food[score], np.concatenate([other[score] for other in by_kind]))
            for score in SCORES
        },
    )


def _above(
    values: Mapping[ScoreName, NDArray[np.float64]], limits: Mapping[ScoreName, float]
) -> dict[ScoreName, int]:
    return {score: int((values[score] > limits[score]).sum()) for score in SCORES}


def _confidence(logits: NDArray[np.float32]) -> float:
    return round(float(softmax(logits).max(axis=1).mean()), 4)


def _spread(food: NDArray[np.float64], other: NDArray[np.float64]) -> Spread:
    """From the lowest score of all to the highest but for the top hundredth of each."""
    low = min(food.min(), other.min())
    high = max(np.quantile(food, 0.99), np.quantile(other, 0.99), low + 1e-6)
    edges = np.linspace(low, high, BINS + 1)
    counts = [np.histogram(np.clip(part, low, high), edges)[0].tolist() for part in (food, other)]
    return Spread(low=float(low), high=float(high), food=counts[0], other=counts[1])


@lru_cache(maxsize=1)
def _pictures(per_kind: int) -> dict[str, list[Image.Image]]:
    """The pictures that are not food, by kind."""
    made: dict[str, list[Image.Image]] = {
        kind: [picture(kind, number) for number in range(per_kind)] for kind in KINDS
    }
    if bundled := list(_bundled()):
        made[OTHERS] = bundled
    return made


def _bundled() -> Iterator[Image.Image]:
    """scikit-image's own pictures, where that is installed; it is not imported."""
    package = importlib.util.find_spec("skimage")
    for folder in (package.submodule_search_locations or []) if package else []:
        for name in OTHER_FILES:
            if (path := Path(folder) / "data" / name).is_file():
                with Image.open(path) as image:
                    yield image.convert("RGB")
