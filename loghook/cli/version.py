"""loghook version: prints what is installed, for a person or for a report of a fault."""

from __future__ import annotations

import platform

import click

import loghook
from loghook.cli import console

__all__ = ["version"]

PACKAGES = ("click", "orjson", "python-json-logger", "requests", "starlette", "uvicorn", "plotly")


@click.command(short_help="Print the installed versions.")
@console.json_option
def version(as_json: bool) -> None:
    """Print the versions of loghook and of what it stands on.

    Example: loghook version --json
    """
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    found = {"loghook": loghook.__version__, "python": platform.python_version(), "platform": platform.platform()}
    for name in PACKAGES:
        try:
            found[name] = installed(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    if as_json:
        console.print_json(found)
    else:
        click.echo("\n".join(f"{name} {value}" for name, value in found.items()))
