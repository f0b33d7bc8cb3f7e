"""A picture becomes a network's square.

The same functions make the training photographs and an uploaded photo, so that a network is asked
about what it was trained on.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

CROP = 0.875
"""Side of what most networks see, as a share of the side of the picture's centre square."""


def STORED(px: int, crop: float = CROP) -> int:  # noqa: N802
    """Side in pixels of the square that the pixel cache keeps for crops of `px`: 128 -> 146.

    `crop` (0 to 1) is the share of the square's side that a network sees; with 1 it is the whole.
    """
    return round(px / crop)


def to_square(image: Image.Image, side: int) -> NDArray[np.uint8]:
    """The centre square of an RGB image, as long as its short side, resized: uint8 (3, side, side).

    Bicubic with antialiasing. `side` is in pixels, at least 1.
    """
    short = min(image.size)
    left, top = (image.width - short) // 2, (image.height - short) // 2
    square = image.crop((left, top, left + short, top + short))
    small = square.resize((side, side), Image.Resampling.BICUBIC, reducing_gap=3.0)
    return np.ascontiguousarray(np.asarray(small, dtype=np.uint8).transpose(2, 0, 1))


def centre_crop(squares: NDArray[np.uint8], px: int) -> NDArray[np.uint8]:
    """The middle `px` by `px` of (..., S, S), as a view: (..., px, px)."""
    start = (squares.shape[-1] - px) // 2
    return squares[..., start : start + px, start : start + px]


def prepare(image: Image.Image, px: int, crop: float = CROP) -> NDArray[np.uint8]:
    """What a network of input `px` sees of an RGB image: uint8 (3, px, px), values 0..255.

    `crop` is the network's own (`ModelSpec.crop`): the share of the centre square's side.
    """
    return np.ascontiguousarray(centre_crop(to_square(image, STORED(px, crop)), px))
