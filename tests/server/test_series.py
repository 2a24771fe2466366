"""Points of metrics, written in batches of any size and order, read whole and thinned; against a simple model."""

from __future__ import annotations

import itertools
import random
from array import array
from collections.abc import Iterator
from math import isfinite
from pathlib import Path
from sqlite3 import Connection

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loghook.server.parsed import Points
from loghook.server.store import Store, series
from loghook.server.store.points import CHUNK, PART, Columns
from loghook.server.store.schema import NO_RANK

RUNS = itertools.count(1)
Batch = list[tuple[float | None, float, float]]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An open store."""
    opened = Store(tmp_path / "test.db")
    yield opened
    opened.close()


def write(store: Store, run: int, batch: Batch, name: str = "m") -> None:
    """Store a batch of points."""
    steps, times, values = ([point[part] for point in batch] for part in range(3))
    points = {name: Points(steps, times, values)}  # type: ignore[arg-type]
    store.writer.run(lambda connection: store.metrics.add(connection, run, NO_RANK, points))


def read(store: Store, run: int, most: int = 0) -> list[tuple[float, float, float]]:
    """Return a metric's points."""
    with store.reading() as connection:
        return list(series.thinned(connection, found(connection, run), most))


def found(connection: Connection, run: int) -> series.Metric:
    """Return a metric's totals."""
    metric = series.find(connection, run, "m")
    assert metric is not None
    return metric


def batches(seed: int, sizes: list[int], disorder: float) -> list[Batch]:
    """Return batches whose steps ascend, but for some."""
    chance = random.Random(seed)
    step = 0
    made: list[Batch] = []
    for size in sizes:
        batch: Batch = []
        for _ in range(size):
            step += 1
            odd = chance.random() < disorder
            batch.append((float(chance.randrange(step) if odd else step), float(step), chance.gauss(0, 1)))
        made.append(batch)
    return made


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**32),
    sizes=st.lists(st.sampled_from([1, 1, 2, 5, 100, 700, CHUNK - 1, CHUNK, 2500]), min_size=1, max_size=10),
    disorder=st.sampled_from([0.0, 0.01, 1.0]),
    forgetful=st.booleans(),
)
def test_model(store: Store, seed: int, sizes: list[int], disorder: float, forgetful: bool) -> None:
    """Every point is there, by step, then time, then arrival, and the totals are those of all points."""
    run = next(RUNS)
    model: Batch = []
    for batch in batches(seed, sizes, disorder):
        write(store, run, batch)
        model += batch
        if forgetful:
            store.writer.run(lambda connection: store.metrics.forget())
    expected = sorted(model, key=lambda point: (point[0], point[1]))
    assert read(store, run) == expected
    with store.reading() as connection:
        metric = found(connection, run)
        parts = [point for part in series.every_point(connection, metric) for point in part]
    assert parts == expected
    values = [value for _, _, value in expected]
    assert (metric.count, metric.last, metric.low, metric.high) == (
        len(values), values[-1], min(values), max(values),
    )  # fmt: skip


def test_open_blobs_stay_few(store: Store) -> None:
    """After any number of small batches a metric has at most a dozen blobs that are not full."""
    for step in range(3000):
        write(store, 1, [(float(step), float(step), 0.0)])
        if step % 250 == 0:
            with store.reading() as connection:
                (blobs,) = connection.execute("SELECT count(*) FROM open_points").fetchone()
            assert blobs <= 12


def test_rollback(store: Store) -> None:
    """What was undone is not remembered."""
    write(store, 1, [(1.0, 1.0, 1.0)])

    def fail(connection: Connection) -> None:
        store.metrics.add(connection, 1, NO_RANK, {"m": Points([None], [2.0], [2.0])})
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        store.writer.run(fail)
    write(store, 1, [(None, 3.0, 3.0)])
    assert read(store, 1) == [(1.0, 1.0, 1.0), (2.0, 3.0, 3.0)]


@pytest.mark.parametrize("disorder", [0.0, 0.3])
def test_outline(store: Store, disorder: float) -> None:
    """A metric too long to be read whole is thinned from summaries; each spike, the ends and the gaps survive."""
    count = (500 + PART + 3) * CHUNK + 77
    chance = random.Random(5)
    points: Batch = []
    for step in range(count):
        at = chance.randrange(step + 1) if chance.random() < disorder else step
        points.append((float(at), float(step), chance.random()))
    spikes = [count // 3, count - 10, 12345]
    for index in spikes:
        points[index] = (points[index][0], points[index][1], 99.0 + index)
    points[count // 2] = (points[count // 2][0], points[count // 2][1], float("nan"))
    for start in range(0, count, 100_000):
        write(store, 1, points[start : start + 100_000])
    thinned = read(store, 1, 1000)
    assert len(thinned) <= 1000
    assert thinned == sorted(thinned, key=lambda point: point[:2])
    assert {points[index] for index in spikes} <= set(thinned)
    assert sum(1 for point in thinned if not isfinite(point[2])) == 1
    ordered = sorted(points, key=lambda point: (point[0], point[1]))  # type: ignore[arg-type,return-value]
    assert (thinned[0], thinned[-1]) == (ordered[0], ordered[-1])
    again = read(store, 1, 1000)
    assert [repr(point) for point in again] == [repr(point) for point in thinned]


@given(st.lists(st.tuples(*[st.floats(allow_nan=False)] * 3), max_size=50))
def test_packed(points: list[tuple[float, float, float]]) -> None:
    """What is packed is unpacked the same."""
    columns = Columns(*(array("d", [point[part] for point in points]) for part in range(3)))
    assert list(Columns.unpacked(columns.packed())) == points
