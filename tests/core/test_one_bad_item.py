"""One item that cannot be read is named in a line; the others are listed all the same."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from core import checkpoints
from core.cli import serve
from core.cli.main import main
from core.errors import ConfigError
from core.training.config import TrainConfig
from core.training.queue.line import JobQueue, JobSettings, Store
from core.training.runs import RunFolder
from tests.core.training.queue.queueing import FINGERPRINT, config, script
from tests.food import make_food11

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "runs"
    folder.mkdir()
    monkeypatch.setenv("SMALL_PLATES_RUNS", str(folder))
    return folder


def a_run(runs: Path, name: str, **files: str | bytes) -> Path:
    """A run folder of one epoch; `files` instead of its own, by their first word."""
    folder = runs / name
    folder.mkdir()
    said = {"config": TrainConfig().model_dump(), "began": "2027-01-01T00:00:00Z"}
    content: dict[str, str | bytes] = {
        "run.json": json.dumps(said),
        "metrics.jsonl": json.dumps({"epoch": 1, "val_accuracy": 0.5}) + "\n",
    }
    content |= {name.replace("_", "."): text for name, text in files.items()}
    for file, text in content.items():
        data = text if isinstance(text, bytes) else text.encode()
        (folder / file).write_bytes(data)
    return folder


def told(capture: Capture, *words: str, code: int = 0) -> Any:
    """The JSON document of a command, and what it says beside it."""
    capture.readouterr()
    assert main([*words, "--json"]) == code
    out, err = capture.readouterr()
    return json.loads(out), err


CUT: dict[str, str | bytes] = {
    "empty": "",
    "cut": '{"config": {"model": "dw',
    "a list": "[1, 2, 3]",
    "null": "null",
    "a number": "5",
    "no UTF-8": b'{"config": {"data": "\xff"}}',
    "nested for ever": "[" * 100_000,
    "settings are a list": '{"config": [1]}',
}


@pytest.mark.parametrize("text", CUT.values(), ids=CUT)
def test_a_run_that_cannot_be_read_hides_no_other(
    runs: Path, capsys: Capture, text: str | bytes
) -> None:
    a_run(runs, "good")
    bad = a_run(runs, "bad", run_json=text)
    a_run(runs, "also-good")
    found, err = told(capsys, "runs")
    assert {row["run"] for row in found["runs"]} == {"good", "also-good"}
    (error,) = found["errors"]
    assert error["folder"] == str(bad) and error["message"]
    assert err.count("\n") == 1 and str(bad) in err and "Traceback" not in err
    assert main(["runs"]) == 0
    out, err = capsys.readouterr()
    assert "also-good" in out and str(bad) in err and err.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "epochs"),
    [
        ('{"epoch": 1, "val_accuracy": 0.25}\n{"epoch": 2, "val_acc', 1),
        ('{"epoch": 1, "val_accuracy": 0.25}\n5\n', 1),
        ('{"epoch": 1, "val_accuracy": 0.25}\n{"epoch": 2}\n', 1),
        ('{"epoch": 1, "val_accuracy": 0.25}\n{"epoch": 2, "val_accuracy": null}\n', 1),
        (b"\xff\xfe\n", 0),
        ("[]", 0),
    ],
)
def test_metrics_that_are_cut_short_are_read_up_to_there(
    runs: Path, capsys: Capture, text: str | bytes, epochs: int
) -> None:
    a_run(runs, "cut", metrics_jsonl=text)
    (row,) = told(capsys, "runs")[0]["runs"]
    assert row["epochs_done"] == epochs


def test_a_result_that_cannot_be_read_is_said(runs: Path) -> None:
    for text in ("{", "[]", ""):
        run = RunFolder(a_run(runs, f"run{len(text)}", result_json=text))
        with pytest.raises(ConfigError, match=r"result\.json cannot be read"):
            run.result()


def test_a_training_of_another_version_hides_no_other(runs: Path, capsys: Capture) -> None:
    one = JobQueue(runs, JobSettings(("",), 1, 4, 60), script)
    ids = [one.ask(config(seed), "v", FINGERPRINT).id for seed in (0, 1, 2)]
    for id, text in zip(ids[1:], ('{"model": 5', '{"model": "soup"}'), strict=True):
        one.stop(id, "v")
        with Store(runs).change() as change:
            change.set(id, config=text)
    assert [job.id for job in one.jobs("v")] == ids[:1]
    assert sorted(one.unreadable("v")) == sorted(ids[1:])
    assert one.unreadable("somebody else") == []
    found, err = told(capsys, "jobs")
    assert [row["job"] for row in found["jobs"]] == ids[:1]
    assert {error["job"] for error in found["errors"]} == set(ids[1:])
    assert err.count("\n") == 1 and all(id in err for id in ids[1:])
    for id in ids:
        one.delete(id, None)
    assert one.unreadable(None) == []


@pytest.fixture
def three(tiny_checkpoint: str, pretrained: Path, runs: Path) -> list[str]:
    """Three checkpoints: sound, with a damaged file, with an entry that cannot be read."""
    entry, files = checkpoints.read_files(tiny_checkpoint)
    for id in ("tiny-scratch-s1", "tiny-scratch-s2"):
        checkpoints.store(entry.model_copy(update={"id": id}), files)
    (pretrained / "tiny-scratch-s1" / checkpoints.WEIGHTS).write_bytes(b"cut")
    path = pretrained / "manifest.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["checkpoints"]["tiny-scratch-s2"]["params"] = "many"
    path.write_text(json.dumps(content), encoding="utf-8")
    return [tiny_checkpoint, "tiny-scratch-s1", "tiny-scratch-s2"]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("food")
    make_food11(folder, "flat", {"training": 1, "validation": 1, "testing": 1})
    return folder / "evaluation"


def test_predict_asks_those_that_are_sound(three: list[str], photos: Path, capsys: Capture) -> None:
    photo = str(next(photos.iterdir()))
    found, err = told(capsys, "predict", photo, code=2)
    assert [row["checkpoint"] for row in found["predictions"]] == three[:1]
    assert [error["checkpoint"] for error in found["errors"]] == three[1:]
    assert err.count("\n") == 2 and "SHA-256" in err
    found, _err = told(capsys, "predict", photo, "--checkpoints", ",".join(three[:2]), code=2)
    assert [row["checkpoint"] for row in found["predictions"]] == three[:1]
    assert main(["predict", photo, "--checkpoints", three[1]]) == 2
    assert "SHA-256" in capsys.readouterr().err


def test_check_says_no_to_the_bad_and_proves_the_others(
    three: list[str], capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOOD11_ROOT", "/nowhere")
    found, _err = told(capsys, "check", code=1)
    assert {row["checkpoint"]: row["ok"] for row in found["checkpoints"]} == {
        three[0]: True,
        three[1]: False,
        three[2]: False,
    }
    assert (
        "params" in next(row for row in found["checkpoints"] if row["test"] is None)["problems"][0]
    )
    assert main(["check"]) == 1
    assert "1 of 3 checkpoints" in capsys.readouterr().out


def test_check_proves_only_what_it_is_asked_for(
    three: list[str], capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOOD11_ROOT", "/nowhere")
    found, _err = told(capsys, "check", three[0])
    assert [row["checkpoint"] for row in found["checkpoints"]] == three[:1]
    found, _err = told(capsys, "check", three[1], three[0], three[1], code=1)
    assert [row["checkpoint"] for row in found["checkpoints"]] == [three[1], three[0]]
    entry, files = checkpoints.read_files(three[0])
    checkpoints.store(entry.model_copy(update={"id": "mine-s0"}), files, checkpoints.own_dir())
    assert told(capsys, "check", "mine-s0")[0]["ok"] is True
    for unknown in ("soup-s0", three[2]):
        assert main(["check", three[0], unknown]) == 2
        out, err = capsys.readouterr()
        assert out == "" and err.count("\n") == 1 and unknown in err


def test_predict_answers_for_every_photo_of_a_folder(
    tiny_checkpoint: str, photos: Path, tmp_path: Path, capsys: Capture
) -> None:
    folder = tmp_path / "lunch 午餐"
    (folder / "more").mkdir(parents=True)
    source = next(photos.iterdir())
    for name in ("b.jpg", "A.JPG", "c.jpeg", ".hidden.jpg", "more/d.jpg"):
        shutil.copy(source, folder / name)
    (folder / "notes.txt").write_text("no photo", encoding="utf-8")
    (folder / "e.png").write_text("no photo", encoding="utf-8")
    single = str(source)
    found, err = told(capsys, "predict", str(folder), single, code=2)
    names = [row["file"] for row in found["predictions"]]
    assert names == [*(str(folder / name) for name in ("A.JPG", "b.jpg", "c.jpeg")), single]
    assert [error["file"] for error in found["errors"]] == [str(folder / "e.png")]
    (folder / "e.png").unlink()
    assert len(told(capsys, "predict", str(folder))[0]["predictions"]) == 3


def test_predict_says_what_it_leaves_out_of_a_folder(
    tiny_checkpoint: str,
    photos: Path,
    tmp_path: Path,
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(serve, "MOST_OF_A_FOLDER", 2)
    for n in range(5):
        shutil.copy(next(photos.iterdir()), tmp_path / f"{n}.jpg")
    found, err = told(capsys, "predict", str(tmp_path), code=2)
    assert [Path(row["file"]).name for row in found["predictions"]] == ["0.jpg", "1.jpg"]
    assert "3 more photos" in err and "at most 2" in err and err.count("\n") == 1
