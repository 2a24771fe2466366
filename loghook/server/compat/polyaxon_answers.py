"""What polyaxon-client reads in answers: an experiment, a status; pure."""

from __future__ import annotations

import uuid
from datetime import datetime, timezone
from typing import Any

from loghook.server.compat.polyaxon_names import Address

__all__ = ["entity", "posted"]

SPACE = uuid.UUID("6f0e1d55-6d3c-4d0f-9e0c-7d1a3c1f5a10")
STATUSES = {
    "running": "running",
    "lost": "unknown",
    "success": "succeeded",
    "failure": "failed",
    "stopped": "stopped",
}


def entity(address: Address, run: dict[str, Any]) -> dict[str, Any]:
    """Return an experiment, a job or a build, from what the store knows of its run."""
    return {
        "id": _number(address),
        "uuid": uuid.uuid5(SPACE, address.run).hex,
        "unique_name": address.name(run["group"] or ""),
        "user": address.user,
        "name": run["name"],
        "project": address.project_name,
        "experiment_group": run["group"],
        "description": run["description"],
        "last_status": STATUSES[run["status"]],
        "created_at": _moment(run["started_at"]),
        "updated_at": _moment(run["last_seen"]),
        "started_at": _moment(run["started_at"]),
        "finished_at": _moment(run["ended_at"]),
        "params": run["params"],
        "tags": run["tags"],
    }


def posted(address: Address, said: Any, now: float) -> dict[str, Any]:
    """Return what was posted to an experiment as the client reads it back; of a list only that it came."""
    number = _number(address)
    made = {"id": number, "uuid": uuid.uuid4().hex, address.kind[:-1]: number}
    return {"created_at": _moment(now), **(said if isinstance(said, dict) else {}), **made}


def _number(address: Address) -> int | str:
    is_number = address.number.isascii() and address.number.isdigit() and len(address.number) < 16
    return int(address.number) if is_number else address.number


def _moment(time: float | None) -> str | None:
    return None if time is None else datetime.fromtimestamp(time, timezone.utc).isoformat()
