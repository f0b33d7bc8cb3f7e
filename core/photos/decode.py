"""Strangers' bytes become RGB pixels. Runs in a worker of `core.limited`, and nowhere else.

Anything may arrive under the name of a photo: a web page, half a file, a 140 KB PNG that unfolds
to 144 megapixels. The size is read from the header before any pixel is, a picture that would be
slow or large is refused, and whatever a decoder still raises becomes one plain sentence.
"""

from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, JpegImagePlugin

from core.errors import PhotoError
from core.i18n import _
from core.limited import task
from core.photos import colour, formats
from core.photos.formats import Opened
from core.photos.square import to_square

KEEP_SIDE = 640
"""A picture is halved while its short side stays at least this: a network sees 300 pixels of it."""

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""How to turn a picture by EXIF's orientation."""


@task
def pixels(data: bytes) -> NDArray[np.uint8]:
    """(height, width, 3) RGB 0..255 of the picture in `data`. Raises PhotoError."""
    return np.asarray(decode(data))


@task
def square(data: bytes, side: int) -> NDArray[np.uint8]:
    """`to_square` of the picture in `data`: uint8 (3, side, side). Raises PhotoError."""
    return to_square(decode(data), side)


@task
def size(data: bytes) -> tuple[int, int]:
    """(width, height) in pixels that the picture in `data` says it has."""
    image = formats.open_photo(data).image
    return image.width, image.height


def decode(data: bytes) -> Image.Image:
    """The picture in `data`: mode RGB, sRGB, upright, alpha laid on white, nothing in its info.

    Of an animation the first frame. Raises PhotoError, whose text is a plain sentence, and
    MemoryError.
    """
    try:
        opened = formats.open_photo(data)
        image = _rgb(opened)
        if opened.retry:
            opened.image = JpegImagePlugin.JpegImageFile(BytesIO(opened.retry))
            if image.tobytes() != _rgb(opened).tobytes():
                raise ValueError("pixels are missing")
        return image
    except (PhotoError, MemoryError):
        raise
    except Exception as error:  # decoders of hostile bytes raise nearly anything
        raise PhotoError(
            _("This photo is damaged or incomplete and cannot be read. Choose another one.")
        ) from error


def _rgb(opened: Opened) -> Image.Image:
    image = opened.image
    if isinstance(image, JpegImagePlugin.JpegImageFile) and min(image.size) >= 2 * KEEP_SIDE:
        image.draft(None, (KEEP_SIDE, KEEP_SIDE))  # decoded at a half, a quarter or an eighth
    formats.check_size(image.size)
    image.load()
    formats.check_size(image.size)  # a HEIC may turn out larger than it said
    if image.mode.startswith("I"):  # 16 bits: keep the upper eight, where Pillow would clip
        image = Image.fromarray((np.asarray(image) >> 8).clip(0, 255).astype(np.uint8))
    alpha = None
    mode = "RGBA" if image.has_transparency_data else "RGB"
    by_profile = image.mode in ("L", "CMYK") and opened.profile is not None
    if image.mode != mode and not by_profile:
        image = image.convert(mode)
    factor = 1
    while min(image.size) // (2 * factor) >= KEEP_SIDE:
        factor *= 2
    if factor > 1:
        image = image.reduce(factor)
    if image.mode == "RGBA":
        image, alpha = image.convert("RGB"), image.getchannel("A")
    if opened.profile is not None:
        image = colour.srgb(image, opened.profile)
    if alpha is not None:
        white = Image.new("RGB", image.size, "white")
        white.paste(image, mask=alpha)
        image = white
    turn = _UPRIGHT.get(opened.exif.orientation)
    image = image.transpose(turn) if turn is not None else image
    image.info = {}  # where and when a visitor took it goes no further
    return image
