"""Small files that would unfold to gigabytes, or keep a decoder busy, cost nothing."""

import struct
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from PIL import Image

from core import paths, photos
from core.heic import coded_sizes
from tests import uploads
from tests.food import food_picture
from tests.uploads import answer, encoded, samples

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
    def decoded(_image: Image.Image) -> Image.Image:
        raise AssertionError("the size is looked at before any pixel is")

    monkeypatch.setattr(photos, "_decode", decoded)
    data = BOMBS[kind]()
    assert len(data) < 250_000
    assert "megapixels" in str(answer(data))


def test_a_crop_does_not_hide_a_large_heic(monkeypatch: pytest.MonkeyPatch) -> None:
    data = uploads.heic_cropped(401, 101)
    image = answer(data)
    assert isinstance(image, Image.Image) and image.size == (101, 101)
    monkeypatch.setattr(photos, "MAX_PIXELS", 400 * 400)
    assert "megapixels" in str(answer(data))


def test_an_honest_grid_is_read() -> None:
    # as phones write them: tiles that jut out over the picture
    picture = food_picture(2, 2, (300, 200))
    image = answer(encoded(picture, "HEIF", tile_size=64))
    assert isinstance(image, Image.Image) and image.size == (300, 200)
    assert isinstance(answer(uploads.heic_mosaic(2)), Image.Image), "the builder itself is sound"


def test_a_strip_is_no_photograph() -> None:
    assert "pixels long" in str(answer(uploads.png(20_000, 1, b"")))


def test_text_chunks_cannot_unfold_without_end() -> None:
    assert "damaged" in str(answer(uploads.png_with_text(megabytes=20)))
    assert isinstance(answer(uploads.png_with_text(megabytes=0)), Image.Image)


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
    from core.photos import read_photo_file

    def peak_mb():
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1024

    read_photo_file(sys.argv[1])  # the decoders are loaded
    before = peak_mb()
    for name in sys.argv[2:]:
        try:
            read_photo_file(name)
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
    assert memory_mb(tmp_path, *bombs) < 40
    # and the measure measures: an allowed large picture does show
    assert 40 < memory_mb(tmp_path, uploads.png_bomb(side=4999)) < 400


def test_what_a_heic_unfolds_to() -> None:
    # the encoder pads 401 to an even 402 and crops what is seen
    assert coded_sizes(uploads.heic_cropped(401, 101)) == ([(402, 402)], 0)
    sizes, mosaic = coded_sizes(encoded(Image.new("RGB", (300, 200)), "HEIF", tile_size=64))
    assert max(sizes) == (300, 200)
    assert mosaic == 5 * 4 * 64 * 64
    assert coded_sizes(uploads.heic_mosaic(30))[1] == 30 * 30 * 256 * 256


def test_a_heic_whose_boxes_lie_is_refused() -> None:
    data = samples()["heic"]
    coded_sizes(data)
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
