"""A real server, a real Chromium, and a way to log to the one what the other must show.

Every page that a test opens is watched: a line of level "error" on its console, an exception, a blocked resource or
an answer that is an error fails the test.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

# A browser on its own: it calls nobody, and asks for no sandbox that a container cannot give.
CHROMIUM_ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
DESKTOP = {"viewport": {"width": 1280, "height": 800}}
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True, "device_scale_factor": 2}
PATIENCE = 60_000
"""Milliseconds. After a poll the page waits four times as long as it took, and some things come with each third."""
LINK = re.compile(r"https?://\S+/sign-in\?token=\S+")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all that lies here as needing a browser."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)


class Server:
    """A `loghook serve` of our own on a free port, and an account of what was sent to it.

    Args:
        home: its home folder.
        port: the port to take; 0 for any.
    """

    def __init__(self, home: Path, port: int = 0) -> None:
        self.home = home
        self.offsets: dict[tuple[str, str], int] = {}
        self.start(port)

    def start(self, port: int) -> None:
        """Start it and wait for the link that it prints."""
        environment = {**os.environ, "LOGHOOK_HOME": str(self.home), "PYTHONUNBUFFERED": "1"}
        command = [sys.executable, "-m", "loghook", "serve", "--port", str(port), "--home", str(self.home)]
        self.process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        said = []
        assert self.process.stdout is not None
        for line in self.process.stdout:
            said.append(line)
            if found := LINK.search(line):
                self.link = found.group()
                break
        else:
            self.stop()
            raise AssertionError("the server printed no link but:\n" + "".join(said))
        self.url = self.link.partition("sign-in")[0]
        self.port = int(self.url.rstrip("/").rpartition(":")[2])
        self.key = json.loads((self.home / "loghook.json").read_text())["api_key"]

    def stop(self) -> None:
        """End it as Ctrl-C does."""
        self.process.terminate()
        self.process.wait(10)
        if self.process.stdout is not None:
            self.process.stdout.close()

    def post(self, run: str, *events: dict[str, Any], writer: str = "w1") -> None:
        """Send events of a run, as a client would."""
        body = "".join(json.dumps(event) + "\n" for event in events).encode()
        offset = self.offsets.get((run, writer), 0)
        answer = requests.post(
            f"{self.url}api/v1/runs/{run}/writers/{writer}/events",
            params={"offset": offset},
            data=body,
            headers={
                "Authorization": f"Bearer {self.key}",
                "Content-Type": "application/x-ndjson",
                "Loghook-Sent": str(time.time()),
            },
            timeout=60,
        )
        answer.raise_for_status()
        self.offsets[run, writer] = answer.json()["offset"]

    def begin(self, run: str, name: str, **fields: Any) -> float:
        """Start a run now and return the time."""
        now = fields.pop("time", time.time())
        about = {"name": name, "host": "gpu-01", "pid": 4711, "argv": ["train.py"], "python": "3.11.4", **fields}
        self.post(run, {"time": now, "event": "run_started", "run": about})
        return now

    def log(self, run: str, *messages: str, **fields: Any) -> None:
        """Log plain messages now."""
        common = {"time": time.time(), "level": "INFO", "logger": "train", **fields}
        self.post(run, *({**common, "message": message} for message in messages))

    def metric(self, run: str, name: str, values: list[Any], first: int = 0, begin: float | None = None) -> None:
        """Log values of one metric, a step and a tenth of a second apart."""
        begin = time.time() - len(values) / 10 if begin is None else begin
        common = {"level": "DEBUG", "logger": "m", "message": ""}
        events = (
            {**common, "time": begin + i / 10, "metrics": {name: value}, "step": first + i}
            for i, value in enumerate(values)
        )
        self.post(run, *events)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A running Chromium: the system's, or the one that playwright has installed."""
    sync_api = playwright_api()
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(playwright), args=CHROMIUM_ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests: each has runs of its own."""
    server = Server(tmp_path_factory.mktemp("server"))
    yield server
    server.stop()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    """A server for one test, that it may stop."""
    server = Server(tmp_path / "server")
    yield server
    server.stop()


@pytest.fixture
def open_page(chromium: Any, request: pytest.FixtureRequest, artifacts: Path) -> Iterator[Callable[..., Any]]:
    """A function that opens a page of a server, signed in; what goes wrong on the page fails the test."""
    contexts, wrong = [], []

    def open_page(
        server: Server, path: str = "", *, phone: bool = False, signed_in: bool = True, **options: Any
    ) -> Any:
        context = chromium.new_context(**(PHONE if phone else DESKTOP), **options)
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        page = context.new_page()
        if signed_in:
            page.goto(server.link)
        watch(page, wrong)
        page.goto(server.url + path)
        return page

    yield open_page
    for number, context in enumerate(contexts):
        for page in context.pages:
            name = re.sub(r"[^\w.-]+", "-", f"{request.node.name}-{number}")
            page.screenshot(path=artifacts / f"{name}.png")
        context.close()
    assert not wrong, "\n".join(wrong)


def watch(page: Any, wrong: list[str]) -> None:
    """Note all that goes wrong on a page."""
    page.on("console", lambda line: line.type == "error" and wrong.append(f"console: {line.text}"))
    page.on("pageerror", lambda error: wrong.append(f"exception: {error} {error.stack}"))
    page.on("dialog", lambda dialog: (wrong.append(f"dialog: {dialog.message}"), dialog.dismiss()))


@pytest.fixture
def until() -> Callable[[Any, str], None]:
    """A function that waits until a JavaScript expression is true on a page.

    Playwright's own needs eval, which the content policy forbids.
    """

    def until(page: Any, expression: str) -> None:
        page.evaluate(
            f"""() => new Promise((done, fail) => {{
              const end = performance.now() + {PATIENCE};
              const look = () => {{
                let found = false;
                try {{ found = {expression}; }} catch (error) {{ if (!(error instanceof TypeError)) throw error; }}
                if (found) done();
                else if (performance.now() > end) fail(new Error("not in time: " + {json.dumps(expression)}));
                else setTimeout(look, 20);
              }};
              look();
            }})"""
        )

    return until


@pytest.fixture
def expect() -> Callable[..., Any]:
    """Playwright's expect: waits until what it says holds, and fails when it does not in time."""
    api = playwright_api()
    api.expect.set_options(timeout=PATIENCE)
    return api.expect


def chromium_path(playwright: Any) -> str:
    """Return where Chromium is; skip the test where there is none."""
    path = next(filter(None, map(shutil.which, CHROMIUM_NAMES)), playwright.chromium.executable_path)
    if not Path(path).exists():
        pytest.skip("no Chromium: run `apt install chromium` (Debian, Ubuntu) or `playwright install chromium`")
    return str(path)


def playwright_api() -> Any:
    """Return playwright's module; skip the test where it is not installed."""
    return pytest.importorskip("playwright.sync_api", reason="playwright is missing: run `pip install '.[test]'`")
