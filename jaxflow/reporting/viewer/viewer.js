// State and controls of each viewer on the page. A change of state asks for a drawing
// and a readout, once a frame of the display.

const VIEWS = {
  camera: { yaw: 0, pitch: 0, zoom: 1 },
  side: { yaw: Math.PI / 2, pitch: 0, zoom: 1 },
  top: { yaw: 0, pitch: Math.PI / 2, zoom: 1 },
  reset: { yaw: 0.6, pitch: 0.22, zoom: 1 },
};
const [TURN_DRAG, TURN_KEY, ZOOM_KEY] = [0.009, Math.PI / 24, 1.15];
const PLAY_MILLISECONDS = 220;
const GLIDE_MILLISECONDS = 260;

class Viewer {
  constructor(root) {
    const data = JSON.parse(root.querySelector("script").textContent);
    this.root = root;
    this.skeleton = data;
    this.sources = data.poses;
    this.read = new Map(); // poses and scenes are read when they are first shown
    this.state = {
      ...VIEWS.reset, position: 0, hypothesis: 0, colour: "limbs", show: "faint",
      sort: "drawn", truth: true, chosen: false, mode: false, mean: false,
    };
    this.parts = {};
    for (const part of root.querySelectorAll("[data-role]")) {
      this.parts[part.dataset.role] = part;
    }
    for (const { title } of this.sources) this.parts.pose.add(new Option(title));
    if (this.sources.length === 1) this.showTitleAlone();
    root.hidden = false;
    this.theme = readTheme(root);
    this.listen();
    listenToStage(this, this.parts.space);
    listenToPicture(this);
    this.showPose(0);
  }

  // Where there is nothing to choose from.
  showTitleAlone() {
    this.parts.title.textContent = this.sources[0].title;
    for (const part of this.parts.title.parentElement.children) {
      part.hidden = !["title", "detail"].includes(part.dataset.role);
    }
  }

  listen() {
    const { root, parts } = this;
    parts.pose.addEventListener("change", () => this.showPose(parts.pose.selectedIndex));
    parts.slider.addEventListener("input", () => this.moveTo(Number(parts.slider.value)));
    parts.slider.addEventListener("keydown", (event) => {
      const step = { "[": -1, "]": 1 }[event.key];
      if (step) this.moveTo(this.state.position + step);
    });
    root.addEventListener("click", (event) => {
      const { do: action, view } = event.target.closest("button")?.dataset ?? {};
      if (view) this.glide(VIEWS[view]);
      if (action === "chosen") this.moveTo(CHOSEN);
      if (action === "play") this.play(!this.timer);
      if (action === "next") this.showPose(this.number + 1);
      if (action === "previous") this.showPose(this.number - 1);
    });
    root.addEventListener("change", ({ target }) => {
      if (target.type === "radio") this.choose(target.name.split("-").pop(), target.value);
      if (target.dataset.toggle) this.set({ [target.dataset.toggle]: target.checked });
    });
    const redraw = () => { this.theme = readTheme(root); this.set({}); };
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
    window.addEventListener("resize", redraw); // also comes with another pixel ratio
    const resized = new ResizeObserver(() => this.set({}));
    resized.observe(parts.space);
    resized.observe(parts.plane);
    resized.observe(parts.picture);
  }

  set(change) {
    Object.assign(this.state, change);
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = null;
      this.draw();
    });
  }

  showPose(number) {
    this.number = (number + this.sources.length) % this.sources.length;
    const source = this.sources[this.number];
    if (!this.read.has(source)) this.read.set(source, readPose(source));
    this.pose = this.read.get(source);
    const scene = this.sceneOf(source);
    this.pose.onPicture = Boolean(this.pose.picture ?? scene?.picture);
    for (const picture of [this.pose.picture, scene?.picture]) {
      picture?.addEventListener("load", () => this.set({}), { once: true });
    }
    this.parts.pose.selectedIndex = this.number;
    this.parts.detail.textContent = this.pose.detail;
    this.parts.slider.min = this.first();
    this.parts.slider.max = this.pose.count - 1;
    this.enable();
    this.writeWords();
    this.moveTo(this.first());
  }

  // The picture that a pose is in, with everyone; null without one.
  sceneOf({ scene: number }) {
    const scene = this.skeleton.scenes[number];
    if (!scene) return null;
    if (!this.read.has(scene)) {
      this.read.set(scene, readScene(scene, number, this.sources));
    }
    return this.read.get(scene);
  }

  // The slider's first position.
  first() {
    return this.pose.chosen ? CHOSEN : 0;
  }

  // How far the hypotheses are apart, joint by joint.
  writeWords() {
    this.parts.words.replaceChildren(...(this.pose.words ?? []).map((line) => {
      const item = document.createElement("li");
      item.textContent = line;
      return item;
    }));
  }

  // Takes away what this pose has nothing to show for.
  enable() {
    const { root, pose } = this;
    for (const part of root.querySelectorAll("[data-needs]")) {
      const known = part.dataset.needs.split(" ").every((name) => pose[name]);
      const input = part.querySelector("input");
      part.hidden = !known;
      if (!input) continue;
      input.disabled = !known;
      if (!known && input.type === "radio" && input.checked) {
        const other = root.querySelector(`input[name="${input.name}"]:not(:disabled)`);
        other.click();
      }
    }
    // Of one there is no choice.
    for (const group of root.querySelectorAll(".viewer-choice")) {
      const least = group.querySelector("[type=radio]") ? 2 : 1;
      group.hidden = group.querySelectorAll("input:not(:disabled)").length < least;
    }
    for (const name of ["modeError", "meanError"]) {
      this.parts[name].textContent = pose.target ? `${pose[name].toFixed(1)} mm` : "";
    }
  }

  choose(name, value) {
    const { hypothesis } = this.state;
    this.set({ [name]: value });
    // The same hypothesis stays chosen, wherever it lies in the new order.
    if (name !== "sort" || hypothesis === CHOSEN) return;
    this.moveTo(orderOf(this.pose, value).indexOf(hypothesis));
  }

  moveTo(position) {
    const at = clamp(position, this.first(), this.pose.count - 1);
    this.parts.slider.value = at;
    const order = orderOf(this.pose, this.state.sort);
    this.set({ position: at, hypothesis: at === CHOSEN ? CHOSEN : order[at] });
  }

  play(on) {
    clearInterval(this.timer);
    this.timer = null;
    if (on) {
      this.timer = setInterval(() => {
        const next = this.state.position + 1;
        this.moveTo(next < this.pose.count ? next : this.first());
      }, PLAY_MILLISECONDS);
    }
    const button = this.root.querySelector('[data-do="play"]');
    button.setAttribute("aria-pressed", String(on));
    button.title = on ? "Pause" : "Play";
    button.setAttribute("aria-label", button.title);
    button.firstElementChild.textContent = on ? "\u275a\u275a" : "\u25b6\ufe0e";
    this.announce();
  }

  // The slider says its value itself; changes by the drawing's keys must be read out.
  announce() {
    const spoken = document.activeElement === this.parts.space && !this.timer;
    this.parts.readout.setAttribute("aria-live", spoken ? "polite" : "off");
  }

  turn(yaw, pitch) {
    this.gliding = null;
    const limit = Math.PI / 2;
    this.set({
      yaw: this.state.yaw + yaw,
      pitch: clamp(this.state.pitch + pitch, -limit, limit),
    });
  }

  zoomBy(factor) {
    this.gliding = null;
    this.set({ zoom: clamp(this.state.zoom * factor, 0.4, 8) });
  }

  // To another view, the short way round; at once for those who want no motion.
  glide(view) {
    const start = { ...this.state };
    const round = 2 * Math.PI * Math.round((start.yaw - view.yaw) / (2 * Math.PI));
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const began = performance.now();
    const step = (this.gliding = (now) => {
      if (this.gliding !== step) return;
      const t = still ? 1 : clamp((now - began) / GLIDE_MILLISECONDS, 0, 1);
      const eased = t * t * (3 - 2 * t);
      const between = (name, end) => start[name] + eased * (end - start[name]);
      this.set({
        yaw: between("yaw", view.yaw + round),
        pitch: between("pitch", view.pitch),
        zoom: between("zoom", view.zoom),
      });
      if (t < 1) requestAnimationFrame(step);
    });
    step(began);
  }

  draw() {
    const { pose, state, parts, skeleton, theme } = this;
    const source = this.sources[this.number];
    drawScene(parts.space, pose, state, skeleton.bones, theme);
    drawScenePicture(this);
    const scene = this.sceneOf(source);
    drawPlane(parts.plane, pose, state, skeleton, theme, scene, source.square);
    writeReadout(this);
    writeLegend(this);
  }
}

// Text beside text in smaller type, both as text whatever they hold.
function write(element, text, note) {
  const small = document.createElement("small");
  small.textContent = note;
  const content = `${text}\n${note}`;
  if (element.dataset.content === content) return; // else it would be read out again
  element.dataset.content = content;
  element.replaceChildren(text, small);
}

const signed = (value, digits) => value.toFixed(digits).replace("-", "\u2212");

function writeReadout({ pose, state, parts }) {
  const { hypothesis, position, sort } = state;
  const chosen = hypothesis === CHOSEN;
  parts.back.setAttribute("aria-pressed", String(chosen));
  parts.what.textContent = chosen ? "Pose" : "Hypothesis";
  if (chosen) {
    write(parts.number, "chosen", `rule ${pose.rule}`);
    for (const name of ["error", "density"]) write(parts[name], "\u2013", "");
    parts.slider.setAttribute("aria-valuetext", `the pose chosen by ${pose.rule}`);
    return;
  }
  const place = `${position + 1} of ${pose.count}`;
  const order = sort === "drawn" ? "" : ` by ${sort}`;
  write(parts.number, `#${hypothesis + 1}`, place + order);
  const said = [`number ${hypothesis + 1}, ${place}${order}`];
  for (const [name, unit, digits] of [["error", " mm", 1], ["density", "", 1]]) {
    const values = pose[name];
    if (!values) continue;
    const text = signed(values.values[hypothesis], digits) + unit;
    write(parts[name], text, `rank ${values.ranks[hypothesis]} of ${pose.count}`);
    said.push(`${name} ${text}`);
  }
  parts.slider.setAttribute("aria-valuetext", said.join(", "));
}

function writeLegend({ pose, state, parts, theme }) {
  const values = pose[state.colour];
  parts.limbs.hidden = Boolean(values);
  parts.ramp.hidden = !values;
  if (!values) return;
  const unit = state.colour === "error" ? " mm" : "";
  parts.bar.style.background = `linear-gradient(to right, ${theme.ramp.join(", ")})`;
  parts.mark.hidden = state.hypothesis === CHOSEN;
  if (!parts.mark.hidden) {
    const at = share(values, values.values[state.hypothesis]);
    parts.mark.style.left = `${100 * at}%`;
  }
  const [below, above] = values.clipped ? ["\u2264 ", "\u2265 "] : ["", ""];
  parts.low.textContent = below + signed(values.low, 1) + unit;
  parts.high.textContent = above + signed(values.high, 1) + unit;
  parts.unit.textContent = unit ? "error (MPJPE)" : "log-density";
}

// Mouse, fingers and keys on the 3D panel.
function listenToStage(viewer, canvas) {
  const pointers = new Map();
  const spread = () => {
    const [a, b] = [...pointers.values()];
    return Math.hypot(a.x - b.x, a.y - b.y);
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  });
  canvas.addEventListener("pointermove", (event) => {
    const last = pointers.get(event.pointerId);
    if (!last) return;
    const before = pointers.size === 2 ? spread() : 0;
    const [dx, dy] = [event.clientX - last.x, event.clientY - last.y];
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    // Two fingers report one after the other, so that each turns by half.
    const part = TURN_DRAG / pointers.size;
    viewer.turn(-part * dx, part * dy);
    if (before) viewer.zoomBy(spread() / before);
  });
  for (const name of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(name, (event) => pointers.delete(event.pointerId));
  }
  // One finger up or down scrolls the page past the panel; two are the panel's own.
  canvas.addEventListener("touchmove", (event) => {
    if (event.touches.length > 1) event.preventDefault();
  }, { passive: false });
  for (const name of ["focus", "blur"]) {
    canvas.addEventListener(name, () => viewer.announce());
  }
  canvas.addEventListener("dblclick", () => viewer.glide(VIEWS.reset));
  // The wheel scrolls the page until the panel has been clicked; a touch pad's pinch
  // comes as a wheel with Ctrl.
  canvas.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && document.activeElement !== canvas) return;
    event.preventDefault();
    viewer.zoomBy(Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.0015)));
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => pressKey(viewer, event));
}

function pressKey(viewer, event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const { position, truth } = viewer.state;
  const toggleTruth = () => {
    viewer.root.querySelector('[data-toggle="truth"]').checked = !truth;
    viewer.set({ truth: !truth });
  };
  const action = {
    ArrowLeft: () => viewer.turn(TURN_KEY, 0),
    ArrowRight: () => viewer.turn(-TURN_KEY, 0),
    ArrowUp: () => viewer.turn(0, -TURN_KEY),
    ArrowDown: () => viewer.turn(0, TURN_KEY),
    "[": () => viewer.moveTo(position - 1),
    "]": () => viewer.moveTo(position + 1),
    PageUp: () => viewer.moveTo(position - 10),
    PageDown: () => viewer.moveTo(position + 10),
    Home: () => viewer.moveTo(viewer.first()),
    End: () => viewer.moveTo(viewer.pose.count - 1),
    "+": () => viewer.zoomBy(ZOOM_KEY),
    "=": () => viewer.zoomBy(ZOOM_KEY),
    "-": () => viewer.zoomBy(1 / ZOOM_KEY),
    0: () => viewer.glide(VIEWS.reset),
    1: () => viewer.glide(VIEWS.camera),
    2: () => viewer.glide(VIEWS.side),
    3: () => viewer.glide(VIEWS.top),
    g: toggleTruth,
    " ": () => viewer.play(!viewer.timer),
  }[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!action) return;
  event.preventDefault();
  action();
}

for (const root of document.querySelectorAll("[data-viewer]")) new Viewer(root);
