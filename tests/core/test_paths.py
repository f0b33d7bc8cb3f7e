"""JSON files are UTF-8 on every machine, whole or not there, what is no JSON is a ValueError."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from core.paths import read_json, write_json
from core.training.config import TrainConfig
from tests.conftest import run_python

REPO = Path(__file__).resolve().parents[2]
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
"""A machine whose locale knows no letter beyond ASCII, and a Python told to believe it."""


def in_ascii(*arguments: object, **environment: str) -> "subprocess.CompletedProcess[bytes]":
    """`python -m core ...` under an ASCII locale."""
    return subprocess.run(
        [sys.executable, "-m", "core", *map(str, arguments)],
        cwd=REPO,
        env=os.environ | ASCII | environment,
        capture_output=True,
        timeout=120,
    )


def a_run(folder: Path, data: str) -> None:
    folder.mkdir(parents=True)
    said = {"config": TrainConfig(data=data).model_dump(), "began": "2027-01-01T00:00:00Z"}
    text = json.dumps(said, ensure_ascii=False, indent=1)
    (folder / "run.json").write_bytes(text.encode())


def test_a_run_of_any_name_is_listed_under_an_ascii_locale(tmp_path: Path) -> None:
    name = "王小明 Zoë вася 🍜"
    a_run(tmp_path / "some-run", f"/data/{name}/food11")
    done = in_ascii("runs", "--json", SMALL_PLATES_RUNS=str(tmp_path))
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)["runs"]
    assert (row["run"], row["model"]) == ("some-run", "dwpw_256k")
    program = (
        "from pathlib import Path; from core.training.runs import RunFolder;"
        f"assert ascii(RunFolder(Path({str(tmp_path / 'some-run')!r})).config().data)"
        f" == {ascii(ascii(f'/data/{name}/food11'))}"
    )
    run_python(program, **ASCII)


def test_what_is_written_under_an_ascii_locale_is_utf_8(tmp_path: Path) -> None:
    program = (
        "from pathlib import Path; from core.paths import read_json, write_json;"
        f"file = Path({str(tmp_path / 'a.json')!r});"
        "write_json(file, {'name': '\\u738b\\u5c0f\\u660e'});"
        "assert read_json(file) == {'name': '\\u738b\\u5c0f\\u660e'}"
    )
    run_python(program, **ASCII)
    assert "王小明".encode() in (tmp_path / "a.json").read_bytes()


@pytest.mark.parametrize(
    "content", [{"a": ["王", 1.5, None]}, [], "\x00\u2028", {"ß": {"🍜": True}}]
)
def test_what_is_written_is_read(tmp_path: Path, content: Any) -> None:
    write_json(tmp_path / "a.json", content)
    assert read_json(tmp_path / "a.json") == content
    (tmp_path / "b.json").write_bytes(b"\xef\xbb\xbf" + (tmp_path / "a.json").read_bytes())
    assert read_json(tmp_path / "b.json") == content  # an editor's byte order mark


def test_a_file_name_that_is_no_utf_8_survives(tmp_path: Path) -> None:
    name = os.fsdecode(b"lunch-\xff.jpg") if os.name == "posix" else "lunch-\udcff.jpg"
    write_json(tmp_path / "a.json", {"file": name})
    (tmp_path / "a.json").read_bytes().decode("utf-8")
    assert read_json(tmp_path / "a.json") == {"file": name}


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"\xff\xfe{\x00}\x00", b'{"a": "\xe7"}', b"[" * 200_000, b"\x00", b"9" * 5000],
    ids=["empty", "cut", "UTF-16", "Latin-1", "deep", "zeros", "a number without end"],
)
def test_what_is_no_json_is_a_value_error(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.json").write_bytes(data)
    with pytest.raises(ValueError):
        read_json(tmp_path / "a.json")


def test_no_number_is_refused_and_the_old_file_kept(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", 1)
    with pytest.raises(ValueError):
        write_json(tmp_path / "a.json", float("nan"))
    assert read_json(tmp_path / "a.json") == 1 and len(list(tmp_path.iterdir())) == 1
