"""loghook delete: deletes a run, and what its programs left on this machine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from loghook.cli import console

if TYPE_CHECKING:
    from loghook.cli.pick import Picked
    from loghook.server.care.offline import Offline

__all__ = ["delete"]

GOES_ON = "it goes on; end it first, or delete it with --force"


@click.command(short_help="Delete a run for good.")
@click.argument("run")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.option("--force", is_flag=True, help="Also a run that goes on.")
@click.option("--url", help="The server.  [default: LOGHOOK_URL, or the one on this machine]")
@console.database_option
@console.home_option
@console.json_option
def delete(
    run: str, yes: bool, force: bool, url: str | None, database: Path | None, home: Path | None, as_json: bool
) -> None:
    """Delete a RUN for good: its records, metrics and params, and what its programs left in the spools of this machine.

    RUN is an id as `loghook runs` prints it, or a name that one run alone has. It is deleted at a loghook server, found
    as `loghook runs` does; where none runs on this machine, in the home folder; with --database in that file alone, and
    the spools stay as they are. A run that goes on is deleted only with --force; what its programs send from then on is
    thrown away. A program that is started later with the same id makes the run anew.

    Example: loghook delete 0123abcd --yes
    """
    from loghook.cli import pick

    console.exit_on_sigterm()
    with pick.picked(run, url, console.home_folder(home), database) as found:
        if found.run["status"] == "running" and not force:
            raise console.Failed(f"run {found.run['id']}: {GOES_ON}")
        if not yes:
            _ask(found.run)
        _delete(found, force)
    if as_json:
        console.print_json({"deleted": found.run["id"], "name": found.run["name"]})
    else:
        click.echo(f"run {found.run['id']} ({console.clean(found.run['name'])}) is deleted")


def _ask(run: dict[str, Any]) -> None:
    if not sys.stdin.isatty():
        raise console.Failed("nobody can be asked on standard input; delete it with --yes")
    words = f"Delete run {run['id']} ({console.clean(run['name'])}, {run['status']}) for good?"
    if not click.confirm(words, err=True):
        raise console.Failed("nothing was deleted")


def _delete(found: Picked, force: bool) -> None:
    if found.server is not None:
        from loghook.cli.api import Refused

        try:
            found.server.delete(found.path, force="true" if force else "false")
        except Refused:
            raise console.Failed(f"run {found.run['id']}: {GOES_ON}") from None
    elif found.offline is not None:
        _delete_here(found.offline, found.run["id"], force)


def _delete_here(offline: Offline, run: str, force: bool) -> None:
    """Deletes in the home folder, to the end."""
    import time

    from loghook.server.care.api import delete as take_away
    from loghook.server.care.removal import Remover, Running

    try:
        take_away(offline.store, offline.home, offline.account, run, time.time(), force=force)
    except Running:
        raise console.Failed(f"run {run}: {GOES_ON}") from None
    remover = Remover(offline.store)
    while remover.look():
        pass
