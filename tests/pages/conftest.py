"""What page tests share: a `pretrained` folder of their own, and a page run without a browser."""

import json
import shutil
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
import streamlit as st
from streamlit.components.v2 import manifest_scanner
from streamlit.runtime.pages_manager import PagesManager
from streamlit.runtime.scriptrunner.script_cache import ScriptCache
from streamlit.testing.v1 import AppTest, local_script_runner
from streamlit.util import calc_hash

from core.inference import predict
from pages.kit import frame
from tests.food import make_food11

REPO = Path(__file__).resolve().parents[2]


@pytest.fixture
def pretrained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty `pretrained` folder that the app of this test reads."""
    folder = tmp_path / "pretrained"
    folder.mkdir()
    monkeypatch.setenv("SMALL_PLATES_PRETRAINED", str(folder))
    monkeypatch.setattr(
        predict, "_open_networks", predict._OpenNetworks()
    )  # what other tests opened
    st.cache_data.clear()
    st.cache_resource.clear()
    return folder


@pytest.fixture(scope="session", autouse=True)
def as_a_server_runs_it() -> Iterator[None]:
    """AppTest does at every run what a server does once.

    It takes the folder `pages` for Streamlit's first kind of app (see pages/__init__.py), reads
    the metadata of every installed package (0.1 s of CPU) and compiles the page's source.
    """
    build, scripts = PagesManager.__init__, ScriptCache()

    def built(self: PagesManager, *args: Any, **kwargs: Any) -> None:
        build(self, *args, **kwargs)
        PagesManager.uses_pages_directory = False

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PagesManager, "__init__", built)
        scan = cache(manifest_scanner.scan_component_manifests)
        patch.setattr(manifest_scanner, "scan_component_manifests", scan)
        patch.setattr(local_script_runner, "ScriptCache", lambda: scripts)
        yield


@pytest.fixture
def open_page(pretrained: Path) -> Callable[..., AppTest]:
    """Open the app and go to a page; query parameters may be given."""

    def open_it(key: str = "home", **query: str | list[str]) -> AppTest:
        app = AppTest.from_file(str(REPO / "app.py"), default_timeout=30)
        if key != "home":
            go_to(app, key)
        for name, value in query.items():
            app.query_params[name] = value
        return app.run()

    return open_it


def go_to(app: AppTest, key: str) -> None:
    """Let the next run be that of a page. Streamlit knows it by its address; AppTest goes by the
    name of the file until the first run."""
    app.switch_page(frame.entry(key).file)
    app._page_hash = calc_hash("" if key == "home" else key)


@pytest.fixture(scope="session")
def page_food(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made photographs, on which the networks of `shipped` were measured."""
    counts = {"training": 1, "validation": 2, "testing": 2}
    return make_food11(tmp_path_factory.mktemp("food"), per_class=counts)


_shelves: dict[str, Path] = {}


@pytest.fixture
def shipped(
    request: pytest.FixtureRequest,
    pretrained: Path,
    page_food: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The networks of the test file's SHELF with their measured rows, in this test's own folder."""
    shelf = request.module.SHELF
    if shelf.__name__ not in _shelves:
        folder = tmp_path_factory.mktemp("shelf")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SMALL_PLATES_PRETRAINED", str(folder))
            shelf.publish(page_food)
            shelf.fill()
        _shelves[shelf.__name__] = folder
    shutil.copytree(_shelves[shelf.__name__], pretrained, dirs_exist_ok=True)
    return pretrained


@pytest.fixture
def bare(shipped: Path) -> Path:
    """The networks without their rows."""
    shutil.rmtree(shipped / "results")
    return shipped


_seen: dict[tuple[str, str], AppTest] = {}


@pytest.fixture
def seen(request: pytest.FixtureRequest) -> Callable[..., AppTest]:
    """The test file's PAGE at a link, drawn once for all its tests that only read it.

    The networks are those of `shipped`.
    """
    page = request.module.PAGE

    def at(**query: str) -> AppTest:
        key = page, json.dumps(query, sort_keys=True)
        if key not in _seen:
            request.getfixturevalue("shipped")
            _seen[key] = request.getfixturevalue("open_page")(page, **query)
            assert not _seen[key].exception and not _seen[key].error
        return _seen[key]

    return at


def to_be_written(app: AppTest) -> list[dict[str, str]]:
    """What a script in the page is told to write into the address bar."""
    return [
        json.loads(each.proto.json)
        for each in app.get("bidi_component")
        if "small_plates_address" in each.proto.component_name
    ]


def address(app: AppTest) -> dict[str, list[str]]:
    """What the address bar says, once that script has run."""
    for told in to_be_written(app):
        return parse_qs(told["query"], keep_blank_values=True)
    return {
        name: value if isinstance(value, list) else [value]
        for name, value in app.query_params.items()
    }
