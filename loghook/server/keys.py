"""API keys: made, listed, revoked.

A key is 256 random bits and is shown once; its SHA-256 is kept, and its last four characters, by which its owner knows
it again. Hyperdash's command line asks for an account's keys in full, again and again. So the key that it gets is not
random: it is made from the key's number and a secret that lies in a file of its own beside the database, and can be
made again. Who reads the database alone learns none of either kind.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from loghook.server.accounts import Accounts, hashed
from loghook.server.store import Store

__all__ = ["MOST", "Key", "Keys", "TooMany", "secret_in"]

MOST = 100
"""Keys of one account."""
TAIL = 4
LONGEST_NAME = 100
SIGNED_IN = "command line"
"""The name of the key that the commands get, ours and Hyperdash's, for an email and a password."""
SECRET_BYTES = 32


class TooMany(ValueError):
    """The account has as many keys as it may."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key as it is listed. `made`: it can be made again, for Hyperdash's command line. `created`: epoch seconds."""

    id: int
    name: str
    tail: str
    made: bool
    created: float


class Keys:
    """The keys of all accounts.

    Args:
        store: where they are.
        accounts: forgets a key that is revoked.
        secret: what keys that can be made again are made from.
        clock: epoch seconds.
    """

    def __init__(self, store: Store, accounts: Accounts, secret: bytes, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._accounts = accounts
        self._secret = secret
        self._clock = clock

    def create(self, account: int, name: str) -> tuple[Key, str]:
        """Make a random key; returns it as it is listed, and the key itself, which nobody can get again.

        Raises TooMany.
        """
        key = "lh_" + secrets.token_urlsafe(32)
        return self._store.writer.run(lambda connection: self._insert(connection, account, name, key)), key

    def listed(self, account: int) -> list[Key]:
        """Return an account's keys, oldest first."""
        with self._store.reading() as connection:
            return _listed(connection, account)

    def revoke(self, account: int, number: int) -> bool:
        """Revoke a key of an account, at once and for good; false when the account has no such key.

        The sessions that began with it end, and those of which that is not known.
        """

        def job(connection: sqlite3.Connection) -> tuple[str, list[str]] | None:
            row = connection.execute("SELECT hash FROM keys WHERE number = ? AND account = ?", (number, account))
            found = row.fetchone()
            if found is None:
                return None
            connection.execute("DELETE FROM keys WHERE number = ?", (number,))
            ended = connection.execute(
                "SELECT hash FROM sessions WHERE account = ? AND key IN (?, 0)", (account, number)
            ).fetchall()
            connection.execute("DELETE FROM sessions WHERE account = ? AND key IN (?, 0)", (account, number))
            return found[0], [digest for (digest,) in ended]

        revoked = self._store.writer.run(job)
        if revoked is not None:
            self._accounts.forget_key(*revoked)
        return revoked is not None

    def readable(self, account: int) -> list[str]:
        """Return the account's keys that can be made again, the newest last; makes the first where there is none.

        Raises TooMany.
        """
        found = self._made(account)
        if not found:
            self._store.writer.run(lambda connection: self._make(connection, account))
            found = self._made(account)
        return found

    def _made(self, account: int) -> list[str]:
        with self._store.reading() as connection:
            rows = connection.execute(
                "SELECT number, hash FROM keys WHERE account = ? AND made ORDER BY number", (account,)
            ).fetchall()
        # Another secret (a database that was moved without it) makes other keys, which are none.
        pairs = ((self._key(number), digest) for number, digest in rows)
        return [key for key, digest in pairs if hashed(key) == digest]

    def _make(self, connection: sqlite3.Connection, account: int) -> None:
        made = self._insert(connection, account, SIGNED_IN, secrets.token_hex(32), made=True)
        key = self._key(made.id)
        connection.execute("UPDATE keys SET hash = ?, tail = ? WHERE number = ?", (hashed(key), key[-TAIL:], made.id))

    def _insert(self, connection: sqlite3.Connection, account: int, name: str, key: str, *, made: bool = False) -> Key:
        (count,) = connection.execute("SELECT count(*) FROM keys WHERE account = ?", (account,)).fetchone()
        if count >= MOST:
            raise TooMany(f"an account has at most {MOST} keys; revoke one that is no longer used")
        name, tail, now = name[:LONGEST_NAME], key[-TAIL:], self._clock()
        done = connection.execute(
            "INSERT INTO keys (hash, account, name, tail, made, created) VALUES (?, ?, ?, ?, ?, ?)",
            (hashed(key), account, name, tail, made, now),
        )
        return Key(int(done.lastrowid or 0), name, tail, made, now)

    def _key(self, number: int) -> str:
        digest = hmac.digest(self._secret, f"key {number}".encode(), hashlib.sha256)
        return "lh_" + base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _listed(connection: sqlite3.Connection, account: int) -> list[Key]:
    rows = connection.execute(
        "SELECT number, name, tail, made, created FROM keys WHERE account = ? ORDER BY number", (account,)
    )
    return [Key(number, name, tail, bool(made), created) for number, name, tail, made, created in rows]


def secret_in(path: Path) -> bytes:
    """Return the secret in a file, which is made, for its owner's eyes only, where it is missing. Raises OSError."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        found = path.read_bytes()
        if len(found) == SECRET_BYTES:
            return found
        path.unlink()  # its making was broken off
        return secret_in(path)
    with open(descriptor, "wb") as file:
        secret = secrets.token_bytes(SECRET_BYTES)
        file.write(secret)
        file.flush()
        os.fsync(file.fileno())
    return secret
