// What is known of a run besides its numbers and its log.

import { care } from "./care.js";
import { h, settle } from "./dom.js";
import * as format from "./format.js";

const MANY = 12;

// Fills `pane` anew from `run`; returns at once when nothing it shows has changed.
export function details(pane, run) {
  const key = JSON.stringify([run.params, run.writers, run.dropped, run.status, run.ended_at, run.git, run.argv, run.project, run.group, run.tags, run.description, run.counts, run.set_aside, run.internal]);
  if (pane.dataset.key === key) return;
  pane.dataset.key = key;
  const search = pane.querySelector("input");
  if (search && (search === document.activeElement || search.value)) return;
  if (pane.querySelector("[role=status] button.quiet")) return;
  pane.replaceChildren(...[facts(run), lost(run), params(run.params || {}, run.internal), writers(run.writers || []), section("Data", ...care(run))].filter(Boolean));
}

function facts(run) {
  const git = run.git || {};
  const rows = [
    ["Run", run.id],
    ["Project", run.project],
    ["Group", run.group],
    ["Tags", (run.tags || []).join(", ")],
    ["Description", run.description],
    ["Started", format.moment(run.started_at)],
    ["Ended", run.ended_at ? format.moment(run.ended_at) : null],
    ["Host", run.host],
    ["Process", run.pid],
    ["Python", run.python],
    ["Commit", git.commit && git.commit.slice(0, 12) + (git.dirty ? " with changes" : "")],
    ["Branch", git.branch],
    ["Command", Array.isArray(run.argv) ? run.argv.join(" ") : run.argv],
    ["Source", run.source],
    ["Records", run.counts && run.counts.logs !== undefined ? run.counts.logs.toLocaleString("en") : null],
    ["Metrics", run.counts && run.counts.metrics !== undefined ? run.counts.metrics.toLocaleString("en") : null],
  ].filter(([, value]) => value !== undefined && value !== null && value !== "");
  const list = h("dl", { class: "facts" });
  for (const [name, value] of rows) list.append(h("dt", {}, name), h("dd", {}, String(value)));
  return section("Run", list);
}

function lost(run) {
  const reasons = Object.entries(run.dropped || {}).filter(([, many]) => many);
  if (run.missing_bytes) reasons.push(["bytes of the log that never came", run.missing_bytes]);
  if (run.set_aside) reasons.push(["lines that could not be stored", run.set_aside]);
  if (!reasons.length) return null;
  const list = h("ul", {}, ...reasons.map(([reason, many]) => h("li", {}, `${format.number(many)}: ${reason}`)));
  return section("Not delivered", list);
}

// Internal ones, which the run's tools keep for themselves, come last.
function params(values, internal) {
  const hidden = new Set(internal ? internal.params : []);
  const names = Object.keys(values).sort((a, b) => hidden.has(a) - hidden.has(b) || (a < b ? -1 : 1));
  if (!names.length) return section("Parameters", h("p", { class: "note" }, "None were given."));
  const rows = names.map((name) => {
    const value = values[name];
    const text = typeof value === "string" ? value : JSON.stringify(value);
    return h("tr", { class: hidden.has(name) ? "muted" : "" }, h("th", { scope: "row" }, name), h("td", {}, text));
  });
  const table = h("table", {}, h("tbody", {}, ...rows));
  return section("Parameters", names.length > MANY ? filter(rows) : null, table);
}

function filter(rows) {
  const narrow = (event) => {
    const text = event.target.value.toLowerCase();
    for (const row of rows) row.hidden = !row.textContent.toLowerCase().includes(text);
  };
  const label = "Filter the parameters";
  return h("input", { type: "search", placeholder: label, "aria-label": label, oninput: settle(100, narrow) });
}

function writers(all) {
  if (all.length < 2) return null;
  const rows = all.map((writer) =>
    h("tr", {}, h("th", { scope: "row" }, writer.rank ?? "\u2013"), h("td", {}, writer.host || ""),
      h("td", {}, String(writer.pid ?? "")), h("td", {}, format.moment(writer.last_seen))));
  const head = h("tr", {}, ...["Rank", "Host", "Process", "Last seen"].map((name) => h("th", { scope: "col" }, name)));
  return section(`${all.length} writers`, h("div", { class: "wide" }, h("table", {}, h("thead", {}, head), h("tbody", {}, ...rows))));
}

function section(title, ...content) {
  return h("section", { class: "fact" }, h("h2", {}, title), ...content);
}
