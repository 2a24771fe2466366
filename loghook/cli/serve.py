"""loghook serve: runs the server until Ctrl-C."""

from __future__ import annotations

from pathlib import Path

import click

from loghook.cli import console

__all__ = ["serve"]

PEM = click.Path(exists=True, dir_okay=False, path_type=Path)


def size(text: str) -> int:
    """Return a number of bytes given as such or like 20GB."""
    from loghook.settings import parse_size

    try:
        return parse_size(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command(short_help="Show runs in the browser.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", default=7707, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one.")
@click.option("--name", "names", multiple=True, help="A name of this machine to answer to; may be repeated.")
@click.option("--certfile", type=PEM, help="A certificate, to speak HTTPS.")
@click.option("--keyfile", type=PEM, help="The certificate's private key, if it is in a file of its own.")
@click.option(
    "--proxy",
    "proxies",
    multiple=True,
    metavar="ADDRESS",
    help="A proxy, or a network of them, whose X-Forwarded-For and -Proto are believed; may be repeated.",
)
@click.option(
    "--sign-up/--no-sign-up",
    default=None,
    help="Whether people may make accounts.  [default: from this machine, if no other reaches it]",
)
@click.option(
    "--notify",
    multiple=True,
    metavar="URL",
    envvar="LOGHOOK_NOTIFY",
    help="Tell this address when a run ends or is lost; may be repeated.  [default: notify in loghook.json]",
)
@click.option(
    "--keep-days",
    type=float,
    metavar="N",
    envvar="LOGHOOK_KEEP_DAYS",
    help="Remove runs that nothing was heard of for N days.  [default: keep_days in loghook.json, or never]",
)
@click.option(
    "--keep-size",
    type=size,
    metavar="SIZE",
    envvar="LOGHOOK_KEEP_SIZE",
    help="Remove the oldest runs once all take more, 20GB say.  [default: keep_size in loghook.json, or never]",
)
@console.database_option
@console.home_option
def serve(
    host: str,
    port: int,
    names: tuple[str, ...],
    certfile: Path | None,
    keyfile: Path | None,
    proxies: tuple[str, ...],
    sign_up: bool | None,
    notify: tuple[str, ...],
    keep_days: float | None,
    keep_size: int | None,
    database: Path | None,
    home: Path | None,
) -> None:
    """Show runs in the browser: those of this machine, and those sent here.

    Prints a sign-in link and serves until Ctrl-C. What scripts on this machine logged while no server ran is
    there too. Other machines reach it only with --host 0.0.0.0 or an address of this machine, and only with a key.
    What ended scripts left for other platforms is sent to those, as `loghook sync` does.

    --keep-days and --keep-size remove old runs, for good: never one that goes on, nor one that was lost within a day;
    which are lost, a server tells only once it was up for a day.

    --database names the file that holds the runs, a copy made by `loghook backup` say: the server goes on from there.

    --notify takes an address of ntfy (https://ntfy.sh/TOPIC), a Slack webhook, or any that takes JSON.

    Example: loghook serve --port 8000
    """
    console.needs("server")
    from loghook.cli.sync import opener
    from loghook.server import serve
    from loghook.server.care.retention import Keep
    from loghook.sync import sync

    if keyfile and not certfile:
        raise click.UsageError("--keyfile needs --certfile")
    folder = console.home_folder(home)
    destinations = opener(folder)

    def deliver(home: Path) -> None:
        sync(home, destinations)

    serve(
        folder,
        host,
        port,
        hosts=names,
        certfile=certfile,
        keyfile=keyfile,
        proxies=proxies,
        deliver=deliver,
        sign_up=sign_up,
        notify=notify or None,
        database=database,
        keep=Keep(keep_days, keep_size),
    )
