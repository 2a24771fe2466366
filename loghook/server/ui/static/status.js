// A run's status as a badge: colour, icon and word, so that none of them has to be seen to know it.

import { h, svg } from "./dom.js";

const SHAPES = {
  running: [["circle", { cx: 8, cy: 8, r: 4, class: "solid" }], ["circle", { cx: 8, cy: 8, r: 4, class: "solid pulse" }]],
  success: [["path", { d: "M3.2 8.6 6.4 11.8 12.8 4.8" }]],
  failure: [["path", { d: "M4 4 12 12 M12 4 4 12" }]],
  stopped: [["rect", { x: 4, y: 4, width: 8, height: 8, rx: 1.5, class: "solid" }]],
  lost: [["path", { d: "M5.2 5.6a2.8 2.8 0 1 1 4 2.6c-.8.4-1.2.9-1.2 1.8 M8 12.9v.2" }]],
};
export const WORDS = { running: "Running", success: "Success", failure: "Failed", stopped: "Stopped", lost: "Lost" };

function icon(status) {
  const shapes = (SHAPES[status] || SHAPES.lost).map(([tag, attributes]) => svg(tag, attributes));
  return svg("svg", { viewBox: "0 0 16 16", class: "icon", "aria-hidden": "true" }, ...shapes);
}

// Shows `status` in `element`, touching it only when it changed.
export function showStatus(element, status) {
  if (element.dataset.status === status) return;
  element.dataset.status = status;
  element.className = "status";
  element.replaceChildren(icon(status), h("span", {}, WORDS[status] || String(status)));
}

// Why a run ended, in one line, and the whole traceback where there is one.
export function ending(run, now) {
  const trace = typeof run.exception === "string" ? run.exception : "";
  if (run.status === "failure") return { line: telling(trace) || run.reason || "It failed without saying why.", trace };
  if (run.status === "stopped") return { line: `Stopped${run.reason ? " by " + run.reason : ""}.`, trace };
  if (run.status === "lost" && Number.isFinite(run.last_seen)) {
    const minutes = Math.max(1, Math.round((now - run.last_seen) / 60));
    return { line: `No sign of life for ${minutes} min: killed, asleep, or cut off from this server.`, trace: "" };
  }
  return { line: "", trace: "" };
}

// The line of a traceback that names the exception: the last one that is not indented and looks like one.
export function telling(trace) {
  const lines = trace.split("\n").filter((line) => line.trim());
  const named = lines.filter((line) => /^[A-Za-z_][\w.]*(:|$)/.test(line) && !line.startsWith("Traceback"));
  return named.at(-1) || lines.at(-1) || "";
}

// The tab's name and, for those who look at the tab only, the status in it.
export function title(name, status) {
  const text = `${WORDS[status] || status}: ${name} - loghook`;
  if (document.title !== text) document.title = text;
}

