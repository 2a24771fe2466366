"""The terminal that a command is run from: its modes, its size, and whose turn it is."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import struct
import termios
import tty
from typing import Any

__all__ = ["RawMode", "copy_size", "give_terminal", "is_foreground", "is_same_terminal", "modes", "plain_output"]

_SIZE = struct.Struct("HHHH")
_OUTPUT = 1
_IFLAG, _OFLAG = 0, 1


def is_foreground(fd: int) -> bool:
    """Whether our process group may read the terminal `fd`; one that does not control us takes no turns."""
    try:
        return os.tcgetpgrp(fd) == os.getpgrp()
    except OSError:
        return os.isatty(fd)


def is_same_terminal(one: int, other: int) -> bool:
    """Whether two descriptors are the same terminal."""
    try:
        return os.isatty(one) and os.isatty(other) and os.fstat(one).st_rdev == os.fstat(other).st_rdev
    except OSError:
        return False


def give_terminal(fd: int, group: int) -> bool:
    """Let a process group have the terminal `fd`; False where it is not ours to give."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTTOU])  # it stops one who does this from behind
    try:
        os.tcsetpgrp(fd, group)
        return True
    except OSError:
        return False
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def modes(fd: int) -> list[Any] | None:
    """Return the modes of a terminal, None where it has none to tell."""
    try:
        return termios.tcgetattr(fd)
    except termios.error:
        return None


def copy_size(source: int, target: int) -> bool:
    """Give one terminal the window size of another; False where it had that size, or none can be had."""
    try:
        size = fcntl.ioctl(source, termios.TIOCGWINSZ, bytes(_SIZE.size))
        if fcntl.ioctl(target, termios.TIOCGWINSZ, bytes(_SIZE.size)) == size:
            return False
        fcntl.ioctl(target, termios.TIOCSWINSZ, size)
        return True
    except OSError:
        return False


def plain_output(fd: int) -> None:
    """Let a terminal pass on what is written to it as it is: newlines are another's to translate."""
    attributes = termios.tcgetattr(fd)
    attributes[_OFLAG] &= ~termios.OPOST
    termios.tcsetattr(fd, termios.TCSANOW, attributes)


class RawMode:
    """Our own terminal while a command has one of its own: every key and every byte go through untouched."""

    def __init__(self, keys: int | None, screen: int) -> None:
        """`keys` is the terminal to read from, None if there is none; `screen` the one to write to."""
        self._keys = keys
        self._screen = screen
        self._saved: list[tuple[int, list[Any]]] = []

    @property
    def is_on(self) -> bool:
        """Whether the modes are changed at the moment."""
        return bool(self._saved)

    def enter(self) -> bool:
        """Change the modes, if the terminal is ours at the moment: one in the background must not."""
        if self._saved or not is_foreground(self._screen if self._keys is None else self._keys):
            return self.is_on
        try:
            self._saved.append((self._screen, termios.tcgetattr(self._screen)))
            plain_output(self._screen)
            if self._keys is not None:
                self._saved.append((self._keys, termios.tcgetattr(self._keys)))
                tty.setraw(self._keys, termios.TCSANOW)  # waits for nothing, and keeps what was typed ahead
        except termios.error:
            self.leave()
        return self.is_on

    def leave(self) -> None:
        """Put the modes back."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTTOU])
        while self._saved:
            fd, attributes = self._saved.pop()
            with contextlib.suppress(termios.error):  # the terminal is gone
                termios.tcsetattr(fd, termios.TCSANOW, attributes)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
