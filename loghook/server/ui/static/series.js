// A metric's points [step, time, value] turned into what a chart draws. Pure: no element is touched here.

import { clock, number } from "./format.js";

// Units of relative time in seconds.
export const UNITS = { s: 1, min: 60, h: 3600, d: 86400 };
const ODD = { NaN: "nan", Infinity: "up", "-Infinity": "down" };
// Beyond it the span of an axis is no number any more.
const LARGEST = 1e300;

// {x, y, label, lines: [{rank, from, to}], odd: [{x, kind, label}], unit}: x by `mode` (step, relative, wall), in ascending
// order; y is null, a gap, where the value is no number or beyond measure, and `odd` holds those points. Relative time is in
// `unit`, as given or as fits best, wall time in milliseconds. A fourth entry of a point is its rank: each rank's are a line
// of their own, from one place in x, y and label up to another.
export function shape(points, mode, start, given = "") {
  const [unit, seconds] = mode === "relative" ? unitFor(points, start, given) : ["", 1];
  const place = {
    step: ([step], i) => (typeof step === "number" ? step : i),
    relative: ([, time]) => (time - start) / seconds,
    wall: ([, time]) => time * 1000,
  }[mode];
  const placed = points.map((point, i) => ({ x: place(point, i), point }));
  const order = new Map([...new Set(points.map((point) => point[3]))].map((rank, i) => [rank, i]));
  if (order.size > 1 || placed.some(({ x }, i) => i && x < placed[i - 1].x)) {
    placed.sort((a, b) => order.get(a.point[3]) - order.get(b.point[3]) || a.x - b.x);
  }
  const out = { x: [], y: [], label: [], lines: [], odd: [], unit };
  for (const [i, { x, point }] of placed.entries()) {
    const [, , value, rank] = point;
    if (!i || rank !== out.lines.at(-1).rank) out.lines.push({ rank, from: i, to: i });
    out.lines.at(-1).to = i + 1;
    const fine = typeof value === "number" && Math.abs(value) <= LARGEST;
    out.x.push(x);
    out.y.push(fine ? value : null);
    out.label.push(label(point));
    if (!fine) out.odd.push({ x, kind: ODD[value] || (value > 0 ? "up" : value < 0 ? "down" : "nan"), label: `${label(point)}: ${number(value)}` });
  }
  return out;
}

function label([step, time, , rank]) {
  const of = rank === undefined ? "" : rank === "none" ? "no rank, " : `rank ${rank}, `;
  return of + (typeof step === "number" ? `step ${number(step)}, ${clock(time)}` : clock(time));
}

function unitFor(points, start, given) {
  if (given) return [given, UNITS[given]];
  const span = points.reduce((most, [, time]) => Math.max(most, time - start), 0);
  return Object.entries(UNITS).findLast(([, size]) => span >= 2 * size) || ["s", 1];
}

// About `wanted` round numbers from `low` to `high`; on a log axis, powers of ten.
export function ticks(low, high, wanted, log = false) {
  if (log) {
    const [from, to] = [Math.ceil(Math.log10(low) - 1e-9), Math.floor(Math.log10(high) + 1e-9)];
    const stride = Math.max(1, Math.ceil((to - from + 1) / wanted));
    const powers = [];
    for (let power = from; power <= to; power += stride) powers.push(10 ** power);
    return powers.length > 1 ? powers : [low, high];
  }
  const rough = (high - low) / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((n) => n * power).find((size) => size >= rough * 0.999);
  const found = [];
  for (let tick = Math.ceil(low / step - 1e-9) * step; tick <= high + step * 1e-9; tick += step) {
    found.push(Math.abs(tick) < step * 1e-9 ? 0 : tick);
  }
  return found;
}

// The least and greatest number of `values`; widened where they are one; on a log axis of the positive ones only.
export function extent(values, log = false) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (value === null || (log && value <= 0)) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (low > high) return log ? [0.1, 1] : [0, 1];
  if (low < high) return [low, high];
  if (log) return [low / 2, high * 2];
  const room = Math.abs(low) * 0.05 || 1;
  return [low - room, high + room];
}
