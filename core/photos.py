"""An untrusted upload becomes a safe RGB picture, and a picture becomes a network's square.

Anything may arrive under the name of a photo: a web page, half a file, a 140 KB PNG that unfolds
to 144 megapixels. So the bytes are recognised by their own signature, never by a name; the size is
read from the header before any pixel is; a picture that would be slow or large is refused; and
whatever a decoder still raises becomes one plain sentence. Nothing is written to disk and no global
of Pillow is changed, so many threads may read at once.

The same two functions, `to_square` and `centre_crop`, make the training photographs and an uploaded
photo, so that a network is asked about what it was trained on.
"""

import re
import threading
from collections.abc import Callable
from contextlib import nullcontext
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, JpegImagePlugin, PngImagePlugin, WebPImagePlugin

from core.errors import PhotoError
from core.heic import coded_sizes
from core.i18n import _

MAX_BYTES = 10 * 2**20
"""The largest file read, in bytes: a phone's photo has 2 to 6 MB."""

MAX_PIXELS = 25_000_000
"""The most pixels decoded: width x height as the file's header gives them."""

MAX_SIDE = 16_384
"""The longest side decoded, in pixels; a longer strip is not a photograph of food."""

MAX_SCANS = 50
"""The most scans in a JPEG. A progressive one has about ten; thousands keep a decoder busy."""

KEEP_SIDE = 1024
"""A picture is halved while its short side stays at least this: a network sees 146 pixels of it."""

FORMATS = ("JPEG", "PNG", "WEBP", "HEIC")
"""What is read. A phone's MPO (two JPEGs in one .jpg) is read as its first picture."""

_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"})
_JPEG_MARKER = re.compile(rb"\xff+([\x01-\xcf\xd8-\xfe])")  # 00 is a stuffed byte, D0-D7 restarts
_MAX_SEGMENTS = 5_000  # 10 MB of the longest segments are 160
_ORIENTATION = 0x0112  # the EXIF tag
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_LARGE = 4_000_000  # pixels from which on a picture waits for one of the two places below
_LARGE_AT_ONCE = threading.BoundedSemaphore(2)  # so a class of thirty cannot fill the memory


CROP = 0.875
"""Side of what most networks see, as a share of the side of the picture's centre square."""


def STORED(px: int, crop: float = CROP) -> int:  # noqa: N802
    """Side in pixels of the square that the pixel cache keeps for crops of `px`: 128 -> 146.

    `crop` (0 to 1) is the share of the square's side that a network sees; with 1 it is the whole.
    """
    return round(px / crop)


def read_photo(data: bytes) -> Image.Image:
    """The picture in `data`: mode RGB, upright by its EXIF orientation, alpha laid on white.

    Of an animation the first frame. A picture whose short side is 2,048 pixels or more is halved
    until it is not, which bounds what a session holds. Raises PhotoError, whose text is a plain
    sentence, and nothing else.
    """
    if len(data) > MAX_BYTES:
        raise _too_many_bytes(len(data))
    if not data:
        raise PhotoError(_("This file is empty. Choose another photo."))
    opener = _opener(data)
    try:
        image = opener(data)
        _check_size(image.size)
        large = image.size[0] * image.size[1] > _LARGE
        with _LARGE_AT_ONCE if large else nullcontext():
            return _decode(image)
    except PhotoError:
        raise
    except Exception as error:  # decoders of hostile bytes raise nearly anything
        raise PhotoError(
            _("This photo is damaged or incomplete and cannot be read. Choose another one.")
        ) from error


def read_photo_file(path: Path | str) -> Image.Image:
    """`read_photo` of a file, whose size is looked at before a byte of it is read."""
    path = Path(path)
    try:
        if path.is_dir():
            raise PhotoError(_("This is a folder. Name a photo in it."))
        if not path.is_file():  # nor a device or a pipe, which could be read for ever
            raise PhotoError(_("There is no such file."))
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise _too_many_bytes(size)
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise PhotoError(_("This file cannot be opened.")) from error
    return read_photo(data)


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


def _opener(data: bytes) -> Callable[[bytes], Image.Image]:
    """Which reader these bytes ask for; PhotoError where they are none of FORMATS."""
    if data.startswith(b"\xff\xd8\xff"):
        return _open_jpeg
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return lambda data: PngImagePlugin.PngImageFile(BytesIO(data))
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _open_webp
    if data[4:8] == b"ftyp":  # the brands of one box, four letters each; AVIF has others
        brands = data[8 : min(int.from_bytes(data[:4], "big"), 256)]
        if _HEIC_BRANDS & {brands[i : i + 4] for i in range(0, len(brands), 4)}:
            return _open_heic
    start = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml", b"<svg", b"<head", b"<!--")):
        raise PhotoError(
            _(
                "This file is a web page or a drawing, not a photo. Choose a JPEG, PNG, WebP or "
                "HEIC."
            )
        )
    raise PhotoError(_("This is not a photo in a format read here: JPEG, PNG, WebP or HEIC."))


def _open_jpeg(data: bytes) -> Image.Image:
    # JpegImageFile, not Image.open: no bomb warning, no look at the further pictures of an MPO
    if _too_many_scans(data):
        raise PhotoError(_("This JPEG is built in a way that is too slow to read. Save it anew."))
    return JpegImagePlugin.JpegImageFile(BytesIO(data))


def _too_many_scans(data: bytes) -> bool:
    """Whether the first picture of a JPEG has more than MAX_SCANS scans, or endless segments."""
    scans, position = 0, 2
    for _segment in range(_MAX_SEGMENTS):
        marker = _JPEG_MARKER.search(data, position)
        if marker is None or marker[1] == b"\xd9" or scans > MAX_SCANS:
            return scans > MAX_SCANS
        position = marker.end()
        scans += marker[1] == b"\xda"
        if marker[1] not in b"\x01\xd8":  # those two stand alone; the others say how long they are
            position += int.from_bytes(data[position : position + 2], "big")
    return True


def _open_webp(data: bytes) -> Image.Image:
    # the plugin's decoder reserves the canvas when it is made, so the header is read here first
    size = WebPImagePlugin._get_size(data[:30])
    if size:
        _check_size(size)
    return WebPImagePlugin.WebPImageFile(BytesIO(data))


def _open_heic(data: bytes) -> Image.Image:
    from pillow_heif import HeifImageFile  # only phones send HEIC; others need not wait for libheif

    sizes, mosaic = coded_sizes(data)
    for size in sizes:
        _check_size(size)
    if mosaic > 2 * MAX_PIXELS:  # a phone's tiles jut out over the picture, by a tenth or so
        raise _too_many_pixels(mosaic)
    return HeifImageFile(BytesIO(data))


def _check_size(size: tuple[int, int]) -> None:
    width, height = size
    if width < 1 or height < 1:
        raise PhotoError(_("This photo has no pixels. Choose another one."))
    if width * height > MAX_PIXELS:
        raise _too_many_pixels(width * height)
    if max(size) > MAX_SIDE:
        raise PhotoError(
            _("This photo is {n} pixels long; at most {most} are read. Crop it first.").format(
                n=f"{max(size):,}", most=f"{MAX_SIDE:,}"
            )
        )


def _decode(image: Image.Image) -> Image.Image:
    """Pixels of an opened image whose size was checked, as a new RGB image."""
    if isinstance(image, JpegImagePlugin.JpegImageFile) and min(image.size) >= 2 * KEEP_SIDE:
        image.draft(None, (KEEP_SIDE, KEEP_SIDE))  # a JPEG can be decoded at a half or a quarter
    image.load()
    _check_size(image.size)  # a HEIC may turn out larger than it said
    turn = _UPRIGHT.get(_orientation(image))
    if image.mode.startswith("I"):  # 16 bits: keep the upper eight, where Pillow would clip
        image = Image.fromarray((np.asarray(image) >> 8).clip(0, 255).astype(np.uint8))
    mode = "RGBA" if image.has_transparency_data else "RGB"
    image = image.convert(mode) if image.mode != mode else image
    factor = 1
    while min(image.size) // (2 * factor) >= KEEP_SIDE:
        factor *= 2
    if factor > 1:
        image = image.reduce(factor)
    if image.mode == "RGBA":
        white = Image.new("RGB", image.size, "white")
        white.paste(image, mask=image.getchannel("A"))
        image = white
    image = image.transpose(turn) if turn is not None else image.copy()
    image.info = {}  # where and when a visitor took it goes no further
    return image


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # a photo with broken EXIF is still a photo, as it lies
        return 1


def _too_many_pixels(pixels: int) -> PhotoError:
    return PhotoError(
        _("This photo has {n} megapixels; at most {most} are read. Make it smaller first.").format(
            n=f"{pixels / 1e6:,.1f}", most=MAX_PIXELS // 1_000_000
        )
    )


def _too_many_bytes(size: int) -> PhotoError:
    return PhotoError(
        _("This file has {size} MB; at most {most} MB are read. Make it smaller first.").format(
            size=f"{size / 2**20:.1f}", most=MAX_BYTES // 2**20
        )
    )
