"""What every command shares: its end (exit codes, one-line errors), text that is safe on a terminal, the extras."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import sys
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

import click

from loghook.errors import LoghookError

if TYPE_CHECKING:
    from loghook.settings import Settings

__all__ = [
    "COMPLETE",
    "Failed",
    "age",
    "clean",
    "complain",
    "cut",
    "database_option",
    "environment",
    "exit_on_sigterm",
    "home_folder",
    "home_option",
    "json_option",
    "needs",
    "note",
    "print_json",
    "progress_bar",
    "run",
    "settings_in_force",
    "table",
]

COMPLETE = "_LOGHOOK_COMPLETE"
"""The variable by which a shell asks for completions."""

EXTRAS = {
    "server": ("starlette", "uvicorn", "plotly"),
    "demo": ("starlette", "uvicorn", "plotly", "sklearn"),
}

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
home_option = click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder of credentials, spools and database.  [default: LOGHOOK_HOME, or ~/.loghook]",
)
database_option = click.option(
    "--database",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="LOGHOOK_DATABASE",
    help="The server's database.  [default: LOGHOOK_DATABASE, or server/loghook.db in the home folder]",
)


class Failed(LoghookError):
    """The command could not do what it was asked; its text is the one line that the user reads."""


def run(command: click.Command) -> NoReturn:
    """Run a click command with the process's arguments, and exit with the code that the package head lists."""
    _open_closed_streams()
    if COMPLETE in os.environ:
        command.main(prog_name="loghook", complete_var=COMPLETE)
    try:
        with command.make_context("loghook", sys.argv[1:]) as context:
            command.invoke(context)
        sys.stdout.flush()
        code = 0
    except click.exceptions.Exit as exit:
        code = exit.exit_code
    except (KeyboardInterrupt, click.Abort):
        code = 128 + signal.SIGINT
    except BrokenPipeError:
        code = 128 + signal.SIGPIPE
        # What is still in the buffer would be written, and fail again, while the interpreter shuts down.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except click.UsageError as error:
        code = usage(error)
    except click.ClickException as error:
        code = complain(error.format_message(), 1)
    except LoghookError as error:
        code = complain(str(error), 1)
    except OSError as error:
        code = complain(f"{error.strerror or error}" + (f": {error.filename}" if error.filename else ""), 1)
    sys.exit(code)


def _open_closed_streams() -> None:
    """Give standard streams that the caller closed an end that takes all and gives nothing, in order of their number.

    Else the next file that is opened, a database even, would stand in their place.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115


def usage(error: click.UsageError) -> int:
    """Say on stderr what is wrong with the arguments, and return the exit code."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message(), err=True)
        return error.exit_code
    path = error.ctx.command_path if error.ctx else "loghook"
    return complain(f"{error.format_message().rstrip('.')} (see: {path} --help)", 2)


def complain(text: str, code: int) -> int:
    """Write one line on stderr and return the exit code."""
    note(text)
    return code


def note(text: str) -> None:
    """Write one line on stderr."""
    click.echo(f"loghook: {' '.join(text.split())}", err=True)


def home_folder(given: Path | None) -> Path:
    """Return the home folder that a command works with, as an absolute path."""
    from loghook import settings

    return (given or settings.home_folder(os.environ)).absolute()


def environment(home: Path | None) -> dict[str, str]:
    """Return the environment as a command's run reads it and hands it down, with the home folder that was asked for."""
    return {**os.environ, **({"LOGHOOK_HOME": str(home.absolute())} if home else {})}


def settings_in_force(home: Path) -> Settings:
    """Return the settings that the environment and the home folder give; what is wrong there is named on stderr."""
    from loghook import settings

    return settings.resolve({"home": home}, os.environ, warn=note)


def needs(extra: str) -> None:
    """Check that an extra's packages are there.

    Raises:
        Failed: one is missing; the text says what to install.
    """
    missing = [name for name in EXTRAS[extra] if importlib.util.find_spec(name) is None]
    if missing:
        raise Failed(f"this command needs {', '.join(missing)}: pip install 'loghook[{extra}]'")


def exit_on_sigterm(cleanup: Callable[[], object] | None = None) -> None:
    """Make SIGTERM end the process in order, as Ctrl-C does, with exit code 143."""

    def leave(number: int, frame: FrameType | None) -> NoReturn:
        if cleanup is not None:
            cleanup()
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, leave)


def print_json(value: object) -> None:
    """Print a value as JSON, with sorted keys and indentation."""
    import orjson

    click.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS))


def clean(text: str) -> str:
    """Return text in which nothing can move the cursor, change colours or break the line."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def age(seconds: float) -> str:
    """Return a length of time in the two largest units that matter: 5s, 3m20s, 2h05m, 4d03h."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02}h"


def width(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


def cut(text: str, columns: int) -> str:
    """Return a text shortened, with an ellipsis, to at most that many columns of a terminal."""
    if width(text) <= columns:
        return text
    while text and width(text) > columns - 1:
        text = text[:-1]
    return text + "…"


def table(rows: list[list[str]], *, columns: int | None, colours: Callable[[int, str], str] | None = None) -> list[str]:
    """Return the lines of a table whose first row is its head.

    Args:
        rows: texts, as many in each row; none holds a control character.
        columns: the width of the terminal, to which lines are cut; None leaves them whole.
        colours: given a column's number and its padded text, returns the text as it is shown.
    """
    widths = [max(width(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        used = 0
        cells = []
        for i, text in enumerate(row):
            last = i == len(row) - 1
            if last and columns is not None:
                text = cut(text, max(8, columns - used))
            padded = text if last else text + " " * (widths[i] - width(text) + 2)
            used += width(padded)
            cells.append(colours(i, padded) if colours else padded)
        lines.append("".join(cells).rstrip())
    return lines


@contextlib.contextmanager
def progress_bar(label: str, shown: bool) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on stderr; yields what moves it: `progress(done, total)`."""
    update: Callable[[int], None] | None = None
    position = 0
    with contextlib.ExitStack() as stack:

        def progress(done: int, total: int) -> None:
            nonlocal update, position
            if shown and total and update is None:
                bar = click.progressbar(length=total, label=label, file=sys.stderr)
                update = stack.enter_context(bar).update
            if update is not None:
                update(done - position)
                position = done

        yield progress
