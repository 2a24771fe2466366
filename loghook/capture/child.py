"""The command as a child process: what it gets as its terminal, its output and its session.

What is a terminal of ours becomes one of the child's own, what is not becomes a pipe; standard input stays ours unless
both it and the output are the terminal. With a terminal of its own the child leads a session, whose keys send their
signals there; with pipes it leads a process group. Either way a signal to our own group does not reach it by itself.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import termios
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from loghook.capture.terminal import copy_size, is_same_terminal, plain_output

__all__ = ["Child", "start"]

_STDIN, _STDOUT, _STDERR = 0, 1, 2
_PYTHONS_OWN = tuple(getattr(signal, name) for name in ("SIGPIPE", "SIGXFSZ") if hasattr(signal, name))
"""Signals that Python ignores, and a child must not."""


@dataclass
class Child:
    """A child process, seen from its parent."""

    pid: int
    outputs: dict[int, int]
    """By the descriptor to read from: the descriptor of ours, 1 or 2, that it stands for."""
    terminal: int | None
    """The other end of the child's controlling terminal, if it has one."""
    screens: dict[int, int] = field(default_factory=dict)
    """By the other end of each terminal of the child's: the terminal of ours that it stands for."""
    takes_keys: bool = False
    """Whether what is typed goes to `terminal`; otherwise the child reads our standard input itself."""


def start(
    command: Sequence[str],
    environ: Mapping[str, str],
    modes: Mapping[int, list[Any] | None],
    *,
    is_raw: bool,
    keys_are_ours: bool,
    split: bool,
) -> Child:
    """Start `command`, looked up in PATH.

    `modes` are those of our terminals, by descriptor, for the child's to begin with. `is_raw`: our terminal translates
    no newlines, so the child's does. `keys_are_ours`: our standard input is a terminal whose keys we pass on. `split`:
    standard error gets a terminal of its own even where it shares ours with standard output. Raises OSError if the
    command can't be started.
    """
    if not command[0]:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    plan = _Plan(modes, is_raw, keys_are_ours, split)
    try:
        plan.output(_STDOUT)
        plan.output(_STDERR)
        pid = os.posix_spawnp(
            command[0],
            list(command),
            dict(environ),
            file_actions=plan.actions,
            setsigdef=_PYTHONS_OWN,
            **plan.session,
        )
    except BaseException:
        plan.close(plan.outputs)
        raise
    finally:
        plan.close(plan.theirs)
    for fd in plan.outputs:
        os.set_blocking(fd, False)
    return Child(pid, plan.outputs, plan.terminal, plan.screens, plan.terminal is not None and keys_are_ours)


class _Plan:
    """What a child is to be given, collected before it is started."""

    def __init__(self, modes: Mapping[int, list[Any] | None], is_raw: bool, keys_are_ours: bool, split: bool) -> None:
        self._modes = modes
        self._is_raw = is_raw
        self._keys_are_ours = keys_are_ours
        self._split = split
        self.actions: list[Any] = []
        self.outputs: dict[int, int] = {}
        self.screens: dict[int, int] = {}
        self.theirs: list[int] = []
        self.terminal: int | None = None
        self.session: dict[str, Any] = {"setpgroup": 0}

    def output(self, fd: int) -> None:
        """Plan what stands for our descriptor `fd`, 1 or 2."""
        if fd == _STDERR and self.terminal is not None and not self._split and is_same_terminal(_STDOUT, _STDERR):
            self.actions.append((os.POSIX_SPAWN_DUP2, _STDOUT, fd))
        elif os.isatty(fd):
            self._screen(fd)
        else:
            ours, theirs = os.pipe()
            self.outputs[ours] = fd
            self.theirs.append(theirs)
            self.actions.append((os.POSIX_SPAWN_DUP2, theirs, fd))

    def _screen(self, fd: int) -> None:
        ours, theirs = os.openpty()
        self.outputs[ours] = fd
        self.screens[ours] = fd
        self.theirs.append(theirs)
        if before := self._modes[fd]:
            termios.tcsetattr(theirs, termios.TCSANOW, before)
        copy_size(fd, ours)
        if not self._is_raw:
            plain_output(theirs)
        if fd == _STDOUT:
            self.terminal = ours
            self.session = {"setsid": True}
            # The first terminal that the leader of a session opens becomes its own; so it is opened, not handed down.
            first = _STDIN if self._keys_are_ours else fd
            self.actions.append((os.POSIX_SPAWN_OPEN, first, os.ttyname(theirs), os.O_RDWR, 0))
            if first != fd:
                self.actions.append((os.POSIX_SPAWN_DUP2, first, fd))
        else:
            self.actions.append((os.POSIX_SPAWN_DUP2, theirs, fd))

    @staticmethod
    def close(fds: Any) -> None:
        """Close descriptors of ours."""
        for fd in fds:
            with contextlib.suppress(OSError):  # nothing is lost with it
                os.close(fd)
