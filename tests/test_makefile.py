"""What `make` installs: the versions that were tested, or the newest in an environment apart."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent

needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="there is no make here")


@pytest.fixture
def venv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment whose python does nothing, well, and keeps in `asked` what it was told to."""
    monkeypatch.setenv("ASKED", str(tmp_path / "asked"))
    programs = tmp_path / "v" / "bin"
    programs.mkdir(parents=True)
    for name in ("python", "pip"):  # it keeps what it was asked
        (programs / name).write_text('#!/bin/sh\necho "$0 $*" >> "$ASKED"\n')
        (programs / name).chmod(0o755)
    return programs.parent


def make(*words: str) -> str:
    """What it prints."""
    return subprocess.run(
        ["make", *words], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    ).stdout


FILES = ("requirements.txt", "requirements-dev.txt")
ELSEWHERE = (
    {"platform_system": "Windows", "sys_platform": "win32", "os_name": "nt"},
    {"platform_system": "Darwin", "sys_platform": "darwin", "platform_machine": "arm64"},
)


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def stated(file: str) -> list[Requirement]:
    """The requirements of a file, without its comments and references."""
    lines = [line.partition("#")[0].strip() for line in (ROOT / file).read_text().splitlines()]
    return [Requirement(line) for line in lines if line and not line.startswith("-")]


def pinned() -> dict[str, str]:
    """Package -> the one version that the constraints allow."""
    return {canonical(one.name): str(one.specifier) for one in stated("constraints.txt")}


def everywhere(requirement: Requirement, extras: set[str]) -> bool:
    """Whether a requirement of a package holds on this machine and on other systems too."""
    marker = requirement.marker
    return marker is None or any(
        marker.evaluate({"extra": extra})
        and all(marker.evaluate({"extra": extra, **one}) for one in ELSEWHERE)
        for extra in (extras or {""})
    )


def needed() -> Iterator[Requirement]:
    """Every package that the app and its tests need on every system, by what is installed here."""
    left, seen = [one for file in FILES for one in stated(file)], set()
    while left:
        requirement = left.pop()
        if str(requirement) in seen:
            continue
        seen.add(str(requirement))
        yield requirement
        try:
            lines = metadata.requires(requirement.name) or []
        except metadata.PackageNotFoundError:  # an environment older than the file
            continue
        for line in lines:
            inner = Requirement(line)
            if everywhere(inner, requirement.extras) and inner.name != "setuptools":  # venv's own
                left.append(inner)


def test_every_package_has_one_tested_version() -> None:
    versions = pinned()
    assert not {one.name for one in needed() if canonical(one.name) not in versions}


def test_the_tested_versions_lie_in_the_ranges() -> None:
    versions = pinned()
    for requirement in needed():
        version = versions[canonical(requirement.name)].removeprefix("==")
        assert requirement.specifier.contains(version, prereleases=True), str(requirement)


def test_the_constraints_fit_every_system_and_build_of_torch() -> None:
    """No marks of one build, no places on one machine, nothing that only CUDA needs."""
    for requirement in stated("constraints.txt"):
        assert re.fullmatch(r"==[0-9][0-9a-z.]*", str(requirement.specifier)), str(requirement)
        assert requirement.marker is None and requirement.url is None
    for_one_build = ("nvidia", "cuda", "triton", "uvloop")
    assert not [name for name in pinned() if name.startswith(for_one_build)]


@needs_make
@pytest.mark.parametrize(("goal", "file"), [("app", FILES[0]), ("lint", FILES[1])])
def test_make_installs_the_tested_versions(venv: Path, goal: str, file: str) -> None:
    make(goal, f"VENV={venv}")
    asked = (venv.parent / "asked").read_text()
    assert f"install --disable-pip-version-check --no-input -r {file} -c constraints.txt" in asked


@needs_make
def test_make_class_starts_several_servers_for_everybody(venv: Path) -> None:
    make("class", f"VENV={venv}", "REPLICAS=4")
    make("class", f"VENV={venv}", "HOST=127.0.0.1", "PORT=9000")
    asked = (venv.parent / "asked").read_text()
    assert "-m core serve --host 0.0.0.0 --replicas 4\n" in asked
    assert "-m core serve --host 127.0.0.1 --port 9000 --replicas 2\n" in asked


@needs_make
def test_make_constraints_writes_what_is_installed(venv: Path) -> None:
    """Less what only some builds need; the words at the head of the file stay."""
    (venv / "bin" / "python").write_text(
        "#!/bin/sh\nprintf '%s==1.0\\n' altair cuda-toolkit nvidia-nccl-cu13 triton\n"
        "echo torch==2.14.1+cpu\n"
    )
    versions = venv.parent / "versions.txt"
    versions.write_text("# The head.\n# Its end.\nold==1.0\n")
    make("constraints", f"VENV={venv}", f"CONSTRAINTS={versions}")
    assert versions.read_text() == "# The head.\n# Its end.\naltair==1.0\ntorch==2.14.1\n"


@needs_make
def test_make_newest_installs_without_the_constraints_and_runs_the_tests(venv: Path) -> None:
    """Printed, not done: it takes minutes and gigabytes."""
    said = make("-n", "newest", f"VENV={venv}", "TESTS=tests/test_makefile.py")
    (apart,) = set(re.findall(rf"{re.escape(str(venv.parent))}/\.newest-\w+/venv", said))
    for file in FILES:
        assert re.search(rf"{re.escape(apart)}/bin/python -m pip install .*-r {file} *\|", said)
    assert "constraints" not in said
    for tool in ("ruff check", "mypy", "pytest .*tests/test_makefile.py"):
        assert re.search(rf"{re.escape(apart)}/bin/python -m {tool}", said), tool
    assert not [*venv.parent.glob(".newest-*")], "nothing is left behind"
