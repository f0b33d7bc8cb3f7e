"""What the teacher says to a view, asked once and kept.

A view depends on its seed alone (`core.data.augment`), so the teacher's logits for it are the same
for every student, temperature, alpha and seed. They are stored under the teacher's hash, the
photographs' fingerprint and the view's settings: the second student to use them trains as fast
as from scratch. This changes no result: the student gets what it would have been told live.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from core.data.augment import View
from core.models.registry import ModelSpec
from core.places import cache_dir, sha256_file, write_atomic
from core.training.speed import Compute

Batches = Iterator[tuple[Tensor, Tensor]]
"""(rows, pictures): row numbers of a batch and what the networks see of it, 0..255."""


@dataclass
class Teacher:
    """A frozen network in eval mode and the key of its answers."""

    spec: ModelSpec
    net: nn.Module
    compute: Compute
    name: str
    sha256: str

    @torch.inference_mode()
    def logits(self, x: Tensor) -> Tensor:
        """(B, 3, px, px) on 0..255 -> (B, 11) float32."""
        with self.compute.autocast():
            return self.net(self.compute.lay(self.spec.normalize(x))).float().clone()

    def answers(self, n: int, key: dict[str, Any], batches: Callable[[], Batches]) -> Tensor:
        """(n, 11) logits to one view of n photographs, from the store or asked now.

        `key` names the view; `batches` yields every row once.
        """
        named = {"teacher": self.sha256, "bfloat16": self.compute.bfloat16, **key}
        digest = hashlib.sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()[:20]
        file = cache_dir() / "answers" / f"{digest}.npy"
        kept = _read(file, n)
        if kept is not None:
            return kept
        answers = torch.zeros(n, 11)
        for rows, x in batches():
            answers[rows.cpu()] = self.logits(x).cpu()
        _write(file, answers)
        return answers


def load_teacher(name: str, device: str) -> Teacher:
    """A checkpoint of `pretrained/` as a teacher. Raises CheckpointError if there is none."""
    from core import checkpoints
    from core.models import get

    entry = checkpoints.get(name)
    net = checkpoints.load_model(name)
    for parameter in net.parameters():
        parameter.requires_grad_(False)
    # float32: the answers are kept and shared, so they should not depend on this machine's formats
    compute = Compute(device, bfloat16=False, channels_last=True)
    sha256 = sha256_file(checkpoints.folder(name) / "weights.safetensors")
    return Teacher(get(entry.model), compute.place(net).eval(), compute, name, sha256)


def view_key(view: View, fingerprint: str, px: int, rows: np.ndarray) -> dict[str, Any]:
    """What identifies a view's pictures: the photographs, their side, and every number drawn."""
    digest = hashlib.sha256(np.ascontiguousarray(rows).tobytes())
    for tensor in (view.matrix, view.colour, view.erased, view.partner, view.lam):
        digest.update(tensor.cpu().numpy().tobytes())
    return {"data": fingerprint, "px": px, "view": digest.hexdigest()}


def _read(file: Path, n: int) -> Tensor | None:
    try:
        kept = np.load(file, allow_pickle=False)
    except (OSError, ValueError):
        return None
    return torch.from_numpy(kept) if kept.shape == (n, 11) else None


def _write(file: Path, answers: Tensor) -> None:
    import io

    buffer = io.BytesIO()
    np.save(buffer, answers.numpy(), allow_pickle=False)
    write_atomic(file, buffer.getvalue())
