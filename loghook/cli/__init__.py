"""The command `loghook`: one module for each of its commands, which parse, call, print and set the exit code.

What a command needs from the rest of the package, or from an extra, is imported when it runs, so that
`loghook --help` answers at once. Exit codes: 0 done, 1 failed, 2 wrong usage, 130 ended by Ctrl-C, 141 the reader
of the output went away. An error is one line on stderr that begins with `loghook:`.
"""

from __future__ import annotations

from typing import NoReturn

# Loading takes long enough for a Ctrl-C to fall into it.
try:
    import click

    import loghook
    from loghook.cli import console
    from loghook.cli.backup import backup
    from loghook.cli.completion import completion
    from loghook.cli.delete import delete
    from loghook.cli.demo import demo
    from loghook.cli.export import export
    from loghook.cli.keys import keys
    from loghook.cli.login import login
    from loghook.cli.logout import logout
    from loghook.cli.pipe import pipe
    from loghook.cli.run import run
    from loghook.cli.runs import runs
    from loghook.cli.serve import serve
    from loghook.cli.signup import signup
    from loghook.cli.sync import sync
    from loghook.cli.tensorboard import tensorboard
    from loghook.cli.version import version
except KeyboardInterrupt:
    raise SystemExit(130) from None

__all__ = ["cli", "main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, no_args_is_help=True)
@click.version_option(loghook.__version__, message="loghook %(version)s")
def cli() -> None:
    """Turn Python's logging into an experiment tracker.

    A training script calls loghook.install("its name") and logs as ever; these commands show what it logged.

    Example: loghook demo
    """


for command in (
    backup,
    completion,
    delete,
    demo,
    export,
    keys,
    login,
    logout,
    pipe,
    run,
    runs,
    serve,
    signup,
    sync,
    tensorboard,
    version,
):
    cli.add_command(command)


def main() -> NoReturn:
    """Run the command that the process's arguments name, and exit with its code."""
    console.run(cli)
