"""Closed forms against built networks, torchsummary's printed tables, and a real gradient."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from torch import nn

from core.models import MODELS, get
from core.models.cost import LayerRow, layer_table, state_bytes, torchsummary_text
from core.models.design.cost import Row, layer_rows, part_totals, stage_totals, totals
from core.models.design.network import DesignedNet, Residual, build
from core.models.design.plan import Conv, Part, Upsample, plan
from core.models.design.plans import KnownNetwork, describe, known, summary_mb, summary_text
from core.models.design.spec import Design, read
from tests.core.models.designs import designs

SEED: dict[str, Any] = json.loads(Path(__file__).with_name("layer_tables.json").read_text())
TABLES = SEED["models"]


def counted(rows: list[Row]) -> list[LayerRow]:
    return [LayerRow(row.layer, row.output_shape, row.params, row.macs) for row in rows]


def described_rows(found: KnownNetwork) -> list[Row]:
    return layer_rows(found.parts, found.input_px)


def test_every_seed_table_is_here() -> None:
    assert len(TABLES) == 6 and set(TABLES) <= set(known())
    assert set(known()) == set(MODELS)


@pytest.mark.parametrize("key", TABLES)
def test_seed_tables_row_by_row(key: str) -> None:
    """The reports' printed rows = the closed form = the network built from the design."""
    printed = [
        (row["layer"], tuple(row["output_shape"][1:]), row["params"]) for row in TABLES[key]["rows"]
    ]
    found = describe(key)
    assert TABLES[key]["input"] == [3, found.input_px, found.input_px]
    closed = described_rows(found)
    assert [(row.layer, row.output_shape, row.params) for row in closed] == printed
    assert totals(closed).params == TABLES[key]["total_params"]
    assert found.design is not None
    assert layer_rows(found.design) == closed
    built = layer_table(build(found.design), tuple(TABLES[key]["input"]))
    assert [(row.layer, row.output_shape, row.params) for row in built] == printed


@pytest.mark.parametrize("key", list(MODELS))
def test_registered_networks_are_described_as_they_are_built(key: str) -> None:
    """Rows with MACs, state dict bytes, memory lines and torchsummary's print, at 64 px."""
    net, found, shape = get(key).build(), describe(key), (3, 64, 64)
    rows = layer_rows(found.parts, 64)
    hooked = layer_table(net, shape)
    assert counted(rows) == hooked
    assert totals(rows).float32_bytes == state_bytes(net)
    outputs = sum(math.prod(row.output_shape) for row in hooked)
    values = (math.prod(shape), 2 * outputs, sum(row.params for row in hooked))  # 4 bytes each
    lines = tuple(4 * n / 1024**2 for n in values)
    assert summary_mb(rows, 64) == pytest.approx(lines, rel=1e-12)
    if key in ("dwpw_256k", "hw13_residual"):
        assert summary_text(rows, 64) == torchsummary_text(net, shape)


@given(designs())
@settings(max_examples=25, deadline=None)
def test_random_designs_cost_what_their_networks_cost(design: Design) -> None:
    net = build(design)
    rows = layer_rows(design)
    assert counted(rows) == layer_table(net, (3, design.input_px, design.input_px))
    sums = totals(rows)
    assert sums.params == sum(p.numel() for p in net.parameters())
    assert sums.float32_bytes == state_bytes(net)
    statistics = [t for name, t in net.state_dict().items() if "running" in name]
    assert sums.int8_bytes == sums.params + sum(t.numel() for t in statistics)
    by_part = [part for _part, part in part_totals(rows, plan(design))]
    assert sum(part.macs for part in by_part) == sums.macs
    stages = [stage_totals(rows, plan(design), number + 1) for number in range(len(design.stages))]
    assert (
        sum(stage.params for stage in stages)
        == sums.params - by_part[0].params - by_part[-1].params
    )


def test_known_receptive_fields() -> None:
    """Araujo et al. 2019 give 435 for ResNet-18; a chain of 3 x 3 convolutions sees 2 n + 1."""
    assert totals(described_rows(describe("resnet18"))).receptive_field == 435
    chain = read("px64-relu-stem4-plain4x5")
    assert totals(layer_rows(chain)).receptive_field == 2 * 6 + 1
    assert totals(described_rows(describe("hw13_sample"))).receptive_field == 24


@given(designs(most_stages=2, widest=1))
@settings(max_examples=20, deadline=None)
def test_receptive_field_is_where_the_gradient_reaches(design: Design) -> None:
    """All weights positive and no activation: every pixel that can matter gets a gradient."""
    expected = totals(layer_rows(design, 256)).receptive_field
    assume(expected < 130)
    net = linear(build(design))
    x = torch.zeros(1, 3, 256, 256, dtype=torch.float64, requires_grad=True)
    features = net.blocks(net.stem_pool(net.stem(x)))
    middle = features.shape[-1] // 2
    features[0, 0, middle, middle].backward()
    assert x.grad is not None
    rows = x.grad.abs().sum((0, 1, 3)).nonzero().flatten()
    assert int(rows.max() - rows.min()) + 1 == expected


@pytest.mark.parametrize("factor", [1.5, 2.0])
def test_receptive_field_behind_an_enlargement(factor: float) -> None:
    """What the value that sees most sees: where the finer grid lies on the pixels matters."""
    layers = (Upsample(factor), Conv(3, 1, 3, 1, 1), Conv(1, 1, 3, 2, 1), Conv(1, 1, 5, 1, 2))
    rows = layer_rows((Part("stem", layers),), 64)
    net = nn.Sequential(nn.Upsample(scale_factor=factor, mode="bilinear"))
    for row, layer in zip(rows, layers, strict=True):
        if isinstance(layer, Conv):
            shape = (layer.in_channels, layer.out_channels, layer.kernel)
            net.append(nn.Conv2d(*shape, layer.stride, layer.padding))
            nn.init.ones_(net[-1].weight)  # type: ignore[arg-type]
        x = torch.zeros(1, 3, 64, 64, requires_grad=True)
        maps = net(x)
        assert row.output_shape == tuple(maps.shape[1:])
        seen = []
        for place in range(maps.shape[-1] // 3, maps.shape[-1] // 2):
            (reached,) = torch.autograd.grad(maps[0, 0, place, place], x, retain_graph=True)
            lines = reached.abs().sum((0, 1, 3)).nonzero().flatten()
            seen.append(int(lines.max() - lines.min()) + 1)
        assert max(seen) == row.receptive_field
    assert [row.layer for row in rows][0] == "Upsample-1" and rows[0].macs == rows[0].params == 0


def linear(net: DesignedNet) -> DesignedNet:
    """The network with every layer replaced by its linear, positive kin of the same geometry."""
    for parent in list(net.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.MaxPool2d):
                size = (child.kernel_size, child.stride, child.padding)
                setattr(parent, name, nn.AvgPool2d(*size))
            elif type(child).__module__.startswith("torch.nn.modules.batchnorm") or isinstance(
                child, nn.ReLU | nn.ReLU6 | nn.Hardswish | nn.SiLU
            ):
                setattr(parent, name, nn.Identity())
        if isinstance(parent, Residual):
            parent.act = nn.Identity()
        if isinstance(parent, nn.Conv2d):
            nn.init.constant_(parent.weight, 1 / parent.weight[0].numel())
            if parent.bias is not None:
                nn.init.zeros_(parent.bias)
    return net.double().eval()
