"""`jobs` at the command line: the same queue as the app's, seen by whoever runs the machine."""

import json
from pathlib import Path

import pytest

from core.cli.main import main
from core.training.queue.line import JobQueue, JobSettings
from tests.core.training.queue.queueing import FINGERPRINT, config, script


def told(capture: pytest.CaptureFixture[str], *words: str) -> list[dict[str, object]]:
    capture.readouterr()
    assert main(["jobs", *words, "--json"]) == 0
    rows: list[dict[str, object]] = json.loads(capture.readouterr().out)["jobs"]
    return rows


def test_whoever_runs_the_machine_may_stop_and_delete_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SMALL_PLATES_RUNS", str(tmp_path))
    assert told(capsys) == []
    one = JobQueue(tmp_path, JobSettings(threads=1), script)
    id = one.ask(config(), "a visitor", FINGERPRINT).id
    (row,) = told(capsys)
    assert (row["job"], row["state"], row["epochs"]) == (id, "running", 3)
    (row,) = told(capsys, "stop", id)
    assert row["state"] == "stopped" and row["wanted_by"] == 0
    assert told(capsys, "delete", id) == [] and not (tmp_path / id).exists()


@pytest.mark.parametrize("words", [("stop",), ("resume", "soup"), ("delete", "../..")])
def test_a_job_that_is_not_there_is_said(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
) -> None:
    monkeypatch.setenv("SMALL_PLATES_RUNS", str(tmp_path))
    assert main(["jobs", *words]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("value", ["0", "-1", "many", "1.5"])
def test_a_setting_that_is_no_number_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], value: str
) -> None:
    monkeypatch.setenv("SMALL_PLATES_JOBS_PER_VISITOR", value)
    assert main(["jobs"]) == 2
    assert "SMALL_PLATES_JOBS_PER_VISITOR" in capsys.readouterr().err
    monkeypatch.setenv("SMALL_PLATES_JOBS_PER_VISITOR", "3")
    monkeypatch.setenv("SMALL_PLATES_DEVICES", "cuda:0, cuda:1")
    settings = JobSettings.from_environment()
    assert (settings.per_visitor, settings.devices) == (3, ("cuda:0", "cuda:1"))
