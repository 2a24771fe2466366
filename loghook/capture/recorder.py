"""`Recorder`: lines of output as records of a run, and in its local log file."""

from __future__ import annotations

import logging
import time

import orjson

from loghook.capture.logfile import LogFile
from loghook.redaction import NONE, PrivateKey, Redaction
from loghook.run import Run

__all__ = ["LEVELS", "Recorder"]

LEVELS = {"stdout": logging.INFO, "stderr": logging.ERROR}
"""The level of a stream's records."""

_BATCH = 32 * 1024


class Recorder:
    """Puts lines into a run's spool and its log file; either may be missing. Never raises, waits for nothing."""

    def __init__(self, run: Run | None, file: LogFile | None = None, redaction: Redaction | None = None) -> None:
        """`redaction` replaces secrets; without it the run's does."""
        self._run = run
        self._redaction = redaction or (run.redaction if run else NONE)
        self._blocks: dict[str, PrivateKey] = {}
        self.file = file

    def lines(self, stream: str, lines: list[str], thread: str = "") -> None:
        """Record lines of "stdout" or "stderr", written by the thread of that name ("": of no interest)."""
        if not lines:
            return
        lines = self._clean(stream, lines)
        if self.file:
            self.file.write(lines)
        level = LEVELS[stream]
        if self._run is None or level < self._run.settings.level:
            return
        head = b'{"time":%.6f,"level":"%s","logger":"%s","message":' % (
            time.time(),
            logging.getLevelName(level).encode(),
            stream.encode(),
        )
        tail = b',"stream":"%s"%s}\n' % (stream.encode(), b',"thread":' + _text(thread) if thread else b"")
        events, size = [], 0
        for line in lines:
            event = head + _text(line) + tail
            events.append(event)
            size += len(event)
            if size > _BATCH:
                self._put(events)
                events, size = [], 0
        self._put(events)

    def to_file(self, lines: list[str]) -> None:
        """Put lines into the log file alone."""
        if self.file:
            self.file.write(self._clean("", lines))

    def _clean(self, stream: str, lines: list[str]) -> list[str]:
        """Return lines with their secrets replaced; of a private key that is printed only the first is left."""
        if self._redaction is NONE:
            return lines
        block = self._blocks.setdefault(stream, PrivateKey())
        return self._redaction.lines(block.taken_out(lines))

    def _put(self, events: list[bytes]) -> None:
        """Put several events at once: a copy into the spool costs as much for one."""
        assert self._run is not None
        if events and not self._run.spool.put(b"".join(events)):
            for _ in events[1:]:
                self._run.spool.log.drop()

    def flush(self) -> None:
        """Let readers of the log file see what was written."""
        if self.file:
            self.file.flush()


def _text(text: str) -> bytes:
    """Return text as JSON; what is no character, a lone surrogate, as an escape that can be read."""
    try:
        return orjson.dumps(text)
    except TypeError:
        return orjson.dumps(text.encode("utf-8", "backslashreplace").decode())
