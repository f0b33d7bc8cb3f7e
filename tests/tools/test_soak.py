"""The soak: its arithmetic, and a minute of a small class at a real server."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.pages import shelf
from tools import soak
from tools.soak import SETTLED_S, Soak, as_text, made_photo

REPO = Path(__file__).resolve().parents[2]


def sampled(memory: "np.ndarray") -> Soak:
    """A report with a sample of memory every ten seconds, all else flat."""
    flat = {"threads": 12.0, "files": 27.0, "children": 3.0}
    samples = [{"at": 10.0 * i, "memory_mb": float(mb), **flat} for i, mb in enumerate(memory)]
    return Soak(20, 6.0, 10.0 * len(memory), samples=samples)


def test_only_what_comes_after_the_start_counts() -> None:
    at = np.arange(0, 1800, 10)
    rng = np.random.default_rng(3)
    memory = np.where(at < SETTLED_S, at, 400 + 0.01 * at) + rng.normal(0, 5, len(at))
    first, last, slope = sampled(memory).settled("memory_mb")
    late = at >= SETTLED_S
    assert slope == pytest.approx(3600 * np.polyfit(at[late], memory[late], 1)[0], rel=1e-6)
    assert 20 < slope < 52
    assert first == np.median(memory[late][:50]) and last == np.median(memory[late][-50:])
    assert sampled(memory).settled("threads") == (12, 12, pytest.approx(0))


def test_too_short_a_soak_says_so() -> None:
    with pytest.raises(ValueError, match="longer"):
        sampled(np.ones(20)).settled("memory_mb")


def test_the_report_can_be_read() -> None:
    report = sampled(np.full(180, 500.0))
    report.done, report.errors = {"photo": 60, "training": 6}, ["compare: it broke"]
    said = as_text(report)
    assert "photo 60, training 6" in said and "it broke" in said and "500" in said


def test_photos_are_photographs_and_differ() -> None:
    first, second = made_photo(1), made_photo(2)
    assert first != second and first == made_photo(1)
    assert Image.open(io.BytesIO(first)).size == soak.PHOTO_PX


@pytest.mark.slow
def test_a_small_class_is_watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMALL_PLATES_PRETRAINED", str(tmp_path / "pretrained"))
    monkeypatch.setenv("SMALL_PLATES_PREWARM", "1")
    shelf.fill(shelf.TEACHER, shelf.SCRATCH, shelf.DISTILLED)
    often = (
        "import sys; from tools import soak; soak.SAMPLE_S = 1; soak.PHOTO_SHARE = 0.5; "
        "sys.argv = ['soak', '--json', '--sessions', '2', '--minutes', '0.25', '--think', '1']; "
        "soak.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", often],
        cwd=REPO, env=os.environ.copy(), capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    report = json.loads(done.stdout)
    assert report["errors"] == [] and report["done"]["photo"] > 0 and report["done"]["open"] == 2
    assert len(report["samples"]) > 5
    assert all(50 < each["memory_mb"] < 5000 and each["threads"] > 1 for each in report["samples"])
