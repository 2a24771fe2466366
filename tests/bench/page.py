"""From the call to the page: a script logs, and a real Chromium has the run's page open."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from typing import Any, TextIO

from tests.bench.serving import Serve

__all__ = ["run"]

RECORDS = 60
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

SCRIPT = """
import logging, random, sys, time
import loghook

log = logging.getLogger("train")
log.setLevel(logging.INFO)
log.addHandler(loghook.LogHookHandler("watched"))
log.info("it begins")
sys.stdin.readline()
for i in range(int(sys.argv[1])):
    time.sleep(0.2 + random.random() * 0.6)
    log.info("record %07d", i)
    print(i, time.time(), flush=True)
loghook.flush(30)
"""

# Notes when a record is in the page and has a place in it, by the same clock as the script's.
WATCH = """() => {
    window.seen = {};
    const look = () => {
        for (const found of document.body.innerText.matchAll(/record (\\d{7})/g))
            if (!(found[1] in window.seen)) window.seen[found[1]] = Date.now() / 1000;
        requestAnimationFrame(look);
    };
    look();
}"""


def run(progress: TextIO, *, records: int = RECORDS) -> dict[str, Any]:
    """Return seconds from the call until a record is on the open page, at the median and the 95th percentile."""
    from playwright.sync_api import sync_playwright

    progress.write("page\n")
    path = next(filter(None, map(shutil.which, NAMES)), None)
    with Serve() as server, tempfile.TemporaryDirectory() as home, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--headless", "--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.goto(server.link)
        with subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(records)],
            env=server.environ(home),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as script:
            page.get_by_role("link", name="watched").click(timeout=60_000)
            page.locator(".record", has_text="it begins").wait_for(timeout=60_000)
            page.evaluate(WATCH)
            out, _ = script.communicate("go\n", timeout=300)
        logged = {f"{int(number):07d}": float(at) for number, at in (line.split() for line in out.splitlines())}
        end = time.monotonic() + 30
        while time.monotonic() < end and len(seen := page.evaluate("window.seen")) < records:
            page.wait_for_timeout(200)
        browser.close()
    taken = sorted(seen.get(number, float("inf")) - at for number, at in logged.items())
    return {"p50 s": taken[len(taken) // 2], "p95 s": taken[int(len(taken) * 0.95)], "most s": taken[-1]}
