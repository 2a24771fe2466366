"""loghook runs: the newest runs, read from a server, as a table or as JSON."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from loghook.cli import console

if TYPE_CHECKING:
    from loghook.cli.api import Server

__all__ = ["runs"]

HEAD = ["RUN", "NAME", "STATUS", "AGE", "DURATION", "METRICS"]
COLOURS = {"running": "cyan", "success": "green", "failure": "red", "stopped": "yellow", "lost": "magenta"}
NAME_WIDTH = 32
PAGE = 50


@click.command(short_help="List the newest runs.")
@click.option("--limit", "-n", default=20, show_default=True, type=click.IntRange(1, 1000), help="How many runs.")
@click.option("--url", help="The server.  [default: LOGHOOK_URL, or the one on this machine]")
@console.home_option
@console.json_option
def runs(limit: int, url: str | None, home: Path | None, as_json: bool) -> None:
    """List the newest runs: status, age, duration, the last values of the main metrics.

    Reads from a loghook server: the one that --url or LOGHOOK_URL names (of several the first that answers), or the one
    that runs on this machine. The key is LOGHOOK_API_KEY or the one in the home folder. The server's pages and API take
    the ids as they are printed here.

    Example: loghook runs -n 5
    """
    from loghook.cli import api

    rows, now = from_first(api.find(url, console.home_folder(home)), limit)
    if as_json:
        console.print_json([{**run, "metrics": {m["name"]: m["last"] for m in run["metrics"]}} for run in rows])
    elif rows:
        on_terminal = sys.stdout.isatty()
        columns = shutil.get_terminal_size().columns if on_terminal else None
        lines = console.table([HEAD, *(row(run, now) for run in rows)], columns=columns, colours=colour)
        click.echo("\n".join(lines))
    else:
        click.echo("no runs yet; a script that calls loghook.install() makes one", err=True)


def from_first(servers: list[Server], limit: int) -> tuple[list[dict[str, Any]], float]:
    """Return what `newest` does of the first server that answers; those that do not are named on stderr."""
    from loghook.cli.api import Unanswered

    *others, last = servers
    for server in others:
        try:
            return newest(server, limit)
        except Unanswered as error:
            console.note(f"no answer from {error.reason}; asking the next server")
    return newest(last, limit)


def newest(server: Server, limit: int) -> tuple[list[dict[str, Any]], float]:
    """Return the newest runs, read page by page, and the server's clock in epoch seconds."""
    found: list[dict[str, Any]] = []
    query: dict[str, object] = {}
    while True:
        page = server.get("/overview", limit=min(PAGE, limit - len(found)), **query)
        found += page["runs"]
        if page["next"] is None or len(found) >= limit:
            return found, page["now"]
        query["before"] = page["next"]


def row(run: dict[str, Any], now: float) -> list[str]:
    """Return one run's cells, in the order of the table's head."""
    started = run.get("started_at")
    duration = run.get("duration")
    return [
        run["id"][:8],
        console.cut(console.clean(run.get("name") or "-"), NAME_WIDTH),
        run["status"],
        "-" if started is None else console.age(now - started),
        "-" if duration is None else console.age(duration),
        "  ".join(f"{console.clean(m['name'])} {number(m['last'])}" for m in run["metrics"]),
    ]


def number(value: object) -> str:
    """Return a metric's value short enough for a table; NaN and the infinities come as words."""
    return f"{value:.4g}" if isinstance(value, (int, float)) else console.clean(str(value))


def colour(column: int, text: str) -> str:
    """Return the status cell in its colour, which click leaves out where the output is no terminal."""
    return click.style(text, fg=COLOURS.get(text.strip())) if column == HEAD.index("STATUS") else text
