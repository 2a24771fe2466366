"""loghook serve: runs the server until Ctrl-C."""

from __future__ import annotations

from pathlib import Path

import click

from loghook.cli import console

__all__ = ["serve"]


@click.command(short_help="Show runs in the browser.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", default=7707, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one.")
@console.home_option
def serve(host: str, port: int, home: Path | None) -> None:
    """Show runs in the browser: those of this machine, and those sent here.

    Prints a sign-in link and serves until Ctrl-C. What scripts on this machine logged while no server ran is
    there too. Other machines reach it only with --host 0.0.0.0 or an address of this machine, and only with a key.

    Example: loghook serve --port 8000
    """
    console.needs("server")
    from loghook.server import serve

    serve(console.home_folder(home), host, port)
