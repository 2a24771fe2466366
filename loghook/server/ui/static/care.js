// What can be done with a run's data: written out, or deleted for good, which is asked for twice.

import { ROOT, remove } from "./api.js";
import { h } from "./dom.js";

const FORMATS = [["ndjson", "NDJSON"], ["csv", "CSV, for a spreadsheet"]];

export function care(run) {
  const path = `runs/${encodeURIComponent(run.id)}`;
  const links = FORMATS.map(([format, name]) =>
    h("li", {}, h("a", { href: new URL(`api/v1/${path}/export?format=${format}`, ROOT).href, download: "" }, name)));
  return [h("p", {}, "Everything in this run as"), h("ul", {}, ...links), deletion(path)];
}

// A button, and in its place, once it was pressed, the question.
function deletion(path) {
  const place = h("p", { role: "status" });
  const ask = (words, force) => {
    const yes = h("button", { type: "button", onclick: () => gone(path, force).catch((error) => refused(error)) }, "Delete");
    const no = h("button", { type: "button", class: "quiet", onclick: offer }, "Keep it");
    place.replaceChildren(words, " ", yes, " ", no);
    no.focus();
  };
  const refused = (error) => {
    if (error.status === 409) ask("This run goes on. Delete it all the same, and throw away what it still sends?", true);
    else place.replaceChildren(error.message);
  };
  const offer = () => {
    const words = "Delete this run for good, with its log and metrics?";
    place.replaceChildren(h("button", { type: "button", onclick: () => ask(words, false) }, "Delete this run\u2026"));
  };
  offer();
  return place;
}

async function gone(path, force) {
  await remove(path, { force: String(force) });
  location.assign(ROOT);
}
