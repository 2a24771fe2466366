"""The browser's own notifications: asked for, told once, and opening the run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

# A stand-in for the system's notifications, which a browser without a screen does not show.
STAND_IN = """
window.told = [];
window.of = {};
window.Notification = class {
  static permission = "default";
  static async requestPermission() { return (Notification.permission = "granted"); }
  constructor(title, options) {
    window.told.push([title, options.body, options.tag]);
    window.of[options.tag.split(" ")[0]] = this;
  }
};
"""


@pytest.fixture
def page(chromium: Any) -> Iterator[Any]:
    """A page with that stand-in."""
    context = chromium.new_context()
    context.add_init_script(STAND_IN)
    yield context.new_page()
    context.close()


@pytest.mark.parametrize("path", ["", "runs/told"])
def test_the_end_of_a_run_is_told(server: Any, page: Any, until: Callable[..., None], expect: Any, path: str) -> None:
    """Where one has asked for it, a run that ends is told once, and a click on it leads to the run."""
    run = f"told{len(path)}"
    server.begin(run, "dogs vs. cats")
    page.goto(server.link)
    page.goto(server.url + path.replace("told", run))
    button = page.get_by_role("button", name="Notify me")
    button.click()
    expect(page.get_by_role("button", name="Notifying")).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_text("Running", exact=True).first).to_be_visible()
    server.post(run, {"time": time.time(), "event": "run_ended", "status": "failure", "exception": "ValueError: x"})
    told = f"window.told.filter(([, , tag]) => tag.startsWith('{run} '))"
    until(page, f"{told}.length > 0")
    expect(page.get_by_text("Failed", exact=True).first).to_be_visible()
    assert page.evaluate(told) == [["Failed: dogs vs. cats", "ValueError: x", f"{run} failure"]]
    page.evaluate(f"() => {{ window.of.{run}.onclick(); }}")
    expect(page.locator("#name")).to_have_text("dogs vs. cats")


def test_nobody_is_told_unasked(server: Any, page: Any, expect: Any) -> None:
    """Who has not asked, or has changed their mind, is told nothing."""
    server.begin("untold", "quiet")
    page.goto(server.link)
    page.goto(server.url + "runs/untold")
    expect(page.locator("#status")).to_have_text("Running")
    page.get_by_role("button", name="Notify me").click()
    page.get_by_role("button", name="Notifying").click()
    expect(page.get_by_role("button", name="Notify me")).to_be_visible()
    server.post("untold", {"time": time.time(), "event": "run_ended", "status": "success"})
    expect(page.locator("#status")).to_have_text("Success")
    assert page.evaluate("window.told") == []


def test_internal_metrics_come_last(server: Any, open_page: Any, expect: Any) -> None:
    """What a run's tools keep for themselves is a closed group below the charts, and last among the parameters."""
    server.begin("inside", "inside", params={"a_rate": 0.1, "z_rate": 0.2, "hd_iter_0_epochs": 5})
    server.metric("inside", "loss", [1.0, 0.5])
    server.metric("inside", "hd_iter_0", [0, 1])
    told = {"metrics": ["hd_iter_0"], "params": ["hd_iter_0_epochs"]}
    server.post("inside", {"time": time.time(), "event": "internal", "internal": told})
    page = open_page(server, "runs/inside")
    group = page.get_by_role("button", name="Internal")
    expect(group).to_have_attribute("aria-expanded", "false")
    expect(page.locator(".card")).to_have_count(1)
    group.click()
    expect(page.locator(".card")).to_have_count(2)
    page.get_by_role("tab", name="Details").click()
    expect(page.locator("#details table").first.locator("th")).to_have_text(["a_rate", "z_rate", "hd_iter_0_epochs"])
