"""`serve` as its user meets it where it cannot start."""

import shutil
from pathlib import Path

import pytest

from core.cli import app
from core.cli.main import main


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["serve", *words]) == 2
    out, err = capsys.readouterr()
    assert not out and err.count("\n") == 1
    return err


def test_impossible_settings_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert "at least 1" in refused(capsys, "--replicas", "0")
    for words in (["--port", "0"], ["--port", "65535"], ["--port", "65530", "--replicas", "9"]):
        assert "65,535" in refused(capsys, *words)


def test_without_networks_it_says_where_they_may_lie(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMALL_PLATES_PRETRAINED", str(tmp_path / "none"))
    said = refused(capsys)
    assert "SMALL_PLATES_PRETRAINED" in said and str(tmp_path / "none") in said


def test_several_servers_want_nginx(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_words, **_path: None)
    assert "apt install nginx" in refused(capsys, "--replicas", "2")


@pytest.mark.parametrize(
    ("host", "listens"),
    [("localhost", "127.0.0.1"), ("10.0.0.7", "10.0.0.7"), ("::1", "[::1]"), ("::", "[::]")],
)
def test_nginx_listens_where_visitors_come(tmp_path: Path, host: str, listens: str) -> None:
    app.nginx_folder(tmp_path, app.Serve(host=host, port=8600), [8601])
    assert (tmp_path / "listen.conf").read_text() == f"listen {listens}:8600;\n"


def test_servers_and_address_are_written_beside_the_repositorys_file(tmp_path: Path) -> None:
    serve = app.Serve(host="0.0.0.0", port=8600, replicas=2)
    copy = app.nginx_folder(tmp_path, serve, [8601, 8602])
    assert copy.read_bytes() == app.NGINX.read_bytes()
    assert (tmp_path / "listen.conf").read_text() == "listen 0.0.0.0:8600;\n"
    servers = (tmp_path / "replicas.conf").read_text().splitlines()
    assert [line.split()[1] for line in servers] == ["127.0.0.1:8601", "127.0.0.1:8602"]
