"""`Supervisor`: runs one command to its end, passes everything on, and lets somebody else see its output.

Bytes go to our own terminal or pipe first and unchanged. Signals that reach us alone are passed on: SIGINT, SIGQUIT and
SIGHUP, which a terminal sends to a whole group, to the command's group, the others to the command itself. What the
terminal signals by a key reaches the command through its own terminal, and not through us.

A command without a terminal of its own gets ours when it reads from it or changes it, and not before: another program
in the same pipe, a pager say, may want it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import socket
import termios
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import FrameType

from loghook.capture import child
from loghook.capture.output import write_all
from loghook.capture.terminal import RawMode, copy_size, give_terminal, is_foreground, modes

__all__ = ["Ended", "Supervisor"]

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_TO_GROUP = (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
_OURS = (signal.SIGWINCH, signal.SIGTSTP, signal.SIGCONT, signal.SIGCHLD)
_PASSED_ON = (*_ENDING, signal.SIGUSR1, signal.SIGUSR2, *_OURS)
_GRACE = 0.5
"""Seconds that what the command has started and left behind may still write, if it holds on to the output."""
_TICK = 0.25
_PIECE = 64 * 1024
_KEYS = 4096
_STDIN, _STDOUT, _STDERR = 0, 1, 2
_LFLAG, _CC = 3, 6


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code or the signal it died of, and the signal that had asked it to end."""

    code: int
    signal: int
    asked: str

    @property
    def exit_code(self) -> int:
        """The exit code as shells have it: 128+n after signal n."""
        return 128 + self.signal if self.signal else self.code

    @property
    def outcome(self) -> tuple[str, str]:
        """The run's status and the reason for it."""
        name = signal.Signals(self.signal).name if self.signal else ""
        if self.signal in _ENDING:
            return "stopped", name
        if self.exit_code - 128 in _ENDING:
            return "stopped", self.asked or signal.Signals(self.code - 128).name
        if self.exit_code and self.asked:
            return "stopped", self.asked
        return ("failure", name or f"exit code {self.code}") if self.exit_code else ("success", "")


class Supervisor:
    """One command under supervision; belongs on the main thread, since it handles signals."""

    def __init__(
        self,
        command: Sequence[str],
        environ: Mapping[str, str],
        captured: Callable[[int, bytes], None],
        idle: Callable[[], None],
        *,
        split: bool = False,
    ) -> None:
        """`captured` gets each piece of output, of descriptor 1 or 2; `idle` is called a few times a second.

        `split` gives standard error a terminal of its own where it shares one with standard output.
        """
        self._command = command
        self._environ = environ
        self._captured = captured
        self._idle = idle
        self._split = split
        self._keys_are_ours = os.isatty(_STDIN) and os.isatty(_STDOUT)
        self._raw = RawMode(_STDIN if self._keys_are_ours else None, _STDOUT) if os.isatty(_STDOUT) else None
        self._arrived: list[int] = []
        self._typed = b""
        self._gone: set[int] = set()
        self._asked = ""
        self._status: int | None = None
        self._deadline = 0.0
        self._lent: int | None = None
        self._child: child.Child

    def run(self) -> Ended:
        """Run the command. Raises OSError if it can't be started."""
        with self._signals() as bell, contextlib.ExitStack() as stack:
            before = {fd: modes(fd) for fd in (_STDOUT, _STDERR)}
            if self._raw:
                stack.callback(self._raw.leave)
                self._raw.enter()
            self._child = child.start(
                self._command,
                self._environ,
                before,
                is_raw=bool(self._raw and self._raw.is_on),
                keys_are_ours=self._keys_are_ours,
                split=self._split,
            )
            stack.callback(self._take_back)
            stack.callback(self._close)
            while not self._is_over():
                self._step(bell)
            self._drain()
        assert self._status is not None
        code = os.waitstatus_to_exitcode(self._status)
        return Ended(max(code, 0), max(-code, 0), self._asked)

    def _is_over(self) -> bool:
        return self._status is not None and (not self._child.outputs or time.monotonic() >= self._deadline)

    def _step(self, bell: socket.socket) -> None:
        reading: list[int] = [bell.fileno(), *self._child.outputs]
        terminal = self._child.terminal
        if self._child.takes_keys and self._raw and self._raw.is_on and len(self._typed) < _KEYS:
            reading.append(_STDIN)
        writing = [terminal] if self._typed and terminal is not None else []
        ready, writable, _ = select.select(reading, writing, [], _TICK)
        if bell.fileno() in ready:
            bell.recv(4096)
        if writable:
            self._type()
        for fd in ready:
            if fd == _STDIN:
                self._read_keys()
            elif fd in self._child.outputs:
                self._pass_on(fd)
        self._heed()
        self._reap()
        self._idle()

    # ---------------------------------------------------------------- output

    def _pass_on(self, fd: int) -> bool:
        """Pass on one piece of output; False when there is none at the moment."""
        try:
            data = os.read(fd, _PIECE)
        except BlockingIOError:
            return False
        except OSError:  # a terminal that nobody has open any more
            data = b""
        target = self._child.outputs[fd]
        if not data:
            self._forget(fd)
            return False
        if target not in self._gone:
            try:
                write_all(target, data)
            except OSError:
                self._gone.add(target)
                if fd not in self._child.screens:
                    self._forget(fd)  # so that the command learns of it, by SIGPIPE, as it would without us
        self._captured(target, data)
        return True

    def _forget(self, fd: int) -> None:
        del self._child.outputs[fd]
        if fd not in self._child.screens:
            os.close(fd)

    def _drain(self) -> None:
        """Pass on what lies ready in the pipes of a command that has ended, and no more."""
        for fd in list(self._child.outputs):
            budget = 64
            while budget and fd in self._child.outputs and self._pass_on(fd):
                budget -= 1

    def _close(self) -> None:
        for fd in {*self._child.outputs, *self._child.screens}:
            os.close(fd)

    # ---------------------------------------------------------------- keys

    def _read_keys(self) -> None:
        try:
            data = os.read(_STDIN, _KEYS)
        except OSError:
            data = b""
        if not data:
            self._child.takes_keys = False
            return
        self._typed += self._special(data)
        self._type()

    def _special(self, data: bytes) -> bytes:
        """Notice the keys that interrupt and suspend; return what is left to type.

        A session of its own has no shell that could wake it, so the kernel does not stop it: we do, and ourselves.
        """
        terminal = self._child.terminal
        assert terminal is not None
        theirs = termios.tcgetattr(terminal)
        if not theirs[_LFLAG] & termios.ISIG:
            return data
        interrupt, suspend = theirs[_CC][termios.VINTR], theirs[_CC][termios.VSUSP]
        if interrupt in data:
            self._asked = "SIGINT"
        if suspend in data and self._foreground() == self._child.pid and _has_shell():
            data = data.replace(suspend, b"")
            self._suspend()
        return data

    def _foreground(self) -> int:
        """Return the process group in the foreground of the child's terminal."""
        assert self._child.terminal is not None
        try:
            answer = fcntl.ioctl(self._child.terminal, termios.TIOCGPGRP, bytes(4))
        except OSError:
            return 0
        return int.from_bytes(answer, "little")

    def _type(self) -> None:
        terminal = self._child.terminal
        assert terminal is not None
        try:
            self._typed = self._typed[os.write(terminal, self._typed) :]
        except BlockingIOError:
            return
        except OSError:
            self._typed = b""

    # ---------------------------------------------------------------- signals

    @contextlib.contextmanager
    def _signals(self) -> Iterator[socket.socket]:
        """Take the signals that are passed on, but for those that are ignored; yields what wakes the loop."""
        bell, clapper = socket.socketpair()
        bell.setblocking(False)
        clapper.setblocking(False)
        before = {}
        wakeup = signal.set_wakeup_fd(clapper.fileno(), warn_on_full_buffer=False)
        try:
            for number in _PASSED_ON:
                if number == signal.SIGCHLD or signal.getsignal(number) is not signal.SIG_IGN:
                    before[number] = signal.signal(number, self._arrive)
            yield bell
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(wakeup)
            bell.close()
            clapper.close()

    def _arrive(self, number: int, frame: FrameType | None) -> None:
        self._arrived.append(number)

    def _heed(self) -> None:
        while self._arrived:
            number = self._arrived.pop(0)
            if number == signal.SIGWINCH:
                self._resize()
            elif number == signal.SIGTSTP:
                if _has_shell():  # as the kernel has it: who can't be woken is not stopped
                    self._suspend(alone=True)
            elif number == signal.SIGCONT:
                self._go_on()
            elif number != signal.SIGCHLD:
                self._send(number)

    def _send(self, number: int) -> None:
        if number in _ENDING:
            self._asked = signal.Signals(number).name
            if self._status is not None:  # somebody can't wait for those who were left behind
                self._deadline = 0.0
        if self._status is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):  # it has ended, or it is another user's now
                (os.killpg if number in _TO_GROUP else os.kill)(self._child.pid, number)

    def _resize(self) -> None:
        told = False
        for ours, screen in self._child.screens.items():
            changed = copy_size(screen, ours)
            told = told or (changed and ours == self._child.terminal)
        if not told:  # a terminal whose size changes tells its processes by itself
            self._send(signal.SIGWINCH)

    # ---------------------------------------------------------------- stopping and going on

    def _reap(self) -> None:
        while self._status is None:
            pid, status = os.waitpid(self._child.pid, os.WNOHANG | os.WUNTRACED)
            if not pid:
                return
            if os.WIFSTOPPED(status):
                self._stopped(os.WSTOPSIG(status))
            else:
                self._status = status
                self._deadline = time.monotonic() + _GRACE

    def _stopped(self, number: int) -> None:
        """The command was stopped: by its key, or because it wants the terminal."""
        if self._child.terminal is not None:
            return
        if number in (signal.SIGTTIN, signal.SIGTTOU) and self._lend():
            os.killpg(self._child.pid, signal.SIGCONT)
        elif number in (signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU) and _has_shell():
            self._suspend()

    def _suspend(self, *, alone: bool = False) -> None:
        """Stop the command and our own job, for the shell to take over; SIGCONT brings both back.

        `alone`: whoever else is in the job has been told to stop already.
        """
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._child.pid, signal.SIGSTOP)
        if self._raw:
            self._raw.leave()
        self._take_back()
        if alone:
            os.kill(os.getpid(), signal.SIGSTOP)
        else:
            os.killpg(os.getpgrp(), signal.SIGSTOP)

    def _go_on(self) -> None:
        if self._raw:
            self._raw.enter()
        self._resize_silently()
        if self._status is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._child.pid, signal.SIGCONT)

    def _resize_silently(self) -> None:
        for ours, screen in self._child.screens.items():
            copy_size(screen, ours)

    def _lend(self) -> bool:
        """Let the command's group have the terminal that controls us. False if it is not our turn, or it has it."""
        if self._lent is not None:
            return False
        try:
            fd = os.open("/dev/tty", os.O_RDWR)
        except OSError:
            return False
        if is_foreground(fd) and give_terminal(fd, self._child.pid):
            self._lent = fd
            return True
        os.close(fd)
        return False

    def _take_back(self) -> None:
        if self._lent is not None:
            give_terminal(self._lent, os.getpgrp())
            os.close(self._lent)
            self._lent = None


def _has_shell() -> bool:
    """Whether our parent is one that can wake us: in our session, and outside our process group."""
    try:
        return os.getsid(os.getppid()) == os.getsid(0) and os.getpgid(os.getppid()) != os.getpgrp()
    except OSError:
        return False
