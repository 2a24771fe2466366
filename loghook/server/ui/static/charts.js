// The grid of all metrics: grouped, filtered, and filled as far as one scrolls, so that ten thousand names cost no more
// than a screenful.

import { Card } from "./card.js";
import { arrange, h, settle } from "./dom.js";

const PAGE = 48;
const POINTS = 500;
const LONGEST_QUERY = 6000;
const COLOURS = 6;
const FIRST = ["train", "training", "val", "valid", "validation", "eval", "test"];
const INTERNAL = "Internal";
const LAST = ["system", "sys", "gpu", "host"];
const natural = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

// The part of a name before its first "/", where it groups anything.
export const prefix = (name) => (name.indexOf("/") > 0 ? name.slice(0, name.indexOf("/")) : "");

export class Charts {
  // `fetch(names, points)` answers {name: {points, count}}; `open(name)` shows one metric large.
  constructor(pane, fetch, open) {
    this.pane = pane;
    this.grid = h("div", { class: "grid" });
    this.note = h("p", { class: "note", role: "status" }, "Loading the metrics\u2026");
    this.sentinel = h("div", { class: "sentinel" });
    pane.replaceChildren(this.note, this.grid, this.sentinel);
    this.fetch = fetch;
    this.open = open;
    this.metrics = new Map();
    this.cards = new Map();
    this.heads = new Map();
    this.tints = new Map();
    this.closed = new Set([INTERNAL]);
    this.internal = new Set();
    this.view = { mode: "step", log: false, start: 0, ready: false };
    this.filter = "";
    this.room = PAGE;
    this.near = new IntersectionObserver((seen) => this.#seen(seen), { root: pane, rootMargin: "300px" });
    this.more = new IntersectionObserver((seen) => seen.at(-1).isIntersecting && this.#grow(), {
      root: pane,
      rootMargin: "600px",
    });
    this.more.observe(this.sentinel);
    this.soon = settle(30, () => this.refresh().catch(() => undefined));
    new ResizeObserver(settle(120, () => this.redraw())).observe(pane);
  }

  // Takes the table of metrics as it is now.
  update(list) {
    const fresh = list.length !== this.metrics.size || list.some(({ name }) => !this.metrics.has(name));
    if (fresh) {
      const sorted = list.slice().sort((a, b) => natural.compare(a.name, b.name));
      this.metrics = new Map(sorted.map((metric) => [metric.name, metric]));
      this.internal = new Set(sorted.filter((metric) => metric.internal).map((metric) => metric.name));
      this.tints = new Map(grouped([...this.metrics.keys()], this.internal).map(([group], i) => [group, i]));
    } else {
      for (const metric of list) this.metrics.set(metric.name, metric);
    }
    for (const [name, card] of this.cards) {
      if (this.metrics.has(name)) card.meta(this.metrics.get(name));
    }
    if (fresh || !this.shown) this.lay();
  }

  // What is shown is another rank's from now on.
  forget() {
    for (const card of this.cards.values()) card.forget();
  }

  narrow(filter) {
    this.filter = filter.trim().toLowerCase();
    this.room = PAGE;
    this.lay();
  }

  // Groups and filters the names, and puts the first `room` of them into the grid.
  lay() {
    const names = [...this.metrics.keys()].filter((name) => name.toLowerCase().includes(this.filter));
    this.shown = names.length;
    const groups = grouped(names, this.internal);
    const wanted = [];
    for (const [group, members] of groups) {
      if (wanted.length >= this.room) break;
      if (groups.length > 1 || group === INTERNAL) wanted.push(this.#head(group, members.length));
      if (this.closed.has(group)) continue;
      for (const name of members.slice(0, this.room - wanted.length)) wanted.push(this.#card(name, group).element);
    }
    this.all = wanted.length < this.room;
    const kept = new Set(wanted);
    for (const child of this.grid.children) if (child.card && !kept.has(child)) this.#drop(child.card);
    arrange(this.grid, wanted);
    this.#tell(names.length);
    this.soon();
  }

  #tell(found) {
    const none = this.metrics.size
      ? "No metric has this in its name."
      : "No metrics yet. Log one: log.info(\"epoch 1\", extra={\"metrics\": {\"loss\": 0.3}})";
    this.note.hidden = found > 0;
    if (!found) this.note.textContent = none;
  }

  #head(group, many) {
    if (!this.heads.has(group)) {
      const flip = () => {
        if (!this.closed.delete(group)) this.closed.add(group);
        this.lay();
      };
      this.heads.set(group, h("button", { type: "button", class: "group", onclick: flip },
        h("span", { class: "name" }, group || "General"), h("span", { class: "many" })));
    }
    const head = this.heads.get(group);
    head.setAttribute("aria-expanded", String(!this.closed.has(group)));
    head.querySelector(".many").textContent = many.toLocaleString("en");
    return head;
  }

  #card(name, group) {
    let card = this.cards.get(name);
    if (!card) {
      card = new Card(name, this.open);
      this.cards.set(name, card);
      this.near.observe(card.element);
      card.meta(this.metrics.get(name));
    }
    card.place(group, this.colourOf(name));
    return card;
  }

  #drop(card) {
    this.near.unobserve(card.element);
    this.cards.delete(card.name);
    card.visible = false;
    card.sleep();
  }

  #seen(seen) {
    for (const { target, isIntersecting } of seen) {
      target.card.visible = isIntersecting;
      if (isIntersecting) this.soon();
      else target.card.sleep();
    }
    this.redraw();
  }

  #grow() {
    if (this.all || !this.metrics.size) return;
    this.room += PAGE;
    this.lay();
    // The observer only speaks of changes: look again whether this was enough.
    this.more.unobserve(this.sentinel);
    this.more.observe(this.sentinel);
  }

  // Fetches what is on screen and has changed; `always` where the table of metrics is not told every time.
  async refresh(always = false) {
    const stale = [...this.cards.values()].filter((card) => card.visible && (always || card.stale));
    for (const batch of batches(stale)) {
      const series = await this.fetch(batch.map((card) => card.name), POINTS);
      for (const card of batch) {
        const found = Object.hasOwn(series, card.name) ? series[card.name] : { points: [], count: 0 };
        await card.data(found, this.view);
        if (!always) card.known = Math.max(card.known, found.count);
      }
    }
  }

  // Draws again what is on screen: another axis, size or theme.
  async redraw() {
    for (const card of this.cards.values()) if (card.visible) await card.draw(this.view);
  }

  set(view) {
    Object.assign(this.view, view);
    return this.redraw();
  }

  // The names as they stand in the grid, to step through them one by one.
  names() {
    const found = [...this.metrics.keys()].filter((name) => name.toLowerCase().includes(this.filter));
    return grouped(found, this.internal).flatMap(([, members]) => members);
  }

  // One colour a group, whatever the filter leaves of it.
  colourOf(name) {
    const at = this.tints.get(prefix(name)) ?? this.tints.get("") ?? 0;
    return getComputedStyle(document.documentElement).getPropertyValue(`--series${at % COLOURS}`).trim();
  }
}

// [[group, names], ...]: a prefix with one name only groups nothing. What is internal is a group of its own, the last.
function grouped(names, internal) {
  const groups = new Map([["", []]]);
  for (const name of names) {
    const group = internal.has(name) ? INTERNAL : prefix(name);
    if (!groups.has(group)) groups.set(group, []);
    groups.get(group).push(name);
  }
  for (const [group, members] of groups) {
    if (group === "" || group === INTERNAL || members.length > 1) continue;
    groups.get("").push(...members);
    groups.delete(group);
  }
  if (!groups.get("").length) groups.delete("");
  return [...groups].sort(([a], [b]) => rank(a) - rank(b) || natural.compare(a, b));
}

function rank(group) {
  if (group === INTERNAL) return 100;
  const at = FIRST.indexOf(group.toLowerCase());
  if (group === "" || at >= 0) return at;
  return LAST.includes(group.toLowerCase()) ? 99 : 50;
}

function batches(cards) {
  const found = [];
  let size = Infinity;
  for (const card of cards) {
    const cost = encodeURIComponent(card.name).length + 6;
    if (size + cost > LONGEST_QUERY) {
      found.push([]);
      size = 0;
    }
    found.at(-1).push(card);
    size += cost;
  }
  return found;
}
