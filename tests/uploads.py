"""Made-up uploads: one of each kind that is read, and the hostile ones, as bytes.

The bombs are written by hand, box by box or chunk by chunk: no encoder would make them, and making
them honestly would take the memory that reading them must not take.
"""

import io
import struct
import zlib
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pillow_heif
from PIL import Image

from core.errors import PhotoError
from core.photos import formats, read_photo
from core.photos.decode import decode
from tests.food import food_picture

pillow_heif.register_heif_opener()  # for writing; core.photos needs no registration


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    """`image` as a file of Pillow's format `kind` ("HEIF" for HEIC)."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def answer(data: bytes, read: Callable[[bytes], Image.Image] = read_photo) -> Image.Image | str:
    """The picture or the sentence; anything else that `read_photo` raises is a failure."""
    try:
        image = read(data)
    except PhotoError as error:
        return sentence(str(error))
    assert image.mode == "RGB" and min(image.size) >= 1
    assert image.width * image.height <= formats.MAX_PIXELS
    return image


def answer_here(data: bytes) -> Image.Image | str:
    """`answer` in this process, where a test can change a limit, and a crash is a crash."""
    return answer(data, decode)


def sentence(text: str) -> str:
    """`text`, after looking that a visitor could read it and learns nothing about the server."""
    assert text[0].isupper() and text.endswith("."), text
    assert 10 < len(text) < 160 and "\n" not in text
    for leak in ("/", "\\", "0x", "Error", "Traceback", "PIL", ".py", "object", "b'"):
        assert leak not in text, f"{leak!r} in {text!r}"
    return text


@cache
def samples() -> dict[str, bytes]:
    """A small valid upload of each kind, 64 x 48 pixels."""
    image = food_picture(5, 1, (64, 48))
    frames = [food_picture(label, 1, (64, 48)) for label in (7, 9)]
    turned = Image.Exif()
    turned[0x0112] = 6
    sixteen = np.asarray(image.convert("L")).astype(np.uint16) * 257
    return {
        "jpeg": encoded(image, "JPEG", exif=turned),
        "progressive": encoded(image, "JPEG", progressive=True),
        "grey": encoded(image.convert("L"), "JPEG"),
        "cmyk": encoded(image.convert("CMYK"), "JPEG"),
        "mpo": encoded(image, "MPO", save_all=True, append_images=frames),
        "png": encoded(image, "PNG", exif=turned),
        "png, palette": encoded(image.quantize(16), "PNG", transparency=3),
        "png, 16 bit": encoded(Image.fromarray(sixteen), "PNG"),
        "png, 1 bit": encoded(image.convert("1"), "PNG"),
        "png, animated": encoded(image, "PNG", save_all=True, append_images=frames),
        "webp": encoded(image, "WEBP", exif=turned),
        "webp, lossless": encoded(image.convert("RGBA"), "WEBP", lossless=True),
        "webp, animated": encoded(image, "WEBP", save_all=True, append_images=frames),
        "heic": encoded(image, "HEIF"),
        "heic, alpha": encoded(image.convert("RGBA"), "HEIF"),
        "avif": encoded(image, "AVIF", quality=90, exif=turned),
        "avif, alpha": encoded(image.convert("RGBA"), "AVIF", quality=90),
        "avif, animated": encoded(image, "AVIF", quality=90, save_all=True, append_images=frames),
    }


def png_chunk(kind: bytes, content: bytes) -> bytes:
    crc = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc)


def png(width: int, height: int, pixels: bytes, extra: bytes = b"") -> bytes:
    """An 8-bit grey PNG of any claimed size around given compressed pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            png_chunk(b"IHDR", header),
            extra,
            png_chunk(b"IDAT", pixels),
            png_chunk(b"IEND", b""),
        )
    )


@cache
def png_bomb(side: int = 12_000) -> bytes:
    """A valid PNG of `side` x `side` black pixels: 144 megapixels in 140 KB."""
    packer, row = zlib.compressobj(9), bytes(side + 1)
    return png(side, side, b"".join(packer.compress(row) for _ in range(side)) + packer.flush())


def png_with(*chunks: tuple[bytes, bytes], side: int = 4) -> bytes:
    """A small black PNG with chunks (kind, content) before its pixels."""
    extra = b"".join(png_chunk(kind, content) for kind, content in chunks)
    return png(side, side, zlib.compress(bytes(side * (side + 1))), extra)


def png_with_text(megabytes: int) -> bytes:
    """A small PNG with a compressed text chunk that unfolds to so many MB."""
    return png_with((b"zTXt", b"note\0\0" + zlib.compress(bytes(megabytes * 2**20), 9)))


def webp_canvas(width: int, height: int) -> bytes:
    """A WebP whose header asks for a canvas of this size (up to 16 million a side)."""
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    inner = samples()["webp, lossless"][12:]
    body = b"WEBPVP8X" + struct.pack("<I", 10) + b"\x10\0\0\0" + size + inner
    return b"RIFF" + struct.pack("<I", len(body)) + body


def jpeg_claiming(width: int, height: int) -> bytes:
    """A small JPEG whose header claims another size."""
    data = samples()["progressive"]
    at = data.index(b"\xff\xc2") + 5
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


def jpeg_with_scans(repeats: int) -> bytes:
    """A progressive JPEG whose last scan comes `repeats` times more."""
    data = samples()["progressive"]
    start = data.rfind(b"\xff\xc4", 0, data.rfind(b"\xff\xda"))  # its table comes with it
    return data[:-2] + data[start:-2] * repeats + data[-2:]


def heic_cropped(side: int, seen: int) -> bytes:
    """A HEIC of `side` (odd) pixels that says it shows a crop of `seen`."""
    data = encoded(Image.new("RGB", (side, side), "tan"), "HEIF")
    crop = b"clap" + struct.pack(">4I", side, 1, side, 1)
    if crop not in data:
        raise AssertionError("the encoder no longer crops odd sizes")
    return data.replace(crop, b"clap" + struct.pack(">4I", seen, 1, seen, 1))


def heic_mosaic(rows: int, tile: int = 256) -> bytes:
    """A HEIC of `rows` x `rows` references to one and the same tile, which claims 2 x 2 tiles."""
    side = 2 * tile
    data = bytearray(encoded(Image.new("RGB", (side, side), "tan"), "HEIF", tile_size=tile))
    grid = data.index(b"\0\0\1\1" + struct.pack(">HH", side, side))
    data[grid : grid + 8] = bytes((0, 0, rows - 1, rows - 1)) + struct.pack(
        ">HH", tile * rows, tile * rows
    )
    dimg = data.index(b"dimg") - 4
    owner, count, first = struct.unpack_from(">HHH", data, dimg + 8)
    longer = struct.pack(">HH", owner, rows * rows) + struct.pack(">H", first) * rows**2
    grown = len(longer) - 4 - 2 * count
    _move_extents(data, grown)
    for box in (data.index(b"meta") - 4, data.index(b"iref") - 4, dimg):
        struct.pack_into(">I", data, box, struct.unpack_from(">I", data, box)[0] + grown)
    data[dimg + 8 : dimg + 12 + 2 * count] = longer
    return bytes(data)


def heic_with(
    *boxes: tuple[bytes, bytes], items: dict[int, bytes] | None = None, primary: int = 1
) -> bytes:
    """A HEIC of 64 x 64 pixels with more boxes (kind, content) at the end of `meta`, and items.

    `items` are numbers and kinds; each has the size of the picture, which is item 1.
    """
    data, items = encoded(food_picture(5, 1, (64, 64)), "HEIF"), items or {}
    start = data.index(b"meta") - 4
    (length,) = struct.unpack_from(">I", data, start)
    inside, at = bytearray(), start + 12
    while at < start + length:
        size, kind = struct.unpack_from(">I4s", data, at)
        content = bytearray(data[at + 8 : at + size])
        if kind == b"pitm":
            struct.pack_into(">H", content, 4, primary)
        elif kind == b"iinf":
            struct.pack_into(">H", content, 4, 1 + len(items))
            for item, name in items.items():
                content += box(b"infe", b"\2\0\0\0" + struct.pack(">HH4sB", item, 0, name, 0))
        elif kind == b"iprp":
            ipma = content.index(b"ipma") + 4
            struct.pack_into(">I", content, ipma + 4, 1 + len(items))
            for item in items:
                content += struct.pack(">HBB", item, 1, 3)  # the third property is the size
            struct.pack_into(">I", content, ipma - 8, len(content) - ipma + 8)
        inside += box(kind, bytes(content))
        at += size
    inside += b"".join(box(kind, content) for kind, content in boxes)
    meta = bytearray(box(b"meta", bytes(4) + bytes(inside)))
    _move_extents(meta, len(meta) - length)
    return data[:start] + bytes(meta) + data[start + length :]


def box(kind: bytes, content: bytes) -> bytes:
    """A box of ISO base media (HEIC, AVIF, video)."""
    return struct.pack(">I", len(content) + 8) + kind + content


def derived_from(item: int, *others: int) -> tuple[bytes, bytes]:
    """The `iref` box that says that an item is made of others."""
    body = struct.pack(f">HH{len(others)}H", item, len(others), *others)
    return b"iref", bytes(4) + box(b"dimg", body)


def _move_extents(data: bytearray, by: int) -> None:
    """Add `by` to where the iloc box (every number of 4 bytes) finds its items."""
    at = data.index(b"iloc") + 4
    version = data[at]
    if data[at + 4 : at + 6] != b"\x44\x40" or version > 1:
        raise AssertionError("the encoder writes another kind of iloc")
    (items,) = struct.unpack_from(">H", data, at + 6)
    at += 8
    for _item in range(items):
        method = struct.unpack_from(">H", data, at + 2)[0] if version else 0
        at += 6 if version else 4
        base, extents = struct.unpack_from(">IH", data, at)
        if method == 0:  # counted from the start of the file
            struct.pack_into(">I", data, at, base + by)
        at += 6 + 8 * extents
