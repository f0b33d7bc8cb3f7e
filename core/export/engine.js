// A neural network on the visitor's own device: the whole engine, in plain JavaScript.
//
// `new Network(plan, file).run(picture)` gives the logits of one picture. The plan (JSON, made by
// core/export/browser.py from the network's ONNX graph) lists the layers and says where in the
// file each tensor begins; the file is the very one that can be downloaded: 16-bit floats or 8-bit
// codes.
//
// One block of memory holds weights, feature maps and room to pad in; an array is a place in it.
// All of it is laid out once, when the network is loaded: a picture then allocates nothing. A
// feature map of C channels, H x W, is C planes of H rows of W numbers, one after the other.

class Network {
  // plan: what core/export/browser.py wrote; file: an ArrayBuffer with the weights.
  constructor(plan, file) {
    this.plan = plan;
    this.tensors = new TensorFile(plan.tensors, file);
    this.size = 0; // of the memory, in numbers of 4 bytes
    this.free = []; // [place, size] of feature maps that no later layer reads
    this.writes = []; // what writes the weights, once there is memory
    this.shapes = [[3, plan.px, plan.px]];
    this.places = [this.room(3 * plan.px * plan.px)];
    const lastReader = [];
    plan.layers.forEach((layer, at) => layer.in.forEach((id) => { lastReader[id] = at; }));
    this.steps = plan.layers.map((layer, at) => {
      this.shapes[layer.out] = layer.shape;
      this.places[layer.out] = this.room(volume(layer.shape));
      const step = this.lay(layer);
      for (const id of new Set(layer.in))
        if (lastReader[id] === at) this.free.push([this.places[id], volume(this.shapes[id])]);
      return step;
    });
    const memory = new ArrayBuffer(4 * (this.size + MARGIN));
    this.floats = new Float32Array(memory);
    this.integers = new Int32Array(memory);
    for (const write of this.writes) write();
    const answer = plan.layers[plan.layers.length - 1].out;
    this.logits = new Float32Array(memory, 4 * this.places[answer], volume(this.shapes[answer]));
  }

  // picture: red, green, blue and alpha of px * px points, 0 to 255, as a canvas gives them.
  // Returns the logits, one per class; the next call overwrites them.
  run(picture) {
    const { mean, std, px } = this.plan, points = px * px;
    for (let channel = 0; channel < 3; channel++) {
      const to = this.places[0] + channel * points;
      for (let at = 0; at < points; at++)
        this.floats[to + at] = (picture[4 * at + channel] - mean[channel]) / std[channel];
    }
    for (const step of this.steps) step();
    return this.logits;
  }

  // The place of `n` numbers: where a feature map was that is read no more, or new memory.
  room(n) {
    const fitting = this.free.filter(([, size]) => size >= n).sort((a, b) => a[1] - b[1])[0];
    if (!fitting) return this.reserve(n);
    const [place, size] = fitting;
    this.free.splice(this.free.indexOf(fitting), 1);
    if (size > n) this.free.push([place + n, size - n]);
    return place;
  }

  reserve(n) {
    this.size += n;
    return this.size - n;
  }

  // The function that computes a layer.
  lay(layer) {
    const [from, second] = layer.in.map((id) => this.places[id]), to = this.places[layer.out];
    const shape = this.shapes[layer.in[0]], n = volume(layer.shape);
    const [low, high] = BOUNDS[layer.act] ?? [-Infinity, Infinity], curve = CURVES[layer.act];
    let step;
    if (layer.op === "conv") step = this.layConvolution(layer, from, shape, to, low, high);
    else if (layer.op === "pool") step = () => pool(this.floats, from, shape, to, layer);
    else if (layer.op === "add") step = () => add(this.floats, from, second, to, n, low, high);
    else if (layer.op === "act") step = () => bound(this.floats, from, to, n, low, high);
    else throw new Error(`a layer that this engine does not know: ${layer.op}`);
    return curve ? () => { step(); curve(this.floats, to, n); } : step;
  }

  layConvolution(layer, from, shape, to, low, high) {
    const [outputs, rows, width] = layer.shape, [inputs] = shape, { groups } = layer;
    const [tall, wide] = layer.kernel, taps = (inputs / groups) * tall * wide;
    const view = this.layBorder(layer, from, shape), each = outputs / groups;
    const isDepthwise = each === 1 && inputs === groups, lanes = isDepthwise ? 1 : LANES;
    const blocks = Math.ceil(each / lanes), offsets = this.reserve(taps);
    const bias = this.reserve(groups * blocks * lanes);
    const weights = this.reserve(groups * blocks * lanes * taps);
    this.writes.push(() => {
      const { kernels, biases } = folded(layer, this.tensors, outputs);
      for (let output = 0; output < outputs; output++) {
        const group = Math.floor(output / each), within = output % each, lane = within % lanes;
        const block = group * blocks + (within - lane) / lanes;
        this.floats[bias + block * lanes + lane] = biases[output];
        for (let tap = 0; tap < taps; tap++)
          this.floats[weights + (block * taps + tap) * lanes + lane] = kernels[output * taps + tap];
      }
      for (let tap = 0; tap < taps; tap++) {
        const x = tap % wide, y = Math.floor(tap / wide) % tall, input = Math.floor(tap / wide / tall);
        this.integers[offsets + tap] = input * view.plane + y * view.pitch + view.column(x);
      }
    });
    // a 1 x 1 convolution knows no rows: the whole map is one long row
    const isFlat = tall * wide === 1 && view.step === width && view.pitch === width;
    const sizes = {
      groups, blocks, each, taps, offsets, bias, weights, from: view.place, to, low, high,
      groupStep: (inputs / groups) * view.plane, rowStep: view.step,
      rows: isFlat ? 1 : rows, width: isFlat ? rows * width : width,
    };
    const compute = isDepthwise ? depthwise : convolve;
    return () => { view.copy(); compute(this.floats, this.integers, sizes); };
  }

  // Where a convolution finds its input: `place`, `plane` (numbers of a channel), `pitch` (of a
  // row), `step` (from the input of one output row to that of the next), `column(x)`. With zeros
  // around the map, or a stride, the input is first copied into a room of its own. There, a stride
  // of 2 puts the even columns of a row before the odd ones: what neighbours in the output read are
  // then neighbours, too.
  layBorder(layer, from, [channels, height, width]) {
    const [down, across] = layer.stride, [top, left, bottom, right] = layer.pad;
    if (!top && !left && !bottom && !right && across === 1)
      return {
        place: from, plane: height * width, pitch: width, step: down * width,
        column: (x) => x, copy() {},
      };
    const part = Math.ceil((left + width + right) / across), pitch = part * across;
    const plane = pitch * (top + height + bottom), place = this.room(channels * plane);
    this.free.push([place, channels * plane]); // later layers may use it again
    const column = (x) => (x % across) * part + Math.floor(x / across);
    const copy = () => {
      const floats = this.floats;
      floats.fill(0, place, place + channels * plane);
      for (let channel = 0; channel < channels; channel++)
        for (let y = 0; y < height; y++) {
          const row = from + (channel * height + y) * width;
          const to = place + channel * plane + (top + y) * pitch;
          if (across === 1) floats.copyWithin(to + left, row, row + width);
          else for (let x = 0; x < width; x++) floats[to + column(left + x)] = floats[row + x];
        }
    };
    return { place, plane, pitch, step: down * pitch, column, copy };
  }
}

const LANES = 4; // output channels that are computed together, and places in a row
const MARGIN = 64; // the last block of a row reads beyond it, and forgets what it read
const BOUNDS = { relu: [0, Infinity], relu6: [0, 6] };
const CURVES = { hardswish, silu };

function volume(shape) {
  return shape.reduce((product, side) => product * side, 1);
}

// The convolution: an output is its bias plus the sum, over the taps, of weight times input.
// `offsets` says how far each tap lies from a window's first number. Sixteen sums (4 output
// channels, 4 places in a row) grow at a time, in local variables, which a processor keeps in its
// registers: 8 numbers are read for 16 multiplications.
function convolve(floats, integers, sizes) {
  const { groups, blocks, each, taps, offsets, bias, weights, from, to, low, high } = sizes;
  const { groupStep, rowStep, rows, width } = sizes, plane = rows * width;
  for (let group = 0; group < groups; group++)
    for (let block = 0; block < blocks; block++) {
      const first = (group * blocks + block) * LANES, b = bias + first;
      const channels = each - block * LANES;
      for (let y = 0; y < rows; y++)
        for (let x = 0; x < width; x += 4) {
          const window = from + group * groupStep + y * rowStep + x;
          let a0 = floats[b], a1 = a0, a2 = a0, a3 = a0;
          let b0 = floats[b + 1], b1 = b0, b2 = b0, b3 = b0;
          let c0 = floats[b + 2], c1 = c0, c2 = c0, c3 = c0;
          let d0 = floats[b + 3], d1 = d0, d2 = d0, d3 = d0;
          for (let tap = 0, at = weights + first * taps; tap < taps; tap++, at += 4) {
            const place = window + integers[offsets + tap];
            const p0 = floats[place], p1 = floats[place + 1];
            const p2 = floats[place + 2], p3 = floats[place + 3];
            const wa = floats[at], wb = floats[at + 1], wc = floats[at + 2], wd = floats[at + 3];
            a0 += wa * p0; a1 += wa * p1; a2 += wa * p2; a3 += wa * p3;
            b0 += wb * p0; b1 += wb * p1; b2 += wb * p2; b3 += wb * p3;
            c0 += wc * p0; c1 += wc * p1; c2 += wc * p2; c3 += wc * p3;
            d0 += wd * p0; d1 += wd * p1; d2 += wd * p2; d3 += wd * p3;
          }
          const out = to + (group * each + block * LANES) * plane + y * width + x, n = width - x;
          store(floats, out, n, low, high, a0, a1, a2, a3);
          if (channels > 1) store(floats, out + plane, n, low, high, b0, b1, b2, b3);
          if (channels > 2) store(floats, out + 2 * plane, n, low, high, c0, c1, c2, c3);
          if (channels > 3) store(floats, out + 3 * plane, n, low, high, d0, d1, d2, d3);
        }
    }
}

// A depthwise convolution: every channel with a kernel of its own, four places in a row at a time.
function depthwise(floats, integers, sizes) {
  const { groups, taps, offsets, bias, weights, from, to, low, high } = sizes;
  const { groupStep, rowStep, rows, width } = sizes;
  for (let channel = 0; channel < groups; channel++) {
    const kernel = weights + channel * taps;
    for (let y = 0; y < rows; y++)
      for (let x = 0; x < width; x += 4) {
        const window = from + channel * groupStep + y * rowStep + x;
        let a0 = floats[bias + channel], a1 = a0, a2 = a0, a3 = a0;
        for (let tap = 0; tap < taps; tap++) {
          const place = window + integers[offsets + tap], weight = floats[kernel + tap];
          a0 += weight * floats[place];
          a1 += weight * floats[place + 1];
          a2 += weight * floats[place + 2];
          a3 += weight * floats[place + 3];
        }
        store(floats, to + (channel * rows + y) * width + x, width - x, low, high, a0, a1, a2, a3);
      }
  }
}

// The first `n` of four numbers, none below `low` or above `high`: ReLU and ReLU6 are such bounds.
function store(floats, at, n, low, high, v0, v1, v2, v3) {
  floats[at] = v0 < low ? low : v0 > high ? high : v0;
  if (n > 1) floats[at + 1] = v1 < low ? low : v1 > high ? high : v1;
  if (n > 2) floats[at + 2] = v2 < low ? low : v2 > high ? high : v2;
  if (n > 3) floats[at + 3] = v3 < low ? low : v3 > high ? high : v3;
}

// The largest or the mean of every window; a global average has one window, the whole map.
function pool(floats, from, [channels, height, width], to, layer) {
  const [, rows, columns] = layer.shape, [tall, wide] = layer.kernel, [down, across] = layer.stride;
  const [top, left] = layer.pad, isMax = layer.kind === "max";
  for (let channel = 0; channel < channels; channel++)
    for (let row = 0; row < rows; row++)
      for (let column = 0; column < columns; column++) {
        const y0 = Math.max(0, row * down - top), y1 = Math.min(height, row * down - top + tall);
        const x0 = Math.max(0, column * across - left);
        const x1 = Math.min(width, column * across - left + wide);
        let most = -Infinity, sum = 0;
        for (let y = y0; y < y1; y++)
          for (let x = x0; x < x1; x++) {
            const value = floats[from + (channel * height + y) * width + x];
            if (value > most) most = value;
            sum += value;
          }
        floats[to++] = isMax ? most : sum / ((y1 - y0) * (x1 - x0));
      }
}

function add(floats, first, second, to, n, low, high) {
  for (let at = 0; at < n; at++) {
    const value = floats[first + at] + floats[second + at];
    floats[to + at] = value < low ? low : value > high ? high : value;
  }
}

function bound(floats, from, to, n, low, high) {
  for (let at = 0; at < n; at++) {
    const value = floats[from + at];
    floats[to + at] = value < low ? low : value > high ? high : value;
  }
}

function hardswish(floats, at, n) {
  for (let end = at + n; at < end; at++)
    floats[at] *= Math.min(Math.max(floats[at] + 3, 0), 6) / 6;
}

function silu(floats, at, n) {
  for (let end = at + n; at < end; at++) floats[at] /= 1 + Math.exp(-floats[at]);
}

// A layer's kernels and biases with the BatchNorm behind it folded in: that, too, multiplies each
// channel by a number and adds one.
function folded(layer, tensors, outputs) {
  const kernels = tensors.read(layer.weight), taps = kernels.length / outputs;
  const biases = layer.bias ? tensors.read(layer.bias) : new Float32Array(outputs);
  if (layer.norm) {
    const [scale, shift, mean, variance] = layer.norm.tensors.map((name) => tensors.read(name));
    for (let output = 0; output < outputs; output++) {
      const factor = scale[output] / Math.sqrt(variance[output] + layer.norm.epsilon);
      for (let tap = 0; tap < taps; tap++) kernels[output * taps + tap] *= factor;
      biases[output] = (biases[output] - mean[output]) * factor + shift[output];
    }
  }
  return { kernels, biases };
}

// The tensors in a file of weights, widened to 32 bits as they are read.
class TensorFile {
  // tensors: name -> { type, offset, size, low, high }
  constructor(tensors, file) {
    this.tensors = tensors;
    this.file = file;
  }

  read(name) {
    const { type, offset, size, low, high } = this.tensors[name];
    const bytes = this.file.slice(offset, offset + size * { F32: 4, F16: 2, U8: 1 }[type]);
    if (type === "F32") return new Float32Array(bytes);
    if (type === "F16") return Float32Array.from(new Uint16Array(bytes), widened);
    return Float32Array.from(new Uint8Array(bytes), (code) => (code / 255) * (high - low) + low);
  }
}

// A float of 16 bits: one for the sign, 5 for the exponent, 10 for the fraction.
function widened(bits) {
  const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

// In a worker of its own, so that the page can be scrolled while networks compute. A message either
// brings a network ({ id, plan, file }), or pictures by their view and the networks to ask about
// them ({ pictures, ask: [{ id, view }] }); the answers are logits and the milliseconds they took.
if (typeof WorkerGlobalScope !== "undefined") {
  const networks = new Map();
  onmessage = ({ data: { id, plan, file, pictures, ask } }) => {
    if (plan) networks.set(id, new Network(plan, file));
    const answers = (ask ?? []).map(({ id, view }) => {
      const start = performance.now(), logits = Array.from(networks.get(id).run(pictures[view]));
      return { id, logits, ms: performance.now() - start };
    });
    postMessage({ answers });
  };
}
