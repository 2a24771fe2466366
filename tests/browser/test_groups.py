"""The list of runs under headings, one for each project."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from .conftest import Server
from .test_phone import FITS, TOO_SMALL

EVIL = '<img src=x onerror="alert(1)">\u202e<b>&amp;'
SHOWN = '<img src=x onerror="alert(1)"><b>&amp;'
LONG = "a-user.a-rather-long-project-" + "x" * 80


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with seven runs of cats, a running one of dogs, three in no project, and one of an evil project."""
    server = Server(tmp_path_factory.mktemp("lab"))
    now = time.time()
    for number in range(7):
        server.begin(f"cats-{number}", f"cats {number}", time=now - 100 + number, project="user.cats", group="3")
        server.post(f"cats-{number}", {"time": now - 90 + number, "event": "run_ended", "status": "success"})
    server.begin("dogs", "dogs", time=now - 50, project="user.dogs")
    for number in range(3):
        server.begin(f"bare-{number}", f"bare {number}", time=now - 200 + number)
        server.post(f"bare-{number}", {"time": now - 190, "event": "run_ended", "status": "stopped"})
    server.begin("evil", "evil", time=now - 300, project=EVIL, group=EVIL)
    server.post("evil", {"time": now - 290, "event": "run_ended", "status": "failure"})
    server.begin("long", "a long one " * 5, time=now - 400, project=LONG)
    yield server
    server.stop()


@pytest.fixture
def alive(lab: Server) -> None:
    """The dogs are heard of."""
    lab.post("dogs", {"time": time.time(), "event": "heartbeat"})


def headings(page: Any) -> Any:
    """The names of the groups."""
    return page.locator(".projectname")


def group(page: Any, project: str) -> Any:
    """One group."""
    return page.locator(".group", has=page.get_by_role("button", name=project, exact=True))


ALL = ["user.dogs", "user.cats", "No project", SHOWN, LONG]


@pytest.mark.usefixtures("alive")
def test_projects_are_headings(lab: Server, open_page: Any, expect: Any) -> None:
    """The control puts runs under their projects, newest first, with how many there are and how many are running."""
    page = open_page(lab)
    control = page.get_by_role("button", name="Group by project")
    expect(control).to_have_attribute("aria-pressed", "false")
    expect(page.locator(".run")).to_have_count(13)
    control.click()
    expect(headings(page)).to_have_text(ALL)
    expect(control).to_have_attribute("aria-pressed", "true")
    cats = group(page, "user.cats")
    expect(cats.locator(".runname")).to_have_text([f"cats {number}" for number in (6, 5, 4, 3, 2)])
    expect(cats.locator(".count")).to_have_text("7 runs")
    expect(cats.locator(".project").first).to_have_text("group 3")
    expect(cats.get_by_role("list")).to_have_accessible_name("Runs of user.cats, newest first")
    expect(group(page, "user.dogs").locator(".count")).to_have_text("1 run \u00b7 1 running")
    expect(page.locator(".run")).to_have_count(11)
    control.click()
    expect(page.locator(".run")).to_have_count(13)
    expect(page.locator(".group")).to_have_count(0)


def test_grouping_is_in_the_address_and_remembered(lab: Server, open_page: Any, expect: Any) -> None:
    """A link to a grouped list is grouped for whoever opens it, and who has chosen it finds it so next time."""
    page = open_page(lab, "?by=project")
    expect(headings(page)).to_have_text(ALL)
    page.goto(lab.url)
    expect(page.locator(".run")).to_have_count(13)
    page.get_by_role("button", name="Group by project").click()
    expect(headings(page)).to_have_text(ALL)
    expect(page).to_have_url(f"{lab.url}?by=project")
    page.goto(lab.url)
    expect(headings(page)).to_have_text(ALL)
    expect(page).to_have_url(f"{lab.url}?by=project")
    page.get_by_role("button", name="Group by project").click()
    expect(page.locator(".run")).to_have_count(13)
    expect(page).to_have_url(lab.url)
    page.reload()
    expect(page.locator(".run")).to_have_count(13)


def test_a_group_can_be_folded(lab: Server, open_page: Any, expect: Any) -> None:
    """A heading folds and unfolds its runs, by the keyboard too; what is folded stays so."""
    page = open_page(lab, "?by=project")
    cats = group(page, "user.cats")
    heading = page.get_by_role("heading", name="user.cats").get_by_role("button")
    expect(heading).to_have_attribute("aria-expanded", "true")
    heading.click()
    expect(cats.get_by_role("list")).to_be_hidden()
    expect(heading).to_have_attribute("aria-expanded", "false")
    expect(cats.locator(".count")).to_have_text("7 runs")
    page.get_by_role("heading", name="No project").get_by_role("button").press("Enter")
    expect(group(page, "No project").get_by_role("list")).to_be_hidden()
    page.reload()
    expect(cats.locator(".count")).to_have_text("7 runs")
    expect(page.get_by_role("link", name="dogs", exact=True)).to_be_visible()
    expect(cats.get_by_role("list")).to_be_hidden()
    heading.press("Space")
    expect(cats.get_by_role("list")).to_be_visible()
    assert heading.evaluate("button => document.activeElement === button")
    assert heading.get_attribute("aria-controls") == cats.get_by_role("list").get_attribute("id")


def test_all_runs_of_a_group_are_a_link_away(lab: Server, open_page: Any, expect: Any) -> None:
    """A heading leads to all runs of its project, and back; the runs in no project can be chosen as well."""
    page = open_page(lab, "?by=project")
    expect(group(page, "user.dogs").locator(".all")).to_be_hidden()
    page.get_by_role("link", name="Show all 7 runs of user.cats").click()
    expect(page.locator(".run")).to_have_count(7)
    expect(page.get_by_label("Project", exact=True)).to_have_value("user.cats")
    expect(page.get_by_role("button", name="Group by project")).to_be_hidden()
    page.go_back()
    expect(headings(page)).to_have_text(ALL)
    page.get_by_label("Project", exact=True).select_option("No project (3)")
    expect(page.locator(".runname")).to_have_text(["bare 2", "bare 1", "bare 0"])
    page.reload()
    expect(page.locator(".runname")).to_have_text(["bare 2", "bare 1", "bare 0"])
    expect(page.get_by_label("Project", exact=True).locator("option:checked")).to_have_text("No project (3)")
    page.get_by_label("Search runs").fill("nothing like it")
    expect(page.get_by_text('No run without a project matches "nothing like it".')).to_be_visible()
    page.get_by_label("Search runs").fill("")
    page.get_by_label("Project", exact=True).select_option("All projects")
    expect(headings(page)).to_have_text(ALL)


def test_a_search_narrows_the_groups(lab: Server, open_page: Any, expect: Any) -> None:
    """Only projects with runs that match are there, with how many of them do."""
    page = open_page(lab, "?by=project&q=cats")
    expect(headings(page)).to_have_text(["user.cats"])
    page.get_by_label("Search runs").fill("s 6")
    expect(page.locator(".count")).to_have_text("1 run")
    page.get_by_label("Search runs").fill("no such")
    expect(page.get_by_text('No run matches "no such".')).to_be_visible()
    expect(page.locator(".group")).to_have_count(0)


def test_names_of_projects_are_text(lab: Server, open_page: Any, expect: Any) -> None:
    """Markup in a project's name shows as it is, in the heading, the choice and the link, and turns no text around."""
    page = open_page(lab, "?by=project")
    expect(headings(page)).to_have_text(ALL)
    expect(page.get_by_label("Project", exact=True).locator("option").nth(3)).to_have_text(f"{EVIL} (1)")
    expect(group(page, SHOWN).locator(".project")).to_contain_text("<img src=x")
    assert page.locator("main img, main b b, .group b").count() == 0


@pytest.mark.parametrize("width", [390, 320])
@pytest.mark.usefixtures("alive")
def test_groups_fit_a_phone(lab: Server, open_page: Any, expect: Any, width: int) -> None:
    """On a phone nothing needs a horizontal scroll, however long a name is, and what can be tapped is 44 px."""
    page = open_page(lab, "?by=project", phone=True)
    page.set_viewport_size({"width": width, "height": 700})
    expect(headings(page)).to_have_text(ALL)
    expect(page.get_by_role("button", name="Group by project")).to_be_visible()
    expect(page.locator("#running")).to_have_text("1 running")
    assert page.evaluate(FITS)
    assert page.evaluate(TOO_SMALL) == []
    page.get_by_role("button", name="user.cats").tap()
    expect(group(page, "user.cats").get_by_role("list")).to_be_hidden()
    assert page.evaluate(FITS)


def test_groups_change_live(own_server: Server, open_page: Any, expect: Any) -> None:
    """A new run comes in under its heading, which goes to the top; a new project makes a heading; focus stays."""
    own_server.begin("one", "one", time=time.time() - 20, project="cats")
    own_server.begin("two", "two", time=time.time() - 10, project="dogs")
    page = open_page(own_server, "?by=project")
    expect(headings(page)).to_have_text(["dogs", "cats"])
    page.get_by_role("button", name="cats").focus()
    own_server.begin("three", "three", project="cats")
    expect(headings(page)).to_have_text(["cats", "dogs"])
    expect(group(page, "cats").locator(".runname")).to_have_text(["three", "one"])
    own_server.begin("four", "four", project="birds")
    expect(headings(page)).to_have_text(["birds", "cats", "dogs"])
    assert page.evaluate("document.activeElement.textContent").endswith("cats")


def test_more_groups_load(own_server: Server, open_page: Any, expect: Any) -> None:
    """The groups behind the first twenty come by a button, each once, and stay."""
    now = time.time()
    for number in range(30):
        own_server.begin(f"run-{number}", f"run {number}", time=now - number, project=f"project {number:02}")
    page = open_page(own_server, "?by=project")
    expect(page.locator(".group")).to_have_count(20)
    page.get_by_role("button", name="Load more").click()
    expect(headings(page)).to_have_text([f"project {number:02}" for number in range(30)])
    with page.expect_response("**/overview*before=*"):
        pass
    own_server.begin("new", "new", project="project 25")
    order = [25, *(number for number in range(30) if number != 25)]
    expect(headings(page)).to_have_text([f"project {number:02}" for number in order])
