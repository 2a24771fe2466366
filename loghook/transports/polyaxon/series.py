"""A metric's file: its whole history, kept small in memory, and what its platform shows of it. Pure.

    step|timestamp|metric
    1|2026-11-21 16:30:16.113759+00:00|0.5

A point without a step gets the one after the highest so far, from 0. A history is kept compressed, about 15 bytes a
point, so that a file that the server lost half of in a crash can be written again.
"""

from __future__ import annotations

import math
import zlib
from typing import Any

from .events import stamp

__all__ = ["HEADER", "Series"]

HEADER = b"step|timestamp|metric\n"


class _Packed:
    """Text that only grows, compressed as it comes."""

    def __init__(self) -> None:
        self._packer = zlib.compressobj(1)
        self._data = bytearray()
        self.size = 0

    def add(self, text: bytes) -> None:
        self._data += self._packer.compress(text)
        self.size += len(text)

    def text(self) -> bytes:
        rest = self._packer.copy().flush()
        return zlib.decompress(bytes(self._data) + rest)


class Series:
    """One metric's points: those that are safe in its file on the platform, and those that are held for the next time.

    `name` is the metric's own, `file` that of its file, without ending. `count` are the points that are safe: lines of
    the file, which may have more after a crash. `announced` says whether that number comes from the marker: without one
    whatever the file has is somebody else's and stays. `fetched` says whether those points are here.
    """

    def __init__(self, name: str, file: str, count: int | None = None) -> None:
        self.name = name
        self.file = file
        self.count = count or 0
        self.announced = count is not None
        self.fetched = False
        self.missing = 0
        self.sent = False
        self._safe = _Packed()
        self._held: list[tuple[int, bytes]] = []
        self._waiting: list[tuple[int, float | None, float, float]] = []
        self._steps: list[float] = []
        self._times: list[str] = []
        self._low = math.inf
        self._high = -math.inf
        self._sum = 0.0
        self._last = math.nan
        self._finite = 0

    @property
    def is_due(self) -> bool:
        """Whether there is something to send."""
        return bool(self._held or self._waiting)

    @property
    def total(self) -> int:
        """All points, the held ones too."""
        return self.count + len(self._held) + len(self._waiting)

    @property
    def size(self) -> int:
        """Bytes of the points that are safe."""
        return self._safe.size

    @property
    def held_size(self) -> int:
        """Bytes of the points that are held, about."""
        return 50 * (len(self._held) + len(self._waiting))

    def fetch(self, text: bytes | None) -> None:
        """Take over the file as the platform has it (None: it has none), as far as it is known to be safe."""
        lines = (text or b"").splitlines(keepends=True)[1:]
        lines = [line for line in lines if line.endswith(b"\n")]
        if self.announced:
            lines = lines[: self.count]
            self.missing = self.count - len(lines)
        self.count = len(lines)
        for line in lines:
            step, time, value = ([*line.decode("utf-8", "replace").rstrip("\n").split("|"), "", ""])[:3]
            self._note(_float(step), time, _float(value))
        self._safe.add(b"".join(lines))
        self.fetched = True
        waiting, self._waiting = self._waiting, []
        for point in waiting:
            self._hold(*point)

    def add(self, start: int, step: float | None, time: float, value: float) -> None:
        """Hold one point, of the event at `start`."""
        self.sent = False
        if self.fetched:
            self._hold(start, step, time, value)
        else:
            self._waiting.append((start, step, time, value))

    def content(self, held: int | None = None) -> bytes:
        """The whole file, with the first `held` points of those that are held, or all."""
        return b"".join([HEADER, self._safe.text(), *(line for _, line in self._held[:held])])

    def cut(self, held: int) -> list[int]:
        """Give up all that is held but the first `held` points; where the events of the others start."""
        starts = [start for start, _ in self._held[held:]]
        del self._held[held:]
        return starts

    def settle(self) -> None:
        """What was held is safe now."""
        self.count += len(self._held)
        self._safe.add(b"".join(line for _, line in self._held))
        self._held.clear()

    @property
    def last(self) -> float | None:
        """The last value, None when it is no finite number."""
        return _finite(self._last)

    def summary(self) -> dict[str, Any]:
        """What the platform keeps beside the file; nulls for what no number is there."""
        mean = self._sum / self._finite if self._finite else None
        return {
            "is_event": True,
            "step": {"count": self.total, **dict(zip(("min", "max"), self._steps, strict=False))},
            "timestamp": dict(zip(("min", "max"), self._times, strict=False)),
            "metric": {
                "count": float(self.total),
                "mean": mean,
                "min": _finite(self._low),
                "max": _finite(self._high),
                "last": self.last,
            },
        }

    def _hold(self, start: int, step: float | None, time: float, value: float) -> None:
        if step is None:
            step = math.floor(self._steps[1]) + 1 if self._steps else 0
        written = str(int(step)) if step == int(step) else repr(float(step))
        text = stamp(time)
        self._held.append((start, f"{written}|{text}|{float(value)!r}\n".encode()))
        self._note(step, text, float(value))

    def _note(self, step: float, time: str, value: float) -> None:
        """Keep the summary up to date; times in one format sort as text."""
        if math.isfinite(step):
            self._steps = [min(step, self._steps[0]), max(step, self._steps[1])] if self._steps else [step, step]
        if time:
            self._times = [min(time, self._times[0]), max(time, self._times[1])] if self._times else [time, time]
        self._last = value
        if math.isfinite(value):
            self._finite += 1
            self._sum += value
            self._low, self._high = min(self._low, value), max(self._high, value)


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
