"use strict";
// The slice viewer.  Each slab comes as base64 in a <script type="text/plain">, as slices.packed() writes it.
(() => {
  const element = (id) => document.getElementById(id);
  const narrow = matchMedia("(max-width: 69.99rem)");
  const fold = () => { document.querySelector("nav details").open = !narrow.matches; };
  narrow.addEventListener("change", fold);
  fold();
  const canvas = element("canvas");
  if (!canvas) return;
  const data = JSON.parse(element("slices").textContent);
  const base = document.createElement("canvas");          // all but the mark of an atom
  const front = canvas.getContext("2d"), pen = base.getContext("2d");
  const HALF = halves();
  const TOP = 18, BAR = 14;                 // top margin; width of the colour bar, CSS pixels
  const FACE = "system-ui, 'Liberation Sans', Arial, sans-serif";
  const LETTERS = `13px ${FACE}`, SMALL = `10px ${FACE}`;
  const state = { item: 0, slab: 0, frame: 0, colour: "sq", dots: "plastic", atom: -1 };
  let slab, place, timer = 0;

  function halves() {                       // the value of each half-precision number
    const out = new Float32Array(65536);
    for (let h = 0; h < 65536; h++) {
      const sign = h & 0x8000 ? -1 : 1, power = (h >> 10) & 31, rest = h & 1023;
      out[h] = sign * (power === 31 ? (rest ? NaN : Infinity)
        : power ? 2 ** (power - 15) * (1 + rest / 1024) : 2 ** -14 * rest / 1024);
    }
    return out;
  }

  function read(item, number) {             // the atoms of a slab
    const facts = data.items[item], k = facts.slabs[number].atoms, m = facts.strains.length;
    const text = atob(element(`slab-${item}-${number}`).textContent.trim());
    const bytes = Uint8Array.from(text, (c) => c.charCodeAt(0)).buffer;
    let at = 0;
    const take = (Kind, n) => {
      const part = new Kind(bytes, at, n);
      at += n * Kind.BYTES_PER_ELEMENT;
      return part;
    };
    const of = (part, from, n) => Float32Array.from(part.subarray(from, from + n), (h) => HALF[h]);
    const length = (part, size) => Float32Array.from(part, (v) => v / 65535 * size);
    const ids = take(Uint32Array, k);
    const x = length(take(Uint16Array, k), facts.size[0]), y = length(take(Uint16Array, k), facts.size[1]);
    const sq = of(take(Uint16Array, k), 0, k), all = take(Uint16Array, k * m);
    const types = take(Uint8Array, k);
    return { k, ids, x, y, sq, types, d2: Array.from({ length: m }, (_, f) => of(all, f * k, k)) };
  }

  const facts = () => data.items[state.item];
  const d2 = () => slab.d2[state.frame];
  const plastic = (j) => d2()[j] > data.threshold;
  const soft = (j) => slab.sq[j] > data.soft;
  const digits = (v) => Number.isNaN(v) ? "unknown" : v >= 100 ? v.toFixed(0) : String(Number(v.toPrecision(3)));
  const name = (j) => facts().elements[slab.types[j] - 1];
  const theme = (key) => getComputedStyle(document.documentElement).getPropertyValue(key).trim();

  // Drawing ----------------------------------------------------------------------------------------

  function layout() {                       // where the box lies on the canvas, in CSS pixels
    const [across, upright] = facts().size;
    const width = canvas.parentElement.clientWidth, high = Math.max(260, Math.min(0.7 * innerHeight, 620));
    const left = 34, right = 96, below = 62;
    const scale = Math.min((width - left - right) / across, (high - TOP - below) / upright);
    const used = left + scale * across + right;
    return { scale, width, left: left + Math.max(0, (width - used) / 2), below,
      height: TOP + scale * upright + below, w: scale * across, h: scale * upright };
  }

  const toX = (x) => place.left + x * place.scale;
  const toY = (y) => TOP + place.h - y * place.scale;
  const radius = (j) => Math.max((data.radii[name(j)] || 1.4) * place.scale, 0.8);

  function draw() {
    place = layout();
    const ratio = devicePixelRatio || 1;
    canvas.width = base.width = Math.round(place.width * ratio);
    canvas.height = base.height = Math.round(place.height * ratio);
    canvas.style.height = `${place.height}px`;
    for (const one of [pen, front]) one.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.fillStyle = theme("--card");
    pen.fillRect(0, 0, place.width, place.height);
    pen.font = LETTERS;
    drawAtoms();
    drawFrame();
    drawBar();
    mark();
    tell();
  }

  function mark() {                         // brings the picture to the screen
    front.drawImage(base, 0, 0, place.width, place.height);
    if (state.atom < 0) return;
    front.strokeStyle = theme("--text");
    front.lineWidth = 2.5;
    circle(state.atom, radius(state.atom) + 3, front);
    front.stroke();
  }

  function circle(j, r, on = pen) {
    on.beginPath();
    on.arc(toX(slab.x[j]), toY(slab.y[j]), r, 0, 2 * Math.PI);
  }

  function drawAtoms() {
    const scale = data.scales[state.colour], values = state.colour === "sq" ? slab.sq : d2();
    const unknown = theme("--unknown"), last = scale.stops.length - 1;
    for (let j = 0; j < slab.k; j++) {
      const v = values[j], r = radius(j);
      pen.fillStyle = Number.isNaN(v) ? unknown
        : scale.stops[Math.round(Math.min(Math.max(v / scale.top, 0), 1) * last)];
      circle(j, r);
      pen.fill();
      if (r > 3) {
        pen.lineWidth = 0.6;
        pen.strokeStyle = "rgba(0, 0, 0, 0.35)";
        pen.stroke();
      }
    }
    if (state.dots !== "none") {
      const marked = state.dots === "plastic" ? plastic : soft;
      pen.fillStyle = "#000000";
      pen.strokeStyle = "#ffffff";
      for (let j = 0; j < slab.k; j++) {
        if (!marked(j)) continue;
        const r = Math.max(0.45 * radius(j), 1.2);
        pen.lineWidth = Math.min(1.4, 0.3 * r + 0.4);
        circle(j, r);
        pen.stroke();
        pen.fill();
      }
    }
  }

  function drawFrame() {
    const { axes, size, slabs } = facts();
    pen.strokeStyle = theme("--soft");
    pen.lineWidth = 1;
    pen.beginPath();
    slabs[state.slab].outline.forEach(([x, y], n) => pen[n ? "lineTo" : "moveTo"](toX(x), toY(y)));
    pen.closePath();
    pen.stroke();
    pen.fillStyle = theme("--text");
    pen.textBaseline = "middle";
    pen.textAlign = "right";
    pen.fillText(axes[1], place.left - 20, TOP + place.h / 2);
    pen.textAlign = "center";
    const low = TOP + place.h;
    pen.fillText(axes[0], place.left + place.w / 2, low + 22);
    const target = Math.max(0.2 * size[0], 1), power = 10 ** Math.floor(Math.log10(target));
    const long = Math.max(...[1, 2, 5].filter((n) => n * power <= target)) * power;
    pen.fillRect(place.left, low + 42, long * place.scale, 3);
    pen.textAlign = "left";
    pen.fillText(`${long} Å`, place.left + long * place.scale + 7, low + 44);
    const present = [...new Set(slab.types)].sort((a, b) => a - b);
    let right = place.left + place.w;
    if (place.scale < 1.5) return;          // too small to be told apart
    if (right - (place.left + long * place.scale + 45) < present.length * 42) return;
    pen.textAlign = "right";
    for (const type of present.reverse()) {
      const word = facts().elements[type - 1], r = Math.min((data.radii[word] || 1.4) * place.scale, 8);
      pen.fillText(word, right, low + 44);
      right -= pen.measureText(word).width + r + 5;
      pen.beginPath();
      pen.arc(right, low + 44, r, 0, 2 * Math.PI);
      pen.stroke();
      right -= r + 12;
    }
  }

  function drawBar() {
    const scale = data.scales[state.colour], n = scale.stops.length;
    const x = place.left + place.w + 24, high = Math.min(place.h - 26, 260), y = TOP + 26;
    for (let k = 0; k < n; k++) {
      pen.fillStyle = scale.stops[n - 1 - k];
      pen.fillRect(x, y + k / n * high, BAR, high / n + 1);
    }
    pen.strokeStyle = theme("--soft");
    pen.lineWidth = 1;
    pen.strokeRect(x, y, BAR, high);
    pen.fillStyle = theme("--text");
    pen.textAlign = "left";
    pen.textBaseline = "middle";
    let right = x - 2;
    for (const [word, shift] of scale.title) {
      pen.font = shift ? SMALL : LETTERS;
      pen.fillText(word, right, TOP + 4 - 5 * shift);
      right += pen.measureText(word).width;
    }
    pen.font = LETTERS;
    for (const tick of scale.ticks) {
      const at = y + high * (1 - tick / scale.top);
      pen.fillRect(x + BAR, at - 0.5, 4, 1);
      if (tick === scale.limit) pen.fillRect(x, at - 0.5, BAR, 1);
      pen.fillText((scale.more && tick === scale.top ? "≥ " : "") + tick, x + BAR + 7, at);
    }
  }

  // Words ------------------------------------------------------------------------------------------

  function tell() {
    let slipped = 0, called = 0, both = 0, known = 0, scored = 0;
    for (let j = 0; j < slab.k; j++) {
      const p = plastic(j), s = soft(j);
      known += !Number.isNaN(d2()[j]);
      scored += !Number.isNaN(slab.sq[j]);
      slipped += p;
      called += s;
      both += p && s;
    }
    const share = (n, of) => of ? `${n} (${digits(100 * n / of)} %)` : String(n);
    const { strains, stress, run, label, axes, slabs } = facts();
    const strain = strains[state.frame], load = stress && stress[state.frame];
    element("strain").value = strain.toFixed(4);
    element("count").textContent = slab.k;
    element("plastic").textContent = share(slipped, known);
    element("called").textContent = share(called, scored);
    element("both").textContent = share(both, slipped);
    element("stress").textContent = load === null || load === undefined ? "unknown" : `${load.toFixed(2)} GPa`;
    element("slider").setAttribute("aria-valuetext", `strain ${strain.toFixed(4)}`);
    const j = state.atom;
    element("which").textContent = j < 0 ? "–" : `${slab.ids[j]}, ${name(j)}`;
    element("sq").textContent = j < 0 ? "–" : digits(slab.sq[j]) + (soft(j) ? ", soft" : "");
    element("d2").textContent = j < 0 ? "–" : `${digits(d2()[j])} Å²${plastic(j) ? ", plastic" : ""}`;
    canvas.setAttribute("aria-label", `${run}, ${label}, strain ${strain.toFixed(4)}: slab at ${axes[2]} = `
      + `${slabs[state.slab].at} Å, ${slab.k} atoms, ${slipped} plastic`);
  }

  function fill(select, texts, chosen) {
    select.replaceChildren(...texts.map((text, value) => new Option(text, value, false, value === chosen)));
    select.disabled = texts.length < 2;
  }

  // Choices ----------------------------------------------------------------------------------------

  const runs = [...new Set(data.items.map((item) => item.run))];
  const loadings = () => data.items.map((item, k) => ({ ...item, k })).filter((i) => i.run === facts().run);

  function choose(item, number, strain) {
    state.item = item;
    const { slabs, strains, axes } = facts();
    state.slab = Math.min(number, slabs.length - 1);
    state.frame = strains.reduce((best, s, k) => Math.abs(s - strain) < Math.abs(strains[best] - strain) ? k : best, 0);
    state.atom = -1;
    slab = read(item, state.slab);
    const mine = loadings();
    const seen = (name) => data.items.find((i) => i.run === name).seen;
    fill(element("run"), runs.map((name) => name + (seen(name) ? " (seen in training)" : "")), runs.indexOf(facts().run));
    fill(element("loading"), mine.map((i) => i.label), mine.findIndex((i) => i.k === item));
    fill(element("depth"), slabs.map((s) => `${axes[2]} = ${s.at.toFixed(1)} Å`), state.slab);
    const slider = element("slider");
    slider.max = strains.length - 1;
    slider.value = state.frame;
    slider.disabled = strains.length < 2;
    draw();
  }

  const strain = () => facts().strains[state.frame];
  element("run").addEventListener("change", (e) => {
    const label = facts().label, name = runs[Number(e.target.value)];
    const same = data.items.findIndex((i) => i.run === name && i.label === label);
    choose(same >= 0 ? same : data.items.findIndex((i) => i.run === name), state.slab, strain());
  });
  element("loading").addEventListener("change", (e) =>
    choose(loadings()[Number(e.target.value)].k, state.slab, strain()));
  element("depth").addEventListener("change", (e) => choose(state.item, Number(e.target.value), strain()));
  element("dots").addEventListener("change", (e) => {
    state.dots = e.target.value;
    draw();
  });
  for (const button of document.getElementsByName("colour")) {
    button.addEventListener("change", () => {
      state.colour = button.value;
      if (state.dots !== "none") element("dots").value = state.dots = button.value === "sq" ? "plastic" : "soft";
      draw();
    });
  }
  element("slider").addEventListener("input", (e) => {
    stop();
    state.frame = Number(e.target.value);
    draw();
  });

  function stop() {
    clearInterval(timer);
    timer = 0;
    element("play").textContent = "Play";
  }
  element("play").addEventListener("click", () => {
    if (timer) return stop();
    element("play").textContent = "Stop";
    const go = (frame) => {
      element("slider").value = state.frame = frame;
      draw();
    };
    const last = () => facts().strains.length - 1;
    if (state.frame === last()) go(0);
    timer = setInterval(() => state.frame < last() ? go(state.frame + 1) : stop(), 250);
  });

  // Atoms ------------------------------------------------------------------------------------------

  function pointed(event) {                 // the uppermost atom under the pointer
    const { left, top } = canvas.getBoundingClientRect();
    const x = event.clientX - left, y = event.clientY - top;
    let nearest = -1, least = Infinity;
    for (let j = slab.k - 1; j >= 0; j--) {
      const far = Math.hypot(toX(slab.x[j]) - x, toY(slab.y[j]) - y);
      if (far <= radius(j)) return j;
      if (far < least) [least, nearest] = [far, j];
    }
    return least < 6 ? nearest : -1;
  }
  function select(j) {
    if (j === state.atom) return;
    state.atom = j;
    mark();
    tell();
  }
  canvas.addEventListener("pointermove", (e) => select(pointed(e)));
  canvas.addEventListener("pointerdown", (e) => select(pointed(e)));
  canvas.addEventListener("pointerleave", (e) => e.pointerType === "mouse" && select(-1));
  canvas.addEventListener("keydown", (e) => {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[e.key];
    if (e.key === "Escape") select(-1);
    if (!way || !slab.k) return;
    e.preventDefault();
    const [w, h] = facts().size;
    const from = state.atom < 0 ? [w / 2, h / 2] : [slab.x[state.atom], slab.y[state.atom]];
    let best = -1, least = Infinity;
    for (let j = 0; j < slab.k; j++) {
      const dx = slab.x[j] - from[0], dy = slab.y[j] - from[1];
      const along = dx * way[0] + dy * way[1], aside = Math.abs(dx * way[1]) + Math.abs(dy * way[0]);
      const cost = state.atom < 0 ? Math.hypot(dx, dy) : along > 0 && aside <= along ? along + aside : Infinity;
      if (j !== state.atom && cost < least) [least, best] = [cost, j];
    }
    if (best >= 0) select(best);
  });

  element("save").addEventListener("click", () => {
    const { axes, elements, run, label } = facts();
    const word = (v) => Number.isNaN(v) ? "" : String(Number(v.toPrecision(4)));
    const cell = (text) => /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
    const lines = [`atom,element,${axes[0]}_A,${axes[1]}_A,sq,d2min_A2`];
    for (let j = 0; j < slab.k; j++) {
      lines.push([slab.ids[j], cell(elements[slab.types[j] - 1]), slab.x[j].toFixed(2), slab.y[j].toFixed(2),
        word(slab.sq[j]), word(d2()[j])].join(","));
    }
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([lines.join("\n") + "\n"], { type: "text/csv" }));
    link.download = `${run}-${label}-${strain().toFixed(4)}.csv`.replace(/[^\w.+-]+/g, "-");
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });

  addEventListener("resize", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  const first = Math.max(data.items.findIndex((i) => i.label === "z compression"), 0);   // as in the paper
  choose(first, Math.floor((data.items[first].slabs.length - 1) / 2), data.start);
})();
