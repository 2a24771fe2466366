"""The list of runs, grouped by project."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

from loghook.server import Server


def begin(client: Any, run: str, time: float, project: str | None = None, **fields: Any) -> None:
    """A run that began at a time, in a project or in none."""
    about = {"name": run, **({"project": project} if project else {}), **fields}
    client.send([{"time": time, "event": "run_started", "run": about}], run=run)


def shape(answer: dict[str, Any]) -> list[tuple[str | None, int, list[str]]]:
    """Each group's project, count and runs."""
    return [(group["project"], group["count"], [run["id"] for run in group["runs"]]) for group in answer["groups"]]


def test_groups_of_projects(client: Any) -> None:
    """Groups come newest run first, with how many runs each has and the newest of them; runs in none are a group."""
    for number in range(4):
        begin(client, f"cat-{number}", 100.0 + number, "cats")
    begin(client, "bare", 102.5)
    begin(client, "dog", 101.5, "dogs", group="3")
    begin(client, "old", 1.0)
    answer = client.read("/overview", by="project", limit=2)
    assert shape(answer) == [("cats", 4, ["cat-3", "cat-2"]), (None, 2, ["bare", "old"]), ("dogs", 1, ["dog"])]
    assert answer["next"] is None
    assert answer["now"] > 0
    (dog,) = answer["groups"][2]["runs"]
    assert (dog["group"], dog["metrics"], dog["status"]) == ("3", [], "lost")


def test_groups_of_what_is_searched(client: Any) -> None:
    """With a text, groups and their numbers are of the runs that have it."""
    begin(client, "cat-1", 1.0, "cats")
    begin(client, "cat-2", 2.0, "cats")
    begin(client, "dog-1", 3.0, "dogs")
    answer = client.read("/overview", by="project", q="-1")
    assert shape(answer) == [("dogs", 1, ["dog-1"]), ("cats", 1, ["cat-1"])]


@pytest.mark.parametrize("same", [False, True], ids=["apart", "at once"])
def test_pages_of_groups(client: Any, same: bool) -> None:
    """The pages hold each group once, also where runs began at the same moment."""
    for number in range(50):
        begin(client, f"run-{number}", 1000.0 if same else 1000.0 + number, f"project-{number % 45}")
    found: list[str | None] = []
    cursor: Any = ""
    pages = 0
    while cursor is not None:
        page = client.read("/overview", by="project", limit=1, before=cursor)
        found += [group["project"] for group in page["groups"]]
        cursor = page["next"]
        pages += 1
    assert pages == 3
    newest = list(dict.fromkeys(f"project-{number % 45}" for number in range(49, -1, -1)))
    assert sorted(map(str, found)) == sorted(newest)
    assert same or found == newest


def test_runs_without_a_project(client: Any) -> None:
    """Those in no project can be asked for, page by page."""
    for number in range(5):
        begin(client, f"bare-{number}", 10.0 + number)
        begin(client, f"cat-{number}", 10.0 + number, "cats")
    first = client.read("/overview", without="project", limit=3)
    assert [run["id"] for run in first["runs"]] == ["bare-4", "bare-3", "bare-2"]
    rest = client.read("/overview", without="project", limit=3, before=first["next"])
    assert [run["id"] for run in rest["runs"]] == ["bare-1", "bare-0"]


@pytest.mark.parametrize("wrong", [{"by": "name"}, {"without": "name"}, {"by": "project", "limit": "0"}])
def test_what_cannot_be_asked(client: Any, wrong: dict[str, str]) -> None:
    """Another word than the one that there is, or a wrong limit, is told so."""
    answer = client.get("/overview", **wrong)
    assert answer.status_code == 400
    assert "error" in answer.json()


def test_a_program_names_its_project(server: Server, client: Any) -> None:
    """A run of loghook's own is listed under the project that its settings name, an experiment beside it too."""
    code = (
        "import loghook\n"
        "loghook.install('installed', quiet=True)\n"
        "loghook.Experiment('beside', capture_io=False, quiet=True).end()\n"
        "loghook.Experiment('elsewhere', capture_io=False, quiet=True, project='other').end()\n"
    )
    environ = {**os.environ, "LOGHOOK_URL": server.url, "LOGHOOK_API_KEY": server.key, "LOGHOOK_PROJECT": "vision"}
    environ["LOGHOOK_SHUTDOWN_TIMEOUT"] = "60"
    subprocess.run([sys.executable, "-c", code], env=environ, check=True, timeout=100)
    assert {one["name"]: one["runs"] for one in client.read("/projects")["projects"]} == {"vision": 2, "other": 1}
    assert {run["name"] for run in client.read("/runs", project="vision")["runs"]} == {"installed", "beside"}
