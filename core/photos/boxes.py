"""What a HEIC or AVIF would unfold to, read from its boxes before a decoder is (ISO/IEC 23008-12).

The size such a file claims binds nobody: a crop box makes 80 megapixels look like 100 x 100, and a
grid may name one small tile a thousand times, so 3 KB can ask for gigabytes. The decoders do refuse
a coded picture larger than its own `ispe` box says, and a grid that its tiles do not cover. Hence
the `ispe` boxes, and their sum over the tiles of each grid, are what decoding can cost.
"""

from collections.abc import Iterator
from typing import NamedTuple

_CODED = {b"hvc1", b"hev1", b"av01"}
# Others (an overlay, uncompressed or tiled pixels) have sizes of their own that no `ispe` binds.
# They may stand beside the picture, for then nobody decodes them.

_MOST_BOXES = 2_000  # in one box; libheif itself reads 1,000 items
_MOST_META = 2**20  # bytes; a phone's has some 5,000
_MOST_STEPS = 4  # from an `iden` item, which shows another one turned or cropped, to what it shows


class Contents(NamedTuple):
    """What the boxes say."""

    sizes: list[tuple[int, int]]
    """(width, height) in pixels of every picture in the file."""
    mosaic: int
    """Pixels in the tiles of its largest grid; 0 where there is none."""
    coding: tuple[int, int] | None
    """Primaries and transfer function of the picture's colours, as numbers of ITU-T H.273."""


class _Properties(NamedTuple):
    areas: dict[int, int]
    """Item number -> the pixels of its largest `ispe`."""
    sizes: list[tuple[int, int]]
    codings: dict[int, tuple[int, int]]


def read_boxes(data: bytes) -> Contents:
    """What the pictures of a HEIC or AVIF would unfold to.

    Raises ValueError where the boxes are damaged, or describe something whose cost is not bounded
    by them.
    """
    metas = [(a, b) for kind, a, b in _boxes(data, 0, len(data)) if kind == b"meta"]
    if len(metas) != 1:
        raise ValueError("such a file has one meta box")
    if metas[0][1] - metas[0][0] > _MOST_META:
        raise ValueError("the meta box is too long")
    boxes: dict[bytes, tuple[int, int]] = {}
    for kind, start, end in _boxes(data, metas[0][0] + 4, metas[0][1]):
        if kind in (b"iinf", b"iprp", b"pitm", b"iref"):
            if kind in boxes:
                raise ValueError("a box of the meta box stands there twice")
            boxes[kind] = (start, end)
    kinds = _kinds(data, *boxes[b"iinf"]) if b"iinf" in boxes else {}
    properties = _properties(data, *boxes[b"iprp"]) if b"iprp" in boxes else _Properties({}, [], {})
    picture = _primary(data, *boxes[b"pitm"]) if b"pitm" in boxes else -1
    derived = list(_derived(data, *boxes[b"iref"])) if b"iref" in boxes else []
    parts = dict(derived)
    coding = properties.codings.get(picture)
    for _step in range(_MOST_STEPS):
        if kinds.get(picture) != b"iden":
            break
        picture = next(iter(parts.get(picture, ())), -1)
        coding = coding or properties.codings.get(picture)
    if kinds.get(picture) not in _CODED | {b"grid"}:
        raise ValueError("a kind of picture that is not read")
    mosaic = 0
    for grid, tiles in derived:
        if kinds.get(grid) == b"grid":
            if any(kinds.get(tile) not in _CODED for tile in tiles):
                raise ValueError("a grid of something else than coded pictures")
            mosaic = max(mosaic, sum(properties.areas.get(tile, 0) for tile in tiles))
            if grid == picture and tiles:
                coding = coding or properties.codings.get(tiles[0])
    return Contents(properties.sizes, mosaic, coding)


def _int(data: bytes, at: int, width: int, end: int) -> int:
    if at + width > end:
        raise ValueError("a box is too short")
    return int.from_bytes(data[at : at + width], "big")


def _boxes(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """(kind, start, end) of the content of each box between two positions."""
    for _box in range(_MOST_BOXES):
        if start + 8 > end:
            return
        size, kind, head = _int(data, start, 4, end), data[start + 4 : start + 8], 8
        if size == 1:
            size, head = _int(data, start + 8, 8, end), 16
        elif size == 0:
            size = end - start
        if size < head or start + size > end:
            raise ValueError("a box is longer than what holds it")
        yield kind, start + head, start + size
        start += size
    raise ValueError("too many boxes")


def _primary(data: bytes, start: int, end: int) -> int:
    return _int(data, start + 4, 4 if _int(data, start, 1, end) else 2, end)


def _kinds(data: bytes, start: int, end: int) -> dict[int, bytes]:
    """Item number -> its four letters."""
    kinds: dict[int, bytes] = {}
    for kind, at, stop in _boxes(data, start + (8 if _int(data, start, 1, end) else 6), end):
        version = _int(data, at, 1, stop) if kind == b"infe" else 0
        if version >= 2:
            width = 2 if version == 2 else 4
            kinds[_int(data, at + 4, width, stop)] = data[at + 6 + width : at + 10 + width]
    return kinds


def _properties(data: bytes, start: int, end: int) -> _Properties:
    """The sizes and colours in the property boxes, and which item has them."""
    sizes: list[tuple[int, int] | None] = []
    codings: list[tuple[int, int] | None] = []
    for kind, at, stop in _boxes(data, start, end):
        if kind == b"ipco":
            for name, inner, inner_stop in _boxes(data, at, stop):
                size = coding = None
                if name == b"ispe":
                    size = (_int(data, inner + 4, 4, inner_stop), _int(data, inner + 8, 4, stop))
                elif name == b"colr" and data[inner : inner + 4] == b"nclx":
                    first, second = (_int(data, inner + n, 2, inner_stop) for n in (4, 6))
                    coding = first, second
                sizes.append(size)
                codings.append(coding)
    properties = _Properties({}, [size for size in sizes if size], {})
    for kind, at, stop in _boxes(data, start, end):
        if kind != b"ipma":
            continue
        id_width = 4 if _int(data, at, 1, stop) else 2
        index_width = 2 if _int(data, at + 3, 1, stop) & 1 else 1
        count, at = _int(data, at + 4, 4, stop), at + 8
        for _entry in range(count):
            item, links = _int(data, at, id_width, stop), _int(data, at + id_width, 1, stop)
            at += id_width + 1
            for _link in range(links):
                # the top bit says that the property is essential; numbers count from 1
                number = _int(data, at, index_width, stop) & (2 ** (8 * index_width - 1) - 1)
                at += index_width
                if not 0 < number <= len(sizes):
                    continue
                size, coding = sizes[number - 1], codings[number - 1]
                if size:
                    properties.areas[item] = max(properties.areas.get(item, 0), size[0] * size[1])
                if coding:
                    properties.codings.setdefault(item, coding)
    return properties


def _derived(data: bytes, start: int, end: int) -> Iterator[tuple[int, list[int]]]:
    """(item, the items it is made of) of each `dimg` reference."""
    width = 4 if _int(data, start, 1, end) else 2
    for kind, at, stop in _boxes(data, start + 4, end):
        if kind == b"dimg":
            count, first = _int(data, at + width, 2, stop), at + width + 2
            yield (
                _int(data, at, width, stop),
                [_int(data, first + i * width, width, stop) for i in range(count)],
            )
