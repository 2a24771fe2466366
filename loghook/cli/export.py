"""loghook export: a run with everything in it, as NDJSON or CSV."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from loghook.cli import console

__all__ = ["export"]


@click.command(short_help="Write out a run with everything in it.")
@click.argument("run")
@click.option(
    "--format",
    "form",
    type=click.Choice(["ndjson", "csv"]),
    default="ndjson",
    show_default=True,
    help="A JSON object on each line, or a table for a spreadsheet.",
)
@click.option("--output", "-o", type=click.Path(path_type=Path), help="A file to write.  [default: standard output]")
@click.option("--force", is_flag=True, help="Replace the file if it is there.")
@click.option("--url", help="The server.  [default: LOGHOOK_URL, or the one on this machine]")
@console.database_option
@console.home_option
def export(
    run: str, form: str, output: Path | None, force: bool, url: str | None, database: Path | None, home: Path | None
) -> None:
    """Write out a RUN with everything in it: status, params, drops, each record, each point of each metric.

    RUN is an id as `loghook runs` prints it, or a name that one run alone has. It is read from a loghook server, as
    `loghook runs` does; where none runs on this machine, from the database and the spools in the home folder; with
    --database from that file alone. The last line counts what came: without it the export was cut off.

    Example: loghook export 0123abcd --format csv -o run.csv
    """
    from loghook.cli import pick

    console.exit_on_sigterm()
    with pick.picked(run, url, console.home_folder(home), database) as found, _sink(output, force) as take:
        if found.server is not None:
            found.server.stream(f"{found.path}/export", take, format=form)
        elif found.offline is not None:
            from loghook.server.care.export import export as parts_of
            from loghook.server.store.schema import connect_reader

            with contextlib.closing(connect_reader(found.offline.store.path)) as connection:
                for part in parts_of(connection, found.offline.account, found.run["id"], form, time.time()) or ():
                    take(part)


@contextlib.contextmanager
def _sink(output: Path | None, force: bool) -> Iterator[Callable[[bytes], object]]:
    """What takes the bytes: standard output, or a file that gets its name once all of it is there."""
    if output is None:
        yield sys.stdout.buffer.write
        sys.stdout.buffer.flush()
        return
    if os.path.lexists(output) and not force:
        raise console.Failed(f"{output} is there already; --force replaces it")
    descriptor, name = tempfile.mkstemp(prefix=f".{output.name}.", suffix=".part", dir=output.parent)
    draft = Path(name)
    try:
        with open(descriptor, "wb") as file:
            yield file.write
        draft.replace(output)
    finally:
        draft.unlink(missing_ok=True)
