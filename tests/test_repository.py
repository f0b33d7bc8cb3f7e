"""The files that GitHub, and readers of a repository, expect: what they name must exist."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import REPO

TEXTS = sorted(path.relative_to(REPO).as_posix() for path in REPO.glob("*.md")) + sorted(
    path.relative_to(REPO).as_posix() for path in (REPO / "docs").glob("*.md")
)
FORMS = ["fault", "idea"]


def read(name: str) -> str:
    return (REPO / name).read_text(encoding="utf-8")


def parsed(name: str) -> Any:
    """A YAML file; `on`, which YAML 1.1 takes for a truth value, is a key there."""
    content = yaml.safe_load(read(name))
    return {"on" if key is True else key: value for key, value in content.items()}


def version() -> str:
    return str(tomllib.loads(read("pyproject.toml"))["project"]["version"])


@pytest.mark.parametrize("name", TEXTS)
def test_links_lead_to_files_that_are_there(name: str) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", read(name))
    assert not [link for link in links if not (REPO / name).parent.joinpath(link).exists()]


JOBS = parsed(".github/workflows/tests.yml")["jobs"]


def commands(job: str) -> list[str]:
    return [step["run"] for step in JOBS[job]["steps"] if "run" in step]


def test_the_workflow_runs_on_three_systems_and_may_only_read() -> None:
    workflow = parsed(".github/workflows/tests.yml")
    assert {"push", "pull_request"} <= set(workflow["on"])
    assert workflow["permissions"] == {"contents": "read"}
    systems = {job["runs-on"].split("-")[0] for job in JOBS.values()}
    assert systems == {"ubuntu", "macos", "windows"}
    assert all(0 < job["timeout-minutes"] <= 120 for job in JOBS.values())
    for job in JOBS.values():
        assert job["steps"][0]["uses"].startswith("actions/checkout@")
        actions = [step["uses"] for step in job["steps"] if "uses" in step]
        assert all(re.fullmatch(r"actions/[a-z-]+@v\d+", action) for action in actions)


def test_linux_runs_what_continuous_integration_runs() -> None:
    assert commands("linux")[-1] == ".ci/run"
    assert os.access(REPO / ".ci" / "run", os.X_OK) or os.name == "nt"
    assert "make test ALL=1" in read(".ci/run")


def test_macs_run_a_goal_of_the_makefile() -> None:
    (command,) = commands("macos")
    goals = re.findall(r"^([a-z-]+):", read("Makefile"), re.MULTILINE)
    assert command.split()[0] == "make" and command.split()[1] in goals


def test_windows_runs_the_commands_of_the_readme() -> None:
    blocks = re.findall(r"^```\n(.*?)^```", read("README.md"), re.DOTALL | re.MULTILINE)
    written = [line for block in blocks for line in block.splitlines() if line.startswith("py ")]
    tests = next(block for block in blocks if r".venv\Scripts\python -m pytest" in block)
    assert commands("windows") == [*written, *tests.splitlines()]


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("compose-spec", ["deploy/compose.yaml", "deploy/gpu.yaml"]),
        ("github-workflows", [".github/workflows/tests.yml"]),
        ("github-issue-forms", [f".github/ISSUE_TEMPLATE/{name}.yml" for name in FORMS]),
        ("github-issue-config", [".github/ISSUE_TEMPLATE/config.yml"]),
        ("citation-file-format", ["CITATION.cff"]),
    ],
)
def test_files_keep_to_the_schema_of_their_readers(
    schema: str, files: list[str], tmp_path: Path
) -> None:
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}"]
    done = subprocess.run([*check, *files], cwd=REPO, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("services: {app: {ports: 1}}\nbody: 1\njobs: 1\ncontact_links: 1\n")
    assert subprocess.run([*check, wrong], cwd=REPO, capture_output=True).returncode == 1


@pytest.mark.parametrize("name", FORMS)
def test_an_issue_form_asks_each_thing_once_and_needs_some(name: str) -> None:
    body = parsed(f".github/ISSUE_TEMPLATE/{name}.yml")["body"]
    ids = [part["id"] for part in body if part["type"] != "markdown"]
    assert len(set(ids)) == len(ids)
    assert any(part.get("validations", {}).get("required") for part in body)


def test_the_version_is_the_same_everywhere() -> None:
    about = parsed("CITATION.cff")
    assert about["version"] == version()
    assert about["license"] == "MIT" and read("LICENSE").startswith("MIT License")
    assert about["authors"] and all(
        author["name"] in read("LICENSE") for author in about["authors"]
    )
    newest = re.search(r"^## (\S+?),? ", read("CHANGELOG.md"), re.MULTILINE)
    assert newest and newest[1] == version()


def test_every_promise_about_security_is_held_by_a_test_that_is_there() -> None:
    rows = [line for line in read("SECURITY.md").splitlines() if line.startswith("| ")][2:]
    assert len(rows) >= 8
    for row in rows:
        held = re.findall(r"`(tests/\S+\.py)::(test_\w+)`", row)
        assert held, row
        for file, test in held:
            assert re.search(rf"^def {test}\(", read(file), re.MULTILINE), (file, test)
    assert "Report a vulnerability" in read("SECURITY.md")


def test_no_address_of_a_package_registry_is_named() -> None:
    """Whoever installs has an own one, or the default of their tool."""
    hosts = re.compile(r"pypi\.org|pythonhosted\.org|download\.pytorch\.org|registry\.npmjs")
    places = ["README.md", "CONTRIBUTING.md", "Makefile", "pyproject.toml", ".ci/run", *TEXTS]
    places += [str(p.relative_to(REPO)) for p in (REPO / ".github").rglob("*.yml")]
    places += [str(p.relative_to(REPO)) for p in (REPO / "deploy").rglob("*") if p.is_file()]
    places += [str(p.relative_to(REPO)) for p in Path(REPO).glob("*.txt")]
    assert not [name for name in places if hosts.search(read(name))]
