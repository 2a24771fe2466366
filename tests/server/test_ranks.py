"""Metrics that several ranks of one run log: joined, one by one, and side by side."""

from __future__ import annotations

import math
import sqlite3
from array import array
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from loghook.server.parsed import Points
from loghook.server.store import Store, series
from loghook.server.store.points import CHUNK, Columns
from loghook.server.store.schema import NO_RANK, SCRIPTS

NOW = 1_763_740_000.0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An open store."""
    opened = Store(tmp_path / "test.db")
    yield opened
    opened.close()


@pytest.fixture
def run(client: Any) -> Any:
    """A client of a server with a run of three ranks, and one writer that told of none."""
    for rank in (2, 0, 1, None):
        about = {"pid": 100} if rank is None else {"pid": 100, "rank": rank}
        steps = [
            {"time": NOW + step, "message": "", "step": step, "metrics": {"loss": 10.0 * (rank or 0) + step}}
            for step in range(3)
        ]
        if rank is None:
            steps = [{"time": NOW, "message": "", "metrics": {"alone": 1.0}}]
        started = {"time": NOW, "event": "writer_started", "writer": about}
        client.send([started, *steps], writer=f"w{rank}")
    return client


def values(points: list[list[float]]) -> list[float]:
    """Return the values of points."""
    return [value for _, _, value in points]


def test_all_ranks_together(run: Any) -> None:
    """Without a word about ranks all points come, by step and time, and the totals are those of all."""
    found = run.read("/runs/run/series", name="loss")["series"]["loss"]
    assert values(found["points"]) == [0, 10, 20, 1, 11, 21, 2, 12, 22]
    assert found["count"] == 9
    assert run.read("/runs/run/metrics/loss", max_points=0) == found
    alone, loss = run.read("/runs/run/metrics")["metrics"]
    assert loss == {"name": "loss", "count": 9, "last": 22.0, "min": 0.0, "max": 22.0, "ranks": [0, 1, 2]}
    assert "ranks" not in alone
    assert run.read("/runs/run")["counts"]["metrics"] == 2


@pytest.mark.parametrize(("rank", "expected"), [("0", [0, 1, 2]), ("2", [20, 21, 22])])
def test_one_rank(run: Any, rank: str, expected: list[float]) -> None:
    """`rank` asks for one rank's points."""
    found = run.read("/runs/run/series", name="loss", rank=rank)["series"]["loss"]
    assert (values(found["points"]), found["count"]) == (expected, 3)
    assert values(run.read("/runs/run/metrics/loss", rank=rank)["points"]) == expected


def test_writers_without_a_rank(run: Any) -> None:
    """`rank=none` asks for what came from writers that told of none."""
    found = run.read("/runs/run/series", name=["loss", "alone"], rank="none")["series"]
    assert {name: values(metric["points"]) for name, metric in found.items()} == {"alone": [1.0]}
    assert run.get("/runs/run/metrics/loss", rank="none").status_code == 404
    assert run.get("/runs/run/metrics/loss", rank="7").status_code == 404


def test_the_lowest_rank(run: Any) -> None:
    """`rank=lowest` asks for each metric's lowest rank, and the totals may be asked for in the same way."""
    found = run.read("/runs/run/series", name=["loss", "alone"], rank="lowest")["series"]
    assert {name: values(metric["points"]) for name, metric in found.items()} == {"alone": [1.0], "loss": [0, 1, 2]}
    alone, loss = run.read("/runs/run/metrics", rank="lowest")["metrics"]
    assert (alone["last"], loss["last"], loss["max"], loss["count"], loss["ranks"]) == (1.0, 2.0, 2.0, 3, [0, 1, 2])
    (loss,) = run.read("/runs/run/metrics", rank="1")["metrics"]
    assert (loss["last"], loss["ranks"]) == (12.0, [0, 1, 2])


def test_a_rank_goes_before_writers_without_one(run: Any) -> None:
    """The lowest rank of a metric that a writer without a rank logs too is a rank."""
    run.send([{"time": NOW, "message": "", "metrics": {"loss": -1.0}}], writer="launcher")
    assert values(run.read("/runs/run/metrics/loss", rank="lowest")["points"]) == [0, 1, 2]
    assert run.read("/runs/run/metrics")["metrics"][1]["ranks"] == [None, 0, 1, 2]


def test_each_rank_apart(run: Any) -> None:
    """`by=rank` gives each rank's points under its rank."""
    found = run.read("/runs/run/series", name=["loss", "alone"], by="rank")["series"]
    assert {rank: values(one["points"]) for rank, one in found["loss"]["ranks"].items()} == {
        "0": [0, 1, 2], "1": [10, 11, 12], "2": [20, 21, 22],
    }  # fmt: skip
    assert found["loss"]["count"] == 9
    assert list(found["alone"]["ranks"]) == ["none"]


@pytest.mark.parametrize("query", [{"rank": "-1"}, {"rank": "x"}, {"by": "writer"}])
def test_what_makes_no_sense_is_refused(run: Any, query: dict[str, str]) -> None:
    """A rank is a number or "none", and points are told apart by rank alone."""
    assert run.get("/runs/run/series", name="loss", **query).status_code == 400


def test_a_part_of_all_ranks(run: Any) -> None:
    """A range of steps has what all ranks logged in it, and a point on either side."""
    found = run.read("/runs/run/series", name="loss", **{"from": 1, "to": 1})["series"]["loss"]
    assert values(found["points"]) == [20, 1, 11, 21, 2]


def test_the_list_shows_the_lowest_rank(run: Any) -> None:
    """The overview has each metric once, with the last value of its lowest rank."""
    (row,) = run.read("/overview")["runs"]
    assert [(metric["name"], metric["last"]) for metric in row["metrics"]] == [("loss", 2.0), ("alone", 1.0)]


def test_steps_that_nobody_gave_are_counted_for_each_rank(client: Any) -> None:
    """Ranks that log without steps have the same steps, each its own."""
    for rank in (0, 1):
        started = {"time": NOW, "event": "writer_started", "writer": {"rank": rank}}
        client.send(
            [started, *({"time": NOW, "message": "", "metrics": {"m": 1.0}} for _ in range(3))], writer=f"w{rank}"
        )
    found = client.read("/runs/run/series", name="m", by="rank")["series"]["m"]["ranks"]
    assert {rank: [step for step, _, _ in one["points"]] for rank, one in found.items()} == {
        "0": [0, 1, 2],
        "1": [0, 1, 2],
    }


def test_long_metrics_of_several_ranks(store: Store) -> None:
    """However many points ranks have, joined they come by step, thinned with every spike, and whole."""
    count = 2 * CHUNK + 300
    for rank in (NO_RANK, 0, 5):
        points = [(float(step), float(step) + rank / 10, math.sin(step / 50) + rank) for step in range(count)]
        points[77 * (rank + 2)] = (*points[77 * (rank + 2)][:2], 100.0 + rank)
        columns = Points(*(list(column) for column in zip(*points, strict=True)))
        store.writer.run(partial(add, store, rank, {"m": columns}))
    with store.reading() as connection:
        metric = series.find(connection, 1, "m")
        assert metric is not None
        assert (metric.ranks, metric.count, metric.high) == ([None, 0, 5], 3 * count, 105.0)
        whole = list(series.thinned(connection, metric, 0))
        parts = Columns()
        for part in series.every_point(connection, metric):
            parts.extend(part)
        thinned = list(series.thinned(connection, metric, 300))
    assert list(parts) == whole == sorted(whole, key=lambda point: point[:2])
    assert len(whole) == 3 * count
    assert len(thinned) <= 300
    assert {99.0, 100.0, 105.0} <= {value for _, _, value in thinned}


def add(store: Store, rank: int, points: dict[str, Points], connection: sqlite3.Connection) -> None:
    """Store points of a rank of run 1, on the writer's thread."""
    store.metrics.add(connection, 1, rank, points)


def test_points_of_an_older_version_are_kept(tmp_path: Path) -> None:
    """Points of a database from before ranks were told apart are those of writers that told of none."""
    path = tmp_path / "old.db"
    connection = sqlite3.connect(path)
    for script in SCRIPTS[:4]:
        connection.executescript(script)
    connection.execute("INSERT INTO meta VALUES ('id', 'abcd1234')")
    connection.execute("INSERT INTO metrics VALUES (7, 1, 'm', 2, 1, 1, 20, 0.5, 0.25, 0.5, 0)")
    packed = Columns(array("d", (0.0, 1.0)), array("d", (10.0, 20.0)), array("d", (0.25, 0.5))).packed()
    connection.execute("INSERT INTO open_points VALUES (?, ?)", (7 << 32, packed))
    connection.execute("PRAGMA user_version=4")
    connection.commit()
    connection.close()
    store = Store(path)
    store.writer.run(
        lambda connection: store.metrics.add(connection, 1, NO_RANK, {"m": Points([None], [30.0], [0.75])})
    )
    with store.reading() as reader:
        metric = series.find(reader, 1, "m")
        assert metric is not None
        assert list(series.thinned(reader, metric, 0)) == [(0.0, 10.0, 0.25), (1.0, 20.0, 0.5), (2.0, 30.0, 0.75)]
        assert (metric.ranks, metric.count, metric.last, metric.low) == ([None], 3, 0.75, 0.25)
    store.close()


def ranks_after_upgrade(path: Path, writers: list[int | None], version: int = 4) -> Store:
    """Open a store of an older version with a metric of two points and a run whose writers told of these ranks."""
    connection = sqlite3.connect(path)
    for script in SCRIPTS[:version]:
        connection.executescript(script)
    connection.execute("INSERT INTO meta VALUES ('id', 'abcd1234')")
    for number, rank in enumerate(writers, start=1):
        connection.execute(
            "INSERT INTO writers VALUES (?, 1, ?, 100, 0, 7, 'box', ?, 20)", (number, f"w{number}", rank)
        )
    for number, name in ((7, "m"), (8, "n")):
        mark = "-1, " if version > 4 else ""
        connection.execute(
            f"INSERT INTO metrics VALUES (?, 1, ?, {mark}2, 1, 1, 20, 0.5, 0.25, 0.5, 0)", (number, name)
        )
        packed = Columns(array("d", (0.0, 1.0)), array("d", (10.0, 20.0)), array("d", (0.25, 0.5))).packed()
        connection.execute("INSERT INTO open_points VALUES (?, ?)", (number << 32, packed))
    if version > 4:  # what came between the two upgrades
        connection.execute("INSERT INTO metrics VALUES (9, 1, 'n', 3, 1, 0, 0, 30, 0.75, 0.75, 0.75, 0)")
    connection.execute(f"PRAGMA user_version={version}")
    connection.commit()
    connection.close()
    return Store(path)


@pytest.mark.parametrize("version", [4, 6])
def test_a_run_of_one_rank_goes_on_after_an_upgrade(tmp_path: Path, version: int) -> None:
    """Points of before the upgrade and of after it are one metric, of the rank of the run's writers."""
    store = ranks_after_upgrade(tmp_path / "old.db", [3, 3], version)
    store.writer.run(lambda connection: store.metrics.add(connection, 1, 3, {"m": Points([None], [30.0], [0.75])}))
    with store.reading() as reader:
        metric = series.find(reader, 1, "m", series.LOWEST)
        assert metric is not None
        assert list(series.thinned(reader, metric, 0)) == [(0.0, 10.0, 0.25), (1.0, 20.0, 0.5), (2.0, 30.0, 0.75)]
        assert [metric.ranks for metric in series.listed(reader, 1)] == [[3], [3] if version == 4 else [None, 3]]
    store.close()


@pytest.mark.parametrize("writers", [[0, 1], [0, None], [None, None], []])
def test_metrics_of_several_ranks_stay_without_one(tmp_path: Path, writers: list[int | None]) -> None:
    """Where a run's writers do not all have one rank nobody knows whose the older points are."""
    store = ranks_after_upgrade(tmp_path / "old.db", writers)
    with store.reading() as reader:
        assert [metric.ranks for metric in series.listed(reader, 1)] == [[None], [None]]
    store.close()
