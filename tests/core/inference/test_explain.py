"""Class activation maps against torch: each place through the linear layer, by an own way."""

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import load
from torch import nn

from core import checkpoints
from core.errors import CheckpointError
from core.inference.explain import (
    Explainer,
    explain_photo,
    explainer,
    highlighted,
    shuffled,
)
from core.inference.export import onnx_bytes, trace
from core.inference.graph import calibrate, int8_graph, prepared
from core.photos import prepare
from tests.tiny_network import PX, SPEC, pictures


class Head(nn.Module):
    """A convolution, the average over places, and whatever comes after."""

    def __init__(self, *after: nn.Module) -> None:
        super().__init__()
        self.conv, self.after = nn.Conv2d(3, 6, 3, stride=2), nn.Sequential(*after)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.after(self.conv(pixels).mean((2, 3)))
        return logits


def features(net: nn.Module, layer: nn.Module, pixels: np.ndarray) -> torch.Tensor:
    """What `layer` gives for these pixels."""
    kept: list[torch.Tensor] = []
    hook = layer.register_forward_hook(lambda *call: kept.append(call[2]))
    mean, std = torch.tensor(SPEC.mean), torch.tensor(SPEC.std)
    with torch.no_grad():
        net((torch.from_numpy(pixels).float() - mean.view(3, 1, 1)) / std.view(3, 1, 1))
    hook.remove()
    return kept[0]


def test_a_map_is_each_place_through_the_linear_layer(tiny_checkpoint: str) -> None:
    net, pixels = checkpoints.load_model(tiny_checkpoint), pictures(3).pixels
    logits, maps = explainer(checkpoints.get(tiny_checkpoint)).maps(pixels)
    last = features(net, net.block, pixels)  # type: ignore[arg-type]
    with torch.no_grad():  # a linear layer on the last dimension: (N, h, w, C) -> (N, h, w, 11)
        expected = net.fc(last.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)  # type: ignore[operator]
    assert maps.shape == tuple(expected.shape) == (3, 11, PX // 2, PX // 2)
    assert np.abs(maps - expected.numpy()).max() < 1e-4
    assert np.abs(maps.mean((2, 3)) - logits).max() < 1e-4


@pytest.mark.parametrize(
    "after",
    [
        (nn.Linear(6, 11, bias=False),),  # with one: the network above
        (nn.Linear(6, 4, bias=False), nn.Linear(4, 11)),  # as low rank factors it
        (nn.Linear(6, 4), nn.Linear(4, 11)),
    ],
)
def test_every_linear_end_is_read(after: tuple[nn.Module, ...]) -> None:
    torch.manual_seed(1)
    net = Head(*after).eval()
    logits, maps = Explainer(onnx_bytes(trace(net, SPEC, PX))).maps(pictures(2).pixels)
    places = features(net, net.conv, pictures(2).pixels)
    with torch.no_grad():
        expected = net.after(places.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    assert np.abs(maps - expected.numpy()).max() < 1e-4
    assert np.abs(maps.mean((2, 3)) - logits).max() < 1e-4


def test_a_network_that_ends_otherwise_has_no_map() -> None:
    net = Head(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 11)).eval()
    with pytest.raises(CheckpointError, match="average over places"):
        Explainer(onnx_bytes(trace(net, SPEC, PX)))


def test_a_photo_is_explained_for_its_answer_or_for_a_class(tiny_checkpoint: str) -> None:
    noise = np.random.default_rng(3).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    image, checkpoint = Image.fromarray(noise), checkpoints.get(tiny_checkpoint)
    logits, maps = explainer(checkpoint).maps(prepare(image, PX, checkpoint.crop)[None])
    own = explain_photo(image, checkpoint, explainer(checkpoint))
    assert own.label == logits[0].argmax() and (own.map == maps[0, own.label]).all()
    assert own.stride == 2 and own.checkpoint == tiny_checkpoint
    other = explain_photo(image, checkpoint, explainer(checkpoint), label=4)
    assert other.label == 4 and (other.map == maps[0, 4]).all()


def test_every_shipped_kind_of_network_has_maps() -> None:
    kinds: dict[tuple[str, str], str] = {}
    for one in checkpoints.load_manifest().values():
        kinds.setdefault((one.model, one.derived_from.kind if one.derived_from else ""), one.id)
    for id in kinds.values():
        checkpoint = checkpoints.get(id)
        pixels = np.zeros((1, 3, checkpoint.input_px, checkpoint.input_px), np.uint8)
        logits, maps = explainer(checkpoint).maps(pixels)
        assert np.abs(maps.mean((2, 3)) - logits).max() < 1e-3, id


def test_shuffling_keeps_the_numbers_and_forgets_their_places(tiny_checkpoint: str) -> None:
    weights = checkpoints.read_files(tiny_checkpoint, "weights.safetensors")[1]
    before = load(weights["weights.safetensors"])
    after = load(shuffled(weights["weights.safetensors"]))
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        same = (tensor == after[name]).all()
        assert same == (tensor.ndim < 2), name
        assert (np.sort(tensor.ravel()) == np.sort(after[name].ravel())).all()
    checkpoint, pixels = checkpoints.get(tiny_checkpoint), pictures(2).pixels
    logits, maps = explainer(checkpoint, is_shuffled=True).maps(pixels)
    assert np.abs(logits - explainer(checkpoint).maps(pixels)[0]).max() > 0.1
    assert np.abs(maps.mean((2, 3)) - logits).max() < 1e-4


def test_a_picture_is_bright_where_the_map_is_high() -> None:
    view = np.full((40, 60, 3), 200, np.uint8)
    lit = highlighted(view, np.array([[-3, 0], [0, 2.0]], np.float32))
    assert lit.shape == view.shape and lit.dtype == np.uint8
    assert (lit[-1, -1] == 200).all() and (lit[0, 0] == 30).all()
    assert (highlighted(view, np.full((2, 2), -1, np.float32)) == 30).all()


def test_8_bits_have_maps_too(tiny_checkpoint: str) -> None:
    net, pixels = checkpoints.load_model(tiny_checkpoint), pictures(40).pixels
    graph = onnx_bytes(trace(net, SPEC, PX))
    ready = prepared(graph)
    int8 = int8_graph(ready, "ort_int8", calibrate(ready, pixels))
    logits, maps = Explainer(int8).maps(pixels[:4])
    whole = Explainer(graph).maps(pixels[:4])[1]
    step = np.abs(whole).max() / 127
    assert np.abs(maps.mean((2, 3)) - logits).max() < 4 * step
    assert np.corrcoef(maps.ravel(), whole.ravel())[0, 1] > 0.98
