// One record of the log as an element: time, level, rank, logger, message, numbers, traceback, and the rest on demand.

import { pieces, plain } from "./ansi.js";
import { h } from "./dom.js";
import * as format from "./format.js";
import { telling } from "./status.js";

const LONG = 4000;
const CHIPS = 6;
const KNOWN = { DEBUG: 10, INFO: 20, WARNING: 30, ERROR: 40, CRITICAL: 50 };
const SHORT = { WARNING: "WARN", CRITICAL: "CRIT" };

export function line(row, several) {
  const level = String(row.level ?? "");
  const element = h(
    "div",
    { class: "record", "data-level": KNOWN[level] ? level : "OTHER", "data-id": row.id, title: "" },
    h("time", { title: `${format.day(row.time)} ${format.clock(row.time, 3)}` }, format.clock(row.time)),
    h("span", { class: "level", title: level }, SHORT[level] || level),
    several ? h("span", { class: "rank", title: `writer ${row.writer}` }, source(row)) : null,
    h("span", { class: "logger", title: String(row.logger ?? "") }, String(row.logger ?? "")),
    h("div", { class: "text" }, ...content(row)),
  );
  element.row = row;
  return element;
}

const source = (row) => (row.rank !== undefined && row.rank !== null ? `r${row.rank}` : String(row.writer ?? "").slice(0, 4));

function content(row) {
  const parts = [message(String(row.message ?? ""))];
  if (row.metrics) parts.push(...chips(row));
  if (row.exception) parts.push(traceback(String(row.exception)));
  if (row.stack) parts.push(block("Stack", String(row.stack)));
  return parts;
}

function message(text) {
  const element = h("span", { class: "message" });
  if (text.length <= LONG) {
    element.append(...styled(text));
    return element;
  }
  const rest = (text.length - LONG).toLocaleString("en");
  const all = () => element.replaceChildren(...styled(text));
  element.append(...styled(text.slice(0, LONG)), h("button", { type: "button", class: "quiet", onclick: all }, `Show ${rest} more characters`));
  return element;
}

// A record's text with its terminal colours.
export function styled(text) {
  return pieces(text).map(({ text: part, style }) => {
    if (Object.keys(style).length === 0) return document.createTextNode(part);
    const piece = h("span", { class: "sgr" }, part);
    for (const name of ["bold", "dim", "italic", "underline", "inverse", "strike"]) piece.classList.toggle(name, !!style[name]);
    colour(piece, "fg", "color", style.fg);
    colour(piece, "bg", "backgroundColor", style.bg);
    return piece;
  });
}

function colour(piece, kind, property, value) {
  if (value === undefined) return;
  if (typeof value === "number") piece.classList.add(`${kind}${value}`);
  else piece.style[property] = value;
}

function chips(row) {
  const all = Object.entries(row.metrics);
  const shown = all.slice(0, CHIPS).map(([name, value]) =>
    h("span", { class: "chip" }, h("span", { class: "name" }, format.called(name)), " ", h("b", {}, format.number(value))),
  );
  if (all.length > CHIPS) shown.push(h("span", { class: "chip" }, `+${all.length - CHIPS}`));
  if (row.step !== undefined && row.step !== null) shown.unshift(h("span", { class: "chip" }, `step ${format.number(row.step)}`));
  return [h("span", { class: "chips" }, ...shown)];
}

function traceback(text) {
  return block(telling(plain(text)) || "Traceback", text, true);
}

function block(summary, text, open = false) {
  return h("details", { class: "trace", open }, h("summary", {}, summary), h("pre", {}, ...styled(text)));
}

// Opens or closes what else is known of the record; `only(logger)` narrows the log to that logger.
export function toggle(element, only) {
  const open = element.querySelector(".more");
  element.classList.toggle("open", !open);
  if (open) return open.remove();
  element.querySelector(".text").append(more(element.row, only));
}

function more(row, only) {
  const facts = [
    ["Time", `${format.day(row.time)} ${format.clock(row.time, 3)}`],
    ["Logger", row.logger],
    ["Level", row.level],
    ["Where", row.file],
    ["Thread", row.thread],
    ["Stream", row.stream],
    ["Step", row.step],
    ["Writer", row.rank === undefined || row.rank === null ? row.writer : `${row.writer}, rank ${row.rank}`],
    ["Metrics", row.metrics && Object.entries(row.metrics).map(([name, value]) => `${name} = ${value}`).join("\n")],
    ["Extra", row.extra && JSON.stringify(row.extra, null, 2)],
  ].filter(([, value]) => value !== undefined && value !== null && value !== "");
  const list = h("dl", { class: "facts" });
  for (const [name, value] of facts) list.append(h("dt", {}, name), h("dd", {}, String(value)));
  const button = h("button", { type: "button", class: "quiet", onclick: () => only(String(row.logger)) }, "Only this logger");
  return h("div", { class: "more" }, list, row.logger ? button : null);
}
