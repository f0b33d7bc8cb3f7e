"""A student of one's own, the whole way: trained, cut, written in 8 bits, factored, shipped.

Everything is asked through the command line, on made pictures that the student really learns; every
figure is held against something else: the downloaded PyTorch source, tensors counted in the files,
torch's own answers.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
import safetensors.numpy
import torch

from core import checkpoints
from core.cli.main import main
from core.data.find import find_food11
from core.data.pixels import load_pixels
from core.models import registry
from core.models.design.source import pytorch_source
from core.models.design.spec import read
from core.quantization.hw7 import decode8
from core.stats import labelled
from tests.food import make_food11

pytestmark = pytest.mark.slow

PX = 32
LINE = "px32-hardswish-stem8n-inv8t2d-sep16-basic16-group16g4p-bottle4x2-plain24"
"""Every kind of block but ResNet's own, both ways of halving, an activation of its own."""
COUNTS = {"training": 16, "validation": 4, "testing": 6}
CHANCE = 1 / 11

Ask = Any


def settle(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Runs, cache, checkpoints and photographs in a folder of this file's own."""
    for name in ("RUNS", "CACHE", "PRETRAINED"):
        patch.setenv(f"SMALL_PLATES_{name}", str(folder / name.lower()))
    patch.setenv("FOOD11_ROOT", str(folder / "food"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """That folder, and the id of the design that was trained in it."""
    folder = tmp_path_factory.mktemp("designed")
    make_food11(folder / "food", per_class=COUNTS)
    with pytest.MonkeyPatch.context() as patch:
        settle(folder, patch)
        settings = "--epochs 12 --warmup-epochs 1 --batch-size 22 --augment none --lr 0.01"
        command = ["train", "--model", f"design:{LINE}", "--px", str(PX), "--publish"]
        assert main([*command, *settings.split(), "--precision", "float32"]) == 0
        (id,) = checkpoints.load_manifest(checkpoints.own_dir())
    return folder, id


@pytest.fixture
def student(trained: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> str:
    """The id of the trained design."""
    folder, id = trained
    settle(folder, monkeypatch)
    return id


@pytest.fixture
def ask(student: str, capsys: pytest.CaptureFixture[str]) -> Ask:
    """`python -m core <words> --json` about the student, as a document."""
    capsys.readouterr()

    def run(command: str, *words: str) -> Any:
        assert main([command, student, *words, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    return run


def photographs() -> tuple[torch.Tensor, np.ndarray]:
    """The test split, normalised as the registry's docstring says, and its classes."""
    pictures = labelled(load_pixels(find_food11(), PX), "testing", PX)
    mean, std = (torch.tensor(v)[:, None, None] for v in (registry.IMAGENET_MEAN,
                                                          registry.IMAGENET_STD))  # fmt: skip
    return (torch.tensor(pictures.pixels).float() - mean) / std, pictures.labels


def right(logits: np.ndarray) -> int:
    return int((logits.argmax(1) == photographs()[1]).sum())


def answers(net: torch.nn.Module) -> np.ndarray:
    with torch.inference_mode():
        found: np.ndarray = net.eval()(photographs()[0]).numpy()
    return found


def counted(id: str) -> int:
    """Parameters in the weights file: every tensor but BatchNorm's running figures."""
    tensors = safetensors.numpy.load(
        checkpoints.read_files(id, checkpoints.WEIGHTS)[1].popitem()[1]
    )
    running = ("running_mean", "running_var", "num_batches_tracked")
    return sum(tensor.size for name, tensor in tensors.items() if not name.endswith(running))


def from_source(student: str) -> torch.nn.Module:
    """The network that the downloaded PyTorch source builds, with the published weights."""
    scope: dict[str, Any] = {}
    exec(pytorch_source(read(LINE)), scope)
    net: torch.nn.Module = scope["Student"]()
    net.load_state_dict(checkpoints.load_model(student).state_dict())
    return net


def test_it_has_learned_and_its_downloaded_source_says_the_same(student: str, ask: Ask) -> None:
    one, net = checkpoints.get(student), from_source(student)
    assert one.model == f"design:{LINE}" and one.id.startswith(registry.get(one.model).slug)
    assert one.params == sum(p.numel() for p in net.parameters()) == counted(student)
    assert one.test is not None and one.test.n == 66
    assert one.test.accuracy > 4 * CHANCE  # it learned: what follows compares more than noise
    published = checkpoints.test_logits(student)[0]
    assert np.abs(answers(net) - published).max() < 2e-2 * np.abs(published).max()
    assert abs(right(answers(net)) - one.test.correct) <= 1
    found = ask("evaluate")
    assert (found["n"], found["correct"]) == (one.test.n, one.test.correct)


def test_weights_are_zeroed(student: str, ask: Ask) -> None:
    whole, half = (ask("prune", "--method", "l1", "--ratios", r)["rows"] for r in ("0", "0.5"))
    assert {row["form"] for row in half} == {"masked", "removed"}
    assert {row["correct"] for row in whole} == {checkpoints.get(student).test.correct}  # type: ignore[union-attr]
    convs = sum(p.numel() for p in from_source(student).parameters() if p.dim() == 4)
    for row in half:
        assert row["params"] == counted(student)
        # half of every convolution's weights, rounded layer by layer; those zero before stay so
        assert row["params"] - row["nonzero"] == pytest.approx(convs / 2, abs=40)


def test_channels_are_cut_out(student: str, ask: Ask) -> None:
    found = ask("prune", "--method", "channel_l2", "--ratios", "0.5", "--save")
    masked, narrow = (next(row for row in found["rows"] if row["form"] == form)
                      for form in ("masked", "narrow"))  # fmt: skip
    (id,) = found["saved"]
    one, net = checkpoints.get(id), checkpoints.load_model(id)
    assert id.endswith(student.rpartition("-")[2])  # another run of this design keeps its own
    assert counted(student) > narrow["params"] == counted(id) == one.params
    assert sum(p.numel() for p in net.parameters()) == one.params
    assert one.widths and one.test is not None and one.model == f"design:{LINE}"
    assert masked["correct"] == narrow["correct"]
    assert abs(one.test.correct - right(answers(net))) <= 1
    assert abs(one.test.correct - narrow["correct"]) <= 1


def test_every_format_of_fewer_bits_answers(student: str, ask: Ask, tmp_path: Path) -> None:
    correct = right(answers(from_source(student)))
    schemes = ("float32", "tensor_minmax", "tensor_symmetric", "channel_minmax",
               "channel_symmetric", "kmeans", "hw7_8bit", "ort_int8", "ort_dynamic",
               "ort_dynamic_conv")  # fmt: skip
    found = ask("quantize", "--scheme", *schemes, "--bits", "8", "--out", str(tmp_path))
    found["rows"] += ask("quantize", "--scheme", "float16", "--bits", "16")["rows"]
    rows = {(row["scheme"], row["bits"]): row for row in found["rows"]}
    assert {scheme for scheme, _bits in rows} == {*schemes, "float16"}
    whole = rows["float32", 32]["size_bytes"]
    for (scheme, bits), row in rows.items():
        assert row["params"] == counted(student)
        assert abs(row["correct"] - correct) <= 3, scheme
        if bits == 8 and not scheme.startswith("ort"):  # ONNX carries its graph, too
            assert row["size_bytes"] < whole  # k-means: a codebook for each of many small layers
    (file,) = tmp_path.glob("*ort_int8*.onnx")
    pixels = labelled(load_pixels(find_food11(), PX), "testing", PX).pixels
    (logits,) = ort.InferenceSession(file.read_bytes()).run(None, {"pixels": pixels})
    assert right(logits) == rows["ort_int8", 8]["correct"]


def test_it_is_factored(student: str, ask: Ask) -> None:
    found = ask("lowrank", "--method", "auto", "--energy", "0.8", "--save")
    (id,) = found["saved"]
    one, net, (row,) = checkpoints.get(id), checkpoints.load_model(id), found["rows"]
    assert one.ranks and counted(student) > row["params"] == counted(id)
    assert abs(row["correct"] - right(answers(net))) <= 1
    assert one.test is not None and abs(one.test.correct - row["correct"]) <= 1


@pytest.mark.parametrize("format", ["safetensors", "onnx", "onnx-fp16", "onnx-int8", "hw7-8bit"])
def test_every_file_leaves_the_app_whole(
    student: str, ask: Ask, tmp_path: Path, format: str
) -> None:
    out = tmp_path / "student.bin"
    found = ask("export", "--format", format, "--out", str(out))
    data, net = out.read_bytes(), from_source(student)
    assert found["size_bytes"] == len(data) and Path(found["card"]).is_file()
    original = answers(net)
    if format.startswith("onnx"):
        pixels = labelled(load_pixels(find_food11(), PX), "testing", PX).pixels
        (logits,) = ort.InferenceSession(data).run(None, {"pixels": pixels})
    else:
        shapes = {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}
        read = safetensors.numpy.load(data) if format == "safetensors" else decode8(data, shapes)
        net.load_state_dict({name: torch.tensor(value) for name, value in read.items()})
        logits = answers(net)
    loose = format in ("onnx-int8", "hw7-8bit")
    assert np.abs(logits - original).max() < (0.4 if loose else 2e-2) * np.abs(original).max()
    assert abs(right(logits) - right(original)) <= (3 if loose else 1)


def test_a_picture_too_small_for_its_poolings_is_refused_in_words(
    capsys: pytest.CaptureFixture[str],
) -> None:
    deep = "design:px128-stem4p-sep4p-sep4p-sep4p-sep4p-sep4p"
    for more in (["--px", "32"], ["--px", "128", "--start-px", "32"]):
        assert main(["train", "--model", deep, *more]) == 2
        assert "32 px are too small for this design" in capsys.readouterr().err
