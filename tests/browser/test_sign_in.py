"""Getting in, and what one sees who is not."""

from __future__ import annotations

import re
from typing import Any


def test_the_printed_link_signs_in(server: Any, open_page: Any, expect: Any) -> None:
    """The printed link leads to the list of runs, without the token in the address."""
    page = open_page(server)
    expect(page.get_by_role("heading", name="Runs", level=1)).to_be_visible()
    assert page.url == server.url


def test_a_stranger_is_asked_to_sign_in(server: Any, open_page: Any, expect: Any) -> None:
    """A run's page, opened by nobody in particular, asks for a key, and leads on to the run once it has one."""
    server.begin("deep", "deep link")
    page = open_page(server, "runs/deep?level=ERROR", signed_in=False)
    page.get_by_label("API key").fill(server.key)
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("#name")).to_have_text("deep link")


def test_a_wrong_key_is_told(chromium: Any, server: Any, expect: Any) -> None:
    """A wrong key is answered with words, and the form stays."""
    # A context of its own: the refusal is an error on the console.
    context = chromium.new_context()
    page = context.new_page()
    page.goto(server.url)
    page.get_by_label("API key").fill("not-a-key")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_have_text(re.compile("key"))
    expect(page.get_by_label("API key")).to_be_visible()
    context.close()


def test_signing_out_ends_it(server: Any, open_page: Any, expect: Any) -> None:
    """After signing out the list asks for a key again."""
    page = open_page(server)
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("API key")).to_be_visible()
    page.goto(server.url)
    expect(page.get_by_label("API key")).to_be_visible()


def test_the_first_load_is_small(server: Any, open_page: Any, expect: Any) -> None:
    """A run's page without plotly.js takes less than 100 KB over the wire."""
    server.begin("small", "small")
    page = open_page(server, "runs/small")
    expect(page.locator("#name")).to_have_text("small")
    sizes = page.evaluate(
        """[...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
        .filter(({name}) => !name.includes("plotly")).map(({transferSize}) => transferSize)"""
    )
    assert 0 < sum(sizes) < 100_000


def test_email_and_password_sign_in(server: Any, chromium: Any, expect: Any) -> None:
    """The sign-in page takes an email and a password too."""
    context = chromium.new_context()
    page = context.new_page()
    page.goto(server.url)
    credentials = {"email": "anna@example.org", "password": "correct horse"}
    answer = context.request.post(server.url + "api/v1/users", data=credentials)
    assert answer.ok, answer.text()
    page.get_by_text("With an email and a password").click()
    page.get_by_label("Email").fill(credentials["email"])
    page.get_by_label("Password").fill(credentials["password"])
    page.get_by_role("button", name="Sign in").last.click()
    expect(page.get_by_role("heading", name="Runs", level=1)).to_be_visible()
    expect(page.get_by_role("heading", name="No runs yet")).to_be_visible()
    context.close()
