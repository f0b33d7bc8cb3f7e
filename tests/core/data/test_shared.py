"""Photographs behind an address that fsspec reads: fetched once, as a whole, by one of many."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from core.data.find import find_food11
from core.data.named import data_root
from core.data.shared import local_copy
from core.errors import DataError
from tests.food import make_food11

ADDRESS = "memory://bucket/food"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SMALL_PLATES_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "photographs"


@pytest.fixture
def food(tmp_path: Path) -> Path:
    """Made-up photographs, here and in the store."""
    folder = make_food11(tmp_path / "food")
    store = fsspec.filesystem("memory")
    store.put(f"{folder}{os.sep}", "/bucket/food/", recursive=True)
    return folder


def test_the_same_photographs_as_in_a_folder(
    food: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOOD11_ROOT", ADDRESS)
    there, here = find_food11(), find_food11(food)
    assert there.fingerprint == here.fingerprint and there.files == here.files
    assert there.root.is_relative_to(cache)
    monkeypatch.setenv("OTHER_ROOT", ADDRESS)
    assert data_root("OTHER_ROOT") == there.root


def test_it_is_fetched_once_however_many_ask(
    food: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[str] = []
    get = MemoryFileSystem.get

    def counted(self: MemoryFileSystem, path: str, *rest: object, **more: object) -> object:
        fetched.append(path)
        return get(self, path, *rest, **more)

    monkeypatch.setattr(MemoryFileSystem, "get", counted)
    with ThreadPoolExecutor(4) as pool:
        folders = set(pool.map(local_copy, [ADDRESS] * 4))
    assert len(folders) == 1 and len(fetched) == 1
    assert not list(cache.glob("coming-*"))


def test_what_breaks_off_leaves_nothing_behind(
    food: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: MemoryFileSystem, path: str, into: str, **more: object) -> None:
        Path(into).mkdir(parents=True)
        (Path(into) / "0_0.jpg").write_bytes(b"half")
        raise OSError("the line went dead")

    with monkeypatch.context() as patch, pytest.raises(DataError, match="the line went dead"):
        patch.setattr(MemoryFileSystem, "get", broken)
        local_copy(ADDRESS)
    assert not [path for path in cache.iterdir() if path.is_dir()]
    assert find_food11(local_copy(ADDRESS)).fingerprint == find_food11(food).fingerprint


@pytest.mark.parametrize("address", ["memory://bucket/nothing", "nosuchstore://bucket/food"])
def test_what_cannot_be_fetched_is_said(address: str) -> None:
    with pytest.raises(DataError, match=address):
        local_copy(address)
