// "What each layer sees": feature maps, and the sum behind one value of one of them.
// It comes after maps.js. What is clicked goes to the server, which has the numbers.

const build = (data, send) => {
  const { words, sum } = data;
  const bytes = unpack(data.maps);
  const values = Float32Array.from(bytes, (byte) => (byte - 128) / 127);
  const map = (number, side, from) =>
    values.subarray(from + number * side ** 2, from + (number + 1) * side ** 2);

  const small = data.numbers.map((number, at) => {
    const canvas = element("canvas");
    paint(canvas, map(at, data.thumb, 0), data.thumb, data.thumb, 1);
    return element("button", {
      type: "button",
      "aria-label": fill(words.map, { n: number + 1 }),
      "aria-pressed": number === sum.map,
      "data-focus": `map${number}`,
      onclick: () => send([data.layer, number]),
    }, canvas);
  });

  const picture = element("canvas", { role: "img", "aria-label": data.alt, className: "seen" });
  paintPicture(picture, unpack(data.picture), data.px);

  const large = element("canvas", { role: "img", tabIndex: 0, "data-focus": "large",
    "aria-label": fill(words.large, { n: sum.map + 1 }) });
  paint(large, map(0, data.side, data.numbers.length * data.thumb ** 2), data.side, data.side, 1);
  const box = element("div", { className: "window" });
  let [y, x] = [sum.y, sum.x];
  let waiting = 0;
  const go = (newY, newX, delay = 0) => {
    [y, x] = [newY, newX].map((at) => Math.max(0, Math.min(data.side - 1, at)));
    put(box, x, y, 1, data.side);
    clearTimeout(waiting);
    waiting = setTimeout(() => send([data.layer, sum.map, y, x]), delay);
  };
  put(box, x, y, 1, data.side);
  large.addEventListener("click", (event) => {
    const place = large.getBoundingClientRect();
    const [left, top] = [event.clientX - place.left, event.clientY - place.top]
      .map((offset) => Math.floor((offset / place.width) * data.side));
    go(top, left);
  });
  large.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
    if (!by[event.key]) return;
    event.preventDefault();
    go(y + by[event.key][0], x + by[event.key][1], 300); // once the keys are at rest
  });

  const inMost = Math.max(1e-9, ...sum.terms.flatMap((term) => term.inputs.map(Math.abs)));
  const most = Math.max(1e-9, ...sum.terms.flatMap((term) => term.weights.map(Math.abs)));
  const terms = sum.terms.map((term) => {
    const side = Math.sqrt(term.inputs.length);
    return element("div", {},
      element("p", { className: "number" }, fill(words.term, { name: term.name, value: "" }),
        element("strong", {}, signed(term.sum))),
      element("div", { className: "row" },
        square(term.inputs, side, inMost, fill(words.inputs, { name: term.name })), "\u00d7",
        square(term.weights, side, most, fill(words.weights, { name: term.name }))));
  });
  const rows = sum.rows.map(([name, value]) =>
    element("tr", {}, element("th", { scope: "row" }, name),
      element("td", { className: "number" }, signed(value))));

  const root = element("div", { className: "maps" },
    element("div", { className: "layer" },
      element("div", {},
        element("p", {}, words.picture), picture),
      element("div", {},
        element("p", {}, words.maps), element("div", { className: "grid" }, ...small)),
      element("div", {},
        element("p", {}, fill(words.large, { n: sum.map + 1 })),
        element("div", { className: "big" }, large, box))),
    element("div", { className: "origin", role: "status" },
      element("div", {},
        element("p", {}, fill(words.pixel, { n: sum.map + 1, row: sum.y + 1, column: sum.x + 1 })),
        element("table", {}, ...rows)),
      element("div", { className: "terms" }, element("p", {}, words.terms), ...terms)));
  root.dataset.value = sum.value;
  root.dataset.pixel = [sum.map, sum.y, sum.x];
  return root;
};

export default function ({ data, parentElement, setStateValue }) {
  replace(parentElement, data.id, () => build(data, (pick) => setStateValue("pick", pick)));
}
