"""A run's files on Polyaxon 2: over its API, or in the folder of a job that its sidecar collects."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Protocol

from ..base import TryLater
from .calls import Calls, Trouble, listed

__all__ = ["Files", "LocalFiles", "RemoteFiles"]

LARGEST = 1 << 30


class Files(Protocol):
    """Files by folder and name. Whatever goes wrong is a Trouble."""

    def read(self, folder: str, name: str) -> bytes | Trouble | None:
        """The whole file, None when there is none."""

    def write(self, folder: str, name: str, data: bytes) -> Trouble | None:
        """Make it, or put it in the place of what there is."""

    def names(self, folder: str) -> list[str] | Trouble:
        """The names of the files in a folder, none where it does not exist."""


class RemoteFiles:
    """The files of a run at `path` of the streams API."""

    def __init__(self, calls: Calls, path: str) -> None:
        self._calls = calls
        self._path = path

    def read(self, folder: str, name: str) -> bytes | Trouble | None:
        """See Files; `force` because the server would answer with what it read first."""
        params = {"path": f"{folder}/{name}", "stream": "true", "force": "true"}
        reply = self._calls.call("GET", f"{self._path}/artifact", params=params, most=LARGEST)
        if isinstance(reply, TryLater):
            return reply
        if reply.status == 404 and reply.body.startswith(b"Artifact not found"):
            return None
        return reply.body if reply.status == 200 and reply.whole else self._calls.trouble(reply, f"reading {name}")

    def write(self, folder: str, name: str, data: bytes) -> Trouble | None:
        """See Files; a good answer is empty."""
        options = {"untar": False, "path": folder, "overwrite": True}
        reply = self._calls.upload(f"{self._path}/artifact", name, data, options)
        if not isinstance(reply, TryLater) and reply.status == 200 and not reply.body.strip():
            return None
        return self._calls.trouble(reply, f"uploading {name}")

    def names(self, folder: str) -> list[str] | Trouble:
        """See Files."""
        reply = self._calls.call("GET", f"{self._path}/artifacts/tree", params={"path": folder})
        if isinstance(reply, TryLater):
            return reply
        content = listed(reply)
        files = content.get("files") if isinstance(content, dict) and reply.status == 200 else None
        return list(files) if isinstance(files, dict) else self._calls.trouble(reply, f"listing {folder}")


class LocalFiles:
    """The files of a managed run in its own folder. A file is replaced in one step: its reader sees old or new."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def read(self, folder: str, name: str) -> bytes | Trouble | None:
        """See Files."""
        try:
            return (self._root / folder / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            return TryLater(f"{self._root / folder / name}: {error.strerror}")

    def write(self, folder: str, name: str, data: bytes) -> Trouble | None:
        """See Files."""
        target = self._root / folder / name
        part = self._root / f".{name}.part"
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            part.write_bytes(data)
            os.replace(part, target)
        except OSError as error:
            with contextlib.suppress(OSError):  # it may not even be there
                part.unlink()
            return TryLater(f"{target}: {error.strerror}")
        return None

    def names(self, folder: str) -> list[str] | Trouble:
        """See Files."""
        try:
            return os.listdir(self._root / folder)
        except FileNotFoundError:
            return []
        except OSError as error:
            return TryLater(f"{self._root / folder}: {error.strerror}")
