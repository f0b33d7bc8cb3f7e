"""One layer four ways, from three trained students: what a kernel reads as it slides.

Behind a first layer of 16 channels, HW7's three small students go on to 32 channels: `plain_275k`
by a standard convolution, `dwpw_256k` by depthwise + pointwise, `group8_277k` in 8 groups.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from core.convolutions.method import Step
from core.inference.layers import Layers

PICTURE_PX = 32
"""Side of the picture; behind the first layer and its pool the maps have half of it."""
SlidingKind = Literal["picture", "standard", "depthwise", "pointwise", "group"]
SOURCES: dict[SlidingKind, tuple[str, int]] = {
    "picture": ("dwpw_256k", 0),
    "standard": ("plain_275k", 1),
    "depthwise": ("dwpw_256k", 1),
    "pointwise": ("dwpw_256k", 2),
    "group": ("group8_277k", 1),
}
"""Kind -> the registry's key of the student, and the number of its layer, from 0."""


@dataclass(frozen=True, eq=False)
class Sliding:
    """One convolution, ready to be worked out step by step."""

    kind: SlidingKind
    step: Step
    """What it costs, as the calculator counts."""
    inputs: NDArray[np.float32]
    """(C_in, h, w): what the layer reads."""
    weight: NDArray[np.float32]
    """(C_out, C_in / g, k, k)."""
    bias: NDArray[np.float32]
    """(C_out,)."""
    output: NDArray[np.float32]
    """(C_out, h', w'): what ONNX Runtime makes of it, before BatchNorm."""


def slidings(students: Mapping[str, Layers], picture: NDArray[np.uint8]) -> list[Sliding]:
    """The first layer, and the second four ways, on one picture.

    `picture`: uint8 RGB (3, PICTURE_PX, PICTURE_PX); `students`: by key, as in `SOURCES`. Raises
    LookupError where a student or its layer is missing.
    """
    made = []
    for kind, (key, number) in SOURCES.items():
        layer = students[key].layers[number]
        inputs, output = students[key].maps(picture, [layer.before, layer.sums])
        channels, height, width = inputs.shape
        step = Step(
            in_channels=channels,
            out_channels=len(layer.weight),
            kernel=(layer.weight.shape[2], layer.weight.shape[3]),
            stride=layer.strides,
            padding=layer.padding,
            groups=layer.groups,
            bias=True,
            in_size=(height, width),
        )
        made.append(Sliding(kind, step, inputs, layer.weight, layer.bias, output))
    return made
