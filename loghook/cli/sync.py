"""loghook sync: delivers what ended programs left in the spools of this machine."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from loghook.cli import console

if TYPE_CHECKING:
    from loghook.listener import Destination

__all__ = ["sync"]


@click.command(short_help="Deliver what ended programs left behind.")
@click.option(
    "--patience",
    default=5.0,
    show_default=True,
    type=click.FloatRange(min=0),
    help="Seconds to go on trying a platform that does not answer.",
)
@console.home_option
@console.json_option
def sync(patience: float, home: Path | None, as_json: bool) -> None:
    """Deliver what programs that have ended left in the spools of this machine.

    Each spool goes to the destinations that its program had. What a running program logs is left to that program, and
    what has arrived is not sent again: it is safe to run this at any time, and twice. Runs without a destination stay
    where they are: `loghook serve` shows them. The exit code is 1 if something could not be delivered.

    Example: loghook sync
    """
    from loghook.sync import sync

    folder = console.home_folder(home)
    with console.progress_bar("delivering", sys.stderr.isatty()) as progress:
        done = sync(folder, opener(folder), patience=patience, progress=progress)
    if as_json:
        console.print_json({"delivered": done.delivered, "refused": done.refused, "left": done.left})
    elif done.delivered or done.refused:
        aside = f"; {done.refused} that the platform refused were set aside" if done.refused else ""
        click.echo(f"delivered {done.delivered} events{aside}")
    elif not done.left:
        click.echo("nothing to deliver")
    for url, reason in done.left.items():
        console.note(f"events for {url} are left: {reason.removeprefix(f'{_place(url)}: ')}")
    if done.left:
        raise click.exceptions.Exit(1)


def _place(url: str) -> str:
    """A destination's URL as reasons begin with it: without the name of its platform."""
    scheme, mark, rest = url.partition("://")
    return f"{scheme.rpartition('+')[2]}{mark}{rest}".rstrip("/")


def opener(home: Path) -> Callable[[str, str], Destination]:
    """Return what makes a destination of a spool's URL, with the keys of the environment and the home folder."""
    from loghook.credentials import KeySource, key_files, same_place
    from loghook.destinations import destination

    settings = console.settings_in_force(home)

    def open_destination(name: str, url: str) -> Destination:
        # A program that is gone chose this destination: only who sends there now, or a key made for it, goes there.
        foreign = not any(same_place(url, own.strip()) for own in settings.url.split(",") if own.strip())
        keys = KeySource(files=key_files(None, home), warn=console.note, url=url, only_bound=foreign)
        return destination(url, keys, settings.timeout)

    return open_destination
