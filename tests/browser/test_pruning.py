"""The pruning page in a browser: the reveal, a live run stopped half way, a visitor who waits."""

import contextlib
import io
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from PIL import Image
from torch import nn

from core import checkpoints
from core.models.registry import get
from core.photos import prepare
from tests.browser.conftest import PATIENCE_MS
from tests.browser.maps import assert_alike, drawn, lit, photo
from tests.browser.waiting import until_still
from tests.food import make_food11
from tests.pages import pruning_shelf
from tests.visitor import run_server

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

TEST_PICTURES_PER_CLASS = 100


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    """The app over two untrained networks with made-up curves, and enough pictures for a run:
    its address and process."""
    folder = tmp_path_factory.mktemp("pruning")
    counts = {"training": 1, "validation": 1, "testing": TEST_PICTURES_PER_CLASS}
    food = make_food11(folder / "food", per_class=counts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SMALL_PLATES_PRETRAINED", str(folder / "pretrained"))
        pruning_shelf.publish(food)
        pruning_shelf.fill()
        with run_server(folder, environment=os.environ | {"FOOD11_ROOT": str(food)}) as running:
            yield running.address, running.process.pid


@pytest.fixture(scope="module")
def server(app: tuple[str, int]) -> str:
    return app[0]


def settle(page: "Page") -> None:
    page.wait_for_selector("h1 >> text=pruning")
    page.wait_for_selector("svg.marks")
    until_still(page)


def said(page: "Page") -> str:
    return re.sub(r"\s+", " ", page.inner_text('[data-testid="stMain"]'))


def words_in_chart(page: "Page") -> list[str]:
    """All words in the first chart."""
    words: list[str] = page.evaluate(
        "() => [...document.querySelector('svg.marks').querySelectorAll('text')]"
        ".map(t => t.textContent)"
    )
    return words


def curve_lengths(page: "Page") -> list[int]:
    """How many points the paths of the first chart's lines have, longest first."""
    paths: list[str] = page.evaluate(
        "() => [...document.querySelector('svg.marks').querySelectorAll('.mark-line path')]"
        ".map(p => p.getAttribute('d') || '')"
    )
    return sorted((path.count("L") + path.count("C") for path in paths), reverse=True)


def workers(app_pid: int) -> list[int]:
    """The workers of live runs that this app started."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            is_worker = b"core.live" in (folder / "cmdline").read_bytes()
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if is_worker and parent == app_pid:
            found.append(int(folder.name))
    return found


def test_a_guess_comes_first_then_the_curves(page: "Page", server: str) -> None:
    page.goto(f"{server}/pruning")
    settle(page)
    assert "stays within" not in said(page)
    assert max(curve_lengths(page), default=0) == 0
    page.click('button >> text="hardly, then suddenly"')
    page.wait_for_selector("text=stays within")
    page.wait_for_function(
        "() => [...document.querySelector('svg.marks').querySelectorAll('.mark-line path')]"
        ".filter(p => (p.getAttribute('d') || '').split('L').length >= 19).length >= 3"
    )  # two networks and the guess
    page.wait_for_selector("text=is nearest to Teacher")
    assert "guess" not in page.url and "reveal" not in page.url  # no answer for the next reader
    words = words_in_chart(page)
    assert {"Pruning ratio", "Right on the test photographs"} <= set(words), words
    assert any(word.endswith("Teacher") for word in words), words  # behind the curve's mark
    assert len(page.query_selector_all("svg.marks")) == 1  # the second guess has its own answer
    page.click('button >> text="faster"')
    page.wait_for_selector("text=It is slower: 125")  # what the mask costs
    page.wait_for_function("document.querySelectorAll('svg.marks').length === 2")


def test_a_touch_in_a_tab_leaves_the_instrument_alone(page: "Page", server: str) -> None:
    """The main chart's very node stays; the ratio keeps the chart, too, and moves its rule."""
    page.goto(f"{server}/pruning?reveal=true&tab=weights")
    settle(page)
    page.wait_for_function("document.querySelectorAll('svg.marks').length === 3")
    page.evaluate("document.querySelector('svg.marks').dataset.mine = 'yes'")
    page.get_by_role("tab", name="Channels").click()
    page.wait_for_selector("text=channels are cut (crosses)")
    assert "tab=channels" in page.url
    page.get_by_role("slider").first.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("text=At 55")
    assert page.evaluate("document.querySelector('svg.marks').dataset.mine") == "yes"


def stop(page: "Page") -> None:
    """Press Stop, and once more if the page was just being redrawn under the click."""
    from playwright.sync_api import TimeoutError as TookTooLong

    for _attempt in range(3):
        page.click('button:has-text("Stop")')
        with contextlib.suppress(TookTooLong):
            page.wait_for_selector("text=Stopped. Nothing was kept.", timeout=15_000)
            return
    raise AssertionError("the run does not stop")


def test_a_live_run_is_stopped_half_way_and_the_app_stays_alive(
    page: "Page", app: tuple[str, int], browser: "Browser"
) -> None:
    server, app_pid = app
    other = browser.new_context().new_page()
    other.set_default_timeout(PATIENCE_MS)
    other.goto(f"{server}/pruning?ratio=80&tab=run")
    settle(other)
    page.goto(f"{server}/pruning?reveal=true&ratio=35&tab=run")
    settle(page)
    page.click('button:has-text("Run it here")')
    page.wait_for_selector("text=Looking at test photograph")
    (worker,) = workers(app_pid)
    os.kill(worker, signal.SIGSTOP)  # however slow the clicks below are, it is half way

    # another visitor, another point: one at a time, and told so
    other.click('button:has-text("Run it here")')
    other.wait_for_selector("text=1 before you on this machine")
    stop(other)
    other.context.close()

    page.click('label:has-text("All methods")')  # nothing is frozen
    page.wait_for_selector("text=Random weights up to")
    stop(page)
    page.wait_for_timeout(500)
    assert not workers(app_pid)
    assert "Measured here" not in said(page)


def test_a_live_run_that_is_left_alone_ends_in_the_chart(page: "Page", server: str) -> None:
    page.goto(f"{server}/pruning?reveal=true&ratio=100&tab=run&network=hw13_sample-scratch-s0")
    settle(page)
    page.click('button:has-text("Run it here")')
    page.wait_for_selector("text=Measured here at")
    assert page.is_disabled('button:has-text("Measured already")')
    n = 11 * TEST_PICTURES_PER_CLASS
    # all weights zero: the same answer to every picture, so one class in eleven is right
    assert re.search(r"UTC: 9\.1.% \(", said(page)), (n, said(page)[:3000])
    page.reload()
    settle(page)
    page.wait_for_selector("text=Measured here at")  # kept for everybody who asks for this point


def test_the_maps_of_pruned_networks_are_those_that_torch_computes(
    page: "Page", server: str
) -> None:
    """Weights pruned by hand: the smallest of each convolution's, by a sort of its own."""
    page.goto(f"{server}/pruning?tab=where&photo_from=camera&network={pruning_shelf.TEACHER}")
    page.set_input_files('input[type="file"]', {
        "name": "disc.png", "mimeType": "image/png", "buffer": photo(),
    })  # fmt: skip
    page.get_by_text(re.compile("^90.%: ")).first.wait_for()
    image = Image.open(io.BytesIO(photo()))
    pixels = torch.from_numpy(prepare(image, pruning_shelf.PX[pruning_shelf.TEACHER]))[None]
    spec, label = get("hw13_sample"), None
    for percent in (0, 50, 90):
        net = checkpoints.load_model(pruning_shelf.TEACHER)
        for layer in net.modules():
            if isinstance(layer, nn.Conv2d):
                flat = layer.weight.detach().abs().flatten()
                gone = flat.argsort()[: round(len(flat) * percent / 100)]
                with torch.no_grad():
                    layer.weight.view(-1)[gone] = 0
        linear = next(each for each in net.modules() if isinstance(each, nn.Linear))
        with torch.no_grad():
            last = net.features(spec.normalize(pixels))  # type: ignore[operator]
            places = linear(last[0].permute(1, 2, 0))  # (h, w, 11)
            logits = places.mean((0, 1))
        label = int(logits.argmax()) if label is None else label
        assert_alike(drawn(page, f"{percent}\u202f%: "), lit(places[..., label]))
