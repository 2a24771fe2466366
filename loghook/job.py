"""Which Polyaxon job a process runs in, by its environment. Pure, but for paths being looked at by whoever asks.

2.x   POLYAXON_RUN_INSTANCE = owner.project.runs.uuid
0.x   POLYAXON_EXPERIMENT_INFO, or POLYAXON_JOB_INFO, and the API's address
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Job", "default_url", "in_project", "is_no_op", "is_offline", "job_of", "json_object"]

CLUSTER_HOST = "http://polyaxon-polyaxon-api:80"
YES = ("1", "true", "t", "yes", "y", "on")
KINDS = ("experiments", "jobs", "builds")
OURS = re.compile(r"\s*polyaxon[02]?\+https?://[^/]+", re.IGNORECASE)
LEGAL = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True, slots=True)
class Job:
    """A job of one of the two generations (0 or 2).

    `id` is the uuid (32 hex digits) of a run, or the number of an experiment, job or build, as `kind` says (`runs`,
    `experiments`, `jobs`, `builds`). `group` is the number of its experiment group, if it has one. `host` is the API's
    address, "" where the environment has none. `name` is the whole dotted name.
    """

    generation: int
    owner: str
    project: str
    id: str
    kind: str
    host: str
    name: str
    managed: bool = False
    group: str = ""

    @property
    def run_id(self) -> str:
        """The id of the run that its processes make together, the same in each."""
        return self.id if self.generation == 2 else self.name

    @property
    def url(self) -> str:
        """The destination that is this job's platform, "" where its address is not known."""
        return f"polyaxon+{self.host}/{self.owner}/{self.project}" if self.host else ""

    def folder(self, environ: Mapping[str, str]) -> Path:
        """The folder of a run of 2.x that the platform's sidecar collects."""
        root = environ.get("POLYAXON_ARTIFACTS_ROOT")
        context = environ.get("POLYAXON_CONTEXT_ROOT") or "/plx-context"
        return (Path(root) if root else Path(context) / "artifacts") / self.id


def job_of(environ: Mapping[str, str]) -> Job | None:
    """The job, None outside of one; what makes no sense counts as outside."""
    managed = _yes(environ.get("POLYAXON_IS_MANAGED"))
    instance = environ.get("POLYAXON_RUN_INSTANCE", "").strip().split(".")
    if len(instance) == 4 and all(instance):
        uuid = instance[3].replace("-", "").lower()
        host = _host(environ.get("POLYAXON_HOST") or CLUSTER_HOST)
        if re.fullmatch(r"[0-9a-f]{32}", uuid):
            return Job(2, instance[0], instance[1], uuid, "runs", host, ".".join(instance), managed)
    for variable, field, kind in (
        ("POLYAXON_EXPERIMENT_INFO", "experiment_name", "experiments"),
        ("POLYAXON_JOB_INFO", "job_name", "jobs"),
    ):
        name = (json_object(environ.get(variable)) or {}).get(field)
        job = _named(name, kind, environ, managed) if isinstance(name, str) else None
        if job is not None:
            return job
    return None


def _named(name: str, kind: str, environ: Mapping[str, str], managed: bool) -> Job | None:
    """A job of 0.x by its name: user.project.5, user.project.group.5, user.project.jobs.5."""
    parts = name.split(".")
    if len(parts) < 3 or not all(parts) or not parts[-1].isdecimal() or not LEGAL.fullmatch(name):
        return None
    between = parts[2:-1]
    kind = next((part for part in between if part in KINDS), kind)
    group = next((part for part in between if part.isdecimal()), "")
    host = _host(environ.get("POLYAXON_API") or environ.get("POLYAXON_API_HTTP_HOST") or _parts(environ))
    return Job(0, parts[0], parts[1], parts[-1], kind, host, name, managed, group)


def _parts(environ: Mapping[str, str]) -> str:
    host = environ.get("POLYAXON_API_HOST")
    if not host:
        return ""
    scheme = "https" if _yes(environ.get("POLYAXON_USE_HTTPS")) else "http"
    port = environ.get("POLYAXON_HTTP_PORT", "")
    return f"{scheme}://{host}:{port}" if port.isdecimal() else f"{scheme}://{host}"


def _host(value: str) -> str:
    """An address as a URL without slash at the end; one of 0.x may have the path of the API already."""
    value = re.sub(r"(?<!/)/api(/v1)?/?$", "", value.strip()).rstrip("/")
    return value if not value or "://" in value else f"http://{value}"


def default_url(environ: Mapping[str, str]) -> str:
    """The destination that the environment speaks of, for where none is set; "" without one.

    A Polyaxon job's own platform; else the server that HYPERDASH_SERVER names.
    """
    job = job_of(environ)
    if job is not None and job.url:
        return job.url
    server = environ.get("HYPERDASH_SERVER", "").strip()
    return f"hyperdash+{_host(server)}" if server else ""


def in_project(url: str, project: str) -> str:
    """A URL of Polyaxon that names no project, with the one of the settings at its end; any other as it is.

    `project` is a name, or OWNER/PROJECT for a URL without an owner. Characters that Polyaxon has in no name become
    dashes.
    """
    host = OURS.match(url)
    if host is None:
        return url
    owner = url[host.end() :].strip().strip("/")
    names = project.split("/") if not owner and project.count("/") == 1 else [project] if owner else []
    slugs = [re.sub(r"[^A-Za-z0-9_.]+", "-", name).strip("-.") for name in names]
    if "/" in owner or not slugs or not all(slugs):
        return url
    return "/".join([host[0].strip(), *([owner] if owner else []), *slugs])


def is_no_op(environ: Mapping[str, str]) -> bool:
    """Whether POLYAXON_NO_OP says that nothing at all is to be recorded."""
    return _yes(environ.get("POLYAXON_NO_OP"))


def is_offline(environ: Mapping[str, str]) -> bool:
    """Whether POLYAXON_IS_OFFLINE says that nothing is to be sent."""
    return _yes(environ.get("POLYAXON_IS_OFFLINE"))


def json_object(text: str | None) -> dict[str, Any] | None:
    """The JSON object in a text, None for anything else."""
    try:
        content = json.loads(text or "")
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _yes(value: str | None) -> bool:
    return (value or "").strip().strip("\"'").lower() in YES
