"""torchsummary's table as text, from rows that were counted in closed form.

What `torchsummary.summary(net, input_size)` would print, to the character, without torch, without
a forward pass and so without the harm a forward pass in train mode does to BatchNorm's statistics.
"""

import math
from collections.abc import Sequence

from core.models.design_cost import FLOAT_BYTES, Row

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
