"""A `pretrained/` folder of one's own, empty or with a tiny checkpoint in it.

Its path has a space and Chinese characters in it, as folders on people's machines do.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.models import registry
from core.training.config import TrainConfig
from tests.food import make_food11

TINY = "tiny-scratch-s0"


@pytest.fixture
def pretrained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty `pretrained/`; the registry knows the key `tiny`."""
    from tests.tiny_network import SPEC

    folder = tmp_path / "pre trained 小盤子"
    folder.mkdir()
    monkeypatch.setenv("SMALL_PLATES_PRETRAINED", str(folder))
    monkeypatch.setitem(registry.MODELS, "tiny", SPEC)
    return folder


@pytest.fixture(scope="session")
def _published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    from tests.tiny_network import publish_tiny

    folder = tmp_path_factory.mktemp("published")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SMALL_PLATES_PRETRAINED", str(folder))
        publish_tiny(TINY)
    yield folder


@pytest.fixture
def tiny_checkpoint(pretrained: Path, _published: Path) -> str:
    """The id of a tiny checkpoint, published into this test's own `pretrained/`."""
    shutil.copytree(_published, pretrained, dirs_exist_ok=True)
    return TINY


@pytest.fixture(scope="session")
def food(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("food11")
    make_food11(folder, per_class={"training": 4, "validation": 2, "testing": 2}, size=(48, 40))
    return folder


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory, food: Path) -> Path:
    """A tiny network, published with scores on the made photographs."""
    from tests.core.tiny_shelf import publish_one

    folder = tmp_path_factory.mktemp("shelf")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SMALL_PLATES_PRETRAINED", str(folder))
        publish_one(food)
    return folder


@pytest.fixture
def here(
    pretrained: Path, shelf: Path, food: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """This test's own `pretrained`, with the tiny network in it, photographs and runs folder."""
    shutil.copytree(shelf, pretrained, dirs_exist_ok=True)
    monkeypatch.setenv("FOOD11_ROOT", str(food))
    monkeypatch.setenv("SMALL_PLATES_RUNS", str(tmp_path / "runs"))
    return pretrained


@pytest.fixture(scope="session")
def tiny(food: Path) -> TrainConfig:
    """Three epochs of the smallest network at 32 px, in the one number format every CPU has."""
    return TrainConfig(
        model="dwpw_256k",
        px=32,
        epochs=3,
        batch_size=11,
        warmup_epochs=0.5,
        precision="float32",
        ema_decay=0.9,
        data=str(food),
    )


@pytest.fixture(scope="session")
def _taught(tiny: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A `pretrained` with a small trained network in it."""
    from core.collection.recipes import Recipe
    from core.collection.reproduce import publish
    from core.training.loop import train

    folder = tmp_path_factory.mktemp("taught")
    config = tiny.model_copy(update={"epochs": 8, "augment": "light"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SMALL_PLATES_PRETRAINED", str(folder / "pretrained"))
        train(config, folder / "run", device="cpu")
        publish(Recipe("dwpw_256k-scratch-s0", "Tiny", "scratch", config), folder / "run")
    return folder / "pretrained"


@pytest.fixture
def tiny_teacher(_taught: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A small published checkpoint to learn from, in this test's own `pretrained`."""
    shutil.copytree(_taught, tmp_path / "pretrained")
    monkeypatch.setenv("SMALL_PLATES_PRETRAINED", str(tmp_path / "pretrained"))
    return "dwpw_256k-scratch-s0"
