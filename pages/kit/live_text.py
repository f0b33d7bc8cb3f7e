"""Paragraphs whose numbers follow the sliders of a chart, worked out by the browser alone.

A Vega parameter with an input of its own sends nothing to the server, so a sentence about where it
stands cannot come from there. A page gives the text with {names} in it, and a JavaScript function
that works the names' texts out of the data and the inputs.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import streamlit as st

_SCRIPT = """
const share = (p) => (p > 0 && p < 0.005 ? "<1" : p >= 0.995 && p < 1 ? ">99"
  : (100 * p).toFixed(0)) + "\\u202f%";
const softmax = (logits, T) => {
  const top = Math.max(...logits);
  const powers = logits.map((logit) => Math.exp((logit - top) / T));
  const total = powers.reduce((a, b) => a + b);
  return powers.map((power) => power / total);
};
const sum = (values) => values.reduce((a, b) => a + b, 0);

export default function ({ data, parentElement }) {
  const fields = [];
  const place = document.createElement("div");
  for (const text of data.paragraphs) {
    const paragraph = document.createElement("p");
    text.split("**").forEach((part, k) => {
      const words = document.createElement(k % 2 ? "b" : "span");
      for (const piece of part.split(/({\\w+})/)) {
        const span = document.createElement("span");
        span.textContent = piece;
        if (/^{\\w+}$/.test(piece)) fields.push([span, piece.slice(1, -1)]);
        words.append(span);
      }
      paragraph.append(words);
    });
    place.append(paragraph);
  }
  parentElement.replaceChildren(place);

  const input = (name) => document.querySelector(`.vega-bindings [name="${name}"]`);
  const at = Object.fromEntries(Object.entries(data.starts)
    .map(([name, start]) => [name, Number(input(name)?.value ?? start)]));
  const write = () => {
    const now = numbers(data, at);
    for (const [span, name] of fields) span.textContent = now[name];
  };
  const follow = ({ target }) => {
    if (target.name in at && target.closest(".vega-bindings")) {
      at[target.name] = Number(target.value);
      write();
    }
  };
  document.addEventListener("input", follow, true);
  write();
  return () => document.removeEventListener("input", follow, true);
}
"""


def live_text(name: str, numbers: str) -> Callable[..., None]:
    """What draws such paragraphs; `name` is the component's name and the key of its place.

    `numbers`: the source of `function numbers(data, at)`, which returns a text for each {name};
    `data` is what is drawn, `at` the inputs. It may use share, softmax and sum.
    """
    component = st.components.v2.component(
        f"small_plates_{name}", js=numbers + _SCRIPT, isolate_styles=False
    )

    def draw(paragraphs: Sequence[str], starts: Mapping[str, float], **data: Any) -> None:
        """`paragraphs`: with {names}, and ** around what is bold; `starts`: where the inputs begin,
        if the chart is not there yet; `data`: whatever else the function reads."""
        component(key=name, data={**data, "paragraphs": list(paragraphs), "starts": dict(starts)})

    return draw
