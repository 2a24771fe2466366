"""The key of this machine's own user: made once, kept in the home folder, bound to where this server listens."""

from __future__ import annotations

import logging
import socket
from pathlib import Path

from loghook import credentials
from loghook.errors import ConfigurationError, ServerError
from loghook.server.accounts import Accounts
from loghook.server.keys import Keys, secret_in

__all__ = ["local_key", "secret_of"]

logger = logging.getLogger("loghook.server")


def secret_of(folder: Path) -> bytes:
    """Return the secret that readable keys are made with. Raises ServerError."""
    try:
        return secret_in(folder / "secret")
    except OSError as error:
        raise ServerError(f"{folder / 'secret'} cannot be used: {error.strerror}") from None


def local_key(accounts: Accounts, keys: Keys, settings: Path, own: Path, places: list[str]) -> str:
    """The local account's key: the one in the home folder's settings, or in the server's own file, else a new one.

    A new one goes into the settings, unless another server's key is there: then into the server's own file. With it
    stands where it may be sent: to this server, wherever it listens this time.
    """
    known = {path: _key_in(path) for path in (settings, own)}
    path, key = next(
        ((path, key) for path, key in known.items() if key and accounts.of_key(key) == accounts.local), (None, "")
    )
    if path is None:
        _, key = keys.create(accounts.local, socket.gethostname())
        path = own if known[settings] else settings
    elif not _is_bound(path):
        return key  # somebody put it there by hand
    try:
        credentials.store(path, api_key=key, api_key_url=places)
    except (OSError, ConfigurationError) as error:
        logger.warning("the key cannot be written to %s (%s); only the sign-in link works", path, error)
    return key


def _is_bound(path: Path) -> bool:
    """Whether a file says, beside its key, where that may be sent."""
    try:
        return b'"api_key_url"' in path.read_bytes()
    except OSError:
        return False


def _key_in(path: Path) -> str | None:
    return credentials.KeySource(environ={}, files=(path,), warn=logger.warning).get()
