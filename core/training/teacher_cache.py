"""What the teacher says to a view, asked once and kept.

A view depends on its seed alone (`core.data.augment`), so the teacher's logits for it are the same
for every student, temperature, alpha and seed. They are stored under the teacher's hash, the
photographs' fingerprint and the view's settings: the second student to use them trains as fast
as from scratch. This changes no result: the student gets what it would have been told live.

On a processor the teacher answers through ONNX Runtime, several times faster than through torch.
"""

import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.data.augment import View, centre_crop
from core.paths import cache_dir, write_atomic
from core.photos import CROP
from core.training.distributed import ALONE, World
from core.training.photographs import Photographs
from core.training.speed import Compute

Ask = Callable[[Tensor], Tensor]
"""(B, 3, px, px) whole numbers on 0..255 -> (B, 11) float32 logits, on the same device."""


@dataclass
class Teacher:
    """A frozen network in eval mode and the key of its answers."""

    name: str
    sha256: str
    ask: Ask
    runtime: str
    """What computes the answers: `torch`, `torch-float16`, `onnxruntime`, or `onnxruntime-int8-`
    and a digest of the pictures that its ranges were measured on."""
    px: int
    """Side of the pictures that it is asked about."""
    crop: float = CROP
    """What it sees of a picture's centre square (`ModelSpec.crop`)."""

    def logits(self, x: Tensor) -> Tensor:
        """(B, 3, px, px) whole numbers on 0..255 -> (B, 11) float32."""
        return self.ask(x)

    def kept(self, n: int, view: dict[str, Any], world: World = ALONE) -> Tensor | None:
        """(n, 11) logits to a view (a `view_key`) of n photographs, if the store has them.

        The first process has the store; all get all answers.
        """
        stored = world.share_bytes(_read(self._file(view), n) if world.leads else None)
        if stored is None:
            return None
        return torch.from_numpy(np.load(io.BytesIO(stored), allow_pickle=False))

    def keep(self, answers: Tensor, view: dict[str, Any], world: World = ALONE) -> None:
        """Store (n, 11) logits to a view; a row is 0 in all processes but the one that asked."""
        answers = world.add(answers.cpu())
        with world.together():
            if world.leads:
                buffer = io.BytesIO()
                np.save(buffer, answers.numpy(), allow_pickle=False)
                write_atomic(self._file(view), buffer.getvalue())

    def _file(self, view: dict[str, Any]) -> Path:
        named = {"teacher": self.sha256, "runtime": self.runtime, **view}
        digest = hashlib.sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()[:20]
        return cache_dir() / "answers" / f"{digest}.npy"


def load_teacher(name: str, px: int, device: str, crop: float = CROP) -> Teacher:
    """A checkpoint of `pretrained/` as a teacher of a student that sees `px` x `px`.

    It is shown what the student is, unless it sees another share of the square's side than `crop`:
    then it has squares of its own, at its own side. It is made when it is first asked: a run that
    finds all answers in the store needs none. Raises CheckpointError if there is none of that name,
    or its files are not what they should be.
    """
    from core import checkpoints

    entry, _files = checkpoints.read_files(name, checkpoints.WEIGHTS)
    sha256 = entry.weights_sha256
    if entry.crop != crop:
        px = entry.input_px
    if torch.device(device).type == "cpu" and px == entry.input_px:
        make, runtime = partial(_through_onnxruntime, name), "onnxruntime"
    else:
        half = torch.device(device).type == "cuda"
        make = partial(_through_torch, name, device, half)
        runtime = "torch-float16" if half else "torch"  # kept answers of one are not the other's
    made = cache(make)
    return Teacher(name, sha256, lambda x: made()(x), runtime, px, entry.crop)


CALIBRATED_ON = 128
"""Photographs that an int8 teacher's ranges are measured on."""


def in_int8(teacher: Teacher, shown: Photographs) -> Teacher:
    """The same teacher answering in int8, if ONNX Runtime asks it; else the teacher as it is.

    `shown`: the training photographs as it sees them; every n-th calibrates it.
    """
    if teacher.runtime != "onnxruntime":
        return teacher
    chosen = torch.arange(0, len(shown), -(-len(shown) // CALIBRATED_ON))
    pixels = centre_crop(shown.take(chosen, "cpu"), teacher.px).to(torch.uint8).numpy()
    digest = hashlib.sha256(pixels.tobytes()).hexdigest()[:12]
    made = cache(partial(_through_int8, teacher.name, pixels))
    runtime = f"onnxruntime-int8-{digest}"
    return replace(teacher, ask=lambda x: made()(x), runtime=runtime)


def _through_onnxruntime(name: str) -> Ask:
    from core.inference.predict import Predictor

    predictor = Predictor(name, threads=torch.get_num_threads())
    return lambda x: torch.from_numpy(predictor.logits(x.to(torch.uint8).numpy()))


def _through_int8(name: str, pixels: NDArray[np.uint8]) -> Ask:
    from core import checkpoints
    from core.inference.graph import calibrate, float32_graph, int8_graph, prepared, stored_state
    from core.inference.predict import open_session, run_batches

    _entry, files = checkpoints.read_files(name, checkpoints.GRAPH, checkpoints.WEIGHTS)
    state = stored_state(files[checkpoints.WEIGHTS])
    graph = prepared(float32_graph(files[checkpoints.GRAPH], state, {}))
    quantised = int8_graph(graph, "ort_int8", calibrate(graph, pixels))
    session = open_session(quantised, threads=torch.get_num_threads())
    return lambda x: torch.from_numpy(run_batches(session, x.to(torch.uint8).numpy()))


def _through_torch(name: str, device: str, half: bool = False) -> Ask:
    """`half`: convolutions in float16, as a GPU is fastest; not bfloat16, whose three digits would
    show in softened answers."""
    from core import checkpoints
    from core.models import get

    spec = get(checkpoints.get(name).model)
    # not the student's format: the answers are kept and shared, whatever this machine trains in
    compute = Compute(device, bfloat16=False, channels_last=True)
    net = compute.place(checkpoints.load_model(name)).eval()

    @torch.inference_mode()
    def ask(x: Tensor) -> Tensor:
        with torch.autocast(torch.device(device).type, dtype=torch.float16, enabled=half):
            return net(compute.lay(spec.normalize(x))).float()

    return lambda x: ask(x).clone()  # an inference tensor could not enter the loss


def view_key(view: View, fingerprint: str, px: int, rows: np.ndarray) -> dict[str, Any]:
    """What identifies a view's pictures: the photographs, their side, and every number drawn."""
    digest = hashlib.sha256(np.ascontiguousarray(rows).tobytes())
    for tensor in (view.matrix, view.colour, view.erased, view.partner, view.lam):
        digest.update(tensor.cpu().numpy().tobytes())
    return {"data": fingerprint, "px": px, "view": digest.hexdigest()}


def _read(file: Path, n: int) -> bytes | None:
    """The stored answers, if they are whole and as many as asked for."""
    try:
        data = file.read_bytes()
        kept = np.load(io.BytesIO(data), allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return data if kept.shape == (n, 11) else None
