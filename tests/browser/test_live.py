"""The whole way: a script that logs, and a person who watches."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

SCRIPT = """
import logging, sys
import loghook

loghook.install("watched")
log = logging.getLogger("train")
for step, said in enumerate(sys.stdin):
    if said == "raise\\n":
        raise RuntimeError("out of memory, says the test")
    metrics = {"loss": 1 / (step + 1), "val": {"acc": step / 100}}
    log.info("step %d done", step, extra={"metrics": metrics, "step": step})
"""


def test_a_script_is_watched_from_start_to_failure(
    server: Any, open_page: Any, expect: Any, until: Any, tmp_path: Path
) -> None:
    """A script's steps appear one by one on an open page, and so does the exception that ends it."""
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    # No address of a server: the records take the way over the spool in the home folder that both share.
    environment = {**os.environ, "LOGHOOK_HOME": str(server.home)}
    page = open_page(server, "?q=watched")
    with subprocess.Popen(
        [sys.executable, str(script)], env=environment, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdin is not None
        child.stdin.write("go\n" * 3)
        child.stdin.flush()
        page.get_by_role("link", name="watched").click()
        expect(page.locator("#status")).to_have_text("Running")
        expect(page.locator(".record", has_text="step 2 done")).to_be_visible()
        until(page, "document.querySelector('.card .chart').data[0].x.length === 3")
        child.stdin.write("go\n" * 2)
        child.stdin.flush()
        expect(page.locator(".record", has_text="step 4 done")).to_be_visible()
        until(page, "document.querySelector('.card .chart').data[0].x.length === 5")
        expect(page.locator(".card", has_text="loss").locator(".value")).to_have_text("0.2")
        child.stdin.write("raise\n")
        child.stdin.close()
        child.wait(20)
    expect(page.locator("#status")).to_have_text("Failed")
    expect(page.locator("#why")).to_have_text("RuntimeError: out of memory, says the test")


# Holds the first question for the log back for three seconds, and notes when each was asked.
HELD_UP = """() => {
    const real = window.fetch;
    window.asked = [];
    window.fetch = async (url, ...more) => {
        if (String(url).includes("/logs") && asked.push(performance.now()) === 1)
            await new Promise((go) => setTimeout(go, 3000));
        return real(url, ...more);
    };
}"""


def test_one_slow_answer_costs_no_more_than_itself(server: Any, open_page: Any, expect: Any, until: Any) -> None:
    """A page that was held up once asks again soon: only answers that stay slow make it ask less often."""
    server.begin("held", "held up")
    server.log("held", "it begins")
    page = open_page(server, "runs/held")
    expect(page.locator(".record", has_text="it begins")).to_be_visible()
    page.evaluate(HELD_UP)
    until(page, "asked.length > 1")
    between = page.evaluate("asked[1] - asked[0]")
    assert 3000 <= between < 10_000
