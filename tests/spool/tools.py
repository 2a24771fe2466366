"""What the tests of the spool share: numbered lines, logs, readers that check, and children that die."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from loghook.spool import Limits, Log, WriterSpool, repair, writers

SMALL = Limits(disk=1 << 20, memory=1 << 18, segment=4096)
"""Segments of 4 KiB, so that a few lines make a log roll over."""

META: dict[str, Any] = {"destinations": {"a": "", "b": ""}}

_NUMBER = re.compile(rb'\{"n":(\d+),')


class Readable(Protocol):
    """A log, from within or from outside."""

    def read(self, offset: int, max_bytes: int) -> bytes:
        """Return whole lines."""


def line(number: int, size: int = 0, *, precious: bool = False) -> bytes:
    """Return an event that carries a number, `size` bytes long if that is possible."""
    kind = b"metrics" if precious else b"message"
    short = b'{"n":%d,"%s":""}\n' % (number, kind)
    return short[:-3] + bytes([97 + number % 26]) * (size - len(short)) + short[-3:]


def numbers(data: bytes) -> list[int]:
    """Return the numbers of all events in `data`, which must be whole lines of strict JSON; blank ones are skipped."""
    assert b"\0" not in data
    assert not data or data.endswith(b"\n")
    events = [json.loads(text) for text in data.splitlines() if text.strip()]
    return [event["n"] for event in events if "n" in event]


def read_all(source: Readable, offset: int = 0, step: int = 1 << 16) -> bytes:
    """Return everything from `offset` on."""
    parts = []
    while data := source.read(offset, step):
        parts.append(data)
        offset += len(data)
    return b"".join(parts)


def open_log(home: Path, limits: Limits = SMALL, *, mapped: bool | None = True, **more: Any) -> Log:
    """Open a log of the run "run" under `home`."""
    return Log(home, "run", META, limits, mapped=mapped, **more)


def only(home: Path) -> WriterSpool:
    """Return the one writer's spool that is under `home`."""
    [spool] = writers(home)
    return spool


def claimed(spool: WriterSpool) -> WriterSpool:
    """Take a dead writer's spool, as a listener does: its lock first, then repair."""
    assert spool.lock.take()
    repair(spool.directory)
    spool.lock.release()
    return spool


def after_crash(home: Path, to: Path) -> WriterSpool:
    """Return the spool as it would be had its one writer died this moment."""
    shutil.copytree(home, to)
    return claimed(only(to))


def in_child(action: Callable[[Callable[[int], int]], object]) -> tuple[list[int], int]:
    """Run `action(say)` in a forked child; return the numbers that it said before its end, and its wait status."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.close(reading)
            action(lambda number: os.write(writing, b"%d\n" % number))
            status = 0
        except BaseException as error:
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = [int(text) for text in pipe.read().splitlines(keepends=True) if text.endswith(b"\n")]
    return said, os.waitpid(pid, 0)[1]


def die_at(step: int, action: Callable[[], object], *, opcodes: bool = False) -> None:
    """Run `action`, and kill this process with SIGKILL at its `step`-th line of Python (or bytecode)."""
    count = 0

    def trace(frame: Any, event: str, arg: object) -> Any:
        nonlocal count
        frame.f_trace_opcodes = opcodes
        if event == ("opcode" if opcodes else "line"):
            count += 1
            if count == step:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    sys.settrace(trace)
    try:
        action()
    finally:
        sys.settrace(None)


def killed(status: int) -> bool:
    """Whether a wait status says SIGKILL; anything else but a clean exit is an error."""
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0
    return False


def start(script: str, *arguments: object, **more: Any) -> subprocess.Popen[bytes]:
    """Start a Python process that runs `script`; its stdout is a pipe."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, **more)


@contextmanager
def no_growth(size: int = 0) -> Iterator[None]:
    """Let no file of this process grow beyond `size` bytes, as on a full disk, in this block."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
