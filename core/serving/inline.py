"""One file instead of two: a checkpoint's ONNX graph with its weights written into it, no torch.

In `pretrained/` a graph points into `weights.safetensors` (`core.serving.export`), where halved
weights are widened to float32 by a Cast node. A phone wants one file. As float32 every weight is
widened here and the Cast nodes go; as float16 both stay as they are, and the file is about half as
large. ONNX Runtime folds the Casts away when it opens the file: it computes the same either way.
"""

import numpy as np
import onnx

from core.checkpoints import WEIGHTS
from core.errors import CheckpointError
from core.serving.quantized_graph import float32_graph, stored_state
from core.words import _


def float32_file(graph: bytes, weights: bytes) -> bytes:
    """A self-contained float32 ONNX file from a checkpoint's graph and `weights.safetensors`.

    It answers to the last bit as the two files do. Raises CheckpointError where they do not belong
    together.
    """
    return float32_graph(graph, stored_state(weights), {})


def as_stored(graph: bytes, weights: bytes) -> bytes:
    """The same with every weight in the type it is stored in: halved ones stay half.

    Raises CheckpointError where the graph points at what `weights` does not hold.
    """
    model = onnx.load_model_from_string(graph)
    for tensor in model.graph.initializer:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            _fill(tensor, weights)
    return bytes(model.SerializeToString(deterministic=True))


def _fill(tensor: onnx.TensorProto, weights: bytes) -> None:
    """Put the bytes in that an external initializer points at."""
    said = {entry.key: entry.value for entry in tensor.external_data}
    try:
        at, length = int(said.get("offset", 0)), int(said["length"])
    except (KeyError, ValueError):
        at = length = -1
    item = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    sound = said.get("location") == WEIGHTS and 0 <= at <= at + length <= len(weights)
    if not sound or length != item * int(np.prod(tensor.dims, dtype=np.int64)):
        raise CheckpointError(
            _("The graph points at weights of {name} that are not there.").format(name=tensor.name)
        )
    del tensor.external_data[:]
    tensor.data_location = onnx.TensorProto.DEFAULT
    tensor.raw_data = weights[at : at + length]
