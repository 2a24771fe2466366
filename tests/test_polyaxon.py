"""What Polyaxon tells a job, in both generations, whatever its variables hold."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

import loghook
from loghook import environment, polyaxon
from loghook.job import default_url, in_project, job_of
from loghook.testing import Answer, AwkwardServer

UUID = "8aac02e3a62a4f0aaa257c59da5eab80"
RUN = {"POLYAXON_RUN_INSTANCE": f"acme.mnist.runs.{UUID}", "POLYAXON_IS_MANAGED": "true"}
EXPERIMENT = {"POLYAXON_EXPERIMENT_INFO": json.dumps({"experiment_name": "someone.digits.7.5"})}

OBJECTS: list[tuple[Callable[..., Any], str]] = [
    (environment.get_cluster_def, "POLYAXON_CLUSTER"),
    (environment.get_declarations, "POLYAXON_DECLARATIONS"),
    (environment.get_declarations, "POLYAXON_PARAMS"),
    (environment.get_params, "POLYAXON_DECLARATIONS"),
    (environment.get_params, "POLYAXON_PARAMS"),
    (environment.get_experiment_info, "POLYAXON_EXPERIMENT_INFO"),
    (environment.get_job_info, "POLYAXON_JOB_INFO"),
    (environment.get_task_info, "POLYAXON_TASK_INFO"),
    (environment.get_data_paths, "POLYAXON_RUN_DATA_PATHS"),
    (environment.get_outputs_refs_paths, "POLYAXON_REFS_OUTPUTS_PATHS"),
]
PATHS: list[tuple[Callable[..., Any], str]] = [
    (environment.get_outputs_path, "POLYAXON_OUTPUTS_PATH"),
    (environment.get_outputs_path, "POLYAXON_RUN_OUTPUTS_PATH"),
    (environment.get_data_path, "POLYAXON_DATA_PATH"),
]
ACCESSORS = sorted({accessor.__name__ for accessor, _ in OBJECTS + PATHS} | {"get_tf_config", "get_log_level"})


@pytest.fixture(autouse=True)
def nothing_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test begins with nothing said and nothing known."""
    polyaxon._told.clear()
    polyaxon._inputs.clear()
    polyaxon._voice.__init__()  # type: ignore[misc]


@pytest.mark.parametrize(("accessor", "variable"), OBJECTS, ids=lambda one: getattr(one, "__name__", one))
@pytest.mark.parametrize("value", [None, "", "  "], ids=repr)
def test_unset_and_empty_are_none(
    accessor: Callable[..., Any], variable: str, value: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    """A variable that is not there, or holds nothing, is None without a word."""
    assert accessor({} if value is None else {variable: value}) is None
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("accessor", "variable"), OBJECTS, ids=lambda one: getattr(one, "__name__", one))
@pytest.mark.parametrize("value", ["{", "nonsense", "[1]", "7", '"text"', "null", "[" * 100_000], ids=lambda v: v[:8])
def test_what_is_no_json_object_is_none_and_said_once(
    accessor: Callable[..., Any], variable: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Something else than a JSON object is None, and the variable is named once, however often it is asked for."""
    assert accessor({variable: value}) is None
    assert accessor({variable: value}) is None
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert variable in said[0]


@pytest.mark.parametrize(("accessor", "variable"), OBJECTS, ids=lambda one: getattr(one, "__name__", one))
def test_a_json_object_comes_as_it_is(accessor: Callable[..., Any], variable: str) -> None:
    """A JSON object is read."""
    assert accessor({variable: '{"a": "b"}'}) == {"a": "b"}


@pytest.mark.parametrize(("accessor", "variable"), PATHS, ids=lambda one: getattr(one, "__name__", one))
def test_a_path_is_text(accessor: Callable[..., Any], variable: str) -> None:
    """A path is the variable's text, None when it is unset or empty."""
    assert accessor({}) is None
    assert accessor({variable: ""}) is None
    assert accessor({variable: "/outputs/5"}) == "/outputs/5"


def test_of_two_names_the_first_that_is_set_counts() -> None:
    """The early helpers' variable goes before the later clients'; an empty one counts as unset."""
    assert environment.get_params({"POLYAXON_DECLARATIONS": '{"a": 1}', "POLYAXON_PARAMS": '{"a": 2}'}) == {"a": 1}
    assert environment.get_params({"POLYAXON_DECLARATIONS": "", "POLYAXON_PARAMS": '{"a": 2}'}) == {"a": 2}
    both = {"POLYAXON_OUTPUTS_PATH": "/one", "POLYAXON_RUN_OUTPUTS_PATH": "/two"}
    assert environment.get_outputs_path(both) == "/one"


def test_one_named_folder_of_data_is_the_folder_of_data() -> None:
    """Where data have names and there is one, its folder answers for the unnamed one; of several none does."""
    assert environment.get_data_path({"POLYAXON_RUN_DATA_PATHS": '{"data1": "/d1"}'}) == "/d1"
    assert environment.get_data_path({"POLYAXON_RUN_DATA_PATHS": '{"data1": "/d1", "data2": "/d2"}'}) is None
    assert environment.get_data_paths({"POLYAXON_RUN_DATA_PATHS": '{"data1": 7}'}) is None


def test_tensorflow_gets_its_description() -> None:
    """The cluster, the task and the outputs make TF_CONFIG, which is returned and put into the variable."""
    environ = {
        "POLYAXON_CLUSTER": '{"worker": ["a:1", "b:1"]}',
        "POLYAXON_TASK_INFO": '{"type": "worker", "index": 1}',
        "POLYAXON_OUTPUTS_PATH": "/outputs",
    }
    expected = {
        "cluster": {"worker": ["a:1", "b:1"]},
        "task": {"type": "worker", "index": 1},
        "model_dir": "/outputs",
        "environment": "cloud",
    }
    assert environment.get_tf_config(environ=environ) == expected
    assert json.loads(environ["TF_CONFIG"]) == expected
    assert environment.get_tf_config("OTHER", environ) == expected
    assert "OTHER" in environ
    before = dict(environ)
    assert environment.get_tf_config(None, environ) == environment.get_tf_config("", environ) == expected
    assert environ == before


def test_outside_a_distributed_job_there_is_no_description() -> None:
    """Without a cluster and a task there is no TF_CONFIG, and none is set."""
    environ: dict[str, str] = {"POLYAXON_OUTPUTS_PATH": "/outputs"}
    assert environment.get_tf_config(environ=environ) is None
    assert "TF_CONFIG" not in environ


def test_a_run_of_2_answers_where_the_question_makes_sense() -> None:
    """2.x has a run's name and its own folder; it has no cluster, job, task and data."""
    assert environment.get_experiment_info(RUN) == {
        "project_name": "acme.mnist",
        "experiment_group_name": None,
        "experiment_name": f"acme.mnist.runs.{UUID}",
        "experiment_uuid": UUID,
    }
    assert environment.get_outputs_path(RUN) == f"/plx-context/artifacts/{UUID}/outputs"
    assert environment.get_outputs_path({**RUN, "POLYAXON_CONTEXT_ROOT": "/c"}) == f"/c/artifacts/{UUID}/outputs"
    assert environment.get_outputs_path({**RUN, "POLYAXON_ARTIFACTS_ROOT": "/a"}) == f"/a/{UUID}/outputs"
    for question in ("get_cluster_def", "get_job_info", "get_task_info", "get_data_path", "get_data_paths"):
        assert getattr(environment, question)(RUN) is None
    assert environment.get_tf_config(environ=dict(RUN)) is None
    assert environment.get_tf_config(environ={**RUN, "TF_CONFIG": '{"cluster": {}}'}) == {"cluster": {}}


def test_the_params_of_a_run_of_2_come_from_its_server() -> None:
    """They are asked for once, with the job's token."""
    body = json.dumps({"uuid": UUID, "inputs": {"lr": 0.1}}).encode()
    with AwkwardServer(lambda request: Answer(200, {"Content-Type": "application/json"}, body)) as server:
        environ = {**RUN, "POLYAXON_HOST": server.url, "POLYAXON_AUTH_TOKEN": "token-of-the-job"}
        assert environment.get_params(environ) == environment.get_declarations(environ) == {"lr": 0.1}
        (request,) = server.requests
    assert request.path == f"/api/v1/acme/mnist/runs/{UUID}"
    assert request.headers["authorization"] == "Token token-of-the-job"


@pytest.mark.parametrize("answer", [Answer(cut=0), Answer(500), Answer(404), Answer(200, body=b"<html>")], ids=str)
def test_params_that_cannot_be_had_are_none(answer: Answer, capsys: pytest.CaptureFixture[str]) -> None:
    """A server in trouble makes no trouble: None, and one line."""
    with AwkwardServer(lambda request: answer) as server:
        environ = {**RUN, "POLYAXON_HOST": server.url}
        assert environment.get_params(environ) is None
        assert environment.get_params(environ) is None
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("variable", ["POLYAXON_IS_OFFLINE", "POLYAXON_NO_OP"])
def test_offline_no_server_is_asked(variable: str) -> None:
    """Where nothing is to be sent the params of a run of 2.x are not asked for."""
    with AwkwardServer() as server:
        assert environment.get_params({**RUN, "POLYAXON_HOST": server.url, variable: "true"}) is None
        assert not server.requests


@pytest.mark.parametrize("name", ACCESSORS)
def test_the_package_has_each_question(name: str) -> None:
    """Each accessor is there as `loghook.NAME` too, and reads the process's environment."""
    assert name in loghook.__all__
    assert getattr(loghook, name) is getattr(environment, name)
    getattr(loghook, name)()


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({}, ""),
        ({**RUN}, "polyaxon+http://polyaxon-polyaxon-api:80/acme/mnist"),
        ({**RUN, "POLYAXON_HOST": "https://plx.example.org/"}, "polyaxon+https://plx.example.org/acme/mnist"),
        ({"POLYAXON_RUN_INSTANCE": "acme.mnist.runs"}, ""),
        ({"POLYAXON_RUN_INSTANCE": "acme.mnist.runs.no-uuid"}, ""),
        (EXPERIMENT, ""),
        ({**EXPERIMENT, "POLYAXON_API": "http://api:80"}, "polyaxon+http://api:80/someone/digits"),
        ({**EXPERIMENT, "POLYAXON_API_HTTP_HOST": "http://api/"}, "polyaxon+http://api/someone/digits"),
        ({**EXPERIMENT, "POLYAXON_API_HOST": "api"}, "polyaxon+http://api/someone/digits"),
        (
            {**EXPERIMENT, "POLYAXON_API_HOST": "api", "POLYAXON_HTTP_PORT": "8", "POLYAXON_USE_HTTPS": "1"},
            "polyaxon+https://api:8/someone/digits",
        ),
        ({"POLYAXON_EXPERIMENT_INFO": "{", "POLYAXON_API": "http://api"}, ""),
        ({"HYPERDASH_SERVER": "https://h.example.org"}, "hyperdash+https://h.example.org"),
        (
            {"HYPERDASH_SERVER": "https://h.example.org", "HYPERDASH_API_KEY": "k"},
            "hyperdash+https://h.example.org",
        ),
        (
            {**RUN, "HYPERDASH_SERVER": "https://h", "HYPERDASH_API_KEY": "k"},
            "polyaxon+http://polyaxon-polyaxon-api:80/acme/mnist",
        ),
    ],
    ids=str,
)
def test_the_destination_that_the_environment_speaks_of(environ: dict[str, str], url: str) -> None:
    """Inside a job it is the job's platform, with a Hyperdash server and a key that server, else none."""
    assert default_url(environ) == url


def test_a_job_of_0_is_known_by_its_name() -> None:
    """User, project, group, number and kind are the parts of the experiment's or the job's name."""
    job = job_of(EXPERIMENT)
    assert job is not None
    assert (job.owner, job.project, job.group, job.kind, job.id) == ("someone", "digits", "7", "experiments", "5")
    job = job_of({"POLYAXON_JOB_INFO": '{"job_name": "someone.digits.jobs.3"}'})
    assert job is not None
    assert (job.kind, job.id, job.group) == ("jobs", "3", "")


@pytest.mark.parametrize(
    ("url", "project", "found"),
    [
        ("polyaxon+https://host/acme", "mnist", "polyaxon+https://host/acme/mnist"),
        ("polyaxon0+http://host:80/acme/", "a b", "polyaxon0+http://host:80/acme/a-b"),
        ("polyaxon2+https://u:p@host", "acme/mnist", "polyaxon2+https://u:p@host/acme/mnist"),
        ("Polyaxon+HTTPS://host/", "acme/mnist", "Polyaxon+HTTPS://host/acme/mnist"),
        ("polyaxon+https://host/acme", "of/acme", "polyaxon+https://host/acme/of-acme"),
        ("polyaxon+https://host/acme/other", "mnist", "polyaxon+https://host/acme/other"),
        ("polyaxon+https://host/api/acme/other", "mnist", "polyaxon+https://host/api/acme/other"),
        ("polyaxon+https://host/acme", "", "polyaxon+https://host/acme"),
        ("polyaxon+https://host/acme", "../..", "polyaxon+https://host/acme"),
        ("polyaxon+https://host", "mnist", "polyaxon+https://host"),
        ("https://host/acme", "mnist", "https://host/acme"),
        ("hyperdash+https://host", "acme/mnist", "hyperdash+https://host"),
    ],
)
def test_a_url_gets_the_project_that_it_lacks(url: str, project: str, found: str) -> None:
    """A URL of Polyaxon that names no project gets that of the settings, no other URL does, and only what is a name."""
    assert in_project(url, project) == found
