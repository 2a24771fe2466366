"""What stands on a page when there is little to show."""

from __future__ import annotations

from typing import Any


def test_a_run_that_is_not_there_yet_shows_once_it_is(server: Any, chromium: Any, expect: Any) -> None:
    """An address of an unknown run says so, and turns into the run when the server first hears of it."""
    # A context of its own: the browser itself puts each 404 on the console.
    context = chromium.new_context()
    page = context.new_page()
    page.goto(server.link)
    page.goto(server.url + "runs/not-there-yet")
    expect(page.get_by_role("heading", name="No such run")).to_be_visible()
    expect(page.locator("main")).to_be_hidden()
    server.begin("not-there-yet", "here now")
    expect(page.locator("#name")).to_have_text("here now")
    expect(page.get_by_role("heading", name="No such run")).to_be_hidden()
    expect(page.locator("main")).to_be_visible()
    context.close()


def test_an_address_without_a_page_leads_back(server: Any, chromium: Any, expect: Any) -> None:
    """An unknown address, at any depth, is answered with a page that looks like one and leads to the list."""
    context = chromium.new_context()
    page = context.new_page()
    page.goto(server.link)
    assert page.goto(server.url + "some/where/else").status == 404
    expect(page.get_by_role("heading", name="Not found")).to_be_visible()
    expect(page.locator("main")).to_have_css("border-top-left-radius", "14px")
    page.get_by_role("link", name="All runs").click()
    expect(page.get_by_role("heading", name="Runs", level=1)).to_be_visible()
    context.close()


def test_a_run_without_records_says_so(server: Any, open_page: Any, expect: Any) -> None:
    """A run that has only begun says that nothing was logged, and how to log a metric."""
    server.begin("quiet", "quiet")
    page = open_page(server, "runs/quiet")
    expect(page.get_by_text("Nothing has been logged yet.")).to_be_visible()
    expect(page.get_by_text("No metrics yet.")).to_be_visible()


def test_dark_and_light_differ(server: Any, open_page: Any, expect: Any) -> None:
    """The page takes the reader's colour scheme."""
    light = open_page(server, color_scheme="light")
    dark = open_page(server, color_scheme="dark")
    background = "getComputedStyle(document.body).backgroundColor"
    assert light.evaluate(background) != dark.evaluate(background)
