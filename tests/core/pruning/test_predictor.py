"""Zeroing stored bytes is pruning: against the network pruned in torch."""

import numpy as np
import pytest

from core import checkpoints
from core.checkpoints import GRAPH, WEIGHTS, checkpoint_tensors
from core.checkpoints.tensors import stored_tensors
from core.inference.predict import Predictor
from core.pruning.method import METHODS, choose
from core.pruning.network import PrunedPredictor, arrays, find_groups, prune, pruned_bytes
from tests.tiny_network import PX, pictures, torch_logits


def test_stored_tensors_are_what_torch_loads(tiny_checkpoint: str) -> None:
    weights = checkpoints.load_weights(tiny_checkpoint)
    ours = checkpoint_tensors(tiny_checkpoint)
    assert set(ours) == {name for name, t in weights.items() if t.is_floating_point()}
    assert all(np.array_equal(value, weights[name].numpy()) for name, value in ours.items())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("ratio", [0.3, 0.9, 1.0])
def test_it_answers_as_the_network_pruned_in_torch(
    tiny_checkpoint: str, method: str, ratio: float
) -> None:
    net = checkpoints.load_model(tiny_checkpoint)
    groups = find_groups(net, PX)
    keep = choose(arrays(net), method, ratio, groups)  # type: ignore[arg-type]
    # torch's parameters and the stored bytes choose alike
    stored = choose(checkpoint_tensors(tiny_checkpoint), method, ratio, groups)  # type: ignore[arg-type]
    assert all(np.array_equal(keep[name], stored[name]) for name in keep)
    pixels = pictures(6).pixels
    pruned = prune(net, method, ratio, "removed", groups=groups, px=PX)  # type: ignore[arg-type]
    got = PrunedPredictor(tiny_checkpoint, keep).logits(pixels)
    np.testing.assert_allclose(got, torch_logits(pruned, pixels), rtol=1e-4, atol=1e-4)


def test_ratio_0_is_the_published_network_bit_for_bit(tiny_checkpoint: str) -> None:
    keep = choose(checkpoint_tensors(tiny_checkpoint), "l1", 0.0)
    pixels = pictures(6).pixels
    assert np.array_equal(
        PrunedPredictor(tiny_checkpoint, keep).logits(pixels),
        Predictor(tiny_checkpoint).logits(pixels),
    )


def test_only_the_chosen_values_change(tiny_checkpoint: str) -> None:
    _entry, files = checkpoints.read_files(tiny_checkpoint, WEIGHTS, GRAPH)
    before = stored_tensors(files[WEIGHTS])
    keep = choose(before, "l1", 0.5)
    changed = pruned_bytes(files[WEIGHTS], keep)
    assert len(changed) == len(files[WEIGHTS])
    after = stored_tensors(changed)
    for name, value in before.items():
        mask = keep.get(name, np.ones(value.shape, bool))
        assert np.array_equal(after[name], value * mask)
    kept = np.concatenate([mask.ravel() for mask in keep.values()])
    assert kept.mean() == pytest.approx(0.5, abs=0.01)
