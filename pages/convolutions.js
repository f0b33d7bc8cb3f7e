// "Watch it slide": a convolution worked out number by number, in the browser alone.
// The order is that of three loops: for each output map, for each row, for each column.
// It comes after maps.js.

/** A layer of `data.layers` with its numbers unpacked and an empty output. */
const prepare = (layer) => ({
  ...layer,
  inputs: unpack(layer.inputs),
  weight: unpack(layer.weight),
  bias: unpack(layer.bias),
  output: new Float32Array(layer.outs * layer.outSize ** 2),
  done: 0, // output values that are worked out
  counted: 0, // multiplications so far
  chosen: null, // the input map that a visitor wants to see
});

/** Where the output value number `at` lies, and which inputs it reads. */
const place = (layer, at) => {
  const out = Math.floor(at / layer.outSize ** 2);
  const y = Math.floor(at / layer.outSize) % layer.outSize;
  const x = at % layer.outSize;
  const reads = layer.ins / layer.groups;
  const first = Math.floor(out / (layer.outs / layer.groups)) * reads;
  return { out, y, x, reads, first, top: y * layer.stride - layer.padding,
    left: x * layer.stride - layer.padding };
};

/** What the kernel lies on in one input map; zeros beyond the edge. */
const patch = (layer, { top, left }, input) =>
  Array.from({ length: layer.kernel ** 2 }, (_, at) => {
    const y = top + Math.floor(at / layer.kernel);
    const x = left + (at % layer.kernel);
    const isInside = y >= 0 && x >= 0 && y < layer.size && x < layer.size;
    return isInside ? layer.inputs[(input * layer.size + y) * layer.size + x] : 0;
  });

/** The filter of an output map for the k-th input map that it reads. */
const filter = (layer, { out, reads }, k) => {
  const at = (out * reads + k) * layer.kernel ** 2;
  return layer.weight.subarray(at, at + layer.kernel ** 2);
};

/** One output value: the sum for each input map, their total with the bias, multiplications. */
const value = (layer, at) => {
  const here = place(layer, at);
  let multiplications = 0;
  let total = layer.bias[here.out];
  const sums = Array.from({ length: here.reads }, (_, k) => {
    const inputs = patch(layer, here, here.first + k);
    let sum = 0;
    filter(layer, here, k).forEach((weight, place) => {
      sum += inputs[place] * weight;
      multiplications += 1;
    });
    total += sum;
    return sum;
  });
  return { here, sums, total, multiplications };
};

/** Work forwards or backwards until `until` output values are done. */
const workTo = (layer, until) => {
  const end = Math.max(0, Math.min(until, layer.output.length));
  for (; layer.done < end; layer.done++) {
    const made = value(layer, layer.done);
    layer.output[layer.done] = made.total;
    layer.counted += made.multiplications;
  }
  while (layer.done > end) {
    layer.done -= 1;
    layer.counted -= value(layer, layer.done).multiplications;
    layer.output[layer.done] = 0;
  }
};

const build = (data) => {
  const { words } = data;
  const layers = data.layers.map(prepare);
  const isStill = matchMedia("(prefers-reduced-motion: reduce)").matches;
  let layer = layers[0];
  let isPlaying = !isStill;
  let coming = 0; // the frame that is asked for
  let before = 0; // time of the last frame, ms
  let owed = 0; // fractions of a value still to be worked out

  const button = (label, act, properties = {}) =>
    element("button", { type: "button", onclick: act, ...properties }, label);
  const kinds = layers.map((each) =>
    button(words.titles[each.kind], () => {
      const hadEnded = layer.done === layer.output.length;
      layer = each;
      setPlaying(isPlaying || (hadEnded && !isStill && layer.done < layer.output.length));
    }));
  const play = button("", () => setPlaying(!isPlaying));
  const speed = element("input", { type: "range", min: 0, max: 12, step: 1, value: 5,
    "aria-label": words.speed, oninput: () => write() });
  const rate = element("span", { className: "number" });
  const counter = element("p", { className: "counter number" });
  const bar = element("progress", { "aria-label": words.progress });
  const input = element("canvas", { role: "img" });
  const output = element("canvas", { role: "img", onclick: (event) => {
    const box = output.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top]
      .map((offset) => Math.floor((offset / box.width) * layer.outSize));
    const { out } = place(layer, Math.max(0, layer.done - 1));
    jump((out * layer.outSize + y) * layer.outSize + x + 1);
  } });
  const windowBox = element("div", { className: "window" });
  const pixelBox = element("div", { className: "window" });
  const inputName = element("p");
  const outputName = element("p");
  const inputThumbs = element("div", { className: "thumbs" });
  const outputThumbs = element("div", { className: "thumbs" });
  const sum = element("div", { className: "sum", role: "status" });
  const picture = element("canvas", { role: "img", "aria-label": data.alt, className: "picture" });

  const root = element("div", { className: "maps", tabIndex: 0, role: "group",
    "aria-label": words.keys },
    element("div", { className: "row" }, ...kinds),
    element("div", { className: "row" },
      picture, play,
      ...[
        ["|\u25c0", words.restart, () => jump(0)],
        ["\u25c0", words.back, () => step(-1)],
        ["\u25b6", words.step, () => step(1)],
        ["\u25b6|", words.end, () => jump(layer.output.length)],
      ].map(([sign, label, act]) => button(sign, act, { "aria-label": label, title: label })),
      element("label", { className: "row" }, speed, rate)),
    counter, bar,
    element("div", { className: "sides" },
      element("div", { className: "pair" },
        element("div", {}, inputName,
          element("div", { className: "big" }, input, windowBox), inputThumbs),
        element("div", {}, outputName,
          element("div", { className: "big" }, output, pixelBox), outputThumbs)),
      sum));

  const setPlaying = (wanted) => {
    isPlaying = wanted;
    if (isPlaying && layer.done === layer.output.length) workTo(layer, 0);
    start();
    draw(true);
  };
  const start = () => {
    owed = 0;
    before = performance.now();
    cancelAnimationFrame(coming);
    if (isPlaying) coming = requestAnimationFrame(frame);
  };
  const jump = (until) => { isPlaying = false; workTo(layer, until); draw(true); };
  const step = (by) => jump(layer.done + by);

  const frame = (now) => {
    if (!root.isConnected || !isPlaying) return;
    owed += (Math.min(100, Math.max(0, now - before)) / 1000) * 2 ** speed.value;
    before = now;
    const whole = Math.floor(owed);
    owed -= whole;
    if (whole) {
      workTo(layer, layer.done + whole);
      if (layer.done === layer.output.length) isPlaying = false;
      draw(!isPlaying);
    }
    if (isPlaying) coming = requestAnimationFrame(frame);
  };

  root.addEventListener("keydown", (event) => {
    const target = event.composedPath()[0];
    const isOwnKey = target.type === "range" || (event.key === " " && target.type === "button");
    const map = layer.outSize ** 2;
    const act = {
      " ": () => setPlaying(!isPlaying),
      ArrowRight: () => step(1),
      ArrowLeft: () => step(-1),
      ArrowDown: () => step(map),
      ArrowUp: () => step(-map),
      Home: () => jump(0),
      End: () => jump(layer.output.length),
    }[event.key];
    if (!act || isOwnKey || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    act();
  });

  const part = (values, side, number) =>
    values.subarray(number * side ** 2, (number + 1) * side ** 2);

  let drawn = null; // the layer whose small maps are there
  let drawnMap = 0; // the output map that was drawn last
  const drawThumbs = () => {
    const small = (values, side, number, most, properties) => {
      const canvas = element("canvas", properties);
      paint(canvas, part(values, side, number), side, side, most);
      return canvas;
    };
    inputThumbs.replaceChildren(...Array.from({ length: layer.ins }, (_, number) =>
      button(small(layer.inputs, layer.size, number, layer.inMost, {}),
        () => { layer.chosen = number; draw(true); },
        { "aria-label": fill(words.input, { n: number + 1 }) })));
    outputThumbs.replaceChildren(...Array.from({ length: layer.outs }, (_, number) =>
      button(small(layer.output, layer.outSize, number, layer.outMost, {}),
        () => jump(number * layer.outSize ** 2 + 1),
        { "aria-label": fill(words.output, { n: number + 1 }) })));
    drawn = layer;
    drawnMap = place(layer, Math.max(0, layer.done - 1)).out;
  };

  /** The few words that follow every frame. */
  const write = () => {
    play.textContent = isPlaying ? words.pause : words.play;
    rate.textContent = fill(words.rate, { n: count(2 ** speed.value) });
    counter.replaceChildren(element("strong", {}, count(layer.counted)), " ",
      fill(words.counter, { total: count(layer.macs), formula: layer.formula }));
    root.dataset.counted = layer.counted;
    root.dataset.playing = isPlaying;
    bar.max = layer.output.length;
    bar.value = layer.done;
    kinds.forEach((each, k) => each.setAttribute("aria-pressed", layers[k] === layer));
  };

  /** Everything. `isNew`: the visitor has asked for it, so a screen reader may say it. */
  const draw = (isNew) => {
    write();
    if (drawn !== layer) drawThumbs();
    const at = Math.max(0, layer.done - 1);
    const { here, sums, total } = value(layer, at);
    const { first, reads, out } = here;
    const wanted = layer.chosen ?? first;
    const focus = wanted >= first && wanted < first + reads ? wanted : first;
    paint(input, part(layer.inputs, layer.size, focus), layer.size, layer.size, layer.inMost);
    paint(output, part(layer.output, layer.outSize, out), layer.outSize, layer.outSize,
      layer.outMost);
    for (let map = Math.min(drawnMap, out); map <= Math.max(drawnMap, out); map++)
      paint(outputThumbs.children[map].firstChild, part(layer.output, layer.outSize, map),
        layer.outSize, layer.outSize, layer.outMost);
    drawnMap = out;
    put(windowBox, here.left, here.top, layer.kernel, layer.size);
    put(pixelBox, here.x, here.y, 1, layer.outSize);
    const mark = (thumbs, isUsed) =>
      [...thumbs].forEach((each, number) => {
        each.className = isUsed(number) ? "used" : "unused";
      });
    mark(inputThumbs.children, (number) => number >= first && number < first + reads);
    [...outputThumbs.children].forEach((each, number) => {
      each.className = number === out ? "used" : "";
    });
    inputName.textContent = fill(words.input, { n: focus + 1 });
    outputName.textContent = fill(words.output, { n: out + 1 });
    input.setAttribute("aria-label", fill(words.input, { n: focus + 1 }));
    output.setAttribute("aria-label", fill(words.output, { n: out + 1 }));
    sum.setAttribute("aria-live", isNew && !isPlaying ? "polite" : "off");
    drawSum(here, sums, total, focus);
  };

  const drawSum = (here, sums, total, focus) => {
    const { first, reads, out, y, x } = here;
    const names = { out: out + 1, row: y + 1, column: x + 1, first: first + 1,
      last: first + reads };
    const inputs = patch(layer, here, focus);
    const weights = filter(layer, here, focus - first);
    const most = Math.max(...layer.weight.map(Math.abs));
    const terms = sums.map((each, k) =>
      element("span", { className: first + k === focus ? "term focus" : "term" }, signed(each)));
    sum.replaceChildren(
      element("p", {}, fill(reads === 1 ? words.readsOne : words.reads, names)),
      element("div", { className: "row" },
        square(inputs, layer.kernel, layer.inMost, words.inputs), "\u00d7",
        square(weights, layer.kernel, most, words.weights),
        element("span", { className: "term focus" }, "= " + signed(sums[focus - first]))),
      element("p", {}, fill(words.sums, { n: reads })),
      element("p", { className: "terms number" }, ...terms),
      element("p", { className: "number" },
        fill(words.total, { bias: signed(layer.bias[out]) }),
        element("strong", {}, signed(total))));
    root.dataset.value = total;
    root.dataset.at = layer.done;
  };

  paintPicture(picture, unpack(data.picture), data.px);
  workTo(layer, 1);
  draw(true);
  start();
  return root;
};

export default function ({ data, parentElement }) {
  replace(parentElement, data.id, () => build(data));
}
