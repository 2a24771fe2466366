// The page of one run: polls it, and hands what comes to the head, the charts, the log and the details.

import * as address from "./address.js";
import { get, Poll, ROOT } from "./api.js";
import { Charts } from "./charts.js";
import { controls } from "./controls.js";
import { details } from "./details.js";
import { byId, narrow, say, troubleBar } from "./dom.js";
import { Head } from "./head.js";
import { Large } from "./large.js";
import { Log } from "./log.js";
import { Notifier } from "./notify.js";
import { plotly } from "./plot.js";
import { joined, Ranks } from "./ranks.js";

const DEFAULTS = { tab: "charts", level: "", logger: "", q: "", metric: "", x: "step", log: "", chart: "", rank: "" };
const QUIET = "Nothing has been logged yet.";
const TABLE_EVERY = 10;

const id = decodeURIComponent(location.pathname.slice(ROOT.pathname.length).replace(/^runs\//, "").replace(/\/$/, ""));
const path = `runs/${encodeURIComponent(id)}`;
const state = address.read(DEFAULTS);
const head = new Head();
const notifier = new Notifier(byId("notify"));
let run = null;
let points = "";
let skew = 0;
let ticks = 0;
let slow = 0;

function change(some) {
  Object.assign(state, some);
  address.write(state, DEFAULTS);
}

const ranks = new Ranks(byId("rank"), state.rank, (rank) => {
  change({ rank });
  points = "";
  slow = 0;
  charts.forget();
  poll.now();
}, document.querySelectorAll(".legend"));

async function series(name, most, range = null) {
  const chosen = ranks.chosen;
  const found = (await get(`${path}/series`, { name, ...ranks.points(most), ...(range || {}) })).series;
  if (chosen !== ranks.chosen) return series(name, most, range);
  return Object.fromEntries(Object.entries(found).map(([key, metric]) => [key, joined(metric)]));
}

const charts = new Charts(byId("grid"), series, (name) => large.open(name));
const large = new Large(
  charts,
  async (name, most, range) => (await series([name], most, range))[name] || { points: [], count: 0 },
  (name) => change({ chart: name || "" }),
);
const log = new Log(byId("lines"), {
  fetch: (query) => get(`${path}/logs`, { ...query, level: state.level, logger: state.logger, q: state.q }),
  total: () => (run && run.counts ? run.counts.logs : 0),
  changed: ({ follow, empty, searching, last }) => {
    byId("resume").hidden = follow;
    byId("follow").setAttribute("aria-pressed", String(follow));
    if (last) head.line(last);
    if (empty) log.hush(searching ? "Looking further back\u2026" : filtered() ? "No record passes this filter." : QUIET);
  },
  only: (logger) => panel.logger(logger),
});
const filtered = () => state.level || state.logger || state.q;

const panel = controls(state, {
  change,
  relog: () => log.reset().catch(() => poll.now()),
  charts,
  large,
  log,
});

async function tick() {
  const asked = Date.now();
  run = await known();
  if (!run) return;
  skew = Number.isFinite(run.now) ? run.now - (asked + Date.now()) / 2000 : skew;
  head.show(run, Date.now() / 1000 + skew);
  notifier.saw(run, Date.now() / 1000 + skew);
  details(byId("details"), run);
  charts.view.start = run.started_at ?? 0;
  log.several = (run.writers || []).length > 1;
  await log.poll();
  late();
  await metrics();
}

// The run; null where the server knows none of this id yet.
async function known() {
  const found = await get(path).catch((error) => {
    if (error.status === 404) return null;
    throw error;
  });
  byId("missing").hidden = found !== null;
  document.body.classList.toggle("is-missing", found === null);
  if (!found) say(byId("name"), id);
  return found;
}

// plotly.js is big: it comes when the log is on the screen.
let asked = false;
function late() {
  if (asked) return;
  asked = true;
  plotly().then((library) => charts.set({ ready: library !== null }).then(() => large.draw()));
}

// Asks for the table of metrics only when there is something new, and rarely where it is long.
async function metrics() {
  const many = run.counts ? `${run.counts.logs} ${run.counts.metrics}` : "";
  const fresh = many !== points;
  const due = slow < TABLE_EVERY || ticks++ % Math.min(slow, 30) === 0;
  if (fresh && due) {
    const began = performance.now();
    const chosen = ranks.chosen;
    const table = (await get(`${path}/metrics`, ranks.totals)).metrics;
    slow = (performance.now() - began) / 20;
    if (chosen !== ranks.chosen) return;
    ranks.update(table);
    charts.update(table);
    head.metrics(table.filter(({ internal }) => !internal));
  }
  if (fresh) await charts.refresh(!due);
  if (due) points = many;
  await large.poll();
  if (state.chart && large.name === null && charts.metrics.has(state.chart)) large.open(state.chart);
}

const poll = new Poll(tick, {
  every: () => (run && run.status === "running" ? 1000 : 4000),
  trouble: troubleBar(byId("trouble"), () => poll.now()),
});
setInterval(() => run && head.show(run, Date.now() / 1000 + skew), 1000);
narrow.addEventListener("change", () => charts.redraw());
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  charts.lay();
  charts.redraw().then(() => large.draw());
});
poll.now();
