"""A checkpoint's tensors: into a network for torch, or the stored test logits for anybody.

Only safetensors is read, after its hash was checked: nothing is unpickled. torch is imported by
the functions that return its objects, and by nothing else.
"""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from core.checkpoints.entry import TEST_LOGITS, WEIGHTS, Checkpoint
from core.checkpoints.manifest import read_files
from core.checkpoints.tensors import read_header, stored_tensors
from core.errors import CheckpointError
from core.i18n import _

if TYPE_CHECKING:
    from torch import Tensor, nn


def load_weights(id: str) -> dict[str, "Tensor"]:
    """The state dict of a checkpoint: float32 weights and statistics, int64 counters, on the CPU.

    Weights stored as float16 come back as float32. Raises CheckpointError (see `read_files`).
    """
    return _state_dict(read_files(id, WEIGHTS)[1][WEIGHTS])


def _state_dict(data: bytes) -> dict[str, "Tensor"]:
    import safetensors.torch
    import torch

    read_header(data)
    tensors = safetensors.torch.load(data)
    return {
        name: tensor.float() if tensor.dtype == torch.float16 else tensor
        for name, tensor in tensors.items()
    }


def build_network(checkpoint: Checkpoint) -> "nn.Module":
    """The network a checkpoint's weights belong to, not yet with them; as narrow as they are.

    Its factored layers are factored at the same ranks. Raises CheckpointError where the stated
    widths or ranks do not fit the model.
    """
    from core.checkpoints.ranks import set_ranks
    from core.checkpoints.widths import set_widths
    from core.models import registry

    net = set_widths(registry.get(checkpoint.model).build(), checkpoint.widths)
    return set_ranks(net, checkpoint.ranks)


def load_model(id: str) -> "nn.Module":
    """The trained network, in eval mode, on the CPU; a new one each time, yours to change.

    Raises CheckpointError if a file is not what the manifest says or does not fit the network.
    """
    checkpoint, files = read_files(id, WEIGHTS)
    net = build_network(checkpoint)
    try:
        net.load_state_dict(_state_dict(files[WEIGHTS]), strict=True)
    except RuntimeError as error:
        raise CheckpointError(
            _("The weights of {id} do not fit the network {model}.").format(
                id=id, model=checkpoint.model
            )
        ) from error
    return net.eval()


def test_logits(id: str) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """What the checkpoint answered on the test split: logits (n, 11), true classes (n,).

    Computed by the published ONNX file, in the order of the data set's index. Raises
    CheckpointError if it was published without a test split.
    """
    import safetensors.numpy

    data = read_files(id, TEST_LOGITS)[1][TEST_LOGITS]
    if set(read_header(data)) != {"logits", "labels"}:
        raise CheckpointError(_("The stored test logits of {id} are damaged.").format(id=id))
    tensors = safetensors.numpy.load(data)
    return tensors["logits"], tensors["labels"]


def checkpoint_tensors(id: str) -> dict[str, NDArray[np.float32]]:
    """`stored_tensors` of a checkpoint. Raises CheckpointError as `read_files` does."""
    return stored_tensors(read_files(id, WEIGHTS)[1][WEIGHTS])
