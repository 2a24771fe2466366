// The list under headings, one for each project; a group can be folded, and this browser keeps which are.

import { arrange, h, say } from "./dom.js";
import * as format from "./format.js";
import { keep, kept } from "./kept.js";

const KEPT = "loghook.folded";
const MOST_KEPT = 200;
let made = 0;

export class Groups {
  #shown = new Map();
  #folded = new Set();

  constructor(element) {
    this.element = element;
    try {
      this.#folded = new Set(JSON.parse(kept(KEPT) || "[]"));
    } catch {
      // Something else was kept under this name: nothing is folded.
    }
  }

  // Shows groups of rows: `{ project, count, rows }`, the project "" for none. `address(project)` leads to all of one.
  show(groups, address) {
    const elements = groups.map(({ project, count, rows }) => {
      if (!this.#shown.has(project)) this.#shown.set(project, new Group(project, this.#folded.has(project), (folded) => this.#keep(project, folded)));
      const group = this.#shown.get(project);
      group.fill(rows, count, address(project));
      return group.element;
    });
    const here = new Set(groups.map(({ project }) => project));
    for (const project of [...this.#shown.keys()]) if (!here.has(project)) this.#shown.delete(project);
    arrange(this.element, elements);
  }

  #keep(project, folded) {
    this.#folded.delete(project);
    if (folded) this.#folded.add(project);
    keep(KEPT, JSON.stringify([...this.#folded].slice(-MOST_KEPT)));
  }
}

class Group {
  constructor(project, folded, flipped) {
    const id = `group-${++made}`;
    this.title = project ? format.called(project) : "No project";
    const flip = () => flipped(this.#fold(!this.list.hidden));
    this.button = h(
      "button",
      { type: "button", class: "fold quiet", "aria-controls": id, onclick: flip },
      h("span", { class: "turn", "aria-hidden": "true" }, "\u25be"),
      h("span", { class: project ? "projectname" : "projectname muted" }, this.title),
    );
    this.count = h("span", { class: "count muted" });
    this.all = h("a", { class: "all" });
    this.list = h("ul", { class: "runs", id, "aria-label": `Runs of ${project ? this.title : "no project"}, newest first` });
    const head = h("div", { class: "grouphead" }, h("h2", {}, this.button), this.count, this.all);
    this.element = h("section", { class: "group" }, head, this.list);
    this.#fold(folded);
  }

  #fold(folded) {
    this.button.setAttribute("aria-expanded", String(!folded));
    this.list.hidden = folded;
    return folded;
  }

  fill(rows, count, address) {
    arrange(this.list, rows.map((row) => row.element));
    const running = rows.filter((row) => row.run.status === "running").length;
    const more = running === rows.length && count > running ? "+" : "";
    const words = [format.count(count, "run"), running > 0 && `${running}${more} running`];
    say(this.count, words.filter(Boolean).join(" \u00b7 "));
    this.all.hidden = count <= rows.length;
    this.all.href = address;
    say(this.all, "Show all");
    this.all.setAttribute("aria-label", `Show all ${format.count(count, "run")} of ${this.title}`);
  }
}
