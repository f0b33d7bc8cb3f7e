"""Networks that strangers bring: which they are, loaded exactly, and what is refused."""

import argparse
import io
import os
import pathlib
import re
import sys
import types
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
import safetensors.torch
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from core.errors import CheckpointError, UserError
from core.models import registry
from core.models.design import plans
from core.models.design.network import build
from core.models.design.plan import state_shapes
from core.models.design.spec import read as design
from core.own.file import Match, find, read
from core.own.network import loaded
from core.quantization.hw7 import encode8
from core.quantization.upload import HOSTILE

SMALL = "px32-relu6-stem8p-sep16p-plain12"
WIDE = "px128-relu6-stem24p-sep40p-sep64p-sep100p-sep120x3-sep80"
"""The homework's student with other channel counts."""
State = dict[str, torch.Tensor]


def trained(net: nn.Module, seed: int = 0) -> nn.Module:
    """Random weights, and statistics that are not BatchNorm's defaults."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in net.state_dict().items():
            if tensor.is_floating_point():
                values = torch.randn(tensor.shape, generator=generator) * 0.2
                tensor.copy_(values.abs() + 0.5 if name.endswith("running_var") else values)
    return net.eval()


def homework_student(base: int = 16) -> nn.Module:
    """HW7's student as its notebook builds it: `cnn` in `cnn`, and `fc.0`."""

    def block(a: int, b: int, pool: bool) -> nn.Sequential:
        layers = [nn.Conv2d(a, a, 3, 1, 1, groups=a), nn.BatchNorm2d(a), nn.ReLU6()]
        layers += [nn.Conv2d(a, b, 1)] + [nn.MaxPool2d(2, 2, 0)] * pool
        return nn.Sequential(*layers)

    class StudentNet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            wide = [base * m for m in (1, 2, 4, 8, 16, 16, 16, 16)]
            first = [nn.Conv2d(3, wide[0], 3, 1, 1), nn.BatchNorm2d(wide[0]), nn.ReLU6()]
            blocks = [block(a, b, n < 3) for n, (a, b) in enumerate(zip(wide, wide[1:]))]  # noqa: B905
            pool = nn.AdaptiveAvgPool2d((1, 1))
            self.cnn = nn.Sequential(nn.Sequential(*first, nn.MaxPool2d(2, 2, 0)), *blocks, pool)
            self.fc = nn.Sequential(nn.Linear(wide[-1], 11))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.fc(self.cnn(x).flatten(1))

    return trained(StudentNet())


def saved(what: Any) -> bytes:
    file = io.BytesIO()
    torch.save(what, file)
    return file.getvalue()


def named(state: State, change: Callable[[str], str]) -> State:
    return {change(name): tensor for name, tensor in state.items()}


def lightning(state: State) -> bytes:
    """A training module's checkpoint: the student, its teacher, and all that Lightning keeps."""
    teacher = trained(registry.get("hw13_sample").build(), 7).state_dict()
    both = named(teacher, "teacher.".__add__) | named(state, "student.".__add__)
    return saved(
        {
            "epoch": 3, "global_step": 120, "pytorch-lightning_version": "2.4.0",
            "state_dict": both, "hyper_parameters": {"lr": 1e-3, "T": 20},
            "callbacks": {"ModelCheckpoint{'monitor': 'val_acc'}": {"best_model_path": "a.ckpt"}},
            "args": argparse.Namespace(lr=1e-3), "device": torch.device("cpu"),
            "folder": pathlib.PurePosixPath("runs"), "size": torch.Size([3, 64, 64]),
            "optimizer_states": [], "lr_schedulers": [], "loops": {"fit_loop": {"state_dict": {}}},
        }
    )  # fmt: skip


def masked(net: nn.Module) -> tuple[bytes, nn.Module]:
    """A network in the middle of HW13's pruning, and the same with its zeros in place."""
    from torch.nn.utils import prune

    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            prune.l1_unstructured(module, "weight", 0.4)
    data = saved(net.state_dict())
    return data, net


FORMS: dict[str, Callable[[State], bytes]] = {
    "plain": saved,
    "parallel": lambda state: saved(named(state, "module.".__add__)),
    "wrapped": lambda state: saved({"model_state_dict": state, "epoch": 3, "best": 0.8}),
    "state_dict": lambda state: saved({"state_dict": named(state, "model.".__add__)}),
    "lightning": lightning,
    "safetensors": lambda state: safetensors.torch.save({n: t.clone() for n, t in state.items()}),
    "other_names": lambda state: saved(
        named(state, lambda name: name.replace("cnn", "features").replace("fc.0", "head"))
    ),
    "counted": lambda state: saved(
        {"total_ops": torch.zeros(1), "cnn.0.total_params": torch.zeros(1), **state}
    ),
}


def state_of(net: nn.Module) -> State:
    return {name: tensor.clone() for name, tensor in net.state_dict().items()}


def opened(data: bytes, model: str = "") -> tuple[Match, nn.Module]:
    """What the file is taken for, and the network with its weights."""
    state = read(data)
    match = find({name: array.shape for name, array in state.items()}, model)[0]
    return match, loaded(registry.get(match.model).build(), state, match)


def gap(a: nn.Module, b: nn.Module, px: int = 64) -> float:
    """The largest difference of their logits."""
    x = torch.randn(2, 3, px, px, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        return float((a(x) - b(x)).abs().max())


@pytest.mark.parametrize("form", FORMS)
def test_files_as_homeworks_hand_them_on_are_recognised_and_answer_alike(form: str) -> None:
    net = homework_student()
    match, ours = opened(FORMS[form](state_of(net)))
    assert match.model == "dwpw_256k" and not match.folded
    assert gap(net, ours) < 1e-4


def test_halves_and_eight_bits() -> None:
    net = homework_student()
    state = state_of(net)
    halves = {n: t.half() if t.is_floating_point() else t for n, t in state.items()}
    for data in (saved(halves), encode8({n: t.numpy() for n, t in state.items()})):
        match, ours = opened(data)
        assert match.model == "dwpw_256k"
        for name, tensor in ours.state_dict().items():
            theirs = dict(zip(ours.state_dict(), state.values(), strict=True))[name]
            span = float(theirs.max() - theirs.min()) if theirs.ndim else 0.0
            assert torch.allclose(tensor, theirs, atol=span / 255 + 1e-6)


@pytest.mark.parametrize("key", ["resnet18", "hw13_residual", "plain_275k", "group8_277k"])
def test_the_networks_of_the_homeworks(key: str) -> None:
    net = trained(registry.get(key).build())
    match, ours = opened(saved(named(state_of(net), "net.".__add__)))
    assert match.model == key
    assert gap(net, ours) < 1e-4


def test_other_channel_counts_become_a_design() -> None:
    net = homework_student(base=12)
    match, ours = opened(saved(net.state_dict()))
    assert match.model.startswith("design:") and "sep192x4" in match.model
    assert gap(net, ours) < 1e-4
    net = trained(build(design(WIDE)))
    match, ours = opened(saved(net.state_dict()))
    assert match.model == f"design:{WIDE}"
    assert gap(net, ours) < 1e-4


def test_a_design_line_says_what_no_known_network_is() -> None:
    net = trained(build(design(SMALL)))
    data = saved(net.state_dict())
    with pytest.raises(CheckpointError, match="design in one line"):
        opened(data)
    match, ours = opened(data, f"design:{SMALL}")
    assert gap(net, ours, 32) < 1e-4
    # names that say which is which count, in whatever order: safetensors sorts them
    by_name = safetensors.torch.save(state_of(net))
    assert gap(net, opened(by_name, f"design:{SMALL}")[1], 32) < 1e-4


def test_pruned_with_masks() -> None:
    data, net = masked(homework_student())
    match, ours = opened(data)
    assert match.model == "dwpw_256k"
    assert gap(net, ours) < 1e-4
    weight = ours.get_parameter("features.1.0.weight")
    assert float((weight == 0).float().mean()) > 0.3


@pytest.mark.parametrize("key", plans.LINES)
def test_state_shapes_are_those_of_what_is_built(key: str) -> None:
    made = plans.describe(key)
    assert made.design is not None
    with torch.device("meta"):
        nets = registry.get(key).build(), build(made.design)
    real, designed = (
        {n: tuple(t.shape) for n, t in net.state_dict().items() if "num_batches" not in n}
        for net in nets
    )
    shapes = state_shapes(made.parts)
    assert list(shapes.items()) == list(designed.items())
    assert list(shapes.values()) == list(real.values())


@pytest.mark.filterwarnings("ignore")
def exported(net: nn.Module, px: int = 64, **options: Any) -> bytes:
    """An ONNX graph, as torch writes it."""
    file = io.BytesIO()
    example = (torch.zeros(1, 3, px, px),)
    torch.onnx.export(net, example, file, dynamo=False, **options)  # type: ignore[arg-type]
    return file.getvalue()


@pytest.mark.slow
@pytest.mark.parametrize("key", ["dwpw_256k", "hw13_residual", "resnet18"])
def test_weights_of_an_onnx_graph_with_folded_batchnorm(key: str) -> None:
    net = trained(registry.get(key).build())
    match, ours = opened(exported(net))
    assert match.model == key and match.folded
    assert gap(net, ours) < 1e-4 * float(ours(torch.zeros(1, 3, 64, 64)).detach().abs().max() + 1)


@pytest.mark.slow
def test_weights_of_an_onnx_graph_that_keeps_batchnorm() -> None:
    net = homework_student()
    match, ours = opened(exported(net, training=torch.onnx.TrainingMode.PRESERVE))
    assert match.model == "dwpw_256k"
    assert gap(net, ours) < 1e-3


def graph(*nodes: Any, tensors: dict[str, np.ndarray] | None = None) -> onnx.ModelProto:
    stored = [numpy_helper.from_array(value, name) for name, value in (tensors or {}).items()]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    made = helper.make_graph(list(nodes), "g", [x], [y], stored)
    return helper.make_model(made, producer_name="t", ir_version=9)


def conv(**changes: Any) -> onnx.ModelProto:
    weight = {"w": np.zeros((8, 3, 3, 3), np.float32)}
    return graph(helper.make_node("Conv", ["x", "w"], ["y"], **changes), tensors=weight)


def elsewhere() -> bytes:
    model = conv()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    return bytes(model.SerializeToString())


def huge() -> bytes:
    model = conv()
    model.graph.initializer[0].dims[:] = [2**40, 2**20, 3, 3]
    return bytes(model.SerializeToString())


def loop() -> bytes:
    body = helper.make_graph([], "b", [], [])
    return bytes(graph(helper.make_node("Loop", ["x"], ["y"], body=body)).SerializeToString())


def bomb() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.pkl", bytes(80_000_000))
    return file.getvalue()


def ten_classes() -> bytes:
    state = state_of(homework_student())
    state["fc.0.weight"], state["fc.0.bias"] = torch.zeros(10, 256), torch.zeros(10)
    return saved(state)


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "program": (lambda: HOSTILE, "would call 'os.system'"),
    "external": (elsewhere, "in another file"),
    "huge": (huge, "more than any network"),
    "loop": (loop, "operator Loop"),
    "int8": (lambda: bytes(graph(helper.make_node("DequantizeLinear", ["x"], ["y"]))
                           .SerializeToString()), "8-bit integers"),
    "cut_onnx": (lambda: bytes(conv().SerializeToString())[:-40], "damaged"),
    "cut": (lambda: saved(homework_student().state_dict())[:-900], "damaged|cut"),
    "bomb": (bomb, "more than any network"),
    "ten": (ten_classes, "has 10 classes; Food-11 has 11"),
    "empty": (lambda: b"", "damaged|cut"),
    "words": (lambda: saved({"epoch": 3}), "no arrays|no array|no network"),
    "whole": (lambda: saved({"a": torch.zeros(3, 3)}), "no network of convolutions"),
    "nan": (lambda: saved({"w": torch.full((3, 3), float("nan"))}), "finite"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_other_files_are_refused_in_one_line(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []
    monkeypatch.setattr(os, "system", ran.append)
    make, words = REFUSED[kind]
    with pytest.raises(CheckpointError) as told:
        opened(make())
    assert re.search(words, str(told.value)) and "\n" not in str(told.value)
    assert not ran


def test_the_nearest_network_and_what_differs_is_said() -> None:
    net = trained(registry.get("resnet18").build())
    state = state_of(net)
    state["layer3.0.conv1.weight"] = torch.zeros(256, 128, 5, 5)
    with pytest.raises(CheckpointError) as told:
        opened(saved(state))
    for words in ("resnet18", "101 of 102", "'layer3.0.conv1.weight'", "256 x 128 x 5 x 5"):
        assert words in str(told.value)
    with pytest.raises(UserError, match="no model called"):
        opened(saved(state), "resnet99")


def attribute_dict() -> bytes:
    """What Lightning saves of a module's arguments: a dict of a class of its own."""
    module = types.ModuleType("lightning.fabric.utilities.data")
    kind = type("AttributeDict", (dict,), {"__module__": module.__name__})
    module.AttributeDict = kind  # type: ignore[attr-defined]
    parents = {f"lightning{end}": types.ModuleType("x") for end in ("", ".fabric")}
    parents["lightning.fabric.utilities"] = types.ModuleType("x")
    with pytest.MonkeyPatch.context() as patch:
        for name, each in {**parents, module.__name__: module}.items():
            patch.setitem(sys.modules, name, each)
        given = kind(lr=1e-3)
        given.note = "an attribute"
        return saved({"hyper_parameters": given, "state_dict": homework_student().state_dict()})


def test_the_arguments_of_a_training_module_beside_its_tensors() -> None:
    match, ours = opened(attribute_dict())
    assert match.model == "dwpw_256k" and gap(homework_student(), ours) < 1e-4
