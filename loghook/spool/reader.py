"""Reading a writer's log, from any process, while it is being written or long after."""

from __future__ import annotations

import contextlib
import itertools
import os
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loghook.spool import layout
from loghook.spool.acks import Acks
from loghook.spool.segment import HEADER, parse_header

__all__ = ["LogReader", "WriterSpool", "whole_lines", "writers"]

_LOOK = 64 * 1024


def whole_lines(data: bytes) -> bytes:
    """Return the part of `data` that is whole lines: up to the last newline in front of the first zero byte."""
    zero = data.find(b"\0")
    return data[: data.rfind(b"\n", 0, zero if zero >= 0 else len(data)) + 1]


@dataclass(frozen=True, slots=True)
class _Piece:
    base: int
    path: Path


class LogReader:
    """The segments of one writer's directory as one sequence of bytes, addressed by offset.

    Several threads may share one: no file is kept open, and the list of segments is replaced, never changed.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._pieces: list[_Piece] = []

    def refresh(self) -> list[_Piece]:
        """Look at the directory again; return its segments in use, by offset.

        Raises OSError when a segment can't be opened: leaving one out would look as if it had been deleted.
        """
        known = {piece.path: piece for piece in self._pieces}
        pieces = []
        for path in _segment_files(self.directory):
            piece = known.get(path) or _piece(path)
            if piece:
                pieces.append(piece)
        pieces.sort(key=lambda piece: piece.base)
        if any(one.base == other.base for one, other in itertools.pairwise(pieces)):
            # An empty segment, left behind for one with more room, has the base of the one that follows it.
            pieces.sort(key=lambda piece: (piece.base, not _is_empty(piece.path)))
        self._pieces = pieces
        return pieces

    @property
    def known(self) -> list[_Piece]:
        """The segments in use as they were seen last."""
        return self._pieces

    @property
    def first(self) -> int:
        """The oldest offset that is still on disk; 0 for an empty log."""
        pieces = self.refresh()
        return pieces[0].base if pieces else 0

    def end(self) -> int:
        """Return the offset after the last whole line on disk."""
        pieces = self.refresh()
        if not pieces:
            return 0
        try:
            data = pieces[-1].path.read_bytes()[HEADER:]
        except FileNotFoundError:
            return pieces[-1].base
        stop = data.rfind(b"\n") + 1
        while stop and b"\0" in data[(start := data.rfind(b"\n", 0, stop - 1) + 1) : stop]:
            stop = start
        return pieces[-1].base + stop

    def read(self, offset: int, max_bytes: int) -> bytes:
        """Return whole lines from `offset` on, at most `max_bytes` or one line that is longer; b"" for nothing (yet).

        Raises LookupError when `offset` lies before what is still on disk, OSError when a file can't be read.
        """
        if data := _read_at(self._pieces, offset, max_bytes):
            return data
        pieces = self.refresh()
        if pieces and offset < pieces[0].base:
            pieces = self.refresh()  # of files that come while it is read a large folder may show the later ones alone
        if pieces and offset < pieces[0].base:
            raise LookupError(f"offset {offset} is gone: {self.directory} begins at {pieces[0].base}")
        return _read_at(pieces, offset, max_bytes)


def _segment_files(directory: Path) -> list[Path]:
    try:
        with os.scandir(directory) as entries:
            return [directory / entry.name for entry in entries if entry.name.endswith(".seg")]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _piece(path: Path) -> _Piece | None:
    try:
        with path.open("rb", buffering=0) as file:
            base = parse_header(file.read(HEADER))
    except FileNotFoundError:
        return None
    return None if base is None else _Piece(base, path)


def _is_empty(path: Path) -> bool:
    with contextlib.suppress(FileNotFoundError), path.open("rb", buffering=0) as file:
        file.seek(HEADER)
        while data := file.read(_LOOK):
            if data.strip(b"\0"):
                return False
    return True


def _read_at(pieces: list[_Piece], offset: int, max_bytes: int) -> bytes:
    at = bisect_right(pieces, offset, key=lambda piece: piece.base) - 1
    if at < 0:
        return b""
    try:
        file = pieces[at].path.open("rb", buffering=0)
    except FileNotFoundError:
        return b""
    with file:
        position, size = offset - pieces[at].base + HEADER, max(max_bytes, 1)
        raw = os.pread(file.fileno(), size, position)
        lines = whole_lines(raw)
        while not lines and len(raw) == size and b"\0" not in raw:  # one line that is longer than what was asked for
            size = max(size * 2, _LOOK)
            raw = os.pread(file.fileno(), size, position)
            lines = whole_lines(raw[: raw.find(b"\n") + 1])
        return lines


class WriterSpool:
    """One writer's spool on disk, as any process sees it."""

    def __init__(self, directory: Path, meta: dict[str, Any]) -> None:
        self.directory = directory
        self.meta = meta
        self.run = directory.parent.name
        self.writer = directory.name
        self.lock = layout.Lock(directory / "lock")
        self.acks = Acks(directory)
        self._log = LogReader(directory)

    def __repr__(self) -> str:
        return f"WriterSpool({str(self.directory)!r})"

    @property
    def destinations(self) -> dict[str, str]:
        """Every destination's id and its URL; "local" has an empty one."""
        found = self.meta.get("destinations")
        return {str(k): str(v) for k, v in found.items()} if isinstance(found, dict) else {}

    @property
    def first(self) -> int:
        """The oldest offset that is still there."""
        return self._log.first

    def alive(self) -> bool:
        """Whether a living process holds this spool: its writer, or one that delivers it.

        Where the file system has no locks only a process of this machine that is gone is known to be dead.
        """
        held = self.lock.held()
        return not self._is_gone() if held is None else held

    def _is_gone(self) -> bool:
        pid = self.meta.get("pid")
        if self.meta.get("host") != os.uname().nodename or not isinstance(pid, int):
            return False
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        except (OSError, OverflowError):
            return False
        return False

    def read(self, offset: int, max_bytes: int) -> bytes:
        """Return whole lines from `offset` on; b"" for nothing (yet). LookupError if that part is gone."""
        return self._log.read(offset, max_bytes)

    def end(self) -> int:
        """Return the offset after the last whole line."""
        return self._log.end()

    @property
    def in_memory(self) -> int:
        """None: what is here is on disk."""
        return 0

    def acknowledged(self, destination: str) -> int:
        """Return the offset below which `destination` has everything."""
        return self.acks.get(destination).offset

    def acknowledge(self, destination: str, offset: int, *, events: int = 0, refused: int = 0) -> None:
        """Say that `destination` has everything below `offset`, `events` events more than before."""
        self.acks.move(destination, offset, events=events, refused=refused)

    def skip(self, destination: str, offset: int) -> None:
        """Say that `destination` goes on at `offset`: what was in front of it is gone."""
        self.acks.move(destination, offset, events=0)

    def complete(self) -> bool:
        """Whether every destination has everything that is there, and refused none of it: nothing here is needed."""
        if (self.directory / "refused.ndjson").exists():
            return False
        end = self.end()
        return all(self.acknowledged(destination) >= end for destination in self.destinations)

    def tidy(self) -> None:
        """Delete the segments that every destination has, but never the last one."""
        delete_acknowledged(self._log, min((self.acknowledged(d) for d in self.destinations), default=0))

    def remove(self) -> None:
        """Delete the whole directory: for a dead writer whose every event is delivered."""
        layout.delete(self.directory)
        try:
            self.directory.parent.rmdir()
        except OSError:
            return  # the run has other writers


def delete_acknowledged(log: LogReader, offset: int) -> list[Path]:
    """Delete the segments of `log` that end at or below `offset`; return their paths. The last one stays."""
    pieces = log.refresh()
    gone = []
    for piece, following in itertools.pairwise(pieces):
        if following.base <= offset:
            piece.path.unlink(missing_ok=True)
            gone.append(piece.path)
    return gone


def writers(home: Path) -> Iterator[WriterSpool]:
    """Yield every writer's spool under `home`, run by run."""
    root = layout.spool_root(home)
    try:
        runs = sorted(os.scandir(root), key=lambda entry: entry.name)
    except OSError:
        return
    for run in runs:
        yield from run_writers(home, run.name)


def run_writers(home: Path, run: str) -> Iterator[WriterSpool]:
    """Yield the spools of one run."""
    try:
        entries = sorted(
            entry.name for entry in os.scandir(layout.spool_root(home) / run) if not entry.name.startswith(".")
        )
    except OSError:
        return
    for name in entries:
        directory = layout.spool_root(home) / run / name
        meta = layout.read_meta(directory)
        if meta is None and layout.is_damaged(directory):
            meta = {"destinations": {layout.LOCAL: ""}}  # where it was bound for nobody knows: it is shown here
        if meta is not None:
            yield WriterSpool(directory, meta)
