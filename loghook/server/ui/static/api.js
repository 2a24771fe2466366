// The way to the server: where it is, one request, and a poll that backs off.

// The address of this module names the root, so that any proxy path in front of it works.
export const ROOT = new URL("../", import.meta.url);
const PATIENCE_MS = 20000;
const HIDDEN_MS = 15000;
const LONGEST_WAIT_MS = 30000;

export class Failure extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

// The JSON at an API path. `query` maps names to a value, left out where it is empty, or to a list of values.
export const get = (path, query = {}) => ask("GET", path, query);

// Deletes what is at an API path.
export const remove = (path, query = {}) => ask("DELETE", path, query);

async function ask(method, path, query) {
  const url = new URL("api/v1/" + path, ROOT);
  for (const [name, value] of Object.entries(query)) {
    const several = Array.isArray(value);
    for (const one of several ? value : [value]) {
      if (several || (one !== "" && one !== null && one !== undefined)) url.searchParams.append(name, one);
    }
  }
  const response = await fetch(url, {
    method,
    headers: { Accept: "application/json" },
    credentials: "same-origin",
    signal: AbortSignal.timeout(PATIENCE_MS),
  });
  if (response.status === 401) {
    signIn();
    throw new Failure("Signed out.", 401);
  }
  const body = await response.json().catch(() => null);
  if (!response.ok) {
    throw new Failure((body && body.error) || `The server answered ${response.status}.`, response.status);
  }
  return body;
}

function signIn() {
  const here = location.href.startsWith(ROOT.href) ? location.href.slice(ROOT.href.length) : "";
  const url = new URL("sign-in", ROOT);
  if (here) url.searchParams.set("next", here);
  location.replace(url);
}

// Calls `work()` again and again: `every()` milliseconds from the beginning of one to that of the next (more when two
// in a row were slow, for then it is the server, and rarely when the tab is hidden), further and further apart while it
// fails. `trouble(error | null, wait)` is told of both.
export class Poll {
  #timer = 0;
  #failed = 0;
  #busy = false;
  #again = false;
  #took = 0; // milliseconds, by the last one

  constructor(work, { every = () => 1000, trouble = () => {} } = {}) {
    this.work = work;
    this.every = every;
    this.trouble = trouble;
    document.addEventListener("visibilitychange", () => document.hidden || this.now());
    addEventListener("online", () => this.now());
  }

  // Polls at once; a poll under way is followed by another.
  now() {
    clearTimeout(this.#timer);
    if (this.#busy) this.#again = true;
    else this.#go();
  }

  async #go() {
    this.#busy = true;
    const began = performance.now();
    let wait = 0;
    try {
      await this.work();
      if (this.#failed) this.trouble(null, 0);
      this.#failed = 0;
      const took = performance.now() - began;
      wait = Math.max(this.every() - took, 2 * Math.min(took, this.#took));
      this.#took = took;
      if (document.hidden) wait = Math.max(wait, HIDDEN_MS);
    } catch (error) {
      if (error.status === 401) return;
      this.#failed += 1;
      wait = Math.min(LONGEST_WAIT_MS, 1000 * 2 ** (this.#failed - 1));
      this.trouble(error, wait);
    } finally {
      this.#busy = false;
    }
    if (this.#again) wait = 0;
    this.#again = false;
    this.#timer = setTimeout(() => this.#go(), wait);
  }
}
