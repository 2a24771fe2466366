"""Events into the store, exactly once: the one way in, for batches from the network and for spools of this machine.

Each writer has a number, the offset in its log that its next batch should begin at. It moves in the transaction that
stores the batch. So what comes again is known by its offset and skipped, and a hole is refused with the offset that
was expected, unless the writer says that it has nothing older any more.
"""

from __future__ import annotations

import logging
import re
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass

from loghook.server.events import MOST_NAMES, parse, refused
from loghook.server.parsed import Parsed
from loghook.server.store import Store, gone, logs, messages, rows, runs

__all__ = ["MAX_LINES", "Gap", "Ingest", "Malformed", "Stored", "TooLarge"]

logger = logging.getLogger("loghook.server")

MAX_LINES = 200_000
"""Lines in a batch, blank ones not counted."""

RUN = re.compile(r"[A-Za-z0-9._-]{1,128}")
WRITER = re.compile(r"[A-Za-z0-9._-]{1,64}")
LARGEST_OFFSET = 2**62


class Malformed(ValueError):
    """The request makes no sense as a batch; the message says why."""


class TooLarge(ValueError):
    """The batch is over a limit; a smaller part of it would do."""


class Gap(Exception):
    """The batch begins beyond the offset that the store expects."""

    def __init__(self, expected: int) -> None:
        super().__init__(f"expected offset {expected}")
        self.expected = expected


@dataclass(frozen=True, slots=True)
class Stored:
    """Everything below `offset` is stored, but for the lines set aside: (index in the body, reason)."""

    offset: int
    set_aside: tuple[tuple[int, str], ...] = ()


class Ingest:
    """Takes batches.

    Args:
        store: where they go.
        clock: this machine's clock, epoch seconds.
    """

    def __init__(self, store: Store, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock

    def events(
        self,
        account: int,
        run: str,
        writer: str,
        offset: int,
        body: bytes,
        *,
        first: int | None = None,
        sent: float | None = None,
    ) -> Stored:
        """Store a batch; returns once it is on the disk. Call it from any thread but the store's.

        Args:
            account: the number of the account that owns the run.
            run: the run's id.
            writer: the writer's id.
            offset: where the body begins in the writer's log, in bytes.
            body: whole lines.
            first: the oldest byte that the writer still has; a batch that begins there is taken even beyond a gap.
            sent: the sender's clock when it sent, epoch seconds.

        Raises:
            Malformed, TooLarge, Gap, sqlite3.Error, Closed: nothing of the batch was stored.
        """
        self._check(run, writer, offset, body)
        parsed = _parsed(body)

        def job(connection: sqlite3.Connection) -> Stored | int:
            return self._store_batch(connection, account, run, writer, offset, body, parsed, first, sent)

        # An exception that a job raises is in a circle with its future, and keeps the batch until the garbage collector
        # comes by. Gaps come as often as a client likes, so a job returns them.
        stored = self._store.writer.run(job)
        if isinstance(stored, int):
            raise Gap(stored)
        return stored

    def append(
        self, account: int, run: str, writer: str, body: bytes, *, digest: bytes | None, source: str, time: float
    ) -> bool:
        """Store what a sender that counts no offsets sent: its offset is counted here. Returns once it is on the disk.

        Args:
            account, run, writer: as for `events`.
            body: whole lines.
            digest: what tells this message from all others of its run; None where a repetition does no harm.
            source: the protocol that it came by.
            time: when it was sent, by the sender's clock, epoch seconds; what its lines are about may be older.

        Returns false when the message was stored before: its sender never got the answer. Raises as `events`.
        """
        self._check(run, writer, 0, body)
        parsed = _parsed(body)
        parsed.earliest = parsed.latest = time

        def job(connection: sqlite3.Connection) -> bool:
            now = self._clock()
            found = runs.find_writer(connection, account, run, writer)
            if found is None:
                left = gone.find(connection, account, run, writer)
                if left is not None and left.closed:
                    self._throw_away(connection, left, left.expected + len(body), body)
                    return True
                found = runs.make_writer(connection, account, run, writer, min(time, now), source)
                found = gone.resume(connection, left, found) if left else found
            if digest is not None and not messages.remember(connection, found.run, digest):
                return False
            self._take(connection, found, found.expected, body, parsed, sent=time, now=now)
            return True

        return self._store.writer.run(job)

    def expected(self, account: int, run: str, writer: str) -> int:
        """Return the offset that a writer's next batch should begin at. Raises sqlite3.Error."""
        with self._store.reading() as connection:
            found = runs.find_writer(connection, account, run, writer) or gone.find(connection, account, run, writer)
        return found.expected if found else 0

    @staticmethod
    def _check(run: str, writer: str, offset: int, body: bytes) -> None:
        if not RUN.fullmatch(run):
            raise Malformed("a run id is 1 to 128 letters, digits, dots, underscores and dashes")
        if not WRITER.fullmatch(writer):
            raise Malformed("a writer id is 1 to 64 letters, digits, dots, underscores and dashes")
        if not 0 <= offset <= LARGEST_OFFSET:
            raise Malformed("offset must be a number of bytes, 0 or more")
        if body and not body.endswith(b"\n"):
            raise Malformed("the body must be whole lines: its last byte is no newline")
        if body.count(b"\n") > MAX_LINES and len(body.split()) > MAX_LINES:
            raise TooLarge(f"a batch has at most {MAX_LINES} lines")

    def _store_batch(
        self,
        connection: sqlite3.Connection,
        account: int,
        run: str,
        writer: str,
        offset: int,
        body: bytes,
        parsed: Parsed,
        first: int | None,
        sent: float | None,
    ) -> Stored | int:
        """Stores a batch; returns the offset that is expected, and stores nothing, where it begins beyond that."""
        found = runs.find_writer(connection, account, run, writer)
        left = gone.find(connection, account, run, writer) if found is None else None
        expected = found.expected if found else left.expected if left else 0
        end = offset + len(body)
        if end <= expected:
            return Stored(expected)
        if left is not None and left.closed:
            self._throw_away(connection, left, end, body)
            return Stored(end)
        skipped = 0
        if offset < expected:
            skipped = body.count(b"\n", 0, expected - offset)
            body = body[expected - offset :]
            parsed = parse(body)
        elif offset > expected and offset != first:
            return expected
        now = self._clock()
        if found is None:
            start = min(parsed.earliest, now)
            found = runs.make_writer(connection, account, run, writer, start)
            found = gone.resume(connection, left, found) if left else found
        self._take(connection, found, max(offset, expected), body, parsed, sent=sent, now=now)
        return Stored(end, tuple((skipped + bad.index, bad.reason) for bad in parsed.set_aside))

    @staticmethod
    def _throw_away(connection: sqlite3.Connection, left: gone.Gone, offset: int, body: bytes) -> None:
        """Takes what a writer of a run that was deleted goes on to send."""
        if not left.discarded:
            logger.warning(
                "writer %s of run %s goes on, which was deleted: what it sends is thrown away", left.writer, left.run
            )
        gone.discard(connection, left, offset, sum(1 for line in body.splitlines() if line.strip()))

    def _take(
        self,
        connection: sqlite3.Connection,
        writer: runs.Writer,
        offset: int,
        body: bytes,
        parsed: Parsed,
        *,
        sent: float | None,
        now: float,
    ) -> None:
        """Stores lines that begin at an offset, which is the one that is expected or lies behind a gap."""
        self._write(connection, writer, offset, parsed)
        if parsed.latest >= parsed.earliest:
            runs.seen(connection, writer, parsed.earliest, parsed.latest, sent, now)
        runs.moved(connection, writer, offset + len(body), offset - writer.expected, len(parsed.set_aside))

    def _write(self, connection: sqlite3.Connection, writer: runs.Writer, offset: int, parsed: Parsed) -> None:
        for index, event in parsed.events:
            try:
                runs.apply(connection, writer, event)
            except runs.TooMuch as error:
                parsed.set_aside.append(refused(index, event, str(error)))
            except (TypeError, ValueError, OverflowError) as error:
                # A writer would send it again for ever, and never get past it.
                logger.error("an event of run %s cannot be applied: %r", writer.run, error, exc_info=error)
                parsed.set_aside.append(refused(index, event, f"the server failed at it: {type(error).__name__}"))
        if parsed.records:
            count = logs.add(connection, writer.run, writer.number, parsed.records)
            self._store.words.add(connection, writer.run, count, parsed.records.texts)
        if parsed.points:
            rank = runs.rank(connection, writer)
            new = self._store.metrics.add(connection, writer.run, rank, parsed.points)
            if new:
                connection.execute("UPDATE runs SET metrics = metrics + ? WHERE number = ?", (new, writer.run))
        flat: list[object] = []
        for bad in parsed.set_aside:
            flat.extend((writer.run, writer.number, offset, bad.index, bad.reason, bad.line, bad.length))
        rows.insert(
            connection,
            "INSERT INTO set_aside (run, writer, batch_offset, line_index, reason, line, length)",
            7,
            flat,
        )


def _parsed(body: bytes) -> Parsed:
    parsed = parse(body)
    # Each new name costs the thread that writes for all accounts some 20 us.
    if len(parsed.points) > MOST_NAMES:
        raise TooLarge(f"a batch has metrics of at most {MOST_NAMES} names")
    return parsed
