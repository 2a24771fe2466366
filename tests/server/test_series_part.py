"""A part of a metric, by steps, against a list that is filtered."""

from __future__ import annotations

import random
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from pathlib import Path

import pytest

from loghook.server.parsed import Points
from loghook.server.store import Store, series
from loghook.server.store.points import CHUNK, Columns
from loghook.server.store.schema import NO_RANK

Point = tuple[float, float, float]
COUNT = 6 * CHUNK + 321


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store with two metrics: one whose steps ascend by three, one whose steps come in disorder and repeat."""
    opened = Store(Path(tmp_path_factory.mktemp("part")) / "test.db")
    chance = random.Random(3)
    write(opened, "ordered", [3.0 * i for i in range(COUNT)])
    write(opened, "disordered", [float(chance.randrange(COUNT)) for _ in range(COUNT)])
    yield opened
    opened.close()


def write(store: Store, name: str, steps: list[float]) -> None:
    """Store points with these steps, a second apart, in batches."""
    for start in range(0, len(steps), 700):
        part = [*steps[start : start + 700]]
        times = [float(start + i) for i in range(len(part))]
        points = {name: Points(part, times, [time * 2 for time in times])}  # type: ignore[arg-type]
        store.writer.run(lambda connection, points=points: store.metrics.add(connection, 1, NO_RANK, points))


def read(store: Store, name: str, low: float, high: float, most: int = 0) -> list[Point]:
    """Return a part of a metric."""
    with store.reading() as connection:
        metric = series.find(connection, 1, name)
        assert metric is not None
        return list(series.within(connection, metric, low, high, most))


def everything(store: Store, name: str) -> list[Point]:
    """Return a metric's points, in order."""
    with store.reading() as connection:
        metric = series.find(connection, 1, name)
        assert metric is not None
        whole = Columns()
        for part in series.every_point(connection, metric):
            whole.extend(part)
        return list(whole)


@pytest.mark.parametrize("name", ["ordered", "disordered"])
def test_a_part_is_what_lies_in_it_and_a_neighbour_on_either_side(store: Store, name: str) -> None:
    """Any range of steps gives the points in it, in order, and one more on each side where there is one."""
    whole = everything(store, name)
    steps = [step for step, _, _ in whole]
    chance = random.Random(5)
    for _ in range(150):
        low, high = sorted(chance.uniform(-50, steps[-1] + 50) for _ in range(2))
        if chance.random() < 0.3:
            high = low
        first, last = max(0, bisect_left(steps, low) - 1), bisect_right(steps, high) + 1
        part = read(store, name, low, high)
        # Among points of one step it does not matter which of them is the neighbour.
        assert [step for step, _, _ in part] == steps[first:last]
        inside = [point for point in whole if low <= point[0] <= high]
        assert [point for point in part if low <= point[0] <= high] == inside


def test_a_part_is_thinned_like_the_whole(store: Store) -> None:
    """A wide part has at most as many points as asked for, its ends and its extremes among them."""
    part = read(store, "ordered", 300, 12_000)
    thinned = read(store, "ordered", 300, 12_000, 100)
    assert len(thinned) <= 100
    assert (thinned[0], thinned[-1]) == (part[0], part[-1])
    values = [value for _, _, value in part]
    assert {min(values), max(values)} <= {value for _, _, value in thinned}


def test_an_empty_part_has_its_neighbours_only(store: Store) -> None:
    """A range between two points gives these two; one behind all points gives the last."""
    assert [step for step, _, _ in read(store, "ordered", 3.5, 5.5)] == [3.0, 6.0]
    assert [step for step, _, _ in read(store, "ordered", 1e9, 2e9)] == [3.0 * (COUNT - 1)]
