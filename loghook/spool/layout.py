"""Where a spool lies on disk, who holds it, and whether a memory map is safe there.

HOME/spool/RUN/WRITER/lock           held (flock) by the living process that writes here
                      meta.json      who writes: run, writer, pid, host, rank, name, destinations, version
                      NNNNNNNN.seg   segments; the header says at which offset each one begins
                      ID.ack         one per destination: acknowledged offset and number of events
                      refused.ndjson events that a destination will never take, each with the reason
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import time
from pathlib import Path
from typing import Any

import orjson

__all__ = [
    "FORMAT",
    "LOCAL",
    "Lock",
    "check_id",
    "delete",
    "filesystem",
    "is_damaged",
    "is_unsafe",
    "read_meta",
    "spool_root",
    "sweep",
    "write_meta",
    "writer_directory",
]

FORMAT = 1
"""Version of the format on disk; a reader leaves a newer one alone."""

LOCAL = "local"
"""The destination that belongs to the server on the same machine, which reads spools by itself."""

_PATIENCE = (0.0, 0.0, 0.0005, 0.001, 0.002, 0.002, 0.0)

_DRAFT = 60.0
"""Seconds after which a folder that is still being made belongs to nobody, if its lock is free."""

_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")
_NETWORK = "nfs nfs4 cifs smb3 smbfs ncpfs 9p afs ceph lustre gpfs beegfs glusterfs vboxsf drvfs virtiofs"
_UNSAFE = frozenset([*_NETWORK.split(), "zfs"])


def check_id(value: str) -> str:
    """Return `value` if it may name a run or a writer (letters, digits and ._-, at most 128); else raise ValueError."""
    if not _ID.fullmatch(value):
        raise ValueError(f"id {value!r}: letters, digits and ._- only, at most 128 of them, and no dot in front")
    return value


def spool_root(home: Path) -> Path:
    """Return the folder that holds all spools of `home`."""
    return home / "spool"


def writer_directory(home: Path, run: str, writer: str) -> Path:
    """Return the folder of one writer's spool."""
    return spool_root(home) / check_id(run) / check_id(writer)


def delete(directory: Path) -> None:
    """Delete a writer's folder: for readers it is gone at once and as a whole, even if this is cut short."""
    import shutil

    gone = directory.with_name(f".{directory.name}.gone")
    with contextlib.suppress(OSError):
        directory = directory.rename(gone)
    shutil.rmtree(directory, ignore_errors=True)


class Lock:
    """A lock file held while a process lives; the kernel gives it back whatever way the process dies."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None

    def take(self) -> bool:
        """Try to take the lock; True if it is ours now. Raises OSError when there is no folder for it.

        Whoever asks `held` holds it for an instant, so a refusal is asked again for a few milliseconds.
        """
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
        for pause in _PATIENCE:
            if _try(fd, exclusive=True) is not False:
                self._fd = fd
                return True
            time.sleep(pause)
        os.close(fd)
        return False

    def held(self) -> bool | None:
        """Whether a living process (this one included) holds the lock now; None on a file system without locks."""
        try:
            fd = os.open(self.path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        except FileNotFoundError:
            return False
        try:
            free = _try(fd, exclusive=False)
            return None if free is None else not free
        finally:
            os.close(fd)

    def release(self) -> None:
        """Give the lock back; in a forked child this only closes the child's copy, the parent keeps its lock."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)


def _try(fd: int, *, exclusive: bool) -> bool | None:
    """Whether the lock could be had; None where the file system has no locks."""
    try:
        fcntl.flock(fd, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def sweep(home: Path) -> None:
    """Delete what deaths in the middle of making or deleting a writer's folder left under `home`."""
    import shutil

    for path in spool_root(home).glob("*/.*"):
        abandoned = path.name.endswith(".gone") or (_age(path) > _DRAFT and Lock(path / "lock").held() is False)
        if abandoned:
            shutil.rmtree(path, ignore_errors=True)


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return 0.0


def write_meta(directory: Path, meta: dict[str, Any]) -> None:
    """Write a writer's meta.json, whole or not at all."""
    temporary = directory / f".meta.{os.getpid()}"
    content = {"version": FORMAT, **meta}
    try:
        data = orjson.dumps(content)
    except TypeError:  # a lone surrogate in a name, a value that JSON does not know: nothing here may stop a program
        import json

        data = json.dumps(content, default=str).encode("utf-8", "backslashreplace")
    with open(temporary, "wb", opener=_private) as file:
        file.write(data)
    temporary.replace(directory / "meta.json")


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def read_meta(directory: Path) -> dict[str, Any] | None:
    """Return a writer's meta.json; None where there is none that can be read or its version is newer than ours."""
    with contextlib.suppress(OSError, ValueError):
        meta = orjson.loads((directory / "meta.json").read_bytes())
        if isinstance(meta, dict) and meta.get("version", 0) <= FORMAT:
            return meta
    return None


def is_damaged(directory: Path) -> bool:
    """Whether a writer's folder has segments, but a meta.json that is missing or none: a power cut can do that."""
    try:
        meta = orjson.loads((directory / "meta.json").read_bytes())
    except (FileNotFoundError, ValueError):
        meta = None
    except OSError:
        return False  # another user's, perhaps
    return not isinstance(meta, dict) and any(directory.glob("*.seg"))


def filesystem(path: Path, mounts: str | None = None) -> str:
    """Return the type of the file system that `path` lies on ("ext4", "nfs4", ...), "" where that can't be told.

    `mounts` stands for the content of /proc/self/mounts.
    """
    if mounts is None:
        try:
            mounts = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
    target = os.path.realpath(path)
    best, kind = "", ""
    for fields in (line.split(" ") for line in mounts.splitlines()):
        if len(fields) < 3:
            continue
        point = re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), fields[1])
        inside = point == "/" or target == point or target.startswith(point + "/")
        if inside and len(point) >= len(best):
            best, kind = point, fields[2]
    return kind


def is_unsafe(kind: str) -> bool:
    """Whether a shared memory map may fail on this type of file system: network, FUSE, no reservation of blocks."""
    return kind in _UNSAFE or kind.startswith("fuse")
