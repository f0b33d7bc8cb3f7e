"""A pruned checkpoint in ONNX Runtime, without torch and without a second export.

A checkpoint's graph points into `weights.safetensors` at byte offsets. Zeroing values there, in
memory, gives the pruned network: the same graph over the same file, with zeros in it. So an
accuracy at ratio 0 is that of the published bytes, and a page can prune under the visitor's hand.
"""

import numpy as np
from numpy.typing import NDArray

from core.checkpoints import GRAPH, WEIGHTS, read_files
from core.checkpoints.tensors import DTYPES, read_header
from core.compression.prune_select import Keep
from core.measure.accuracy import Labelled
from core.serving.predict import THREADS, Heard, count_correct, open_session, run_batches


def pruned_bytes(weights: bytes, keep: Keep) -> bytes:
    """A safetensors file in which the values that `keep` does not keep are zero; same length."""
    header, changed = read_header(weights), bytearray(weights)
    for name, mask in keep.items():
        entry = header[name]
        values = np.frombuffer(changed, DTYPES[entry.dtype], mask.size, entry.begin)
        values[~mask.ravel()] = 0  # a view: writes into `changed`
    return bytes(changed)


class PrunedPredictor:
    """A checkpoint with some of its weights zeroed, ready to answer; safe to share."""

    def __init__(self, id: str, keep: Keep, threads: int = THREADS) -> None:
        """Opens a session. Raises CheckpointError if a file is not what the manifest says."""
        self.checkpoint, files = read_files(id, GRAPH, WEIGHTS)
        self._session = open_session(files[GRAPH], pruned_bytes(files[WEIGHTS], keep), threads)

    def logits(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits (N, 11) of uint8 RGB pixels (N, 3, px, px), px = `checkpoint.input_px`."""
        return run_batches(self._session, pixels)

    def correct(self, pictures: Labelled, heard: Heard | None = None) -> int:
        """How many pictures it is right about; `heard` hears of every batch."""
        return count_correct(self._session, pictures, heard)
