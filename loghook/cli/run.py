"""loghook run: a command of any kind as a run."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import click

from loghook.cli import console

__all__ = ["run"]


@click.command(
    short_help="Run a command and record what it prints.",
    context_settings={"allow_interspersed_args": False},
)
@click.option("-n", "--name", help="The name of the run.  [default: LOGHOOK_NAME, or the command's]")
@click.option("--split", is_flag=True, help="On a terminal, tell standard error apart; lines may change places.")
@console.home_option
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def run(name: str | None, split: bool, home: Path | None, command: tuple[str, ...]) -> None:
    """Run a command and record what it prints, line by line, as a run.

    The command gets its arguments as they are, no shell, and behaves as it would without: its output is on the
    terminal at once and unchanged, signals and keys reach it, and its exit code is this command's (128+n after signal
    n, 127 if it does not exist, 126 if it can't be executed). Standard output becomes INFO, standard error ERROR; on
    a terminal, where both are one stream, all is INFO unless --split is given. A Python program in it that uses
    loghook joins this run.

    Example: loghook run -n "My test script" python train.py
    """
    from loghook.capture.command import run_command
    from loghook.destinations import masked_arguments
    from loghook.session import new_run

    environ = console.environment(home)
    made = new_run(
        {"name": name or os.environ.get("LOGHOOK_NAME") or Path(command[0]).name},
        environ,
        params={"command": masked_arguments(list(command))},
        api="cli_run",
    )
    environ["LOGHOOK_RUN_CAPTURED"] = made.id
    try:
        code = run_command(command, made, environ, split=split)
    except OSError as error:
        missing = error.errno in (errno.ENOENT, errno.ENOTDIR)
        why = "command not found" if missing else error.strerror or error
        code = console.complain(f"{command[0] or repr('')}: {why}", 127 if missing else 126)
    raise click.exceptions.Exit(code)
