"""Every registered network as a plan, so that its layer table can be shown without torch.

The homeworks' students and ResNet-18 are designs, each a line of text; the EfficientNets are
written out from their paper's table. The networks themselves are built elsewhere (`students`,
`teachers`); a test holds each table here equal, row by row, to that of the built network.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from core.errors import UserError
from core.i18n import _
from core.models.design.cost import FLOAT_BYTES, Row
from core.models.design.plan import (
    Act,
    Conv,
    Head,
    Layer,
    Norm,
    Part,
    Plan,
    Residual,
    Upsample,
    plan,
)
from core.models.design.shipped import shipped
from core.models.design.spec import Design, read
from core.models.registry import MODELS, PREFIX, get, split_scaling

LINES = {
    "resnet18": "px128-relu-nobias-stem64k7dp3n-resnet64x2-resnet128x2d-resnet256x2d-resnet512x2d",
    "plain_2m": "px128-relu6-stem16p-plain32p-plain64p-plain128p-plain256x4",
    "dwpw_256k": "px128-relu6-stem16p-sep32p-sep64p-sep128p-sep256x4",
    "plain_275k": "px128-relu6-stem16p-plain32p-plain32p-plain64p-plain64x2-plain96-plain128",
    "group8_277k": "px128-relu6-stem16p-group32g8p-group64g8p-group128g8p-group256x4g8",
    "hw13_sample": "px224-relu-nopad-stem32-plain32p-plain64p-plain100p",
    "hw13_residual": "px224-relu-func-stem64n-basic64x2-basic128x2d",
    "hw13_residual_bottleneck": "px224-relu-func-stem64n-bottle64x2-bottle128x2d",
}
"""Registry key -> its network as a design."""


@dataclass(frozen=True)
class KnownNetwork:
    """A registered network and its layers."""

    key: str
    title: str
    family: str
    input_px: int
    """Side that the homework's tables use, or that the design names."""
    parts: Plan
    design: Design | None
    """None where the network cannot be written as a design."""


def known() -> list[str]:
    """Keys of the registered networks that can be shown without building them, in its order."""
    return [key for key in MODELS if key in LINES or key in shipped() or key in _LITES]


@lru_cache(maxsize=64)
def describe(key: str) -> KnownNetwork:
    """The network `key` (also `design:...`). Raises UserError if there is no such network."""
    spec = get(key)
    design, plain = _design(spec.key), split_scaling(spec.key)[0]
    if design is None and plain not in _LITES:
        raise UserError(_("{key} has no description without torch.").format(key=spec.key))
    parts = _efficientnet(_LITES[plain]) if design is None else plan(design)
    return KnownNetwork(spec.key, spec.title, spec.family, spec.input_px, parts, design)


def fits(key: str, px: int) -> bool:
    """Whether pictures of that side survive the network's halvings.

    True where the network is no design. Raises UserError if there is no such network.
    """
    design = _design(get(key).key)
    return design is None or min(design.model_copy(update={"input_px": px}).sides()) > 0


def _design(key: str) -> Design | None:
    key, _scaling = split_scaling(key)
    if key in LINES:
        return read(LINES[key])
    if key.startswith(PREFIX):
        return read(key.removeprefix(PREFIX))
    return shipped().get(key)


_LITE_STAGES = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)
"""Expansion, channels, blocks, first stride, kernel (Tan & Le 2019, Table 1; no squeeze-excite)."""


class _Lite(NamedTuple):
    """How a variant is scaled up from Lite0, and how much larger it looks at its input."""

    wide: float
    deep: float
    enlargement: float
    """As in `core.models.teachers`."""

    def width(self, channels: int) -> int:
        """Channels of a stage: the nearest multiple of 8, not more than a tenth below."""
        near = max(8, int(channels * self.wide + 4) // 8 * 8)
        return near if near >= 0.9 * channels * self.wide else near + 8

    def repeats(self, blocks: int, at_an_end: bool) -> int:
        """Blocks of a stage; the Lite variants leave the first and the last stage as they are."""
        return blocks if at_an_end else math.ceil(blocks * self.deep)


_LITES = {
    "efficientnet_lite0": _Lite(1.0, 1.0, 1.5),
    "efficientnet_lite2": _Lite(1.1, 1.2, 1.2),
}


def _efficientnet(lite: _Lite, classes: int = 11) -> Plan:
    """An EfficientNet-Lite as its package builds it, whose convolutions pad to ceil(side / 2),
    behind the enlargement of its input."""
    act = Act("ReLU6")

    def conv(a: int, b: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> list[Layer]:
        name = "Conv2dDynamicSamePadding"
        return [Conv(a, b, kernel, stride, 0, groups, bias=False, layer=name, same=True), Norm(b)]

    def blocks() -> Iterator[Part]:
        channels = 32
        for number, (expansion, plain, repeats, first, kernel) in enumerate(_LITE_STAGES, 1):
            width, at_an_end = lite.width(plain), number in (1, len(_LITE_STAGES))
            for block in range(1, lite.repeats(repeats, at_an_end) + 1):
                inner, stride = channels * expansion, first if block == 1 else 1
                deep = [conv(inner, inner, kernel, stride, inner), conv(inner, width)]
                widen = [conv(channels, inner)] if expansion > 1 else []
                adds = stride == 1 and channels == width
                yield Part(
                    "block",
                    (
                        Residual(
                            "MBConvBlock",
                            tuple(map(tuple, widen + deep)),
                            () if adds else None,
                            act,
                            act_last=False,
                        ),
                    ),
                    number,
                    block,
                )
                channels = width

    last: list[Layer] = [*conv(lite.width(320), 1280), act]
    return (
        Part("enlargement", (Upsample(lite.enlargement),)),
        Part("stem", (*conv(3, 32, 3, 2), act)),
        *blocks(),
        Part("block", tuple(last), len(_LITE_STAGES) + 1, 1),
        Part("head", (Head(1280, classes, dropout=True),)),
    )


# torchsummary's table as text, from rows that were counted in closed form.
#
# What `torchsummary.summary(net, input_size)` would print, to the character, without torch, without
# a forward pass and so without the harm a forward pass in train mode does to BatchNorm's
# statistics.


MIB = 1024**2
"""What torchsummary calls MB."""


def summary_mb(rows: Sequence[Row], input_px: int) -> tuple[float, float, float]:
    """torchsummary's memory lines, in MiB of float32: input, forward/backward pass, parameters.

    Each listed output counts twice, once for its gradient; what is not listed does not count.
    """
    outputs = sum(math.prod(row.output_shape) for row in rows)
    values = (3 * input_px**2, 2 * outputs, sum(row.params for row in rows))
    given, passed, weights = (n * FLOAT_BYTES / MIB for n in values)
    return given, passed, weights


def summary_text(rows: Sequence[Row], input_px: int) -> str:
    """The printed table for one picture of 3 x `input_px` x `input_px`."""
    thin, thick = "-" * 64, "=" * 64
    total = sum(row.params for row in rows)
    megabytes = summary_mb(rows, input_px)
    lines = [thin, _line("Layer (type)", "Output Shape", "Param #"), thick]
    lines += [_line(row.layer, str([-1, *row.output_shape]), f"{row.params:,}") for row in rows]
    lines += [
        thick,
        f"Total params: {total:,}",
        f"Trainable params: {total:,}",
        "Non-trainable params: 0",
        thin,
    ]
    names = ("Input size", "Forward/backward pass size", "Params size", "Estimated Total Size")
    for name, size in zip(names, (*megabytes, sum(megabytes)), strict=True):
        lines.append(f"{name} (MB): {size:.2f}")
    return "\n".join([*lines, thin]) + "\n"


def _line(layer: str, shape: str, params: str) -> str:
    return f"{layer:>20}  {shape:>25} {params:>15}"
