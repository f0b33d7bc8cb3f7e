"""The index of Food-11: every layout, what cannot be used, a fingerprint that notices changes."""

import csv
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from core import paths
from core.course import CLASSES, FOOD11_COUNTS
from core.data import find
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


NUMBERS = [*map(str, range(11))]


def photograph(path: Path, label: int = 0) -> None:
    """A made-up photograph at `path`, whose folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    food_picture(label, len(path.name), (8, 8)).save(path)


@pytest.mark.parametrize("label", SPELLINGS)
def test_class_names_however_they_are_spelt(tmp_path: Path, label: int) -> None:
    for spelling in SPELLINGS[label]:
        others = [] if not spelling.isdigit() else [n for n in NUMBERS if int(n) != label]
        root = tmp_path / spelling
        for name in (spelling, *others):
            photograph(root / "train" / name / "photo.jpg")
        index = find_food11(root)
        labels = dict(zip(index.files, index.labels.tolist(), strict=True))
        assert labels[f"train/{spelling}/photo.jpg"] == label
        assert len(index) == 1 + len(others)


@pytest.mark.parametrize(
    ("split", "names", "says"),
    [
        ("training", [str(n) for n in range(1, 12)], "1 to 11"),
        ("validation", [f"{n:02}" for n in range(1, 12)], "1 to 11"),
        ("testing", [f"{n:03}" for n in range(1, 12)], "1 to 11"),
        ("training", [str(n) for n in range(12)], "0 to 11"),
        ("validation", [str(n) for n in range(1, 11)], "1 to 10"),
        ("testing", [n for n in NUMBERS if n != "5"], "0, 1, 2, 3, 4, 6"),
        ("training", ["100", *NUMBERS], "100"),
        ("validation", ["2", "7"], "2, 7"),
        ("testing", [n if n != "3" else "\u0663" for n in NUMBERS], "0, 1, 2, 4, 5"),
    ],
    ids=["1-11", "01-11", "001-011", "0-11", "1-10", "no 5", "100", "2, 7", "Arabic 3"],
)
def test_numbers_that_may_be_counted_from_1_are_refused(
    tmp_path: Path, split: str, names: list[str], says: str
) -> None:
    photograph(tmp_path / "training" / "0_1.jpg")
    for name in names:
        photograph(tmp_path / split / name / "photo.jpg")
    with pytest.raises(DataError, match=says) as told:
        find_food11(tmp_path)
    assert "0 (Bread) to 10" in str(told.value)


def test_a_split_may_lack_numbers_that_another_one_has(tmp_path: Path) -> None:
    for name in NUMBERS:
        photograph(tmp_path / "training" / name / "photo.jpg")
    photograph(tmp_path / "validation" / "07" / "photo.jpg")
    index = find_food11(tmp_path)
    assert counts(index)["validation"] == [0] * 7 + [1] + [0] * 3


@pytest.mark.parametrize(
    ("labels", "fine"),
    [
        (range(11), True),
        (range(12), True),  # 11_0.jpg is left out, and named
        (range(1, 12), False),
        (range(1, 11), False),
        ([5, 11], False),
        ([4], True),
        ([1], True),
        ([3, 7], True),
    ],
)
@pytest.mark.parametrize("form", ["{:02}_0", "{}_lunch"])
def test_labels_in_file_names_from_1_are_refused(
    tmp_path: Path, labels: Sequence[int], fine: bool, form: str
) -> None:
    for label in labels:
        photograph(tmp_path / "training" / f"{form.format(label)}.jpg")
    if not fine:
        with pytest.raises(DataError, match="labels in file names"):
            find_food11(tmp_path)
        return
    index = find_food11(tmp_path)
    assert sorted(index.labels.tolist()) == [n for n in labels if n < 11]
    assert len(index.skipped) == (11 in labels)


def test_a_split_counted_from_1_beside_one_counted_from_0_is_refused(tmp_path: Path) -> None:
    for label in range(11):
        photograph(tmp_path / "training" / f"{label}_0.jpg")
        photograph(tmp_path / "evaluation" / f"{label + 1}_0.jpg")
    with pytest.raises(DataError, match="1 to 11"):
        find_food11(tmp_path)


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["Egg", "eggs"], "Egg and eggs"),
        (["Bread", "bread"], "Bread and bread"),
        (["Noodles", "Pasta"], "Noodles/Pasta"),
        (["sea food", "Seafood"], "Seafood"),
        (["0", *(f"{n:02}" for n in range(11))], "0 and 00"),
        (["Bread", "1", "2"], "in one way"),
        (["Egg", *(n for n in NUMBERS if n != "3")], "in one way"),
        (["Meat", "99"], "in one way"),
    ],
)
@pytest.mark.parametrize("split", ["labeled", "validation"])
def test_folders_that_contradict_each_other_are_refused(
    tmp_path: Path, names: list[str], says: str, split: str
) -> None:
    photograph(tmp_path / "training" / ("labeled" if split == "labeled" else "") / "0_1.jpg")
    for name in names:
        place = "training/labeled" if split == "labeled" else split
        photograph(tmp_path / place / name / "photo.jpg")
    with pytest.raises(DataError, match=says):
        find_food11(tmp_path)


@pytest.mark.parametrize(
    ("folder", "name", "fine"),
    [
        ("Egg", "5_12", False),
        ("Egg", "3_12", True),
        ("Egg", "03_12", True),
        ("Egg", "12_5", True),  # no class
        ("Egg", "5_lunch", True),  # no index, hence no label of Food-11's
        ("Egg", "512", True),
        ("Bread", "1_1", False),
    ],
)
def test_a_file_in_the_folder_of_another_class_is_refused(
    tmp_path: Path, folder: str, name: str, fine: bool
) -> None:
    photograph(tmp_path / "train" / folder / f"{name}.jpg")
    if fine:
        assert find_food11(tmp_path).labels.tolist() == [CLASSES.index(folder)]
        return
    with pytest.raises(DataError, match=f"{name}.jpg lies in the folder of the class {folder}"):
        find_food11(tmp_path)


@pytest.mark.parametrize(
    "names",
    [
        ("train", "training"),
        ("training", "test", "Testing"),
        ("training", "val", "validation"),
    ],
)
def test_two_folders_of_one_split_are_refused(tmp_path: Path, names: tuple[str, ...]) -> None:
    for name in names:
        photograph(tmp_path / name / "4_0.jpg")
    with pytest.raises(DataError, match=" split") as told:
        find_food11(tmp_path)
    twice = [name for name in names if name != "training" or len(names) == 2]
    assert all(name in str(told.value) for name in twice)


@pytest.mark.parametrize("beside", ["Egg/a.jpg", "03/a.jpg", "3_1.jpg", "labelled/3/a.jpg"])
def test_what_lies_beside_labeled_is_not_left_out_in_silence(tmp_path: Path, beside: str) -> None:
    make_food11(tmp_path, "labelled", PER_CLASS, size=(8, 8))
    photograph(tmp_path / "training" / beside)
    with pytest.raises(DataError, match="beside it"):
        find_food11(tmp_path)


@pytest.mark.parametrize("place", ["training/{}/a.jpg", "training/{}_1.jpg", "{}/a.jpg"])
def test_what_only_looks_like_a_number_is_none(tmp_path: Path, place: str) -> None:
    names = ["\u00b2", "\u2460", "\u0663", "\u5341", "1.0", "-1", "+3", "0x1"]
    photograph(tmp_path / "training" / "Egg" / "a.jpg")
    for name in names:
        photograph(tmp_path / place.format(name))
    index = find_food11(tmp_path)
    assert index.labels.tolist() == [3]
    skipped = [] if place.startswith("{") else [place.format(name) for name in names]
    assert sorted(index.skipped) == sorted(skipped)


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


@pytest.mark.parametrize(
    ("text", "name", "is_food11"),
    [
        (None, "44 photographs in Food-11's layout (not Food-11)", False),
        ("# mine\n\nThis is **NOT Food-11**.\n", "mine (44 photographs, not Food-11)", False),
        ("# food11_standin\nThis is not food 11", "Food-11 stand-in (44 photographs, not", False),
        ("# Food-11\n\nUnpacked from EPFL's.\n", "44 photographs in Food-11's layout (not", False),
    ],
)
def test_a_stand_in_says_so(tmp_path: Path, text: str | None, name: str, is_food11: bool) -> None:
    make_food11(tmp_path, size=(8, 8))
    if text is not None:
        (tmp_path / "PROVENANCE.md").write_text(text)
    index = find_food11(tmp_path)
    assert index.name.startswith(name)
    assert index.is_food11 is is_food11


def test_food11_is_what_counts_as_many_photographs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_food11(tmp_path, "course", per_class=PER_CLASS, size=(8, 8))
    whole = {"training": 33, "validation": 22, "testing": 11}
    monkeypatch.setattr(find, "FOOD11_COUNTS", whole)
    index = find_food11(tmp_path)
    assert (index.name, index.is_food11) == ("Food-11", True)
    (tmp_path / "validation" / "3_0.jpg").unlink()
    index = find_food11(tmp_path)
    assert (index.name, index.is_food11) == ("65 photographs in Food-11's layout (not Food-11)",
                                             False)  # fmt: skip
    assert FOOD11_COUNTS == {"training": 9866, "validation": 3430, "testing": 3347}


def test_where_it_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repo = tmp_path / "repo"
    monkeypatch.setattr(paths, "REPO", repo)
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


def test_a_small_split_may_lack_class_0(tmp_path: Path) -> None:
    for label in range(11):
        photograph(tmp_path / "training" / f"{label}_0.jpg")
    for label in range(1, 11):
        photograph(tmp_path / "validation" / f"{label}_0.jpg")
    assert counts(find_food11(tmp_path))["validation"] == [0] + [1] * 10


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_a_linked_folder_is_followed(tmp_path: Path) -> None:
    make_food11(tmp_path / "real", size=(8, 8))
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert len(find_food11(tmp_path / "link")) == 44


def test_a_second_spelling_without_photographs_is_no_second_folder(tmp_path: Path) -> None:
    photograph(tmp_path / "training" / "Egg" / "photo.jpg")
    (tmp_path / "training" / "eggs").mkdir()
    (tmp_path / "train").mkdir()
    assert find_food11(tmp_path).labels.tolist() == [3]


def test_an_unknown_split_is_refused(tmp_path: Path) -> None:
    index = find_food11(make_food11(tmp_path, size=(8, 8)))
    for wrong in ("evaluation", "", "Training"):
        with pytest.raises(DataError, match="training, validation, testing"):
            index.of(wrong)


def test_other_picture_formats_count(tmp_path: Path) -> None:
    (tmp_path / "training").mkdir()
    for i, suffix in enumerate((".JPG", ".jpeg", ".png", ".webp", ".HEIC")):
        (tmp_path / "training" / f"1_{i}{suffix}").write_bytes(b"x")
    assert len(find_food11(tmp_path)) == 5
