"""The engine in a real Chromium: its answers are ONNX Runtime's, for students and designs."""

import base64
import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from numpy.typing import NDArray

from core.checkpoints import listing
from core.export.browser import ENGINE, BrowserFormat, browser_file
from core.export.files import open_file
from core.models.design.spec import Design
from core.models.registry import MODELS
from core.paths import REPO
from tests.core.export.test_browser import Exported
from tests.core.models.designs import designs

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.browser
Run = Callable[[dict[str, Any], bytes, NDArray[np.uint8]], NDArray[np.float64]]
STUDENTS = [key for key, spec in MODELS.items() if spec.family == "student"]
SHIPPED = listing(REPO / "pretrained").checkpoints
_RUN = """
([plan, file, pictures]) => {
  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const network = new Network(plan, bytes(file).buffer);
  const before = network.floats.buffer;
  const answers = pictures.map((picture) => Array.from(network.run(bytes(picture))));
  const again = Array.from(network.run(bytes(pictures[0])));
  return { answers, isSteady: String(again) === String(answers[0]),
           isOneBlock: before === network.floats.buffer };
}
"""


@pytest.fixture(scope="module")
def run(browser: "Browser") -> Iterator[Run]:
    """Answers of the engine in an empty page: plan, file, pixels (n, 3, px, px) -> (n, 11)."""
    tab = browser.new_page()
    tab.add_script_tag(content=ENGINE.read_text(encoding="utf-8"))

    def answers(plan: dict[str, Any], file: bytes, pixels: NDArray[np.uint8]) -> Any:
        opaque = np.full((len(pixels), 1, *pixels.shape[2:]), 255, np.uint8)
        canvas = np.concatenate([pixels, opaque], 1).transpose(0, 2, 3, 1)  # (n, px, px, 4)
        sent = [
            base64.b64encode(each).decode() for each in (file, *map(np.ndarray.tobytes, canvas))
        ]
        got = tab.evaluate(_RUN, [plan, sent[0], sent[1:]])
        assert got["isSteady"] and got["isOneBlock"]
        return np.array(got["answers"])

    yield answers
    tab.close()


@pytest.mark.parametrize("format", get_args(BrowserFormat))
@pytest.mark.parametrize("model", STUDENTS)
def test_every_student_answers_as_onnx_runtime(
    run: Run, model: str, format: BrowserFormat, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shipped network of each size of a model, or an untrained one where none is shipped."""
    sizes = {each.params: each for each in SHIPPED.values() if each.model == model}
    shipped = list(sizes.values())  # pruned ones and factored ones among them
    if not shipped:
        made = Exported(model, format, px=64)
        np.testing.assert_allclose(run(made.plan, made.file, made.pixels), made.logits, atol=1e-3)
        return
    monkeypatch.setenv("SMALL_PLATES_PRETRAINED", str(REPO / "pretrained"))
    for checkpoint in shipped:
        px, (plan, file) = checkpoint.input_px, browser_file(checkpoint, format)
        pixels = np.random.default_rng(0).integers(0, 256, (2, 3, px, px), np.uint8)
        pixels[1] = pixels[1, :, :1, :1]  # one colour
        session = open_file(checkpoint.id, format, file)
        expected = session.run(None, {"pixels": pixels})[0]
        np.testing.assert_allclose(run(json.loads(plan), file, pixels), expected, atol=1e-3)


def test_any_design_answers_as_onnx_runtime(run: Run) -> None:
    @settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
    @given(designs(widest=18))
    def check(design: Design) -> None:
        line = design.model_copy(update={"classes": 11}).line
        for format in get_args(BrowserFormat):
            made = Exported(f"design:{line}", format)
            answers = run(made.plan, made.file, made.pixels)
            np.testing.assert_allclose(answers, made.logits, atol=1e-3, rtol=1e-4)

    check()
