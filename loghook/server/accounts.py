"""Who may read and write: accounts, whose key and whose session it is, and the link that signs one in.

Keys and session tokens are random, 256 bits, so a plain SHA-256 of them is enough to keep: nobody guesses one from it.
A server begins with one account, "local"; it has no password. Those that sign up are named by their email. Everything
that is read or written names an account.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterable

from loghook.server.store import Store

__all__ = ["LOCAL", "SESSION_SECONDS", "Accounts", "Revoked", "Taken", "hashed"]

LOCAL = "local"
SESSION_SECONDS = 30 * 24 * 3600.0

# How long an answer of the database is believed: a page polls each second, and each request asks.
BELIEVED = 5.0
REMEMBERED = 10_000


class Taken(ValueError):
    """There is an account of that name."""


class Revoked(ValueError):
    """The key was revoked a moment ago."""


class Accounts:
    """The accounts of a store.

    Args:
        store: where they are.
        clock: epoch seconds.
    """

    def __init__(self, store: Store, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock
        self._known: dict[tuple[str, str], tuple[int, float]] = {}
        # The link works as long as this server runs, and as often as it is opened: on a phone and a desktop.
        self.link_token = secrets.token_urlsafe(32)
        self.local = store.writer.run(self._make_local)

    def _make_local(self, connection: sqlite3.Connection) -> int:
        connection.execute("INSERT OR IGNORE INTO accounts (name, created) VALUES (?, ?)", (LOCAL, self._clock()))
        (number,) = connection.execute("SELECT number FROM accounts WHERE name = ?", (LOCAL,)).fetchone()
        return int(number)

    def sign_up(self, name: str, password: str) -> int:
        """Make an account, its password in the form in which it is kept, and return its number. Raises Taken."""

        def job(connection: sqlite3.Connection) -> int:
            try:
                made = connection.execute(
                    "INSERT INTO accounts (name, created, password) VALUES (?, ?, ?)", (name, self._clock(), password)
                )
            except sqlite3.IntegrityError:
                raise Taken(f"there is an account {name!r}") from None
            return int(made.lastrowid or 0)

        return self._store.writer.run(job)

    def password_of(self, name: str) -> tuple[int, str] | None:
        """Return the number and the kept password of the account of a name; None for one without a password."""
        with self._store.reading() as connection:
            row = connection.execute("SELECT number, password FROM accounts WHERE name = ?", (name,)).fetchone()
        return (int(row[0]), str(row[1])) if row is not None and row[1] is not None else None

    def name_of(self, account: int) -> str:
        """Return the name of an account."""
        with self._store.reading() as connection:
            return str(connection.execute("SELECT name FROM accounts WHERE number = ?", (account,)).fetchone()[0])

    def of_key(self, key: str) -> int | None:
        """Return the account that a key belongs to, or None."""
        return self._look("keys", hashed(key), "SELECT account FROM keys WHERE hash = ? AND ? IS NOT NULL")

    def of_session(self, token: str) -> int | None:
        """Return the account that a session belongs to, or None when there is no such session or it has expired."""
        return self._look("sessions", hashed(token), "SELECT account FROM sessions WHERE hash = ? AND expires > ?")

    def forget_key(self, digest: str, sessions: Iterable[str]) -> None:
        """Believe no longer in a key, nor in sessions that ended with it, by their hashes."""
        self._known.pop(("keys", digest), None)
        for session in sessions:
            self._known.pop(("sessions", session), None)

    def new_session(self, account: int, key: str | None = None) -> str:
        """Begin a session and return its token; only the token's hash is kept.

        One that begins with a key ends with it: see `Keys.revoke`. Raises Revoked when that has happened meanwhile.
        """
        token = secrets.token_urlsafe(32)
        now = self._clock()

        def job(connection: sqlite3.Connection) -> None:
            number = None
            if key is not None:
                row = connection.execute("SELECT number FROM keys WHERE hash = ?", (hashed(key),)).fetchone()
                if row is None:
                    raise Revoked("this key was revoked")
                (number,) = row
            connection.execute("DELETE FROM sessions WHERE expires <= ?", (now,))
            connection.execute(
                "INSERT INTO sessions (hash, account, expires, key) VALUES (?, ?, ?, ?)",
                (hashed(token), account, now + SESSION_SECONDS, number),
            )

        self._store.writer.run(job)
        return token

    def end_session(self, token: str) -> None:
        """End a session; one that does not exist is fine."""
        digest = hashed(token)
        self._store.writer.run(lambda connection: connection.execute("DELETE FROM sessions WHERE hash = ?", (digest,)))
        self._known.pop(("sessions", digest), None)

    def of_link(self, token: str) -> int | None:
        """Return the account that the sign-in link's token signs in, or None."""
        return self.local if hmac.compare_digest(token.encode(), self.link_token.encode()) else None

    def _look(self, kind: str, digest: str, statement: str) -> int | None:
        now = self._clock()
        known = self._known.get((kind, digest))
        if known is not None and now < known[1]:
            return known[0]
        with self._store.reading() as connection:
            row = connection.execute(statement, (digest, now)).fetchone()
        if row is None:
            self._known.pop((kind, digest), None)
            return None
        if len(self._known) >= REMEMBERED:
            self._known.clear()
        self._known[kind, digest] = (row[0], now + BELIEVED)
        return int(row[0])


def hashed(token: str) -> str:
    """Return the form in which a key or token is kept."""
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()
