"""Fetching Food-11: kagglehub is replaced, so no test needs a network or an account."""

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import requests

from core import paths
from core.data.fetch import KAGGLE, fetch
from core.data.find import find_food11
from core.errors import DataError
from tests.food import make_food11


class Kaggle(ModuleType):
    """Stands in for kagglehub: unpacks made-up photographs where it is told, or fails."""

    def __init__(self) -> None:
        super().__init__("kagglehub")
        self.calls: list[dict[str, Any]] = []
        self.error: BaseException | None = None
        self.stop_after_some = False

    def dataset_download(self, handle: str, **options: Any) -> str:
        self.calls.append({"handle": handle, **options})
        print("Downloading 100%")
        folder = Path(options["output_dir"])
        if self.stop_after_some:
            make_food11(folder, "kaggle", {"training": 1})
        if self.error is not None:
            raise self.error
        make_food11(folder, "kaggle", size=(8, 8))
        return str(folder)


@pytest.fixture
def kaggle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kaggle:
    module = Kaggle()
    monkeypatch.setitem(sys.modules, "kagglehub", module)
    monkeypatch.setattr(paths, "REPO", tmp_path)
    return module


def data(tmp_path: Path) -> list[str]:
    return sorted(p.name for p in (tmp_path / "data").iterdir() if not p.name.endswith(".lock"))


def test_it_lands_where_it_is_looked_for(
    kaggle: Kaggle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = fetch()
    assert folder == tmp_path / "data" / "food11"
    assert find_food11().root == folder.resolve()
    assert kaggle.calls[0]["handle"] == KAGGLE
    assert data(tmp_path) == ["food11"]
    assert capsys.readouterr().out == "", "stdout belongs to the command's own answer"
    assert fetch() == folder and len(kaggle.calls) == 1, "what is there is not downloaded again"


def test_an_empty_folder_is_filled(kaggle: Kaggle, tmp_path: Path) -> None:
    (tmp_path / "data" / "food11").mkdir(parents=True)
    fetch()
    assert len(find_food11()) == 44


class UnauthenticatedError(Exception):
    """Named as kagglehub's."""


def refused(status: int) -> requests.HTTPError:
    response = requests.Response()
    response.status_code = status
    return requests.HTTPError("https://api.example/secret?token=1", response=response)


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (requests.exceptions.ConnectionError("HTTPSConnectionPool(host=...)"), "no network"),
        (requests.exceptions.ReadTimeout("15"), "no network"),
        (TimeoutError(), "no network"),
        (refused(403), "account"),
        (UnauthenticatedError("User is not authenticated"), "account"),
        (refused(503), "error 503"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (ValueError("Unsupported archive type."), "ValueError"),
    ],
)
def test_failures_are_one_sentence_that_says_what_to_do(
    kaggle: Kaggle, tmp_path: Path, error: Exception, says: str
) -> None:
    kaggle.error = error
    with pytest.raises(DataError) as caught:
        fetch()
    message = str(caught.value)
    assert says in message
    assert "FOOD11_ROOT" in message
    assert KAGGLE in message
    assert "\n" not in message
    assert "token" not in message
    assert data(tmp_path) == []


def test_an_interrupted_download_is_no_data_set(kaggle: Kaggle, tmp_path: Path) -> None:
    kaggle.stop_after_some, kaggle.error = True, KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        fetch()
    assert data(tmp_path) == []


def test_something_else_than_food11_is_refused(
    kaggle: Kaggle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cats(_handle: str, output_dir: str, **_options: Any) -> str:
        (Path(output_dir) / "cats").mkdir(parents=True)
        return output_dir

    monkeypatch.setattr(kaggle, "dataset_download", cats)
    with pytest.raises(DataError, match="training"):
        fetch()
    assert data(tmp_path) == []


def test_a_hosted_notebook_keeps_its_own_copy(
    kaggle: Kaggle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = make_food11(tmp_path / "input", "kaggle", size=(8, 8))
    monkeypatch.setattr(kaggle, "dataset_download", lambda *_a, **_k: str(own))
    assert fetch() == own.resolve()
    assert len(list(own.rglob("*.jpg"))) == 44


def test_a_place_that_cannot_be_written(
    kaggle: Kaggle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").write_bytes(b"a file where the folder should be")
    with pytest.raises(DataError, match="cannot be written"):
        fetch()


def test_the_real_kagglehub_still_takes_these_options() -> None:
    import inspect

    import kagglehub

    assert not isinstance(kagglehub, SimpleNamespace)
    parameters = inspect.signature(kagglehub.dataset_download).parameters
    assert {"handle", "output_dir", "force_download"} <= set(parameters)
