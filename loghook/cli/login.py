"""loghook login: signs in, and stores the account's key."""

from __future__ import annotations

from pathlib import Path

import click

from loghook.cli import console

__all__ = ["login"]


@click.command(short_help="Sign in, and store the key.")
@click.option("--email", help="The account's email.  [default: asked for]")
@click.option("--with-token", is_flag=True, help="Take a key from standard input instead of email and password.")
@click.option("--url", help="The server; stored too, so that scripts send there.  [default: as LOGHOOK_URL says]")
@console.home_option
@console.json_option
def login(email: str | None, with_token: bool, url: str | None, home: Path | None, as_json: bool) -> None:
    """Sign in at a loghook server or a Hyperdash server, and store the account's key in the home folder.

    Email and password are asked for, the password without an echo; from a pipe each is a line. Scripts on this machine
    then find the key by themselves, and one that runs takes it over. With --url the server is stored as well, and
    scripts send there from then on. A script that has a key already stores it with --with-token.

    Example: loghook login --url https://loghook.example.org
    """
    from loghook.cli import account

    folder = console.home_folder(home)
    server = account.AccountServer(account.where(url, folder))
    token: str | None = None
    if with_token:
        key = account.read_key()
        server.keys(key)  # refuses one that it does not know
    else:
        email = account.ask_email(email)
        token, key = server.sign_in(email, account.ask_password())
    account.keep(folder, key=key, token=token, url=url)
    said = {"url": server.address.url, "email": email, "file": str(account.file_in(folder))}
    if as_json:
        console.print_json(said)
    else:
        click.echo(f"signed in at {said['url']}; the key is in {said['file']}")
