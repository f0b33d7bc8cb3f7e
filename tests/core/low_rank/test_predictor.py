"""A checkpoint at lower rank in ONNX Runtime: against the network factored in torch."""

import numpy as np
import pytest

from core import checkpoints
from core.checkpoints import GRAPH, WEIGHTS
from core.checkpoints.factored import METHODS, Method, Ranks
from core.checkpoints.tensors import stored_tensors
from core.errors import CheckpointError, ConfigError
from core.inference.export import onnx_bytes, trace
from core.inference.predict import Predictor
from core.low_rank.method import Decompositions, ranks_for_energy
from core.low_rank.network import (
    FactoredPredictor,
    checkpoint_layers,
    factor,
    layer_shapes,
    layers_of,
    lowrank_bytes,
    weights_of,
)
from tests.core.pruning.networks import KINDS, make
from tests.core.pruning.networks import PX as SMALL
from tests.tiny_network import PX, SPEC, pictures, torch_logits


def plan(id: str, method: Method = "auto", energy: float = 0.5) -> Ranks:
    shapes, weights = checkpoint_layers(id)
    return ranks_for_energy(shapes, Decompositions(weights), method, energy)


def test_the_graph_tells_the_layers_as_a_forward_pass_does(tiny_checkpoint: str) -> None:
    shapes, weights = checkpoint_layers(tiny_checkpoint)
    net = checkpoints.load_model(tiny_checkpoint)
    assert shapes == layer_shapes(net, PX)
    ours = weights_of(net)
    assert set(weights) == set(ours)
    assert all(np.array_equal(weights[name], ours[name]) for name in ours)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_strides_groups_and_branches_are_told_too(kind: str) -> None:
    import safetensors.torch

    net = make(kind)
    weights = safetensors.torch.save(dict(net.state_dict()))
    shapes, _weights = layers_of(onnx_bytes(trace(net, SPEC, SMALL), weights), weights)
    assert sorted(shapes) == sorted(layer_shapes(net, SMALL))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("energy", [0.3, 0.8])
def test_it_answers_as_the_network_factored_in_torch(
    tiny_checkpoint: str, method: Method, energy: float
) -> None:
    net = checkpoints.load_model(tiny_checkpoint)
    ranks = plan(tiny_checkpoint, method, energy)
    parts = Decompositions(weights_of(net))
    assert ranks == ranks_for_energy(layer_shapes(net, PX), parts, method, energy) != {}
    pixels = pictures(6).pixels
    expected = torch_logits(factor(net, ranks), pixels)
    got = FactoredPredictor(tiny_checkpoint, ranks).logits(pixels)
    # the products are rounded to the file's float16
    np.testing.assert_allclose(got, expected, atol=5e-3 * np.abs(expected).max())
    assert np.abs(got - torch_logits(net, pixels)).max() > 0.1


def test_whole_it_is_the_published_network_bit_for_bit(tiny_checkpoint: str) -> None:
    pixels = pictures(6).pixels
    expected = Predictor(tiny_checkpoint).logits(pixels)
    assert np.array_equal(FactoredPredictor(tiny_checkpoint, {}).logits(pixels), expected)


def test_only_the_factored_weights_change(tiny_checkpoint: str) -> None:
    _entry, files = checkpoints.read_files(tiny_checkpoint, WEIGHTS, GRAPH)
    shapes, weights = layers_of(files[GRAPH], files[WEIGHTS])
    changed = lowrank_bytes(files[WEIGHTS], {"fc": (2,)}, shapes, Decompositions(weights))
    assert len(changed) == len(files[WEIGHTS])
    before, after = stored_tensors(files[WEIGHTS]), stored_tensors(changed)
    assert {n for n in before if not np.array_equal(before[n], after[n])} == {"fc.weight"}
    values = np.linalg.svd(after["fc.weight"], compute_uv=False)
    assert values[2] < 1e-3 * values[0] < values[1]  # rank 2, but for float16


def test_right_answers_are_counted(tiny_checkpoint: str) -> None:
    some, heard = pictures(40), []
    one = FactoredPredictor(tiny_checkpoint, plan(tiny_checkpoint))
    right = one.correct(some, lambda done, of: heard.append((done, of)))
    assert right == int((one.logits(some.pixels).argmax(1) == some.labels).sum())
    assert heard == [(32, 40), (40, 40)]


def test_ranks_that_do_not_fit_and_graphs_that_are_none_are_refused(tiny_checkpoint: str) -> None:
    with pytest.raises(ConfigError):
        FactoredPredictor(tiny_checkpoint, {"fc": (99,)})
    with pytest.raises(CheckpointError):
        layers_of(b"no graph", checkpoints.read_files(tiny_checkpoint, WEIGHTS)[1][WEIGHTS])
