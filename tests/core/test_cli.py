"""The command line as its user meets it: real processes and files, what comes out, how it ends."""

import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from core import checkpoints
from core.cli.main import COMMANDS, main
from core.course import CLASSES
from core.data.find import find_food11
from core.data.pixels import load_pixels
from core.models.registry import get
from core.stats import labelled
from tests.conftest import run_python
from tests.food import make_food11
from tests.tiny_network import publish_tiny

REPO = Path(__file__).resolve().parents[2]
ID = "hw13_sample-scratch-s0"
PX = 64


def process(*words: object, text: bool = True, **environment: object) -> "subprocess.Popen[Any]":
    """`python -m core ...` in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "core", *map(str, words)],
        cwd=REPO,
        env=os.environ | {name: str(value) for name, value in environment.items()},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=text,
        # a shell that runs the tests in the background has them deaf to SIGINT
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def core(*words: object, **environment: object) -> subprocess.CompletedProcess[str]:
    """The same in this process: torch takes seconds to import."""
    out, err = io.StringIO(), io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        for name, value in environment.items():
            patch.setenv(name, str(value))
        code = main([*map(str, words)])
    return subprocess.CompletedProcess([*map(str, words)], code, out.getvalue(), err.getvalue())


def answer(*words: object, code: Any = 0, **environment: object) -> Any:
    """The one JSON document of a command: json.loads refuses anything before or after it."""
    done = core(*words, "--json", **environment)
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """The one line a user gets who asked for something impossible."""
    assert done.returncode == 2, (done.returncode, done.stderr)
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1 and "Traceback" not in done.stderr, done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def food(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny copy of Food-11's layout, with one file that is no picture."""
    folder = tmp_path_factory.mktemp("food")
    make_food11(folder, "flat", {"training": 2, "validation": 1, "testing": 1})
    (folder / "training" / "3_99.jpg").write_text("<html>not found</html>")
    return folder


@pytest.fixture(scope="module")
def photo(food: Path) -> Path:
    return next((food / "evaluation").glob("*.jpg"))


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory, food: Path) -> Path:
    """A `pretrained/` with one network, as untrained as it was built, and measured for real."""
    import torch

    folder = tmp_path_factory.mktemp("pretrained")
    torch.manual_seed(0)
    pixels = load_pixels(find_food11(food), PX, progress=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SMALL_PLATES_PRETRAINED", str(folder))
        publish_tiny(
            ID,
            net=get("hw13_sample").build(),
            spec=get("hw13_sample"),
            input_px=PX,
            data=checkpoints.DataInfo.of(pixels),
            validation=labelled(pixels, "validation", PX),
            test=labelled(pixels, "testing", PX),
        )
    return folder


def test_the_overview_names_every_command() -> None:
    out, err = process().communicate(timeout=120)
    assert all(f"\n  {name} " in out for name in COMMANDS), err
    assert core("--help").stdout == out


@pytest.fixture(scope="module")
def helps() -> dict[str, tuple[str, list[str]]]:
    """What each command's `--help` prints, and the heavy modules loaded by then: one process."""
    program = """
import contextlib, io, json, sys
from core.cli.main import COMMANDS, main
printed = {}
for name in COMMANDS:
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):
        main([name, "--help"])
    printed[name] = out.getvalue(), sorted({"torch", "streamlit"} & set(sys.modules))
print(json.dumps(printed))
"""
    printed: dict[str, tuple[str, list[str]]] = json.loads(run_python(program))
    return printed


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_there_and_does_not_wait_for_torch(
    name: str, helps: dict[str, tuple[str, list[str]]]
) -> None:
    printed, heavy = helps[name]
    assert f"usage: python -m core {name}" in printed
    assert not heavy


def test_models_lists_the_homeworks_networks_to_the_digit() -> None:
    rows = {row["key"]: row for row in answer("models")["models"]}
    published = {
        "resnet18": (11_182_155, 128),
        "plain_2m": (2_168_203, 128),
        "dwpw_256k": (256_779, 128),
        "plain_275k": (275_211, 128),
        "group8_277k": (277_195, 128),
        "hw13_sample": (87_907, 224),
        "hw13_residual": (96_587, 224),
    }
    assert {key: rows[key]["params"] for key in published} == {
        key: params for key, (params, _px) in published.items()
    }
    for key, (params, px) in published.items():
        assert rows[key]["input"] == [3, px, px]
        assert rows[key]["size_bytes"] >= 4 * params and rows[key]["macs"] > params
    assert rows["resnet18"]["family"] == rows["efficientnet_lite0"]["family"] == "teacher"
    assert rows["dwpw_256k"]["family"] == "student"


def test_summary_is_torchsummarys_table() -> None:
    done = core("summary", "hw13_sample")
    assert done.returncode == 0, done.stderr
    assert "Total params: 87,907\n" in done.stdout
    assert "Params size (MB): 0.34\n" in done.stdout
    document = answer("summary", "hw13_sample", "--input-px", 64)
    # Conv2d(3, 32, 3) without padding on 64 x 64: 62 x 62 outputs of 32 channels, 27 products each
    first = document["layers"][0]
    assert (first["params"], first["macs"]) == (32 * 27 + 32, 62 * 62 * 32 * 27)
    assert (document["params"], document["input"]) == (87_907, [3, 64, 64])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["modls"], "Did you mean models?"),
        (["models", "--jsn"], "Did you mean --json?"),
        (["summary"], "KEY"),
        (["summary", "resnet19"], "dwpw_256k"),
        (["summary", "hw13_sample", "--input-px", "9"], "9 pixels"),
        (["summary", "hw13_sample", "--input-px", "0"], "1,024"),
        (["evaluate", "no-such-s0"], "no-such-s0"),
        (["evaluate", ID, "--split", "tomorrow"], "'tomorrow'"),
        (["evaluate", ID], "FOOD11_ROOT"),
        (["predict"], "at least one photo"),
        (["predict", "x.jpg", "--checkpoints", f"{ID},other-s1"], "other-s1"),
        (["data", "--root", "/nowhere"], "nowhere"),
        (["train", "--alpha", "1.5"], "--alpha 1.5"),
        (["train", "--start-px", "9"], "start_px must be"),
        (["train", "--model", "resnet19"], "resnet19"),
        (["train", "--device", "abacus"], "abacus"),
        (["reproduce", "--only", "nothing-like-this"], "nothing-like-this"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_gets_one_line_and_exit_code_2(
    arguments: list[str],
    says: str,
    shelf: Path,
    food: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("core.paths.REPO", tmp_path)  # no data/food11 of the machine's
    folders = {"SMALL_PLATES_PRETRAINED": shelf}
    folders |= {"FOOD11_ROOT": food} if arguments[0] == "train" else {}
    assert says in refused(core(*arguments, **folders))


def test_predict_answers_the_good_photos_and_names_the_bad(
    shelf: Path, photo: Path, tmp_path: Path
) -> None:
    bad, empty = tmp_path / "lunch.jpg", tmp_path / "empty.png"
    bad.write_text("<html>not found</html>")
    empty.touch()
    photo_twice, missing = tmp_path / "línea\nnueva.jpg", tmp_path / "nowhere.jpg"
    photo_twice.write_bytes(photo.read_bytes())
    photos = (bad, photo, empty, missing, photo_twice)
    document = answer("predict", *photos, code=2, SMALL_PLATES_PRETRAINED=shelf)
    assert set(document) == {"predictions", "errors"}
    assert [error["file"] for error in document["errors"]] == [str(bad), str(empty), str(missing)]
    assert all(
        set(error) == {"file", "message"} and error["message"] for error in document["errors"]
    )
    assert [row["file"] for row in document["predictions"]] == [str(photo), str(photo_twice)]
    for row in document["predictions"]:
        assert set(row) == {
            "file", "checkpoint", "top", "probabilities", "score", "unsure", "latency_ms",
        }  # fmt: skip
        assert row["score"] is row["unsure"] is None  # nobody has measured this network's limit
        assert row["checkpoint"] == ID and row["latency_ms"] > 0
        chances = row["probabilities"]
        assert tuple(chances) == CLASSES and sum(chances.values()) == pytest.approx(1, abs=1e-6)
        assert row["top"] == max(chances, key=chances.__getitem__)
    first, second = (row["probabilities"] for row in document["predictions"])
    assert first == second  # the same bytes under another name


def test_predict_says_what_the_network_itself_says(
    shelf: Path, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against torch, and a square cut and scaled by hand."""
    import torch

    monkeypatch.setenv("SMALL_PLATES_PRETRAINED", str(shelf))
    image = Image.open(photo).convert("RGB")
    side, stored = min(image.size), round(PX / 0.875)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = image.crop((left, top, left + side, top + side)).resize((stored, stored), 3)
    edge = (stored - PX) // 2
    pixels = np.asarray(square).transpose(2, 0, 1)[:, edge : edge + PX, edge : edge + PX]
    spec = get("hw13_sample")
    with torch.inference_mode():
        batch = spec.normalize(torch.from_numpy(pixels[None].copy()))
        expected = torch.softmax(checkpoints.load_model(ID)(batch)[0].double(), 0).numpy()
    (row,) = answer("predict", photo, "--checkpoints", ID)["predictions"]
    assert list(row["probabilities"].values()) == pytest.approx(expected, abs=1e-4)


def test_explain_gives_a_map_whose_mean_is_the_logit(
    shelf: Path, photo: Path, tmp_path: Path
) -> None:
    bad, place = tmp_path / "lunch.jpg", {"SMALL_PLATES_PRETRAINED": shelf}
    bad.write_text("<html>not found</html>")
    document = answer("explain", bad, photo, code=2, **place)
    assert [error["file"] for error in document["errors"]] == [str(bad)]
    (row,) = document["explanations"]
    (own,) = answer("predict", photo, **place)["predictions"]
    assert (row["file"], row["checkpoint"], row["class"]) == (str(photo), ID, own["top"])
    bread = answer("explain", photo, "--class", "bread", **place)["explanations"][0]
    assert bread["class"] == "Bread" and np.shape(bread["map"]) == np.shape(row["map"])
    gap, chances = np.mean(row["map"]) - np.mean(bread["map"]), own["probabilities"]
    assert gap == pytest.approx(np.log(chances[own["top"]] / chances["Bread"]), abs=1e-3)
    assert "Bread" in refused(core("explain", photo, "--class", "Stone", **place))


def test_predict_for_a_reader_is_a_table(shelf: Path, photo: Path, tmp_path: Path) -> None:
    done = core("predict", photo, "no-such.jpg", SMALL_PLATES_PRETRAINED=shelf)
    assert done.returncode == 2
    assert ID in done.stdout and "no-such.jpg" in done.stderr and done.stderr.count("\n") == 1
    assert "reproduce" in refused(core("predict", photo, SMALL_PLATES_PRETRAINED=tmp_path))


def test_serving_commands_never_import_torch(shelf: Path, food: Path, photo: Path) -> None:
    program = f"""
import sys
from core.cli.main import main
assert main(["predict", {str(photo)!r}, "--json"]) == 0
assert main(["evaluate", {ID!r}]) == 0
assert main(["check"]) == 0
assert main(["data"]) == 0
assert not {{"torch", "streamlit"}} & set(sys.modules)
"""
    run_python(program, SMALL_PLATES_PRETRAINED=shelf, FOOD11_ROOT=food)


def test_evaluate_counts_the_right_answers(shelf: Path, food: Path) -> None:
    document = answer("evaluate", ID, SMALL_PLATES_PRETRAINED=shelf, FOOD11_ROOT=food)
    stated = json.loads((shelf / "manifest.json").read_text())["checkpoints"][ID]["test"]
    assert (document["checkpoint"], document["split"], document["n"]) == (ID, "testing", 11)
    assert document["correct"] == stated["correct"]
    assert document["accuracy"] == pytest.approx(document["correct"] / 11)
    low, high = document["ci95"]
    assert 0 <= low <= document["accuracy"] <= high <= 1


def test_check_says_yes_and_says_no(shelf: Path, food: Path, tmp_path: Path) -> None:
    document = answer("check", SMALL_PLATES_PRETRAINED=shelf, FOOD11_ROOT=food)
    assert document["ok"] is True
    assert [(row["checkpoint"], row["ok"]) for row in document["checkpoints"]] == [(ID, True)]
    broken = tmp_path / "pretrained"
    (broken / ID).mkdir(parents=True)
    (broken / "manifest.json").write_bytes((shelf / "manifest.json").read_bytes())
    for file in (shelf / ID).iterdir():
        content = bytearray(file.read_bytes())
        content[-1] ^= file.name == "weights.safetensors"  # one bit
        (broken / ID / file.name).write_bytes(content)
    document = answer("check", code=1, SMALL_PLATES_PRETRAINED=broken, FOOD11_ROOT=food)
    assert document["ok"] is False and document["checkpoints"][0]["problems"]
    assert "NOT OK" in core("check", SMALL_PLATES_PRETRAINED=broken).stdout


def test_data_reports_counts_and_the_unreadable(food: Path) -> None:
    document = answer("data", FOOD11_ROOT=food)
    assert document["classes"] == list(CLASSES)
    assert document["splits"]["testing"] == {"n": 11, "per_class": [1] * 11, "unlabelled": 0}
    assert document["splits"]["training"]["per_class"] == [2, 2, 2, 3, 2, 2, 2, 2, 2, 2, 2]
    assert [row["file"] for row in document["unreadable"]] == ["training/3_99.jpg"]
    assert "3_99.jpg" in core("data", "--root", food).stdout
    assert answer("data", "--root", food, "--names-only")["unreadable"] is None


TINY = ("--model", "hw13_sample", "--px", 64, "--batch-size", 8, "--warmup-epochs", 0)
TINY_RUN = (*TINY, "--precision", "float32", "--augment", "none")


def test_train_then_runs(food: Path, tmp_path: Path) -> None:
    folders = {"FOOD11_ROOT": food, "SMALL_PLATES_RUNS": tmp_path}
    assert answer("runs", **folders) == {"runs": []}
    done = core("train", *TINY_RUN, "--epochs", 2, "--json", **folders)
    document = json.loads(done.stdout)
    assert (document["epochs"], document["validation"]["n"]) == (2, 11)
    assert "epoch 2/2" in done.stderr
    (row,) = answer("runs", **folders)["runs"]
    assert (row["folder"], row["status"], row["epochs_done"]) == (
        document["folder"], "finished", 2,
    )  # fmt: skip
    assert row["val_accuracy"] == pytest.approx(document["validation"]["correct"] / 11)
    assert "finished" in core("runs", **folders).stdout


def test_the_time_left_is_told_once_the_first_steps_are_timed(
    food: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.training.runs.EVERY_S", 0.0)
    done = core("train", *TINY_RUN, "--epochs", 2, "--folder", tmp_path / "run", FOOD11_ROOT=food)
    assert done.returncode == 0
    first, *epochs = (line for line in done.stderr.splitlines() if "min left" in line)
    assert re.fullmatch(r"about \d+ min left", first)
    assert [line.split(",")[0] for line in epochs] == ["epoch 1/2", "epoch 2/2"]
    assert all(re.search(r", about \d+ min left$", line) for line in epochs)


def test_reproduce_lists_what_is_missing(shelf: Path) -> None:
    here = {"SMALL_PLATES_PRETRAINED": shelf}
    rows = answer("reproduce", "--list", **here)["trainings"]
    assert {"efficientnet_lite0-imagenet-s0", "dwpw_256k-distilled-s0"} <= {
        row["checkpoint"] for row in rows
    }
    assert all(row["state"] == "missing" for row in rows)
    only = ("--only", rows[0]["checkpoint"])
    named = answer("reproduce", "--list", *only, **here)["trainings"]
    assert named[0] == rows[0]
    assert {row["checkpoint"] for row in named} == {rows[0]["checkpoint"], "all"}


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for another process")
def test_an_interrupted_training_says_so_and_goes_on(food: Path, tmp_path: Path) -> None:
    command = ["train", *TINY_RUN, "--epochs", 120, "--folder", tmp_path / "run"]
    with process(*command, FOOD11_ROOT=food) as training:
        assert training.stderr
        for line in training.stderr:
            if line.startswith("epoch 3/"):
                training.send_signal(signal.SIGINT)
                break
        rest = training.stderr.read()
        assert training.wait(60) == 130
    assert rest.splitlines()[-1] == "Stopped." and "Traceback" not in rest
    done = core(*command, FOOD11_ROOT=food)
    assert done.returncode == 0 and "epoch 120/120" in done.stderr and "epoch 1/" not in done.stderr


@pytest.mark.parametrize("words", [["models", "--help"], ["check", "--json"]])
def test_the_reader_of_a_pipe_may_leave(shelf: Path, words: list[str]) -> None:
    with process(*words, text=False, SMALL_PLATES_PRETRAINED=shelf) as command:
        assert command.stdout and command.stderr
        command.stdout.close()
        err = command.stderr.read().decode()
        assert command.wait(60) == 141
    assert "Broken" not in err and "Traceback" not in err
