"""The list of runs."""

from __future__ import annotations

import math
import re
import time
from typing import Any

import pytest


def names(page: Any) -> list[str]:
    """The names of the runs in the list, from the top."""
    return page.locator(".runname").all_text_contents()


def test_an_empty_server_tells_how_to_begin(own_server: Any, open_page: Any, expect: Any) -> None:
    """Without a run the list says how to make one, and shows the first one by itself."""
    page = open_page(own_server)
    expect(page.get_by_text("pip install loghook")).to_be_visible()
    own_server.begin("one", "the first")
    expect(page.get_by_role("link", name="the first")).to_be_visible()
    expect(page.get_by_text("pip install loghook")).to_be_hidden()


def test_the_newest_run_is_on_top(server: Any, open_page: Any, expect: Any) -> None:
    """Runs stand newest first, and a new one comes in on top without a reload."""
    now = time.time()
    server.begin("order-1", "order: older", time=now - 20)
    server.begin("order-2", "order: newer", time=now - 10)
    page = open_page(server, "?q=order:")
    expect(page.locator(".runname")).to_have_text(["order: newer", "order: older"])
    server.begin("order-3", "order: newest")
    expect(page.locator(".runname")).to_have_text(["order: newest", "order: newer", "order: older"])


FAILURE = {"status": "failure", "exception": "Traceback (most recent call last):\n  here\nKeyError: 'a'"}


@pytest.mark.parametrize(
    ("fields", "word", "why"),
    [
        ({"status": "success"}, "Success", ""),
        ({"status": "stopped", "reason": "SIGTERM"}, "Stopped", "SIGTERM"),
        (FAILURE, "Failed", "KeyError: 'a'"),
    ],
)
def test_a_status_changes_live(server: Any, open_page: Any, expect: Any, fields: Any, word: str, why: str) -> None:
    """A run that ends shows how, and why, on a list that is open."""
    run = f"ends-{word}"
    server.begin(run, run)
    page = open_page(server, f"?q={run}")
    expect(page.locator(".run .status")).to_have_text("Running")
    server.post(run, {"time": time.time(), "event": "run_ended", **fields})
    expect(page.locator(".run .status")).to_have_text(word)
    expect(page.locator(".run .under")).to_contain_text(why)


def test_metrics_have_a_value_and_a_line(server: Any, open_page: Any, expect: Any) -> None:
    """The main metrics show their last value and a line that grows."""
    begin = server.begin("spark", "spark")
    server.metric("spark", "loss", [2.0, 1.5, 1.25], begin=begin)
    page = open_page(server, "?q=spark")
    expect(page.locator(".tile b")).to_have_text("1.25")
    line = page.locator(".tile polyline")
    before = line.get_attribute("points")
    server.metric("spark", "loss", [0.5], first=3)
    expect(page.locator(".tile b")).to_have_text("0.5")
    expect(line).not_to_have_attribute("points", before)


def test_search_narrows_the_list(server: Any, open_page: Any, expect: Any) -> None:
    """What is typed after "/" filters the runs and stands in the address."""
    server.begin("cats", "needle cats")
    server.begin("dogs", "needle dogs")
    page = open_page(server)
    page.keyboard.press("/")
    page.keyboard.type("needle c")
    expect(page.locator(".runname")).to_have_text(["needle cats"])
    expect(page).to_have_url(re.compile(r"\?q=needle"))
    page.get_by_label("Search runs").fill("no such run")
    expect(page.get_by_text('No run matches "no such run".')).to_be_visible()


def test_more_runs_load_and_keep_the_place(server: Any, open_page: Any, expect: Any) -> None:
    """The second page comes by a button; later polls change neither the order nor the scroll."""
    now = time.time()
    for number in range(70):
        server.begin(f"crowd-{number}", f"crowd: {number:02}", time=now - number)
    page = open_page(server, "?q=crowd:")
    expect(page.locator(".run")).to_have_count(50)
    page.get_by_role("button", name="Load more").click()
    expect(page.locator(".run")).to_have_count(70)
    page.locator(".run").nth(65).scroll_into_view_if_needed()
    place = page.evaluate("scrollY")
    with page.expect_response("**/overview*before=*"):
        pass
    assert names(page) == [f"crowd: {number:02}" for number in range(70)]
    assert math.isclose(page.evaluate("scrollY"), place, abs_tol=1)


def test_a_server_that_is_gone_is_told_and_found_again(own_server: Any, chromium: Any, expect: Any) -> None:
    """While the server is down the list says so and stays; when it is back the note goes by itself."""
    own_server.begin("stay", "stays here")
    context = chromium.new_context()
    page = context.new_page()
    page.goto(own_server.link)
    expect(page.get_by_role("link", name="stays here")).to_be_visible()
    own_server.stop()
    expect(page.get_by_text("Not connected to the server.")).to_be_visible()
    expect(page.get_by_role("link", name="stays here")).to_be_visible()
    expect(page.get_by_role("button", name="Retry now")).to_be_visible()
    own_server.start(own_server.port)
    # The page may have found it by itself by now: then there is nothing to be seen, and a click changes nothing.
    page.locator("#trouble button").dispatch_event("click")
    expect(page.get_by_text("Not connected to the server.")).to_be_hidden()
    context.close()


def test_a_project_narrows_the_list(server: Any, open_page: Any, expect: Any) -> None:
    """Each run shows its project and group; choosing a project shows its runs alone, and stands in the address."""
    server.begin("in-cats", "a run of cats", project="user.cats", group="3")
    server.begin("in-dogs", "a run of dogs", project="user.dogs")
    page = open_page(server, "?q=a+run+of")
    expect(page.locator(".runname")).to_have_text(["a run of dogs", "a run of cats"])
    expect(page.locator(".run .project")).to_have_text(["user.dogs", "user.cats \u00b7 group 3"])
    page.get_by_label("Project").select_option("user.cats")
    expect(page.locator(".runname")).to_have_text(["a run of cats"])
    expect(page).to_have_url(re.compile("project=user.cats"))
    server.begin("in-cats-2", "a run of cats, too", project="user.cats")
    expect(page.locator(".runname")).to_have_text(["a run of cats, too", "a run of cats"])
    page.get_by_label("Project").select_option("All projects")
    expect(page.locator(".runname")).to_have_count(3)
    assert "project" not in page.url


def test_a_link_to_a_project_opens_it(server: Any, open_page: Any, expect: Any) -> None:
    """An address with a project shows its runs, and says so when there are none yet, until one comes."""
    page = open_page(server, "?project=user.birds")
    expect(page.get_by_text('No run is in the project "user.birds".')).to_be_visible()
    expect(page.get_by_label("Project")).to_have_value("user.birds")
    server.begin("in-birds", "the first of birds", project="user.birds")
    expect(page.locator(".runname")).to_have_text(["the first of birds"])
    expect(page.get_by_label("Project").locator("option", has_text="user.birds")).to_have_text("user.birds (1)")
    page.get_by_label("Search runs").fill("nothing like it")
    expect(page.get_by_text('No run in the project "user.birds" matches "nothing like it".')).to_be_visible()


def test_projects_fit_a_phone(own_server: Any, open_page: Any, expect: Any) -> None:
    """On a phone a long name and a long project share a line, and nothing needs a horizontal scroll."""
    page = open_page(own_server, phone=True)
    expect(page.get_by_text("No runs yet")).to_be_visible()
    expect(page.get_by_label("Project")).to_be_hidden()
    own_server.begin(
        "long", "a rather long name of a run " * 3, project="a-user.a-rather-long-project-" + "x" * 80, group="3"
    )
    expect(page.locator(".project")).to_be_visible()
    select = page.get_by_label("Project")
    expect(select).to_be_visible()
    assert select.bounding_box()["height"] >= 44
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    name, project = page.locator(".runname").bounding_box(), page.locator(".project").bounding_box()
    assert min(name["width"], project["width"]) > 60
    assert name["x"] + name["width"] <= project["x"]
