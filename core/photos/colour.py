"""Any picture's colours as sRGB, which is what the networks were trained on.

A picture says what its numbers mean by an ICC profile, by a coding point (CICP, ITU-T H.273: HEIC,
AVIF and PNG), by PNG's cHRM and gAMA, or by EXIF's mark for Adobe RGB. Whatever it is becomes an
ICC profile here, and littleCMS converts. A picture that says nothing, or nothing that can be
understood, is taken for sRGB as it lies.
"""

import struct
from functools import lru_cache
from io import BytesIO

import numpy as np
from PIL import Image, ImageCms

Point = tuple[float, float]
"""A colour's chromaticity, CIE 1931 x and y."""

SRGB_PRIMARIES: tuple[Point, Point, Point] = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
D65: Point = (0.3127, 0.3290)

_MAX_PROFILE = 4 * 2**20  # bytes; a printer's has 2 MB
_SAME = 2  # levels by which a profile may differ from sRGB and leave the bytes alone
_D50 = np.array([0.9642, 1.0, 0.8249])  # XYZ of the white of all ICC profiles
_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)
_SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)  # g, a, b, c, d of ICC's type 3

_P3 = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
_PRIMARIES: dict[int, tuple[tuple[Point, Point, Point], Point]] = {
    1: (SRGB_PRIMARIES, D65),
    9: (((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)), D65),  # BT.2020
    11: (_P3, (0.314, 0.351)),  # DCI-P3
    12: (_P3, D65),  # Display P3
}
"""ITU-T H.273's numbers for primaries; the others are those of old television."""
_GAMMAS: dict[int, float | None] = {1: None, 4: 2.2, 6: None, 8: 1.0, 13: None, 14: None, 15: None}
"""Its numbers for transfer functions; None for sRGB's, which screens use for BT.709's, too."""

_SPACES = {b"RGB ": "RGB", b"GRAY": "L", b"CMYK": "CMYK"}


def srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """An image (L, RGB or CMYK) with an ICC profile as an RGB image in sRGB.

    Where the profile is broken, does not fit the image, or is sRGB, the numbers stay as they are.
    """
    rgb = image if image.mode == "RGB" else image.convert("RGB")
    try:
        mode = _SPACES[profile[16:20]]
        if mode == "L" and image.mode == "RGB" and _is_grey(image):
            image = image.getchannel(0)  # AVIF and WebP have no grey of their own
        if mode not in ("RGB", image.mode):
            return rgb
        transform = _transform(profile, mode)
        if transform is None:
            return rgb
        return ImageCms.applyTransform(rgb if mode == "RGB" else image, transform) or rgb
    except (ImageCms.PyCMSError, KeyError, ValueError, OSError):
        return rgb


def _is_grey(image: Image.Image) -> bool:
    red, green, blue = image.split()
    return red == green == blue


@lru_cache(maxsize=1)
def _target() -> ImageCms.ImageCmsProfile:
    """sRGB, marked as a profile of version 2: to one of 4 littleCMS stretches the blacks."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[8] = 2
    return ImageCms.ImageCmsProfile(BytesIO(bytes(profile)))


@lru_cache(maxsize=8)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """From a profile to sRGB; None where that changes nothing that could be seen."""
    if len(profile) > _MAX_PROFILE:
        return None
    transform = ImageCms.buildTransform(
        ImageCms.ImageCmsProfile(BytesIO(profile)), _target(), mode, "RGB"
    )
    if mode == "CMYK":
        return transform
    steps = np.linspace(0, 255, 9 if mode == "RGB" else 256).round().astype(np.uint8)
    grid = np.stack(np.meshgrid(*[steps] * len(mode)), axis=-1).reshape(1, -1, len(mode))
    before = Image.fromarray(grid if mode == "RGB" else grid[..., 0])
    after = ImageCms.applyTransform(before, transform)
    apart = np.asarray(before.convert("RGB")).astype(int) - np.asarray(after)
    return transform if np.abs(apart).max() > _SAME else None


def coded_profile(primaries: int, transfer: int) -> bytes | None:
    """The profile of a coding point; None for sRGB, and for one that is not known here (HDR)."""
    if primaries not in _PRIMARIES or transfer not in _GAMMAS:
        return None
    if primaries == 1 and _GAMMAS[transfer] is None:
        return None
    return rgb_profile(*_PRIMARIES[primaries], _GAMMAS[transfer])


def adobe_profile() -> bytes:
    """Adobe RGB (1998)."""
    return rgb_profile(((0.64, 0.33), (0.21, 0.71), (0.15, 0.06)), D65, 563 / 256)


def rgb_profile(primaries: tuple[Point, Point, Point], white: Point, gamma: float | None) -> bytes:
    """The ICC profile (version 4) of an RGB space of three primaries and one curve.

    `gamma` None means sRGB's curve. Raises ValueError for primaries that span no colours, and for
    a `gamma` outside of 0.2 to 5.
    """
    try:
        columns = np.array([_xyz(point) for point in primaries]).T  # (3, 3), one a primary
        target = np.array(_xyz(white))
        columns = columns * np.linalg.solve(columns, target)
        cones = _BRADFORD @ np.stack([target, _D50]).T  # (3, 2)
        adapted = np.linalg.inv(_BRADFORD) @ np.diag(cones[:, 1] / cones[:, 0]) @ _BRADFORD
        numbers = (adapted @ columns).T
    except (ZeroDivisionError, np.linalg.LinAlgError) as error:
        raise ValueError("primaries that span no colours") from error
    if not (np.isfinite(numbers).all() and np.abs(numbers).max() < 100):
        raise ValueError("primaries that span no colours")
    if gamma is not None and not 0.2 <= gamma <= 5:
        raise ValueError("a curve of no screen")
    if gamma is None:
        curve = b"para\0\0\0\0\0\3\0\0" + _fixed(*_SRGB_CURVE)
    else:
        curve = b"para\0\0\0\0\0\0\0\0" + _fixed(gamma)
    tags = [(b"wtpt", b"XYZ \0\0\0\0" + _fixed(*_D50))]
    tags += [
        (name + b"XYZ", b"XYZ \0\0\0\0" + _fixed(*xyz))
        for name, xyz in zip((b"r", b"g", b"b"), numbers, strict=True)
    ]
    tags += [(name + b"TRC", curve) for name in (b"r", b"g", b"b")]
    table, body, at = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for name, content in tags:
        table += name + struct.pack(">II", at + len(body), len(content))
        body += content
    size = at + len(body)
    header = struct.pack(">I4sI", size, b"", 0x04400000) + b"mntrRGB XYZ " + bytes(12)
    header += b"acsp" + bytes(28) + _fixed(*_D50)
    return header.ljust(128, b"\0") + table + body


def _xyz(point: Point) -> tuple[float, float, float]:
    x, y = point
    return (x / y, 1.0, (1 - x - y) / y)


def _fixed(*numbers: float) -> bytes:
    """ICC's s15Fixed16."""
    return b"".join(struct.pack(">i", round(number * 65536)) for number in numbers)
