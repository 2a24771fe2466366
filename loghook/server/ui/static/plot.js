// The interactive chart: plotly.js, loaded once and late, and what it is given to draw.

import { MARGIN } from "./preview.js";
import { called, paint } from "./ranks.js";
import { extent } from "./series.js";

// plotly.js writes its own style elements unless elements with these ids exist; a strict content policy blocks them, and
// chart.css says what is needed. (The page's link to chart.css carries the first id.) A plotly.js that knows the second
// by another name only loses styles for maps.
const MAP_STYLE = "9f215cf04c5486422605d13261cb87401f4e7763b6296af81e98efbc0130da53";
// Beyond so many lines only the one that is pointed at has a label.
const MOST_LABELS = 4;
const CONFIG = { displayModeBar: false, responsive: true, doubleClick: "reset", showTips: false };

let library = null;

// plotly.js itself; null where this server has none.
export function plotly() {
  library ??= new Promise((resolve) => {
    const inert = document.createElement("template");
    inert.id = MAP_STYLE;
    const script = document.createElement("script");
    script.src = new URL("plotly.min.js", import.meta.url);
    script.async = true;
    script.onload = () => resolve(globalThis.Plotly || null);
    script.onerror = () => resolve(null);
    document.head.append(inert, script);
  });
  return library;
}

// plotly.js draws in several turns; another drawing of the same element, or its end, has to wait for the last of them.
const turns = new WeakMap();

function inTurn(element, work) {
  const turn = (turns.get(element) ?? Promise.resolve()).then(work, work);
  turns.set(element, turn);
  return turn;
}

// Draws `data` (from series.shape) into `element`; a zoom survives as long as `view.key` stays the same. Tells whether it
// could: not without plotly.js, and not in an element that does not show.
export function draw(element, data, view) {
  return inTurn(element, async () => {
    const library = await plotly();
    if (!library || !element.clientWidth) return false;
    await library.react(element, traces(data, view), layout(element, data, view), CONFIG);
    return true;
  });
}

export function clear(element) {
  return inTurn(element, async () => {
    const library = await plotly();
    if (library && element.classList.contains("js-plotly-plot")) library.purge(element);
  });
}

// Where the reader has zoomed to, to be given back as `view.kept` when the chart is drawn anew; null when nowhere.
export function zoomed(element, key) {
  const full = element._fullLayout;
  if (!full || !full.xaxis || (full.xaxis.autorange && full.yaxis.autorange)) return null;
  const range = (axis) => (axis.autorange ? undefined : axis.range.slice());
  return { key, x: range(full.xaxis), y: range(full.yaxis) };
}

// No markup such as bold or a raised exponent anywhere in a chart: plotly.js makes it with style attributes, which the
// content policy blocks.
function traces(data, view) {
  const all = alike(data, view.colour).map(([look, lines]) => trace(data, view, look, lines));
  return data.odd.length ? [...all, oddities(data, view)] : all;
}

// Lines by how they are drawn: of many ranks some look the same, and a chart of hundreds of traces would be slow.
function alike(data, colour) {
  const found = new Map();
  for (const line of data.lines) {
    const look = paint(line.rank, colour);
    const key = `${look.colour} ${look.dash}`;
    if (!found.has(key)) found.set(key, [look, []]);
    found.get(key)[1].push(line);
  }
  return found.size ? [...found.values()] : [[paint(undefined, colour), []]];
}

function trace(data, view, { colour, dash }, lines) {
  const together = (values, gap) => lines.flatMap(({ from, to }, i) => [...(i ? [gap] : []), ...values.slice(from, to)]);
  const x = together(data.x, null);
  const most = Math.max(0, ...lines.map(({ from, to }) => to - from));
  const named = lines.some(({ rank }) => rank !== undefined);
  return {
    x: view.mode === "wall" ? x.map((at) => at && local(at)) : x,
    y: together(data.y, null),
    text: together(data.label, ""),
    name: named ? lines.map(({ rank }) => called(rank)).join(", ") : "",
    showlegend: named,
    type: "scatter",
    mode: most <= 40 ? "lines+markers" : "lines",
    line: { color: colour, dash: dash || "solid", width: most > 1500 ? 1.2 : 1.8 },
    marker: { size: 5, color: colour },
    hoverlabel: { bordercolor: named ? colour : view.theme.rule },
    hovertemplate: "%{y:.6~g}<br>%{text}<extra></extra>",
    connectgaps: false,
  };
}

// What is no number has no height: marks at the edge, on an axis of their own, leave the scale alone.
function oddities({ odd }, view) {
  const symbols = { nan: "x-thin", up: "triangle-up", down: "triangle-down" };
  return {
    x: odd.map(({ x }) => (view.mode === "wall" ? local(x) : x)),
    y: odd.map(({ kind }) => (kind === "up" ? 0.97 : 0.03)),
    text: odd.map(({ label }) => label),
    yaxis: "y2",
    type: "scatter",
    mode: "markers",
    cliponaxis: false,
    showlegend: false,
    marker: {
      symbol: odd.map(({ kind }) => symbols[kind]),
      size: 8,
      color: view.theme.odd,
      line: { width: 2, color: view.theme.odd },
    },
    hovertemplate: "%{text}<extra></extra>",
  };
}

// plotly.js takes times as UTC: what it is given is shifted so that it shows the reader's own clock.
function local(milliseconds) {
  const at = new Date(milliseconds);
  return new Date(milliseconds - at.getTimezoneOffset() * 60000).toISOString().slice(0, -1);
}

export const fromLocal = (text) => new Date(text.replace(" ", "T")).getTime();

function layout(element, data, view) {
  const { theme, large } = view;
  const kept = view.kept || {};
  const axis = {
    gridcolor: theme.rule,
    linecolor: theme.rule,
    zeroline: false,
    tickfont: { size: large ? 12 : 11, color: theme.muted },
    nticks: large ? undefined : 5,
  };
  return {
    width: element.clientWidth,
    height: element.clientHeight,
    margin: large ? { l: 56, r: 16, t: 12, b: 44 } : MARGIN,
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: theme.font, color: theme.muted },
    showlegend: false,
    hovermode: data.lines.length > MOST_LABELS ? "closest" : "x",
    hoverdistance: -1,
    hoverlabel: { bgcolor: theme.surface, bordercolor: theme.rule, font: { color: theme.text, size: 12 } },
    dragmode: "zoom",
    uirevision: view.key,
    xaxis: { ...axis, ...across(data, view), range: kept.x, showgrid: false },
    yaxis: { ...axis, ...upwards(data, view), range: kept.y, exponentformat: "e" },
    yaxis2: { overlaying: "y", range: [0, 1], visible: false, fixedrange: true },
  };
}

const CLOCK = [
  { dtickrange: [null, 59999], value: "%H:%M:%S" },
  { dtickrange: [60000, 43200000], value: "%H:%M" },
  { dtickrange: [43200001, null], value: "%b %-d" },
];

function across(data, { mode, large }) {
  const titles = { step: "step", relative: `time since the start (${data.unit})`, wall: "time" };
  const title = large ? { text: titles[mode], font: { size: 11 }, standoff: 4 } : undefined;
  if (mode === "wall") {
    return { type: "date", title, nticks: large ? 8 : 4, tickformatstops: CLOCK, hoverformat: "%Y-%m-%d %H:%M:%S" };
  }
  const suffix = large || !data.unit ? {} : { ticksuffix: ` ${data.unit}`, showticksuffix: "last" };
  return { type: "linear", title, ...suffix, hoverformat: ",.6~g" };
}

// In a small chart a log axis has room for whole powers only, or for 1, 2, 5 where it spans few of them.
function upwards(data, { log, large }) {
  if (!log) return { type: "linear", tickformat: "~g" };
  if (large) return { type: "log" };
  const [low, high] = extent(data.y, true);
  return { type: "log", dtick: Math.log10(high / low) < 2 ? "D2" : 1 };
}

// The colours of the page, for what cannot read its style sheet.
export function theme() {
  const style = getComputedStyle(document.documentElement);
  const value = (name) => style.getPropertyValue(name).trim();
  return {
    text: value("--text"),
    muted: value("--muted"),
    rule: value("--rule"),
    surface: value("--surface"),
    odd: value("--odd"),
    font: value("--sans"),
  };
}
