"""A `pretrained` folder of tiny networks, made in milliseconds without torch.

Each network compares a picture's mean colour with the hue that `tests.food` gives a class, so on
generated food it is really right or wrong; noise in its weights makes students worse than teachers.
"""

import colorsys
from pathlib import Path

import numpy as np
import onnx
import safetensors.numpy
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from core.checkpoints import GRAPH, TEST_LOGITS, WEIGHTS, Checkpoint, DataInfo, FileInfo, store
from core.course import CLASSES
from core.inference.predict import open_session, run_batches
from core.photos import prepare
from core.stats import Score
from tests.food import food_picture

PX = 32
TEACHER, SCRATCH, DISTILLED = (
    "efficientnet_lite0-imagenet-s0",
    "dwpw_256k-scratch-s0",
    "dwpw_256k-distilled-s0",
)
DATA = DataInfo(
    name="Generated colours (not Food-11)",
    fingerprint="0123456789abcdef",
    is_food11=False,
    training=110,
    validation=55,
    testing=66,
)
NOISE = {TEACHER: 0.0, SCRATCH: 0.9, DISTILLED: 0.4}
"""How far a network's weights are off: 0 knows every hue."""
_SHAPES = {  # family, recipe, title, params, macs
    TEACHER: ("teacher", "imagenet", "EfficientNet-Lite0", 3_384_871, 130_000_000),
    SCRATCH: ("student", "scratch", "DW+PW student from scratch", 256_779, 32_100_000),
    DISTILLED: ("student", "distilled", "DW+PW student, distilled", 256_779, 32_100_000),
}


def colour_graph(noise: float, seed: int = 3) -> bytes:
    """ONNX: uint8 "pixels" (N, 3, PX, PX) -> "logits" (N, 11), by distance to each class's hue."""
    hues = np.array([colorsys.hsv_to_rgb(k / len(CLASSES), 0.8, 0.8) for k in range(len(CLASSES))])
    rng = np.random.default_rng(seed)
    weight = 40 * (hues + noise * rng.normal(0, 0.15, hues.shape)).T
    bias = -20 * (hues**2).sum(axis=1)
    constants = {
        "weight": weight.astype(np.float32),
        "bias": bias.astype(np.float32),
        "scale": np.array(255, np.float32),
        "axes": np.array([2, 3], np.int64),
    }
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["pixels"], ["float"], to=TensorProto.FLOAT),
            helper.make_node("Div", ["float", "scale"], ["places"]),
            helper.make_node("ReduceMean", ["places", "axes"], ["colour"], keepdims=0),
            helper.make_node("Gemm", ["colour", "weight", "bias"], ["logits"]),
        ],
        "colour",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["N", 3, PX, PX])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 11])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def test_pictures(per_class: int = 6) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Generated test pictures as a network sees them, with their classes."""
    labels = np.repeat(np.arange(len(CLASSES)), per_class)
    seeds = range(100, 100 + len(labels))
    pictures = [
        prepare(food_picture(int(label), seed), PX)
        for label, seed in zip(labels, seeds, strict=True)
    ]
    return np.stack(pictures), labels


def fill(*ids: str, per_class: int = 6) -> None:
    """Publish tiny checkpoints under SMALL_PLATES_PRETRAINED (set it first)."""
    pixels, labels = test_pictures(per_class)
    for number, name in enumerate(ids):
        family, recipe, title, params, macs = _SHAPES[name]
        graph = colour_graph(NOISE[name])
        weights = safetensors.numpy.save({"weight": np.zeros(params // 1000, np.float32)})
        logits = run_batches(open_session(graph, weights), pixels)
        answers = safetensors.numpy.save({"logits": logits, "labels": labels})
        files = {GRAPH: graph, WEIGHTS: weights, TEST_LOGITS: answers}
        correct = int((logits.argmax(axis=1) == labels).sum())
        store(
            Checkpoint(
                id=name,
                model=name.split("-")[0],
                family=family,
                recipe=recipe,
                title=title,
                teacher=TEACHER if recipe == "distilled" else None,
                seed=0,
                epochs=3,
                input_px=PX,
                params=params,
                macs=macs,
                size_bytes=len(weights),
                weights_dtype="float32",
                files={key: FileInfo.of(content) for key, content in files.items()},
                data=DATA,
                test=Score.of(correct, len(labels)),
                config={"number": number},
                date="2026-11-22",
                device="a test",
                wall_s=1.0,
            ),
            files,
        )


def spoil(folder: Path, name: str) -> None:
    """Damage a checkpoint's graph: one byte less than the manifest says."""
    path = folder / name / GRAPH
    path.write_bytes(path.read_bytes()[:-1])
