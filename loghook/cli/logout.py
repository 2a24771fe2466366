"""loghook logout: takes the stored key away, and ends the session."""

from __future__ import annotations

from pathlib import Path

import click

from loghook import credentials
from loghook.cli import console

__all__ = ["logout"]


@click.command(short_help="Take the stored key away.")
@console.home_option
@console.json_option
def logout(home: Path | None, as_json: bool) -> None:
    """Take the stored key and the access token out of the home folder, and end the session at the server.

    The key itself goes on working elsewhere: `loghook keys revoke` ends that. A server's address that was stored stays.

    Example: loghook logout
    """
    from loghook.cli import account

    folder = console.home_folder(home)
    path = account.file_in(folder)
    url = next(iter(account.bound_to(folder)), None) or account.where(None, folder)
    token = account.token_of(folder, url)
    ended = False
    if token is not None:
        try:
            account.AccountServer(url).sign_out(token)
            ended = True
        except console.Failed as error:
            console.note(f"the session could not be ended: {error}")
    if path.exists():
        credentials.store(path, api_key=None, api_key_url=None, access_token=None)
    if as_json:
        console.print_json({"file": str(path), "session_ended": ended})
    else:
        click.echo(f"signed out; {path} has no key any more")
