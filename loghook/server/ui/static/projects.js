// The projects that runs are in, as a choice that narrows the list to one of them, or to the runs that are in none.

import { get } from "./api.js";
import { arrange, h, say } from "./dom.js";

const NONE = Symbol("no project");

export class Projects {
  #options = new Map();

  // `chosen({ project, without })` is told of a choice; both are "" for all runs.
  constructor(select, chosen) {
    this.select = select;
    select.addEventListener("change", () => {
      const none = select.selectedOptions[0] === this.#options.get(NONE);
      chosen({ project: select.value, without: none ? "project" : "" });
    });
  }

  get any() {
    return !this.select.hidden;
  }

  knows(name) {
    return this.#options.has(name);
  }

  // Asks for the projects and shows them, and the choice that the list shows, even if no run is in it yet.
  async load({ project, without }) {
    const answer = await get("projects");
    const texts = new Map([["", "All projects"], ...answer.projects.map(({ name, runs }) => [name, `${name} (${runs})`])]);
    if (!texts.has(project)) texts.set(project, project);
    if (without || (texts.size > 1 && answer.without)) texts.set(NONE, `No project (${answer.without})`);
    // Options stay and change in place: a choice that is open on the screen stays open.
    for (const [name, text] of texts) {
      if (!this.#options.has(name)) this.#options.set(name, h("option", { value: name === NONE ? "" : name }));
      say(this.#options.get(name), text);
    }
    for (const name of this.#options.keys()) if (!texts.has(name)) this.#options.delete(name);
    arrange(this.select, [...texts.keys()].map((name) => this.#options.get(name)));
    this.select.hidden = texts.size < 2;
    this.#options.get(without ? NONE : project).selected = true;
  }
}
