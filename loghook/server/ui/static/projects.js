// The projects that runs are in, as a choice that narrows the list to one of them.

import { get } from "./api.js";
import { arrange, h, say } from "./dom.js";

export class Projects {
  #options = new Map();

  // `chosen(name)` is told of a choice, "" for all projects.
  constructor(select, chosen) {
    this.select = select;
    select.addEventListener("change", () => chosen(select.value));
  }

  knows(name) {
    return this.#options.has(name);
  }

  // Asks for the projects and shows them; `current` is the one that the list shows, even if no run is in it yet.
  async load(current) {
    const { projects } = await get("projects");
    const texts = new Map([["", "All projects"], ...projects.map(({ name, runs }) => [name, `${name} (${runs})`])]);
    if (!texts.has(current)) texts.set(current, current);
    // Options stay and change in place: a choice that is open on the screen stays open.
    for (const [name, text] of texts) {
      if (!this.#options.has(name)) this.#options.set(name, h("option", { value: name }));
      say(this.#options.get(name), text);
    }
    for (const name of this.#options.keys()) if (!texts.has(name)) this.#options.delete(name);
    arrange(this.select, [...texts.keys()].map((name) => this.#options.get(name)));
    this.select.hidden = texts.size < 2;
    this.select.value = current;
  }
}
