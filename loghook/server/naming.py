"""Which run an address names: by its id, or by how that begins where no other run's begins so."""

from __future__ import annotations

from sqlite3 import Connection

from starlette.requests import Request

from loghook.server.answers import Problem
from loghook.server.store import views

__all__ = ["SHORTEST_ID", "no_run", "run_id"]

SHORTEST_ID = 8
"""Characters that the beginning of a run's id must have to stand for it; `loghook runs` prints as many."""


def run_id(connection: Connection, account: int, request: Request) -> str:
    """Return the id of the run that a request's path names, by its id or by how that begins. Raises Problem."""
    named: str = request.path_params["run"]
    if len(named) < SHORTEST_ID or views.run_number(connection, account, named) is not None:
        return named
    found = views.run_ids(connection, account, named, 2)
    if len(found) > 1:
        raise Problem(404, "the ids of several runs begin like this; give more of it")
    return found[0] if found else named


def no_run() -> Problem:
    """Return the answer where an account has no such run."""
    return Problem(404, "there is no such run")
