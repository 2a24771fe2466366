// Which rank's points the charts show, where several ranks log a metric: one, or all. At first it is each metric's lowest.

import { h } from "./dom.js";

export const ALL = "all";
const LOWEST = "lowest";
// Points of one chart where all ranks are in it, and the fewest of one rank.
const TOGETHER = 4;
const FEWEST = 60;

export class Ranks {
  // `chosen` is the rank in the address, "" for the lowest; `changed(rank)` hears of another.
  constructor(select, chosen, changed) {
    this.select = select;
    this.chosen = chosen;
    this.known = new Set();
    select.addEventListener("change", () => {
      this.chosen = select.value;
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
    const [lowest, ...others] = [...this.known].sort((a, b) => (a === "none") - (b === "none") || a - b);
    const option = (rank, value) => h("option", { value }, rank === "none" ? "No rank" : `Rank ${rank}`);
    this.select.replaceChildren(
      option(lowest, ""),
      ...others.map((rank) => option(rank, String(rank))),
      h("option", { value: ALL }, "All ranks"),
    );
    this.select.value = this.chosen === String(lowest) ? "" : this.chosen;
    this.select.hidden = false;
  }
}

// A metric's points as a chart takes them: those of several ranks one behind the other, each with its rank.
export function joined({ points, ranks, count }) {
  if (!ranks) return { points, count };
  const several = Object.keys(ranks).length > 1;
  const all = Object.entries(ranks).flatMap(([rank, one]) => (several ? one.points.map((point) => [...point, rank]) : one.points));
  return { points: all, count };
}
