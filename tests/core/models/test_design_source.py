"""The downloaded source, run as a reader would run it, is the network that was shown."""

from types import ModuleType

import pytest
import torch
from hypothesis import given, settings
from torch import nn

from core.models.cost import layer_table
from core.models.design.cost import layer_rows
from core.models.design.network import build
from core.models.design.plans import describe
from core.models.design.source import pytorch_source
from core.models.design.spec import Design
from tests.core.models.designs import designs


def student(source: str) -> nn.Module:
    """`Student()` of a module with this text, which may import torch and the standard library."""
    module = ModuleType("downloaded")
    exec(compile(source, "downloaded.py", "exec"), module.__dict__)
    net: nn.Module = module.Student()
    return net


def check(design: Design) -> None:
    source = pytorch_source(design)
    assert "core" not in source.split('"""')[2] and "import" in source
    net, built = student(source), build(design).eval()
    shown = [(r.layer, r.output_shape, r.params, r.macs) for r in layer_rows(design)]
    table = layer_table(net, (3, design.input_px, design.input_px))
    assert [(r.layer, r.output_shape, r.params, r.macs) for r in table] == shown
    net.load_state_dict(built.state_dict(), strict=True)
    pictures = torch.randn(2, 3, design.input_px, design.input_px)
    with torch.inference_mode():
        assert torch.equal(net.eval()(pictures), built(pictures))


@pytest.mark.parametrize("key", ["resnet18", "hw13_sample", "hw13_residual"])
def test_sources_of_the_registered_networks(key: str) -> None:
    design = describe(key).design
    assert design is not None
    check(design.model_copy(update={"input_px": 64}))


@given(designs())
@settings(max_examples=20, deadline=None)
def test_sources_of_random_designs(design: Design) -> None:
    check(design)


def test_the_source_is_written_as_ruff_would_write_it() -> None:
    """Readable: short lines, no trailing blanks, its own docstring with the count."""
    design = describe("hw13_residual").design
    assert design is not None
    lines = pytorch_source(design).splitlines()
    assert max(map(len, lines)) <= 100 and not [line for line in lines if line != line.rstrip()]
    assert "96,587 parameters" in lines[0]
