"""Which run a command is about, by id or by name, and where it is: at a server, or in a database that nobody serves."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from loghook.cli import console
from loghook.cli.api import Server, Unanswered, find, running
from loghook.spool import writers

if TYPE_CHECKING:
    from loghook.server.care.offline import Offline

__all__ = ["Picked", "picked"]

SHORTEST_ID = 8
MOST_NAMED = 1_000
SHOWN = 5


@dataclass(frozen=True, slots=True)
class Picked:
    """A run (`id`, `name`, `status`), and where it is: one of `server` and `offline` is not None."""

    run: dict[str, Any]
    server: Server | None
    offline: Offline | None

    @property
    def path(self) -> str:
        """Its path below /api/v1."""
        return f"/runs/{quote(self.run['id'], safe='')}"


@contextlib.contextmanager
def picked(text: str, url: str | None, home: Path, database: Path | None = None) -> Iterator[Picked]:
    """Find a run at the first server that answers, or, where none was named and none runs, in the home folder.

    `text` is its id, at least eight characters that no other run's id begins with, or the name that it alone has.
    With `database` it is looked for in that file alone. Raises Failed, ServerError, ConfigurationError.
    """
    if database is None and not _is_here(url, home):
        yield _at_a_server(text, find(url, home))
        return
    console.needs("server")
    from loghook.server.care.offline import opened

    with opened(home, database) as offline:
        if offline.home is None and next(writers(home), None) is not None:
            console.note(f"the spools in {home} are left as they are: with another database they have nothing to do")
        yield Picked(_named(text, offline.run, offline.runs), None, offline)


def _is_here(url: str | None, home: Path) -> bool:
    """Whether a run is to be looked for in the home folder: no server is named, none runs there, and it has runs."""
    if url is not None or console.settings_in_force(home).url or running(home) is not None:
        return False
    return (home / "server" / "loghook.db").exists() or next(writers(home), None) is not None


def _at_a_server(text: str, servers: list[Server]) -> Picked:
    """The run at the first server that answers."""
    *others, last = servers
    for server in others:
        try:
            return Picked(_of_server(text, server), server, None)
        except Unanswered as error:
            console.note(f"no answer from {error.reason}; asking the next server")
    return Picked(_of_server(text, last), last, None)


def _of_server(text: str, server: Server) -> dict[str, Any]:
    return _named(
        text,
        lambda run: server.find(f"/runs/{quote(run, safe='')}"),
        lambda part: list(server.get("/runs", q=part, limit=MOST_NAMED)["runs"]),
    )


def _is_served(home: Path) -> bool:
    from loghook.server.lock import holder_of

    return holder_of(home / "server" / "lock") is not None


def _named(
    text: str, run: Callable[[str], dict[str, Any] | None], runs: Callable[[str], list[dict[str, Any]]]
) -> dict[str, Any]:
    """The run that a text names: `run` looks for an id, `runs` for a part of ids and names."""
    if text.strip(".") and "/" not in text:
        found = run(text)
        if found is not None:
            return found
    near = runs(text)
    named = [one for one in near if one["name"] == text]
    if len(named) == 1:
        return named[0]
    if named:
        raise console.Failed(f"{len(named)} runs have the name {console.clean(text)!r}; give an id: {_ids(named)}")
    begun = [one for one in near if one["id"].startswith(text)]
    if len(begun) > 1 and len(text) >= SHORTEST_ID:
        raise console.Failed(f"the ids of several runs begin with {text}: {_ids(begun)}")
    more = f"; of an id give at least {SHORTEST_ID} characters" if begun else ""
    raise console.Failed(f"there is no run {console.clean(text)!r}{more}")


def _ids(runs: list[dict[str, Any]]) -> str:
    return ", ".join(run["id"] for run in runs[:SHOWN]) + (", ..." if len(runs) > SHOWN else "")
