"""`data` on the command line: what it says and refuses."""

import json
from pathlib import Path

import pytest

from core import paths
from core.cli.main import main
from tests.tools.test_distinct import photographs


def test_labels_from_1_are_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(1, 12):
        folder = tmp_path / "training" / f"{number:02}"
        folder.mkdir(parents=True)
        (folder / "photo.jpg").write_bytes(b"x")
    assert main(["data", "--root", str(tmp_path)]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and "1 to 11" in err and "0 (Bread) to 10" in err


def test_fetched_photographs_are_called_what_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(paths, "REPO", tmp_path)
    folder = photographs(tmp_path / "data" / "food11", 1, "kaggle")
    capsys.readouterr()
    assert main(["data", "fetch", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "root": str(folder.resolve()),
        "name": "44 photographs in Food-11's layout (not Food-11)",
    }
