"""`Sites`: what the records of one line of a program have in common, so that it is found out once.

Records that come from the same place, and have as many attributes, nearly always have the same extras. Their names are
looked for in the first one, and later records are asked for just these: one that has them, and all the usual
attributes, has no others. A site that goes on logging gets a function of its own that makes an event in one piece, in
a third of the time that adding to it key by key takes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from itertools import filterfalse
from types import CodeType, FunctionType
from typing import Any, cast

from loghook.redaction import has_secret_name

__all__ = ["NO_EXTRAS", "USUAL", "Site", "Sites"]

USUAL = frozenset(logging.LogRecord("", 0, "", 0, "", (), None).__dict__)
"""The attributes that every record has."""

_LATE = frozenset(["message", "asctime", "taskName"])
"""Those that formatters and newer Pythons add; no extras either."""

NO_EXTRAS = USUAL | _LATE | {"metrics", "step"}

_ALWAYS = (
    "'time': fields['created']",
    "'level': fields['levelname']",
    "'logger': fields['name']",
    "'message': message",
    "'file': file",
)
_MOST_SITES = 4096
_MOST_READERS = 512
"""Functions that a process compiles, one for a set of names; some versions of Python keep the names for ever."""
_MOST_NAMES, _LONGEST = 64, 200
"""How many names, and how long ones, are kept."""
_OFTEN = 8
"""Records after which a function is compiled: it takes as long as twenty of them do without."""

Reader = Callable[[dict[str, Any], str, str], dict[str, Any]]
"""Makes an event of a record's attributes, message and file. KeyError: the record has other attributes."""


class Site:
    """A line of a program that logs, and what its records have besides the usual attributes."""

    __slots__ = ("_extras", "_late", "_seen", "file", "has_extra", "metrics", "names", "read", "secret", "stream")

    def __init__(self, fields: dict[str, Any], names: tuple[str, ...]) -> None:
        self.names = names
        self.file = f"{fields['filename']}:{fields['lineno']}"
        self.metrics = "metrics" in names
        self._extras = tuple(filterfalse(NO_EXTRAS.__contains__, names))
        self._late = [name for name in names if name in _LATE] if len(self._extras) < len(names) else ()
        self._seen = 0
        self.stream = "stream" in self._extras
        self.has_extra = bool(self._extras)
        self.secret = has_secret_name(self._extras)
        """Whether the name of an extra says that it is a secret."""
        self.read: Reader = self._read

    def _read(self, fields: dict[str, Any], message: str, file: str) -> dict[str, Any]:
        self._seen += 1
        if self._seen == _OFTEN and _is_short(self.names):
            self.read = _reader(self.names) or self.read
        event = {
            "time": fields["created"],
            "level": fields["levelname"],
            "logger": fields["name"],
            "message": message,
            "file": file,
        }
        for name in ("metrics", "step"):
            if name in self.names:
                event[name] = fields[name]
        if self._extras:
            event["extra"] = {name: fields[name] for name in self._extras}
        for name in self._late:
            fields[name]
        return event


class Sites:
    """The sites that a program has logged from. For any thread; takes no lock."""

    def __init__(self) -> None:
        self._sites: dict[tuple[Any, Any, int], Site] = {}
        self._known: dict[tuple[Any, Any, tuple[str, ...]], Site] = {}
        self.get = self._sites.get
        """The last site of a file's name, a line and a number of attributes: for the thread that logs, without a call.
        """

    def __reduce__(self) -> tuple[type[Sites], tuple[()]]:
        return Sites, ()  # a copy learns anew

    def learn(self, fields: dict[str, Any]) -> Site:
        """Return the site of a record with these attributes. Raises ValueError where usual ones are missing."""
        names = tuple(filterfalse(USUAL.__contains__, fields))
        if len(fields) - len(names) != len(USUAL):
            raise ValueError("usual attributes are not there")
        file, line = fields["filename"], fields["lineno"]
        site = self._known.get((file, line, names))
        if site is None:
            site = Site(fields, names)
            if not _is_short(names):
                return site
            if len(self._known) >= _MOST_SITES:
                self._sites.clear()
                self._known.clear()
            self._known[file, line, names] = site
        self._sites[file, line, len(fields)] = site
        return site


_readers: dict[tuple[str, ...], Reader] = {}


def _is_short(names: tuple[str, ...]) -> bool:
    return len(names) <= _MOST_NAMES and all(name.__class__ is str and len(name) <= _LONGEST for name in names)


def _reader(names: tuple[str, ...]) -> Reader | None:
    """Return a function that does what `Site._read` does, for records with these names; None: there are enough."""
    if names in _readers or len(_readers) >= _MOST_READERS:
        return _readers.get(names)
    pairs = [*_ALWAYS, *(_pair(name) for name in ("metrics", "step") if name in names)]
    if extras := [name for name in names if name not in NO_EXTRAS]:
        pairs.append(f"'extra': {{{', '.join(map(_pair, extras))}}}")
    late = "".join(f", fields[{name!r}]" for name in names if name in _LATE)  # read, to see that it is there
    source = f"lambda fields, message, file: ({{{', '.join(pairs)}}}{late})" + "[0]" * bool(late)
    # Taken out, not evaluated: whatever runs `eval` makes Python forget a Ctrl-C that is to end it.
    [code] = (const for const in compile(source, "<loghook>", "eval").co_consts if isinstance(const, CodeType))
    reader = _readers[names] = cast(Reader, FunctionType(code, {"__builtins__": {}}))
    return reader


def _pair(name: str) -> str:
    return f"{name!r}: fields[{name!r}]"  # as literals: a name is data, and no code
