// The head of a run's page: name, status, how long, why it ended, and on a small screen the newest numbers and line.

import { plain } from "./ansi.js";
import { byId, h, say } from "./dom.js";
import * as format from "./format.js";
import { ending, showStatus, title } from "./status.js";

const TILES = 3;
const MAIN = [/(^|[/_.-])loss$/i, /(^|[/_.-])acc(uracy)?$/i, /loss/i, /acc/i, /f1|auc|score|reward|error/i];

export class Head {
  show(run, now) {
    const name = format.called(run.name || run.id);
    say(byId("name"), name);
    showStatus(byId("status"), run.status);
    title(name, run.status);
    say(byId("duration"), format.duration(this.#lasted(run, now)));
    say(byId("started"), run.started_at ? `started ${format.age(now - run.started_at)}` : "");
    byId("started").title = format.moment(run.started_at);
    say(byId("where"), where(run));
    this.#ending(run, now);
  }

  #lasted(run, now) {
    if (!Number.isFinite(run.started_at)) return null;
    if (run.status === "running") return now - run.started_at;
    return (run.ended_at ?? run.last_seen ?? now) - run.started_at;
  }

  #ending(run, now) {
    const { line, trace } = ending(run, now);
    byId("ending").hidden = !line;
    byId("ending").dataset.status = run.status;
    say(byId("why"), plain(line));
    say(byId("trace"), plain(trace));
    byId("ending-trace").hidden = !trace;
  }

  // The newest numbers of the metrics that matter most, by their names.
  metrics(table) {
    const rank = ({ name }) => {
      const at = MAIN.findIndex((pattern) => pattern.test(name));
      return at < 0 ? MAIN.length : at;
    };
    const best = table.map((metric, i) => [rank(metric), i, metric]).sort((a, b) => a[0] - b[0] || a[1] - b[1]);
    const tiles = best.slice(0, TILES).map(([, , { name, last }]) =>
      h("div", { class: "tile" }, h("span", { class: "name" }, format.called(name)), h("b", {}, format.number(last))),
    );
    byId("tiles").replaceChildren(...tiles);
  }

  line(row) {
    const numbers = Object.entries(row.metrics || {}).map(([name, value]) => `${name} ${format.number(value)}`).join(", ");
    const text = plain(String(row.message ?? "")).split("\n")[0].slice(0, 200) || numbers;
    say(byId("last-line"), `${format.clock(row.time)} ${text}`);
  }
}

function where(run) {
  const git = run.git || {};
  const commit = git.commit ? `${git.branch ? git.branch + "@" : ""}${git.commit.slice(0, 7)}${git.dirty ? "*" : ""}` : "";
  return [run.project, run.host, commit].filter(Boolean).join(" \u00b7 ");
}
