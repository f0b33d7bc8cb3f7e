"""From a trained network to a checkpoint: choose the precision, export, measure what ships, store.

The accuracies in the manifest are those of the published bytes through ONNX Runtime, not of the
network that was trained: whoever measures again gets the same count.
"""

import copy
import importlib.metadata
import platform
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from core.checkpoints.entry import Checkpoint, CheckpointId, DataInfo, FileInfo, HalfPrecision
from core.checkpoints.history import HISTORY, History
from core.checkpoints.manifest import GRAPH, TEST_LOGITS, WEIGHTS, store
from core.errors import CheckpointError
from core.measure.accuracy import Labelled, Score
from core.words import _

if TYPE_CHECKING:
    from torch import nn

    from core.models.registry import ModelSpec

HALF_AGREEMENT = 0.998
"""Share of validation pictures that must keep their class for float16 to count as harmless.

One of the 863 may change: a near tie that any processor may break another way, and 0.1 points where
the interval of the accuracy has six. 0.999 would have meant none."""
PARITY = 1e-4
_PARITY_PICTURES = 16

Dtype = Literal["float16", "float32"]


class _Stored(NamedTuple):
    """One way of storing the network, and what it answers on the validation pictures."""

    weights: bytes
    graph: bytes
    validation: NDArray[np.float32] | None


def publish(
    net: "nn.Module",
    *,
    id: str,
    spec: "ModelSpec",
    recipe: str,
    title: str,
    seed: int,
    epochs: int,
    input_px: int,
    data: DataInfo,
    validation: Labelled | None,
    test: Labelled | None,
    config: dict[str, Any],
    device: str,
    wall_s: float,
    teacher: str | None = None,
    commit: str | None = None,
    history: History | None = None,
    root: Path | None = None,
) -> Checkpoint:
    """Make `net` the checkpoint `id`: weights, ONNX graph, test logits and manifest entry.

    It goes into `pretrained/`, or into `root` where one is given.

    `validation` and `test`: pictures at `input_px` with their classes
    (`core.measure.accuracy.labelled`); None leaves that score out. Convolution and linear weights
    are stored as float16 if the number of right validation answers stays the same, or 99.8 % of
    the answers do; as float32 otherwise, and where there is nothing to compare on. `history`: how
    the training went, if known. `net` is not changed. Raises CheckpointError if the exported graph
    does not answer as the network does, or as `store` does; ValueError for an id that is no folder
    name.
    """
    import torch

    from core.compression.lowrank_ranks import found_ranks, whole_shapes
    from core.compression.widths import changed_widths
    from core.measure.cost import count_macs, count_params
    from core.serving.export import trace

    TypeAdapter(CheckpointId).validate_python(id)  # before the minutes that follow
    plain = copy.deepcopy(net).cpu().float().eval()
    with torch.random.fork_rng():  # building draws weights, which are not needed here
        original = spec.build()
        widths = changed_widths(whole_shapes(plain, original), original)
    model = trace(plain, spec, input_px)

    def stored(dtype: Dtype) -> _Stored:
        from core.serving.export import onnx_bytes

        weights = weights_bytes(plain, dtype, {"checkpoint": id, "model": spec.key})
        graph = onnx_bytes(model, weights, WEIGHTS)
        answers = None if validation is None else _logits(graph, weights, validation.pixels)
        return _Stored(weights, graph, answers)

    chosen, verdict = stored("float32"), None
    dtype: Dtype = "float32"
    if validation is not None and chosen.validation is not None:
        half = stored("float16")
        assert half.validation is not None
        verdict = _compare(chosen.validation, half.validation, validation.labels)
        if _is_harmless(verdict):
            chosen, dtype = half, "float16"
    _check_parity(plain, spec, chosen, input_px, validation or test)

    files = {WEIGHTS: chosen.weights, GRAPH: chosen.graph}
    test_score = None
    if history is not None:
        files[HISTORY] = history.to_bytes()
    if test is not None:
        logits = _logits(chosen.graph, chosen.weights, test.pixels)
        files[TEST_LOGITS] = _logits_bytes(logits, test.labels, id, data.fingerprint)
        test_score = Score.from_logits(logits, test.labels)
    checkpoint = Checkpoint(
        id=id,
        model=spec.key,
        family=spec.family,
        recipe=recipe,
        title=title,
        teacher=teacher,
        seed=seed,
        epochs=epochs,
        input_px=input_px,
        crop=spec.crop,
        params=count_params(plain),
        macs=count_macs(plain, (3, input_px, input_px)),
        size_bytes=len(chosen.weights),
        weights_dtype=dtype,
        half_precision=verdict,
        files={name: FileInfo.of(content) for name, content in files.items()},
        data=data,
        validation=None
        if validation is None or chosen.validation is None
        else Score.from_logits(chosen.validation, validation.labels),
        test=test_score,
        config=config,
        widths=widths,
        ranks=found_ranks(plain),
        commit=commit,
        date=date.today().isoformat(),
        device=device,
        wall_s=wall_s,
        versions=_versions(),
    )
    store(checkpoint, files, root)
    return checkpoint


def weights_bytes(net: "nn.Module", dtype: Dtype, metadata: dict[str, str]) -> bytes:
    """The state dict as safetensors; with float16, tensors of two or more dimensions are halved.

    Those are the weights of convolutions and linear layers; biases and BatchNorm's tensors have
    one dimension, are few, and keep float32. A weight too large for float16 keeps the tensor.
    """
    import safetensors.torch
    import torch

    def shrunk(tensor: torch.Tensor) -> torch.Tensor:
        if dtype == "float32" or tensor.dim() < 2 or not tensor.is_floating_point():
            return tensor
        half = tensor.half()
        return half if bool(half.isfinite().all()) else tensor

    tensors = {name: shrunk(t).contiguous().clone() for name, t in net.state_dict().items()}
    return safetensors.torch.save(tensors, metadata)


def _logits(graph: bytes, weights: bytes, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    from core.serving.predict import open_session, run_batches

    return run_batches(open_session(graph, weights), pixels)


def _compare(
    full: NDArray[np.float32], half: NDArray[np.float32], labels: NDArray[np.int64]
) -> HalfPrecision:
    a, b = full.argmax(1), half.argmax(1)
    return HalfPrecision(
        n=len(labels),
        correct_float32=int((a == labels).sum()),
        correct_float16=int((b == labels).sum()),
        agreement=float((a == b).mean()),
    )


def _is_harmless(verdict: HalfPrecision) -> bool:
    same_count = verdict.correct_float16 == verdict.correct_float32
    return same_count or verdict.agreement >= HALF_AGREEMENT


def _check_parity(
    net: "nn.Module", spec: "ModelSpec", chosen: _Stored, px: int, pictures: Labelled | None
) -> None:
    """Raises CheckpointError unless torch, with the stored weights, gives the graph's logits."""
    import safetensors.torch
    import torch

    if pictures is not None:
        pixels = pictures.pixels[:_PARITY_PICTURES]
    else:
        shape = (_PARITY_PICTURES, 3, px, px)
        pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    stored = copy.deepcopy(net)
    stored.load_state_dict(safetensors.torch.load(chosen.weights))
    with torch.inference_mode():
        expected = stored(spec.normalize(torch.from_numpy(pixels.copy()))).numpy()
    got = _logits(chosen.graph, chosen.weights, pixels)
    if not np.allclose(got, expected, rtol=PARITY, atol=PARITY):
        raise CheckpointError(
            _(
                "The ONNX export does not answer as the network does (logits differ by {gap:.2g}). "
                "Nothing was published."
            ).format(gap=float(np.abs(got - expected).max()))
        )


def _logits_bytes(
    logits: NDArray[np.float32], labels: NDArray[np.int64], id: str, fingerprint: str
) -> bytes:
    import safetensors.numpy

    tensors: dict[str, NDArray[Any]] = {
        "logits": np.ascontiguousarray(logits),
        "labels": labels.astype(np.int64),
    }
    metadata = {"checkpoint": id, "split": "testing", "fingerprint": fingerprint}
    return safetensors.numpy.save(tensors, metadata)


def _versions() -> dict[str, str]:
    packages = ("torch", "onnxruntime", "onnx", "safetensors", "numpy", "pillow")
    return {"python": platform.python_version()} | {
        name: importlib.metadata.version(name) for name in packages
    }
