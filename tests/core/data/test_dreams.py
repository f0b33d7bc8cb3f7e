"""The shipped dreams: every tile where it belongs, nothing read that is not what the list says."""

import json
from pathlib import Path

import numpy as np
import pytest

from core.data.dreams import (
    TRAIN_PX,
    dreams_available,
    dreams_dir,
    load_dreams,
    sheet_jpeg,
    tiles,
    unpack,
)
from core.data.find import find_food11
from core.data.pixels import load_pixels
from core.errors import DataError
from tests.dreamers import coloured, fill_dreams


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMALL_PLATES_PRETRAINED", str(tmp_path / "pretrained"))
    monkeypatch.setenv("SMALL_PLATES_CACHE", str(tmp_path / "cache"))


def test_tiles_come_back_in_their_order() -> None:
    """Five tiles, three a row: a JPEG changes colours a little, places not at all."""
    found = fill_dreams().of(TRAIN_PX)
    assert found is not None
    made = coloured(TRAIN_PX, 5)
    for label in range(11):
        read = tiles(found, label)
        assert read.shape == (5, 3, TRAIN_PX, TRAIN_PX) and read.dtype == np.uint8
        errors = np.abs(read[:, None].astype(int) - made[label][None]).mean((2, 3, 4))
        assert (errors.argmin(axis=1) == np.arange(5)).all()
        assert errors.diagonal().max() < 3


def test_no_tile_leaks_into_its_neighbour() -> None:
    """White beside black: JPEG's blocks end where the tiles do."""
    from core.photos import read_photo

    pair = np.stack([np.full((3, 16, 16), 255, np.uint8), np.zeros((3, 16, 16), np.uint8)])
    sheet = np.asarray(read_photo(sheet_jpeg(pair, 2, 90)))
    assert sheet[:, :16].min() == 255 and sheet[:, 16:].max() == 0
    with pytest.raises(ValueError, match="blocks of 8"):
        sheet_jpeg(np.zeros((1, 3, 12, 12), np.uint8), 1, 90)


def test_without_dreams_it_says_how_to_make_them() -> None:
    assert load_dreams() is None and not dreams_available()
    with pytest.raises(DataError, match="python -m tools dreams"):
        unpack()


def test_a_changed_sheet_is_not_shown() -> None:
    found = fill_dreams().of(TRAIN_PX)
    assert found is not None
    file = dreams_dir() / found.sheets[3].file
    data = bytearray(file.read_bytes())
    data[-30] ^= 1
    file.write_bytes(data)
    assert len(tiles(found, 2)) == 5
    with pytest.raises(DataError, match=found.sheets[3].file):
        tiles(found, 3)
    file.unlink()
    with pytest.raises(DataError, match=found.sheets[3].file):
        tiles(found, 3)
    with pytest.raises(DataError):
        unpack()


@pytest.mark.parametrize("text", ["{", "{}", "[]", '{"teacher": "../x", "sets": 3}'])
def test_a_damaged_list_is_said(text: str) -> None:
    dreams_dir().mkdir(parents=True)
    (dreams_dir() / "dreams.json").write_text(text)
    assert not dreams_available()
    with pytest.raises(DataError, match=r"dreams\.json"):
        load_dreams()


def test_no_sheet_lies_outside_the_folder() -> None:
    fill_dreams()
    file = dreams_dir() / "dreams.json"
    content = json.loads(file.read_text())
    content["sets"][0]["sheets"][0]["file"] = "../../secret.jpg"
    file.write_text(json.dumps(content))
    with pytest.raises(DataError):
        load_dreams()


def test_they_are_a_data_set_that_says_what_it_is() -> None:
    fill_dreams(per_class=5, validation=2)
    index = find_food11(unpack())
    assert index.is_dreamed and not index.is_food11
    assert index.name == "Dreamed by the teacher (55 pictures, not photographs, not Food-11)"
    assert index.class_counts("training").tolist() == [3] * 11
    assert index.class_counts("validation").tolist() == [2] * 11
    assert index.class_counts("testing").tolist() == [0] * 11
    pixels = load_pixels(index, px=TRAIN_PX, progress=False)
    assert len(pixels) == 55 and not pixels.unreadable
    again = find_food11(unpack())
    assert again.fingerprint == index.fingerprint


def test_new_dreams_are_unpacked_anew() -> None:
    fill_dreams(per_class=5)
    first = unpack()
    fill_dreams(per_class=6)
    second = unpack()
    assert first != second
    assert len(find_food11(second)) == 66
