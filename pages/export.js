// The tab "On your device": a camera or a picture, the engine in a worker, and its answers.
// Files are fetched once, and pictures stay on this device. In a class's room a button sends the
// times, and nothing else; nothing is sent without it.

const TIMED = 31; // pictures that a median is taken over
const WARM_UP = 3; // the first ones are slower: the browser is still translating the engine
const ENOUGH = 10; // pictures behind a median that may be sent to a class
const SHOWN = 3; // classes in a network's answer

// Where the server keeps files: the page's own address says nothing of a prefix before it.
function address(url) {
  const script = document.querySelector('script[src*="/static/"]')?.src ?? "";
  const end = script.lastIndexOf("/static/");
  return (end > 0 ? script.slice(0, end) : location.origin) + url;
}

async function fetched(url) {
  const response = await fetch(address(url));
  if (!response.ok) throw new Error(`${response.status} ${url}`);
  return response.arrayBuffer();
}

const filled = (text, values) => text.replace(/{(\w+)}/g, (_all, name) => values[name]);
const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];

function element(tag, attributes = {}, ...children) {
  const made = Object.assign(document.createElement(tag), attributes);
  made.append(...children);
  return made;
}

class Device {
  constructor() {
    this.words = element("p", { className: "state" });
    this.words.setAttribute("role", "status");
    this.video = element("video", { muted: true, playsInline: true });
    this.canvas = element("canvas", { width: 320, height: 320 });
    this.canvas.setAttribute("role", "img");
    this.buttons = element("div", { className: "buttons" });
    this.live = element("p", { className: "live" });
    this.sender = element("button", { type: "button", hidden: true });
    this.sender.onclick = () => this.sendTimes();
    this.cards = element("div", { className: "cards" });
    this.chooser = element("input", { type: "file", accept: "image/*", hidden: true });
    this.chooser.onchange = () => this.usePhoto(this.chooser.files[0]);
    this.place = element("div", { className: "device" },
      element("div", { className: "stage" }, this.canvas, this.video),
      element("div", { className: "side" }, this.buttons, this.chooser, this.words, this.live,
        this.sender),
      this.cards);
    this.facing = "environment"; // the camera on the back, where a phone has two
    this.files = new Map(); // address of the weights -> { bytes, px }, once the worker has them
    this.shown = []; // for each network: { network, card, rows, figures, times }
    this.views = new Map(); // what networks see: "px crop" -> a canvas of px x px
    this.turn = 0; // counted up whenever the source of pictures changes
    this.picture = 0;
  }

  // What the page says now: called at first, and when other networks were chosen.
  update(data) {
    if (JSON.stringify(data) === JSON.stringify(this.data)) return;
    const isFirst = !this.data;
    Object.assign(this, { data, text: data.text });
    this.sender.textContent = this.text.send;
    this.sender.hidden = !data.in_room;
    this.sender.disabled = true; // until there is something to send
    this.shown = data.networks.map((network) => this.card(network));
    this.cards.replaceChildren(...this.shown.map(({ card }) => card));
    this.drawButtons();
    if (this.source) this.start(this.source);
    else if (isFirst && data.pictures.made_as.length) this.useGenerated();
    else if (isFirst) this.say(this.text.ready);
  }

  say(words) {
    if (this.words.textContent !== words) this.words.textContent = words;
  }

  drawButtons() {
    const button = (label, press, isShown = true) =>
      isShown ? [element("button", { type: "button", textContent: label, onclick: press })] : [];
    const isLive = this.source?.kind === "camera", { text, data } = this;
    const focused = [...this.buttons.children].indexOf(this.place.getRootNode().activeElement);
    this.buttons.replaceChildren(
      ...button(text.start, () => this.useCamera(), !isLive),
      ...button(text.stop, () => this.stop(text.stopped), isLive),
      ...button(text.turn, () => this.turnCamera(), isLive && this.hasTwo),
      ...button(text.photo, () => this.chooser.click()),
      ...button(this.source?.kind === "generated" ? text.next : text.generated,
        () => this.useGenerated(), data.pictures.made_as.length > 0));
    this.buttons.children[focused]?.focus(); // whoever steers by keyboard stays where they were
  }

  // A network's answer: its name, three classes with a bar each, and its figures.
  card(network) {
    const rows = Array.from({ length: SHOWN }, () => {
      const name = element("span"), share = element("span", { className: "share" });
      const bar = element("span", { className: "bar" }, element("span"));
      bar.setAttribute("aria-hidden", "true");
      return { name, share, bar: bar.firstChild, row: element("li", {}, name, bar, share) };
    });
    const figures = element("p", { className: "figures" });
    const card = element("section", { className: "card" },
      element("h3", { textContent: network.name }),
      element("ol", {}, ...rows.map(({ row }) => row)), figures);
    figures.textContent = this.loadedText(network) || this.text.not_loaded;
    return { network, card, rows, figures, times: [] };
  }

  loadedText({ weights }) {
    const file = this.files.get(weights);
    return file && filled(this.text.loaded, { kb: Math.round(file.bytes / 1000).toLocaleString() });
  }

  // Fetch what is not here yet: the engine, and a plan and a file for each network.
  async load() {
    if (!this.worker) {
      this.worker = new Worker(address(this.data.engine));
      this.worker.onerror = () => this.giveUp();
    }
    for (const { network, figures } of this.shown) {
      if (!this.files.has(network.weights)) {
        this.say(filled(this.text.loading, { name: network.name }));
        const [plan, file] = await Promise.all([fetched(network.plan), fetched(network.weights)]);
        const parsed = JSON.parse(new TextDecoder().decode(plan));
        const bytes = plan.byteLength + file.byteLength;
        await this.ask({ id: network.weights, plan: parsed, file });
        this.files.set(network.weights, { bytes, px: parsed.px });
      }
      figures.textContent = this.loadedText(network);
    }
  }

  // The worker met an error; what it had loaded is gone with it.
  giveUp() {
    this.worker.terminate();
    this.worker = this.waiting = null;
    this.files.clear();
    this.stop(this.text.broken);
  }

  // One message to the worker and its answer; one at a time.
  ask(message) {
    this.waiting = (this.waiting ?? Promise.resolve()).then(() => new Promise((resolve) => {
      this.worker.onmessage = ({ data }) => resolve(data.answers);
      this.worker.postMessage(message);
    }));
    return this.waiting;
  }

  async useCamera() {
    const { text } = this;
    if (!navigator.mediaDevices?.getUserMedia)
      return this.stop(window.isSecureContext ? text.no_camera : text.insecure);
    this.say(text.asking);
    try {
      const stream = await navigator.mediaDevices.getUserMedia(
        { video: { facingMode: { ideal: this.facing }, width: { ideal: 640 } }, audio: false });
      this.release();
      const devices = await navigator.mediaDevices.enumerateDevices();
      this.hasTwo = devices.filter(({ kind }) => kind === "videoinput").length > 1;
      stream.getVideoTracks()[0].onended = () => this.stop(text.stopped);
      this.video.srcObject = stream;
      await this.video.play();
      return this.start({ kind: "camera", image: this.video, stream });
    } catch (error) {
      const reasons = { NotAllowedError: text.refused, NotFoundError: text.no_camera,
        OverconstrainedError: text.no_camera, NotReadableError: text.busy };
      return this.stop(reasons[error.name] ?? text.no_camera);
    }
  }

  turnCamera() {
    this.facing = this.facing === "environment" ? "user" : "environment";
    this.release(); // most phones open one camera at a time
    return this.useCamera();
  }

  async usePhoto(file) {
    if (!file) return;
    this.chooser.value = ""; // the same file may be chosen again
    try {
      const image = await createImageBitmap(file, { imageOrientation: "from-image" });
      this.start({ kind: "photo", image, about: this.text.your_photo });
    } catch {
      this.say(this.text.unreadable);
    }
  }

  async useGenerated() {
    const { sheet, px, made_as: foods } = this.data.pictures, at = this.picture++ % foods.length;
    try {
      this.sheet ??= await createImageBitmap(new Blob([await fetched(sheet)]));
    } catch {
      return this.stop(this.text.not_fetched);
    }
    const image = await createImageBitmap(this.sheet, at * px, 0, px, px);
    const about = filled(this.text.made_as, { food: foods[at] });
    return this.start({ kind: "generated", image, about });
  }

  release() {
    this.source?.stream?.getTracks().forEach((track) => track.stop());
    this.video.srcObject = null;
  }

  stop(words) {
    this.turn++;
    this.release();
    this.source = null;
    this.drawButtons();
    this.say(words);
    this.live.textContent = "";
  }

  // Ask the networks about pictures of this source, one after the other, until there is another.
  async start(source) {
    const turn = ++this.turn;
    if (source.kind !== "camera") this.release();
    this.source = source;
    this.drawButtons();
    for (const each of this.shown) each.times = [];
    try {
      await this.load();
    } catch {
      return this.turn === turn && this.stop(this.text.not_fetched);
    }
    const began = [], isStill = source.kind !== "camera";
    this.say(isStill ? source.about : this.text.running);
    this.canvas.setAttribute("aria-label", isStill ? source.about : this.text.camera_picture);
    const isCalm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    for (let done = 0, shownAt = -Infinity; this.turn === turn; done++) {
      if (!this.place.isConnected) return this.stop(this.text.stopped);
      if (isStill && done === TIMED + WARM_UP) return;
      this.draw(source.image);
      const now = performance.now();
      const ask = this.shown.map(({ network: { weights, crop } }) =>
        ({ id: weights, view: `${this.files.get(weights).px} ${crop}` }));
      const answers = await this.ask({ ask, pictures: this.see(source.image, ask) });
      if (this.turn !== turn) return;
      answers.forEach(({ ms }, at) => done < WARM_UP || remember(this.shown[at].times, ms));
      remember(began, now);
      const isLast = isStill && done === TIMED + WARM_UP - 1;
      if (now - shownAt > (isCalm ? 1000 : 250) || isLast) {
        const tops = this.show(answers);
        if (isLast) this.say([source.about, ...tops].join(this.text.between));
        const seconds = (performance.now() - began[0]) / 1000;
        this.sender.disabled = this.shown.some(({ times }) => times.length < ENOUGH);
        this.live.textContent = isStill ? "" : filled(this.text.live,
          { fps: (began.length / seconds).toFixed(1) });
        shownAt = now;
      }
      await new Promise((next) => (isStill ? setTimeout(next) : requestAnimationFrame(next)));
    }
  }

  // The medians on the screen and the kind of device, for the class's chart.
  sendTimes() {
    const times = this.shown.map(({ network, times }) => [network.id, median(times)]);
    this.send("measured", { device: kindOfDevice(), times: Object.fromEntries(times) });
    this.say(this.text.sent);
  }

  // The centre square of a picture, on the screen.
  draw(image) {
    const { left, top, side } = square(image), { width, height } = this.canvas;
    this.canvas.getContext("2d").drawImage(image, left, top, side, side, 0, 0, width, height);
  }

  // What each network sees, as numbers: core.photos makes a square of px / crop points, and cuts
  // its middle out.
  see(image, ask) {
    const { left, top, side } = square(image), pictures = {};
    for (const { view } of ask) {
      if (pictures[view]) continue;
      const [px, crop] = view.split(" ").map(Number), stored = Math.round(px / crop);
      if (!this.views.has(view))
        this.views.set(view, element("canvas", { width: px, height: px })
          .getContext("2d", { willReadFrequently: true }));
      const context = this.views.get(view), margin = Math.floor((stored - px) / 2) * side / stored;
      context.imageSmoothingQuality = "high";
      const seen = side * px / stored;
      context.drawImage(image, left + margin, top + margin, seen, seen, 0, 0, px, px);
      pictures[view] = context.getImageData(0, 0, px, px).data;
    }
    return pictures;
  }

  // Write the answers down; returns each network's first class in a sentence.
  show(answers) {
    return answers.map(({ logits }, at) => {
      const { network, rows, figures, times } = this.shown[at], most = Math.max(...logits);
      const powers = logits.map((logit) => Math.exp(logit - most));
      const total = powers.reduce((sum, power) => sum + power, 0);
      const order = powers.map((_power, label) => label).sort((a, b) => powers[b] - powers[a]);
      rows.forEach(({ name, bar, share }, rank) => {
        const part = powers[order[rank]] / total;
        name.textContent = this.data.classes[order[rank]];
        bar.style.width = `${100 * part}%`;
        share.textContent = filled(this.text.share, { number: percent(part) });
      });
      const ms = times.length && median(times);
      const speed = ms && filled(this.text.figures,
        { ms: ms.toFixed(ms < 10 ? 1 : 0), fps: (1000 / ms).toFixed(ms > 100 ? 1 : 0) });
      const said = [speed, this.loadedText(network)].filter(Boolean);
      figures.textContent = said.join(this.text.between);
      return filled(this.text.answer, { name: network.name, food: this.data.classes[order[0]],
        share: filled(this.text.share, { number: percent(powers[order[0]] / total) }) });
    });
  }
}

// "<1" and ">99" where rounding would say none or all, as everywhere in the app.
function percent(part) {
  const rounded = part > 0 && part < 0.005 ? "<1" : part < 1 && part >= 0.995 ? ">99"
    : Math.round(100 * part);
  return rounded;
}

function remember(values, value) {
  values.push(value);
  if (values.length > TIMED) values.shift();
}

// A phone, a tablet or a computer, as far as the browser tells: a mouse or a touchpad makes it a
// computer, a short side of less than 600 points a phone.
function kindOfDevice() {
  if (navigator.userAgentData?.mobile) return "phone";
  if (!matchMedia("(pointer: coarse)").matches) return "computer";
  return Math.min(screen.width, screen.height) < 600 ? "phone" : "tablet";
}

// The centre square of a video or a picture, in its own points.
function square(image) {
  const width = image.videoWidth || image.width, height = image.videoHeight || image.height;
  const side = Math.min(width, height);
  return { left: Math.floor((width - side) / 2), top: Math.floor((height - side) / 2), side };
}

const devices = new WeakMap();

export default function ({ parentElement, data, setTriggerValue }) {
  if (!devices.has(parentElement)) devices.set(parentElement, new Device());
  const device = devices.get(parentElement);
  if (device.place.parentNode !== parentElement) parentElement.append(device.place);
  device.send = setTriggerValue;
  device.update(data);
}
