"""The export page in a browser: guess, reveal, real downloads, and files made on the spot."""

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import onnxruntime as ort
import pytest

from tests.browser.waiting import until_still
from tests.food import make_food11
from tests.visitor import run_server

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app over two untrained networks, one of them with made-up figures, and photographs."""
    from tests.pages import export_shelf

    folder = tmp_path_factory.mktemp("export")
    counts = {"training": 3, "validation": 1, "testing": 3}
    food = make_food11(folder / "food", per_class=counts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SMALL_PLATES_PRETRAINED", str(folder / "pretrained"))
        patch.setenv("SMALL_PLATES_CACHE", str(folder / "cache"))
        export_shelf.publish(food)
        export_shelf.save_rows(export_shelf.TEACHER)
        export_shelf.save_way()
        with run_server(folder, environment=os.environ | {"FOOD11_ROOT": str(food)}) as running:
            yield running.address


def settle(page: "Page") -> None:
    page.wait_for_selector("h1 >> text=What do you put on the phone?")
    page.wait_for_selector('[data-testid="stTab"]')
    until_still(page)


def said(page: "Page") -> str:
    return re.sub(r"\s+", " ", page.inner_text('[data-testid="stMain"]'))


def download(page: "Page", key: str) -> tuple[str, bytes]:
    """Press a download button; the name of the file that came, and its bytes."""
    with page.expect_download() as waiting:
        page.click(f".st-key-{key} button")
    found = waiting.value
    return found.suggested_filename, Path(found.path()).read_bytes()


def test_a_guess_comes_first_then_the_figures(page: "Page", server: str) -> None:
    page.goto(f"{server}/export?network=hw13_sample-imagenet-s0")
    settle(page)
    page.wait_for_selector("svg.marks")
    words = "() => [...document.querySelectorAll('svg.marks text')].map(t => t.textContent)"
    before: list[str] = page.evaluate(words)
    assert {"ONNX, float32", "ONNX, int8", "Size of the file"} <= set(before)
    assert before.count("?") == 4 and "You guessed" not in said(page)
    page.click('.st-key-guess_smallest button:has-text("ONNX, int8")')
    page.wait_for_selector("text=You guessed ONNX, int8")
    page.wait_for_function(
        "![...document.querySelectorAll('svg.marks text')].some(t => t.textContent == '?')"
    )
    page.click('button:has-text("Time")')
    page.wait_for_selector(".st-key-guess_fastest")
    page.click('.st-key-guess_fastest button:has-text("Just show me")')
    page.wait_for_selector("text=not distinguishable")
    assert "Milliseconds for one photo" in page.evaluate(words)
    page.get_by_role("tab", name="Step by step").click()
    page.wait_for_function(
        "[...document.querySelectorAll('svg.marks text')].some(t => t.textContent == '1 teacher')"
    )
    assert "measure=time" in page.url and "tab=way" in page.url


def test_what_is_downloaded_runs_and_its_card_names_it(page: "Page", server: str) -> None:
    page.goto(f"{server}/export?network=hw13_sample-scratch-s0")
    settle(page)
    name, data = download(page, "file_onnx")
    assert name == "hw13_sample-scratch-s0.onnx"
    session = ort.InferenceSession(data, providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape[1:] == [3, 32, 32]
    card_name, card = download(page, "card_onnx")
    assert card_name == f"{name}.md"
    text = card.decode()
    assert hashlib.sha256(data).hexdigest() in text
    assert "## Licence" in text and "## Limits" in text
    page.click('.st-key-file button:has-text("safetensors")')
    page.wait_for_selector(".st-key-file_safetensors")
    again, weights = download(page, "file_safetensors")
    assert again.endswith(".safetensors") and b'"weight' not in weights[:8]
    assert page.query_selector('[data-testid="stException"]') is None


def test_files_are_made_here_and_then_stay(page: "Page", server: str) -> None:
    page.goto(f"{server}/export?network=hw13_sample-scratch-s0&file=onnx-int8")
    settle(page)
    assert page.query_selector(".st-key-file_onnx-int8") is None  # nobody has measured its ranges
    page.get_by_role("tab", name="All figures").click()
    page.click('button:has-text("Make it here")')
    page.wait_for_selector("text=Measured here at", timeout=180_000)
    assert page.is_disabled('button:has-text("Measured already")')
    page.get_by_role("tab", name="Download").click()
    page.wait_for_selector(".st-key-file_onnx-int8")
    name, data = download(page, "file_onnx-int8")
    assert name.endswith(".int8.onnx")
    assert ort.InferenceSession(data, providers=["CPUExecutionProvider"]).get_outputs()
    page.goto(f"{server}/export?network=hw13_sample-scratch-s0&reveal=true&tab=figures")
    settle(page)
    page.wait_for_selector("text=Compared with the original on the test split: 33 photographs")


def test_home_steps_through_the_way_without_asking_the_server(page: "Page", server: str) -> None:
    frames: list[object] = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda frame: frames.append(frame)))
    page.goto(server)
    page.wait_for_selector("svg.marks")
    until_still(page)
    words = "() => [...document.querySelectorAll('svg.marks text')].map(t => t.textContent)"
    assert frames and "51.2 MB" in " ".join(page.evaluate(words)).replace("\u202f", " ")
    sent = len(frames)
    page.check('.vega-bindings input[value="tuned_8bit"]')
    page.wait_for_function(
        "[...document.querySelectorAll('svg.marks text')].some(t => t.textContent.includes('100'))"
    )
    page.wait_for_timeout(300)
    assert "step=tuned_8bit" in page.url and len(frames) == sent
