"""The exported graph gives torch's logits, for our networks and for odd ones."""

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
import torch
from torch import nn

from core.inference.export import onnx_bytes, trace
from core.inference.predict import open_session, run_batches
from core.models import registry
from tests.tiny_network import PX, SPEC, pictures, torch_logits, trained


@pytest.fixture(scope="module")
def traced() -> ir.Model:
    """The graph of `trained()`; writing it does not change it."""
    return trace(trained(), SPEC, PX)


def test_a_file_that_stands_alone(tmp_path: Path, traced: ir.Model) -> None:
    path = tmp_path / "tiny 出.onnx"
    net = trained()
    path.write_bytes(onnx_bytes(traced))
    onnx.checker.check_model(str(path), full_check=True)
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for n in (1, 2, 5):
        pixels = pictures(n).pixels
        answer = session.run(["logits"], {"pixels": pixels})[0]
        assert answer.dtype == np.float32 and answer.shape == (n, 11)
        assert np.abs(answer - torch_logits(net, pixels)).max() <= 1e-4


def test_batchnorm_is_fused_when_the_session_opens(tmp_path: Path, traced: ir.Model) -> None:
    """Casting from float16 and leaving BatchNorm in costs nothing: neither is left to run."""
    import safetensors.torch

    net = trained()
    state = {name: t.half() if t.dim() > 1 else t for name, t in net.state_dict().items()}
    weights = safetensors.torch.save({name: t.contiguous() for name, t in state.items()})
    graph = onnx_bytes(traced, weights)
    before = [node.op_type for node in onnx.ModelProto.FromString(graph).graph.node]
    assert before.count("Cast") == 5 and before.count("BatchNormalization") == 2
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    (tmp_path / "weights.safetensors").write_bytes(weights)
    (tmp_path / "model.onnx").write_bytes(graph)
    ort.InferenceSession(str(tmp_path / "model.onnx"), options, providers=["CPUExecutionProvider"])
    after = [node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node]
    assert after.count("Cast") == 1  # the pixels' own
    assert "BatchNormalization" not in after


def test_the_graph_is_not_changed_by_writing_it(traced: ir.Model) -> None:
    import safetensors.torch

    net = trained()
    weights = safetensors.torch.save({n: t.contiguous() for n, t in net.state_dict().items()})
    outside = onnx_bytes(traced, weights)
    alone = onnx_bytes(traced)
    assert outside == onnx_bytes(traced, weights) and alone == onnx_bytes(traced)
    pixels = pictures(3).pixels
    by_both = run_batches(open_session(outside, weights), pixels)
    assert np.array_equal(by_both, run_batches(open_session(alone), pixels))


def lively(net: nn.Module) -> nn.Module:
    """BatchNorm statistics other than the defaults, and logits of several units."""
    torch.manual_seed(0)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None and module.running_var is not None
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2)
    last = [module for module in net.modules() if isinstance(module, nn.Linear)][-1]
    last.weight.data.mul_(20)
    return net.eval()


@pytest.mark.parametrize(
    ("key", "px"),
    [
        ("hw13_sample", 64),
        *(pytest.param(key, 128, marks=pytest.mark.slow) for key in registry.MODELS),
    ],
)
def test_a_registered_network_answers_as_in_torch(key: str, px: int) -> None:
    spec = registry.get(key)
    torch.manual_seed(0)
    net = lively(spec.build())
    session = open_session(onnx_bytes(trace(net, spec, px)))
    rng = np.random.default_rng(0)
    for n in (1, 5):
        pixels = rng.integers(0, 256, (n, 3, px, px), dtype=np.uint8)
        centred = (torch.tensor(pixels).float() - torch.tensor(spec.mean)[:, None, None]) / (
            torch.tensor(spec.std)[:, None, None]
        )
        with torch.inference_mode():
            expected = net(centred).numpy()
        assert np.abs(expected).max() > 0.5
        assert np.abs(run_batches(session, pixels) - expected).max() <= 1e-4
