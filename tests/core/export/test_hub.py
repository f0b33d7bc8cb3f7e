"""`publish-hub`: repositories as Hugging Face wants them, listed without a network and sent."""

import hashlib
import json
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from core import checkpoints
from core.cli.main import main
from core.export.card import hub_card
from core.export.files import shipped
from tests.core.tiny_shelf import STUDENT, TEACHER, publish_pair


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory, food: Path) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("shelf")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SMALL_PLATES_PRETRAINED", str(folder))
        publish_pair(food)
    yield folder


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """No way out, and no client of Hugging Face."""

    def refuse(*_words: object) -> None:
        raise AssertionError("somebody wants to leave this machine")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)


def front_matter(card: str) -> dict[str, Any]:
    empty, front, _text = card.split("---\n", 2)
    assert empty == ""
    parsed = yaml.safe_load(front)
    assert isinstance(parsed, dict)
    return parsed


def test_a_dry_run_lists_what_would_be_sent(
    here: Path, offline: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["publish-hub", "--dry-run", "--owner", "cooks", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["sent"] is False
    names = {row["checkpoint"]: row["repository"] for row in told["repositories"]}
    assert names == {id: f"cooks/small-plates-{id}" for id in (STUDENT, TEACHER)}
    for row in told["repositories"]:
        files = {file["file"]: file for file in row["files"]}
        assert list(files) == ["README.md", "model.safetensors", "model.onnx"]
        data = shipped(row["checkpoint"], "onnx")
        assert files["model.onnx"]["size_bytes"] == len(data)
        assert files["model.onnx"]["sha256"] == hashlib.sha256(data).hexdigest()
        assert files["README.md"]["size_bytes"] == len(row["card"].encode())
        assert files["model.onnx"]["sha256"] in row["card"]
    assert main(["publish-hub", "--dry-run", STUDENT]) == 0
    said = capsys.readouterr().out
    assert f"OWNER/small-plates-{STUDENT}" in said and "\n---\nlicense: " in said


def test_the_card_begins_with_what_hugging_face_reads(here: Path) -> None:
    entry = checkpoints.get(STUDENT)
    front = front_matter(hub_card(entry, {"model.onnx": ("onnx", b"bytes")}))
    assert front["license"] == "mit" and front["pipeline_tag"] == "image-classification"
    (index,) = front["model-index"]
    (result,) = index["results"]
    assert entry.test is not None
    (metric,) = result["metrics"]
    assert metric["type"] == "accuracy"
    assert metric["value"] == pytest.approx(entry.test.correct / entry.test.n, abs=5e-5)
    assert result["dataset"]["name"] == entry.data.name
    untested = entry.model_copy(update={"test": None, "title": "---\nlicense: other"})
    assert "model-index" not in front_matter(hub_card(untested, {}))
    derived = {"model": "efficientnet_lite0", "recipe": "imagenet", "config": {"pretrained": True}}
    lite = front_matter(hub_card(entry.model_copy(update=derived), {}))
    assert lite["license"] == "apache-2.0"


def test_sending_goes_through_their_client(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sent: dict[str, dict[str, bytes]] = {}

    class Api:
        def create_repo(self, repo_id: str, *, exist_ok: bool) -> None:
            assert exist_ok
            sent[repo_id] = {}

        def upload_folder(self, *, repo_id: str, folder_path: str) -> None:
            sent[repo_id] = {path.name: path.read_bytes() for path in Path(folder_path).iterdir()}

    monkeypatch.setitem(sys.modules, "huggingface_hub", SimpleNamespace(HfApi=Api))
    assert main(["publish-hub", STUDENT, "--owner", "cooks"]) == 0
    (files,) = sent.values()
    assert files["model.safetensors"] == shipped(STUDENT, "safetensors")
    assert files["README.md"].startswith(b"---\n")

    def no_login(*_words: object, **_more: object) -> None:
        raise RuntimeError("401:\nnot logged in")

    monkeypatch.setattr(Api, "create_repo", no_login)
    capsys.readouterr()
    assert main(["publish-hub", STUDENT, "--owner", "cooks"]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert "could not be sent: 401: not logged in" in said


def test_what_is_missing_is_said_before_anything_is_made(
    here: Path, offline: None, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, wanted in (
        ([STUDENT], "--owner"),
        ([STUDENT, "--owner", "cooks"], "pip install huggingface_hub"),
        (["nothing-s0", "--dry-run"], "nothing-s0"),
    ):
        assert main(["publish-hub", *words]) == 2
        out, err = capsys.readouterr()
        assert not out and err.count("\n") == 1 and wanted in err
