"""loghook backup: copies the server's database into a file, while the server goes on."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from loghook.cli import console

__all__ = ["backup"]


@click.command(short_help="Copy the server's database into a file.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Replace the file if it is there.")
@console.database_option
@console.home_option
@console.json_option
def backup(file: Path, force: bool, database: Path | None, home: Path | None, as_json: bool) -> None:
    """Copy the database of the server on this machine into FILE, of one moment, and check the copy.

    The server goes on meanwhile; it also works while none runs. The copy holds all accounts' runs, logs and metrics,
    and hashes of keys and passwords; only its owner may read it. To restore it, start a server on it:
    `loghook serve --database FILE`, which writes to it from then on.

    Example: loghook backup loghook-2026-11-21.db
    """
    console.needs("server")
    from loghook.server.care import backup as care

    console.exit_on_sigterm()
    source = database or care.database_of(console.home_folder(home))
    with console.progress_bar("copying", sys.stderr.isatty()) as progress:
        made = care.backup(source, file, force=force, progress=progress)
    if as_json:
        console.print_json({"file": str(file.absolute()), "bytes": made.size, "runs": made.runs})
    else:
        click.echo(f"{file}: {made.runs} runs, {made.size} bytes, checked")
