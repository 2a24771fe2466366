"""What one writer has on Polyaxon 2, and what is held of it: its log in chunks, its metrics in files.

Polyaxon keeps no offsets, so we keep a marker for each writer in the run's meta_info:

    "loghook-WRITER": {"offset": X, "rank", "owner", "series": {FILE: [METRIC, LINES]}}

X is where the metrics' files were complete: each had so many lines. It moves after the files, and the batch is
acknowledged after it. Whoever goes on after a crash sends events again from an acknowledged offset that is X or lies
behind or before it; points below X are passed over, and of each file what is beyond its lines is taken off before more
is written. So a point is there once, whatever was interrupted. A file is in the marker before it is first written.

Lines of the log go into chunks, files that are named by the offset of their first line. After a crash lines are cut
into chunks where they were before, so that each chunk replaces the one of its name. For that, an offset is acknowledged
only where a chunk ends: when nothing is held at all.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .events import Said, stamp
from .names import metric_file
from .refusals import Refusals
from .series import Series

__all__ = ["Chunk", "Writer", "marker_name"]

CLOCK_WENT_BACK = 5.0


def marker_name(writer: str) -> str:
    """The name of a writer's marker in meta_info."""
    return f"loghook-{writer}"


@dataclass(slots=True)
class Chunk:
    """Lines of the log, each with the offset of its event; once `tried` no more come to it.

    So a request that was given up and gets through late after all changes nothing.
    """

    lines: list[tuple[int, bytes]] = field(default_factory=list)
    size: int = 0
    tried: bool = False

    def add(self, start: int, line: bytes) -> None:
        """Append the line of the event at `start`."""
        self.lines.append((start, line))
        self.size += len(line)

    def name(self, writer: str) -> str:
        """Its file's name."""
        return f"{writer}-{self.lines[0][0]:015d}.jsonl"

    def content(self) -> bytes:
        """Its file's content."""
        return b"".join(line for _, line in self.lines)

    def halves(self) -> tuple[Chunk, Chunk]:
        """Two chunks of half the lines each."""
        middle = len(self.lines) // 2
        return _chunk(self.lines[:middle]), _chunk(self.lines[middle:])


class Writer:
    """One writer of one run: `cursor` is how far it is read, `safe` how far all is there, `told` how far we said so."""

    def __init__(self, name: str, offset: int, marker: Mapping[str, Any], chunks: Iterable[str]) -> None:
        self.name = name
        self.cursor = self.safe = self.told = offset
        self.marked = offset
        self.rank = marker.get("rank")
        self.owner = marker.get("owner") is True
        self.series: dict[str, Series] = {}
        self.chunks: list[Chunk] = []
        self.refused = Refusals()
        self._files: set[str] = set()
        self._last_time = 0.0
        if isinstance(marker.get("offset"), int):
            self.marked = marker["offset"]
        for file, entry in dict(marker.get("series") or {}).items():
            self._take(Series(str(entry[0]), str(file), int(entry[1])))
        starts = (re.fullmatch(rf"{re.escape(name)}-(\d{{15}})\.jsonl", chunk) for chunk in chunks)
        self._cuts = {int(start[1]) for start in starts if start}

    @property
    def suffix(self) -> str:
        """What sets this writer's metric files apart from the owner's; none for the owner's own."""
        if self.owner:
            return ""
        return f"rank{self.rank}" if isinstance(self.rank, int) else self.name

    @property
    def held(self) -> list[Series]:
        """The metrics that have points to send."""
        return [series for series in self.series.values() if series.is_due]

    def marker(self) -> dict[str, Any]:
        """The marker as it is when everything held is sent."""
        series = {one.file: [one.name, one.total] for one in self.series.values() if one.fetched}
        series.update({one.file: [one.name, one.count] for one in self.series.values() if not one.fetched})
        return {"offset": self.cursor, "rank": self.rank, "owner": self.owner, "series": series}

    def announcement(self) -> dict[str, Any]:
        """The marker as it is before anything held is sent, with the files that are new."""
        series = {one.file: [one.name, one.count] for one in self.series.values()}
        return {"offset": self.marked, "rank": self.rank, "owner": self.owner, "series": series}

    def add(self, said: Said, place: Mapping[str, str]) -> None:
        """Hold the points and the line of an event. `place` is what a line says of where it is from."""
        if said.writer is not None:
            self.rank = said.writer.get("rank")
        if said.run is not None:
            self.owner = True
        if said.start >= self.marked:
            for name, value in said.points.items():
                series = self.series.get(name) or self._new(name)
                series.add(said.start, said.step, said.time, value)
        if said.text is not None:
            self._line(said, place)

    def _new(self, name: str) -> Series:
        return self._take(Series(name, metric_file(name, self._files, self.suffix)))

    def _take(self, series: Series) -> Series:
        self._files.add(series.file)
        self.series[series.name] = series
        return series

    def _line(self, said: Said, place: Mapping[str, str]) -> None:
        time = said.time
        if time <= self._last_time < time + CLOCK_WENT_BACK:
            time = self._last_time + 1e-6
        self._last_time = time
        entry = {"timestamp": stamp(time, "T"), **place, "value": f"{said.level} {said.logger} -- {said.text}"}
        if not self.chunks or self.chunks[-1].tried or said.start in self._cuts:
            self.chunks.append(Chunk())
        line = json.dumps(entry, ensure_ascii=False).encode() + b"\n"
        self.chunks[-1].add(said.start, line)


def _chunk(lines: list[tuple[int, bytes]]) -> Chunk:
    return Chunk(lines, sum(len(line) for _, line in lines))
