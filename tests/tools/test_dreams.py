"""Dreaming on a tiny network: it gets what it wants, again and again the same, and resumes."""

import colorsys
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from core import checkpoints
from core.data.dreams import dreams_dir, load_dreams, tiles
from core.models import registry
from core.photos import prepare
from tests.tiny_network import PX, SPEC, publish_tiny, torch_logits, trained
from tools import dreams
from tools.dreams import (
    DreamSettings,
    batch_file,
    dream,
    gathered,
    make_dreams,
    priors,
    run_folder,
    state,
)

SMALL = DreamSettings(px=16, seen_px=24, per_class=2, validation=1, batch_per_class=1, steps=3)
PLAN = (SMALL, SMALL.model_copy(update={"px": 24, "seen_px": 0, "per_class": 1, "validation": 0}))
TEACHER, OTHER = "tiny-scratch-s0", replace(SPEC, key="tiny2")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def by_colour() -> nn.Module:
    """Answers with the class whose hue is nearest to a picture's mean colour, after a BatchNorm."""
    hues = [colorsys.hsv_to_rgb(label / 11, 0.8, 0.8) for label in range(11)]
    templates = (torch.tensor(hues) * 255 - torch.tensor(SPEC.mean)) / torch.tensor(SPEC.std)
    last = nn.Linear(3, 11)
    with torch.no_grad():
        last.weight.copy_(8 * templates)
        last.bias.copy_(-4 * templates.square().sum(1))
    return nn.Sequential(nn.BatchNorm2d(3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), last).eval()


def test_the_network_sees_what_was_asked_for() -> None:
    """From noise it gets about one in eleven right; after dreaming, nearly all."""
    labels = torch.arange(11).repeat(2)
    settings = DreamSettings(px=PX, steps=60, lr=0.1, bn=0.1, reach=0.05)
    told: list[dict[str, float]] = []
    pictures = dream(
        by_colour(), SPEC, labels, settings, generator(), lambda step, terms: told.append(terms)
    )
    assert pictures.shape == (22, 3, PX, PX) and pictures.dtype == torch.uint8
    right = torch_logits(by_colour(), pictures.numpy()).argmax(1) == labels.numpy()
    still = settings.model_copy(update={"lr": 1e-9})
    noise = dream(by_colour(), SPEC, labels, still, generator())
    guessed = torch_logits(by_colour(), noise.numpy()).argmax(1) == labels.numpy()
    assert right.mean() > 0.8 and guessed.mean() < 0.4
    assert told[-1]["ce"] < told[0]["ce"] / 2


def test_the_batch_comes_to_what_batchnorm_remembers() -> None:
    labels = torch.arange(11).repeat(2)
    told: list[dict[str, float]] = []
    settings = DreamSettings(px=PX, steps=60, lr=0.1, bn=10.0, reach=0.05)
    dream(trained(), SPEC, labels, settings, generator(), lambda step, terms: told.append(terms))
    assert told[-1]["bn"] < told[0]["bn"] / 2


def test_the_priors_are_what_they_say() -> None:
    flat = priors(torch.zeros(2, 3, 8, 8))
    assert not any(flat.values())
    red = torch.tensor([3.0, 0, 0]).view(1, 3, 1, 1).expand(1, 3, 8, 8)
    assert priors(red)["colour"] == pytest.approx((4 + 1 + 1) / 3)
    assert priors(torch.full((1, 3, 8, 8), 2.0))["colour"] == 0
    ramp = torch.arange(8.0).repeat(2, 3, 8, 1)  # one a pixel across, nothing down
    assert priors(ramp)["tv"] == pytest.approx(1)
    assert priors(torch.full((1, 3, 8, 8), 9.0))["outside"] > 1


@pytest.fixture(scope="module")
def _two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny teacher, and a network of another kind that never heard it."""
    folder = tmp_path_factory.mktemp("two")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SMALL_PLATES_PRETRAINED", str(folder))
        publish_tiny(TEACHER)
        publish_tiny("tiny2-scratch-s1", seed=1, spec=OTHER)
    return folder


@pytest.fixture
def teacher(pretrained: Path, _two: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("SMALL_PLATES_RUNS", str(tmp_path / "runs"))
    monkeypatch.setitem(registry.MODELS, "tiny2", OTHER)
    shutil.copytree(_two, pretrained, dirs_exist_ok=True)
    return TEACHER


def test_all_is_made_judged_and_packed_once(teacher: str) -> None:
    assert state(teacher, PLAN) == "missing"
    heard: list[str] = []
    make_dreams(teacher, heard.append, PLAN)
    assert len(heard) == 4  # two batches, one batch, the end
    assert state(teacher, PLAN) == "done"
    found = load_dreams()
    assert found is not None and (found.teacher, found.checker) == (teacher, "tiny2-scratch-s1")
    assert [one.n for one in found.sets] == [22, 11]

    one, kept = found.sets[0], gathered(SMALL, run_folder(checkpoints.get(teacher), PLAN))
    assert kept.shape == (11, 2, 3, 16, 16)
    for label in (0, 7):
        shipped = tiles(one, label)
        assert np.abs(shipped.astype(int) - kept[label]).mean() < 12  # through JPEG
        squares = np.stack([prepare(Image.fromarray(x.transpose(1, 2, 0)), PX) for x in shipped])
        for who, seed in (("teacher", 0), ("checker", 1)):
            answers = torch_logits(trained(seed), squares).argmax(1)
            assert tuple(answers) == getattr(one.sheets[label], f"{who}_answers")

    before = {file: file.stat().st_mtime_ns for file in dreams_dir().iterdir()}
    heard.clear()
    make_dreams(teacher, heard.append, PLAN)
    assert not heard and before == {f: f.stat().st_mtime_ns for f in dreams_dir().iterdir()}


@pytest.mark.slow
def test_a_killed_run_goes_on_and_comes_out_the_same(
    teacher: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_dreams(teacher, lambda line: None, PLAN)
    whole = {f.name: f.read_bytes() for f in dreams_dir().glob("*.jpg")}
    for file in dreams_dir().iterdir():
        file.unlink()
    monkeypatch.setenv("SMALL_PLATES_RUNS", str(tmp_path / "other runs"))
    calls: list[object] = []
    real = dreams._dream_batch

    def dies(*arguments: object) -> object:
        if len(calls) == 1:
            raise KeyboardInterrupt
        calls.append(arguments)
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(dreams, "_dream_batch", dies)
    with pytest.raises(KeyboardInterrupt):
        make_dreams(teacher, lambda line: None, PLAN)
    assert state(teacher, PLAN) == "started" and load_dreams() is None
    batch_file(run_folder(checkpoints.get(teacher), PLAN), SMALL, 1).write_bytes(b"half a file")
    monkeypatch.setattr(dreams, "_dream_batch", real)
    heard: list[str] = []
    make_dreams(teacher, heard.append, PLAN)
    assert len(heard) == 3  # the first batch was kept
    assert {f.name: f.read_bytes() for f in dreams_dir().glob("*.jpg")} == whole


@pytest.mark.slow
def test_another_teacher_or_other_settings_ask_for_new_dreams(teacher: str) -> None:
    make_dreams(teacher, lambda line: None, PLAN)
    other = tuple(one.model_copy(update={"steps": 2}) for one in PLAN)
    assert state(teacher, other) == "missing"
    old = {file.name for file in dreams_dir().glob("*.jpg")}
    publish_tiny(TEACHER, seed=5)
    assert state(teacher, PLAN) == "missing"
    make_dreams(teacher, lambda line: None, PLAN)
    found = load_dreams()
    assert found is not None
    named = {sheet.file for one in found.sets for sheet in one.sheets}
    assert {file.name for file in dreams_dir().glob("*.jpg")} == named and not named & old
