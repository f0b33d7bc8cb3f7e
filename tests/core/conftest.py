"""A `pretrained/` folder of one's own, empty or with a tiny checkpoint in it.

Its path has a space and Chinese characters in it, as folders on people's machines do.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.models import registry

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
