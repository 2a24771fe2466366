"""A server of Hyperdash's SDK protocol over real HTTP, in memory and strict: it checks each message in full."""

from __future__ import annotations

import json
import math
import re
import time
import uuid
from collections import defaultdict
from collections.abc import Callable
from typing import Any, NoReturn

from .awkward import Answer, AwkwardServer, Request, Step

__all__ = ["FakeHyperdashServer"]

Message = dict[str, Any]

APIS = ("monitor", "experiment", "cli_run", "cli_pipe", "cli_tensorboard", "jupyter")
LONGEST_BODY = 20480
HEARTBEAT = 5.0
LENIENCY = 0.2


class FakeHyperdashServer(AwkwardServer):
    """Takes messages and keeps them, each run's in order. See AwkwardServer for the script.

    keys        the keys that are taken; `key` is the first
    apis        what x-hyperdash-api said, for each run
    early       messages of runs that were not begun yet: they are answered with 400 and are to come again
    late        messages that came after their run's run_ended: they are taken; where one process writes there are none
    repeated    messages that came again, as after a lost answer; but for heartbeats they are kept once
    violations  what requests did against the protocol, in words; a test should find it empty
    refuse      looks at a message and returns why it is refused as malformed, or None
    max_bytes   the largest request body taken, in bytes; None: any
    """

    def __init__(
        self,
        *steps: Step,
        key: str = "a-key-for-tests-0001",
        refuse: Callable[[Message], str | None] = lambda message: None,
        max_bytes: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.keys = [key]
        self.refuse = refuse
        self.max_bytes = max_bytes
        self.apis: dict[str, set[str]] = defaultdict(set)
        self.early: list[Message] = []
        self.late: list[Message] = []
        self.repeated = 0
        self.violations: list[str] = []
        self._runs: dict[str, list[Message]] = {}
        self._logs: dict[str, Message] = {}
        self._known: set[str] = set()
        self._last: dict[str, float] = {}
        self._clock = clock
        super().__init__(self._answer, *steps)

    @property
    def key(self) -> str:
        """A key that is taken."""
        return self.keys[0]

    def __enter__(self) -> FakeHyperdashServer:
        return self

    def begin(self, run: str) -> None:
        """Takes a run, by its uuid, as begun."""
        self._runs.setdefault(run, [])

    def messages(self, kind: str | None = None, run: str | None = None) -> list[Message]:
        """All messages that were taken (of one type, of one run), each run's in order."""
        runs = list(self._runs.items())
        taken = [message for its_run, messages in runs if run in (None, its_run) for message in list(messages)]
        return [message for message in taken if kind in (None, message["type"])]

    def lines(self, level: str | None = None, run: str | None = None) -> list[str]:
        """The lines of all logs (of one level, of one run): their bodies one after the other, cut at newlines."""
        logs = [message["payload"] for message in self.messages("log", run)]
        return "".join(log["body"] for log in logs if level in (None, log["level"])).split("\n")[:-1]

    def values(self, name: str, run: str | None = None) -> list[float]:
        """The values of one metric, in order."""
        metrics = [message["payload"] for message in self.messages("metric", run)]
        return [float(metric["value"]) for metric in metrics if metric["name"] == name]

    def _answer(self, request: Request) -> Answer:
        if request.headers.get("x-hyperdash-auth") not in self.keys:
            return _json(401, code="api_key_requred")
        if self.max_bytes is not None and len(request.body) > self.max_bytes:
            return _json(413, code="too_large")
        try:
            self._check_head(request)
            message = _parsed(request.body)
            refusal = self.refuse(message) or self._check_order(message)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            self.violations.append(f"{type(error).__name__}: {error}")
            return _json(400, code="malformed")
        if refusal:
            return _json(400, code=refusal)
        self._keep(message, request.headers["x-hyperdash-api"])
        return _json(200)

    def _keep(self, message: Message, api: str) -> None:
        run = message["sdk_run_uuid"]
        taken = self._runs.setdefault(run, [])
        self.apis[run].add(api)
        self._last[run] = self._clock()
        if self._is_repeated(message):
            self.repeated += 1
            return
        taken.append(message)
        self._known.add(json.dumps(message))
        if message["type"] == "log":
            self._logs[message["payload"]["uuid"]] = message

    def _is_repeated(self, message: Message) -> bool:
        name = message["payload"].get("uuid")
        if self._logs.get(name, message) != message:
            raise ValueError("a log's uuid a second time, with another text")
        return message["type"] != "heartbeat" and json.dumps(message) in self._known

    def _check_head(self, request: Request) -> None:
        headers = request.headers
        if (request.method, request.target) != ("POST", "/api/v1/sdk/http"):
            raise ValueError(f"{request.method} {request.target} is not in the protocol")
        if headers.get("content-type") != "application/json" or "content-encoding" in headers:
            raise ValueError("the body is not plain JSON")
        if headers.get("x-hyperdash-version") != "0.15.3":
            raise ValueError(f"the version is {headers.get('x-hyperdash-version')}")
        if headers.get("x-hyperdash-api") not in APIS:
            raise ValueError(f"the API is {headers.get('x-hyperdash-api')}")

    def _check_order(self, message: Message) -> str | None:
        run, kind = message["sdk_run_uuid"], message["type"]
        taken = self._runs.get(run)
        if taken is None:
            if kind == "run_started":
                return None
            self.early.append(message)
            return "run_unknown"
        if self._is_repeated(message):
            return None
        if kind in ("run_started", "run_ended") and any(one["type"] == kind for one in taken):
            raise ValueError(f"{kind} a second time")
        if any(one["type"] == "run_ended" for one in taken):
            self.late.append(message)
        silence = self._clock() - self._last.get(run, -HEARTBEAT)
        if kind == "heartbeat" and silence < HEARTBEAT - LENIENCY:
            raise ValueError(f"a heartbeat {silence:.1f} s after another message")
        return None


def _parsed(body: bytes) -> Message:
    """A message, read strictly. Raises ValueError and the like for anything against the protocol."""
    message = json.loads(body.decode("utf-8"), parse_constant=_no_constant)
    _exactly(message, type=str, timestamp=int, sdk_run_uuid=str, payload=dict)
    _milliseconds(message["timestamp"])
    _uuid4(message["sdk_run_uuid"])
    payload = message["payload"]
    match message["type"]:
        case "run_started":
            _exactly(payload, job_name=str)
        case "log":
            _exactly(payload, uuid=str, level=str, body=str)
            _uuid4(payload["uuid"])
            _one_of(payload["level"], "INFO", "ERROR")
            if not 0 < len(payload["body"]) <= LONGEST_BODY:
                raise ValueError(f"a body of {len(payload['body'])} characters")
        case "metric":
            _exactly(payload, name=str, timestamp=int, value=float, is_internal=bool)
            _milliseconds(payload["timestamp"])
            if not math.isfinite(payload["value"]):
                raise ValueError("a value that is not finite")
        case "param":
            _exactly(payload, params=dict, is_internal=bool)
        case "heartbeat":
            _exactly(payload)
        case "run_ended":
            _exactly(payload, final_status=str)
            _one_of(payload["final_status"], "success", "failure")
        case other:
            raise ValueError(f"the type is {other!r}")
    return dict(message)


def _exactly(value: Any, /, **types: type) -> None:
    """Holds an object to exactly these keys, with values of exactly these types (true is no number)."""
    if not isinstance(value, dict) or {name: type(one) for name, one in value.items()} != types:
        raise ValueError(f"{str(value)[:200]} has not exactly {', '.join(types) or 'nothing'}")


def _milliseconds(value: int) -> None:
    if not re.fullmatch(r"\d{13}", str(value)):
        raise ValueError(f"the time {value} is not in milliseconds")


def _uuid4(text: str) -> None:
    parsed = uuid.UUID(text)
    if str(parsed) != text or parsed.version != 4:
        raise ValueError(f"{text} is no uuid4")


def _one_of(value: str, *known: str) -> None:
    if value not in known:
        raise ValueError(f"{value!r} is none of {', '.join(known)}")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _json(status: int, **content: Any) -> Answer:
    return Answer(status, {"Content-Type": "application/json"}, json.dumps(content).encode())
