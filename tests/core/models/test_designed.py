"""A designed student is a network like any other: registered, trained, published, loaded."""

import json
import re
from pathlib import Path

import pytest
import torch

from core.cli.main import main
from core.cli.train import run_name
from core.collection import recipes
from core.errors import ConfigError, UserError
from core.models import registry
from core.models.cost import torchsummary_text
from core.models.design import network, plans, shipped
from core.models.design.cost import layer_rows, totals
from core.models.design.limits import budgets
from core.models.design.spec import read
from core.training.config import TrainConfig
from tests.conftest import run_python

LINE = "px32-hardswish-nobias-stem4d-inv6t2d-basic8-group8g2p"


@pytest.mark.parametrize("text", [LINE, LINE.replace("-", " ").upper(), "json"])
def test_the_registry_builds_a_design(text: str) -> None:
    if text == "json":
        text = read(LINE).to_json()
    spec = registry.get(f"design:{text}")
    assert spec.key == f"design:{LINE}" and spec.input_px == 32 and spec.family == "student"
    assert spec.slug == f"design_{read(LINE).key}"
    assert registry.get(spec.key) == spec
    torch.manual_seed(0)
    net = spec.build()
    torch.manual_seed(0)
    same = network.build(read(LINE))
    for name, tensor in same.state_dict().items():
        assert torch.equal(net.state_dict()[name], tensor)
    assert net.eval()(torch.zeros(2, 3, 32, 32)).shape == (2, 11)
    assert registry.get("dwpw_256k").slug == "dwpw_256k"
    assert registry.get("design:dwpw_256k") is registry.get("dwpw_256k")


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("design:", "at least one stage"),
        ("design:nonsense", "no part of a design"),
        ("design:sep8-out5", "5 classes"),
        ("design:{}}", "not JSON"),
        ("nonsense", "no model called"),
    ],
)
def test_a_key_that_is_no_network_is_explained(key: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        registry.get(key)


def test_a_design_that_would_fill_the_memory_is_not_built() -> None:
    huge = read("px32-relu-stem1024-plain1024x12k7-plain1024x12k7")
    with pytest.raises(ConfigError, match="are not built"):
        network.build(huge)


@pytest.mark.parametrize("is_line", [True, False])
def test_a_shipped_design_is_registered_under_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_line: bool
) -> None:
    """Its file holds a line, or what the designer saves."""
    words = {"title": "Little one", "source": "the tests"}
    design = read(LINE).model_copy(update=words)
    text = json.dumps(words | {"line": LINE}) if is_line else design.to_json()
    (tmp_path / "little.json").write_text(text, encoding="utf-8")
    monkeypatch.setattr(shipped, "DESIGNS", tmp_path)
    (spec,) = registry._shipped()
    monkeypatch.setitem(registry.MODELS, "little", spec)
    assert (spec.key, spec.slug, spec.input_px) == ("little", "little", 32)
    assert (spec.title, spec.source) == ("Little one", "the tests")
    assert registry.get("design:little") is registry.get("little") is spec
    built = sum(p.numel() for p in spec.build().parameters())
    assert built == sum(p.numel() for p in network.build(design).parameters())
    assert "little" in plans.known()
    assert plans.describe("little").design == design.model_copy(update={"name": "little"})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("not JSON", "not JSON"),
        ('{"title": "x", "line": "sep8-nonsense"}', "no part of a design"),
        ('{"colour": "red", "line": "sep8"}', "colour"),
        ('{"line": ["sep8"]}', "no part of a design"),
    ],
)
def test_a_file_that_is_no_design_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    (tmp_path / "odd.json").write_text(text, encoding="utf-8")
    monkeypatch.setattr(shipped, "DESIGNS", tmp_path)
    with pytest.raises(ConfigError, match=rf"odd\.json.*{said}"):
        shipped.shipped()


def test_every_shipped_design_is_sound() -> None:
    assert shipped.shipped()
    for name, design in shipped.shipped().items():
        assert registry.MODELS[name].input_px == design.input_px
        assert design.title and design.source
        assert sum(p.numel() for p in registry.get(name).build().parameters()) > 0


def test_the_best_student_may_be_handed_in() -> None:
    """torchsummary's own print: at most 100,000, and row by row the table that the app shows."""
    spec, found = registry.get("best_100k"), plans.describe("best_100k")
    net, shape = spec.build(), (3, spec.input_px, spec.input_px)
    printed = torchsummary_text(net, shape)
    total = int(re.findall(r"Total params: ([\d,]+)", printed)[0].replace(",", ""))
    assert total == sum(p.numel() for p in net.parameters()) <= 100_000
    rows = layer_rows(found.parts, spec.input_px)
    lines = re.findall(r"^\s*(\w+-\d+)\s+\[-1, ([\d, ]+)\]\s+([\d,]+)\s*$", printed, re.M)
    assert [(r.layer, ", ".join(map(str, r.output_shape)), f"{r.params:,}") for r in rows] == lines
    assert budgets(totals(rows))[0].answer == "within"
    assert found.family == "student" and "best_100k" in plans.known()


@pytest.mark.parametrize("schedule", ["quick", "full"])
def test_trainings_name_networks_that_there_are(schedule: recipes.Schedule) -> None:
    named = {recipe.config.model for recipe in recipes.recipes(schedule)}
    assert "best_100k" in named
    for key in named:
        assert registry.get(key).key == key


def test_two_designs_are_told_apart_by_their_titles() -> None:
    title = registry.get("design:best_100k").title
    assert title == shipped.shipped()["best_100k"].title
    line = shipped.shipped()["best_100k"].line
    thousands = round(sum(p.numel() for p in registry.get("best_100k").build().parameters()) / 1000)
    assert registry.get(f"design:{line}").title == f"Designed student, {thousands} k"
    assert registry.get("design:px32-stem1-sep1").title == "Designed student, 1 k"
    assert registry.short_name("best_100k") == "best_100k"
    assert registry.short_name(f"design:{line}") == registry.get(f"design:{line}").slug


def test_a_designed_run_has_a_short_and_safe_folder_name() -> None:
    long = "px64-relu6-stem8-" + "-".join(f"inv{16 + n}x2t3k5" for n in range(12))
    config = TrainConfig(model=f"design:{long}", px=64, seed=3)
    assert run_name(config) == f"design_{read(long).key}-s3-{config.key}"
    assert run_name(TrainConfig()).startswith("dwpw_256k-s0-")


def test_the_command_line_takes_a_design(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["summary", f"design:{LINE}", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["key"] == f"design:{LINE}"
    assert document["params"] == sum(p.numel() for p in network.build(read(LINE)).parameters())


def test_designs_are_counted_and_written_without_torch() -> None:
    program = f"""
import sys
from core.models import registry
from core.models.design import plans
from core.models.design.cost import layer_rows, totals
from core.models.design.source import pytorch_source
from core.models.design.plans import summary_text
from core.models.design.limits import budgets
for key in [*plans.known(), "design:{LINE}"]:
    found = plans.describe(key)
    rows = layer_rows(found.parts, found.input_px)
    assert budgets(totals(rows)) and summary_text(rows, found.input_px)
    assert found.design is None or pytorch_source(found.design)
assert not {{"torch", "streamlit"}} & set(sys.modules)
"""
    run_python(program)
