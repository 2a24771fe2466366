"""loghook pipe: what comes through a pipe as a run."""

from __future__ import annotations

import os
from pathlib import Path

import click

from loghook.cli import console

__all__ = ["pipe"]


@click.command(short_help="Record what comes through a pipe.")
@click.option("-n", "--name", help="The name of the run.  [default: LOGHOOK_NAME, or pipe]")
@console.home_option
def pipe(name: str | None, home: Path | None) -> None:
    """Copy standard input to standard output, and record it line by line as a run.

    The run is a success when the input ends, and stopped after Ctrl-C or SIGTERM: how the programs before it
    in the pipe ended can't be known: `loghook run` knows.

    Example: ./train.sh | loghook pipe -n "My test script"
    """
    from loghook.capture.piping import run_pipe
    from loghook.session import new_run

    arguments = {"name": name or os.environ.get("LOGHOOK_NAME") or "pipe"}
    made = new_run(arguments, console.environment(home), api="cli_pipe")
    raise click.exceptions.Exit(run_pipe(made))
