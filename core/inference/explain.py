"""Where a network looks: its class activation map, exact for networks that end as all of ours do.

A network whose last feature maps F (channels, h, w) are averaged over their places and then go
through a linear layer (A, b) gives class c the logit

    z_c = sum_k A_ck mean_xy F_k(x, y) + b_c = mean_xy ( sum_k A_ck F_k(x, y) + b_c )

The term in brackets is the map: what each place adds to the class; its mean is the logit (Zhou et
al. 2016, Learning Deep Features for Discriminative Localization). Nothing is estimated: the ONNX
graph gives F as a second output, and the linear layer's weights are read from it.

What a map cannot tell: whether the network is right, or what it would see without that place. Many
such pictures look convincing for a network with random weights, too (Adebayo et al. 2018, Sanity
Checks for Saliency Maps).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper
from PIL import Image

from core.checkpoints import GRAPH, WEIGHTS, Checkpoint, read_files
from core.checkpoints.tensors import read_header
from core.course import CLASSES
from core.errors import CheckpointError
from core.i18n import _
from core.inference.predict import linear_end, open_session, shared
from core.photos import prepare


@dataclass(frozen=True, eq=False)
class Explanation:
    """What one checkpoint sees where, of one photo."""

    checkpoint: str
    """Its id."""
    label: int
    """The class that the map is of, 0..10."""
    map: NDArray[np.float32]
    """(h, w): what each place adds to the class; its mean is the logit."""
    stride: int
    """Pixels of the network's input from one place to the next."""


class Explainer:
    """One network that says where it looks."""

    def __init__(self, graph: bytes, weights: bytes | None = None, threads: int = 1) -> None:
        """`graph`: an ONNX file; `weights`: the safetensors file it points into, if it does.

        Raises CheckpointError if it does not end in an average over places and linear layers.
        """
        model = onnx.load_model_from_string(graph)
        features, self._head, self._bias = _linear_head(model.graph, weights)
        model.graph.output.append(onnx.ValueInfoProto(name=features))
        self._outputs = ["logits", features]
        self._session = open_session(model.SerializeToString(), weights, threads, keep_memory=False)

    def maps(self, pixels: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Logits (N, 11) and maps (N, 11, h, w) of uint8 RGB pixels (N, 3, px, px)."""
        logits, features = self._session.run(self._outputs, {"pixels": pixels})
        maps = np.einsum("ck,nkyx->ncyx", self._head, features) + self._bias[:, None, None]
        return logits, maps.astype(np.float32)


def _linear_head(
    graph: Any, weights: bytes | None
) -> tuple[str, NDArray[np.float64], NDArray[np.float64]]:
    """Name of the last feature maps, and what turns their mean into logits: (11, C) and (11,)."""
    end = linear_end(graph)
    if end is None:
        raise CheckpointError(
            _("This network does not end in an average over places and a linear layer.")
        )
    made_by = {name: node for node in graph.node for name in node.output}
    constants = {each.name: each for each in graph.initializer}
    matrix, bias = np.eye(len(CLASSES)), np.zeros(len(CLASSES))
    for node in end[1]:
        settings = {each.name: each for each in node.attribute}
        weight = constant(node.input[1], made_by, constants, weights)
        if "transB" not in settings or not settings["transB"].i:
            weight = weight.T
        if len(node.input) > 2:
            bias = bias + matrix @ constant(node.input[2], made_by, constants, weights)
        matrix = matrix @ weight
    return end[0], matrix, bias


def constant(
    name: str, made_by: dict[str, Any], constants: dict[str, Any], weights: bytes | None
) -> NDArray[np.float64]:
    """The value of a stored tensor; of one stored in half precision or in 8 bits, in full."""
    node = made_by.get(name)
    if node is not None and node.op_type == "Cast":
        return constant(node.input[0], made_by, constants, weights)
    if node is not None and node.op_type == "DequantizeLinear":
        codes, scale, zero = (constant(part, made_by, constants, weights) for part in node.input)
        axis = next((each.i for each in node.attribute if each.name == "axis"), 1)
        shape = [1] * codes.ndim
        if scale.ndim:
            shape[axis] = -1
        restored: NDArray[np.float64] = (codes - zero.reshape(shape)) * scale.reshape(shape)
        return restored
    if name not in constants:
        raise CheckpointError(_("This network's last layer is not stored as weights."))
    stored = constants[name]
    where = {each.key: each.value for each in stored.external_data}
    if not where:
        return numpy_helper.to_array(stored).astype(np.float64)
    if weights is None:
        raise CheckpointError(_("The weights of this network are missing."))
    begin = int(where["offset"])
    dtype = onnx.helper.tensor_dtype_to_np_dtype(stored.data_type)
    values = np.frombuffer(weights[begin : begin + int(where["length"])], dtype)
    return values.reshape(stored.dims).astype(np.float64)


def shuffled(weights: bytes, seed: int = 0) -> bytes:
    """A safetensors file whose convolutions and linear layers have their numbers shuffled.

    Each keeps its values, and so its scale, but no longer knows anything: what it shows is what the
    picture alone shows.
    """
    rng, data = np.random.default_rng(seed), bytearray(weights)
    for entry in read_header(weights).values():
        if len(entry.shape) > 1:
            size = (entry.end - entry.begin) // int(np.prod(entry.shape))
            numbers = np.frombuffer(weights[entry.begin : entry.end], f"V{size}")
            data[entry.begin : entry.end] = rng.permutation(numbers).tobytes()
    return bytes(data)


def highlighted(view: NDArray[np.uint8], map: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The picture (h, w, 3), bright where the map is high; dark where it is 0 or below.

    The map is stretched over the picture by straight lines between its places.
    """
    height, width = view.shape[:2]
    top = max(float(map.max()), 1e-9)
    small = Image.fromarray(np.clip(map / top, 0, 1).astype(np.float32), mode="F")
    light = np.asarray(small.resize((width, height), Image.Resampling.BILINEAR))
    lit: NDArray[np.uint8] = (view * (0.15 + 0.85 * light[..., None])).round().astype(np.uint8)
    return lit


def explainer(checkpoint: Checkpoint, is_shuffled: bool = False) -> Explainer:
    """The shared explainer of a checkpoint, or of one with its weights `shuffled`.

    Raises CheckpointError if its files are not sound.
    """

    def opened() -> Explainer:
        files = read_files(checkpoint.id, GRAPH, WEIGHTS)[1]
        weights = files.pop(WEIGHTS)
        return Explainer(files[GRAPH], shuffled(weights) if is_shuffled else weights)

    return shared(checkpoint, opened, "explainer", is_shuffled)


def explain_photo(
    image: Image.Image, checkpoint: Checkpoint, by: Explainer, label: int | None = None
) -> Explanation:
    """Where the network `by`, which takes pictures as `checkpoint` does, looks in an RGB photo.

    `label`: the class that it looks for; without it, its own answer.
    """
    px = checkpoint.input_px
    logits, maps = by.maps(prepare(image, px, checkpoint.crop)[None])
    shown = int(logits[0].argmax()) if label is None else label
    return Explanation(checkpoint.id, shown, maps[0, shown], px // maps.shape[-1])
