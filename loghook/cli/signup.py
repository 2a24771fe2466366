"""loghook signup: makes an account, signs in, and stores its key."""

from __future__ import annotations

from pathlib import Path

import click

from loghook.cli import console

__all__ = ["signup"]


@click.command(short_help="Make an account, and sign in.")
@click.option("--email", help="The account's email.  [default: asked for]")
@click.option("--url", help="The server; stored too, so that scripts send there.  [default: as LOGHOOK_URL says]")
@console.home_option
@console.json_option
def signup(email: str | None, url: str | None, home: Path | None, as_json: bool) -> None:
    """Make an account at a loghook server or a Hyperdash server, sign in, and store its key in the home folder.

    Email and password are asked for, the password twice and without an echo; from a pipe each is one line. A loghook
    server makes accounts for its own machine's users, and for others if it was started with --sign-up.

    Example: loghook signup --email me@example.org
    """
    from loghook.cli import account

    folder = console.home_folder(home)
    server = account.AccountServer(account.where(url, folder))
    email = account.ask_email(email)
    password = account.ask_password(twice=True)
    server.sign_up(email, password)
    token, key = server.sign_in(email, password)
    account.keep(folder, key=key, token=token, url=url)
    said = {"url": server.address.url, "email": email, "file": str(account.file_in(folder))}
    if as_json:
        console.print_json(said)
    else:
        click.echo(f"made an account at {said['url']} and signed in; its key is in {said['file']}")
