"""One run on Polyaxon 2: found or made, described, and ended.

An answer of 405 that stands for a 500 may come from a busy database, or from what was sent. After six in a row, and if
the server takes other content of the same run meanwhile, it is the content, and that is refused.
"""

from __future__ import annotations

import getpass
import socket
from collections.abc import Mapping
from typing import Any

from ...job import job_of
from ..base import Refused, TryLater
from ..reply import Reply
from .access import Place
from .calls import Calls, Trouble, is_hidden_error, listed
from .events import stamp
from .files import Files, LocalFiles, RemoteFiles
from .names import run_uuid

__all__ = ["PolyaxonRun"]

HIDDEN_ERRORS = 6


class PolyaxonRun:
    """A run of a project. `open` first; then `files` are its files, and `managed` says that Polyaxon leads its life."""

    def __init__(self, calls: Calls, place: Place, run: str, environ: Mapping[str, str]) -> None:
        self.id = run
        self.managed = False
        self._calls = calls
        self._uuid = run_uuid(run)
        self._project = f"/api/v1/{place.owner}/{place.project}"
        self._owner, self._name = place.owner, place.project
        self._path = f"{self._project}/runs/{self._uuid}"
        self._found: dict[str, Any] | None = None
        self._hidden: dict[str, int] = {}
        job = job_of(environ)
        self._job = job if job is not None and job.generation == 2 and job.run_id == run else None
        self._environ = environ
        self.files: Files = RemoteFiles(calls, "")

    def open(self) -> Trouble | None:
        """Looks the run up, and makes it where it is not there. Its markers are those of this moment."""
        reply = self._calls.json("GET", self._path)
        if isinstance(reply, TryLater):
            return reply
        found = listed(reply)
        if reply.status == 404 and isinstance(found, dict):
            trouble = self._make()
            if trouble is not None:
                return trouble
            found = {}
        elif reply.status != 200 or not isinstance(found, dict) or found.get("uuid") != self._uuid:
            return self._later(self._calls.trouble(reply, "looking up the run"))
        self._found = found
        self.managed = found.get("is_managed") is True
        self.files = self._files()
        return None

    def marker(self, writer: str) -> Mapping[str, Any]:
        """What was noted of a writer, {} when nothing was."""
        info = (self._found or {}).get("meta_info")
        marker = info.get(f"loghook-{writer}") if isinstance(info, dict) else None
        return marker if isinstance(marker, dict) else {}

    def origin(self, writer: str) -> dict[str, str]:
        """Where a line of the log is from, as Polyaxon shows it."""
        if self._job is None:
            return {"node": "local", "pod": writer, "container": "loghook"}
        node = self._environ.get("POLYAXON_K8S_NODE_NAME") or "local"
        pod = self._environ.get("POLYAXON_K8S_POD_ID") or _user()
        return {"node": node, "pod": pod, "container": "loghook"}

    def change(self, **content: Any) -> Trouble | None:
        """Sends a PATCH that adds to dictionaries and lists."""
        reply = self._calls.json("PATCH", self._path, {**content, "merge": True})
        return self._checked(reply, "changing the run", dict)

    def status(self, kind: str, message: str, time: float) -> Trouble | None:
        """Sends a status: `running`, `succeeded`, `failed`, `stopped`."""
        condition = {
            "type": kind,
            "status": True,
            "reason": "loghook",
            "message": message,
            "last_update_time": stamp(time, "T"),
            "last_transition_time": stamp(time, "T"),
        }
        reply = self._calls.json("POST", f"{self._path}/statuses", {"condition": condition})
        return self._checked(reply, f"status {kind}", dict)

    def lineage(self, artifacts: list[dict[str, Any]]) -> Trouble | None:
        """Says which files there are, and what is in them."""
        reply = self._calls.json("POST", f"{self._path}/lineage/artifacts", {"artifacts": artifacts})
        return self._checked(reply, "naming the metrics", None)

    def _files(self) -> Files:
        if self._job is not None and self._job.managed:
            return LocalFiles(self._job.folder(self._environ))
        settings = (self._found or {}).get("settings")
        space = settings.get("namespace") if isinstance(settings, dict) else None
        space = space or self._environ.get("POLYAXON_K8S_NAMESPACE") or "polyaxon"
        return RemoteFiles(self._calls, f"/streams/v1/{space}/{self._owner}/{self._name}/runs/{self._uuid}")

    def _make(self) -> Trouble | None:
        content = {
            "uuid": self._uuid,
            "kind": "job",
            "runtime": "job",
            "managed_by": "user",
            "is_managed": False,
            "created_at": stamp(self._calls.now()),
            "status": "created",
            "inputs": {},
            "status_conditions": [],
        }
        reply = self._calls.json("POST", f"{self._project}/runs/sync", content)
        if isinstance(reply, Reply) and reply.status == 404 and isinstance(listed(reply), dict):
            made = self._calls.json("POST", f"/api/v1/{self._owner}/projects/create", {"name": self._name})
            there = isinstance(made, Reply) and made.status == 400 and b"already exists" in made.body
            if isinstance(made, TryLater) or not (there or _is_good(made, dict)):
                return self._later(self._calls.trouble(made, f"making the project {self._name}"))
            reply = self._calls.json("POST", f"{self._project}/runs/sync", content)
        if isinstance(reply, Reply) and reply.status == 400 and b"already exists" in reply.body:
            return None
        return self._later(self._checked(reply, "making the run", dict))

    def _later(self, trouble: Trouble | None) -> Trouble | None:
        """No event is to blame for a run that can't be made: it waits for a person."""
        return TryLater(trouble.reason) if isinstance(trouble, Refused) else trouble

    def _checked(self, reply: Reply | TryLater, what: str, kind: type | None) -> Trouble | None:
        if isinstance(reply, Reply) and _is_good(reply, kind):
            self._hidden.pop(what, None)
            return None
        trouble = self._calls.trouble(reply, what)
        if isinstance(reply, Reply) and is_hidden_error(reply):
            self._hidden[what] = self._hidden.get(what, 0) + 1
            if self._hidden[what] >= HIDDEN_ERRORS and self._takes_other_content():
                return Refused(f"{trouble.reason}, {self._hidden.pop(what)} times, while it takes other content")
        return trouble

    def _takes_other_content(self) -> bool:
        reply = self._calls.json("PATCH", self._path, {"meta_info": {"has_events": True}, "merge": True})
        return isinstance(reply, Reply) and _is_good(reply, dict)


def _is_good(reply: Reply, kind: type | None) -> bool:
    """Whether an answer is what the API says when all went well: JSON, or nothing where `kind` is None."""
    if reply.status not in (200, 201):
        return False
    return not reply.body.strip() if kind is None else isinstance(listed(reply), kind)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        return socket.gethostname()
