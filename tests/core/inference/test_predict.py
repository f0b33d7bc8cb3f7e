"""Predicting with ONNX Runtime: torch's answers, without torch, for many visitors at once."""

import math
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from core import checkpoints
from core.checkpoints import GRAPH, WEIGHTS
from core.course import CLASSES
from core.errors import CheckpointError
from core.inference import predict
from core.inference.predict import Predictor, entropy, predict_photo, predictor, softmax
from core.photos import prepare
from tests.tiny_network import PX, pictures, publish_tiny, torch_logits


@pytest.fixture
def photo() -> Image.Image:
    rng = np.random.default_rng(3)
    return Image.fromarray(rng.integers(0, 256, (60, 80, 3), dtype=np.uint8))


@pytest.mark.parametrize("n", [1, 5, predict.BATCH + 3])
def test_logits_are_torchs(tiny_checkpoint: str, n: int) -> None:
    pixels = pictures(n).pixels
    answers = Predictor(tiny_checkpoint).logits(pixels)
    expected = torch_logits(checkpoints.load_model(tiny_checkpoint), pixels)
    assert answers.dtype == np.float32 and answers.shape == (n, 11)
    assert np.abs(expected).max() > 1
    assert np.abs(answers - expected).max() <= 1e-4


def test_features_are_what_torch_gives_the_linear_layer(tiny_checkpoint: str) -> None:
    pixels, one = pictures(5).pixels, Predictor(tiny_checkpoint)
    net = checkpoints.load_model(tiny_checkpoint)
    read: list[np.ndarray] = []
    net.fc.register_forward_pre_hook(lambda _layer, given: read.append(given[0].numpy()))  # type: ignore[union-attr]
    torch_logits(net, pixels)
    logits, features = one.answers(pixels)
    assert features.shape == (5, 12) and np.abs(features - read[0]).max() <= 1e-4
    files = checkpoints.read_files(tiny_checkpoint, GRAPH, WEIGHTS)[1]
    alone = predict.run_batches(predict.open_session(files[GRAPH], files[WEIGHTS]), pixels)
    assert (logits == alone).all()  # the second output changes no bit of the first
    assert one.answers(pixels[:0])[1].shape[0] == 0
    assert predict.with_features(b"junk") == b"junk"


def test_other_shapes_and_types_are_refused(tiny_checkpoint: str) -> None:
    one = Predictor(tiny_checkpoint)
    good = pictures(2).pixels
    floats: Any = good.astype(np.float32)
    for wrong in (good[0], good[:, :, 1:], floats, good.transpose(0, 2, 3, 1)):
        with pytest.raises(ValueError, match="uint8"):
            one.logits(wrong)


def test_damaged_files_are_refused(pretrained: Path, tiny_checkpoint: str) -> None:
    path = pretrained / tiny_checkpoint / "weights.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match="SHA-256"):
        Predictor(tiny_checkpoint)


@pytest.mark.parametrize("graph", [b"", b"junk", b"\x08\x0a" * 100])
def test_bytes_that_are_no_graph_are_refused(graph: bytes) -> None:
    with pytest.raises(CheckpointError, match="cannot open"):
        predict.open_session(graph)


def test_a_photo_is_answered_by_each_checkpoint_in_the_order_asked(
    pretrained: Path, tiny_checkpoint: str, photo: Image.Image
) -> None:
    publish_tiny("tiny-other-s1", seed=1)
    ids = ["tiny-other-s1", tiny_checkpoint]
    found = predict_photo(photo, ids)
    assert [one.checkpoint for one in found] == ids
    for one in found:
        net = checkpoints.load_model(one.checkpoint)
        logits = torch_logits(net, prepare(photo, PX)[None])[0]
        assert np.abs(one.logits - logits).max() <= 1e-4
        assert one.probabilities == pytest.approx(np.exp(logits) / np.exp(logits).sum(), abs=1e-4)
        assert one.top == CLASSES[int(logits.argmax())]
        assert one.confidence == one.probabilities.max()
        assert one.latency_ms == one.timing.median_ms > 0
        assert one.timing.threads == 1 and one.timing.n >= 3
    assert predict_photo(photo, []) == []
    with pytest.raises(CheckpointError, match="no checkpoint called"):
        predict_photo(photo, ["unknown"])


def test_a_session_is_opened_once_however_many_ask(
    tiny_checkpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predict, "_open_networks", predict._OpenNetworks())
    opened = []
    real, together = predict.open_session, threading.Barrier(8)

    def counted(*arguments: object, **options: object) -> object:
        opened.append(arguments)
        return real(*arguments, **options)  # type: ignore[arg-type]

    def ask(_: int) -> Predictor:
        together.wait()
        return predictor(tiny_checkpoint)

    monkeypatch.setattr(predict, "open_session", counted)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(ask, range(8)))
    assert len(opened) == 1 and len(set(map(id, found))) == 1
    pixels = pictures(20).pixels
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda one: one.logits(pixels), found))
    assert all(np.array_equal(answer, answers[0]) for answer in answers)


def test_a_checkpoint_published_anew_is_opened_anew(tiny_checkpoint: str) -> None:
    before = predictor(tiny_checkpoint)
    assert predictor(tiny_checkpoint) is before
    publish_tiny(tiny_checkpoint, seed=5)
    after = predictor(tiny_checkpoint)
    assert after is not before
    pixels = pictures(4).pixels
    expected = torch_logits(checkpoints.load_model(tiny_checkpoint), pixels)
    assert np.abs(after.logits(pixels) - expected).max() <= 1e-4


def test_only_so_many_sessions_are_kept(
    pretrained: Path, tiny_checkpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predict, "_open_networks", predict._OpenNetworks())
    entry, files = checkpoints.read_files(tiny_checkpoint)
    monkeypatch.setattr(predict, "OPEN_BYTES", 2 * 4 * entry.params)
    ids = [f"tiny-copy-s{number}" for number in range(3)]
    for name in ids:
        checkpoints.store(entry.model_copy(update={"id": name}), files)
    first, second = predictor(ids[0]), predictor(ids[1])
    assert predictor(ids[0]) is first  # so the second is now the longest unused
    predictor(ids[2])
    assert predictor(ids[0]) is first
    assert predictor(ids[1]) is not second


def test_what_is_too_large_is_used_and_then_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predict, "OPEN_BYTES", 100)
    monkeypatch.setattr(predict, "_open_networks", shelf := predict._OpenNetworks())
    made: list[str] = []

    def take(name: str, size_bytes: int) -> str:
        return shelf.take(name, size_bytes, lambda: made.append(name) or name)  # type: ignore[func-returns-value]

    assert [take("a", 60), take("b", 40), take("a", 60)] == ["a", "b", "a"] and made == ["a", "b"]
    assert take("large", 500) == "large"
    assert take("large", 500) == "large" and made == ["a", "b", "large"]  # until another comes
    assert take("b", 40) == "b" and take("large", 500) == "large"
    assert made == ["a", "b", "large", "b", "large"]


def test_versions_of_a_checkpoint_are_kept_apart(tiny_checkpoint: str) -> None:
    checkpoint = checkpoints.get(tiny_checkpoint)
    first = predict.shared(checkpoint, object, "pruned", 0.3)
    assert predict.shared(checkpoint, object, "pruned", 0.3) is first
    assert predict.shared(checkpoint, object, "pruned", 0.6) is not first
    assert predict.shared(checkpoint, object) is not first


def test_networks_are_opened_one_after_another(
    tiny_checkpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opening takes several times the memory that an open network takes."""
    entry, files = checkpoints.read_files(tiny_checkpoint)
    real, inside, most = ort.InferenceSession, [0], [0]

    def opened(*args: Any, **kwargs: Any) -> Any:
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        time.sleep(0.02)
        inside[0] -= 1
        return real(*args, **kwargs)

    monkeypatch.setattr(ort, "InferenceSession", opened)
    graph, weights = files[checkpoints.GRAPH], files[checkpoints.WEIGHTS]
    with ThreadPoolExecutor(4) as pool:
        sessions = list(pool.map(lambda _n: predict.open_session(graph, weights), range(4)))
    assert len(sessions) == 4 and most == [1]


LARGE_NETWORKS = """
import numpy as np, psutil, sys
from onnx import TensorProto, helper, numpy_helper
from core.inference import predict

side = 3000  # 36 MB as float32
def network(seed):
    half = np.random.default_rng(seed).standard_normal((side, side)).astype(np.float16)
    graph = helper.make_graph(
        [helper.make_node("Cast", ["half"], ["full"], to=TensorProto.FLOAT),
         helper.make_node("MatMul", ["x", "full"], ["y"])],
        "large",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, side])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, side])],
        [numpy_helper.from_array(half, "half")],
    )
    opset = [helper.make_opsetid("", 17)]
    data = helper.make_model(graph, ir_version=8, opset_imports=opset).SerializeToString()
    return predict.open_session(data)

def used():
    return psutil.Process().memory_info().rss / 1e6

take = predict._OpenNetworks().take
take("first", 4 * side**2, lambda: network(0))
one = used()
for seed in range(1, 9):
    take(seed, 4 * side**2, lambda: network(seed))
print(used() - one)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the C library there keeps what is freed")
def test_many_large_networks_take_the_memory_of_a_few() -> None:
    """Nine networks of 36 MB: two are kept, and what opening them took is given back."""
    done = subprocess.run(
        [sys.executable, "-c", LARGE_NETWORKS], capture_output=True, text=True, timeout=120,
        cwd=Path(predict.__file__).parents[2],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 80, done.stdout


LOGITS = st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=11)


@given(LOGITS, st.floats(0.01, 100))
def test_softmax_is_its_formula(logits: list[float], temperature: float) -> None:
    """Up to what float64 holds: logits / T near 1e6 have an error of about 1e-10 themselves."""
    expected = [
        1 / math.fsum(math.exp(min((y - x) / temperature, 700)) for y in logits) for x in logits
    ]
    assert softmax(logits, temperature) == pytest.approx(expected, rel=1e-8, abs=1e-12)


def test_softmax_at_its_limits() -> None:
    logits = np.array([[1.0, 3.0, 2.0], [0.0, -1.0, -1.0]], np.float32)
    assert softmax(logits, 1e-6) == pytest.approx(np.array([[0, 1, 0], [1, 0, 0]]))
    assert softmax(logits, 1e9) == pytest.approx(np.full((2, 3), 1 / 3))
    for wrong in (0, -1, math.nan, math.inf):
        with pytest.raises(ValueError, match="temperature"):
            softmax(logits, wrong)


@given(LOGITS, st.floats(0.1, 50))
def test_entropy_is_its_formula(logits: list[float], temperature: float) -> None:
    p = softmax(logits, temperature)
    expected = -math.fsum(x * math.log(x) for x in map(float, p) if x)
    assert entropy(p) == pytest.approx(expected, abs=1e-9)


def test_entropy_at_its_limits() -> None:
    assert entropy([0.0, 1.0, 0.0]) == 0
    assert entropy(np.full((2, 11), 1 / 11)) == pytest.approx([math.log(11)] * 2)
