"""loghook tensorboard: TensorBoard's event files as a run."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

import click

from loghook.cli import console

__all__ = ["tensorboard"]

_EVERY = 1.0


@click.command(short_help="Follow TensorBoard's event files as a run.")
@click.option("-n", "--name", help="The name of the run.  [default: the folder's]")
@click.option(
    "--logdir",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder that a SummaryWriter writes to; it need not exist yet.",
)
@click.option("--backfill", is_flag=True, help="Take what is there already, too.")
@console.home_option
def tensorboard(name: str | None, logdir: Path, backfill: bool, home: Path | None) -> None:
    """Follow all scalars that are written under a folder, and record them as a run, until Ctrl-C.

    Files and subfolders that come later are followed as well. Each point keeps its step and its time. Ctrl-C and
    SIGTERM end the run as a success: how the program that writes them fares can't be known here.

    Example: loghook tensorboard -n "dogs vs. cats" --logdir runs --backfill
    """
    from loghook.capture.command import finish
    from loghook.integrations.tensorboard import Follower, record
    from loghook.session import new_run

    follower = Follower(logdir, backfill=backfill)
    run = new_run({"name": name or logdir.resolve().name}, console.environment(home), api="cli_tensorboard")
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    click.echo(f"following {logdir}; Ctrl-C ends the run", err=True)
    count, told = 0, 0
    while True:
        last = stop.is_set()
        for scalar in follower.news():
            record(run, scalar)
            count += 1
        for path, reason in list(follower.broken.items())[told:]:
            click.echo(f"loghook: {path} can't be read on: {reason}", err=True)
        told = len(follower.broken)
        if last:
            break
        stop.wait(_EVERY)
    run.end("success")
    finish(run)
    click.echo(f"recorded {count} points", err=True)
