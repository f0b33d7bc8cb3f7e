// Shared by the components that show feature maps: numbers in, small pictures out.

/** The numbers of an array that `packed` in maps.py has packed, row by row. */
const unpack = ({ dtype, data }) => {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  return dtype === "float32" ? new Float32Array(bytes.buffer) : bytes;
};

/** Colours of -1, -0.5, 0, 0.5, 1: blue below zero, dark at zero, orange above. */
const STOPS = [[160, 210, 255], [35, 105, 190], [22, 20, 24], [200, 90, 25], [255, 228, 175]];
const colour = (value) => {
  const at = 2 + 2 * Math.max(-1, Math.min(1, value || 0));
  const low = Math.min(3, Math.floor(at));
  return STOPS[low].map((from, k) => Math.round(from + (at - low) * (STOPS[low + 1][k] - from)));
};

/** Draw a map of height x width values on a canvas; `most`: the value of the brightest colour. */
const paint = (canvas, values, height, width, most) => {
  canvas.width = width;
  canvas.height = height;
  const image = new ImageData(width, height);
  values.forEach((value, at) => image.data.set([...colour(value / most), 255], 4 * at));
  canvas.getContext("2d").putImageData(image, 0, 0);
};

/** Draw an RGB picture of 3 x px x px bytes on a canvas. */
const paintPicture = (canvas, rgb, px) => {
  canvas.width = canvas.height = px;
  const image = new ImageData(px, px);
  for (let at = 0; at < px ** 2; at++)
    image.data.set([rgb[at], rgb[at + px ** 2], rgb[at + 2 * px ** 2], 255], 4 * at);
  canvas.getContext("2d").putImageData(image, 0, 0);
};

/** Lay a box over a part of a map: `side` values of the `size` that the map has in a row. */
const put = (box, left, top, side, size) => {
  box.style.cssText = `left:${(100 * left) / size}%;top:${(100 * top) / size}%;` +
    `width:${(100 * side) / size}%;height:${(100 * side) / size}%`;
};

/** An element with its properties, attributes (names with a dash, and role) and children. */
const element = (tag, properties = {}, ...children) => {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties))
    if (name.includes("-") || name === "role") made.setAttribute(name, value);
    else made[name] = value;
  made.append(...children);
  return made;
};

const count = (number) => number.toLocaleString("en-US");
const signed = (value) => (value < 0 ? "\u2212" : "+") + Math.abs(value).toFixed(3);
/** A text with its {names} replaced. */
const fill = (text, values) => text.replace(/{(\w+)}/g, (all, name) => values[name] ?? all);

/** How light a colour is, 0 to 1, as WCAG counts it. */
const luminance = (rgb) => {
  const [red, green, blue] = rgb.map((part) =>
    part <= 10 ? part / 3294 : ((part / 255 + 0.055) / 1.055) ** 2.4);
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
};

/** A square of numbers, each on the colour of its value. */
const square = (values, side, most, label) => {
  const table = element("div", { className: "square", role: "img", "aria-label": label });
  table.style.setProperty("--side", side);
  for (const value of values) {
    const [size, sign] = [Math.abs(value), value < 0 ? "\u2212" : ""];
    const digits = Math.max(0, 4 - sign.length - Math.max(1, Math.floor(size).toString().length));
    const cell = element("span", {}, sign + size.toFixed(digits)); // room for four digits
    const rgb = colour(value / most);
    cell.style.background = `rgb(${rgb})`;
    cell.style.color = luminance(rgb) > 0.179 ? "#000" : "#fff"; // each is at least 4.5 : 1
    table.append(cell);
  }
  return table;
};

/** Put what `build` makes into a component's place; nothing if that with this id is there.
 * What had the keyboard's focus, by its data-focus, has it again. */
const replace = (parent, id, build) => {
  const there = parent.querySelector(".maps");
  if (there?.dataset.id === id) return;
  const focused = parent.activeElement?.dataset.focus;
  const made = build();
  made.dataset.id = id;
  if (there) there.replaceWith(made);
  else parent.append(made);
  if (focused) made.querySelector(`[data-focus="${focused}"]`)?.focus({ preventScroll: true });
};
