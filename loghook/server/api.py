"""The read API: runs, logs, metrics. Every answer is of the account that asks; what is another's does not exist.

A run is named by its id, or by the first eight characters of it or more where no other run's begins like that.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from math import inf, isnan, nan
from sqlite3 import Connection, Row
from typing import Any, TypeVar

import orjson
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from loghook.server.answers import Problem, encoded, number, points
from loghook.server.levels import level_number
from loghook.server.naming import no_run, run_id
from loghook.server.sparkline import POINTS, sparkline
from loghook.server.store import Store, internal, views
from loghook.server.store import logs as log_lines
from loghook.server.store import series as metric_series
from loghook.server.store.schema import NO_RANK, connect_reader

__all__ = ["API"]

T = TypeVar("T")

MAIN_METRICS = 4
LINES_REMEMBERED = 5_000
MOST_NAMES = 500
MOST_POINTS = 100_000
MOST_POINTS_AT_ONCE = 500_000
"""Points in one answer; of later metrics it has fewer than were asked for, where there would be more."""
FEWEST_POINTS = 7
MOST_LINES = 5_000
MOST_RUNS = 1_000
MOST_PROJECTS = 1_000
MOST_GROUPS = 20
LONGEST_TEXT = 1_000


class API:
    """The handlers of the read API.

    Args:
        store: what is read.
        clock: epoch seconds.
    """

    def __init__(self, store: Store, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock
        self._lines: OrderedDict[int, tuple[int, float, str]] = OrderedDict()

    async def runs(self, request: Request, account: int) -> Response:
        """GET /api/v1/runs: the runs, newest first; `limit`, `before`, `q`, `project`."""
        limit, before, text = _page(request, MOST_RUNS)
        project = _text(request, "project")

        def read(connection: Connection) -> Response:
            rows, after = views.run_page(connection, account, limit, before, text, project)
            now = self._clock()
            found = [views.run_fields(row, now) for row in rows]
            return encoded(request, {"runs": found, "next": str(after) if after else None})

        return await self._store.read(read)

    async def overview(self, request: Request, account: int) -> Response:
        """GET /api/v1/overview: as `runs`, with the main metrics of each and their small lines.

        `without=project` asks for the runs that are in none. With `by=project` the answer has `groups`, each with its
        project (null: none), the number of its runs, and the newest `limit` of them; `before` goes on behind a group.
        """
        limit, before, text = _page(request, 50)
        grouped = _one_word(request, "by", "project")
        without, named = _one_word(request, "without", "project"), _text(request, "project")
        project = None if without else named

        def read(connection: Connection) -> Response:
            now = self._clock()

            def listed(rows: list[Row]) -> list[dict[str, Any]]:
                return [self._listed(connection, row, now) for row in rows]

            found: dict[str, Any] = {}
            if grouped:
                groups, after = views.groups(connection, account, MOST_GROUPS, before, text)
                found["groups"] = [
                    {
                        "project": name,
                        "count": count,
                        "runs": listed(views.run_page(connection, account, limit, None, text, name)[0]),
                    }
                    for name, count in groups
                ]
            else:
                rows, after = views.run_page(connection, account, limit, before, text, project)
                found["runs"] = listed(rows)
            return encoded(request, {**found, "next": str(after) if after else None, "now": now})

        return await self._store.read(read)

    async def projects(self, request: Request, account: int) -> Response:
        """GET /api/v1/projects: the projects that runs are in, newest first, each with the number of its runs.

        `without` is the number of the runs that are in none.
        """

        def read(connection: Connection) -> Response:
            found = views.projects(connection, account, MOST_PROJECTS)
            return encoded(request, {"projects": found, "without": views.projectless(connection, account)})

        return await self._store.read(read)

    async def run(self, request: Request, account: int) -> Response:
        """GET /api/v1/runs/{run}: all that is known of a run but its logs and metrics."""

        def read(connection: Connection) -> Response:
            found = views.run_details(connection, account, run_id(connection, account, request), self._clock())
            if found is None:
                raise no_run()
            return encoded(request, found)

        return await self._store.read(read)

    async def logs(self, request: Request, account: int) -> Response:
        """GET /api/v1/runs/{run}/logs: a page of lines; `after`, `before`, `limit`, `level`, `logger`, `q`."""
        after, before = (_integer(request, name, None, 0, 2**53) for name in ("after", "before"))
        limit = _integer(request, "limit", 200, 1, MOST_LINES)
        wanted = log_lines.Filter(_level(request), _text(request, "logger"), _text(request, "q"))

        def read(connection: Connection) -> Response:
            run = _run(connection, account, request)
            if after is not None:
                page = log_lines.newer(connection, run, wanted, limit, after)
            elif before is not None:
                page = log_lines.older(connection, run, wanted, limit, before)
            else:
                page = log_lines.newest(connection, run, wanted, limit)
            return encoded(request, {"logs": page.lines, "next": page.next, "first": page.first})

        return await self._store.read(read)

    async def metrics(self, request: Request, account: int) -> Response:
        """GET /api/v1/runs/{run}/metrics: the totals of each metric; `q` looks for a text in the names.

        The totals are of all ranks together, or of one, as `rank` says in `series`. Where several ranks logged a metric
        `ranks` has them, null being the writers that told of none.
        """
        text, rank = _text(request, "q"), _rank(request)

        def read(connection: Connection) -> Response:
            run = _run(connection, account, request)
            found = metric_series.listed(connection, run, text)
            hidden = set(internal.names(connection, run)["metrics"])
            wanted = ((metric.of(rank), metric) for metric in found)
            totals = [_totals(one, metric, metric.name in hidden) for one, metric in wanted if one]
            return encoded(request, {"metrics": totals})

        return await self._store.read(read)

    async def series(self, request: Request, account: int) -> Response:
        """GET /api/v1/runs/{run}/series: points of metrics; `name` (repeated), `max_points`, steps `from`, `to`.

        Several ranks' points are joined by step and time, unless `rank` asks for those of one ("lowest": of the lowest
        that each metric has; "none": of the writers that told of none), or `by=rank` for each rank's: `ranks` is then
        {rank: {"points", "count"}} in their place.
        """
        names = request.query_params.getlist("name")
        if len(names) > MOST_NAMES:
            raise Problem(400, f"at most {MOST_NAMES} names at once")
        most = _integer(request, "max_points", 1_000, 1, MOST_POINTS)
        low, high = _step(request, "from", -inf), _step(request, "to", inf)
        rank, apart = _rank(request), _one_word(request, "by", "rank")

        left = MOST_POINTS_AT_ONCE

        def one(connection: Connection, metric: metric_series.Metric) -> dict[str, Any]:
            nonlocal left
            room = min(most, max(left, FEWEST_POINTS))
            if low == -inf and high == inf:
                thinned = metric_series.thinned(connection, metric, room)
            else:
                thinned = metric_series.within(connection, metric, low, high, room)
            left -= len(thinned)
            return {"points": points(thinned), "count": metric.count}

        def read(connection: Connection) -> Response:
            run = _run(connection, account, request)
            found: dict[str, Any] = {}
            for name in dict.fromkeys(names):
                metric = metric_series.find(connection, run, name, rank)
                if metric is None:
                    continue
                if apart:
                    ranks = {_rank_name(row.rank): metric_series.Metric((row,)) for row in metric.rows}
                    each = {name: one(connection, of_rank) for name, of_rank in ranks.items()}
                    found[name] = {"count": metric.count, "ranks": each}
                else:
                    found[name] = one(connection, metric)
            return encoded(request, {"series": found})

        return await self._store.read(read)

    async def metric(self, request: Request, account: int) -> Response:
        """GET /api/v1/runs/{run}/metrics/{name}: points of one metric; `max_points` (0: all), `rank` as in `series`."""
        most = _integer(request, "max_points", 1_000, 0, MOST_POINTS)
        rank = _rank(request)

        def read(connection: Connection) -> Response:
            run = _run(connection, account, request)
            metric = metric_series.find(connection, run, request.path_params["name"], rank)
            if metric is None:
                raise Problem(404, "this run has no such metric")
            if not most and metric.count > MOST_POINTS:
                parts = self._every_point(run, metric.name, rank)
                return StreamingResponse(parts, media_type="application/json", headers={"Cache-Control": "no-store"})
            found = points(metric_series.thinned(connection, metric, most))
            return encoded(request, {"points": found, "count": metric.count})

        return await self._store.read(read)

    def _every_point(self, run: int, name: str, rank: int | None) -> Iterator[bytes]:
        """The JSON of a long metric, part by part."""
        connection = connect_reader(self._store.path)
        try:
            connection.execute("BEGIN")
            metric = metric_series.find(connection, run, name, rank)
            if metric is None:
                return
            parts = metric_series.every_point(connection, metric)
            part = next(parts, None)
            # Which blobs there are was read in one moment, and full ones never change: a client that reads slowly holds
            # up nobody.
            connection.execute("ROLLBACK")
            yield b'{"points":['
            between = b""
            while part is not None:
                yield between + orjson.dumps(points(part))[1:-1]
                between = b","
                part = next(parts, None)
            yield b'],"count":%d}' % metric.count
        finally:
            connection.close()

    def _listed(self, connection: Connection, row: Row, now: float) -> dict[str, Any]:
        metrics = self._main_metrics(connection, row["number"])
        return {**views.run_fields(row, now), **views.ending(row), "metrics": metrics}

    def _main_metrics(self, connection: Connection, run: int) -> list[dict[str, Any]]:
        return [
            {"name": metric.name, "last": _last(metric), "line": self._line(connection, metric)}
            for metric in metric_series.main_metrics(connection, run, MAIN_METRICS)
        ]

    def _line(self, connection: Connection, metric: metric_series.Metric) -> str:
        """A metric's small line. One that grew by less than a line shows is drawn anew after a second only."""
        now = time.monotonic()
        (number,) = (row.number for row in metric.rows)
        count, drawn, line = self._lines.get(number, (0, 0.0, ""))
        if count == metric.count or (now - drawn < 1.0 and (metric.count - count) * POINTS < count):
            return line
        line = sparkline(metric_series.thinned(connection, metric, POINTS))
        self._lines[number] = (metric.count, now, line)
        while len(self._lines) > LINES_REMEMBERED:
            self._lines.popitem(last=False)
        return line


def _totals(metric: metric_series.Metric, of_all: metric_series.Metric, is_internal: bool) -> dict[str, Any]:
    totals: dict[str, Any] = {
        "name": metric.name,
        "count": metric.count,
        "last": _last(metric),
        "min": number(metric.low),
        "max": number(metric.high),
    }
    if len(of_all.rows) > 1:
        totals["ranks"] = of_all.ranks
    return {**totals, "internal": True} if is_internal else totals


def _last(metric: metric_series.Metric) -> float | str | None:
    # SQLite keeps a NaN as NULL, and a metric without points does not exist.
    return "NaN" if metric.last is None else number(metric.last)


def _run(connection: Connection, account: int, request: Request) -> int:
    found = views.run_number(connection, account, run_id(connection, account, request))
    if found is None:
        raise no_run()
    return found


def _page(request: Request, default: int) -> tuple[int, views.Cursor | None, str]:
    limit = _integer(request, "limit", default, 1, MOST_RUNS)
    text = request.query_params.get("before")
    try:
        before = views.Cursor.read(text) if text else None
    except ValueError:
        raise Problem(400, "before must be the cursor that an earlier answer gave as next") from None
    return limit, before, _text(request, "q")


def _one_word(request: Request, name: str, word: str) -> bool:
    """Whether a parameter is given that knows but one word."""
    given = request.query_params.get(name)
    if given not in (None, "", word):
        raise Problem(400, f"{name} can only be {word}")
    return bool(given)


def _integer(request: Request, name: str, default: T, low: int, high: int) -> int | T:
    text = request.query_params.get(name)
    if text is None or text == "":
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 18 or not low <= int(text) <= high:
        raise Problem(400, f"{name} must be a whole number from {low} to {high}")
    return int(text)


def _rank(request: Request) -> int | None:
    """The rank that is asked for; None for all together."""
    named = {"none": NO_RANK, "lowest": metric_series.LOWEST}.get(request.query_params.get("rank", ""))
    return _integer(request, "rank", None, 0, 2**53) if named is None else named


def _rank_name(rank: int) -> str:
    return "none" if rank == NO_RANK else str(rank)


def _step(request: Request, name: str, default: float) -> float:
    text = request.query_params.get(name)
    try:
        step = float(text) if text else default
    except ValueError:
        step = nan
    if isnan(step):
        raise Problem(400, f"{name} must be a step, a number")
    return step


def _text(request: Request, name: str) -> str:
    text = request.query_params.get(name, "")
    if len(text) > LONGEST_TEXT:
        raise Problem(400, f"{name} must have at most {LONGEST_TEXT} characters")
    return text


def _level(request: Request) -> int:
    text = request.query_params.get("level", "")
    if not text:
        return 0
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else level_number(text)
