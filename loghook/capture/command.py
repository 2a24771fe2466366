"""A command as a run: `loghook run`."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence

from loghook.capture.lines import LONGEST, Decoder, Lines
from loghook.capture.logfile import LogFile
from loghook.capture.recorder import Recorder
from loghook.capture.supervisor import Supervisor
from loghook.run import Run
from loghook.waiting import waiting

__all__ = ["Streams", "run_command"]

NAMES = {1: "stdout", 2: "stderr"}


class Streams:
    """The output of a command, descriptor by descriptor, on its way to a recorder."""

    def __init__(self, recorder: Recorder, longest: int = LONGEST) -> None:
        self._recorder = recorder
        self._streams = {fd: (Decoder(), Lines(longest=longest)) for fd in NAMES}

    def feed(self, fd: int, data: bytes) -> None:
        """Take a piece of what was written to descriptor 1 or 2."""
        decode, lines = self._streams[fd]
        self._recorder.lines(NAMES[fd], lines.feed(decode(data)))

    def tick(self) -> None:
        """Record the states of progress lines that are due."""
        for fd, (_, lines) in self._streams.items():
            self._recorder.lines(NAMES[fd], lines.due())
        self._recorder.flush()

    def end(self) -> None:
        """Record what is left."""
        for fd, (decode, lines) in self._streams.items():
            self._recorder.lines(NAMES[fd], lines.feed(decode(b"", final=True)) + lines.end())
        self._recorder.flush()


@contextlib.contextmanager
def streams_of(run: Run) -> Iterator[Streams]:
    """The streams that a run records; while they are open it says nothing, for the terminal is the command's."""
    try:
        file = LogFile(run.settings.home, run.name, time.time())
    except OSError:
        file = None  # the spool will say what is wrong with the home folder
    streams = Streams(Recorder(run, file), min(LONGEST, max(run.settings.message_limit // 8, 1)))
    before, run.voice.quiet = run.voice.quiet, True
    try:
        yield streams
    finally:
        run.voice.quiet = before
        streams.end()
        if file:
            file.close()
            if file.complaint:
                run.voice.say(file.complaint, about="log file")


def run_command(command: Sequence[str], run: Run, environ: Mapping[str, str], *, split: bool = False) -> int:
    """Run `command`, record what it writes, end `run` as it ends; return the exit code, 128+n after signal n.

    `environ` is the command's environment. `split` gives standard error a terminal of its own where it shares one with
    standard output: its lines are then told apart, but may change places with others on the screen. Raises OSError if
    the command can't be started.
    """
    status, reason = "failure", ""
    try:
        with streams_of(run) as streams:
            ended = Supervisor(command, environ, streams.feed, streams.tick, split=split).run()
        status, reason = ended.outcome
        return ended.exit_code
    except OSError as error:
        reason = f"{command[0]}: {error.strerror}"
        raise
    finally:
        run.end(status, reason=reason)
        finish(run)


def finish(run: Run) -> None:
    """Deliver what a run has, in the shutdown timeout, and let go of it."""
    try:
        run.close()
    except KeyboardInterrupt:
        run.close(0.0)
    waiting.tell()
    run.spool.close()
