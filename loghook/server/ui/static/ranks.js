// Which rank's points the charts show, where several ranks log a metric: one, or all. At first it is each metric's lowest.

import { h, svg } from "./dom.js";

export const ALL = "all";
const LOWEST = "lowest";
// Points of one chart where all ranks are in it, and the fewest of one rank.
const TOGETHER = 4;
const FEWEST = 60;
// A rank's line has one of so many colours, which differ to every kind of eye, and one of these dashes; then again.
const COLOURS = 6;
const DASHES = ["", "7px,3px", "2px,2px", "8px,3px,2px,3px"];

// How the line of a rank is drawn: the names of a colour and of a dash.
function look(rank) {
  if (rank === "none") return { colour: "--muted", dash: DASHES[1] };
  return { colour: `--rank${rank % COLOURS}`, dash: DASHES[Math.floor(rank / COLOURS) % DASHES.length] };
}

// The same for what cannot read the style sheet. A line of no rank in particular has the chart's own colour.
export function paint(rank, colour) {
  if (rank === undefined) return { colour, dash: "" };
  const { colour: name, dash } = look(rank);
  return { colour: getComputedStyle(document.documentElement).getPropertyValue(name).trim(), dash };
}

export const called = (rank) => (rank === "none" ? "No rank" : `Rank ${rank}`);

export class Ranks {
  // `chosen` is the rank in the address, "" for the lowest; `changed(rank)` hears of another.
  // `legends` are lists that tell the lines of all ranks apart.
  constructor(select, chosen, changed, legends) {
    this.select = select;
    this.legends = legends;
    this.chosen = chosen;
    this.known = new Set();
    select.addEventListener("change", () => {
      this.chosen = select.value;
      this.#explain();
      changed(this.chosen);
    });
  }

  // What asks the server for points of the rank that is chosen, at most `most` of a metric.
  points(most) {
    if (this.chosen !== ALL) return { max_points: most, rank: this.chosen || LOWEST };
    const each = Math.max(FEWEST, Math.round((TOGETHER * most) / Math.max(this.known.size, TOGETHER)));
    return { max_points: each, by: "rank" };
  }

  // What asks for the totals that go with them.
  get totals() {
    return this.chosen === ALL ? {} : { rank: this.chosen || LOWEST };
  }

  // Takes the table of metrics: the ranks in it can be chosen from then on.
  update(metrics) {
    const before = this.known.size;
    for (const { ranks } of metrics) for (const rank of ranks || []) this.known.add(rank ?? "none");
    if (this.chosen && this.chosen !== ALL) this.known.add(this.chosen === "none" ? "none" : Number(this.chosen));
    if (this.known.size === before) return;
    const [lowest, ...others] = this.#sorted;
    const option = (rank, value) => h("option", { value }, called(rank));
    this.select.replaceChildren(
      option(lowest, ""),
      ...others.map((rank) => option(rank, String(rank))),
      h("option", { value: ALL }, "All ranks"),
    );
    this.select.value = this.chosen === String(lowest) ? "" : this.chosen;
    this.select.hidden = false;
    this.#explain();
  }

  get #sorted() {
    return [...this.known].sort((a, b) => (a === "none") - (b === "none") || a - b);
  }

  #explain() {
    for (const legend of this.legends) {
      legend.hidden = this.chosen !== ALL || !this.known.size;
      legend.replaceChildren(...(legend.hidden ? [] : this.#sorted.map((rank) => h("li", {}, sample(rank), called(rank)))));
    }
  }
}

// A bit of a rank's line. Its colour is a class's, so it follows the theme.
function sample(rank) {
  const { colour, dash } = look(rank);
  const line = svg("line", { x1: 0, x2: 22, y1: 5, y2: 5, class: colour.slice(2), "stroke-dasharray": dash });
  return svg("svg", { width: 22, height: 10, "aria-hidden": "true" }, line);
}

// A metric's points as a chart takes them: those of several ranks one behind the other, each with its rank.
export function joined({ points, ranks, count }) {
  if (!ranks) return { points, count };
  const known = Object.keys(ranks).some((rank) => rank !== "none");
  const all = Object.entries(ranks).flatMap(([rank, one]) => (known ? one.points.map((point) => [...point, rank]) : one.points));
  return { points: all, count };
}
