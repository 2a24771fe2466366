// The log: a window of at most LINES records over any number of them, moved by scrolling, kept at the end while followed.
//
// The server answers {logs, next, first}: it has looked at every record from `first` up to `next`, and found `logs`. With
// a filter that may be few or none, so the way on is by these two numbers and never by how many were found. A `first` of
// null says that there is nothing before. Records are numbered from 1 without a gap.

import { h, say } from "./dom.js";
import { line, toggle } from "./line.js";

const LINES = 900;
const PAGE = 300;
const NEAR = 400;

export class Log {
  // `fetch(query)` answers a page; `total()` is the number of records; `changed({follow, empty, searching, last})` hears
  // what there is to say; `only(logger)` narrows the log to one logger.
  constructor(pane, { fetch, total, changed, only }) {
    this.pane = pane;
    this.list = h("div", { class: "records" });
    this.note = h("p", { class: "note", role: "status" }, "Loading the log\u2026");
    pane.replaceChildren(this.note, this.list);
    this.fetch = fetch;
    this.total = total;
    this.changed = changed;
    this.only = only;
    this.follow = true;
    this.several = false;
    this.turn = 0;
    this.top = 0;
    this.#clear();
    pane.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    pane.addEventListener("click", (event) => this.#clicked(event));
    pane.addEventListener("keydown", (event) => this.#key(event));
    new ResizeObserver(() => this.#resized()).observe(pane);
  }

  #clear() {
    this.first = null;
    this.next = null;
    this.atEnd = false;
    this.loading = false;
    this.current = null;
  }

  // Starts again at the end, with the filter as it is now.
  async reset() {
    const turn = ++this.turn;
    this.#clear();
    this.loading = true;
    this.pane.setAttribute("aria-busy", "true");
    try {
      const page = await this.fetch({ limit: PAGE });
      if (turn !== this.turn) return;
      this.loading = false;
      this.#fresh(page, true);
    } finally {
      if (turn === this.turn) this.loading = false;
      this.pane.setAttribute("aria-busy", "false");
    }
  }

  #fresh(page, atEnd) {
    this.list.replaceChildren(...this.#lines(page.logs));
    this.first = page.first;
    this.next = page.next;
    this.atEnd = atEnd;
    this.#setFollow(atEnd);
    if (atEnd) this.#bottom();
    else this.#scrollTo(0);
    this.#tell(page.logs);
    this.#fill();
  }

  // A filter may have found too little to scroll: looks further back until it is enough, or all has been looked at.
  async #fill() {
    const turn = this.turn;
    try {
      while (turn === this.turn && !this.loading && this.#unfilled()) await this.#older();
    } catch {
      this.loading = false; // the poll says that the server does not answer, and #fill is called again
    }
  }

  #unfilled = () => this.first !== null && this.pane.clientHeight > 0 && this.list.offsetHeight < 1.5 * this.pane.clientHeight;

  #resized() {
    if (this.follow) this.#bottom();
    this.#fill();
  }

  // Goes to the very first record. Until it is there nothing else is asked for: what is new would be taken for the
  // continuation of the records at the start. Whoever wants the end meanwhile gets it.
  async start() {
    const turn = ++this.turn;
    this.loading = true;
    this.atEnd = false;
    try {
      const page = await this.fetch({ after: 0, limit: PAGE });
      if (turn !== this.turn) return;
      this.loading = false;
      this.#fresh({ ...page, first: null }, false);
    } finally {
      if (turn === this.turn) this.loading = false;
    }
  }

  // Follows the end again.
  end() {
    if (!this.atEnd) return this.reset();
    this.#setFollow(true);
    this.#bottom();
  }

  // Stays where it is, whatever comes.
  pause() {
    this.#setFollow(false);
  }

  // Brings what is new; the poll calls it.
  async poll() {
    if (this.next === null) return this.loading ? undefined : this.reset();
    if (this.loading) return undefined;
    if (this.#unfilled()) return this.#fill();
    return this.atEnd || this.follow || this.#distance() < NEAR ? this.#newer() : undefined;
  }

  async #newer() {
    const turn = this.turn;
    this.loading = true;
    try {
      const page = await this.fetch({ after: this.next, limit: PAGE });
      if (turn !== this.turn) return;
      if (page.logs.length === PAGE && this.follow) {
        this.loading = false;
        await this.reset();
        return;
      }
      this.next = page.next;
      this.atEnd = page.next >= this.total();
      this.#append(page.logs);
    } finally {
      if (turn === this.turn) this.loading = false;
    }
    // A scroll while this was on its way was let go by.
    this.#look();
  }

  #append(rows) {
    if (!rows.length) return;
    const room = this.follow ? Infinity : LINES - this.list.childElementCount;
    if (rows.length > room && this.#distance() > NEAR) {
      this.next = Number(this.list.lastElementChild.dataset.id);
      this.atEnd = false;
      return;
    }
    this.list.append(...this.#lines(rows));
    this.#trimTop();
    this.#tell(rows);
    if (this.follow) this.#bottom();
  }

  #trimTop() {
    const many = this.list.childElementCount - LINES;
    if (many <= 0) return;
    const before = this.pane.scrollHeight;
    for (let i = 0; i < many; i++) this.list.firstElementChild.remove();
    this.first = Number(this.list.firstElementChild.dataset.id);
    this.#scrollTo(this.pane.scrollTop - (before - this.pane.scrollHeight));
  }

  async #older() {
    const turn = this.turn;
    this.loading = true;
    try {
      const page = await this.fetch({ before: this.first, limit: PAGE });
      if (turn !== this.turn) return;
      const height = this.pane.scrollHeight;
      this.list.prepend(...this.#lines(page.logs));
      this.#scrollTo(this.pane.scrollTop + this.pane.scrollHeight - height);
      this.first = page.first;
      this.#trimBottom();
      if (this.follow) this.#bottom();
      this.#tell([]);
    } finally {
      if (turn === this.turn) this.loading = false;
    }
    // A scroll while this was on its way was let go by.
    this.#look();
  }

  #trimBottom() {
    const many = this.list.childElementCount - LINES;
    if (many <= 0) return;
    for (let i = 0; i < many; i++) this.list.lastElementChild.remove();
    this.next = Number(this.list.lastElementChild.dataset.id);
    this.atEnd = false;
  }

  #lines(rows) {
    return rows.map((row) => line(row, this.several));
  }

  #tell(rows) {
    const empty = this.list.childElementCount === 0;
    this.note.hidden = !empty;
    this.changed({ empty, searching: this.first !== null, follow: this.follow, last: rows.at(-1) });
  }

  hush(text) {
    say(this.note, text);
  }

  #distance = () => this.pane.scrollHeight - this.pane.clientHeight - this.pane.scrollTop;

  #bottom() {
    this.#scrollTo(this.pane.scrollHeight);
  }

  // A scroll of ours must not look like one of the reader's.
  #scrollTo(top) {
    this.pane.scrollTop = top;
    this.top = this.pane.scrollTop;
  }

  #setFollow(follow) {
    if (this.follow === follow) return;
    this.follow = follow;
    this.#tell([]);
  }

  #scrolled() {
    const up = this.pane.scrollTop < this.top - 1;
    this.top = this.pane.scrollTop;
    if (up && this.#distance() > 2) this.#setFollow(false);
    else if (!up && this.#distance() < 24 && this.atEnd) this.#setFollow(true);
    this.#look();
  }

  // Loads what the reader has come near to.
  #look() {
    if (this.loading || !this.pane.clientHeight) return;
    if (this.top < NEAR && this.first !== null && !this.follow) this.#older().catch(() => this.#retryable());
    else if (!this.atEnd && this.next !== null && this.#distance() < NEAR) this.#newer().catch(() => this.#retryable());
  }

  // The poll's own failure tells of the lost connection; the next scroll asks again.
  #retryable() {
    this.loading = false;
  }

  #clicked(event) {
    const element = event.target.closest(".record");
    if (!element || event.target.closest("button, summary, a, .more, pre")) return;
    if (String(getSelection())) return;
    this.#choose(element);
    toggle(element, this.only);
  }

  #key(event) {
    if (event.target !== this.pane) return;
    const move = { ArrowDown: 1, ArrowUp: -1, j: 1, k: -1 }[event.key];
    if (event.key === "Enter" && this.current) toggle(this.current, this.only);
    else if (move) this.#choose(this.#neighbour(move));
    else if (event.key === "End") this.end();
    else return;
    event.preventDefault();
  }

  #neighbour(move) {
    const at = this.current && this.current.isConnected ? this.current : null;
    if (!at) return move > 0 ? this.list.firstElementChild : this.list.lastElementChild;
    return (move > 0 ? at.nextElementSibling : at.previousElementSibling) || at;
  }

  #choose(element) {
    if (!element) return;
    if (this.current) this.current.classList.remove("current");
    this.current = element;
    element.classList.add("current");
    element.scrollIntoView({ block: "nearest" });
  }
}
