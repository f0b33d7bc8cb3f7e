"""Every word keeps 4.5 : 1 against what is behind it, by day and by night; icons 3 : 1
(WCAG 2.2, 1.4.3 and 1.4.11)."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser.waiting import until_still
from tests.visitor import REPO, run_server

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.browser

SCRIPT = """
import inspect
import streamlit as st
from PIL import Image
from core.inference import predict
from pages.kit import frame

frame.style()
st.title("A title")
st.caption("Quiet words")
st.info("Something to know")
st.image(Image.new('RGB', (40, 40)), caption="What it shows")
st.sidebar.markdown(":material/home: Home")
st.code(inspect.getsource(predict.softmax) + "x = 1  # a comment\\nif x is None: pass")
st.page_link("https://example.org", label="A link", icon=":material/link:")
"""
FAINT = """(root) => {
  const canvas = document.createElement('canvas');
  canvas.width = canvas.height = 1;
  const paint = canvas.getContext('2d', {willReadFrequently: true});
  const rgba = (colour) => {
    paint.clearRect(0, 0, 1, 1);
    paint.fillStyle = colour;
    paint.fillRect(0, 0, 1, 1);
    return [...paint.getImageData(0, 0, 1, 1).data];
  };
  const over = ([r, g, b, alpha], below) =>
    [r, g, b].map((c, i) => (c * alpha + below[i] * (255 - alpha)) / 255);
  const behind = (e) => {
    const layers = [];
    for (; e; e = e.parentElement ?? e.getRootNode().host)
      layers.push(rgba(getComputedStyle(e).backgroundColor));
    return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255]);
  };
  const light = (colour) => {
    const [r, g, b] = colour.map((c) => c / 255)
      .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const faint = [], words = document.createTreeWalker(root ?? document.body, NodeFilter.SHOW_TEXT);
  let seen = 0;
  while (words.nextNode()) {
    const e = words.currentNode.parentElement, text = words.currentNode.textContent.trim();
    if (!text || !e.getClientRects().length || e.closest('script, style, svg')) continue;
    const below = behind(e), ink = rgba(getComputedStyle(e).color);
    for (let n = e; n; n = n.parentElement) ink[3] *= getComputedStyle(n).opacity;
    const [a, b] = [light(over(ink, below)), light(below)];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    seen += 1;
    const enough = e.dataset.testid === 'stIconMaterial' ? 3 : 4.5;
    if (ratio < enough) faint.push(`${ratio.toFixed(2)} ${text.slice(0, 40)}`);
  }
  return [seen, faint];
}"""
"""Words of an element, or of the page: how many there are, and those that are hard to read."""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_words_can_be_read(browser: "Browser", tmp_path: Path, scheme: str) -> None:
    script = tmp_path / "words.py"
    script.write_text(SCRIPT)
    environment = os.environ | {"PYTHONPATH": str(REPO)}
    with run_server(tmp_path, environment=environment, script=script) as server:
        page = browser.new_page(color_scheme=scheme)  # type: ignore[arg-type]
        page.goto(server.address)
        page.wait_for_selector("text=A link")
        page.wait_for_selector("[data-testid='stCode'] .token.comment")
        until_still(page)
        seen, faint = page.evaluate(FAINT)
        page.close()
    assert seen > 30 and faint == []
