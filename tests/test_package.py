"""`pip install .` in an empty folder of its own: what it holds, and the command that it gives."""

import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPO
from tests.pages import shelf
from tests.visitor import Server, Visitor, free_port, until_well

pytestmark = pytest.mark.slow


def tracked(*places: str) -> list[str]:
    """The repository's files below these places."""
    words = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *places]
    done = subprocess.run(words, cwd=REPO, capture_output=True, text=True, check=True)
    return sorted(name for name in done.stdout.split("\0") if name and (REPO / name).is_file())


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder into which pip has installed the repository's tracked files."""
    source, folder = (tmp_path_factory.mktemp(name) for name in ("source", "installed"))
    with tarfile.open(source / "a.tar", "w") as archive:
        for name in tracked():
            if not name.startswith(("pretrained/", "tests/")):
                archive.add(REPO / name, name)
    with tarfile.open(source / "a.tar") as archive:
        archive.extractall(source, filter="data")
    words = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    words += ["--no-build-isolation", "--no-index", "--target", str(folder), str(source)]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def environment(installed: Path, tmp_path: Path) -> Iterator[dict[str, str]]:
    """As a shell has it in which only the installed package is known."""
    yield {
        **{name: text for name, text in os.environ.items() if name != "SMALL_PLATES_PRETRAINED"},
        "PYTHONPATH": str(installed),
        "HOME": str(tmp_path),
    }


def command(installed: Path, *words: str) -> list[str]:
    return [sys.executable, str(installed / "bin" / "small-plates"), *words]


def test_the_package_holds_the_app_under_one_name(installed: Path) -> None:
    top = {path.name for path in installed.iterdir() if not path.name.endswith(".dist-info")}
    assert top == {"bin", "small_plates"}
    wanted = tracked("app.py", "core", "pages", ".streamlit", "deploy/nginx.conf")
    home = installed / "small_plates"
    assert not [name for name in wanted if not (home / name).is_file()]
    assert not (home / "pretrained").exists() and not (home / "tests").exists()
    (about,) = installed.glob("*.dist-info")
    texts = {path.name for path in about.rglob("*") if path.is_file()}
    assert {"LICENSE", "Apache-2.0.txt"} <= texts
    assert "Requires-Dist: streamlit" in (about / "METADATA").read_text(encoding="utf-8")


def test_the_command_runs_core_from_any_folder(
    installed: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "core").mkdir()  # somebody else's, where it is called
    (tmp_path / "core" / "__init__.py").write_text("raise ImportError('not this one')")

    def said(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(installed, *words),
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )

    assert said("--help").stdout.startswith("usage: small-plates COMMAND")
    models = said("models", "--json")
    assert models.returncode == 0 and '"dwpw_256k"' in models.stdout
    refused = said("serve")
    assert refused.returncode == 2 and "SMALL_PLATES_PRETRAINED" in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_it_serves_the_networks_of_the_folder_that_it_is_called_in(
    installed: Path,
    environment: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SMALL_PLATES_PRETRAINED", str(tmp_path / "pretrained"))
    shelf.fill(shelf.TEACHER, shelf.DISTILLED)
    port = free_port()
    log = tmp_path / "server.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            command(installed, "serve", "--host", "127.0.0.1", "--port", str(port)),
            cwd=tmp_path,
            env=environment | {"STREAMLIT_SERVER_HEADLESS": "true"},
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    server = Server(f"http://127.0.0.1:{port}", process, log)
    try:
        until_well(server)
        with Visitor(server, "compare") as visitor:
            assert visitor.drawn("file_uploader")
            titles = [part.body for part in visitor.drawn("heading")]
            assert titles and not visitor.drawn("exception")
        if os.name != "nt":
            process.terminate()  # as a process manager does
            assert process.wait(30) == 130
            with pytest.raises(OSError):
                server.get("/_stcore/health")
    finally:
        process.kill()
        process.wait()
