"""Rows of a checkpoint as pages read them: parsed once, and never those of other weights."""

import os
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from core.errors import CheckpointError
from core.results import AccuracyRow, CheckpointRows, ResultFile
from core.stats import Score, wilson
from core.timing import Spread

SHA = "a" * 64


class Row(AccuracyRow):
    ratio: float

    @property
    def key(self) -> float:
        return self.ratio


class Made(CheckpointRows[Row]):
    kind = "made"
    command = "make {name}"


@pytest.fixture(autouse=True)
def pretrained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SMALL_PLATES_PRETRAINED", str(tmp_path))
    return tmp_path


def checkpoint(sha256: str = SHA, id: str = "tiny-scratch-s0") -> Any:
    return SimpleNamespace(id=id, weights_sha256=sha256)


def measured(correct: int = 30) -> Made:
    made = Made(checkpoint="tiny-scratch-s0", weights_sha256=SHA, data="", fingerprint="",
                device="", versions={}, commit="", date="")  # fmt: skip
    return made.keep([Row(ratio=0.5, n=100, correct=correct)])


def test_a_file_is_parsed_once_until_it_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    measured()
    first = Made.of_checkpoint(checkpoint())
    assert first is not None and first.rows[0].correct == 30
    monkeypatch.setattr(Made, "load", lambda name: pytest.fail("parsed again"))
    assert Made.of_checkpoint(checkpoint()) is first


def test_any_file_is_parsed_once_until_it_changes(
    monkeypatch: pytest.MonkeyPatch, pretrained: Path
) -> None:
    class Table(ResultFile):
        kind = "table"
        command = "make"
        rows: tuple[int, ...] = ()

    assert Table.now() is None
    Table(rows=(1,)).save()
    first = Table.now()
    assert first is not None and first.rows == (1,) and Table.now() is first
    Table(rows=(2,)).save()  # as long, and maybe within the same tick of the clock
    again = Table.now()
    assert again is not None and again.rows == (2,)
    Table.path().write_text("{", encoding="utf-8")
    for _ask in range(2):
        with pytest.raises(CheckpointError):
            Table.now()
    Table.path().unlink()
    assert Table.now() is None


def test_names_are_those_of_the_files(
    pretrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMALL_PLATES_RUNS", str(tmp_path / "runs"))
    assert Made.names() == set()
    measured()
    own = tmp_path / "runs" / "checkpoints"
    (own / "own-run").mkdir(parents=True)
    file = Made.path("own-run")
    assert own in file.parents
    file.parent.mkdir()
    file.write_text("", encoding="utf-8")
    (file.parent / "else-own-run.json").write_text("", encoding="utf-8")
    assert Made.names() == {"tiny-scratch-s0", "own-run"}


def test_a_file_that_was_measured_again_is_read_again() -> None:
    measured()
    assert Made.of_checkpoint(checkpoint()) is not None
    os.utime(measured(31).path("tiny-scratch-s0"), ns=(1, 1))  # even by an older clock
    again = Made.of_checkpoint(checkpoint())
    assert again is not None and again.rows[0].correct == 31


def test_rows_of_other_weights_are_none() -> None:
    measured()
    assert Made.of_checkpoint(checkpoint("b" * 64)) is None
    assert Made.of_checkpoint(checkpoint()) is not None


@pytest.mark.parametrize("content", ["", "[]", '{"rows": 3}', "\x00"])
def test_a_damaged_file_is_said_every_time_and_mended(content: str) -> None:
    path = measured().path("tiny-scratch-s0")
    whole = path.read_text()
    path.write_text(content)
    for _again in range(2):
        with pytest.raises(CheckpointError, match="make tiny-scratch-s0"):
            Made.of_checkpoint(checkpoint())
    path.write_text(whole)
    assert Made.of_checkpoint(checkpoint()) is not None


def test_a_crowd_parses_a_file_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forty sessions that begin at once: each gets the same object."""
    measured()
    parsed, load, begin = [], Made.load, threading.Barrier(8)

    def counted(name: str = "") -> Any:
        parsed.append(name)
        return load(name)

    monkeypatch.setattr(Made, "load", counted)
    found: list[Any] = []

    def ask() -> None:
        begin.wait()
        found.append(Made.of_checkpoint(checkpoint()))

    crowd = [threading.Thread(target=ask) for _each in range(8)]
    for one in crowd:
        one.start()
    for one in crowd:
        one.join()
    assert len(parsed) == 1 and len({id(one) for one in found}) == 1


def test_an_accuracy_row_has_its_interval_and_its_report() -> None:
    row = Row(ratio=0.5, n=200, correct=150,
              latency={"torch_1": Spread(median=2, p25=1, p75=3, n=9)})  # fmt: skip
    assert row.score == Score(n=200, correct=150, accuracy=0.75, ci95=wilson(150, 200))
    assert row.measured("torch_1") == {
        "latency_ms": {"median": 2, "p25": 1, "p75": 3},
        "n": 200,
        "correct": 150,
        "accuracy": 0.75,
    }
    blind = Row(ratio=0.5)
    assert blind.score is None
    assert set(blind.measured("torch_1").values()) == {None}
