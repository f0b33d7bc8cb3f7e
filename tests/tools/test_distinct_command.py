"""`python -m tools distinct`: what it writes, says and refuses."""

import json
from pathlib import Path
from typing import Any

import pytest

from core.cli.main import main
from core.data.find import find_food11
from tests.tools.test_distinct import NOT, photographs
from tools.__main__ import COMMANDS


@pytest.fixture
def sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A source with a mirrored test photograph in its training folder, and FOOD11_ROOT."""
    from PIL import Image, ImageOps

    source, food = photographs(tmp_path / "source", 2), photographs(tmp_path / "food", 1)
    (source / "PROVENANCE.md").write_text(NOT)
    with Image.open(food / "validation" / "3_0.jpg") as picture:
        ImageOps.mirror(picture).save(source / "training" / "9_0.jpg")
    monkeypatch.setenv("FOOD11_ROOT", str(food))
    for name in ("DATA", "CACHE"):
        monkeypatch.setenv(f"SMALL_PLATES_{name}", str(tmp_path / name.lower()))
    return source, food


def told(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    capsys.readouterr()
    assert main([*map(str, arguments), "--json"], COMMANDS, "python -m tools") == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


def reported(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    """What `python -m core data` says."""
    capsys.readouterr()
    assert main(["data", *map(str, arguments), "--json"]) == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


def test_it_is_a_data_set_like_any_other(
    sets: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, food = sets
    said = told(capsys, "distinct", source, "--against", food, "--into", tmp_path / "made")
    assert said["root"] == str(tmp_path / "made")
    assert said["splits"] == {"training": 21, "validation": 11, "testing": 11}
    assert [(one["file"], one["like"]) for one in said["left_out"]] == [
        ("training/9_0.jpg", "validation/3_0.jpg")
    ]
    report = reported(capsys, "--root", tmp_path / "made")
    assert report["name"] == said["name"] and report["fingerprint"] == said["fingerprint"]
    assert report["name"].startswith(
        "Food-101 mapped to 11 classes, without those of its test set (43 "
    )
    assert report["is_food11"] is False and report["unreadable"] == []


def test_variables_and_the_usual_places_do(
    sets: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("FOOD101_64_ROOT", str(sets[0]))
    assert main(["distinct", "FOOD101_64_ROOT"], COMMANDS) == 0
    out = capsys.readouterr().out
    made = tmp_path / "data" / "source_distinct"
    assert len(find_food11(made)) == 43
    assert out.count("\n") == 1 and str(made) in out and "1 near duplicates" in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["distinct"], "Name the photographs"),
        (["distinct", "NO_SUCH_ROOT"], "NO_SUCH_ROOT"),
        (["distinct", "/nowhere"], "nowhere is not a folder"),
        (["distinct", ".", "--against", "/nowhere"], "nowhere is not a folder"),
        (["distinct", ".", "--into", "./training/more"], "lies in the data set"),
    ],
    ids=" ".join,
)
def test_what_it_cannot_do_is_one_line(
    sets: tuple[Path, Path],
    arguments: list[str],
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(sets[0])
    assert main(arguments, COMMANDS) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and says in err
