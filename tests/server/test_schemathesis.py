"""The API's description and the server, held against each other with requests made up from the description."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import pytest
import requests

from loghook.server import Server

COMMAND = Path(sysconfig.get_path("scripts")) / "schemathesis"

HOOKS = """
import json
import schemathesis

@schemathesis.serializer("application/x-ndjson")
def ndjson(context, value):
    lines = value if isinstance(value, list) else [value]
    return "".join(json.dumps(line) + "\\n" for line in lines).encode(errors="replace")

@schemathesis.deserializer("application/x-ndjson")
def read_ndjson(context, response):
    return [json.loads(line) for line in response.content.splitlines()]

@schemathesis.deserializer("text/csv")
def read_csv(context, response):
    return response.content.decode("utf-8-sig")
"""

# What is wrong with a request in a second way may be told first: a long head, or an offset beyond what was expected.
CONFIGURATION = """
[checks]
negative_data_rejection.expected-statuses = [400, 401, 403, 404, 405, 406, 409, 413, 415, 422, 428, 429, 431]
"""
KNOWN = """
[parameters]
"path.run" = "known-run"
"path.name" = "loss"
"""


def token_of(server: Server) -> str:
    """Return a session's token, which serves as a key and cannot be revoked as one."""
    with requests.Session() as session:
        session.trust_env = False
        session.get(server.sign_in_link, timeout=60)
        (token,) = session.cookies.values()
        return str(token)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(not importlib.util.find_spec("schemathesis"), reason="it is in the extra fuzz")
@pytest.mark.parametrize(
    ("options", "more", "seconds"), [((), "", 40), (("--include-method", "GET"), KNOWN, 20)], ids=["any", "known run"]
)
def test_made_up_requests(
    server: Server, client: Any, tmp_path: Path, options: tuple[str, ...], more: str, seconds: int
) -> None:
    """Requests made up from the description, right and wrong ones, are answered as it says, and none by a failure."""
    record = {"time": 1.0, "message": "m", "metrics": {"loss": 0.5, "odd": "NaN"}, "exception": "E"}
    client.send([record] * 20, run="known-run")
    (tmp_path / "hooks.py").write_text(HOOKS)
    (tmp_path / "schemathesis.toml").write_text(CONFIGURATION + more)
    command = [str(COMMAND), "run", f"{server.url}/api/v1/openapi.json", "--url", server.url, *options]
    command += ["--header", f"Authorization: Bearer {token_of(server)}", "--checks", "all", "--max-time", str(seconds)]
    command += ["--continue-on-failure", "--no-color", "--max-examples", "10", "--request-timeout", "60", "--seed", "1"]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(tmp_path)}
    ended = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=280, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
