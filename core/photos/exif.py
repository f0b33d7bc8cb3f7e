"""The two facts of a photo's EXIF that change its pixels: how it lies, and whether it is Adobe RGB.

EXIF is a TIFF file of tables whose entries point anywhere, so that a general reader can be made to
copy the same megabyte 65,535 times. This one looks up four tags, and copies nothing.
"""

import struct
from typing import NamedTuple

_ORIENTATION, _EXIF_TABLE = 0x0112, 0x8769  # in the first table
_COLOUR_SPACE, _INTEROPERABILITY_TABLE = 0xA001, 0xA005  # in EXIF's own
_INDEX = 0x0001  # in the table of interoperability
_FORMATS = {1: "B", 3: "H", 4: "I", 13: "I"}  # BYTE, SHORT, LONG, IFD
_ADOBE = 2  # a colour space that some cameras write, though it is in no standard
_UNCALIBRATED = 0xFFFF


class Exif(NamedTuple):
    """What a photo's EXIF says."""

    orientation: int = 1
    """1 to 8; 1 is upright."""
    adobe_rgb: bool = False
    """Whether the camera marked its colours as Adobe RGB (DCF 2.0: uncalibrated, index R03)."""


def read_exif(data: bytes) -> Exif:
    """Read EXIF, with or without its `Exif` header; broken EXIF says nothing."""
    if data[:6] == b"Exif\0\0":
        data = data[6:]
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(bytes(data[:4]))
    if order is None or len(data) < 8:
        return Exif()
    first = _table(data, order, *struct.unpack_from(f"{order}I", data, 4))
    orientation = first.get(_ORIENTATION, 1)
    own = _table(data, order, first.get(_EXIF_TABLE, 0))
    space = own.get(_COLOUR_SPACE)
    index = _table(data, order, own.get(_INTEROPERABILITY_TABLE, 0)).get(_INDEX)
    adobe = space == _ADOBE or (space in (_UNCALIBRATED, None) and index == b"R03")
    return Exif(orientation if isinstance(orientation, int) else 1, adobe)


def _table(data: bytes, order: str, at: object) -> dict[int, int | bytes]:
    """The single numbers, and the texts of four letters, in the table at a position."""
    if not isinstance(at, int) or not 8 <= at <= len(data) - 2:
        return {}
    (count,) = struct.unpack_from(f"{order}H", data, at)
    entries: dict[int, int | bytes] = {}
    for start in range(at + 2, min(at + 2 + 12 * count, len(data) - 11), 12):
        tag, kind, n = struct.unpack_from(f"{order}HHI", data, start)
        if kind in _FORMATS and n == 1:
            entries[tag] = struct.unpack_from(order + _FORMATS[kind], data, start + 8)[0]
        elif kind == 2 and n == 4:
            entries[tag] = bytes(data[start + 8 : start + 11])
    return entries
