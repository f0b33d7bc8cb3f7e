"""The index of Food-11: every layout, what cannot be used, a fingerprint that notices changes."""

import csv
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from core import places
from core.course import CLASSES
from core.data.find import SPLITS, Index, find_food11, food11_available
from core.errors import DataError
from tests.food import food_picture, make_food11

PER_CLASS = {"training": 3, "validation": 2, "testing": 1}


def counts(index: Index) -> dict[str, list[int]]:
    return {split: index.class_counts(split).tolist() for split in SPLITS}


@pytest.mark.parametrize(
    ("layout", "name", "labelled"),
    [
        ("flat", "flat", True),
        ("course", "flat", False),
        ("kaggle", "class folders", True),
        ("labelled", "labelled folders", False),
    ],
)
def test_every_layout(tmp_path: Path, layout: str, name: str, labelled: bool) -> None:
    index = find_food11(make_food11(tmp_path, layout, PER_CLASS, size=(8, 8)))
    assert index.layout == name
    assert index.root == tmp_path.resolve()
    assert counts(index) == {
        "training": [3] * 11,
        "validation": [2] * 11,
        "testing": [1 if labelled else 0] * 11,
    }
    assert len(index) == len(index.files) == len(index.labels) == len(index.splits) == 66
    assert [len(index.of(split)) for split in SPLITS] == [33, 22, 11]
    assert list(index.files) == sorted(index.files)
    assert index.skipped == ()
    for file, label, split in zip(index.files, index.labels, index.splits, strict=True):
        assert (index.root / file).is_file()
        assert "\\" not in file
        if label < 0:
            assert split == "testing"
            continue
        folder, stem = Path(file).parent.name, Path(file).stem
        said = folder if layout == "kaggle" else stem.split("_")[0]
        assert said == (CLASSES[label].replace("/", "-") if layout == "kaggle" else str(label))


def test_unlabelled_training_photographs_are_not_taken_for_bread(tmp_path: Path) -> None:
    index = find_food11(make_food11(tmp_path, "labelled", PER_CLASS, size=(8, 8)))
    assert not any("unlabeled" in file for file in index.files)


SPELLINGS = {
    0: ["Bread", "bread", "BREAD", "0", "00"],
    1: ["Dairy product", "dairy_product", "Dairy-Products", "DairyProduct", "dairy"],
    2: ["Dessert", "desserts"],
    3: ["Egg", "eggs"],
    4: ["Fried food", "fried_food", "FriedFood"],
    5: ["Meat"],
    6: ["Noodles-Pasta", "noodles_pasta", "Noodles and Pasta", "Noodles", "pasta", "06"],
    7: ["Rice"],
    8: ["Seafood", "sea food"],
    9: ["Soup", "soups", "9"],
    10: ["Vegetable-Fruit", "vegetable_fruit", "Vegetables & Fruits", "VegetableFruit", "10"],
}


@pytest.mark.parametrize("label", SPELLINGS)
def test_class_names_however_they_are_spelt(tmp_path: Path, label: int) -> None:
    for number, spelling in enumerate(SPELLINGS[label]):
        path = tmp_path / "train" / spelling / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        food_picture(label, number, (8, 8)).save(path)
    index = find_food11(tmp_path)
    assert index.labels.tolist() == [label] * len(index)
    assert len(index) == len(list(tmp_path.rglob("*.jpg")))


@pytest.mark.parametrize(
    "names",
    [
        ("train", "val", "test"),
        ("Training", "Validation", "Evaluation"),
        ("TRAIN", "valid", "eval"),
        ("training", "validation", "testing"),
    ],
)
def test_split_folders_however_they_are_called(tmp_path: Path, names: tuple[str, ...]) -> None:
    for name in names:
        (tmp_path / name).mkdir()
        food_picture(4, 0, (8, 8)).save(tmp_path / name / "4_0.jpg")
    index = find_food11(tmp_path)
    assert sorted(index.splits.tolist()) == ["testing", "training", "validation"]
    assert index.labels.tolist() == [4, 4, 4]


def test_the_folder_an_archive_unpacked_into_may_be_named(tmp_path: Path) -> None:
    make_food11(tmp_path / "versions" / "1" / "food-11", per_class={"training": 1})
    assert len(find_food11(tmp_path)) == 11


def test_two_data_sets_side_by_side_are_not_guessed_between(tmp_path: Path) -> None:
    for name in ("one", "two"):
        make_food11(tmp_path / name, per_class={"training": 1}, size=(8, 8))
    with pytest.raises(DataError, match="one, two"):
        find_food11(tmp_path)


def test_what_is_no_photograph_of_a_class_is_left_out_and_named(tmp_path: Path) -> None:
    make_food11(tmp_path, per_class={"training": 1}, size=(8, 8))
    training = tmp_path / "training"
    for name in ("99_1.jpg", "11_0.jpg", "lunch.jpg", "._0_0.jpg", "notes.txt", ".hidden.jpg"):
        (training / name).write_bytes(b"x")
    index = find_food11(tmp_path)
    assert len(index) == 11
    assert index.skipped == ("training/11_0.jpg", "training/99_1.jpg", "training/lunch.jpg")


def test_other_picture_formats_count(tmp_path: Path) -> None:
    (tmp_path / "training").mkdir()
    for i, suffix in enumerate((".JPG", ".jpeg", ".png", ".webp", ".HEIC")):
        (tmp_path / "training" / f"1_{i}{suffix}").write_bytes(b"x")
    assert len(find_food11(tmp_path)) == 5


def test_fingerprint_is_of_the_photographs_not_of_the_machine(tmp_path: Path) -> None:
    one = find_food11(make_food11(tmp_path / "one", size=(8, 8)))
    shutil.copytree(tmp_path / "one", tmp_path / "elsewhere")
    other = find_food11(tmp_path / "elsewhere")
    assert one.fingerprint == other.fingerprint
    assert len(one.fingerprint) == 16
    int(one.fingerprint, 16)


def test_fingerprint_changes_when_a_photograph_does(tmp_path: Path) -> None:
    seen = {find_food11(make_food11(tmp_path, size=(8, 8))).fingerprint}

    def changed() -> bool:
        fingerprint = find_food11(tmp_path).fingerprint
        fresh = fingerprint not in seen
        seen.add(fingerprint)
        return fresh

    photo = tmp_path / "training" / "0_0.jpg"
    assert not changed()
    photo.write_bytes(photo.read_bytes() + b"\0")
    assert changed(), "another size"
    photo.rename(photo.with_name("5_77.jpg"))
    assert changed(), "another label"
    shutil.move(tmp_path / "training" / "5_77.jpg", tmp_path / "validation" / "5_77.jpg")
    assert changed(), "another split"
    (tmp_path / "validation" / "5_77.jpg").unlink()
    assert changed(), "one fewer"


def test_the_same_class_by_another_folder_is_the_same_index_but_not_the_same_files(
    tmp_path: Path,
) -> None:
    one = find_food11(make_food11(tmp_path / "one", "flat", size=(8, 8)))
    two = find_food11(make_food11(tmp_path / "two", "kaggle", size=(8, 8)))
    assert counts(one) == counts(two)
    assert one.fingerprint != two.fingerprint


@pytest.mark.parametrize(
    ("text", "name", "is_food11"),
    [
        (None, "Food-11 copy (44 photographs)", True),
        ("# mine\n\nThis is **NOT Food-11**.\n", "mine (44 photographs, not Food-11)", False),
        ("# food11_standin\nThis is not food 11", "Food-11 stand-in (44 photographs, not", False),
        ("# Food-11\n\nUnpacked from EPFL's archive.\n", "Food-11 copy (44 photographs)", True),
    ],
)
def test_a_stand_in_says_so(tmp_path: Path, text: str | None, name: str, is_food11: bool) -> None:
    make_food11(tmp_path, size=(8, 8))
    if text is not None:
        (tmp_path / "PROVENANCE.md").write_text(text)
    index = find_food11(tmp_path)
    assert index.name.startswith(name)
    assert index.is_food11 is is_food11


def test_where_it_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repo = tmp_path / "repo"
    monkeypatch.setattr(places, "REPO", repo)
    monkeypatch.chdir(tmp_path)
    assert not food11_available()
    with pytest.raises(DataError, match="data fetch"):
        find_food11()
    home = make_food11(repo / "data" / "food11", per_class={"training": 1}, size=(8, 8))
    assert find_food11().root == home.resolve()
    assert food11_available()

    named = make_food11(repo / "mine", per_class={"training": 1}, size=(8, 8))
    monkeypatch.setenv("FOOD11_ROOT", "mine")
    assert find_food11().root == named.resolve(), "a relative name, from the repository"
    nearer = make_food11(tmp_path / "mine", per_class={"training": 1}, size=(8, 8))
    assert find_food11().root == nearer.resolve(), "from where one stands comes first"
    assert find_food11(home).root == home.resolve(), "an argument comes before everything"

    monkeypatch.setenv("FOOD11_ROOT", "nowhere")
    assert not food11_available()
    with pytest.raises(DataError, match="nowhere is not a folder"):
        find_food11()


def test_folders_that_cannot_be_food11(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no folder called training"):
        find_food11(tmp_path)
    (tmp_path / "training").mkdir()
    with pytest.raises(DataError, match="says its class"):
        find_food11(tmp_path)
    (tmp_path / "training" / "lunch.jpg").write_bytes(b"x")
    with pytest.raises(DataError, match="says its class"):
        find_food11(tmp_path)


def test_an_unknown_split_is_refused(tmp_path: Path) -> None:
    index = find_food11(make_food11(tmp_path, size=(8, 8)))
    for wrong in ("evaluation", "", "Training"):
        with pytest.raises(DataError, match="training, validation, testing"):
            index.of(wrong)


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_a_linked_folder_is_followed(tmp_path: Path) -> None:
    make_food11(tmp_path / "real", size=(8, 8))
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert len(find_food11(tmp_path / "link")) == 44


@pytest.mark.photographs
def test_the_photographs_agree_with_their_own_manifest(photographs: Path) -> None:
    manifest = photographs / "manifest.csv"
    if not manifest.is_file():
        pytest.skip("this copy has no manifest.csv")
    with manifest.open(encoding="utf-8", newline="") as file:
        said = {row["file"]: (int(row["label"]), row["split"]) for row in csv.DictReader(file)}
    index = find_food11(photographs)
    found = dict(
        zip(
            index.files,
            zip(index.labels.tolist(), index.splits.tolist(), strict=True),
            strict=True,
        )
    )
    assert found == said
    assert not index.is_food11
    assert np.all(index.class_counts("training") > 0)
