"""One self-contained file answers to the bit as the two it was made of, and holds what they held.

`tiny` has float32 or float16 weights, as the test says.
"""

from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import safetensors.torch
import torch

from core.errors import CheckpointError
from core.export.files import as_stored, float32_file
from core.inference.export import onnx_bytes, trace
from core.inference.predict import open_session, run_batches
from tests.tiny_network import PX, SPEC, pictures, trained


@pytest.fixture(scope="module", params=[False, True], ids=["float32", "float16"])
def pair(request: pytest.FixtureRequest) -> tuple[bytes, bytes]:
    """A graph and the weights file it points into."""
    net = trained()
    state = {
        name: (t.half() if request.param and t.dim() > 1 else t).contiguous()
        for name, t in net.state_dict().items()
    }
    weights = safetensors.torch.save(state)
    return onnx_bytes(trace(net, SPEC, PX), weights), weights


def answers(data: bytes) -> Any:
    """As a stranger opens it: ONNX Runtime's defaults, one file, no checkpoint."""
    session = ort.InferenceSession(data, providers=["CPUExecutionProvider"])
    return session.run(["logits"], {"pixels": pictures(8).pixels})[0]


def outside(model: onnx.ModelProto) -> list[str]:
    external = onnx.TensorProto.EXTERNAL
    return [t.name for t in model.graph.initializer if t.data_location == external]


@pytest.mark.slow
@pytest.mark.parametrize("make", [float32_file, as_stored])
def test_one_file_answers_as_two(pair: tuple[bytes, bytes], make: Any) -> None:
    graph, weights = pair
    assert outside(onnx.load_model_from_string(graph))  # else the test shows nothing
    one = make(graph, weights)
    model = onnx.load_model_from_string(one)
    onnx.checker.check_model(model, full_check=True)
    assert not outside(model)
    expected = run_batches(open_session(graph, weights), pictures(8).pixels)
    np.testing.assert_array_equal(answers(one), expected)


def test_float32_holds_the_numbers_themselves(pair: tuple[bytes, bytes]) -> None:
    graph, weights = pair
    model = onnx.load_model_from_string(float32_file(graph, weights))
    stored = {name: t.float().numpy() for name, t in safetensors.torch.load(weights).items()}
    held = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    counters = {name for name in stored if name.endswith("num_batches_tracked")}
    assert set(stored) - counters <= set(held)
    for name in set(stored) - counters:
        assert held[name].dtype == np.float32
        np.testing.assert_array_equal(held[name], stored[name])
    casts = [node for node in model.graph.node if node.op_type == "Cast"]
    assert [node.input[0] for node in casts] == ["pixels"]


@pytest.mark.slow
def test_half_precision_takes_half_the_room(pair: tuple[bytes, bytes]) -> None:
    graph, weights = pair
    stored = safetensors.torch.load(weights).values()
    halved = sum(tensor.numel() for tensor in stored if tensor.dtype == torch.float16)
    tensors = onnx.load_model_from_string(as_stored(graph, weights)).graph.initializer
    assert (onnx.TensorProto.FLOAT16 in {t.data_type for t in tensors}) == (halved > 0)
    saved = len(float32_file(graph, weights)) - len(as_stored(graph, weights))
    assert not halved or 0 < 2 * halved - saved < 1500  # two bytes a weight, less the Cast nodes


@pytest.mark.parametrize(
    "change",
    [
        {"offset": "99999999"},
        {"length": "3"},
        {"length": "many"},
        {"location": "../../etc/passwd"},
    ],
)
def test_a_graph_that_points_elsewhere_is_refused(
    pair: tuple[bytes, bytes], change: dict[str, str]
) -> None:
    graph, weights = pair
    model = onnx.load_model_from_string(graph)
    tensor = next(t for t in model.graph.initializer if t.name == outside(model)[0])
    for entry in tensor.external_data:
        entry.value = change.get(entry.key, entry.value)
    with pytest.raises(CheckpointError, match="not there"):
        as_stored(model.SerializeToString(), weights)
