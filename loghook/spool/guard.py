"""What keeps a program alive whose mapped file somebody else has cut short.

Writing to a memory map beyond the end of its file raises SIGBUS, which ends the program. The same goes for a page that
the disk can't give back, and for one that a copy-on-write file system has no room for. Nothing in Python can help: a
handler of the `signal` module runs only once the faulting instruction is through, which it never is. A look at the
file's size before each write would be a system call, and too early still. File leases and seals do not go with a file
that others read.

So the handler is machine code, some fifty instructions (`handler_code`). Where the address lies in one of our maps it
puts an empty page there, counts, and has the instruction tried again; the keeper finds the count and writes the lines
to a file anew (`rescue`). Any other SIGBUS goes to the handler that was there before, or ends the program as ever. It
touches no Python, no GIL and no library, and runs only where the program would otherwise be over.

Linux on x86-64 and aarch64, glibc or musl. Elsewhere, where the system forbids code that came from no file (SELinux's
execmem, say), and once other code has put a handler of its own in front, there is no guard: what is left is the
keeper's look at the files, every flush interval.
"""

from __future__ import annotations

import mmap
import os
import struct
import sys

from loghook.spool.handler_code import CODE, DATA, HEAD, SLOT, SLOTS
from loghook.threads import importing

__all__ = ["Guard", "guard"]


class Guard:
    """The handler, installed for the life of this process, and the maps that it looks after.

    A forked child has a copy of both. Raises OSError, AttributeError or KeyError where there can be none.
    """

    def __init__(self) -> None:
        """Install the handler in front of the one that there is."""
        code = CODE[os.uname().machine]
        if sys.platform != "linux" or struct.calcsize("P") != 8:
            raise OSError("no guard for this system")
        with importing():
            import ctypes
        self._ctypes = ctypes
        private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        self._pages = mmap.mmap(-1, 2 * mmap.PAGESIZE, flags=private)  # never unmapped
        at = self._address(self._pages)
        data = at + mmap.PAGESIZE
        self._words = memoryview(self._pages)[mmap.PAGESIZE : 2 * mmap.PAGESIZE].cast("Q")
        self._words[1] = mmap.PAGESIZE
        self._free = list(range(SLOTS))
        self._pages[: len(code)] = code.replace(DATA, struct.pack("<Q", data))
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mprotect(ctypes.c_void_p(at), ctypes.c_size_t(mmap.PAGESIZE), mmap.PROT_READ | mmap.PROT_EXEC):
            raise OSError(ctypes.get_errno(), "mprotect")
        self._install(libc, at)

    def _install(self, libc: object, handler: int) -> None:
        """Call sigaction: in glibc and musl alike its struct is the handler, 128 bytes of mask, flags, a pointer."""
        import signal

        on_stack, restart, nodefer, siginfo = 0x08000000, 0x10000000, 0x40000000, 0x00000004
        size = 8 + 128 + 8 + 8
        old = self._ctypes.create_string_buffer(size)
        flags = on_stack | restart | nodefer | siginfo
        new = self._ctypes.create_string_buffer(struct.pack("<Q128siiQ", handler, b"", flags, 0, 0), size)
        sigaction = libc.sigaction  # type: ignore[attr-defined]
        if sigaction(int(signal.SIGBUS), None, old):
            raise OSError(self._ctypes.get_errno(), "sigaction")
        self._words[0] = struct.unpack_from("<Q", old.raw)[0]
        if sigaction(int(signal.SIGBUS), new, None):
            raise OSError(self._ctypes.get_errno(), "sigaction")

    def _address(self, pages: mmap.mmap) -> int:
        return self._ctypes.addressof(self._ctypes.c_char.from_buffer(pages))

    def watch(self, pages: mmap.mmap) -> int:
        """Look after a map until `release`; return its slot, -1 when all are taken. ValueError if it is unmapped."""
        start = self._address(pages)
        try:
            slot = self._free.pop()
        except IndexError:
            return -1
        at = (HEAD + slot * SLOT) // 8
        self._words[at], self._words[at + 2] = start, 0
        self._words[at + 1] = start + len(pages)
        return slot

    def helped(self, slot: int) -> int:
        """How many pages of a map have been replaced."""
        return self._words[(HEAD + slot * SLOT) // 8 + 2] if slot >= 0 else 0

    def release(self, slot: int) -> None:
        """Look after a map no longer; to be called before it is unmapped, since others may be given its addresses."""
        if slot >= 0:
            self._words[(HEAD + slot * SLOT) // 8 + 1] = 0
            self._free.append(slot)


_made: list[Guard | None] = []
_making: list[bool] = []


def guard(*, make: bool = True) -> Guard | None:
    """Return this process's guard; None where there can be none, or there is none yet.

    `make` installs it, and imports what that takes: not for a thread that must not wait.
    """
    if make and not _made and not _making:
        _making.append(True)
        try:
            _made.append(Guard())
        except (OSError, AttributeError, KeyError, ImportError, MemoryError):
            _made.append(None)
    return _made[0] if _made else None


def _forked() -> None:
    """In a child that was born in the middle of it: the import is never done, and nobody may wait for it."""
    if _making and not _made:
        _made.append(None)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
