"""Which format a stranger's bytes are in, and how each is opened: header first, pixels not yet.

Whatever the decoders would look at is found by a walk of ours whose time grows with the length of
the file and no faster, and what they need not see (texts, thumbnails, a video behind the picture)
is not shown to them.
"""

import re
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO

import pillow_heif
from PIL import AvifImagePlugin, Image, JpegImagePlugin, PngImagePlugin, WebPImagePlugin

from core.errors import PhotoError
from core.i18n import _
from core.photos import colour
from core.photos.boxes import read_boxes
from core.photos.exif import Exif, read_exif

MAX_PIXELS = 25_000_000
"""The most pixels decoded: width x height."""

MAX_JPEG_PIXELS = 120_000_000
"""The most pixels in a JPEG, which can be decoded at a half, a quarter or an eighth of its size."""

MAX_PROGRESSIVE_BYTES = 700_000_000
"""The most memory for a progressive JPEG, whose coefficients are all kept until its last scan."""

MAX_SIDE = 16_384
"""The longest side decoded, in pixels; a longer strip is not a photograph of food."""

MAX_SCANS = 50
"""The most scans in a JPEG. A progressive one has about ten; thousands keep a decoder busy."""

FORMATS = "JPEG, PNG, WebP, HEIC, AVIF"
"""What is read. A phone's MPO (two JPEGs in one .jpg) is read as its first picture."""

ENDINGS = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png"),
    *(".webp", ".heic", ".heif", ".hif", ".avif"),
)
"""How the names of such files end, in small letters."""

_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"})
_AVIF_BRANDS = frozenset({b"avif", b"avis"})


@dataclass
class Opened:
    """A picture whose pixels were not decoded yet."""

    image: Image.Image
    exif: Exif = Exif()
    profile: bytes | None = None
    """ICC profile of its colours; None for sRGB."""
    retry: bytes | None = None
    """The same JPEG with other bytes behind its data: see `_ended`."""


def open_photo(data: bytes) -> Opened:
    """Open the picture in `data` by its own signature.

    Raises PhotoError where it is none of FORMATS or too large, and nearly anything where it is
    damaged.
    """
    opened = _opener(data)(data)
    if opened.profile is None and opened.exif.adobe_rgb:
        opened.profile = colour.adobe_profile()
    return opened


def check_size(size: tuple[int, int], most: int | None = None) -> None:
    """Raises PhotoError for a picture of more than `most` (MAX_PIXELS) pixels, or of none."""
    width, height = size
    most = most or MAX_PIXELS
    if width < 1 or height < 1:
        raise PhotoError(_("This photo has no pixels. Choose another one."))
    if width * height > most:
        raise _too_many_pixels(width * height, most)
    if max(size) > MAX_SIDE and most <= MAX_PIXELS:
        raise PhotoError(
            _("This photo is {n} pixels long; at most {most} are read. Crop it first.").format(
                n=f"{max(size):,}", most=f"{MAX_SIDE:,}"
            )
        )


def _too_many_pixels(pixels: int, most: int) -> PhotoError:
    return PhotoError(
        _("This photo has {n} megapixels; at most {most} are read. Make it smaller first.").format(
            n=f"{pixels / 1e6:,.1f}", most=most // 1_000_000
        )
    )


def _too_slow() -> PhotoError:
    return PhotoError(_("This photo is built in a way that is too slow to read. Save it again."))


def _opener(data: bytes) -> Callable[[bytes], Opened]:
    """Which reader these bytes ask for; PhotoError where they are none of FORMATS."""
    if data.startswith(b"\xff\xd8\xff"):
        return _open_jpeg
    if data.startswith(_PNG):
        return _open_png
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _open_webp
    if data[4:8] == b"ftyp":  # the brands of one box, four letters each
        box = data[8 : min(int.from_bytes(data[:4], "big"), 256)]
        brands = {box[i : i + 4] for i in range(0, len(box), 4)}
        if brands & _AVIF_BRANDS:
            return _open_avif
        if brands & _HEIC_BRANDS:
            return _open_heic
    start = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml", b"<svg", b"<head", b"<!--")):
        raise PhotoError(
            _(
                "This file is a web page or a drawing, not a photo. Choose a JPEG, PNG, WebP, HEIC "
                "or AVIF."
            )
        )
    raise PhotoError(_("This is not a photo in a format read here: JPEG, PNG, WebP, HEIC or AVIF."))


# JPEG (ITU-T T.81)

_MARKER = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])")  # 00 is a stuffed byte, D0-D7 restarts
_RESTART = re.compile(rb"\xff([\xd0-\xd7])")
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_TABLES = frozenset({0xC4, 0xCC, 0xDB, 0xDD})  # Huffman, arithmetic, quantisation, restarts
_SCAN, _END, _ALONE = 0xDA, 0xD9, frozenset({0x01, 0xD8})
_MAX_SEGMENTS = 5_000  # 20 MB of the longest segments are 320
_MANY_BYTES = bytes(range(255))  # codes of every length; no FF, which would be a marker


@dataclass
class _Jpeg:
    """The parts of a JPEG that its pixels come from."""

    header: list[bytes]
    """The segments before its first scan, without what says nothing about pixels."""
    scans: int
    """Where the first scan starts."""
    end: int
    """Where its last scan ends: at the marker for the end, or at the end of the file."""
    whole: bool
    """Whether the marker for the end is there."""
    missing: bool
    """Whether some component was not given all its coefficients to the last bit."""
    size: tuple[int, int]
    most_pixels: int
    exif: bytes
    profile: bytes


def _open_jpeg(data: bytes) -> Opened:
    parts = _walk_jpeg(data)
    check_size(parts.size, parts.most_pixels)
    retry = None
    if parts.whole:
        known = b"".join((*parts.header, memoryview(data)[parts.scans : parts.end], b"\xff\xd9"))
    else:
        known, retry = _ended(parts, data)
    # JpegImageFile, not Image.open: no bomb warning, no look at the further pictures of an MPO
    image = JpegImagePlugin.JpegImageFile(BytesIO(known))
    return Opened(image, read_exif(parts.exif), parts.profile or None, retry)


def _segments(data: bytes) -> Iterator[tuple[int, int, int, int]]:
    """(marker, start, start of its content, end) of each segment of a JPEG's first picture."""
    position = 2
    for _segment in range(_MAX_SEGMENTS):
        match = _MARKER.search(data, position)
        if match is None:
            return
        marker, position = match[1][0], match.end()
        if marker == _END or marker in _ALONE:
            yield marker, match.start(), position, position
            if marker == _END:
                return
            continue
        length = int.from_bytes(data[position : position + 2], "big")
        if length < 2 or position + length > len(data):
            raise ValueError("a segment is longer than the file")
        yield marker, match.start(), position + 2, position + length
        position += length
    raise _too_slow()


def _walk_jpeg(data: bytes) -> _Jpeg:
    header, exif = [b"\xff\xd8"], b""
    profile: dict[int, bytes] = {}  # number of the piece -> the piece
    scans, count, end, whole = 0, 0, len(data), False
    frames: list[tuple[int, bytes]] = []  # marker, content
    given: dict[int, set[int]] = {}  # component -> which of its 64 coefficients
    for marker, start, content, stop in _segments(data):
        if marker == _END:
            end, whole = start, True
        elif marker == _SCAN:
            scans, count = scans or start, count + 1
            if count > MAX_SCANS:
                raise _too_slow()
            first, last, bits = data[stop - 3 : stop]
            for component in data[content + 1 : stop - 3 : 2]:
                if bits & 15 == 0:
                    given.setdefault(component, set()).update(range(first, min(last, 63) + 1))
        elif marker in _FRAMES:
            frames.append((marker, data[content:stop]))
        if scans:
            continue
        body = data[content:stop]
        if marker == 0xE1 and body.startswith(b"Exif\0\0") and not exif:
            exif = body
        elif marker == 0xE2 and body.startswith(b"ICC_PROFILE\0") and len(body) > 14:
            profile.setdefault(body[12], body[14:])
        elif (
            marker in _FRAMES | _TABLES
            or (marker == 0xE0 and body.startswith(b"JFIF"))
            or (marker == 0xEE and body.startswith(b"Adobe"))  # these two say what channels mean
        ):
            header.append(data[start:stop])
    if not scans or len(frames) != 1:
        raise ValueError("a JPEG has one frame and some scans")
    marker, frame = frames[0]
    _bits, height, width, components = struct.unpack_from(">BHHB", frame)
    missing = [len(each) for each in given.values()] != [64] * components
    most = MAX_JPEG_PIXELS
    if marker in _PROGRESSIVE:
        most = min(most, int(MAX_PROGRESSIVE_BYTES / (2 * _samples(frame))))
    colours = b"".join(profile[number] for number in sorted(profile))
    return _Jpeg(header, scans, end, whole, missing, (width, height), most, exif, colours)


def _samples(frame: bytes) -> float:
    """Samples of all components together to a pixel, by a frame's header: 1.5 for 4:2:0."""
    sides = [(factors >> 4, factors & 15) for factors in frame[7::3]]
    widest, highest = max(wide for wide, _high in sides), max(high for _wide, high in sides)
    return sum(wide * high for wide, high in sides) / (widest * highest)


def _ended(parts: _Jpeg, data: bytes) -> tuple[bytes, bytes]:
    """A JPEG that lacks its end, ended in two ways: they look alike if nothing else is missing.

    Where pixels are missing the decoder makes them up from what follows: nothing in the first, and
    in the second bytes that stand for nearly any pixels, twice, with the restart marker that would
    be due between. Raises ValueError where that cannot tell.
    """
    if parts.missing:
        raise ValueError("whole scans are missing")
    scans = data[parts.scans : parts.end].rstrip(b"\xff")
    if scans.endswith(bytes(32)):  # the rest of a file that was never received
        scans = scans.rstrip(b"\0") + bytes(4)  # some of them may be the picture's
    last = 0xD7
    for match in _RESTART.finditer(scans, scans.rfind(b"\xff\xda")):
        last = match[1][0]
    due = bytes((0xFF, 0xD0 + (last - 0xD0 + 1) % 8))
    start = b"".join(parts.header) + scans
    return start + b"\xff\xd9", start + _MANY_BYTES + due + _MANY_BYTES + b"\xff\xd9"


# PNG (ISO/IEC 15948)

_PNG = b"\x89PNG\r\n\x1a\n"
_PIXEL_CHUNKS = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})
_COLOUR_CHUNKS = frozenset({b"iCCP", b"cICP", b"sRGB", b"gAMA", b"cHRM", b"eXIf"})
_MAX_CHUNKS = 50_000  # 20 MB in the usual pieces of 8 KB are 2,500
_MAX_UNPACKED = 4 * 2**20  # bytes of a profile


def _open_png(data: bytes) -> Opened:
    seen, position = memoryview(data), 8
    chunks: dict[bytes, bytes] = {}
    pieces: list[bytes | memoryview] = [_PNG]
    for _chunk in range(_MAX_CHUNKS):
        if position + 8 > len(data):
            break
        length, kind = struct.unpack_from(">I4s", data, position)
        if kind in _PIXEL_CHUNKS:
            pieces.append(seen[position : position + 12 + length])
        elif kind in _COLOUR_CHUNKS:
            chunks.setdefault(kind, data[position + 8 : position + 8 + length])
        position += 12 + length
        if kind == b"IEND":
            break
    else:
        raise _too_slow()
    image = PngImagePlugin.PngImageFile(BytesIO(b"".join(pieces)))
    check_size(image.size)
    try:
        profile = _png_profile(chunks)
    except (ValueError, struct.error, zlib.error):
        profile = None  # colours as they lie
    return Opened(image, read_exif(chunks.get(b"eXIf", b"")), profile)


def _png_profile(chunks: dict[bytes, bytes]) -> bytes | None:
    """The profile of a PNG's colours, by the chunk that counts most of those it has."""
    if b"cICP" in chunks:
        return colour.coded_profile(*struct.unpack_from("BB", chunks[b"cICP"]))
    if b"iCCP" in chunks:
        name = chunks[b"iCCP"].index(b"\0")
        unpacker = zlib.decompressobj()
        profile = unpacker.decompress(chunks[b"iCCP"][name + 2 :], _MAX_UNPACKED)
        return profile if unpacker.eof else None
    if b"sRGB" in chunks or not {b"gAMA", b"cHRM"} & chunks.keys():
        return None
    primaries, white, gamma = colour.SRGB_PRIMARIES, colour.D65, None
    if b"cHRM" in chunks:
        x = [n / 100_000 for n in struct.unpack_from(">8I", chunks[b"cHRM"])]
        white, primaries = (x[0], x[1]), ((x[2], x[3]), (x[4], x[5]), (x[6], x[7]))
    if b"gAMA" in chunks:
        (n,) = struct.unpack_from(">I", chunks[b"gAMA"])
        if abs(n - 45_455) > 1_000:  # that one stands for sRGB's curve
            gamma = 100_000 / max(n, 1)
    return colour.rgb_profile(primaries, white, gamma)


# WebP, HEIC, AVIF


def _open_webp(data: bytes) -> Opened:
    # the plugin's decoder reserves the canvas when it is made, so the header is read here first
    size = WebPImagePlugin._get_size(data[:30])
    if size:
        check_size(size)
    image = WebPImagePlugin.WebPImageFile(BytesIO(data))
    return Opened(image, read_exif(image.info.get("exif", b"")), image.info.get("icc_profile"))


def _open_heic(data: bytes) -> Opened:
    coding = _check_boxes(data)
    options = pillow_heif.options  # the picture alone is of use here
    options.THUMBNAILS = options.DEPTH_IMAGES = options.AUX_IMAGES = False
    image = pillow_heif.HeifImageFile(BytesIO(data))
    adobe = read_exif(image.info.get("exif") or b"").adobe_rgb
    return Opened(image, Exif(adobe_rgb=adobe), _box_profile(image, coding))  # libheif turns it


def _open_avif(data: bytes) -> Opened:
    coding = _check_boxes(data)
    image = AvifImagePlugin.AvifImageFile(BytesIO(data))
    return Opened(image, read_exif(image.info.get("exif", b"")), _box_profile(image, coding))


def _check_boxes(data: bytes) -> tuple[int, int] | None:
    """Raises PhotoError where its pictures unfold to too much; the coding of its colours."""
    contents = read_boxes(data)
    for size in contents.sizes:
        check_size(size)
    if contents.mosaic > 2 * MAX_PIXELS:  # a phone's tiles jut out over the picture, by a tenth
        raise _too_many_pixels(contents.mosaic, MAX_PIXELS)
    return contents.coding


def _box_profile(image: Image.Image, coding: tuple[int, int] | None) -> bytes | None:
    profile = image.info.get("icc_profile")
    return profile or (colour.coded_profile(*coding) if coding else None)
