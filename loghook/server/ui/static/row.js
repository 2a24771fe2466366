// One run in the list.

import { plain } from "./ansi.js";
import { ROOT } from "./api.js";
import { arrange, h, say, svg } from "./dom.js";
import * as format from "./format.js";
import { ending, showStatus } from "./status.js";

export class Row {
  constructor(id) {
    this.status = h("span", { class: "status" });
    this.name = h("a", { class: "runname", href: new URL(`runs/${encodeURIComponent(id)}`, ROOT).href });
    this.project = h("span", { class: "project muted" });
    this.under = h("span", { class: "under muted" });
    this.age = h("span", { class: "age muted" });
    this.lasted = h("span", { class: "lasted number" });
    this.metrics = h("div", { class: "metrics" });
    this.element = h(
      "li",
      { class: "run" },
      h("div", { class: "state" }, this.status),
      h("div", { class: "naming" }, h("div", { class: "nameline" }, this.name, this.project), this.under),
      h("div", { class: "times" }, this.lasted, this.age),
      this.metrics,
    );
    this.tiles = new Map();
  }

  // `grouped`: the project stands above, in a heading.
  show(run, now, grouped = false) {
    this.run = run;
    this.skew = now - Date.now() / 1000;
    showStatus(this.status, run.status);
    say(this.name, format.called(run.name || run.id));
    say(this.project, [!grouped && run.project, run.group && `group ${run.group}`].filter(Boolean).join(" \u00b7 "));
    this.project.title = this.project.textContent;
    this.project.hidden = !this.project.textContent;
    this.#metrics(run.metrics || []);
    this.tick();
  }

  // What changes by itself, every second.
  tick() {
    const { run } = this;
    const now = Date.now() / 1000 + this.skew;
    say(this.under, plain(ending(run, now).line) || run.host || "");
    this.under.classList.toggle("bad", run.status === "failure");
    say(this.age, Number.isFinite(run.started_at) ? format.age(now - run.started_at) : "");
    this.age.title = format.moment(run.started_at);
    const running = run.status === "running" && Number.isFinite(run.started_at);
    say(this.lasted, format.duration(running ? now - run.started_at : run.duration));
  }

  #metrics(metrics) {
    const wanted = metrics.map((metric) => {
      if (!this.tiles.has(metric.name)) this.tiles.set(metric.name, tile(metric.name));
      const { element, value, line } = this.tiles.get(metric.name);
      say(value, format.number(metric.last));
      if (line.getAttribute("points") !== (metric.line || "")) line.setAttribute("points", metric.line || "");
      return element;
    });
    arrange(this.metrics, wanted);
  }
}

function tile(name) {
  const value = h("b", {});
  const line = svg("polyline", { points: "" });
  const drawing = svg("svg", { viewBox: "0 -1 100 26", preserveAspectRatio: "none", class: "spark", "aria-hidden": "true" }, line);
  return { value, line, element: h("div", { class: "tile", title: name }, h("span", { class: "name" }, format.called(name)), value, drawing) };
}
