"""The compare page in a browser: the maps that it draws are those that torch computes."""

import io
from typing import TYPE_CHECKING

import onnx
import pytest
import torch
from onnx import numpy_helper
from PIL import Image
from torch.nn import functional as F

from core.course import CLASSES
from core.photos import prepare
from tests.browser.maps import assert_alike, drawn, lit, photo
from tests.pages import shelf

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


def test_the_drawn_map_is_the_one_that_torch_computes(page: "Page", server: str) -> None:
    graph = onnx.load_model_from_string(shelf.colour_graph(shelf.NOISE[shelf.TEACHER])).graph
    stored = {each.name: torch.tensor(numpy_helper.to_array(each)) for each in graph.initializer}
    pixels = torch.from_numpy(prepare(Image.open(io.BytesIO(photo())), shelf.PX)) / 255
    maps = F.conv2d(pixels[None], stored["weight"].T[:, :, None, None], stored["bias"])[0]
    label = int(maps.flatten(1).max(1).values.argmax())
    page.goto(
        f"{server}/compare?tab=where&networks={shelf.TEACHER}&look_for="
        + CLASSES[label].replace(" ", "+").replace("/", "%2F")
    )
    page.set_input_files('input[type="file"]', {
        "name": "disc.png", "mimeType": "image/png", "buffer": photo(),
    })  # fmt: skip
    caption = f": {CLASSES[label]}, "
    page.locator('[data-testid="stImage"]').filter(has_text=caption).wait_for()
    assert_alike(drawn(page, caption), lit(maps[label]))
