"""The notebook runs, and the pages from docstrings are built without a warning."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPO

NOTEBOOK = REPO / "docs" / "notebook.ipynb"


def test_the_notebook_is_short_and_holds_no_answers() -> None:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    lines = [line for cell in code for line in cell["source"] if line.strip()]
    assert len(lines) <= 40
    assert not any(cell["outputs"] for cell in code)  # they would age


@pytest.mark.slow
def test_the_notebook_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.delenv("SMALL_PLATES_PRETRAINED", raising=False)
    for name in ("HOME", "IPYTHONDIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    folder = {"metadata": {"path": str(NOTEBOOK.parent)}}
    NotebookClient(notebook, timeout=240, kernel_name="python3", resources=folder).execute()
    made = [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]
    table, said, plot = (
        output for outputs in made for output in outputs if output.get("name") != "stderr"
    )
    assert "<th>accuracy</th>" in table.data["text/html"]
    assert "distilled minus scratch" in said.text
    page = plot.data["text/html"]
    spec, _end = json.JSONDecoder().raw_decode(page, page.index('{"config"'))
    curves = [[row["same answer"] for row in rows] for rows in spec["datasets"].values()]
    assert sorted(map(len, curves)) == [7, 10]
    assert all(0 <= share <= 1 for curve in curves for share in curve)
    assert 1 in (curve[0] for curve in curves)  # nothing pruned: the same network


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make here")
def test_make_docs_has_a_page_for_every_module(tmp_path: Path) -> None:
    programs = tmp_path / "v" / "bin"
    programs.mkdir(parents=True)
    for name in ("python", "pip"):  # what would install does nothing; pdoc runs
        program = f'#!/bin/sh\ncase "$*" in *pdoc*) exec "{sys.executable}" "$@";; esac\n'
        (programs / name).write_text(program, encoding="utf-8")
        (programs / name).chmod(0o755)
    out = tmp_path / "pages"
    done = subprocess.run(
        ["make", "docs", f"VENV={programs.parent}", f"DOCS={out}"],
        cwd=REPO,
        env=os.environ | {"SMALL_PLATES_CACHE": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Warn" not in done.stderr, done.stderr
    modules = [path.relative_to(REPO) for path in (REPO / "core").rglob("*.py")]
    wanted = [path for path in modules if not path.name.startswith("__")]
    missing = [path for path in wanted if not (out / path.with_suffix(".html")).is_file()]
    assert not missing
    index = (out / "index.html").read_text(encoding="utf-8")
    assert 'href="core/training/loop.html"' in index
