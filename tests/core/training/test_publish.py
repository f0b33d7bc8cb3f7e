"""What is published answers as the trained network did, and the manifest states what ships."""

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from core import checkpoints, paths
from core.errors import CheckpointError
from core.models.registry import ModelSpec
from core.training import publish as publish_module
from tests.tiny_network import SPEC, pictures, publish_tiny, torch_logits, trained


def test_the_loaded_network_is_the_published_one(tiny_checkpoint: str) -> None:
    net = checkpoints.load_model(tiny_checkpoint)
    assert not net.training
    for name, tensor in trained().state_dict().items():
        half = tensor.half().float() if tensor.dim() > 1 else tensor
        assert torch.equal(net.state_dict()[name], half), name


@pytest.mark.parametrize(
    ("model", "id", "expected"),
    [
        ("tiny", "tiny-scratch-s3", "tiny-cut-s3"),
        ("tiny", "tiny-scratch-s3-0123456789", "tiny-cut-s3-0123456789"),
        ("tiny", "tiny-s3-0123456789ab", "tiny-cut-s3-0123456789ab"),
        ("design:px32-stem8-sep8", "design_0f-s3-0123456789ab", None),
    ],
)
def test_versions_of_two_runs_never_share_an_id(
    tiny_checkpoint: str, model: str, id: str, expected: str | None
) -> None:
    changes = {"id": id, "model": model, "seed": 3}
    one = checkpoints.get(tiny_checkpoint).model_copy(update=changes)
    if expected is None:
        digits = hashlib.sha256(b"px32-stem8-sep8").hexdigest()[:8]
        expected = f"design_{digits}-cut-s3-0123456789ab"
    assert one.version_id("cut") == expected

    mark = "-own" if id == "tiny-scratch-s3" else ""
    assert one.version_id("cut", own=True) == f"{expected}{mark}"


def test_the_stated_accuracy_is_that_of_the_loaded_network(tiny_checkpoint: str) -> None:
    one = checkpoints.get(tiny_checkpoint)
    net = checkpoints.load_model(tiny_checkpoint)
    for score, (pixels, labels) in (
        (one.validation, pictures(40, 1)),
        (one.test, pictures(30, 2)),
    ):
        assert score is not None
        answers = torch_logits(net, pixels).argmax(1)
        expected = sum(int(a == b) for a, b in zip(answers, labels, strict=True))
        assert (score.correct, score.n) == (expected, len(labels))
        assert score.accuracy == expected / len(labels)


def test_the_stored_logits_are_those_of_the_test_pictures(tiny_checkpoint: str) -> None:
    logits, labels = checkpoints.test_logits(tiny_checkpoint)
    pixels, expected = pictures(30, 2)
    assert logits.dtype == np.float32 and labels.dtype == np.int64
    assert np.array_equal(labels, expected)
    answers = torch_logits(checkpoints.load_model(tiny_checkpoint), pixels)
    assert np.abs(answers).max() > 1
    assert np.abs(logits - answers).max() <= 1e-4


def test_the_entry_says_what_the_files_are(pretrained: Path, tiny_checkpoint: str) -> None:
    one = checkpoints.get(tiny_checkpoint)
    for name, info in one.files.items():
        data = (pretrained / tiny_checkpoint / name).read_bytes()
        assert (info.bytes, info.sha256) == (len(data), hashlib.sha256(data).hexdigest())
        assert str(paths.REPO).encode() not in data and b"site-packages" not in data
    assert one.size_bytes == one.files["weights.safetensors"].bytes
    assert one.params == sum(parameter.numel() for parameter in trained().parameters())
    # 24 x 24: 3*9*8 a place; then 12 x 12: 9*8 and 8*12 a place; then 12 * 11
    assert one.macs == 576 * 216 + 144 * (72 + 96) + 132
    entry = json.loads((pretrained / "manifest.json").read_text())["checkpoints"][tiny_checkpoint]
    assert entry["data"]["is_food11"] is False and entry["config"] == {"lr": 0.001}


def test_onnx_tools_read_the_graph_with_its_weights_from_the_disk(
    pretrained: Path, tiny_checkpoint: str
) -> None:
    path = pretrained / tiny_checkpoint / "model.onnx"
    onnx.checker.check_model(str(path), full_check=True)
    weights = checkpoints.load_weights(tiny_checkpoint)
    stored = {t.name: numpy_helper.to_array(t) for t in onnx.load(str(path)).graph.initializer}
    outside = {
        tensor.name
        for tensor in onnx.load(str(path), load_external_data=False).graph.initializer
        if tensor.external_data
    }
    assert outside == {name for name in weights if "num_batches" not in name}
    for name in outside:
        assert np.array_equal(stored[name].astype(np.float32), weights[name].numpy()), name
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    pixels = pictures(5).pixels
    answers = session.run(None, {"pixels": pixels})[0]
    net = checkpoints.load_model(tiny_checkpoint)
    assert np.abs(answers - torch_logits(net, pixels)).max() <= 1e-4


def test_publishing_leaves_the_network_alone(pretrained: Path) -> None:
    net = trained(seed=109).train()  # nobody else's weights: its graph is really traced
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    publish_tiny(net=net)
    assert net.training and all(parameter.requires_grad for parameter in net.parameters())
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())


def test_half_precision_is_kept_where_it_changes_nothing(tiny_checkpoint: str) -> None:
    one = checkpoints.get(tiny_checkpoint)
    assert one.weights_dtype == "float16" and one.half_precision is not None
    assert one.half_precision.correct_float16 == one.half_precision.correct_float32


@pytest.mark.parametrize(
    ("changed", "dtype"), [((0,), "float16"), ((1,), "float16"), ((1, 3), "float32")]
)
def test_one_answer_of_863_may_change(
    changed: tuple[int, ...], dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each changed answer is a right one that becomes wrong; 0 stands for none."""
    labels = np.random.default_rng(0).integers(0, 11, 863)
    full = np.eye(11, dtype=np.float32)[labels]
    half = full.copy()
    for row in filter(None, changed):
        half[row] = np.roll(half[row], 1)
    verdict = publish_module._compare(full, half, labels)
    assert publish_module._is_harmless(verdict) == (dtype == "float16")


def test_half_precision_is_refused_where_it_changes_answers(pretrained: Path) -> None:
    net = trained()
    pixels = pictures(40, 1).pixels
    classifier, net.fc = net.fc, nn.Linear(12, 12, bias=False)
    with torch.no_grad():
        net.fc.weight.copy_(torch.eye(12))
    features = torch.tensor(torch_logits(net, pixels))
    net.fc = classifier
    with torch.no_grad():  # eleven classes that differ by less than a float16 near 1 can hold
        net.fc.weight.copy_(1 + 1e-4 * torch.randn(11, 12, generator=torch.manual_seed(0)))
        net.fc.bias.copy_(-net.fc.weight @ features.mean(0))
    labels = torch_logits(net, pixels).argmax(1)
    assert len(set(labels)) > 3
    one = publish_tiny(net=net, validation=pictures(40, 1)._replace(labels=labels))
    assert one.weights_dtype == "float32"
    assert one.half_precision.agreement < 0.999
    assert one.validation.correct == 40
    stored = checkpoints.load_weights(one.id)["fc.weight"]
    assert torch.equal(stored, net.fc.weight.detach())


def test_a_weight_beyond_float16_keeps_its_tensor(pretrained: Path) -> None:
    net = trained()
    with torch.no_grad():
        net.fc.weight[0, 0] = 1e6
    one = publish_tiny(net=net)
    assert torch.equal(checkpoints.load_weights(one.id)["fc.weight"], net.fc.weight.detach())


def test_without_pictures_nothing_is_claimed(pretrained: Path) -> None:
    one = publish_tiny(validation=None, test=None)
    assert (one.validation, one.test, one.half_precision) == (None, None, None)
    assert one.weights_dtype == "float32"
    with pytest.raises(CheckpointError, match="has no test_logits"):
        checkpoints.test_logits(one.id)


def test_an_unfaithful_export_is_not_published(pretrained: Path) -> None:
    class Other(ModelSpec):
        def normalize(self, pixels: torch.Tensor) -> torch.Tensor:
            return pixels.float() / 255

    spec = Other(**{name: getattr(SPEC, name) for name in SPEC.__dataclass_fields__})
    with pytest.raises(CheckpointError, match="Nothing was published"):
        publish_tiny(spec=spec)
    assert checkpoints.load_manifest() == {}


@pytest.mark.parametrize("id", ["../x", "A-scratch-s0", "x/y", "", "x y", ".hidden"])
def test_an_id_that_is_no_folder_name_is_refused(pretrained: Path, id: str) -> None:
    with pytest.raises(ValueError, match="id"):
        publish_tiny(id, validation=None, test=None)
    assert list(pretrained.iterdir()) == []


def test_weights_for_another_network_are_refused(pretrained: Path, tiny_checkpoint: str) -> None:
    path = pretrained / "manifest.json"
    content = json.loads(path.read_text())
    content["checkpoints"][tiny_checkpoint]["model"] = "hw13_sample"
    path.write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match="do not fit the network hw13_sample"):
        checkpoints.load_model(tiny_checkpoint)
