// A chart as a plain SVG line with a few ticks: there at once, before plotly.js is, and all that a small screen needs.

import { svg } from "./dom.js";
import { clock, number } from "./format.js";
import { paint } from "./ranks.js";
import { extent, ticks } from "./series.js";

export const MARGIN = { l: 46, r: 10, t: 8, b: 22 };
const CROWD = 60;

// The drawing of `data` (from series.shape), `width` by `height` pixels.
export function preview(data, { width, height, log, mode, colour }) {
  const [x0, x1] = extent(data.x);
  const [y0, y1] = extent(data.y, log);
  const bend = log ? Math.log10 : (v) => v;
  const pad = 0.04 * (bend(y1) - bend(y0));
  const right = width - MARGIN.r;
  const bottom = height - MARGIN.b;
  const px = (x) => MARGIN.l + ((x - x0) / (x1 - x0)) * (right - MARGIN.l);
  const py = (y) => bottom - ((bend(y) - bend(y0) + pad) / (bend(y1) - bend(y0) + 2 * pad)) * (bottom - MARGIN.t);
  const drawing = svg("svg", { width, height, class: "preview", role: "img", "aria-hidden": "true" });
  for (const tick of ticks(y0, y1, 4, log)) drawing.append(...across(tick, py(tick), right));
  drawing.append(...below(data, { x0, x1, px, bottom, right, mode }));
  for (const line of data.lines) {
    const look = paint(line.rank, colour);
    drawing.append(...strokes(data, line, px, py, log).map((points) => stroke(points, look)));
  }
  for (const odd of data.odd) drawing.append(mark(odd, px(odd.x), bottom));
  return drawing;
}

function across(tick, y, right) {
  const text = svg("text", { x: MARGIN.l - 6, y: y + 3.5, "text-anchor": "end" }, number(tick, 3));
  return [svg("line", { x1: MARGIN.l, x2: right, y1: y, y2: y, class: "rule" }), text];
}

function below(data, { x0, x1, px, bottom, right, mode }) {
  const name = (x) => (mode === "wall" ? clock(x / 1000) : number(x, 3));
  const marks = mode === "wall" ? [x0, x1] : ticks(x0, x1, 5).filter((x) => px(x) <= right - 8);
  const texts = marks.map((x, i) => {
    const end = mode === "wall" && i ? "end" : mode === "wall" ? "start" : "middle";
    return svg("text", { x: px(x), y: bottom + 15, "text-anchor": end }, name(x));
  });
  if (data.unit) texts.push(svg("text", { x: right, y: bottom + 15, "text-anchor": "end" }, data.unit));
  return texts;
}

// The line in as many parts as gaps make of it.
function strokes(data, { from, to }, px, py, log) {
  const parts = [[]];
  for (let i = from; i < to; i += 1) {
    const y = data.y[i];
    if (y === null || (log && y <= 0)) parts.push([]);
    else parts.at(-1).push([px(data.x[i]), py(y)]);
  }
  return parts.filter((part) => part.length);
}

function stroke(points, { colour, dash }) {
  if (points.length === 1) return svg("circle", { cx: points[0][0], cy: points[0][1], r: 2.5, fill: colour });
  const text = points.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" ");
  const width = points.length > CROWD * 5 ? 1.2 : 1.8;
  return svg("polyline", { points: text, stroke: colour, "stroke-width": width, "stroke-dasharray": dash, class: "stroke" });
}

// No number at this place: a cross below, an arrow up or down for an infinity.
function mark({ kind, label }, x, bottom) {
  const d = {
    nan: `M${x - 3} ${bottom - 8}l6 6m0 -6l-6 6`,
    up: `M${x - 4} ${MARGIN.t + 7}l4 -6l4 6z`,
    down: `M${x - 4} ${bottom - 8}l4 6l4 -6z`,
  }[kind];
  return svg("path", { d, class: "odd" }, svg("title", {}, label));
}
