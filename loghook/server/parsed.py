"""What a body of event lines holds once it is parsed, in columns: the database takes it so, and it is few objects."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Parsed", "Points", "Records", "SetAside"]


@dataclass(slots=True)
class Records:
    """Records in their order, as columns of equal length: level numbers, loggers' names, lines, and texts.

    texts: what can be searched of each, its message, and its exception where it has one.
    """

    levels: list[int] = field(default_factory=list)
    loggers: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.lines)

    def add(self, level: int, logger: str, line: str, text: str) -> None:
        """Add one at the end."""
        self.levels.append(level)
        self.loggers.append(logger)
        self.lines.append(line)
        self.texts.append(text)

    def extend(self, levels: list[int], loggers: list[str], lines: list[str], texts: list[str]) -> None:
        """Add some at the end."""
        self.levels += levels
        self.loggers += loggers
        self.lines += lines
        self.texts += texts


@dataclass(slots=True)
class Points:
    """Points of one metric in the order in which they were logged; a step of None is to be counted by the store."""

    steps: list[float | None] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def add(self, step: float | None, time: float, value: float) -> None:
        """Add one at the end."""
        self.steps.append(step)
        self.times.append(time)
        self.values.append(value)

    def extend(self, steps: Iterable[float | None], times: Iterable[float], values: Iterable[float]) -> None:
        """Add some at the end."""
        self.steps.extend(steps)
        self.times.extend(times)
        self.values.extend(values)


@dataclass(frozen=True, slots=True)
class SetAside:
    """A line that was not stored: its index in the body (blank lines count), why, its head and its length in bytes."""

    index: int
    reason: str
    line: bytes
    length: int


@dataclass(slots=True)
class Parsed:
    """What a body holds: records, points by metric name, events of the run's life, and what cannot be stored."""

    records: Records = field(default_factory=Records)
    points: dict[str, Points] = field(default_factory=dict)
    events: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    set_aside: list[SetAside] = field(default_factory=list)
    earliest: float = float("inf")
    latest: float = float("-inf")
