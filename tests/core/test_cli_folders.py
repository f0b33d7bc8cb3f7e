"""Folders that variables name: a file, a folder nobody may write to, one that is not there yet."""

import sys
from pathlib import Path

import pytest

from core.cli.main import main
from core.errors import ConfigError
from core.paths import FOLDERS, remedy, write_json
from tests.food import make_food11

Capture = pytest.CaptureFixture[str]
SYSTEM = Path("/sys/kernel")
"""A folder in which nobody, not even root, can make anything."""
WITH_RUNS = [["runs"], ["runs", "--json"], ["jobs"], ["jobs", "stop", "x"], ["train", "--px", "64"]]


def refused(capture: Capture, words: list[str]) -> str:
    """The one line that comes of it."""
    capture.readouterr()
    assert main(words) == 2
    out, err = capture.readouterr()
    assert out == "" and err.count("\n") == 1 and "Traceback" not in err
    return err


@pytest.fixture
def food(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "food"
    make_food11(folder, "flat", {"training": 2, "validation": 1, "testing": 1})
    monkeypatch.setenv("FOOD11_ROOT", str(folder))
    return folder


def a_file(tmp_path: Path) -> Path:
    file = tmp_path / "a file"
    file.write_text("no folder", encoding="utf-8")
    return file


def a_link_to_nowhere(tmp_path: Path) -> Path:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "nowhere")
    return link


@pytest.mark.parametrize("made", [a_file, a_link_to_nowhere])
@pytest.mark.parametrize("words", WITH_RUNS, ids=" ".join)
def test_runs_in_what_is_no_folder_are_refused(
    tmp_path: Path,
    food: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
    words: list[str],
    made: object,
) -> None:
    path = made(tmp_path)  # type: ignore[operator]
    monkeypatch.setenv("SMALL_PLATES_RUNS", str(path))
    assert "SMALL_PLATES_RUNS must name a folder" in refused(capsys, words)


@pytest.mark.parametrize("variable", FOLDERS)
def test_every_variable_is_looked_at_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    for made in (a_file, a_link_to_nowhere):
        monkeypatch.setenv(variable, str(made(tmp_path)))
        with pytest.raises(ConfigError, match=f"{variable} must name a folder"):
            FOLDERS[variable]()
    monkeypatch.setenv(variable, str(tmp_path / "not" / "yet"))
    assert FOLDERS[variable]() == tmp_path / "not" / "yet"
    monkeypatch.setenv(variable, "~/somewhere")
    assert FOLDERS[variable]() == Path.home() / "somewhere"


@pytest.mark.parametrize("words", ["check", "predict x.jpg", "evaluate x"])
def test_checkpoints_in_what_is_no_folder_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture, words: str
) -> None:
    monkeypatch.setenv("SMALL_PLATES_PRETRAINED", str(a_file(tmp_path)))
    assert "SMALL_PLATES_PRETRAINED must name a folder" in refused(capsys, words.split())


def test_a_folder_that_is_not_there_yet_has_no_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setenv("SMALL_PLATES_RUNS", str(tmp_path / "not" / "yet"))
    assert main(["runs"]) == 0
    assert "No runs in" in capsys.readouterr().out
    for path in (tmp_path / "nowhere", a_file(tmp_path)):  # but one that is named should be there
        assert str(path) in refused(capsys, ["runs", "--folder", str(path)])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/sys is Linux's")
@pytest.mark.parametrize("words", WITH_RUNS[3:], ids=" ".join)
def test_runs_that_cannot_be_written_name_their_variable(
    food: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture, words: list[str]
) -> None:
    for folder in (SYSTEM, SYSTEM / "small" / "plates"):
        monkeypatch.setenv("SMALL_PLATES_RUNS", str(folder))
        line = refused(capsys, words)
        assert "SMALL_PLATES_RUNS" in line and str(SYSTEM) in line


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/sys is Linux's")
@pytest.mark.parametrize("variable", FOLDERS)
def test_a_file_that_cannot_be_written_has_its_variable_for_a_remedy(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    for folder in (SYSTEM / "small", SYSTEM / "small" / "plates"):
        monkeypatch.setenv(variable, str(folder))
        with pytest.raises(OSError) as caught:
            write_json(folder / "a" / "b.json", {})
        assert variable in remedy(caught.value.filename)
    assert remedy("/etc/passwd") == remedy(None) == remedy(3) == ""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/sys is Linux's")
def test_a_cache_that_cannot_be_written_names_its_variable(
    food: Path, tiny_checkpoint: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setenv("SMALL_PLATES_CACHE", str(SYSTEM / "cache"))
    assert "SMALL_PLATES_CACHE" in refused(capsys, ["evaluate", tiny_checkpoint])
