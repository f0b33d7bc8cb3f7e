"""The photo check of the pages that change a network: one photo, one network, several versions."""

import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from core.charts.theme import RoleKey
from core.checkpoints import get
from core.errors import CheckpointError
from pages.kit.photo_check import Choice, Version, photo_check
from pages.kit.photos import Photo
from tests.dreamers import fill_dreams
from tests.food import make_food11
from tests.pages import low_rank_shelf
from tests.pages.test_app import said

Open = Callable[..., AppTest]
MARK = "generated picture (made from a teacher's weights)"
PHOTO = Photo("key", "lunch", lambda: Image.new("RGB", (64, 48), "orange"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Two real networks, dreams, and the photographs that they were measured on."""
    folder = tmp_path_factory.mktemp("made")
    counts = {"training": 1, "validation": 1, "testing": 2}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SMALL_PLATES_PRETRAINED", str(folder / "pretrained"))
        patch.setenv("SMALL_PLATES_CACHE", str(folder / "cache"))
        low_rank_shelf.publish(make_food11(folder / "food", per_class=counts))
        fill_dreams()
    yield folder


@pytest.fixture
def networks(made: Path, pretrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two real networks, dreams, and no photograph; those are in the folder given back."""
    monkeypatch.setenv("SMALL_PLATES_CACHE", str(tmp_path / "cache"))
    shutil.copytree(made / "pretrained", pretrained, dirs_exist_ok=True)
    return made / "food"


@pytest.mark.parametrize(
    "page",
    [
        "pruning",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("quantization", "low_rank")),
    ],
)
def test_only_a_generated_picture_is_called_one(
    open_page: Open, networks: Path, page: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shown() -> tuple[AppTest, str]:
        app = open_page(page, tab="photo")
        assert not app.exception and not app.error
        (image,) = [image for block in app.get("image") for image in block.proto.imgs]
        return app, image.caption.lower()

    app, caption = shown()
    assert caption == f"{MARK}."
    assert re.search(r"\*\*: (the answer stays|.* it is) ", said(app))
    monkeypatch.setenv("FOOD11_ROOT", str(networks))
    assert MARK not in shown()[1]


def the_check(answers: list[int], refusal: str) -> None:
    """A page of nothing but the check, of versions that answer with these classes."""
    from tests.pages.test_photo_check import check

    check(answers, refusal)


asked: list[int] = []
"""Labels of the networks that were asked."""


def check(answers: list[int], refusal: str) -> None:
    """The check of a network as it was trained and two changed versions."""

    def opened(label: int) -> SimpleNamespace:
        if refusal:
            raise CheckpointError(refusal)

        def logits(pixels: object) -> object:
            asked.append(label)
            return 5 * np.eye(11, dtype=np.float32)[[label]]

        return SimpleNamespace(logits=logits)

    def versions(values: Sequence[int]) -> list[Version]:
        names = ["whole", *(f"{value} off" for value in values)]
        roles: list[RoleKey | None] = [None, "pruned", "pruned"]
        return [
            Version(name, partial(opened, label), role)
            for name, label, role in zip(names, answers, roles, strict=True)
        ]

    choice = Choice("Which", (30, 20, 10), (10, 20, 30), "which", most=2)
    photo_check(get(low_rank_shelf.PLAIN), choice, versions, way="By hand", hint="Drop", name="d")


@pytest.mark.parametrize(
    ("answers", "verdict"),
    [
        ([0, 0, 0], "**By hand**: the answer stays Bread in every version."),
        ([0, 9, 0], "**By hand**: whole it is Bread; the answer changes at: 30 off."),
        ([0, 9, 3], "**By hand**: whole it is Bread; the answer changes at: 30 off, 20 off."),
    ],
)
def test_every_version_that_answers_something_else_is_named(
    networks: Path, monkeypatch: pytest.MonkeyPatch, answers: list[int], verdict: str
) -> None:
    monkeypatch.setattr("pages.kit.photo_check.pick", lambda many: [PHOTO])
    app = AppTest.from_function(the_check, kwargs={"answers": answers, "refusal": ""}).run()
    assert not app.exception and verdict in said(app).splitlines()


def test_a_network_that_cannot_be_opened_is_said(
    networks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pages.kit.photo_check.pick", lambda many: [PHOTO])
    app = AppTest.from_function(the_check, kwargs={"answers": [0, 0, 0], "refusal": "Torn."}).run()
    assert not app.exception and [one.value for one in app.error] == ["Torn."]


def test_without_a_photo_there_is_a_hint(networks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pages.kit.photo_check.pick", lambda many: [])
    app = AppTest.from_function(the_check, kwargs={"answers": [], "refusal": "Torn."}).run()
    assert not app.exception and not app.error and said(app).endswith("Drop")


def test_a_photo_is_looked_at_once_by_each_version(
    networks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another touch asks nobody again; another photo asks all."""
    asked.clear()
    photos = [PHOTO]
    monkeypatch.setattr("pages.kit.photo_check.pick", lambda many: photos)
    app = AppTest.from_function(the_check, kwargs={"answers": [0, 9, 3], "refusal": ""}).run()
    first = said(app)
    app.run()
    assert asked == [0, 9, 3] and said(app) == first
    photos[0] = replace(PHOTO, key="another")
    app.run()
    assert asked == [0, 9, 3] * 2


@pytest.mark.parametrize(("label", "times"), [(3, 1), (None, 2)])
def test_visitors_share_the_answers_about_a_picture_of_a_data_set(
    networks: Path, monkeypatch: pytest.MonkeyPatch, label: int | None, times: int
) -> None:
    """Not those about a visitor's own photo, whose key no other has."""
    asked.clear()
    photo = replace(PHOTO, key="data set/1", label=label)
    monkeypatch.setattr("pages.kit.photo_check.pick", lambda many: [photo])
    kwargs = {"answers": [0, 9, 3], "refusal": ""}
    seen = {said(AppTest.from_function(the_check, kwargs=kwargs).run()) for _visitor in range(2)}
    assert len(seen) == 1 and asked == [0, 9, 3] * times


def test_a_version_that_failed_is_asked_again(
    networks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked.clear()
    monkeypatch.setattr("pages.kit.photo_check.pick", lambda many: [PHOTO])
    kwargs = {"answers": [0, 0, 0], "refusal": "Torn."}
    app = AppTest.from_function(the_check, kwargs=kwargs).run()
    kwargs["refusal"] = ""
    app.run()
    assert not app.error and asked == [0, 0, 0]
