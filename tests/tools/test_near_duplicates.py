"""Near duplicates: found whatever was done to the copy, and other pictures left alone."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from core.data.find import SPLITS, find_food11
from core.errors import DataError
from tests.food import make_food11
from tools.near_duplicates import THRESHOLD, near_duplicates, similarity, thumbnails


def scene(seed: int, size: tuple[int, int] = (160, 200)) -> Image.Image:
    """A picture with its own large shapes and fine grain, the same for equal input."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 5, 3), dtype=np.uint8))
    shapes = np.asarray(coarse.resize(size, Image.Resampling.BICUBIC), dtype=np.float32)
    grain = rng.normal(0, 6, shapes.shape)
    return Image.fromarray((shapes + grain).clip(0, 255).astype(np.uint8))


def square(image: Image.Image, side: int = 64) -> Image.Image:
    return ImageOps.fit(image, (side, side), Image.Resampling.BICUBIC)


def cosine(a: Image.Image, b: Image.Image) -> float:
    return float(similarity(thumbnails(a), thumbnails(b))[0].max())


COPIES = {
    "smaller": lambda image: image.resize((48, 60)),
    "squeezed": lambda image: image.resize((64, 64)),
    "cut square": square,
    "mirrored": ImageOps.mirror,
    "cut and mirrored": lambda image: ImageOps.mirror(square(image)),
    "brighter": lambda image: image.point(lambda value: min(255, value // 2 + 90)),
}


@pytest.mark.parametrize("what", COPIES)
def test_a_copy_is_the_same(what: str) -> None:
    for seed in range(5):
        original = scene(seed)
        assert cosine(COPIES[what](original), original) > THRESHOLD


def test_other_pictures_are_not() -> None:
    pictures = [scene(seed) for seed in range(12)]
    for i, a in enumerate(pictures):
        assert max(cosine(a, b) for b in pictures[:i] + pictures[i + 1 :]) < THRESHOLD - 0.1
    turned = pictures[0].transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    assert cosine(turned, pictures[0]) < THRESHOLD - 0.1


def test_the_cosine_is_that_of_the_nearest_mirrored_or_not() -> None:
    """Against a loop that mirrors the pictures themselves."""
    ours, theirs = ([scene(seed, (32, 32)) for seed in seeds] for seeds in ((1, 2, 3), (3, 7)))

    def row(image: Image.Image) -> np.ndarray:
        small = np.asarray(image.resize((16, 16), Image.Resampling.BOX), dtype=np.float64).ravel()
        return (small - small.mean()) / np.linalg.norm(small - small.mean())

    found, nearest = similarity(
        np.concatenate([thumbnails(one) for one in ours]),
        np.concatenate([thumbnails(one) for one in theirs]),
    )
    expected = [
        [max(row(a) @ row(b), row(a) @ row(ImageOps.mirror(b))) for b in theirs] for a in ours
    ]
    assert found == pytest.approx(np.max(expected, axis=1), abs=1e-5)
    assert nearest.tolist() == np.argmax(expected, axis=1).tolist()
    assert nearest[2] == 0 and found[2] == pytest.approx(1, abs=1e-5)


def test_only_what_is_learned_from_and_tested_on_counts(tmp_path: Path) -> None:
    """A copy of a training photograph may stay, and so may one in the source's testing split."""
    per_class = {"training": 1, "validation": 1, "testing": 1}
    for number, name in enumerate(("source", "against")):
        make_food11(tmp_path / name, "kaggle", per_class)
        for i, path in enumerate(sorted((tmp_path / name).rglob("*.jpg"))):
            scene(1000 * number + i).save(path, quality=92)
    source, against = (tmp_path / name for name in ("source", "against"))
    other = find_food11(against)
    files, kept = (
        {split: [index.files[row] for row in index.of(split)] for split in SPLITS}
        for index in (find_food11(source), other)
    )

    def copy(image: Path, to: Path) -> None:
        square(Image.open(image)).save(to, quality=80)

    copy(against / kept["validation"][0], source / files["training"][3])
    copy(against / kept["testing"][1], source / files["validation"][4])
    copy(against / kept["training"][2], source / files["training"][5])  # both learn from it
    copy(against / kept["testing"][3], source / files["testing"][6])  # nothing learns from it
    (source / files["training"][8]).write_bytes(b"no picture")
    twins, unreadable = near_duplicates(find_food11(source), other, progress=False)
    assert [(twin.file, twin.like) for twin in twins] == [
        (files["training"][3], kept["validation"][0]),
        (files["validation"][4], kept["testing"][1]),
    ]
    assert all(THRESHOLD <= twin.similarity <= 1.0001 for twin in twins)
    assert unreadable == [files["training"][8]]


def test_a_set_without_test_photographs_cannot_be_kept_apart_from(tmp_path: Path) -> None:
    source = find_food11(make_food11(tmp_path / "a", size=(8, 8)))
    against = find_food11(make_food11(tmp_path / "b", per_class={"training": 1}, size=(8, 8)))
    with pytest.raises(DataError, match="no validation or testing photograph"):
        near_duplicates(source, against, progress=False)
