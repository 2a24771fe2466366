"""loghook sync: delivers what dead writers left in the spools of this machine."""

from __future__ import annotations

from pathlib import Path

import click

from loghook.cli import console

__all__ = ["sync"]


@click.command(short_help="Deliver what ended programs left behind.")
@console.home_option
@console.json_option
def sync(home: Path | None, as_json: bool) -> None:
    """Deliver what programs that have ended left in the spools of this machine.

    Each spool goes to the destinations that its program had. What a running program logs is left to it, and what
    has arrived already is not sent again: it is safe to run this at any time, and twice.

    Example: loghook sync
    """
    raise console.Failed("not written yet")
