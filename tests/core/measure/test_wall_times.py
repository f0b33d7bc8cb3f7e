"""Times of making are kept per result, added up over sittings, and never a part for the whole."""

import time
from pathlib import Path

import pytest

from core.errors import CheckpointError
from core.measure.wall_times import load_wall_times, timed, wall_times_path


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of results of a `pretrained` of this test's own, with one from before."""
    monkeypatch.setenv("SMALL_PLATES_PRETRAINED", str(tmp_path))
    folder = tmp_path / "results"
    folder.mkdir()
    (folder / "shipping-old.json").write_text("{}")
    return folder


def make(results: Path, name: str, content: str, step: str = "shipping", **how: bool) -> float:
    """Write a result inside `timed`; returns the seconds that this took at least."""
    began = time.perf_counter()
    with timed(step, **how):
        time.sleep(0.11)
        (results / f"{name}.json").write_text(content)
        return time.perf_counter() - began


def test_sittings_add_up_and_a_new_beginning_forgets(results: Path) -> None:
    assert load_wall_times() == {}
    first = make(results, "shipping-new", "1", afresh=True)
    assert load_wall_times() == {"shipping-new.json": pytest.approx(first, abs=0.1)}
    second = make(results, "shipping-new", "12", afresh=False)
    assert load_wall_times()["shipping-new.json"] == pytest.approx(first + second, abs=0.15)
    again = make(results, "shipping-new", "123", afresh=True)
    assert load_wall_times() == {"shipping-new.json": pytest.approx(again, abs=0.1)}


def test_what_was_begun_untimed_stays_untimed(results: Path) -> None:
    make(results, "shipping-old", "more", afresh=False)
    assert load_wall_times() == {}


def test_only_this_steps_files_count(results: Path) -> None:
    with timed("shipping", afresh=True):
        (results / "latency.json").write_text("{}")  # another process
    assert load_wall_times() == {}


def test_what_was_written_before_an_error_is_timed(results: Path) -> None:
    with pytest.raises(KeyboardInterrupt), timed("shipping", afresh=True):
        (results / "shipping-half.json").write_text("{}")
        raise KeyboardInterrupt
    assert "shipping-half.json" in load_wall_times()


@pytest.mark.parametrize("content", ["[", "[1]", '{"a": "soon"}', '{"a": -1}', '{"a": NaN}'])
def test_a_damaged_file_is_said(results: Path, content: str) -> None:
    wall_times_path().write_text(content)
    with (
        pytest.raises(CheckpointError, match="wall_times"),
        timed("shipping", afresh=True),
    ):
        pytest.fail("the work began")
