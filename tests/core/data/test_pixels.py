"""The pixel cache: the right squares, built once, whole or not at all."""

import errno
import json
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from core import paths
from core.data.find import find_food11
from core.data.pixels import load_pixels
from core.errors import DataError, UserError
from core.photos import STORED, read_photo_file, to_square
from tests.food import food_picture, make_food11

PX = 14  # squares of 16


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of this test's own; the folder that the squares go to."""
    monkeypatch.setenv("SMALL_PLATES_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "pixels"


@pytest.fixture
def food(tmp_path: Path) -> Path:
    return make_food11(tmp_path / "food")


def test_each_row_is_the_square_of_its_photograph(cache: Path, food: Path) -> None:
    index = find_food11(food)
    pixels = load_pixels(index, PX, progress=False)
    assert pixels.pixels.shape == (44, 3, 16, 16)
    assert pixels.pixels.dtype == np.uint8
    assert (pixels.px, pixels.stored, pixels.unreadable) == (PX, 16, ())
    assert isinstance(pixels.pixels, np.memmap)
    assert not pixels.pixels.flags.writeable
    for row in range(0, len(pixels), 5):
        image = read_photo_file(food / index.files[row])
        assert np.array_equal(pixels.pixels[row], to_square(image, 16))
    assert np.array_equal(pixels.labels, index.labels)
    assert [len(pixels.split(s)) for s in ("training", "validation", "testing")] == [22, 11, 11]
    with pytest.raises(DataError):
        pixels.split("train")


def test_the_usual_sizes() -> None:
    # the crop is 7/8 of the square, the ratio of 224 to 256
    assert [STORED(px) for px in (64, 112, 128, 224)] == [73, 128, 146, 256]


def test_a_second_call_decodes_nothing(
    cache: Path, food: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = find_food11(food)
    first = np.array(load_pixels(index, PX, progress=False).pixels)

    def refuse(*_arguments: object) -> None:
        raise AssertionError("photographs were read again")

    monkeypatch.setattr("core.data.pixels.read_photos", refuse)
    assert np.array_equal(load_pixels(index, PX, progress=False).pixels, first)


def test_unreadable_photographs_are_left_out_and_named(cache: Path, food: Path) -> None:
    bad = {
        "training/0_0.jpg": b"",
        "training/10_1.jpg": b"<!DOCTYPE html><html>404</html>",
        "validation/3_0.jpg": (food / "validation" / "3_0.jpg").read_bytes()[:300],
    }
    for name, content in bad.items():
        (food / name).write_bytes(content)
    index = find_food11(food)
    for _again in range(2):  # built, then read back
        pixels = load_pixels(index, PX, progress=False)
        assert {file for file, _reason in pixels.unreadable} == set(bad)
        reasons = dict(pixels.unreadable)
        assert "empty" in reasons["training/0_0.jpg"]
        assert "web page" in reasons["training/10_1.jpg"]
        assert len(pixels) == len(pixels.pixels) == len(pixels.rows) == 41
        kept = [index.files[row] for row in pixels.rows]
        assert kept == [file for file in index.files if file not in bad]
        for row, file in enumerate(kept):
            label = int(Path(file).name.split("_")[0])
            assert pixels.labels[row] == label
            assert pixels.splits[row] == index.splits[index.files.index(file)]
        last = to_square(read_photo_file(food / kept[-1]), 16)
        assert np.array_equal(pixels.pixels[-1], last), "rows moved up together with their labels"


def test_no_readable_photograph_at_all(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "food" / "training").mkdir(parents=True)
    (tmp_path / "food" / "training" / "0_0.jpg").write_bytes(b"not a picture")
    with pytest.raises(DataError, match=r"training/0_0\.jpg"):
        load_pixels(find_food11(tmp_path / "food"), PX, progress=False)
    assert folders(cache) == []


def folders(cache: Path) -> list[str]:
    return sorted(entry.name for entry in cache.iterdir() if entry.is_dir())


def test_the_cache_follows_the_photographs_and_the_size(cache: Path, food: Path) -> None:
    load_pixels(find_food11(food), PX, progress=False)
    load_pixels(find_food11(food), PX * 2, progress=False)
    food_picture(5, 77, (90, 60)).save(food / "training" / "0_0.jpg")
    pixels = load_pixels(find_food11(food), PX, progress=False)
    changed = to_square(read_photo_file(food / "training" / "0_0.jpg"), 16)
    row = pixels.index.files.index("training/0_0.jpg")
    assert np.array_equal(pixels.pixels[row], changed)
    assert len(folders(cache)) == 3


def test_it_lies_outside_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SMALL_PLATES_CACHE")
    assert not paths.cache_dir().resolve().is_relative_to(paths.REPO)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("pixels.npy", b""),
        ("pixels.npy", b"\x93NUMPY"),
        ("pixels.npy", None),
        ("meta.json", b"{"),
        ("meta.json", b"[]"),
        ("meta.json", b'{"unreadable": [1]}'),
    ],
)
def test_a_damaged_cache_is_built_anew(
    cache: Path, food: Path, file: str, content: bytes | None
) -> None:
    index = find_food11(food)
    first = np.array(load_pixels(index, PX, progress=False).pixels)
    (folder,) = (cache / name for name in folders(cache))
    cut_off = (folder / file).read_bytes()[:5000]
    (folder / file).write_bytes(cut_off if content is None else content)
    assert np.array_equal(load_pixels(index, PX, progress=False).pixels, first)
    json.loads((folder / "meta.json").read_text())


def test_a_full_disk_is_one_sentence_and_leaves_nothing(
    cache: Path, food: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match="No space left"):
        load_pixels(find_food11(food), PX, progress=False)
    assert folders(cache) == []
    monkeypatch.undo()


def test_a_cache_that_cannot_be_written(
    food: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("SMALL_PLATES_CACHE", str(tmp_path / "file"))
    with pytest.raises(UserError, match="SMALL_PLATES_CACHE"):
        load_pixels(find_food11(food), PX, progress=False)


BUILDER = """
    import sys, time
    from pathlib import Path
    from core.data import pixels
    from core.data.find import find_food11

    food, log, pause = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
    build, read = pixels._build, pixels.read_photos

    def noted_build(*arguments):
        with log.open("a") as file:
            file.write("built\\n")
        build(*arguments)

    def slow_read(*arguments):
        for square in read(*arguments):
            time.sleep(pause)
            yield square

    pixels._build, pixels.read_photos = noted_build, slow_read
    loaded = pixels.load_pixels(find_food11(food), 14, progress=False)
    print(len(loaded), int(loaded.pixels.astype("int64").sum()))
"""


def builder(food: Path, log: Path, pause: float) -> "subprocess.Popen[str]":
    """A process of its own that loads the pixels, slowly where it has to build them."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(BUILDER), str(food), str(log), str(pause)],
        cwd=paths.REPO,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_processes_at_once_build_once(cache: Path, food: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    both = [builder(food, log, pause=0.05) for _process in range(2)]
    answers = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0], answers
    assert answers[0][0] == answers[1][0]
    assert log.read_text() == "built\n", "the second waited for the first"
    assert len(folders(cache)) == 1


def test_killed_while_building_leaves_no_half_cache(
    cache: Path, food: Path, tmp_path: Path
) -> None:
    process = builder(food, tmp_path / "log", pause=0.3)
    try:
        deadline = time.monotonic() + 30
        while not (cache.is_dir() and folders(cache)):
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.02)
    finally:
        process.kill()
        process.communicate()
    (half,) = folders(cache)
    assert half.startswith("."), "what a dead process leaves has another name"

    pixels = load_pixels(find_food11(food), PX, progress=False)
    assert len(pixels) == 44
    (whole,) = folders(cache)
    assert not whole.startswith("."), "and the next builder clears it away"


@pytest.mark.photographs
def test_real_photographs_can_all_be_read(photographs: Path) -> None:
    index = find_food11(photographs)
    step = max(1, len(index) // 60)
    for file in index.files[::step]:
        square = to_square(read_photo_file(index.root / file), STORED(128))
        assert square.shape == (3, 146, 146)
        assert square.std() > 1, f"{file} is one flat colour"
