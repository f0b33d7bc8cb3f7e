"""A set without another's test photographs: what is in it, what it calls itself, no half of one."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core import paths
from core.data import find
from core.data.find import Index, find_food11
from core.data.named import DISTINCT, is_distinct
from core.data.pixels import load_pixels
from core.errors import DataError
from tests.food import make_food11
from tools import near_duplicates
from tools.near_duplicates import Written, write_distinct

NOT = "# food101_64\n\n**NOT Food-11.** Licence: nobody's.\n"


def photographs(folder: Path, seed: int, layout: str = "flat") -> Path:
    """A copy in a layout, each picture with shapes of its own."""
    make_food11(folder, layout, {"training": 2, "validation": 1, "testing": 1}, size=(8, 8))
    for i, path in enumerate(sorted(folder.rglob("*.jpg"))):
        rng = np.random.default_rng([seed, i])
        coarse = Image.fromarray(rng.integers(0, 256, (5, 5, 3), dtype=np.uint8))
        coarse.resize((60, 48), Image.Resampling.BICUBIC).save(path, quality=92)
    return folder


@pytest.fixture
def sets(tmp_path: Path) -> tuple[Index, Index]:
    """A source, and a stand-in of whose testing split the source holds a small copy."""
    against = photographs(tmp_path / "against", 1)
    (against / "PROVENANCE.md").write_text("# food11_standin\n\nThis is NOT Food-11.\n")
    source = photographs(tmp_path / "source", 2)
    (source / "PROVENANCE.md").write_text(NOT)
    with Image.open(against / "evaluation" / "4_0.jpg") as picture:
        picture.resize((30, 24)).save(source / "training" / "7_1.jpg")
    return find_food11(source), find_food11(against)


def written(source: Index, against: Index, folder: Path) -> Written:
    return write_distinct(source, against, folder, progress=False)


def test_all_but_the_duplicate_is_there(sets: tuple[Index, Index], tmp_path: Path) -> None:
    source, against = sets
    made = written(source, against, tmp_path / "made")
    index = find_food11(tmp_path / "made")
    assert index.files == tuple(name for name in source.files if name != "training/7_1.jpg")
    assert index.fingerprint == made.index.fingerprint != source.fingerprint
    for name, label in zip(index.files, index.labels, strict=True):
        assert (index.root / name).read_bytes() == (source.root / name).read_bytes()
        assert label == int(Path(name).stem.split("_")[0])
    assert (source.root / "training" / "7_1.jpg").is_file()  # nothing is moved
    ((file, like, cosine),) = made.left_out
    assert (file, like) == ("training/7_1.jpg", "evaluation/4_0.jpg") and 0.95 <= cosine <= 1
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".made.")] == [
        ".made.lock"
    ]


def test_it_says_what_it_is(sets: tuple[Index, Index], tmp_path: Path) -> None:
    source, against = sets
    written(source, against, tmp_path / "made")
    index = find_food11(tmp_path / "made")
    assert not index.is_food11
    title = "Food-101 mapped to 11 classes, without the Food-11 stand-in's"
    assert index.name == f"{title} (43 photographs, not Food-11)"
    assert "Licence: nobody's." in (index.root / "PROVENANCE.md").read_text()
    said = json.loads((index.root / DISTINCT).read_text())
    assert said["source"] == {"name": source.name, "fingerprint": source.fingerprint}
    assert said["against"] == {"name": against.name, "fingerprint": against.fingerprint}
    assert said["threshold"] == 0.95 and said["unreadable"] == []
    assert [one["file"] for one in said["left_out"]] == ["training/7_1.jpg"]
    assert is_distinct(index.root, against)
    assert not is_distinct(index.root, source) and not is_distinct(source.root, against)


def test_what_does_not_say_what_it_is_gets_no_name(tmp_path: Path) -> None:
    source = find_food11(photographs(tmp_path / "source", 2))
    against = find_food11(photographs(tmp_path / "against", 3))
    index = written(source, against, tmp_path / "made").index
    title = "Photographs in Food-11's layout, without those of its test set"
    assert not index.is_food11 and index.name == f"{title} (44 photographs, not Food-11)"


@pytest.mark.parametrize("alike", [True, False])
def test_a_part_of_food11_is_not_food11(
    alike: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = {"training": 22, "validation": 11, "testing": 11}
    monkeypatch.setattr(find, "FOOD11_COUNTS", counts)
    source = find_food11(photographs(tmp_path / "source", 2))
    other = photographs(tmp_path / "against", 3)
    (other / "PROVENANCE.md").write_text("# food11_standin\n\n**NOT Food-11.**\n")
    if alike:
        shutil.copy(source.root / "training" / "7_1.jpg", other / "validation" / "7_0.jpg")
    made = written(source, find_food11(other), tmp_path / "made")
    assert source.is_food11 and len(made.left_out) == alike
    assert made.index.is_food11 is not alike
    title = "Food-11, without the Food-11 stand-in's (43 photographs, not Food-11)"
    assert made.index.name == (title if alike else "Food-11")


@pytest.mark.parametrize("layout", ["course", "kaggle", "labelled"])
def test_every_layout_stays_what_it_is(layout: str, tmp_path: Path) -> None:
    source = find_food11(photographs(tmp_path / "source", 2, layout))
    against = find_food11(photographs(tmp_path / "against", 3))
    index = written(source, against, tmp_path / "made").index
    assert (index.layout, index.files, index.fingerprint) == (
        source.layout, source.files, source.fingerprint,
    )  # fmt: skip


def test_what_is_there_is_left_as_it_is(
    sets: tuple[Index, Index], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = written(*sets, tmp_path / "made")
    monkeypatch.setattr(near_duplicates, "near_duplicates", None)  # not called again
    again = written(*sets, tmp_path / "made")
    assert again.left_out == first.left_out
    assert again.index.fingerprint == first.index.fingerprint
    with pytest.raises(DataError, match="holds something else"):
        written(sets[1], sets[0], tmp_path / "made")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(DataError, match="holds something else"):
        written(*sets, tmp_path / "mine")
    assert (tmp_path / "mine" / "letter.txt").read_text() == "dear"
    (tmp_path / "made" / DISTINCT).write_text("{")
    with pytest.raises(DataError, match="holds something else"):
        written(*sets, tmp_path / "made")


def test_it_does_not_land_in_a_data_set(sets: tuple[Index, Index]) -> None:
    for index in sets:
        with pytest.raises(DataError, match="lies in the data set"):
            written(*sets, index.root / "training" / "made")
        assert find_food11(index.root).fingerprint == index.fingerprint


def test_a_stopped_one_leaves_nothing(
    sets: tuple[Index, Index], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_any: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(paths, "write_json", stop)
    with pytest.raises(KeyboardInterrupt):
        written(*sets, tmp_path / "made")
    assert {path.name for path in tmp_path.iterdir()} == {"source", "against", ".made.lock"}


def test_what_cannot_be_read_is_left_out(
    sets: tuple[Index, Index], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMALL_PLATES_CACHE", str(tmp_path / "cache"))
    (sets[0].root / "training" / "0_0.jpg").write_bytes(b"no picture")
    made = written(find_food11(sets[0].root), sets[1], tmp_path / "made")
    assert made.unreadable == ("training/0_0.jpg",)
    assert load_pixels(made.index, px=32, progress=False).unreadable == ()
