"""Bodies that polyaxon-helper and polyaxon-client send, as events; pure.

    metrics     a record for each object of values, at its own time; its step is counted where it is stored
    logs        a record for each line, see `polyaxon_log`
    statuses    running: run_started; succeeded, failed, stopped and the like: run_ended; the others change nothing
    coderef     the run's git
    creation,   params, tags, name, description, project and group; of the run's environment the host, the process,
    patches     the Python and its arguments

Each function takes what the JSON held and the time of arrival in epoch seconds, and raises ValueError with words where
a body is not of the protocol. Fields that it doesn't know are no reason to. Nothing at all is fine, too: the client's
periodic worker sends it now and then.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any
from urllib.parse import parse_qsl

from loghook.server.compat.lines import loaded
from loghook.server.compat.polyaxon_log import LOGGER, records

__all__ = ["ENDINGS", "STATUSES", "coderef", "content", "described", "heartbeat", "logs", "metrics", "status"]

Event = dict[str, Any]

FORM = "application/x-www-form-urlencoded"
MOST_FIELDS = 100
MOST_TAGS = 1000

ENDINGS = {
    "succeeded": "success",
    "done": "success",
    "failed": "failure",
    "upstream_failed": "failure",
    "stopped": "stopped",
    "skipped": "stopped",
}
OTHERS = (
    *("created", "resuming", "warning", "unschedulable", "building", "scheduled", "starting", "stopping"),
    *("retrying", "unknown"),
)
STATUSES = ("running", *ENDINGS, *OTHERS)
LEVELS = {"failure": "ERROR", "stopped": "WARNING"}


def content(body: bytes, kind: str) -> Any:
    """Return what a body holds: JSON, or the early helper's form, whose one field has JSON; None of an empty one."""
    if not body.strip():
        return None
    if kind.partition(";")[0].strip().lower() != FORM:
        try:
            return loaded(body)
        except ValueError as error:
            raise ValueError(f"the body is not JSON: {error}") from None
    try:
        fields = dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS))
        return {**fields, "values": loaded(fields["values"])}
    except KeyError:
        raise ValueError("the form has no field 'values'") from None
    except ValueError as error:
        raise ValueError(f"the form's field 'values' must be a JSON object: {error}") from None


def metrics(body: Any, now: float) -> Iterator[Event]:
    """One object of `{"values": {name: number}, "created_at": time}`, or a list of them."""
    for one in body if isinstance(body, list) else [] if body is None else [body]:
        values = one.get("values") if isinstance(one, dict) else None
        if not isinstance(values, dict):
            raise ValueError("metrics are an object with an object 'values' in it, or a list of such")
        time = _moment(one.get("created_at"), now)
        if values:
            yield {"time": time, "level": "INFO", "logger": LOGGER, "message": "", "metrics": values}


def logs(body: Any, now: float) -> Iterator[Event]:
    """A string or a list of strings."""
    for text in body if isinstance(body, list) else [] if body is None else [body]:
        if not isinstance(text, str):
            raise ValueError("logs are a string, or a list of strings")
        yield from records(text, now)


def status(body: Any, now: float) -> Iterator[Event]:
    """An object of a status, and maybe a message and a traceback, which are in the log, too."""
    said = body.get("status") if isinstance(body, dict) else None
    if not isinstance(said, str) or said not in STATUSES:
        raise ValueError(f"status must be one of {', '.join(STATUSES)}")
    message, traceback = _text(body, "message"), _text(body, "traceback")
    ending = ENDINGS.get(said)
    if message or traceback:
        record = {"time": now, "level": LEVELS.get(ending or "", "INFO"), "logger": LOGGER}
        yield {**record, "message": message or f"The run {said}.", **({"exception": traceback} if traceback else {})}
    if said == "running":
        yield {"time": now, "event": "run_started", "run": {}}
    elif ending is not None:
        ended = {"time": now, "event": "run_ended", "status": ending}
        reason = message or (said if said not in ("succeeded", "failed", "stopped") else "")
        yield {**ended, **({"reason": reason} if reason else {}), **({"exception": traceback} if traceback else {})}


def coderef(body: Any, now: float) -> Iterator[Event]:
    """An object of commit, head, branch, git_url and is_dirty; nothing, outside of a repository."""
    if body is None:
        return
    if not isinstance(body, dict):
        raise ValueError("a code reference is an object")
    git = {name: _text(body, name) for name in ("commit", "head", "branch")}
    git["url"] = _text(body, "git_url")
    if git["head"] == git["commit"]:
        del git["head"]
    known: Event = {name: value for name, value in git.items() if value}
    if isinstance(body.get("is_dirty"), bool):
        known["dirty"] = body["is_dirty"]
    if known:
        yield {"time": now, "event": "described", "run": {"git": known}}


def described(body: Any, now: float) -> Iterator[Event]:
    """What a creation or a PATCH says; `merge` of a PATCH keeps what it does not name."""
    if body is None:
        return
    if not isinstance(body, dict):
        raise ValueError("an experiment is an object")
    keep = {} if body.get("merge") else {"replace": True}
    params, tags = body.get("params"), body.get("tags")
    if params is not None:
        if not isinstance(params, dict):
            raise ValueError("params must be an object")
        yield {"time": now, "event": "params", "params": params, **keep}
    run: Event = {name: _text(body, name) for name in ("name", "description")}
    run = {name: value for name, value in run.items() if value}
    if tags is not None:
        run["tags"] = _tags(tags)
    run.update(_environment(body.get("run_env")))
    if run:
        yield {"time": now, "event": "described", "run": run, **keep}


def heartbeat(body: Any, now: float) -> Iterator[Event]:
    """Anything: that it came is all."""
    yield {"time": now, "event": "heartbeat"}


def _environment(run_env: Any) -> Event:
    if run_env is None:
        return {}
    if not isinstance(run_env, dict):
        raise ValueError("run_env must be an object")
    names = {"hostname": "host", "pid": "pid", "python_version": "python", "sys.argv": "argv"}
    return {ours: run_env[theirs] for theirs, ours in names.items() if run_env.get(theirs) is not None}


def _tags(tags: Any) -> list[str]:
    if isinstance(tags, str):
        tags = [tag.strip() for tag in tags.split(",") if tag.strip()]
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags) or len(tags) > MOST_TAGS:
        raise ValueError(f"tags must be a list of at most {MOST_TAGS} strings")
    return tags


def _text(body: Event, name: str) -> str:
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{name} must be a string")
    return value or ""


def _moment(value: Any, now: float) -> float:
    """A time such as `2026-11-21 17:07:00.857426+00:00`; one without a zone is UTC."""
    if value is None or value == "":
        return now
    try:
        moment = datetime.fromisoformat(value[:-1] + "+00:00" if value.endswith("Z") else value)
        return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()
    except (AttributeError, TypeError, ValueError, OverflowError):
        raise ValueError("created_at must be a time such as 2026-11-21 17:07:00.857426+00:00") from None
