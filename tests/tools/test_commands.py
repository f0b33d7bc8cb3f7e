"""`python -m tools`: every command is there, explains itself, and hands on what it was given."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from core.cli.main import COMMANDS as OF_THE_APP
from core.cli.main import main
from core.paths import REPO
from tests.dreamers import fill_dreams
from tests.food import food_picture
from tools.__main__ import COMMANDS


def answer(capture: pytest.CaptureFixture[str], *arguments: object) -> Any:
    """The one JSON document of a command."""
    capture.readouterr()
    assert main([*map(str, arguments), "--json"], COMMANDS, "python -m tools") == 0
    return json.loads(capture.readouterr().out)


def test_the_overview_names_every_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tools", "--help"], cwd=REPO, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: python -m tools COMMAND")
    assert all(f"\n  {name} " in done.stdout for name in COMMANDS)
    assert not set(COMMANDS) & set(OF_THE_APP)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_says_how_it_is_called(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([name, "--help"], COMMANDS, "python -m tools")
    assert not stop.value.code and f"usage: python -m tools {name}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["tabels"], "There is no command 'tabels'. Did you mean tables?"),
        (["check"], "Commands: bench, distinct, dreams, film, tables, words."),
        (["tables", "--chekc"], "See: python -m tools tables --help"),
        (["bench", "photo", "--repeats", "0"], "At least 1 round."),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments, COMMANDS, "python -m tools") == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and says in err


def test_bench_photo_times_every_step(
    tiny_checkpoint: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    photo = tmp_path / "lunch.jpg"
    food_picture(3, 0, (400, 300)).save(photo)
    told = answer(capfd, "bench", "photo", "--photo", photo, "--repeats", 2)
    assert (told["checkpoints"], told["bytes"]) == ([tiny_checkpoint], photo.stat().st_size)
    steps = told["steps"]
    assert set(steps) == {"read", "answer", "compare"}
    assert all(step["n"] == 2 and step["median_ms"] > 0 for step in steps.values())


def test_dreams_are_listed(pretrained: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["dreams", "--list"], COMMANDS) == 2
    assert "python -m tools dreams" in capfd.readouterr().err
    fill_dreams()
    told = answer(capfd, "dreams", "--list")
    assert [one["px"] for one in told["sets"]] == [128, 64]
    assert main(["dreams", "--list"], COMMANDS) == 0
    assert "generated picture" in capfd.readouterr().out
