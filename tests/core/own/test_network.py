"""A stranger's network becomes a checkpoint: its answers, its score, its input scaling, its end."""

import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from core import checkpoints
from core.checkpoints.by_recipe import is_trial
from core.errors import CheckpointError
from core.inference.predict import Predictor
from core.models import registry
from core.models.design.network import build
from core.models.design.spec import read as design
from core.own import network
from core.own.file import find, read
from core.own.network import Added, add, add_live, file_id, forget, forget_old, let_wait, point
from tests.core.own.test_file import SMALL, saved, state_of, trained

KEY = f"design:{SMALL}"
PX = 32


@pytest.fixture(autouse=True)
def folders(pretrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RUNS", "DATA"):
        monkeypatch.setenv(f"SMALL_PLATES_{name}", str(tmp_path / name))


def small() -> torch.nn.Module:
    return trained(build(design(SMALL)), 3)


def added(scaling: str, id: str = "") -> checkpoints.Checkpoint:
    data = saved(state_of(small()))
    state = read(data)
    (match,) = find({name: array.shape for name, array in state.items()}, KEY)
    key = f"{KEY}@{scaling}"
    return add(state, match, key, PX, id or file_id(key, data), "Mine")


def scaled(pixels: np.ndarray, scaling: str) -> torch.Tensor:
    """What the network was fed with, each written out as notebooks do."""
    x = torch.tensor(pixels).float()
    if scaling == "lite":
        return (x - 127) / 128
    x = x / 255  # ToTensor
    if scaling == "symmetric":
        return (x - 0.5) / 0.5
    if scaling == "imagenet":
        mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
        return (x - mean[:, None, None]) / std[:, None, None]
    return x


@pytest.mark.slow
@pytest.mark.parametrize("scaling", registry.SCALINGS)
def test_its_answers_are_those_of_the_original(scaling: str) -> None:
    entry = added(scaling)
    pixels = np.random.default_rng(1).integers(0, 256, (5, 3, PX, PX), np.uint8)
    with torch.inference_mode():
        expected = small()(scaled(pixels, scaling)).numpy()
    np.testing.assert_allclose(Predictor(entry.id).logits(pixels), expected, atol=1e-4)
    # what pages that change weights load is the same network with the same scaling
    again, spec = checkpoints.load_model(entry.id), registry.get(entry.model)
    with torch.inference_mode():
        answers = again(spec.normalize(torch.tensor(pixels))).numpy()
    np.testing.assert_allclose(answers, expected, atol=1e-4)
    assert entry.model == f"{KEY}@{scaling}" and entry.weights_dtype == "float32"
    assert entry.test is None and entry.derived_from is None and is_trial(entry.recipe)


@pytest.mark.slow
def test_it_is_tested_where_there_are_photographs(
    food: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOOD11_ROOT", str(food))
    entry = added("unit")
    assert entry.test is not None and entry.test.n == entry.data.testing == 22
    assert entry.data.training == 0  # it learned from others


def test_pictures_that_are_too_small() -> None:
    state = read(saved(state_of(trained(registry.get("hw13_sample").build()))))
    (match,) = find({name: array.shape for name, array in state.items()}, "hw13_sample")
    with pytest.raises(CheckpointError, match="too small"):
        add(state, match, "hw13_sample@unit", 16, "x-file-s0-1", "Mine")


@pytest.mark.slow
def test_a_visitors_file_is_read_once_and_its_network_ends_with_the_visit() -> None:
    asked, other = (point(KEY, "unit", PX, "Mine") for _each in range(2))
    let_wait(asked, saved(state_of(small())))
    let_wait(other, b"nothing")
    assert asked.id != other.id and network.waiting_file(asked.id).exists()
    heard: list[dict[str, Any]] = []
    add_live(asked._asdict(), heard.append)
    assert Added.model_validate(heard[-1]["rows"][0]).checkpoint == asked.id
    assert not network.waiting_file(asked.id).exists()
    with pytest.raises(CheckpointError, match="is gone"):
        add_live(asked._asdict(), heard.append)
    assert asked.id in checkpoints.listing(checkpoints.own_dir()).checkpoints
    forget_old()
    assert network.waiting_file(other.id).exists()
    folder = checkpoints.own_dir() / asked.id
    long_ago = time.time() - 2 * network.KEPT_S
    os.utime(folder, (long_ago, long_ago))
    os.utime(network.waiting_file(other.id), (long_ago, long_ago))
    forget_old()
    assert not folder.exists() and not network.waiting_file(other.id).exists()
    kept = added("unit")  # at the command line: nobody's session
    os.utime(checkpoints.own_dir() / kept.id, (long_ago, long_ago))
    forget_old()
    forget(kept.id)
    assert kept.id in checkpoints.listing(checkpoints.own_dir()).checkpoints


def test_not_more_than_a_machine_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "MOST_HERE", 0)
    with pytest.raises(CheckpointError, match="already"):
        let_wait(point(KEY, "unit", PX, "Mine"), b"")


def test_a_key_may_name_an_input_scaling() -> None:
    spec = registry.get("dwpw_256k@unit")
    assert spec.key == "dwpw_256k@unit" and spec.std == (255.0,) * 3
    assert registry.short_name(spec.key) == spec.slug == "dwpw_256k_unit"
    assert registry.get("dwpw_256k@imagenet").mean == registry.get("dwpw_256k").mean
    assert registry.get(f"{KEY}@symmetric").input_px == PX


@pytest.mark.slow
def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from core.cli.main import main

    file = tmp_path / "my student.pth"
    file.write_bytes(saved({"model_state_dict": state_of(small())}))
    assert main(["add", str(file), "--design", SMALL, "--scaling", "unit", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    entry = checkpoints.get(told["checkpoint"])
    assert entry.title == "my student" and told["params"] == entry.params
    assert [limit["answer"] for limit in told["limits"]] == ["within", "within"]
    assert main(["add", str(file)]) == 2
    assert "design in one line" in capsys.readouterr().err
    assert main(["add", str(tmp_path / "none.pth")]) == 2
