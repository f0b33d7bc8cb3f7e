"""`make app` on a disk that may be too small: said first, before minutes of downloading."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
WARNS = "may run out of disk"

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="there is no make here")


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    """An environment whose python does nothing, well."""
    programs = tmp_path / "v" / "bin"
    programs.mkdir(parents=True)
    for name in ("python", "pip"):
        (programs / name).write_text("#!/bin/sh\n")
        (programs / name).chmod(0o755)
    return programs.parent


def make_app(venv: Path, needed: int) -> str:
    done = subprocess.run(
        ["make", "app", f"VENV={venv}", f"NEEDED_GB={needed}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout + done.stderr


def test_too_little_disk_is_said_first(venv: Path) -> None:
    free = shutil.disk_usage(venv).free // 2**30
    said = make_app(venv, free + 1000)
    assert WARNS in said and f"about {free + 1000} are needed" in said


def test_enough_disk_needs_no_word(venv: Path) -> None:
    assert WARNS not in make_app(venv, 0)


def test_an_environment_with_torch_needs_no_word(venv: Path) -> None:
    (venv / "lib" / "python3.12" / "site-packages" / "torch").mkdir(parents=True)
    assert WARNS not in make_app(venv, 10**6)
