"""A run's page writes the run out, and deletes it once that was asked for twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

PATIENCE = 60_000
"""Milliseconds; on a busy machine a click may take long."""


def test_a_run_is_written_out(server: Any, open_page: Any, expect: Any, tmp_path: Path) -> None:
    """A link in the details saves the run with everything in it."""
    server.begin("written", "written out")
    server.log("written", "a line")
    page = open_page(server, "runs/written")
    page.set_default_timeout(PATIENCE)
    page.get_by_role("tab", name="Details").click()
    with page.expect_download() as saved:
        page.get_by_role("link", name="NDJSON").click()
    saved.value.save_as(tmp_path / "run")
    kinds = [json.loads(line)["type"] for line in (tmp_path / "run").read_text().splitlines()]
    assert (kinds[0], kinds[-1]) == ("run", "end")
    assert "record" in kinds


def test_a_run_is_deleted_after_a_question(server: Any, open_page: Any, expect: Any) -> None:
    """The button asks, Keep it takes the question back, and Delete leads to the list, where the run is no more."""
    begun = server.begin("unwanted", "unwanted")
    server.post("unwanted", {"time": begun + 1, "event": "run_ended", "status": "success"})
    page = open_page(server, "runs/unwanted")
    page.set_default_timeout(PATIENCE)
    page.get_by_role("tab", name="Details").click()
    page.get_by_role("button", name="Delete this run").click()
    page.get_by_role("button", name="Keep it").click()
    page.get_by_role("button", name="Delete this run").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(page.get_by_role("heading", name="Runs", level=1)).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_text("unwanted")).to_have_count(0, timeout=PATIENCE)


def test_a_run_that_goes_on_is_asked_about_again(server: Any, chromium: Any, expect: Any) -> None:
    """For a run that goes on the page asks once more before it deletes."""
    # A context of its own: the browser itself puts the refusal on the console.
    context = chromium.new_context()
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(server.link)
    server.begin("goes-on", "goes on")
    page.goto(server.url + "runs/goes-on")
    page.get_by_role("tab", name="Details").click()
    page.get_by_role("button", name="Delete this run").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(page.get_by_text("This run goes on.")).to_be_visible(timeout=PATIENCE)
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(page.get_by_role("heading", name="Runs", level=1)).to_be_visible(timeout=PATIENCE)
    context.close()
