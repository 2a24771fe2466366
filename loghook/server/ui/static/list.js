// The list of runs: polls its first page, goes round the further ones, and changes rows in place.

import * as address from "./address.js";
import { get, Poll } from "./api.js";
import { arrange, byId, say, settle, troubleBar } from "./dom.js";
import { Notifier } from "./notify.js";
import { Projects } from "./projects.js";
import { Row } from "./row.js";

const DEFAULTS = { q: "", project: "" };
const PAGE = 50;
const REST_EVERY = 3;
const PROJECTS_EVERY = 5;

const state = address.read(DEFAULTS);
const notifier = new Notifier(byId("notify"));
const rows = new Map();
// Each page is the cursor that it was asked with, the ids on it, and the cursor after it.
let pages = [{ cursor: "", ids: [], next: null }];
let turn = 0;
let ticks = 0;
let loaded = false;
let unknown = true;

async function load(page) {
  const asked = turn;
  const answer = await get("overview", { limit: PAGE, before: page.cursor, ...state });
  if (asked !== turn) return;
  const now = answer.now ?? Date.now() / 1000;
  for (const run of answer.runs) {
    if (!rows.has(run.id)) rows.set(run.id, new Row(run.id));
    rows.get(run.id).show(run, now);
    notifier.saw(run, now);
    unknown ||= Boolean(run.project) && !projects.knows(run.project);
  }
  if (pages.length > 1 && page === pages[0]) keep(page, answer);
  else Object.assign(page, { ids: answer.runs.map((run) => run.id), next: answer.next });
  loaded = true;
  show();
}

// New runs push older ones off the first page; those stay on the page, before the second.
function keep(page, answer) {
  const fresh = answer.runs.map((run) => run.id);
  const pushed = page.ids.filter((id) => !fresh.includes(id));
  page.ids = fresh.concat(pushed);
}

function show() {
  const ids = [...new Set(pages.flatMap((page) => page.ids))];
  for (const id of [...rows.keys()]) if (!ids.includes(id)) rows.delete(id);
  arrange(byId("runs"), ids.map((id) => rows.get(id).element));
  byId("runs").setAttribute("aria-busy", "false");
  byId("runs").hidden = !ids.length;
  byId("more").hidden = !pages.at(-1).next;
  const all = state.q === "" && state.project === "";
  byId("empty").hidden = ids.length > 0 || !all;
  byId("note").hidden = ids.length > 0 || all;
  const where = state.project && `in the project "${state.project}"`;
  say(byId("note"), state.q ? `${["No run", where].filter(Boolean).join(" ")} matches "${state.q}".` : `No run is ${where}.`);
  const running = [...rows.values()].filter((row) => row.run.status === "running").length;
  say(byId("running"), running ? `${running} running` : "");
  document.title = running ? `(${running}) Runs - loghook` : "Runs - loghook";
}

async function tick() {
  ticks += 1;
  await load(pages[0]);
  if (unknown || ticks % PROJECTS_EVERY === 0) {
    await projects.load(state.project);
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
  const page = { cursor, ids: [], next: cursor };
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
  turn += 1;
  pages = [{ cursor: "", ids: [], next: null }];
  poll.now();
}

const search = settle(150, () => change({ q: byId("q").value.trim() }));
const projects = new Projects(byId("project"), (project) => change({ project }));
const poll = new Poll(tick, { trouble: troubleBar(byId("trouble"), () => poll.now()) });
byId("q").value = state.q;
byId("q").addEventListener("input", search);
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
