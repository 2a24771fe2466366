// What one can set on a run's page: tabs, the log's filter, the charts' axes, and the keys.

import { byId, narrow, settle } from "./dom.js";

const TABS = ["charts", "log", "details"];

// Joins the controls to `state`; `relog()` loads the log anew. Returns what other parts may set.
export function controls(state, { change, relog, charts, large, log }) {
  tabs(state, change);
  axes(state, change, charts, large);
  filters(state, change, relog);
  following(log);
  keys();
  charts.filter = state.metric.trim().toLowerCase();
  charts.view.mode = state.x;
  charts.view.log = state.log === "1";
  bind("metric-filter", state.metric, (metric) => {
    change({ metric });
    charts.narrow(metric);
  });
  return {
    logger(name) {
      byId("logger").value = name;
      change({ logger: name });
      relog();
    },
  };
}

function bind(id, value, heard) {
  byId(id).value = value;
  byId(id).addEventListener("input", settle(200, () => heard(byId(id).value)));
}

function filters(state, change, relog) {
  for (const name of ["q", "logger"]) {
    bind(name, state[name], (value) => {
      change({ [name]: value.trim() });
      relog();
    });
  }
  byId("level").value = state.level;
  byId("level").addEventListener("change", () => {
    change({ level: byId("level").value });
    relog();
  });
}

function following(log) {
  byId("resume").addEventListener("click", () => log.end());
  byId("first").addEventListener("click", () => log.start());
  byId("follow").addEventListener("click", () => (log.follow ? log.pause() : log.end()));
}

function axes(state, change, charts, large) {
  const show = () => {
    for (const button of document.querySelectorAll("[data-x]")) {
      button.setAttribute("aria-pressed", String(button.dataset.x === state.x));
    }
    for (const button of document.querySelectorAll("[data-log]")) {
      button.setAttribute("aria-pressed", String(state.log === "1"));
    }
  };
  const set = async (some) => {
    change(some);
    show();
    await charts.set({ mode: state.x, log: state.log === "1" });
    await large.draw();
  };
  if (!["step", "relative", "wall"].includes(state.x)) state.x = "step";
  for (const button of document.querySelectorAll("[data-x]")) button.addEventListener("click", () => set({ x: button.dataset.x }));
  for (const button of document.querySelectorAll("[data-log]")) {
    button.addEventListener("click", () => set({ log: state.log === "1" ? "" : "1" }));
  }
  show();
}

// On a wide screen the log stands beside the other two; on a narrow one it is a tab like them.
function tabs(state, change) {
  const show = () => {
    const tab = TABS.includes(state.tab) ? state.tab : "charts";
    document.body.dataset.tab = tab === "log" && !narrow.matches ? "charts" : tab;
    for (const button of document.querySelectorAll("[data-show]")) {
      const on = button.dataset.show === document.body.dataset.tab;
      button.setAttribute("aria-selected", String(on));
      button.tabIndex = on ? 0 : -1;
    }
  };
  const choose = (tab) => {
    change({ tab });
    show();
  };
  for (const button of document.querySelectorAll("[data-show]")) {
    button.addEventListener("click", () => choose(button.dataset.show));
    button.addEventListener("keydown", (event) => {
      const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!by) return;
      const all = [...document.querySelectorAll("[data-show]")].filter((other) => other.offsetParent);
      const next = all[(all.indexOf(button) + by + all.length) % all.length];
      choose(next.dataset.show);
      next.focus();
    });
  }
  byId("to-log").addEventListener("click", () => choose("log"));
  narrow.addEventListener("change", show);
  show();
}

// "/" goes to the filter of what is on the screen: the log's beside anything else.
function keys() {
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, select, textarea");
    if (event.key === "Escape" && typing) typing.blur();
    if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey || byId("large").open) return;
    event.preventDefault();
    const beside = narrow.matches ? document.body.dataset.tab === "log" : !event.target.closest("#charts");
    const field = byId(beside ? "q" : "metric-filter");
    field.focus();
    field.select();
  });
}
