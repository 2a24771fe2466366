// Tells by the browser when a run that was running is no longer: only where one has asked for it, in this browser.

import { plain } from "./ansi.js";
import { ROOT } from "./api.js";
import { say } from "./dom.js";
import { ending, WORDS } from "./status.js";

const KEPT = "loghook.notify";

export class Notifier {
  #seen = new Map();

  // `button` asks for it. It stays hidden where the browser can't: over plain HTTP from another machine, and on phones,
  // which show a page's notifications only with a service worker.
  constructor(button) {
    this.button = button;
    button.hidden = !("Notification" in window && window.isSecureContext) || matchMedia("(hover: none)").matches;
    button.addEventListener("click", () => this.#flip());
    this.#show();
  }

  get on() {
    return !this.button.hidden && Notification.permission === "granted" && localStorage.getItem(KEPT) === "on";
  }

  // Takes a run as it is now.
  saw(run, now) {
    const before = this.#seen.get(run.id);
    this.#seen.set(run.id, run.status);
    if (before === "running" && run.status !== "running" && this.on) this.#tell(run, now);
  }

  #tell(run, now) {
    const title = `${WORDS[run.status] || run.status}: ${run.name || run.id}`;
    // Several tabs tell of the same end: the tag makes them one.
    const told = new Notification(title, { body: plain(ending(run, now).line), tag: `${run.id} ${run.status}` });
    told.onclick = () => {
      window.focus();
      location.assign(new URL(`runs/${encodeURIComponent(run.id)}`, ROOT));
    };
  }

  async #flip() {
    if (this.on) {
      localStorage.setItem(KEPT, "off");
    } else {
      await Notification.requestPermission();
      localStorage.setItem(KEPT, "on");
    }
    this.#show();
  }

  #show() {
    if (this.button.hidden) return;
    const denied = Notification.permission === "denied";
    say(this.button, this.on ? "Notifying" : "Notify me");
    this.button.setAttribute("aria-pressed", String(this.on));
    this.button.disabled = denied;
    this.button.title = denied
      ? "This browser was told not to show notifications of this site."
      : "Shows a notification when a run ends, as long as this page is open";
  }
}
