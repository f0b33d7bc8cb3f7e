"""The load tool: its arithmetic, and a class of two at a real server."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pages import shelf
from tools.load import Report, as_text, quantile

REPO = Path(__file__).resolve().parents[2]


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50),
    st.sampled_from([0.0, 0.25, 0.5, 0.95, 1.0]),
)
def test_a_quantile_is_the_inverted_distribution(values: list[float], share: float) -> None:
    assert quantile(values, share) == np.quantile(values, share, method="inverted_cdf")


def test_the_report_can_be_read() -> None:
    report = Report(2, 6.0, 120.0, errors=["pruning: it broke"])
    report.first_visitors_s = {"median": 1.0, "last": 2.0}
    report.alone_cpu_ms = {"touch": {"n": 3, "median": 20.0, "mean": 30.0, "most": 40.0}}
    report.memory_mb = {"before": 500, "most": 520, "per_session": 10.0}
    report.pages = {"home": {"n": 4, "p50": 0.1, "p95": 0.2}}
    said = as_text(report)
    assert "2.0 s (last)" in said and "10.0 MB a session" in said and "it broke" in said


@pytest.mark.slow
def test_two_sessions_are_answered_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMALL_PLATES_PRETRAINED", str(tmp_path / "pretrained"))
    monkeypatch.setenv("SMALL_PLATES_PREWARM", "1")
    shelf.fill(shelf.TEACHER, shelf.SCRATCH, shelf.DISTILLED)
    command = [sys.executable, "-m", "tools.load", "--json", "--sessions", "2", "--seconds", "6"]
    command += ["--think", "0.5", "--pages", "", "convolutions", "quantization"]
    done = subprocess.run(
        command, cwd=REPO, env=os.environ.copy(), capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["requests"] > 2 and report["errors"] == []
    assert set(report["pages"]) <= {"home", "convolutions", "quantization"}
    assert 0 < report["p50_s"] <= report["p95_s"]
    spent = report["alone_cpu_ms"]
    assert spent["first visit"]["n"] == 3 and spent["touch"]["n"] > 0
    assert 0 < spent["touch"]["median"] <= spent["touch"]["most"]
    assert set(report["alone_by_page"]) == {"home", "convolutions", "quantization"}
    assert report["memory_mb"]["before"] > 50
