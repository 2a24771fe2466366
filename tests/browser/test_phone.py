"""The pages on a phone, 390 x 844."""

from __future__ import annotations

import math
from typing import Any

import pytest

TOO_SMALL = """() => [...document.querySelectorAll("button, a, input, select, summary")]
  .filter((element) => element.checkVisibility({ visibilityProperty: true, opacityProperty: true }))
  .map((element) => [element, element.getBoundingClientRect()])
  .filter(([element, box]) => !element.matches(".runname") && box.width > 0 && (box.height < 44 || box.width < 44))
  .map(([element, box]) => `${element.outerHTML.slice(0, 80)} ${box.width} x ${box.height}`)"""
FITS = "document.documentElement.scrollWidth <= innerWidth"


@pytest.fixture(scope="module")
def run(server: Any) -> str:
    """A run with all that a page can show."""
    name = "a rather long name of a run that does not fit on a small screen in one line"
    begin = server.begin("phone", name, params={"lr": 0.1, "a_very_long_parameter_name_without_breaks" * 2: "x" * 200})
    for metric in ("train/loss", "train/acc", "val/loss", "extraordinarily/long_metric_name_" + "x" * 100):
        server.metric("phone", metric, [2 + math.sin(i / 9) for i in range(100)], begin=begin)
    server.log("phone", "w" * 500, "the last line of the log", exception="Traceback\nValueError: " + "y" * 300)
    return "runs/phone"


def test_the_list_fits(run: str, server: Any, open_page: Any, expect: Any) -> None:
    """The list needs no horizontal scroll, and what can be tapped is at least 44 px in both directions."""
    page = open_page(server, "?q=rather+long", phone=True)
    expect(page.locator(".run")).to_have_count(1)
    assert page.evaluate(FITS)
    assert page.evaluate(TOO_SMALL) == []
    assert page.locator(".run").bounding_box()["height"] >= 44


@pytest.mark.parametrize("tab", ["charts", "log", "details"])
def test_a_run_fits(run: str, server: Any, open_page: Any, expect: Any, tab: str) -> None:
    """No part of a run needs horizontal scroll, and its controls are at least 44 px in both directions."""
    page = open_page(server, f"{run}?tab={tab}", phone=True)
    expect(page.locator("#name")).to_contain_text("a rather long name")
    expect(page.locator(f"#{tab}")).to_be_visible()
    content = {"charts": ".card svg", "log": ".record", "details": "#details table"}
    expect(page.locator(content[tab]).first).to_be_visible()
    assert page.evaluate(FITS)
    assert page.evaluate(TOO_SMALL) == []


def test_what_matters_is_above_the_fold(run: str, server: Any, open_page: Any, expect: Any) -> None:
    """Status, the latest numbers and the last line of the log are in view without a scroll."""
    page = open_page(server, run, phone=True)
    expect(page.locator("#status")).to_be_in_viewport(ratio=1)
    expect(page.locator("#tiles .tile").first).to_be_in_viewport(ratio=1)
    expect(page.locator("#last-line")).to_contain_text("the last line of the log")
    expect(page.locator("#last-line")).to_be_in_viewport(ratio=1)
    expect(page.locator(".card svg").first).to_be_in_viewport()


def test_a_tap_opens_a_metric_large(run: str, server: Any, open_page: Any, expect: Any, until: Any) -> None:
    """A tap on a small chart opens it over the whole screen, with controls that fit."""
    page = open_page(server, run, phone=True)
    page.locator(".card .chart").first.tap()
    expect(page.locator("#large-name")).to_be_visible()
    until(page, "document.querySelector('#large-plot .nsewdrag') !== null")
    assert page.evaluate(FITS)
    assert page.evaluate(f"({TOO_SMALL})().filter((found) => found.includes('large'))") == []
    page.get_by_role("button", name="Close").tap()
    expect(page.locator("#large")).to_be_hidden()


def test_the_tabs_show_one_part_at_a_time(run: str, server: Any, open_page: Any, expect: Any) -> None:
    """Charts, log and details are tabs; the log follows its end once it is shown."""
    page = open_page(server, run, phone=True)
    expect(page.locator("#log")).to_be_hidden()
    page.get_by_role("tab", name="Log").tap()
    expect(page.locator("#charts")).to_be_hidden()
    expect(page.locator(".record").last).to_be_in_viewport()
    page.get_by_role("tab", name="Details").tap()
    expect(page.locator("#details")).to_be_visible()
    expect(page.locator("#log")).to_be_hidden()


def test_small_charts_grow_live(server: Any, open_page: Any, expect: Any, until: Any) -> None:
    """On a phone, too, new points appear by themselves."""
    begin = server.begin("phone-live", "phone live")
    server.metric("phone-live", "loss", [3.0, 2.0], begin=begin)
    page = open_page(server, "runs/phone-live", phone=True)
    expect(page.locator(".card polyline")).to_have_count(1)
    server.metric("phone-live", "loss", [1.0, 0.5], first=2)
    until(page, "document.querySelector('.card polyline').points.length === 4")
    expect(page.locator("#tiles b")).to_have_text("0.5")


def test_sign_in_and_errors_fit(server: Any, open_page: Any, expect: Any) -> None:
    """The sign-in page fits a phone."""
    page = open_page(server, "sign-in", phone=True, signed_in=False)
    expect(page.get_by_label("API key")).to_be_visible()
    assert page.evaluate(FITS)
    assert page.evaluate(TOO_SMALL) == []
