// One metric in the grid: its name, its last value, and a chart that is drawn only while it is near the screen.

import { h, narrow, say } from "./dom.js";
import * as format from "./format.js";
import { clear, draw, theme, zoomed } from "./plot.js";
import { preview } from "./preview.js";
import { shape } from "./series.js";

export class Card {
  constructor(name, open) {
    this.name = name;
    this.points = null;
    this.count = 0;
    this.known = -1;
    this.visible = false;
    this.lively = false;
    this.value = h("b", { class: "value" });
    this.thin = h("span", { class: "thin" });
    this.body = h("div", { class: "chart" });
    this.label = h("span", { class: "name" });
    this.element = h(
      "article",
      { class: "card" },
      h("button", { type: "button", class: "cardhead", title: format.called(name), onclick: () => open(name) },
        this.label, this.thin, this.value),
      this.body,
    );
    this.element.setAttribute("aria-label", format.called(name));
    this.element.dataset.metric = name;
    this.element.card = this;
    this.body.addEventListener("click", () => narrow.matches && open(name));
  }

  // How it stands in the grid: under the head of a group its prefix need not be said again.
  place(group, colour) {
    this.colour = colour;
    say(this.label, format.called((group && this.name.slice(group.length + 1)) || this.name));
  }

  // What the table of metrics says: the last value, and how many points there are.
  meta({ count, last }) {
    this.known = count;
    say(this.value, format.number(last));
  }

  get stale() {
    return this.points === null || this.known !== this.count;
  }

  // The points that are shown are no longer asked for; they stay until others come.
  forget() {
    this.count = -1;
  }

  data({ points, count }, view) {
    this.points = points;
    this.count = count;
    if (points.length) say(this.value, format.number(points.at(-1)[2]));
    const shown = points.length < count;
    this.thin.title = shown ? "Points shown; every peak is kept" : "";
    say(this.thin, shown ? `${points.length.toLocaleString("en")} of ${count.toLocaleString("en")}` : "");
    return this.draw(view);
  }

  async draw(view) {
    if (!this.points || !this.visible) return;
    const data = shape(this.points, view.mode, view.start);
    const [width, height] = [this.body.clientWidth, this.body.clientHeight];
    if (!width) return;
    if (!this.lively || narrow.matches) {
      if (this.lively) await this.sleep();
      this.body.replaceChildren(preview(data, { ...view, width, height, colour: this.colour }));
      if (narrow.matches || !view.ready) return;
      this.body.replaceChildren();
      this.lively = true;
    }
    const key = `${view.mode} ${view.log}`;
    const kept = this.kept && this.kept.key === key ? this.kept : null;
    this.key = key;
    this.kept = null;
    await draw(this.body, data, { ...view, key, kept, colour: this.colour, theme: theme(), large: false });
  }

  // Gives back what an off-screen chart holds; the height stays, so nothing moves.
  async sleep() {
    if (!this.lively) return;
    this.lively = false;
    this.kept = zoomed(this.body, this.key);
    await clear(this.body);
    this.body.replaceChildren();
  }
}
