"""The family of errors that loghook raises.

    LoghookError                something loghook cannot do; the message says what, and what to do about it
    +-- ConfigurationError      a setting, a URL or a file of settings is wrong
    +-- SpoolError              the spool cannot be opened or read
    +-- ServerError             the server cannot start: port taken, home in use, database too new

A log call raises none of these, ever. They come from calls that a person makes on purpose: opening a
transport, starting a server, running a command. Messages never hold a key or a password.
"""

from __future__ import annotations

__all__ = ["ConfigurationError", "LoghookError", "ServerError", "SpoolError"]


class LoghookError(Exception):
    """The root of the family: catching it catches every error that loghook raises on purpose."""


class ConfigurationError(LoghookError, ValueError):
    """One or more settings are wrong; all mistakes that were found are reported together.

    Takes one sentence for each mistake. `mistakes` holds them, `str()` joins them with "; ".
    """

    def __init__(self, *mistakes: str) -> None:
        super().__init__(*mistakes)
        self.mistakes = mistakes

    def __str__(self) -> str:
        return "; ".join(self.mistakes)


class SpoolError(LoghookError):
    """The spool cannot be used: it is held by another process, of a newer version, or unreadable."""


class ServerError(LoghookError):
    """The server cannot start or go on: its port or home is in use, or its database is too new."""
