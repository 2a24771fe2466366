"""Polyaxon 2's API in memory: strict about what the real server is strict about, and about what it lets pass unseen."""

from __future__ import annotations

import json
import re
from typing import Any, ClassVar, NoReturn

from loghook.testing import Answer, AwkwardServer, Request

__all__ = ["Bench", "FakePolyaxon2"]

RUN = re.compile(r"/api/v1/(?P<owner>\w+)/(?P<project>\w+)/runs/(?P<uuid>[0-9a-f]{32})(?P<rest>.*)")
STREAM = re.compile(
    r"/streams/v1/(?P<space>\w+)/(?P<owner>\w+)/(?P<project>\w+)/runs/(?P<uuid>[0-9a-f]{32})/(?P<what>.*)"
)
SYNC = {"uuid", "kind", "runtime", "managed_by", "is_managed", "created_at", "status", "inputs", "status_conditions"}
PATCH = {"name", "description", "inputs", "outputs", "meta_info", "tags", "merge"}
CONDITION = {"type", "status", "reason", "message", "last_update_time", "last_transition_time"}
FINAL = ("succeeded", "failed", "stopped")
STATUSES = ("created", "running", *FINAL)
LINE = re.compile(r"-?\d*(\.\d+)?\|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}\+00:00\|\S+")
HIDDEN_500 = Answer(405, {"Allow": "GET, HEAD, OPTIONS", "Content-Type": "text/html; charset=utf-8"})


class FakePolyaxon2(AwkwardServer):
    """Runs by uuid, each with its `files`. `violations` are requests that make no sense; a test finds none."""

    def __init__(self, token: str | None = "a-token-for-tests-0001") -> None:
        self.tokens = [token]
        self.runs: dict[str, dict[str, Any]] = {}
        self.projects: set[str] = set()
        self.files: dict[str, dict[str, bytes]] = {}
        self.artifacts: dict[str, dict[str, Any]] = {}
        self.violations: list[str] = []
        self.most: int | None = None
        super().__init__(self._answer)

    def _answer(self, request: Request) -> Answer:
        token = request.headers.get("authorization", "")
        if self.tokens[0] is not None and token not in [f"Token {one}" for one in self.tokens]:
            return _json(401, {"detail": "Invalid token."})
        if self.most is not None and len(request.body) > self.most:
            return Answer(413, {"Content-Type": "text/html"}, b"<h1>413</h1>")
        try:
            return self._api(request)
        except (ValueError, KeyError, TypeError) as error:
            self.violations.append(f"{request.method} {request.target}: {error!r} {request.body[:300]!r}")
            return HIDDEN_500

    def _api(self, request: Request) -> Answer:
        if (request.method, request.path) == ("GET", "/api/v1/installation"):
            return _json(200, {"key": "0", "version": "2.18.0", "dist": "ce", "mode": "sandbox"})
        if request.method == "POST" and re.fullmatch(r"/api/v1/\w+/projects/create", request.path):
            name = _body(request, {"name"})["name"]
            if name in self.projects:
                return _json(400, {"name": ["project with this name already exists."]})
            self.projects.add(name)
            return _json(201, {"name": name})
        if found := re.fullmatch(r"/api/v1/\w+/(\w+)/runs/sync", request.path):
            return self._sync(found[1], _body(request, SYNC))
        if found := STREAM.fullmatch(request.path):
            return self._stream(request, found["uuid"], found["what"])
        if found := RUN.fullmatch(request.path):
            return self._run(request, found["uuid"], found["rest"])
        raise ValueError("no such route")

    def _sync(self, project: str, content: dict[str, Any]) -> Answer:
        if content["managed_by"] != "user" or content["kind"] != "job" or not content["created_at"]:
            raise ValueError("not a run")
        if project not in self.projects:
            return _json(404, {"detail": "No Project matches the given query."})
        if content["uuid"] in self.runs:
            return _json(400, [f"A run with uuid {content['uuid']} already exists."])
        run = {"meta_info": {}, "outputs": None, "settings": {"namespace": "polyaxon"}, "conditions": [], **content}
        self.runs[content["uuid"]] = run
        return _json(201, run)

    def _run(self, request: Request, uuid: str, rest: str) -> Answer:
        run = self.runs.get(uuid)
        if run is None:
            return _json(404, {"detail": "No Run matches the given query."})
        if (request.method, rest) == ("GET", ""):
            return _json(200, run)
        if (request.method, rest) == ("PATCH", ""):
            return self._patch(run, _body(request, PATCH))
        if (request.method, rest) == ("POST", "/statuses"):
            condition = _body(request, {"condition"})["condition"]
            if not set(condition) <= CONDITION or condition["type"] not in STATUSES:
                raise ValueError("not a condition")
            if run["status"] not in FINAL:
                same = run["conditions"] and run["conditions"][-1]["type"] == condition["type"]
                run["conditions"][len(run["conditions"]) - bool(same) :] = [condition]
                run["status"] = condition["type"]
            return _json(201, {"status": None, "status_conditions": None, "meta_info": None})
        if (request.method, rest) == ("POST", "/lineage/artifacts"):
            for artifact in _body(request, {"artifacts"})["artifacts"]:
                if set(artifact) != {"name", "kind", "path", "summary", "is_input"} or artifact["kind"] != "metric":
                    raise ValueError("not an artifact")
                self.artifacts.setdefault(uuid, {})[artifact["name"]] = artifact
            return Answer(201)
        raise ValueError("no such route")

    def _patch(self, run: dict[str, Any], content: dict[str, Any]) -> Answer:
        if content.get("merge") is not True:
            raise ValueError("a change that replaces")
        if not re.fullmatch(r"[\w-]{1,128}", content.get("name", "x")):
            return _json(
                400, {"name": ["Enter a valid “slug” consisting of letters, numbers, underscores or hyphens."]}
            )
        for name in ("inputs", "outputs", "meta_info"):
            run[name] = {**(run[name] or {}), **content.get(name, {})}
        run.update({name: content[name] for name in ("name", "description") if name in content})
        return _json(200, run)

    def _stream(self, request: Request, uuid: str, what: str) -> Answer:
        files = self.files.setdefault(uuid, {})
        if (request.method, what) == ("GET", "artifacts/tree"):
            folder = request.query["path"] + "/"
            return _json(200, {"files": {f[len(folder) :]: len(files[f]) for f in files if f.startswith(folder)}})
        if (request.method, what) == ("GET", "artifact"):
            if request.query.get("force") != "true" or request.query.get("stream") != "true":
                raise ValueError("would answer with what was read first")
            path = request.query["path"]
            if path not in files:
                return Answer(404, {"Content-Type": "text/html"}, f"Artifact not found: filepath={path}".encode())
            return Answer(200, {"Content-Type": "text/plain"}, files[path])
        if (request.method, what) != ("POST", "artifact"):
            raise ValueError("no such route")
        path, data = _form(request)
        self._check(path, data)
        files[path] = data
        return Answer(200, {"Content-Type": "text/html; charset=utf-8"})

    def _check(self, path: str, data: bytes) -> None:
        """Raises ValueError for a file that would break a page of the real server."""
        text = data.decode("utf-8")
        if path.startswith("plxlogs/"):
            for line in filter(None, text.split("\n")):
                entry = json.loads(line)
                if set(entry) != {"timestamp", "node", "pod", "container", "value"} or not path.endswith(".jsonl"):
                    raise ValueError(f"not a line of a log: {line}")
                if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00", entry["timestamp"]):
                    raise ValueError(f"not a timestamp: {line}")
        elif path.startswith("events/metric/"):
            head, *lines = text.rstrip("\n").split("\n")
            if head != "step|timestamp|metric" or not all(LINE.fullmatch(line) for line in lines):
                raise ValueError("not a metric's file")
        else:
            raise ValueError(f"nothing is shown of {path}")

    def log(self, uuid: str) -> list[dict[str, Any]]:
        """A run's log as the server shows it: all files, sorted by time."""
        files = self.files.get(uuid, {})
        lines = [line for path in sorted(files) if path.startswith("plxlogs/") for line in files[path].splitlines()]
        return sorted((json.loads(line) for line in lines if line), key=lambda entry: str(entry["timestamp"]))

    def points(self, uuid: str, file: str) -> list[tuple[str, float]]:
        """A metric's steps and values, in the order of its file."""
        lines = self.files.get(uuid, {}).get(f"events/metric/{file}.plx", b"").decode().splitlines()[1:]
        return [(line.split("|")[0], float(line.split("|")[2])) for line in lines]


def _form(request: Request) -> tuple[str, bytes]:
    """The path and content of an uploaded file."""
    mark = request.headers["content-type"].partition("multipart/form-data; boundary=")[2].encode()
    _, first, second, end = request.body.split(b"--" + mark)
    options = json.loads(first.partition(b'; name="json"\r\n\r\n')[2])
    head, _, data = second.partition(b"\r\n\r\n")
    name = re.search(r'; name="upload_file"; filename="([^"/]+)"', head.decode())
    if not name or end != b"--\r\n" or options != {"untar": False, "path": options["path"], "overwrite": True}:
        raise ValueError(f"not a form for a file: {options} {head!r}")
    return f"{options['path']}/{name[1]}", data.removesuffix(b"\r\n")


def _body(request: Request, known: set[str]) -> dict[str, Any]:
    if request.headers.get("content-type") != "application/json":
        raise ValueError("no JSON")
    content = json.loads(request.body, parse_constant=_no_constant)
    if not set(content) <= known:
        raise ValueError(f"unknown: {set(content) - known}")
    return dict(content)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _json(status: int, content: Any) -> Answer:
    return Answer(status, {"Content-Type": "application/json"}, json.dumps(content).encode())


class Bench:
    """A project of Polyaxon 2."""

    exactly_once: ClassVar[bool] = True
    needs_key: ClassVar[bool] = False
    nul: ClassVar[str] = "\0"
    scheme: ClassVar[str] = "polyaxon2"

    def __init__(self) -> None:
        self.server = FakePolyaxon2()
        self.url = f"{self.scheme}+{self.server.url}/default/digits"
        self.key = str(self.server.tokens[0])

    def messages(self) -> list[str]:
        """The values of the log after the level and logger."""
        return [entry["value"].partition(" -- ")[2] for uuid in self.server.runs for entry in self.server.log(uuid)]

    def values(self, name: str) -> list[float]:
        """The values in a metric's file; the suite's writer is not the owner of its run."""
        return [value for uuid in self.server.runs for _, value in self.server.points(uuid, f"{name}--host-7")]

    def violations(self) -> list[str]:
        """What the fake noted."""
        return self.server.violations + self.server.errors

    def rotate(self, key: str) -> None:
        """Takes one other token."""
        self.server.tokens[:] = [key]

    def too_large(self) -> None:
        """Bounds the body."""
        self.server.most = 10_000

    def close(self) -> None:
        """Ends the server."""
        self.server.close()
