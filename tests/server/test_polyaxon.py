"""Polyaxon's protocol of the 0.x servers, by raw requests: what a client may send, and what it is answered."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from loghook.server import Server
from loghook.server.accounts import Accounts
from loghook.server.ingest import Ingest
from loghook.server.keys import Keys
from loghook.server.store import Store, views

LINE = "2026-11-21 17:07:00 UTC INFO -- epoch 1"
MOMENT = 1_795_280_820.0


class Polyaxon:
    """Speaks to a server as Polyaxon's client does.

    Args:
        server: the server.
        token: the token to give; the local account's key if None.
    """

    def __init__(self, server: Server, token: str | None = None) -> None:
        self.url = f"{server.url}/api/v1/"
        self.headers = {"Authorization": f"Token {server.key if token is None else token}"}
        self.session = requests.Session()
        self.session.trust_env = False

    def call(self, method: str, path: str, **more: Any) -> requests.Response:
        """Return the answer to a request below /api/v1/."""
        headers = {**self.headers, **more.pop("headers", {})}
        return self.session.request(method, self.url + path, headers=headers, timeout=60, **more)

    def post(self, path: str, body: Any = None) -> Any:
        """Post JSON, or nothing, which must be taken, and return what is answered."""
        answer = self.call("POST", path, json=body)
        assert answer.status_code in (200, 201), answer.text
        return answer.json()

    def patch(self, path: str, body: Any) -> Any:
        """Patch by JSON, which must be taken, and return what is answered."""
        answer = self.call("PATCH", path, json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def create(self, project: str = "alice/mnist", kind: str = "experiments", **fields: Any) -> tuple[str, str]:
        """Create an experiment and return its path and the id of its run."""
        made = self.post(f"{project}/{kind}/", {"name": None, "tags": None, **fields})
        return f"{project}/{kind}/{made['id']}/", made["unique_name"].replace(f".{made['experiment_group']}.", ".")


@pytest.fixture
def polyaxon(server: Server) -> Polyaxon:
    """A client of Polyaxon's with the local account's key."""
    return Polyaxon(server)


def test_user(polyaxon: Polyaxon) -> None:
    """The user is the account that the key belongs to."""
    assert polyaxon.call("GET", "users/").json()["username"] == "local"


@pytest.mark.parametrize("scheme", ["token", "Token", "Bearer"])
def test_schemes(polyaxon: Polyaxon, scheme: str) -> None:
    """A key may be given as a token, in the spelling of either client."""
    key = polyaxon.headers["Authorization"].partition(" ")[2]
    assert polyaxon.call("GET", "users/", headers={"Authorization": f"{scheme} {key}"}).status_code == 200
    assert polyaxon.call("GET", "users/", headers={"Authorization": f"{scheme} x{key}"}).status_code == 401
    assert polyaxon.call("GET", "users/", headers={"Authorization": f"Basic {key}"}).status_code == 401


def test_ephemeral_token(polyaxon: Polyaxon, server: Server) -> None:
    """A short-lived token is one of this server's keys and is exchanged for itself; it opens nothing else."""
    path = "alice/mnist/experiments/5/ephemeraltoken/"
    key = {"Authorization": f"EphemeralToken {server.key}"}
    assert polyaxon.call("POST", path, headers=key).json() == {"token": server.key}
    refused = polyaxon.call("POST", path, headers={"Authorization": "EphemeralToken x"})
    assert refused.status_code == 401
    assert server.key not in refused.text
    assert polyaxon.call("GET", "users/", headers=key).status_code == 401


@pytest.mark.parametrize("slash", ["", "/"])
def test_every_call(polyaxon: Polyaxon, client: Any, slash: str) -> None:
    """Metrics, logs, statuses, a code reference and a heartbeat make the run, with and without a slash at the end."""
    run = f"alice/mnist/experiments/{len(slash) + 7}"
    polyaxon.post(f"{run}/metrics{slash}", {"values": {"loss": 0.5}, "created_at": "2026-11-21 17:07:00+00:00"})
    polyaxon.post(f"{run}/metrics{slash}", [{"values": {"loss": 0.25, "acc": 1}}, {"values": {"loss": 0.125}}])
    polyaxon.post(f"{run}/logs{slash}", LINE)
    polyaxon.post(f"{run}/logs{slash}", [LINE, "as it is"])
    polyaxon.post(f"{run}/coderef{slash}", {"commit": "c0ffee", "head": "c0ffee", "branch": "main", "is_dirty": True})
    polyaxon.post(f"{run}/_heartbeat{slash}")
    polyaxon.post(f"{run}/statuses{slash}", {"status": "running"})
    polyaxon.post(f"{run}/statuses{slash}", {"status": "failed", "message": "bad", "traceback": "T\nValueError: x"})
    at = f"/runs/{run.replace('/experiments/', '.').replace('/', '.')}"
    found = client.read(at)
    assert (found["status"], found["reason"], found["exception"]) == ("failure", "bad", "T\nValueError: x")
    assert (found["source"], found["project"], found["group"]) == ("polyaxon", "alice.mnist", None)
    assert found["git"] == {"commit": "c0ffee", "branch": "main", "dirty": True}
    points = client.read(f"{at}/metrics/loss")["points"]
    assert [value for _, _, value in points] == [0.5, 0.25, 0.125]
    assert [step for step, _, _ in points] == [0, 1, 2]
    assert points[0][1] == MOMENT
    said = [line["message"] for line in client.read(f"{at}/logs")["logs"] if line["message"]]
    assert said == ["epoch 1", "epoch 1", "as it is", "bad"]


@pytest.mark.parametrize("call", ["metrics", "logs", "coderef", "_heartbeat"])
def test_nothing(polyaxon: Polyaxon, call: str) -> None:
    """A request without a body, which the client's worker sends now and then, is fine."""
    polyaxon.post(f"alice/mnist/experiments/5/{call}/")


def test_first_helper(polyaxon: Polyaxon, client: Any) -> None:
    """The first helper's form is taken, NaN and all."""
    for loss in (0.5, float("nan"), float("inf")):
        form = {"values": json.dumps({"loss": loss})}
        assert polyaxon.call("POST", "alice/mnist/experiments/5/metrics", data=form).status_code == 201
    points = client.read("/runs/alice.mnist.5/metrics/loss")["points"]
    assert [value for _, _, value in points] == [0.5, "NaN", "Infinity"]


def test_creation(polyaxon: Polyaxon, client: Any) -> None:
    """A new experiment has a number of its own, and what was said of it; unknown fields are no trouble."""
    run_env = {"hostname": "gpu-01", "pid": 7, "python_version": "3.7.1", "sys.argv": ["train.py"], "packages": []}
    first, run = polyaxon.create(name="one", tags=["a"], description="what", run_env=run_env, is_managed=False, x=1)
    second, other = polyaxon.create()
    assert first != second
    found = client.read(f"/runs/{run}")
    assert (found["name"], found["tags"], found["description"]) == ("one", ["a"], "what")
    assert (found["host"], found["pid"], found["python"], found["argv"]) == ("gpu-01", 7, "3.7.1", ["train.py"])
    assert client.read(f"/runs/{other}")["name"] == other
    read = polyaxon.call("GET", second).json()
    assert read["id"] == int(second.rstrip("/").rpartition("/")[2])
    assert (read["project"], read["last_status"], read["params"]) == ("alice.mnist", "running", {})


def test_patches(polyaxon: Polyaxon, client: Any) -> None:
    """A PATCH adds to params and tags, or with no `merge` replaces them, and answers with the experiment."""
    path, run = polyaxon.create()
    polyaxon.patch(path, {"params": {"lr": 0.1, "layers": [64, 10]}, "merge": True})
    polyaxon.patch(path, {"params": {"lr": 0.2}, "merge": True})
    polyaxon.patch(path, {"tags": ["a", "b"], "merge": True})
    polyaxon.patch(path, {"tags": ["b", "c"], "merge": True})
    found = client.read(f"/runs/{run}")
    assert found["params"] == {"lr": 0.2, "layers": [64, 10]}
    assert found["tags"] == ["a", "b", "c"]
    polyaxon.patch(path, {"params": {"seed": 1}})
    answer = polyaxon.patch(path, {"tags": ["d"], "name": "renamed", "description": "why", "unknown": 1})
    assert (answer["params"], answer["tags"], answer["name"]) == ({"seed": 1}, ["d"], "renamed")
    assert client.read(f"/runs/{run}")["description"] == "why"


def test_patch_after_the_end(polyaxon: Polyaxon, client: Any) -> None:
    """A name that is given after the end begins nothing anew."""
    path, run = polyaxon.create()
    polyaxon.post(f"{path}statuses/", {"status": "succeeded"})
    polyaxon.patch(path, {"name": "late"})
    found = client.read(f"/runs/{run}")
    assert (found["name"], found["status"]) == ("late", "success")


def test_group(polyaxon: Polyaxon, client: Any) -> None:
    """A run that is made in a group, or named `user.project.group.5`, shows its project and its group."""
    _, run = polyaxon.create(experiment_group=3)
    found = client.read(f"/runs/{run}")
    assert (found["project"], found["group"]) == ("alice.mnist", "3")
    assert found["name"] == f"alice.mnist.3.{run.rpartition('.')[2]}"
    polyaxon.patch("alice/mnist/experiments/5/", {"name": "alice.mnist.4.5"})
    found = client.read("/runs/alice.mnist.5")
    assert (found["name"], found["project"], found["group"]) == ("alice.mnist.4.5", "alice.mnist", "4")


@pytest.mark.parametrize("kind", ["jobs", "builds"])
def test_jobs(polyaxon: Polyaxon, client: Any, kind: str) -> None:
    """Jobs and builds have runs as experiments have."""
    polyaxon.post(f"alice/mnist/{kind}/5/statuses/", {"status": "running"})
    polyaxon.post(f"alice/mnist/{kind}/5/logs/", [LINE])
    polyaxon.post(f"alice/mnist/{kind}/5/_heartbeat/")
    polyaxon.post(f"alice/mnist/{kind}/5/statuses/", {"status": "stopped"})
    found = client.read(f"/runs/alice.mnist.{kind}.5")
    assert (found["status"], found["project"], found["counts"]["logs"]) == ("stopped", "alice.mnist", 1)
    path, run = polyaxon.create(kind=kind, name="made")
    assert polyaxon.call("GET", path).json()["name"] == client.read(f"/runs/{run}")["name"] == "made"


@pytest.mark.parametrize(
    ("call", "body"),
    [
        ("metrics/", b"{"),
        ("metrics/", b'{"loss": 1}'),
        ("metrics/", b"[" * 100_000),
        ("metrics/", b'{"values": {"a": ' + b"[" * 900 + b"]" * 900 + b"}}"),
        ("metrics/", b'{"values": {"a": ' + b"[" * 9000 + b"]" * 9000 + b"}}"),
        ("logs/", b'{"a": 1}'),
        ("statuses/", b'{"status": "well"}'),
        ("statuses/", b""),
        ("coderef/", b"[1]"),
    ],
)
def test_wrong_bodies(polyaxon: Polyaxon, client: Any, call: str, body: bytes) -> None:
    """A wrong body is answered with 400 and words, and makes no run."""
    answer = polyaxon.call("POST", "alice/mnist/experiments/5/" + call, data=body)
    assert answer.status_code == 400
    assert len(answer.json()["error"].split()) > 3
    assert client.read("/runs")["runs"] == []


def test_what_was_posted(polyaxon: Polyaxon) -> None:
    """What is posted is answered, with an id, as JSON that holds whatever was in it."""
    path = "alice/mnist/experiments/5/"
    said = polyaxon.post(path + "statuses/", {"status": "warning", "message": "half \ud800"})
    assert (said["status"], said["message"], said["id"], said["experiment"]) == ("warning", "half ?", 5, 5)
    answer = polyaxon.call("POST", path + "metrics/", data=b'{"values": {"a": NaN, "b": 1}}')
    assert answer.json()["values"] == {"a": "NaN", "b": 1}


def test_too_large(polyaxon: Polyaxon) -> None:
    """A body over the limit is answered with 413."""
    body = b'"' + b"x" * (17 * 1024 * 1024) + b'"'
    assert polyaxon.call("POST", "alice/mnist/experiments/5/logs/", data=body).status_code == 413


def test_unknown(polyaxon: Polyaxon) -> None:
    """An experiment that is not there is 404, and so is one of a number that only this server gives."""
    assert polyaxon.call("GET", "alice/mnist/experiments/5/").status_code == 404
    own = "alice/mnist/experiments/1000042/"
    assert polyaxon.call("POST", own + "metrics/", json={"values": {"a": 1}}).status_code == 404
    assert polyaxon.call("PATCH", own, json={"name": "x"}).status_code == 404
    assert polyaxon.call("POST", own + "_heartbeat/").status_code == 404


def test_other_account(server: Server, polyaxon: Polyaxon, home: Path) -> None:
    """Another account's experiment answers as one that does not exist, whatever is asked of it."""
    path, _ = polyaxon.create(name="secret")
    polyaxon.post("alice/mnist/experiments/5/metrics/", {"values": {"a": 1}})
    store = Store(home / "server" / "loghook.db")
    accounts = Accounts(store)
    _, token = Keys(store, accounts, b"x").create(accounts.sign_up("bob@example.org", ""), "laptop")
    other = Polyaxon(server, token)
    store.close()
    assert other.call("GET", "users/").json()["username"] == "bob-example-org"
    calls = [("GET", ""), ("PATCH", ""), ("POST", "metrics/"), ("POST", "statuses/"), ("POST", "_heartbeat/")]
    for method, call in calls:
        answer = other.call(method, path + call, json={"values": {"a": 2}, "status": "failed", "name": "mine"})
        assert answer.status_code == 404, call
        assert "secret" not in answer.text
    assert other.call("GET", "alice/mnist/experiments/5/").status_code == 404
    # A number of a real platform's is the other account's own run.
    other.post("alice/mnist/experiments/5/metrics/", {"values": {"a": 2}})
    ours = polyaxon.call("GET", path).json()
    assert (ours["name"], ours["last_status"]) == ("secret", "running")
    bearer = {"Authorization": f"Bearer {token}"}
    assert [run["id"] for run in other.call("GET", "runs", headers=bearer).json()["runs"]] == ["alice.mnist.5"]
    points = polyaxon.call("GET", "runs/alice.mnist.5/metrics/a").json()["points"]
    assert [value for _, _, value in points] == [1.0]


def test_silence(tmp_path: Path) -> None:
    """A run whose heartbeat, one a minute, stops is running for three minutes and lost after that."""
    store = Store(tmp_path / "loghook.db")
    account = Accounts(store).local
    ingest = Ingest(store, lambda: 1000.0)
    body = b'{"time": 1000.0, "event": "heartbeat"}\n'
    ingest.append(account, "a.b.5", "polyaxon", body, digest=None, source="polyaxon", time=1000.0)
    with store.reading() as connection:
        found = [views.run_details(connection, account, "a.b.5", now) for now in (1180.0, 1190.0)]
    store.close()
    assert [run["status"] for run in found if run] == ["running", "lost"]


def test_projects(polyaxon: Polyaxon, client: Any) -> None:
    """Runs can be asked for by project, and the projects are told with how many runs each has."""
    for path in ("alice/mnist/experiments/1", "alice/mnist/jobs/1", "alice/cifar/experiments/2"):
        polyaxon.post(f"{path}/_heartbeat/")
    started = {"time": time.time(), "event": "run_started", "run": {"name": "ours", "project": "cats", "group": "g"}}
    client.send([started], run="ours")
    client.send([{"time": time.time(), "event": "heartbeat"}], run="none")
    told = client.read("/projects")["projects"]
    assert {project["name"]: project["runs"] for project in told} == {"alice.mnist": 2, "alice.cifar": 1, "cats": 1}
    for path in ("/runs", "/overview"):
        found = client.read(path, project="alice.mnist")["runs"]
        assert {run["id"] for run in found} == {"alice.mnist.1", "alice.mnist.jobs.1"}
        assert len(client.read(path)["runs"]) == 5
        assert client.read(path, project="no such")["runs"] == []
        assert [run["id"] for run in client.read(path, project="alice.mnist", q="jobs")["runs"]] == [
            "alice.mnist.jobs.1"
        ]
    (ours,) = client.read("/runs", project="cats")["runs"]
    assert (ours["project"], ours["group"], ours["source"]) == ("cats", "g", "loghook")


def test_pages_of_a_project(polyaxon: Polyaxon, client: Any) -> None:
    """The pages of a project's list hold all of its runs, each once."""
    for number in range(7):
        polyaxon.post(f"alice/mnist/experiments/{number}/_heartbeat/")
        polyaxon.post(f"alice/cifar/experiments/{number}/_heartbeat/")
    found: list[str] = []
    cursor: Any = ""
    while cursor is not None:
        page = client.read("/runs", project="alice.mnist", limit=3, before=cursor)
        found += [run["id"] for run in page["runs"]]
        cursor = page["next"]
    assert found == [f"alice.mnist.{number}" for number in reversed(range(7))]


def test_described(client: Any, record: Callable[..., dict[str, Any]]) -> None:
    """Any writer may describe its run; what is of a wrong type is left out, and nothing of it stops the rest."""
    about = {"project": 5, "group": "g", "tags": ["a", 5, "a"], "description": "d", "name": "n" * 2000}
    client.send([{"time": time.time(), "event": "described", "run": about}, record("line")])
    found = client.read("/runs/run")
    assert (found["project"], found["group"], found["tags"], found["description"]) == (None, "g", ["a"], "d")
    assert found["name"] == "n" * 1000
    assert found["counts"]["logs"] == 1
