"""loghook demo: a server, a real training run that logs to it, and the page to watch it on."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from loghook.cli import console

if TYPE_CHECKING:
    from loghook.cli.api import Server

__all__ = ["demo"]

SETTLE = 15.0
"""Seconds that the last records may take from the end of the training to the server."""

OURS = ("LOGHOOK_", "POLYAXON_", "HYPERDASH_")


@click.command(short_help="Train a small model and watch it in the browser.")
@click.option("--seconds", default=30.0, show_default=True, type=click.FloatRange(0.1, 3600), help="How long to train.")
@click.option("--port", default=0, type=click.IntRange(0, 65535), help="The server's port.  [default: a free one]")
@click.option("--no-wait", is_flag=True, help="End after the training: for scripts.")
def demo(seconds: float, port: int, no_wait: bool) -> None:
    """Train a small model and watch it in the browser.

    Starts a server on this machine with a home folder of its own, trains on scikit-learn's handwritten digits in a
    second process that logs to it, and prints the link of the run's page. Afterwards every record and metric is read
    back from the server and compared with what was logged. The page stays up until Ctrl-C; everything is deleted then.
    The exit code is 0 only if nothing was missing.

    Example: loghook demo --no-wait --seconds 5
    """
    console.needs("demo")
    console.exit_on_sigterm()
    from loghook.cli.api import Server as Reader
    from loghook.server import Server

    with tempfile.TemporaryDirectory(prefix="loghook-demo-") as folder, Server(Path(folder), port=port) as server:
        reader = Reader(server.url, server.key)
        ledger = Path(folder) / "ledger.ndjson"
        click.echo(f"server   {server.url}, with its home in {folder}")
        with training(server.home, server.url, seconds, ledger) as child:
            run = first_run(reader, child)
            page = server.link_to(f"runs/{run}")
            click.echo(f"page     {page}")
            code = child.wait()
        if code:
            raise console.Failed(f"the training script ended with exit code {code}")
        report(reader, run, ledger)
        if not no_wait:
            stay(page)


@contextlib.contextmanager
def training(home: Path, url: str, seconds: float, ledger: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run the training script as a child process; leaving early stops it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    environment |= {"LOGHOOK_HOME": str(home), "LOGHOOK_URL": url}
    command = [sys.executable, "-m", "loghook.cli.demo_train", f"--seconds={seconds}", f"--ledger={ledger}"]
    # A session of its own: Ctrl-C on the terminal then reaches us alone, and the child ends as we say.
    child = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        yield child
    finally:
        if child.poll() is None:
            child.send_signal(signal.SIGTERM)
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def first_run(reader: Server, child: subprocess.Popen[bytes]) -> str:
    """Wait until the server has heard of the run, and return the run's id."""
    deadline = time.monotonic() + SETTLE
    while not (runs := reader.get("/runs")["runs"]):
        if child.poll() or time.monotonic() > deadline:
            raise console.Failed("the training script did not reach the server")
        time.sleep(0.1)
    return str(runs[0]["id"])


def report(reader: Server, run: str, ledger: Path) -> None:
    """Compare what was logged with what the server has, and print the summary.

    Raises:
        Failed: something is missing, or the run did not end as a success.
    """
    from loghook.cli.demo_check import read_ledger, read_server

    logged = read_ledger(ledger)
    deadline = time.monotonic() + SETTLE
    while True:
        shown: dict[str, Any] = reader.get(f"/runs/{run}")
        found = read_server(reader, run)
        wrong = logged.differences(found)
        if shown["status"] != "success":
            wrong.append(f"the run's status is {shown['status']}")
        if not wrong or time.monotonic() > deadline:
            break
        time.sleep(0.2)
    click.echo(f"run      {shown['name']} ({run[:8]}): {shown['status']}")
    click.echo(f"logged   {len(logged.records)} records, {logged.point_count} points of {len(logged.points)} metrics")
    click.echo(f"server   {len(found.records)} records, {found.point_count} points of {len(found.points)} metrics")
    for name, points in sorted(found.points.items()):
        click.echo(f"         {name}: {len(points)} points, last {points[-1][1]:.4g}")
    if wrong:
        raise console.Failed("; ".join(wrong))
    click.echo("         nothing is missing")


def stay(link: str) -> None:
    """Leave the page up until Ctrl-C."""
    click.echo(f"page     {link}\n         Ctrl-C ends the demo and deletes what it stored")
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            time.sleep(3600)
