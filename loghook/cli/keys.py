"""loghook keys: lists an account's keys, makes new ones, and revokes them."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from loghook import credentials
from loghook.cli import console

if TYPE_CHECKING:
    from loghook.cli.account import AccountServer

__all__ = ["keys"]

HEAD = ["ID", "NAME", "KEY", "AGE", ""]


@click.group(short_help="List, create and revoke API keys.", invoke_without_command=True)
@click.option("--url", help="The server.  [default: LOGHOOK_URL, HYPERDASH_SERVER, or the one on this machine]")
@console.home_option
@console.json_option
@click.pass_context
def keys(context: click.Context, url: str | None, home: Path | None, as_json: bool) -> None:
    """List the keys of the account that is signed in; `create` and `revoke` change them.

    A loghook server shows a key once, when it is made, and lists it by its last four characters. A Hyperdash server
    shows keys in full.

    Examples: loghook keys; loghook keys create --name laptop; loghook keys revoke 3
    """
    from loghook.cli import account

    folder = console.home_folder(home)
    context.obj = folder, account.AccountServer(account.where(url, folder)), as_json
    if context.invoked_subcommand is None:
        show(folder, context.obj[1], as_json)


@keys.command(short_help="Make a key.")
@click.option("--name", default="", help="What it is for.  [default: this machine's name]")
@click.option("--store", is_flag=True, help="Store it in the home folder in place of the one there.")
@console.json_option
@click.pass_obj
def create(obj: tuple[Path, AccountServer, bool], name: str, store: bool, as_json: bool) -> None:
    """Make a key and print it: it is shown this once. With --store it is stored and not printed."""
    from loghook.cli import account

    folder, server, as_json = obj[0], obj[1], obj[2] or as_json
    url = server.address.url
    made = server.create_key(account.key_of(folder, url), name or socket.gethostname())
    if store:
        # Another server's token must not lie beside this one's key: both go where the file says.
        more = {} if account.is_bound_to(folder, url) else {"api_key_url": url, "access_token": None}
        credentials.store(account.file_in(folder), api_key=made.pop("key"), **more)
    if as_json:
        console.print_json(made)
    elif store:
        click.echo(f"key {made['id']} is in {account.file_in(folder)}; scripts that run take it over")
    else:
        click.echo(made["key"])


@keys.command(short_help="Revoke a key.")
@click.argument("id", type=click.IntRange(min=1))
@console.json_option
@click.pass_obj
def revoke(obj: tuple[Path, AccountServer, bool], id: int, as_json: bool) -> None:
    """Revoke a key, by the ID that the list shows: from then on it opens nothing."""
    from loghook.cli import account

    folder, server, as_json = obj[0], obj[1], obj[2] or as_json
    server.revoke_key(account.key_of(folder, server.address.url), id)
    if as_json:
        console.print_json({"revoked": id})
    else:
        click.echo(f"key {id} is revoked")


def show(folder: Path, server: AccountServer, as_json: bool) -> None:
    """Print the keys: a loghook server's as a table, those of another as they are."""
    from loghook.cli import account

    token = account.token_of(folder, server.address.url)
    answer = server.keys(account.key_of(folder, server.address.url))
    if answer is None:
        if token is None:
            raise console.Failed("no access token is stored; sign in first: loghook login")
        readable = server.readable_keys(token)
        if as_json:
            console.print_json({"account": None, "keys": [{"key": key} for key in readable]})
        else:
            click.echo("\n".join(map(console.clean, readable)))
    elif as_json:
        console.print_json(answer)
    else:
        rows = [HEAD, *(row(key, time.time()) for key in answer["keys"])]
        click.echo("\n".join([f"account {console.clean(answer['account'])}", *console.table(rows, columns=None)]))


def row(key: dict[str, Any], now: float) -> list[str]:
    """Return one key's cells, in the order of the table's head."""
    mark = "in use here" if key["current"] else ""
    tail = f"…{key['tail']}" if key["tail"] else "?"
    return [str(key["id"]), console.clean(key["name"] or "-"), tail, console.age(now - key["created"]), mark]
