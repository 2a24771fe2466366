// The list of runs: polls its first page, goes round the further ones, and changes rows in place.

import * as address from "./address.js";
import { get, Poll } from "./api.js";
import { arrange, byId, say, settle, troubleBar } from "./dom.js";
import { Groups } from "./groups.js";
import { keep, kept } from "./kept.js";
import { Notifier } from "./notify.js";
import { Projects } from "./projects.js";
import { Row } from "./row.js";

const DEFAULTS = { q: "", project: "", without: "", by: "" };
const PAGE = 50;
const FEW = 5;
const REST_EVERY = 3;
const PROJECTS_EVERY = 5;
const KEPT = "loghook.by";

const state = address.read({ ...DEFAULTS, by: kept(KEPT) });
const notifier = new Notifier(byId("notify"));
const groups = new Groups(byId("groups"));
const rows = new Map();
const fresh = () => [{ cursor: "", parts: [], next: null }];
// Each page is the cursor that it was asked with, the parts on it, and the cursor after it. A part is a run, or when the
// list is grouped a project with its newest runs: its key, the ids of its runs, and how many it has.
let pages = fresh();
let turn = 0;
let ticks = 0;
let loaded = false;
let unknown = true;

const isGrouped = () => state.by === "project" && !state.project && !state.without;

async function load(page) {
  const asked = turn;
  const { q, project, without } = state;
  const wanted = isGrouped() ? { by: "project", limit: FEW, q } : { limit: PAGE, q, project, without };
  const answer = await get("overview", { ...wanted, before: page.cursor });
  if (asked !== turn) return;
  const now = answer.now ?? Date.now() / 1000;
  const found = answer.groups ?? answer.runs.map((run) => ({ project: run.id, count: 1, runs: [run] }));
  for (const run of found.flatMap((part) => part.runs)) {
    if (!rows.has(run.id)) rows.set(run.id, new Row(run.id));
    rows.get(run.id).show(run, now, isGrouped());
    notifier.saw(run, now);
    unknown ||= Boolean(run.project) && !projects.knows(run.project);
  }
  const parts = found.map(({ project: key, count, runs }) => ({ key: key ?? "", count, ids: runs.map((run) => run.id) }));
  if (pages.length > 1 && page === pages[0]) push(page, parts);
  else Object.assign(page, { parts, next: answer.next });
  loaded = true;
  show();
}

// New runs push older ones off the first page; those stay on the page, before the second.
function push(page, parts) {
  const keys = new Set(parts.map((part) => part.key));
  page.parts = parts.concat(page.parts.filter((part) => !keys.has(part.key)));
}

// The parts of all pages, each once: where it is first, which is where it was seen last.
function all() {
  const parts = new Map();
  for (const part of pages.flatMap((page) => page.parts)) if (!parts.has(part.key)) parts.set(part.key, part);
  return [...parts.values()];
}

function show() {
  const parts = all();
  const ids = new Set(parts.flatMap((part) => part.ids));
  for (const id of [...rows.keys()]) if (!ids.has(id)) rows.delete(id);
  const grouped = isGrouped();
  const filled = ({ key, count, ids }) => ({ project: key, count, rows: ids.map((id) => rows.get(id)) });
  groups.show(grouped ? parts.map(filled) : [], leading);
  arrange(byId("runs"), grouped ? [] : [...ids].map((id) => rows.get(id).element));
  byId("runs").hidden = grouped || !ids.size;
  byId("groups").hidden = !grouped || !ids.size;
  for (const id of ["runs", "groups"]) byId(id).setAttribute("aria-busy", "false");
  byId("more").hidden = !pages.at(-1).next;
  tell(ids.size);
  const running = [...rows.values()].filter((row) => row.run.status === "running").length;
  say(byId("running"), running ? `${running} running` : "");
  document.title = running ? `(${running}) Runs - loghook` : "Runs - loghook";
}

// Says why the list is empty, when it is.
function tell(shown) {
  const everything = state.q === "" && state.project === "" && state.without === "";
  byId("empty").hidden = shown > 0 || !everything;
  byId("note").hidden = shown > 0 || everything;
  const where = state.without ? " without a project" : state.project && ` in the project "${state.project}"`;
  if (state.q) say(byId("note"), `No run${where} matches "${state.q}".`);
  else say(byId("note"), state.without ? "Every run is in a project." : `No run is${where}.`);
}

// The address of the list of all runs of a project, "" for those that are in none.
function leading(project) {
  const url = new URL(location.href);
  if (project) url.searchParams.set("project", project);
  else url.searchParams.set("without", "project");
  return url.href;
}

function control() {
  byId("by").hidden = !(projects.any || state.by) || Boolean(state.project || state.without);
  byId("by").setAttribute("aria-pressed", String(isGrouped()));
}

async function tick() {
  ticks += 1;
  await load(pages[0]);
  if (unknown || ticks % PROJECTS_EVERY === 0) {
    await projects.load(state);
    control();
    unknown = false;
  }
  if (pages.length > 1 && ticks % REST_EVERY === 0) {
    await load(pages[1 + (ticks / REST_EVERY) % (pages.length - 1)]);
  }
}

async function more() {
  const cursor = pages.at(-1).next;
  if (!cursor) return;
  byId("more").disabled = true;
  const page = { cursor, parts: [], next: cursor };
  pages.push(page);
  try {
    await load(page);
  } catch {
    pages = pages.filter((other) => other !== page);
    poll.now();
  } finally {
    byId("more").disabled = false;
  }
}

function change(part) {
  Object.assign(state, part);
  address.write(state, DEFAULTS);
  control();
  turn += 1;
  pages = fresh();
  poll.now();
}

function group() {
  const by = state.by === "project" ? "" : "project";
  keep(KEPT, by);
  change({ by });
}

const search = settle(150, () => change({ q: byId("q").value.trim() }));
const projects = new Projects(byId("project"), change);
const poll = new Poll(tick, { trouble: troubleBar(byId("trouble"), () => poll.now()) });
if (state.by !== "project") state.by = "";
address.write(state, DEFAULTS);
control();
byId("q").value = state.q;
byId("q").addEventListener("input", search);
byId("by").addEventListener("click", group);
byId("more").addEventListener("click", more);
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && event.target === byId("q")) byId("q").blur();
  if (event.key !== "/" || event.target.closest("input") || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  byId("q").focus();
  byId("q").select();
});
setInterval(() => loaded && rows.forEach((row) => row.tick()), 1000);
poll.now();
