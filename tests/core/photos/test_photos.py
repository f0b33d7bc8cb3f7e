"""An upload that is a photograph: the right pixels of every kind, upright, and the right square."""

import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from core.errors import PhotoError
from core.models.registry import MODELS
from core.photos import STORED, centre_crop, decode, prepare, read_photo, to_square
from tests.food import food_picture
from tests.uploads import encoded, samples


def pixels(image: Image.Image) -> NDArray[np.int64]:
    return np.asarray(image).astype(np.int64)


def apart(one: Image.Image, other: Image.Image) -> float:
    """Mean difference of two pictures, in levels of 0..255."""
    return float(np.abs(pixels(one) - pixels(other)).mean())


PICTURE = food_picture(5, 1, (64, 48))


@pytest.mark.parametrize("kind", samples())
def test_every_kind_is_read(kind: str) -> None:
    image = read_photo(samples()[kind])
    assert image.mode == "RGB"
    assert type(image) is Image.Image, "decoded: nothing still hangs on the bytes"
    assert image.info == {}, "no EXIF, place or time goes further"
    turned = kind in ("jpeg", "png", "webp", "avif")
    assert image.size == ((48, 64) if turned else (64, 48))
    expected: Image.Image = PICTURE
    if turned:
        expected = PICTURE.rotate(-90, expand=True)
    if kind in ("grey", "png, 16 bit"):
        expected = PICTURE.convert("L").convert("RGB")
    if kind == "png, 1 bit":
        expected = PICTURE.convert("1").convert("RGB")
    exact = kind in ("png", "png, 16 bit", "png, 1 bit", "png, animated", "webp, lossless")
    if kind == "png, palette":
        return  # has its own test below
    assert apart(image, expected) <= (0 if exact else 4)


def test_the_first_frame_of_an_animation() -> None:
    first, second = food_picture(0, 0), food_picture(7, 0)
    assert apart(first, second) > 20
    for kind in ("PNG", "WEBP", "MPO", "AVIF"):
        data = encoded(first, kind, save_all=True, append_images=[second])
        assert apart(read_photo(data), first) < 3, kind


def test_alpha_is_laid_on_white() -> None:
    rng = np.random.default_rng(0)
    rgba = rng.integers(0, 256, (20, 30, 4), dtype=np.uint8)
    alpha = rgba[..., 3:] / 255
    expected = rgba[..., :3] * alpha + 255 * (1 - alpha)
    image = Image.fromarray(rgba)
    for data in (encoded(image, "PNG"), encoded(image, "WEBP", lossless=True, exact=True)):
        assert np.abs(pixels(read_photo(data)) - expected).max() <= 1

    grey = Image.fromarray(rgba[..., :2])  # mode LA
    alpha = rgba[..., 1:2] / 255
    expected = np.repeat(rgba[..., :1] * alpha + 255 * (1 - alpha), 3, axis=2)
    assert np.abs(pixels(read_photo(encoded(grey, "PNG"))) - expected).max() <= 1


def test_a_transparent_palette_colour_becomes_white() -> None:
    image = Image.new("P", (4, 2))
    image.putpalette([200, 0, 0, 0, 150, 0])
    image.putdata([0, 1, 0, 1, 1, 1, 0, 0])
    got = pixels(read_photo(encoded(image, "PNG", transparency=1)))
    expected = np.where(np.asarray(image)[..., None] == 1, 255, [200, 0, 0])
    assert np.array_equal(got, expected)
    opaque = pixels(read_photo(encoded(image, "PNG")))
    assert np.array_equal(opaque, np.array([[200, 0, 0], [0, 150, 0]])[np.asarray(image)])


def test_sixteen_bits_keep_their_upper_eight() -> None:
    ramp = np.linspace(0, 65535, 256 * 4).reshape(4, 256).astype(np.uint16)
    got = pixels(read_photo(encoded(Image.fromarray(ramp), "PNG")))
    assert np.array_equal(got, np.repeat((ramp // 256)[..., None], 3, axis=2))


# What a viewer must do for each value of the EXIF tag, as moves of a (H, W, 3) array.
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a, 1),
    0: lambda a: a,
    99: lambda a: a,
}


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "JPEG", "AVIF"])
def test_upright_by_exif(kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    for orientation, turned in UPRIGHT.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        got = read_photo(encoded(PICTURE, kind, exif=exif, **options))
        expected = Image.fromarray(np.ascontiguousarray(turned(np.asarray(PICTURE))))
        assert got.size == expected.size
        assert apart(got, expected) <= (3 if kind in ("JPEG", "AVIF") else 0)


@pytest.mark.parametrize("orientation", [1, 5, 6, 8])
def test_a_phones_heic_is_turned_once(orientation: int) -> None:
    exif, picture = Image.Exif(), PICTURE.copy()
    exif[0x0112] = orientation
    picture.info["exif"] = (
        exif.tobytes()
    )  # the encoder adds HEIC's own rotation, the one that counts
    data = encoded(picture, "HEIF", quality=95)
    assert b"Exif" in data and (b"irot" in data or b"imir" in data) == (orientation > 1)
    got = read_photo(data)
    expected = Image.fromarray(np.ascontiguousarray(UPRIGHT[orientation](np.asarray(PICTURE))))
    assert got.size == expected.size
    assert apart(got, expected) <= 4


@pytest.mark.parametrize("exif", [b"Exif\0\0", b"Exif\0\0MM\0*\xff\xff\xff\xff", b"Exif\0\0" * 50])
@pytest.mark.filterwarnings("ignore")  # Pillow says that the EXIF is corrupt; so it is
def test_a_photo_with_broken_exif_is_still_a_photo(exif: bytes) -> None:
    assert apart(read_photo(encoded(PICTURE, "JPEG", exif=exif)), PICTURE) < 3


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "HEIF", "AVIF"])
def test_a_large_photo_is_halved_but_shows_the_same(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert max(STORED(spec.input_px, spec.crop) for spec in MODELS.values()) * 2 < decode.KEEP_SIDE
    monkeypatch.setattr(decode, "KEEP_SIDE", 64)
    large = food_picture(2, 3, (300, 220))
    got = decode.decode(encoded(large, kind))
    assert got.size == (150, 110)
    assert apart(got, large.resize((150, 110), Image.Resampling.BOX)) < 3
    assert decode.decode(encoded(large.crop((0, 0, 300, 127)), kind)).size == (300, 127)
    assert decode.decode(encoded(large.resize((700, 520)), kind)).size == (88, 65)


def test_a_phones_photo_through_the_door() -> None:
    large = food_picture(2, 3, (4032, 3024))
    got = read_photo(encoded(large, "JPEG"))
    assert got.size == (1008, 756)
    assert apart(got, large.resize((1008, 756), Image.Resampling.BOX)) < 1


def cubic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Keys' bicubic kernel with a = -0.5."""
    x = np.abs(x)
    near = 1.5 * x**3 - 2.5 * x**2 + 1
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


def resized(a: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """(n, n, 3) -> (side, side, 3) by bicubic with the kernel widened for antialiasing."""
    n = a.shape[0]
    scale = max(n / side, 1.0)
    centres = (np.arange(side) + 0.5) * n / side - 0.5
    weights = cubic((np.arange(n)[None, :] - centres[:, None]) / scale)  # (side, n)
    weights /= weights.sum(axis=1, keepdims=True)
    rows = np.tensordot(weights, a, axes=(1, 0))  # (side, n, 3)
    return np.tensordot(weights, rows, axes=(1, 1)).transpose(1, 0, 2)


@pytest.mark.parametrize(
    ("size", "side"), [((40, 40), 16), ((61, 40), 23), ((33, 90), 30), ((20, 20), 50), ((1, 1), 8)]
)
def test_to_square_is_the_centre_resized_by_the_formula(size: tuple[int, int], side: int) -> None:
    image = food_picture(6, 2, size)
    a, short = np.asarray(image).astype(float), min(size)
    top, left = (size[1] - short) // 2, (size[0] - short) // 2
    expected = resized(a[top : top + short, left : left + short], side).clip(0, 255)
    got = to_square(image, side)
    assert got.shape == (3, side, side)
    assert got.dtype == np.uint8
    assert got.flags.c_contiguous
    assert np.abs(got.transpose(1, 2, 0) - expected).max() <= 1.5


def test_a_very_large_square_is_close_to_the_formula() -> None:
    image = food_picture(6, 2, (900, 900))
    expected = resized(np.asarray(image).astype(float), 24).clip(0, 255)
    assert np.abs(to_square(image, 24).transpose(1, 2, 0) - expected).mean() < 1


def test_prepare_is_the_middle_of_the_stored_square() -> None:
    image = food_picture(1, 5, (200, 170))
    stored = to_square(image, STORED(128))
    assert stored.shape == (3, 146, 146)
    got = prepare(image, 128)
    assert got.flags.c_contiguous
    assert np.array_equal(got, stored[:, 9:137, 9:137])
    batch = np.stack([stored, stored])
    assert np.array_equal(centre_crop(batch, 128), np.stack([got, got]))
    assert prepare(image, 64).shape == (3, 64, 64)
    assert np.array_equal(prepare(image, 160, crop=1.0), to_square(image, 160)), "all of it"


def test_many_threads_read_what_one_does_and_change_nothing_global() -> None:
    data = [*samples().values(), b"", b"<html>", samples()["jpeg"][:200]]

    def one(photo: bytes) -> object:
        try:
            return read_photo(photo).tobytes()
        except PhotoError as error:
            return str(error)

    filters, limit = list(warnings.filters), Image.MAX_IMAGE_PIXELS
    expected = [one(photo) for photo in data]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(one, data * 20)) == expected * 20
    assert list(warnings.filters) == filters
    assert limit == Image.MAX_IMAGE_PIXELS
