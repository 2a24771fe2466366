// One metric, large: its own axes, all the detail there is, and the way to its neighbours.

import { byId, say, settle } from "./dom.js";
import * as format from "./format.js";
import { clear, draw, fromLocal, plotly, theme } from "./plot.js";
import { preview } from "./preview.js";
import { shape, UNITS } from "./series.js";

const POINTS = 2000;

export class Large {
  // `fetch(name, points, range)` answers {points, count}; `moved(name)` hears what is open, null for nothing.
  constructor(charts, fetch, moved) {
    this.charts = charts;
    this.fetch = fetch;
    this.moved = moved;
    this.name = null;
    this.turn = 0;
    this.dialog = byId("large");
    this.plot = byId("large-plot");
    this.dialog.addEventListener("close", () => this.#closed());
    document.addEventListener("keydown", (event) => this.#key(event));
    byId("large-close").addEventListener("click", () => this.dialog.close());
    byId("large-before").addEventListener("click", () => this.step(-1));
    byId("large-after").addEventListener("click", () => this.step(1));
    byId("large-whole").addEventListener("click", () => this.whole());
    byId("large-save").addEventListener("click", () => this.save());
    this.detail = settle(150, () => this.#load().catch((error) => this.#failed(error)));
    new ResizeObserver(settle(120, () => this.draw())).observe(this.plot);
  }

  async open(name) {
    this.name = name;
    this.range = null;
    this.points = null;
    this.known = null;
    this.fresh = (this.fresh || 0) + 1;
    say(byId("large-name"), format.called(name));
    byId("large-shown").textContent = "Loading\u2026";
    if (!this.dialog.open) this.dialog.showModal();
    this.moved(name);
    this.#facts();
    performance.mark("metric-asked");
    await this.#load().catch((error) => this.#failed(error));
    performance.mark("metric-drawn");
  }

  step(by) {
    const names = this.charts.names();
    const at = names.indexOf(this.name);
    if (names.length) this.open(names[(at + by + names.length) % names.length]);
  }

  // The poll calls it: what is zoomed into stays as it is until it is left.
  async poll() {
    if (this.name === null) return;
    this.#facts();
    const metric = this.charts.metrics.get(this.name);
    if (!this.points || !metric || metric.count !== this.known) await this.#load();
  }

  async #load() {
    const turn = ++this.turn;
    const { name, range } = this;
    const found = await this.fetch(name, POINTS, range);
    if (turn !== this.turn || this.name === null) return;
    this.points = found.points;
    this.known = found.count;
    const part = found.points.length < found.count;
    const text = part
      ? `Showing ${found.points.length.toLocaleString("en")} of ${format.count(found.count, "point")}`
      : format.count(found.count, "point");
    say(byId("large-shown"), range ? `${text}, zoomed in` : part ? `${text}; every peak is kept, zoom in for more` : text);
    await this.draw();
  }

  async draw() {
    if (!this.points || this.name === null) return;
    const view = { ...this.charts.view, colour: this.charts.colourOf(this.name), theme: theme(), large: true };
    const data = shape(this.points, view.mode, view.start, this.range ? this.unit : "");
    this.unit = data.unit;
    const key = `${this.fresh} ${view.mode} ${view.log}`;
    if (key !== this.key) this.range = null;
    this.key = key;
    const drawn = await draw(this.plot, data, { ...view, key });
    if (this.name === null) return;
    if (!drawn) return this.#plain(data, view);
    if (!this.listening) this.plot.on("plotly_relayout", (change) => this.#zoomed(change));
    this.listening = true;
  }

  #plain(data, view) {
    const [width, height] = [this.plot.clientWidth, this.plot.clientHeight];
    this.plot.replaceChildren(preview(data, { ...view, width, height }));
  }

  // Asks for the detail of what was zoomed into.
  #zoomed(change) {
    const full = this.plot._fullLayout;
    if (change["xaxis.autorange"] || (full && full.xaxis.autorange)) this.range = null;
    else if (full && Object.keys(change).some((name) => name.startsWith("xaxis.range"))) this.range = this.#span(full.xaxis.range);
    else return;
    byId("large-whole").hidden = this.range === null;
    this.detail();
  }

  // The steps in view, and one more point's on either side: the server knows parts by steps.
  #span(range) {
    const { mode, start } = this.charts.view;
    if (mode === "step") return { from: range[0], to: range[1] };
    const size = UNITS[this.unit] ?? 1;
    const [from, to] = mode === "wall" ? range.map((text) => fromLocal(text) / 1000) : range.map((x) => start + x * size);
    const first = this.points.findIndex(([, time]) => time >= from);
    const last = this.points.findLastIndex(([, time]) => time <= to);
    if (first < 0 || last < 0) return null;
    const step = (i) => this.points[Math.min(Math.max(i, 0), this.points.length - 1)][0];
    return { from: step(Math.min(first, last) - 1), to: step(Math.max(first, last) + 1) };
  }

  async whole() {
    this.range = null;
    this.fresh += 1;
    byId("large-whole").hidden = true;
    await this.#load();
  }

  async save() {
    const library = await plotly();
    if (!library) return;
    const name = this.name.replace(/[^\w.-]+/g, "_");
    // On the page the legend stands beside the picture.
    const layout = { ...this.plot.layout, showlegend: this.plot.data.some((line) => line.name) };
    await library.downloadImage({ data: this.plot.data, layout }, { format: "svg", width: 960, height: 540, filename: name });
  }

  #facts() {
    const metric = this.charts.metrics.get(this.name) || {};
    for (const name of ["last", "min", "max"]) say(byId(`large-${name}`), format.number(metric[name], 6));
    say(byId("large-count"), metric.count === undefined ? "\u2013" : metric.count.toLocaleString("en"));
  }

  #failed(error) {
    say(byId("large-shown"), `Could not load it: ${error.message}`);
  }

  #key(event) {
    if (this.name === null || event.target.closest("input, select")) return;
    if (event.key === "ArrowLeft") this.step(-1);
    else if (event.key === "ArrowRight") this.step(1);
  }

  #closed() {
    this.name = null;
    this.points = null;
    this.turn += 1;
    clear(this.plot).then(() => (this.listening = false));
    this.moved(null);
  }
}
