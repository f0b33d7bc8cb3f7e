"""Photos as phones, cameras, browsers and old programs really write them are read."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from numpy.typing import NDArray
from PIL import AvifImagePlugin, Image

from core.data import find_food11
from core.data.pixels import load_pixels
from core.photos import ENDINGS, MAX_BYTES, read_photo, read_photos, square, to_square
from core.photos.decode import KEEP_SIDE
from core.photos.exif import Exif, read_exif
from tests import uploads
from tests.food import food_picture, make_food11
from tests.uploads import answer, answer_here, box, encoded, samples

PICTURE = food_picture(5, 1, (96, 80))


def apart(one: Image.Image, other: Image.Image) -> float:
    """Mean difference of two pictures, in levels of 0..255."""
    return float(np.abs(np.asarray(one).astype(int) - np.asarray(other).astype(int)).mean())


def test_every_ending_is_found_in_a_data_folder(tmp_path: Path) -> None:
    kinds = {".png": "PNG", ".webp": "WEBP", ".avif": "AVIF"}
    kinds |= dict.fromkeys((".heic", ".heif", ".hif"), "HEIF")
    root = make_food11(tmp_path / "food")
    for ending in (*ENDINGS, ".JFIF", ".Avif"):
        data = encoded(PICTURE, kinds.get(ending.lower(), "JPEG"))
        (root / "training" / f"3_{ending[1:]}1{ending}").write_bytes(data)
    index = find_food11(root)
    found = {Path(name).suffix for name in index.files}
    assert found >= {*ENDINGS, ".JFIF", ".Avif"}
    assert not load_pixels(index, 32, progress=False).unreadable


@pytest.mark.slow
@pytest.mark.parametrize("progressive", [False, True])
def test_48_megapixels_are_read_at_a_reduced_scale(progressive: bool) -> None:
    small = food_picture(2, 3, (1008, 756))
    large = small.resize((8064, 6048))
    got = read_photo(encoded(large, "JPEG", progressive=progressive))
    assert got.size == (1008, 756)
    assert apart(got, small) < 2


@pytest.mark.slow
def test_108_megapixels_are_read_and_more_than_120_are_not() -> None:
    image = answer(encoded(Image.new("L", (12_000, 9_000), 90), "JPEG"))
    assert isinstance(image, Image.Image) and min(image.size) >= KEEP_SIDE
    text = str(answer(uploads.jpeg_claiming(12_200, 10_000)))
    assert "122.0 megapixels; at most 120" in text
    # a progressive one is kept whole, four inks in 8 bytes a pixel
    inks = Image.new("CMYK", (12_000, 9_000))
    text = str(answer(encoded(inks, "JPEG", progressive=True)))
    assert "108.0 megapixels; at most 87" in text
    # a strip cannot be reduced: its short side is no longer than what is kept
    strip = encoded(Image.new("L", (40_000, 1_000)), "JPEG")
    assert "40.0 megapixels; at most 25" in str(answer(strip))
    for kind in ("PNG", "WEBP"):  # these have no reduced scale
        data = uploads.png(8064, 6048, b"") if kind == "PNG" else uploads.webp_canvas(8064, 6048)
        assert "48.8 megapixels; at most 25" in str(answer(data))


def video(megabytes: float) -> bytes:
    """What a phone puts behind a motion photo: an MP4, in which anything may look like a marker."""
    noise = np.random.default_rng(0).integers(0, 256, int(megabytes * 2**20), dtype=np.uint8)
    return box(b"ftyp", b"mp42\0\0\0\0isommp42") + box(b"mdat", noise.tobytes())


@pytest.mark.parametrize("megabytes", [0.1, 19.9])
def test_of_a_motion_photo_the_picture_is_read(megabytes: float) -> None:
    data = encoded(PICTURE, "JPEG")
    assert read_photo(data + video(megabytes)).tobytes() == read_photo(data).tobytes()
    assert "at most 20 MB" in str(answer(data + video(20)))


def test_of_a_motion_photo_in_heic_the_picture_is_read() -> None:
    data = samples()["heic"]
    moving = data + box(b"mpvd", video(5))
    assert read_photo(moving).tobytes() == read_photo(data).tobytes()


JPEGS = {
    "baseline": {"quality": 90},
    "4:4:4": {"quality": 95, "subsampling": 0},
    "progressive": {"quality": 90, "progressive": True},
    "restarts": {"quality": 90, "restart_marker_blocks": 3},
    "progressive with restarts": {"quality": 90, "progressive": True, "restart_marker_rows": 1},
    "optimised": {"quality": 60, "optimize": True},
}


@pytest.mark.parametrize("kind", JPEGS)
def test_a_jpeg_without_its_end_is_whole_and_one_cut_in_the_middle_is_not(kind: str) -> None:
    mode = {"restarts": "L", "progressive": "CMYK"}.get(kind, "RGB")
    data = encoded(food_picture(3, 1, (200, 150)).convert(mode), "JPEG", **JPEGS[kind])
    whole = read_photo(data).tobytes()
    for missing in (1, 2):
        assert read_photo(data[:-missing]).tobytes() == whole, missing
    assert read_photo(data[:-2] + b"\xff" * 30).tobytes() == whole
    assert read_photo(data[:-2] + bytes(99)).tobytes() == whole
    assert "damaged" in str(answer(data[: len(data) * 2 // 3].ljust(10 * len(data), b"\0")))
    start = data.index(b"\xff\xda") + 20
    for cut in np.linspace(start, len(data) - 12, 20).astype(int):
        got = answer(data[:cut])
        if isinstance(got, Image.Image):  # the last bytes may stand for an ink that is not there
            assert cut > 0.99 * len(data) and got.tobytes() == whole, cut
        else:
            assert "damaged" in got


@pytest.mark.parametrize("kind", JPEGS)
def test_a_jpeg_cut_at_any_marker_is_not_whole(kind: str) -> None:
    data = encoded(food_picture(3, 1, (200, 150)), "JPEG", **JPEGS[kind])
    start, at = data.index(b"\xff\xda"), 0
    cuts = [start]
    while (at := data.find(b"\xff", start + len(cuts) and max(at, start) + 1)) > 0:
        if data[at + 1 : at + 2] not in (b"\0", b"\xd9", b""):
            cuts.append(at)
    for cut in cuts:
        assert "damaged" in str(answer(data[:cut])), (cut, len(data))


def test_what_a_jpeg_carries_beside_its_pixels_is_not_needed() -> None:
    plain = encoded(PICTURE, "JPEG", quality=90)
    pieces = [
        (0xFE, b"a comment"),
        (0xE1, b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta/>" + bytes(60_000)),
        (0xE2, b"MPF\0" + bytes(80)),
        (0xED, b"Photoshop 3.0\x008BIM" + b"\xff" * 400),
        (0xE7, b"anything"),
        (0xEB, b"\xff\xd9" * 1_000),
    ]
    inner = b"".join(struct.pack(">BBH", 0xFF, m, len(c) + 2) + c for m, c in pieces)
    assert read_photo(plain[:2] + inner * 3 + plain[2:]).tobytes() == read_photo(plain).tobytes()
    for fill in (b"\xff" * 100, b"\0" * 50):  # bytes that stand between segments
        assert read_photo(plain[:2] + b"\xff\xfe\0\2" + fill + plain[2:]).size == PICTURE.size


def test_channels_of_a_jpeg_mean_what_it_says() -> None:
    rgb = encoded(PICTURE, "JPEG", quality=95, keep_rgb=True)
    assert apart(read_photo(rgb), PICTURE) < 3
    cmyk = encoded(PICTURE.convert("CMYK"), "JPEG", quality=95)
    assert apart(read_photo(cmyk), PICTURE) < 3


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt", b"tEXt", b"teSt"])
@pytest.mark.parametrize("megabytes", [2, pytest.param(100, marks=pytest.mark.slow)])
def test_text_in_a_png_is_not_read(kind: bytes, megabytes: int) -> None:
    note = bytes(megabytes * 2**20)
    content = {
        b"zTXt": b"note\0\0" + zlib.compress(note, 9),
        b"iTXt": b"note\0\1\0\0\0" + zlib.compress(note, 9),
        b"tEXt": b"note\0" + note[: 15 * 2**20],
        b"teSt": note[: 15 * 2**20],
    }[kind]
    data = encoded(PICTURE, "PNG")
    longer = data[:33] + uploads.png_chunk(kind, content) + data[33:]
    behind = data[:-12] + uploads.png_chunk(kind, content) + data[-12:]
    for each in (longer, behind):
        assert read_photo(each).tobytes() == PICTURE.tobytes()


def test_a_png_in_many_pieces_is_read() -> None:
    data = encoded(food_picture(1, 1, (400, 300)), "PNG", compress_level=0)
    at = data.index(b"IDAT") - 4
    (length,) = struct.unpack_from(">I", data, at)
    pixels = data[at + 8 : at + 8 + length]
    rest = data[at + 12 + length :]
    while (n := rest.find(b"IDAT")) > 0:
        (more,) = struct.unpack_from(">I", rest, n - 4)
        pixels, rest = pixels + rest[n + 4 : n + 4 + more], rest[n + 8 + more :]
    pieces = b"".join(
        uploads.png_chunk(b"IDAT", pixels[i : i + 100]) for i in range(0, len(pixels), 100)
    )
    got = read_photo(data[:at] + pieces + uploads.png_chunk(b"IEND", b""))
    assert got.tobytes() == food_picture(1, 1, (400, 300)).tobytes()


def test_filling_in_a_heics_boxes_is_no_damage() -> None:
    free = [(b"free", b""), (b"free", bytes(40))]
    more = [(b"skip", b"x"), (b"skip", b"y"), (b"uuid", bytes(16)), (b"uuid", bytes(20))]
    for filling in (free, free[:1] + more):
        data = uploads.heic_with(*filling)
        assert pillow_heif.open_heif(io.BytesIO(data)).size == (64, 64), "libheif opens it"
        assert read_photo(data).tobytes() == read_photo(uploads.heic_with()).tobytes()
    for kind in (b"pitm", b"iinf", b"iprp", b"iref"):
        twice = uploads.heic_with((kind, bytes(6)), (kind, bytes(6)))
        assert "damaged" in str(answer(twice)), kind


@pytest.mark.parametrize("other", [b"iden", b"iovl", b"grid"])
def test_whatever_stands_beside_the_picture_of_a_heic(other: bytes) -> None:
    data = uploads.heic_with(uploads.derived_from(2, 1), items={2: other})
    assert pillow_heif.open_heif(io.BytesIO(data)).size == (64, 64), "libheif opens it"
    assert read_photo(data).tobytes() == read_photo(uploads.heic_with()).tobytes()


def test_an_identity_may_be_the_picture_and_nothing_unbounded() -> None:
    data = uploads.heic_with(uploads.derived_from(2, 1), items={2: b"iden"}, primary=2)
    assert read_photo(data).tobytes() == read_photo(uploads.heic_with()).tobytes()
    for other in (b"iovl", b"unci", b"tili"):
        lie = uploads.heic_with(uploads.derived_from(2, 1), items={2: other}, primary=2)
        assert "damaged" in str(answer(lie)), other
    grid = uploads.heic_with(uploads.derived_from(2, 3), items={2: b"grid", 3: b"unci"})
    assert "damaged" in str(answer(grid)), "a grid of what no box bounds"


def avif_claiming(side: int) -> bytes:
    data = samples()["avif"]
    size = data.index(b"ispe") + 8
    return data[:size] + struct.pack(">II", side, side) + data[size + 8 :]


def test_an_avif_is_measured_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(*_arguments: object) -> None:
        raise AssertionError("the size is looked at before the decoder is made")

    monkeypatch.setattr(AvifImagePlugin, "AvifImageFile", opened)
    assert "megapixels" in str(answer_here(avif_claiming(16_000)))
    assert "megapixels" in str(answer_here(avif_claiming(2**31)))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", [(1, "B"), (3, "H"), (4, "I")])
def test_orientation_is_found_in_any_spelling(order: str, kind: tuple[int, str]) -> None:
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 14) + b"skip.."
    value = struct.pack(order + kind[1], 6).ljust(4, b"\0")
    table = struct.pack(f"{order}H", 2) + struct.pack(f"{order}HHI", 1, 2, 1) + b"a\0\0\0"
    table += struct.pack(f"{order}HHI", 0x0112, kind[0], 1) + value + bytes(4)
    for data in (head + table, b"Exif\0\0" + head + table):
        assert read_exif(data) == Exif(6, False)
        for cut in range(len(data)):
            assert read_exif(data[:cut]).orientation in (1, 6)


def test_exif_that_points_at_itself_or_nowhere() -> None:
    def pointing(at: int) -> bytes:
        entries = struct.pack("<HHII", 0x8769, 4, 1, at) + struct.pack("<HHII", 0xA005, 4, 1, at)
        return b"II*\0\x08\0\0\0" + struct.pack("<H", 2) + entries

    for at in (0, 7, 8, 9, 30, 33, 34, 2**32 - 1):
        assert read_exif(pointing(at)) == Exif()


def test_many_files_at_once_come_in_their_order(tmp_path: Path) -> None:
    paths: list[Path] = []
    expected: list[str | NDArray[np.uint8]] = []
    for i in range(70):
        path = tmp_path / f"{i}.jpg"
        paths.append(path)
        if i % 10 == 3:
            path.write_bytes(b"" if i == 3 else b"no photo")
            expected.append("empty" if i == 3 else "not a photo")
        elif i % 10 == 7:
            expected.append("no such file")
        else:
            path.write_bytes(encoded(food_picture(i % 11, i), "PNG"))
            expected.append(to_square(food_picture(i % 11, i), 32))
    for got, wanted in zip(read_photos(square, iter(paths), 32), expected, strict=True):
        if isinstance(wanted, str):
            assert isinstance(got, str) and wanted in got
        else:
            assert isinstance(got, np.ndarray) and np.array_equal(got, wanted)
    assert list(read_photos(square, [], 32)) == []


def test_one_photo_that_ends_its_worker_does_not_spoil_the_others(tmp_path: Path) -> None:
    from tests.limited_tasks import first_byte_decides

    paths = []
    for i, first in enumerate(b"....x...y....."):
        paths.append(tmp_path / str(i))
        paths[-1].write_bytes(bytes([first]))
    got = list(read_photos(first_byte_decides, paths))
    assert [i for i, each in enumerate(got) if isinstance(each, str)] == [4, 8]
    assert all(each == 46 for each in got if not isinstance(each, str))


def test_the_limit_is_what_can_be_received() -> None:
    import tomllib

    from core import paths as places

    config = tomllib.loads((places.REPO / ".streamlit/config.toml").read_text(encoding="utf-8"))
    assert config["server"]["maxUploadSize"] * 2**20 == MAX_BYTES
