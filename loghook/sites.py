"""`Sites`: what the records of one line of a program have in common, so that it is found out once.

Records that come from the same place nearly always have the same extras. Their names are looked for in the first one,
and a function is compiled that makes an event of just these; each later record has to have as many attributes, and all
of these among them, and so has no others. The function makes the event in one piece, in a third of the time that
adding to it key by key takes, and a dict that grows behind its fifth key is copied.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

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
_MOST_SITES, _MOST_READERS = 4096, 512
_MOST_NAMES, _LONGEST = 64, 200
"""How many extras, and how long a name, a function is compiled for."""

Reader = Callable[[dict[str, Any], str, str], dict[str, Any]]
"""Makes an event of a record's attributes, message and file. KeyError: the record has other attributes."""


class Site:
    """A line of a program that logs, and what its records have besides the usual attributes."""

    __slots__ = ("file", "has_extra", "metrics", "read", "secret", "size", "step", "stream")

    def __init__(self, fields: dict[str, Any], read: Reader) -> None:
        self.file = f"{fields['filename']}:{fields['lineno']}"
        self.size = len(fields)
        """How many attributes a record of the site has; one that also has all that `read` asks for has no others."""
        self.metrics = "metrics" in fields
        self.step = "step" in fields
        extras = [name for name in fields if name not in NO_EXTRAS]
        self.stream = "stream" in extras
        self.has_extra = bool(extras)
        self.secret = has_secret_name(extras)
        """Whether the name of an extra says that it is a secret."""
        self.read = read


class Sites:
    """The sites that a program has logged from. For any thread; takes no lock."""

    def __init__(self) -> None:
        self._sites: dict[tuple[Any, Any], Site] = {}
        self._readers: dict[tuple[str, ...], Reader] = {}
        self.get = self._sites.get
        """The site of a file's name and a line, if it is known: for the thread that logs, without a call."""

    def learn(self, fields: dict[str, Any]) -> Site:
        """Return the site of a record with these attributes. Raises ValueError for one that is not usual enough."""
        names = tuple(name for name in fields if name not in USUAL)
        read = self._readers.get(names)
        if read is None:
            if len(names) > _MOST_NAMES or any(name.__class__ is not str or len(name) > _LONGEST for name in names):
                raise ValueError("too much to compile")
            if len(self._readers) >= _MOST_READERS:
                self._readers.clear()
            read = self._readers[names] = _reader(names)
        if not fields.keys() >= USUAL:
            raise ValueError("usual attributes are not there")
        if len(self._sites) >= _MOST_SITES:
            self._sites.clear()
        site = self._sites[fields["filename"], fields["lineno"]] = Site(fields, read)
        return site


def _reader(names: tuple[str, ...]) -> Reader:
    pairs = [*_ALWAYS, *(_pair(name) for name in ("metrics", "step") if name in names)]
    if extras := [name for name in names if name not in NO_EXTRAS]:
        pairs.append(f"'extra': {{{', '.join(map(_pair, extras))}}}")
    late = "".join(f", fields[{name!r}]" for name in names if name in _LATE)  # read, to see that it is there
    source = f"lambda fields, message, file: ({{{', '.join(pairs)}}}{late})" + "[0]" * bool(late)
    reader: Reader = eval(source, {"__builtins__": {}})
    return reader


def _pair(name: str) -> str:
    return f"{name!r}: fields[{name!r}]"  # as literals: a name is data, and no code
