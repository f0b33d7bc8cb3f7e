"""What a plan costs, in closed form: parameters, MACs, memory, receptive field, layer by layer.

The rows are torchsummary's, to the digit, without a network, torch or a photograph: a convolution
of C_in to C_out channels, kernel k, g groups, giving H x W values a channel, has

    params = C_out (C_in / g) k^2 (+ C_out biases)        MACs = H W C_out (C_in / g) k^2

The receptive field r (side, in pixels, of the square of the picture that one output value can see)
and the jump j (distance in the picture between two neighbouring values) grow as
r' = r + (k - 1) j, j' = s j (Araujo et al. 2019, "Computing receptive fields", Distill). A bilinear
enlargement by f lies between two neighbours and steps more finely: r' = r + j, j' = j / f.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from fractions import Fraction

from core.models.design.plan import (
    Act,
    Conv,
    Head,
    Layer,
    MaxPool,
    Norm,
    Part,
    Plan,
    Residual,
    Upsample,
    plan,
)
from core.models.design.spec import Design

FLOAT_BYTES = 4
COUNTER_BYTES = 8
"""BatchNorm's `num_batches_tracked`, an int64."""


@dataclass(frozen=True)
class Row:
    """One line of the layer table. `output_shape`: (channels, height, width) or (features,)."""

    layer: str
    """torchsummary's name: class and running number."""
    output_shape: tuple[int, ...]
    params: int
    macs: int
    receptive_field: int
    """Side in whole pixels of what one output value can see at most; may exceed the picture."""
    part: int
    """Index of the part of the plan that the layer belongs to."""
    statistics: int = 0
    """BatchNorm's running means and variances: stored with the weights, not counted as such."""

    @property
    def activation_bytes(self) -> int:
        """Bytes of the output for one picture, as float32."""
        return FLOAT_BYTES * math.prod(self.output_shape)


@dataclass(frozen=True)
class Totals:
    """Sums over a table, for one picture."""

    params: int
    macs: int
    layers: int
    """Convolutions and linear layers."""
    receptive_field: int
    """Before the global pool."""
    activation_bytes: int
    """Of all listed outputs together, float32."""
    statistics: int
    counters: int

    @property
    def float32_bytes(self) -> int:
        """The state dict as float32: weights, biases, BatchNorm's statistics and counters."""
        values = self.params + self.statistics
        return FLOAT_BYTES * values + COUNTER_BYTES * self.counters

    @property
    def int8_bytes(self) -> int:
        """The same at one byte a value; counters, scales and the file's header not counted."""
        return self.params + self.statistics


@dataclass(frozen=True)
class Flow:
    """What passes from layer to layer: channels, side, receptive field, jump.

    The last two are whole numbers until something is enlarged.
    """

    channels: int
    side: int
    field: int | Fraction = 1
    jump: int | Fraction = 1

    @property
    def shape(self) -> tuple[int, int, int]:
        return (self.channels, self.side, self.side)

    def window(self, kernel: int, stride: int, side: int, channels: int) -> "Flow":
        wider = self.field + (kernel - 1) * self.jump
        return Flow(channels, side, wider, self.jump * stride)


@dataclass
class Table:
    """The rows so far, and the part of the plan that is being walked."""

    rows: list[Row] = field(default_factory=list)
    part: int = 0

    def add(
        self,
        layer: str,
        shape: tuple[int, ...],
        seen: int | Fraction,
        params: int = 0,
        macs: int = 0,
        statistics: int = 0,
    ) -> None:
        name = f"{layer}-{len(self.rows) + 1}"
        self.rows.append(Row(name, shape, params, macs, math.ceil(seen), self.part, statistics))


def layer_rows(of: Design | Plan, input_px: int | None = None) -> list[Row]:
    """The layer table of a design, or of a plan, for one picture of 3 x `input_px` x `input_px`.

    `input_px` is the design's own unless given; a plan needs it. A plan must fit its picture (a
    valid design does, at its own side).
    """
    parts = plan(of) if isinstance(of, Design) else of
    if input_px is None:
        assert isinstance(of, Design)
        input_px = of.input_px
    table, flow = Table(), Flow(3, input_px)
    for table.part, part in enumerate(parts):
        flow = _walk(part.layers, flow, table)
    return table.rows


def totals(rows: Iterable[Row]) -> Totals:
    """The table's sums."""
    rows = list(rows)
    images = [row for row in rows if len(row.output_shape) == 3 and row.output_shape[1] > 1]
    return Totals(
        params=sum(row.params for row in rows),
        macs=sum(row.macs for row in rows),
        layers=sum(row.macs > 0 for row in rows),
        receptive_field=max((row.receptive_field for row in images), default=1),
        activation_bytes=sum(row.activation_bytes for row in rows),
        statistics=sum(row.statistics for row in rows),
        counters=sum(row.statistics > 0 for row in rows),
    )


def part_totals(rows: Iterable[Row], parts: Plan) -> list[tuple[Part, Totals]]:
    """Each part of the plan with the sums over its rows."""
    by_part: list[list[Row]] = [[] for _part in parts]
    for row in rows:
        by_part[row.part].append(row)
    return [(part, totals(own)) for part, own in zip(parts, by_part, strict=True)]


def stage_totals(rows: Iterable[Row], parts: Plan, stage: int) -> Totals:
    """The sums over all blocks of one stage, numbered from 1."""
    return totals(row for row in rows if parts[row.part].stage == stage)


def _walk(layers: Iterable[Layer], flow: Flow, table: Table) -> Flow:
    for layer in layers:
        flow = _WALKERS[type(layer)](layer, flow, table)
    return flow


def count_conv(conv: Conv, flow: Flow, table: Table) -> Flow:
    """Put a convolution's row into the table; returns what flows out of it."""
    if conv.same:
        side = math.ceil(flow.side / conv.stride)
    else:
        side = (flow.side + 2 * conv.padding - conv.kernel) // conv.stride + 1
    weights = conv.out_channels * (conv.in_channels // conv.groups) * conv.kernel**2
    flow = flow.window(conv.kernel, conv.stride, side, conv.out_channels)
    params = weights + (conv.out_channels if conv.bias else 0)
    table.add(conv.layer, flow.shape, flow.field, params, weights * side**2)
    return flow


def _norm(norm: Norm, flow: Flow, table: Table) -> Flow:
    both = 2 * norm.channels  # gamma and beta; as many running means and variances
    table.add("BatchNorm2d", flow.shape, flow.field, params=both, statistics=both)
    return flow


def _act(act: Act, flow: Flow, table: Table) -> Flow:
    if act.listed:
        table.add(act.layer, flow.shape, flow.field)
    return flow


def _max_pool(pool: MaxPool, flow: Flow, table: Table) -> Flow:
    side = (flow.side + 2 * pool.padding - pool.kernel) // pool.stride + 1
    flow = flow.window(pool.kernel, pool.stride, side, flow.channels)
    table.add("MaxPool2d", flow.shape, flow.field)
    return flow


def _upsample(upsample: Upsample, flow: Flow, table: Table) -> Flow:
    side = math.floor(flow.side * upsample.factor)
    finer = flow.jump / Fraction(upsample.factor)
    flow = Flow(flow.channels, side, flow.field + flow.jump, finer)
    table.add("Upsample", flow.shape, flow.field)
    return flow


def _head(head: Head, flow: Flow, table: Table) -> Flow:
    flow = flow.window(flow.side, 1, 1, head.channels)
    if head.pool_listed:
        table.add("AdaptiveAvgPool2d", flow.shape, flow.field)
    if head.dropout:
        table.add("Dropout", (head.channels,), flow.field)
    weights = head.channels * head.classes
    table.add("Linear", (head.classes,), flow.field, weights + head.classes, weights)
    return flow


def _residual(block: Residual, flow: Flow, table: Table) -> Flow:
    start = flow
    for number, part in enumerate(block.parts):
        if number:
            _act(block.act, flow, table)
        flow = _walk(part, flow, table)
    if block.shortcut is not None:
        beside = _walk(block.shortcut, start, table)
        flow = replace(flow, field=max(flow.field, beside.field))
    if block.act_last:
        _act(block.act, flow, table)
    table.add(block.layer, flow.shape, flow.field)
    return flow


_WALKERS: dict[type, Callable[..., Flow]] = {
    Conv: count_conv,
    Norm: _norm,
    Act: _act,
    MaxPool: _max_pool,
    Upsample: _upsample,
    Head: _head,
    Residual: _residual,
}
