"""What the API answers with, as JSON schemas by name. Nothing is answered that is not named here."""

from __future__ import annotations

from typing import Any

__all__ = ["SCHEMAS"]

Json = dict[str, Any]

TEXT: Json = {"type": "string"}
TEXT_OR_NONE: Json = {"type": ["string", "null"]}
WHOLE: Json = {"type": "integer"}
WHOLE_OR_NONE: Json = {"type": ["integer", "null"]}
TIME: Json = {"type": "number"}
TIME_OR_NONE: Json = {"type": ["number", "null"]}
COUNT: Json = {"type": "integer", "minimum": 0}
ANY: Json = {}
VALUE: Json = {"anyOf": [{"type": "number"}, {"enum": ["NaN", "Infinity", "-Infinity"]}]}
VALUE_OR_NONE: Json = {"anyOf": [{"type": ["number", "null"]}, {"enum": ["NaN", "Infinity", "-Infinity"]}]}
STATUS: Json = {"enum": ["running", "success", "failure", "stopped", "lost"]}


def _object(required: Json, optional: Json | None = None) -> Json:
    properties = {**required, **(optional or {})}
    return {"type": "object", "required": sorted(required), "properties": properties, "additionalProperties": False}


def _list(items: Json) -> Json:
    return {"type": "array", "items": items}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


RUN: Json = {
    "id": TEXT,
    "name": TEXT,
    "status": STATUS,
    "started_at": TIME,
    "ended_at": TIME_OR_NONE,
    "params": {"type": "object"},
    "source": TEXT,
    "project": TEXT_OR_NONE,
    "group": TEXT_OR_NONE,
    "last_seen": TIME,
    "duration": {"type": "number", "minimum": 0},
}
ENDING: Json = {"host": TEXT_OR_NONE, "exception": TEXT_OR_NONE, "reason": TEXT_OR_NONE}
LISTED: Json = {**RUN, **ENDING, "metrics": _list(_object({"name": TEXT, "last": VALUE, "line": TEXT}))}
DETAILS: Json = {
    **RUN,
    **ENDING,
    "description": TEXT_OR_NONE,
    "pid": WHOLE_OR_NONE,
    "rank": WHOLE_OR_NONE,
    "python": TEXT_OR_NONE,
    "missing_bytes": COUNT,
    "set_aside": COUNT,
    "argv": ANY,
    "git": ANY,
    "tags": _list(TEXT),
    "dropped": {"type": "object", "additionalProperties": WHOLE},
    "internal": _object({"metrics": _list(TEXT), "params": _list(TEXT)}),
    "writers": _list(_ref("Writer")),
    "counts": _object({"logs": COUNT, "metrics": COUNT}),
}
KEY: Json = {"id": WHOLE, "name": TEXT, "tail": TEXT, "created": TIME}

SCHEMAS: dict[str, Json] = {
    "Problem": {"type": "object", "required": ["error"], "properties": {"error": TEXT}},
    "Gap": _object({"error": TEXT, "offset": COUNT}),
    "TooLarge": _object({"error": TEXT, "max_bytes": COUNT}, {"max_lines": COUNT}),
    "Taken": _object({"offset": COUNT}, {"set_aside": _list(_object({"line": COUNT, "reason": TEXT}))}),
    "Deleted": _object({"deleted": TEXT, "name": TEXT}),
    "Run": _object(RUN),
    "Runs": _object({"runs": _list(_ref("Run")), "next": TEXT_OR_NONE}),
    "ListedRun": _object(LISTED),
    "Group": _object({"project": TEXT_OR_NONE, "count": COUNT, "runs": _list(_ref("ListedRun"))}),
    "Overview": _object(
        {"next": TEXT_OR_NONE, "now": TIME}, {"runs": _list(_ref("ListedRun")), "groups": _list(_ref("Group"))}
    ),
    "Projects": _object(
        {"projects": _list(_object({"name": TEXT, "runs": COUNT, "started_at": TIME})), "without": COUNT}
    ),
    "RunDetails": _object(DETAILS),
    "Writer": _object(
        {
            "id": TEXT,
            "pid": WHOLE_OR_NONE,
            "host": TEXT_OR_NONE,
            "rank": WHOLE_OR_NONE,
            "last_seen": TIME,
            "missing_bytes": COUNT,
        }
    ),
    "Line": _object(
        {"id": WHOLE, "time": TIME, "level": TEXT, "logger": TEXT, "message": TEXT},
        {
            "metrics": {"type": "object"},
            "step": {"type": "number"},
            "extra": {"type": "object"},
            "exception": TEXT,
            "stack": TEXT,
            "stream": TEXT,
            "thread": TEXT,
            "file": TEXT,
            "writer": TEXT,
            "rank": WHOLE,
        },
    ),
    "Logs": _object({"logs": _list(_ref("Line")), "next": WHOLE, "first": WHOLE_OR_NONE}),
    "Metrics": _object({"metrics": _list(_ref("Metric"))}),
    "Metric": _object(
        {"name": TEXT, "count": COUNT, "last": VALUE, "min": VALUE_OR_NONE, "max": VALUE_OR_NONE},
        {"internal": {"const": True}, "ranks": _list(WHOLE_OR_NONE)},
    ),
    "Point": {
        "type": "array",
        "prefixItems": [TIME_OR_NONE, TIME_OR_NONE, VALUE],
        "minItems": 3,
        "maxItems": 3,
        "description": "step, time, value",
    },
    "Points": _object({"points": _list(_ref("Point")), "count": COUNT}),
    "Series": _object({"series": {"type": "object", "additionalProperties": _ref("OneOfSeries")}}),
    "OneOfSeries": _object(
        {"count": COUNT},
        {
            "points": _list(_ref("Point")),
            "ranks": {"type": "object", "additionalProperties": _ref("Points")},
        },
    ),
    "Keys": _object({"account": TEXT, "keys": _list(_object({**KEY, "current": {"type": "boolean"}}))}),
    "NewKey": _object({**KEY, "key": TEXT}),
}
"""By the name that the description has them under."""
