"""Small files that would unfold to gigabytes, or keep a decoder busy, cost nothing."""

import struct
import subprocess
import sys
import textwrap
import threading
import time
import zlib
from pathlib import Path

import pytest
from PIL import Image

from core import paths
from core.photos import decode, formats
from core.photos.boxes import read_boxes
from tests import uploads
from tests.food import food_picture
from tests.uploads import answer, answer_here, encoded, samples

BOMBS = {
    "png": lambda: uploads.png_bomb(),
    "png, 4 gigapixels in 60 bytes": lambda: uploads.png(65_535, 65_535, b""),
    "webp": lambda: uploads.webp_canvas(16_383, 16_383),
    "webp, 2^48 pixels": lambda: uploads.webp_canvas(2**24, 2**24),
    "jpeg": lambda: uploads.jpeg_claiming(65_000, 65_000),
    "heic, 90,000 references to one tile": lambda: uploads.heic_mosaic(200),
    "heic, 900 references to one tile": lambda: uploads.heic_mosaic(30),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_bombs_are_refused_by_their_header(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def decoded(_opened: formats.Opened) -> Image.Image:
        raise AssertionError("the size is looked at before any pixel is")

    monkeypatch.setattr(decode, "_rgb", decoded)
    data = BOMBS[kind]()
    assert len(data) < 250_000
    assert "megapixels" in str(answer_here(data))
    assert "megapixels" in str(answer(data))


def test_a_crop_does_not_hide_a_large_heic(monkeypatch: pytest.MonkeyPatch) -> None:
    data = uploads.heic_cropped(401, 101)
    image = answer(data)
    assert isinstance(image, Image.Image) and image.size == (101, 101)
    monkeypatch.setattr(formats, "MAX_PIXELS", 400 * 400)
    assert "megapixels" in str(answer_here(data))


def test_an_honest_grid_is_read() -> None:
    # as phones write them: tiles that jut out over the picture
    picture = food_picture(2, 2, (300, 200))
    image = answer(encoded(picture, "HEIF", tile_size=64))
    assert isinstance(image, Image.Image) and image.size == (300, 200)
    assert isinstance(answer(uploads.heic_mosaic(2)), Image.Image), "the builder itself is sound"


def test_a_strip_is_no_photograph() -> None:
    assert "pixels long" in str(answer(uploads.png(20_000, 1, b"")))


def test_a_jpeg_of_a_thousand_scans_keeps_nobody_busy() -> None:
    started = time.perf_counter()
    assert "too slow" in str(answer(uploads.jpeg_with_scans(1000)))
    assert "too slow" in str(answer(b"\xff\xd8" + b"\xff\x01" * 4_000_000))
    assert isinstance(answer(uploads.jpeg_with_scans(30)), Image.Image)
    assert time.perf_counter() - started < 2


MEMORY = """
    import sys
    from pathlib import Path
    from core.errors import PhotoError
    from core.photos.decode import decode

    def peak_mb():
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1024

    decode(Path(sys.argv[1]).read_bytes())  # the decoders are loaded
    before = peak_mb()
    for name in sys.argv[2:]:
        try:
            decode(Path(name).read_bytes())
        except PhotoError:
            pass
    print(peak_mb() - before)
"""


def memory_mb(tmp_path: Path, *bombs: bytes) -> float:
    """MB by which reading the bombs raises a fresh process's peak."""
    files = []
    for i, data in enumerate((samples()["heic"], *bombs)):
        files.append(str(tmp_path / f"{i}.jpg"))
        Path(files[-1]).write_bytes(data)
    code = textwrap.dedent(MEMORY)
    run = [sys.executable, "-c", code, *files]
    done = subprocess.run(run, cwd=paths.REPO, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return float(done.stdout)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory as Linux tells it")
def test_memory_stays_bounded(tmp_path: Path) -> None:
    bombs = [make() for make in BOMBS.values()]
    bombs += [uploads.png_with_text(megabytes=100), b"\xff\xd8\xff" + bytes(20 * 2**20)]
    assert memory_mb(tmp_path, *bombs) < 60
    # and the measure measures: an allowed large picture does show
    assert 60 < memory_mb(tmp_path, uploads.png_bomb(side=4999)) < 400


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory as Linux tells it")
def test_48_megapixels_take_no_more_than_25_do(tmp_path: Path) -> None:
    large = food_picture(1, 1, (8064, 6048))
    limit = memory_mb(tmp_path, encoded(food_picture(1, 1, (5760, 4320)), "PNG", compress_level=1))
    assert memory_mb(tmp_path, encoded(large, "JPEG")) < limit
    assert memory_mb(tmp_path, encoded(large, "JPEG", progressive=True)) < 2 * limit


def tiff(entries: int, size: int, data: int) -> bytes:
    """An EXIF table of `entries` tags, each of which points at the same `size` bytes."""
    table = b"".join(struct.pack("<HHII", tag, 7, size, 8) for tag in range(1, entries + 1))
    return b"II*\0\x08\0\0\0" + struct.pack("<H", entries) + table + bytes(4) + bytes(data)


def jpeg_with(*segments: tuple[int, bytes], data: bytes = b"") -> bytes:
    """A JPEG with segments (marker, content) before its own."""
    data = data or encoded(food_picture(3, 3, (64, 48)), "JPEG")
    inner = b"".join(
        struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content
        for marker, content in segments
    )
    return data[:2] + inner + data[2:]


def webp_with(*chunks: tuple[bytes, bytes], repeats: int = 1) -> bytes:
    """An extended WebP with chunks (kind, content) behind its picture."""
    inner = samples()["webp, lossless"][12:]
    body = b"WEBPVP8X" + struct.pack("<I", 10) + b"\x2c\0\0\0" + b"\x3f\0\0\x2f\0\0" + inner
    for kind, content in chunks:
        body += (kind + struct.pack("<I", len(content)) + content) * repeats
    return b"RIFF" + struct.pack("<I", len(body)) + body


def avif_or_heic(kind: str, *boxes: bytes) -> bytes:
    data = samples()[kind]
    end = int.from_bytes(data[:4], "big")
    return data[:end] + b"".join(boxes) + data[end:]


MANY = 3_000_000
SLOW = {
    "FF": lambda: b"\xff\xd8" + b"\xff" * MANY,
    "20,000 FF": lambda: b"\xff\xd8" + b"\xff" * 20_000,
    "FF 00": lambda: b"\xff\xd8\xff" + b"\x00\xff" * (MANY // 2),
    "FF D0": lambda: b"\xff\xd8\xff" + b"\xd0\xff" * (MANY // 2),
    "FF D8": lambda: b"\xff\xd8" * (MANY // 2),
    "FF 00 before a JPEG's segments": lambda: jpeg_with(
        data=b"\xff\xd8" + b"\xff\x00" * (MANY // 2)
    ),
    "FF before a JPEG's segments": lambda: (
        b"\xff\xd8" + b"\xff" * MANY + encoded(food_picture(1, 1), "JPEG")[3:]
    ),
    "zeros in a JPEG's header": lambda: (
        b"\xff\xd8\xff\xfe\0\2" + bytes(MANY) + encoded(food_picture(1, 1), "JPEG")[2:]
    ),
    "FF in a JPEG's scan": lambda: samples()["grey"][:-2] + b"\xff" * MANY,
    "FF 00 in a JPEG's scan": lambda: samples()["grey"][:-2] + b"\xff\0" * (MANY // 2),
    "restarts in a JPEG's scan": lambda: samples()["grey"][:-2] + b"\xff\xd3" * (MANY // 2),
    "4,900 empty comments": lambda: jpeg_with(*[(0xFE, b"")] * 4_900),
    "100,000 empty comments": lambda: jpeg_with(*[(0xFE, b"")] * 100_000),
    "scans of a JPEG that never ends": lambda: (
        encoded(food_picture(1, 1), "JPEG")[:-2] + b"\xff\xda\0\x08\1\1\0\0\x3f\0" * 800_000
    ),
    "EXIF in a JPEG": lambda: jpeg_with((0xE1, b"Exif\0\0" + tiff(5_000, 60_000, 0))),
    "EXIF in pieces in a JPEG": lambda: jpeg_with(
        *[(0xE1, b"Exif\0\0" + tiff(5_000, 4_000_000, 0))] * 140
    ),
    "an ICC profile in 140 pieces": lambda: jpeg_with(
        *[(0xE2, b"ICC_PROFILE\0" + bytes([n % 255 + 1, 140]) + bytes(65_000)) for n in range(140)]
    ),
    "empty chunks in a PNG": lambda: uploads.png_with(*[(b"teSt", b"")] * 750_000),
    "empty texts in a PNG": lambda: uploads.png_with(*[(b"tEXt", b"")] * 750_000),
    "empty pixels in a PNG": lambda: uploads.png_with(*[(b"IDAT", b"")] * 750_000),
    "49,000 empty pixels in a PNG": lambda: uploads.png_with(*[(b"IDAT", b"")] * 49_000),
    "frames of a PNG": lambda: uploads.png_with(*[(b"fcTL", bytes(26))] * 200_000),
    "EXIF in a PNG": lambda: uploads.png_with((b"eXIf", tiff(65_000, 4_000_000, 4_000_000))),
    "a profile in a PNG": lambda: uploads.png_with(
        (b"iCCP", b"x\0\0" + zlib.compress(bytes(500 * 2**20), 1))
    ),
    "transparency in a PNG": lambda: uploads.png_with((b"tRNS", bytes(8_000_000))),
    "a palette in a PNG": lambda: uploads.png_with((b"PLTE", bytes(9_000_000))),
    "chunks in a WebP": lambda: webp_with((b"teSt", b""), repeats=MANY // 8),
    "EXIF in a WebP": lambda: webp_with((b"EXIF", tiff(65_000, 4_000_000, 4_000_000))),
    "EXIF chunks in a WebP": lambda: webp_with((b"EXIF", b""), repeats=MANY // 8),
    "boxes in a HEIC": lambda: avif_or_heic("heic", *[uploads.box(b"free", b"")] * (MANY // 8)),
    "boxes in an AVIF": lambda: avif_or_heic("avif", *[uploads.box(b"free", b"")] * (MANY // 8)),
    "items in a HEIC": lambda: uploads.heic_with(items=dict.fromkeys(range(2, 30_000), b"hvc1")),
    "identities in a HEIC": lambda: uploads.heic_with(
        uploads.derived_from(2, 3), items={2: b"iden", 3: b"iden"}, primary=2
    ),
    "an identity of itself": lambda: uploads.heic_with(
        uploads.derived_from(2, 2), items={2: b"iden"}, primary=2
    ),
    "brands": lambda: b"\x00\x80\0\0ftyp" + b"heix" * (MANY // 4),
    "white space before HTML": lambda: b" " * MANY + b"<html>",
}


@pytest.mark.parametrize("kind", SLOW)
def test_every_parser_is_linear(kind: str) -> None:
    """Megabytes of what a parser might stumble over cost under a second of processor time, here in
    this process; through the door they cost nobody else anything."""
    data = SLOW[kind]()
    assert len(data) < 20 * 2**20
    started = time.process_time()
    answer_here(data)
    assert time.process_time() - started < 1


def test_others_are_answered_meanwhile() -> None:
    """The interpreter's lock is free while megabytes of FF are opened."""
    answer(samples()["jpeg"])
    data = SLOW["FF"]()
    worst, ended = 0.0, threading.Event()

    def beat() -> None:
        nonlocal worst
        before = time.monotonic()
        while not ended.wait(0.002):
            worst, before = max(worst, time.monotonic() - before), time.monotonic()

    heart = threading.Thread(target=beat)
    heart.start()
    assert "damaged" in str(answer(data))
    ended.set()
    heart.join()
    assert worst < 0.25  # 0.02 on a machine that does nothing else


def test_what_a_heic_unfolds_to() -> None:
    # the encoder pads 401 to an even 402 and crops what is seen
    assert read_boxes(uploads.heic_cropped(401, 101))[:2] == ([(402, 402)], 0)
    sizes, mosaic, _coding = read_boxes(encoded(Image.new("RGB", (300, 200)), "HEIF", tile_size=64))
    assert max(sizes) == (300, 200)
    assert mosaic == 5 * 4 * 64 * 64
    assert read_boxes(uploads.heic_mosaic(30)).mosaic == 30 * 30 * 256 * 256


def test_the_time_for_boxes_grows_with_their_length() -> None:
    """Colours behind 15 MB of video, each of which was once found by a copy of all before it."""
    colours = uploads.box(b"colr", b"nclx" + bytes(7)) * 1_900
    properties = uploads.box(b"iprp", uploads.box(b"ipco", colours) * 25)
    start = uploads.box(b"ftyp", b"heic" + bytes(8)) + uploads.box(b"mdat", bytes(15_000_000))
    began = time.process_time()
    with pytest.raises(ValueError, match="kind of picture"):
        read_boxes(start + uploads.box(b"meta", bytes(4) + properties))
    assert time.process_time() - began < 1


@pytest.mark.parametrize("kind", [b"pitm", b"iinf", b"infe", b"iref", b"ipma", b"colr"])
def test_a_box_that_ends_too_early_is_a_damage_that_was_foreseen(kind: bytes) -> None:
    content = b"nclx" if kind == b"colr" else b"\2\0\0\0\0\0\0\1"
    for length in range(8):
        inside = uploads.box(kind, content[:length])
        if kind == b"infe":
            inside = uploads.box(b"iinf", bytes(6) + inside)
        elif kind == b"ipma":
            inside = uploads.box(b"iprp", inside)
        elif kind == b"colr":
            inside = uploads.box(b"iprp", uploads.box(b"ipco", inside))
        with pytest.raises(ValueError):
            read_boxes(uploads.box(b"ftyp", b"heic") + uploads.box(b"meta", bytes(4) + inside))


def test_a_heic_whose_boxes_lie_is_refused() -> None:
    data = samples()["heic"]
    read_boxes(data)
    meta = data.index(b"meta")
    (length,) = struct.unpack(">I", data[meta - 4 : meta])
    box = data[meta - 4 : meta - 4 + length]
    lies = {
        "no meta box": data.replace(b"meta", b"mate"),
        "two of them": data + box,
        "longer than the file": data[: meta - 4] + b"\x7f\xff\xff\xff" + data[meta:],
        "no size at all": data.replace(b"iprp", b"iprq"),
        "another kind of picture": data.replace(b"hvc1", b"iovl"),
        "an end in the middle": data[: meta + 60],
    }
    for name, lie in lies.items():
        assert "damaged" in str(answer(lie)), name
