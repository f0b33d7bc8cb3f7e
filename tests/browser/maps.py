"""A class activation map as a page draws it, against one that torch computes by itself."""

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn import functional as F

from core.photos import prepare

if TYPE_CHECKING:
    from playwright.sync_api import Page

SIDE = 224


def photo() -> bytes:
    """A PNG of a warm disc on a cold ground, 224 x 224."""
    y, x = np.mgrid[0:SIDE, 0:SIDE] - SIDE / 2
    disc = np.hypot(x - 30, y + 20)[..., None] < 60
    picture = np.where(disc, (220, 120, 40), (60, 90, 150)).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()


def lit(map: torch.Tensor) -> NDArray[np.float64]:
    """The photo as it must be drawn over a map (h, w): dark where it is 0, bright at its top."""
    light = F.interpolate(map[None, None].clamp(min=0), (SIDE, SIDE), mode="bilinear")[0, 0]
    view = prepare(Image.open(io.BytesIO(photo())), SIDE).transpose(1, 2, 0)
    share = (light / map.max()).numpy()[..., None]
    result: NDArray[np.float64] = view * (0.15 + 0.85 * share)
    return result


def drawn(page: "Page", caption: str) -> NDArray[np.float64]:
    """The picture above the caption that has these words: (h, w, 3) of 0..255."""
    box = page.locator('[data-testid="stImage"]').filter(has_text=caption).first
    address = box.locator("img").get_attribute("src")
    assert address
    answer: Any = page.request.get(address if "://" in address else page.url.split("/compare")[0]
                                   .split("/pruning")[0] + address)  # fmt: skip
    picture = Image.open(io.BytesIO(answer.body())).convert("RGB")
    return np.asarray(picture, dtype=np.float64)


def assert_alike(shown: NDArray[np.float64], expected: NDArray[np.float64]) -> None:
    """The same but for what JPEG loses."""
    assert shown.shape == expected.shape
    assert np.abs(shown - expected).mean() < 4
    assert np.corrcoef(shown.ravel(), expected.ravel())[0, 1] > 0.98
