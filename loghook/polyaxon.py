"""What Polyaxon tells a job, answered for both of its generations; the functions that polyaxon-helper's users know.

Each reads the environment as it is at the call, and never raises. A variable that is unset or empty is None; one that
holds something else than it should is None too, and is named once on stderr. Of two names that mean the same (of the
early and the later clients of 0.x) the first that is set counts. In a run of 2.x, which sets few of them, the answer
comes from what 2.x has, or is None where the question makes no sense there.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, MutableMapping
from typing import Any

from loghook.job import Job, is_no_op, is_offline, job_of, json_object
from loghook.threads import importing
from loghook.voice import Voice

__all__ = [
    "declared",
    "get_cluster_def",
    "get_data_path",
    "get_data_paths",
    "get_declarations",
    "get_experiment_info",
    "get_job_info",
    "get_outputs_path",
    "get_outputs_refs_paths",
    "get_params",
    "get_task_info",
    "get_tf_config",
]

PARAMS = ("POLYAXON_DECLARATIONS", "POLYAXON_PARAMS")
PATIENCE = 3.0
"""Seconds that an API may keep a question waiting."""

_voice = Voice()
_told: set[str] = set()
_inputs: dict[str, dict[str, Any]] = {}


def get_cluster_def(environ: Mapping[str, str] | None = None) -> dict[str, Any] | None:
    """Return the cluster of a distributed job: {"worker": ["host:port", ...], ...}."""
    return _object(environ, "POLYAXON_CLUSTER")


def get_declarations(environ: Mapping[str, str] | None = None) -> dict[str, Any] | None:
    """Return the job's params by name, any JSON values; the same as `get_params`."""
    return get_params(environ)


def get_params(environ: Mapping[str, str] | None = None) -> dict[str, Any] | None:
    """Return the job's params by name, any JSON values.

    A run of 2.x has them on its server alone: they are asked for there, for three seconds at most, and then known.
    """
    found = declared(environ)
    job = _run_of_2(environ)
    return found if found is not None or job is None else _ask(job, os.environ if environ is None else environ)


def declared(environ: Mapping[str, str] | None = None) -> dict[str, Any] | None:
    """Return the params that are in the environment; asks no server."""
    return _object(environ, *PARAMS)


def get_experiment_info(environ: Mapping[str, str] | None = None) -> dict[str, Any] | None:
    """Return the names and uuids of the job's project, experiment group and experiment; in 2.x the run's."""
    job = _run_of_2(environ)
    if job is not None:
        return {
            "project_name": f"{job.owner}.{job.project}",
            "experiment_group_name": None,
            "experiment_name": job.name,
            "experiment_uuid": job.id,
        }
    return _object(environ, "POLYAXON_EXPERIMENT_INFO")


def get_job_info(environ: Mapping[str, str] | None = None) -> dict[str, Any] | None:
    """Return the names, uuids, role, type and app of the job."""
    return _object(environ, "POLYAXON_JOB_INFO")


def get_task_info(environ: Mapping[str, str] | None = None) -> dict[str, Any] | None:
    """Return which task of a distributed job this is: {"type": text, "index": number}."""
    return _object(environ, "POLYAXON_TASK_INFO")


def get_outputs_path(environ: Mapping[str, str] | None = None) -> str | None:
    """Return the folder for what the job makes; in 2.x the run's own."""
    job = _run_of_2(environ)
    found = _text(environ, "POLYAXON_OUTPUTS_PATH", "POLYAXON_RUN_OUTPUTS_PATH")
    if found is None and job is not None:
        return str(job.folder(os.environ if environ is None else environ) / "outputs")
    return found


def get_data_path(environ: Mapping[str, str] | None = None) -> str | None:
    """Return the folder of the data; where they have names, and there is but one, that one's."""
    found = _text(environ, "POLYAXON_DATA_PATH")
    if found is not None:
        return found
    paths = list((get_data_paths(environ) or {}).values())
    return paths[0] if len(paths) == 1 else None


def get_data_paths(environ: Mapping[str, str] | None = None) -> dict[str, str] | None:
    """Return the folders of the data by name."""
    return _paths(environ, "POLYAXON_RUN_DATA_PATHS")


def get_outputs_refs_paths(environ: Mapping[str, str] | None = None) -> dict[str, Any] | None:
    """Return the folders of what other runs made, as they were referred to."""
    return _object(environ, "POLYAXON_REFS_OUTPUTS_PATHS")


def get_tf_config(
    envvar: str | None = "TF_CONFIG", environ: MutableMapping[str, str] | None = None
) -> dict[str, Any] | None:
    """Return TensorFlow's description of the job: {"cluster", "task", "model_dir", "environment": "cloud"}.

    It is put into the variable `envvar` as JSON too, unless that is None or empty. None outside a distributed job; in
    a run of 2.x, whose operator describes it, what the variable holds already.
    """
    environ = os.environ if environ is None else environ
    if _run_of_2(environ) is not None:
        return _object(environ, envvar) if envvar else None
    cluster, task = get_cluster_def(environ), get_task_info(environ)
    if cluster is None and task is None:
        return None
    config = {"cluster": cluster, "task": task, "model_dir": get_outputs_path(environ), "environment": "cloud"}
    if envvar:
        environ[envvar] = json.dumps(config)
    return config


def _run_of_2(environ: Mapping[str, str] | None) -> Job | None:
    job = job_of(os.environ if environ is None else environ)
    return job if job is not None and job.generation == 2 else None


def _text(environ: Mapping[str, str] | None, *names: str) -> str | None:
    environ = os.environ if environ is None else environ
    return next((environ[name] for name in names if environ.get(name)), None)


def _object(environ: Mapping[str, str] | None, *names: str) -> dict[str, Any] | None:
    """The JSON object in the first of some variables that is set."""
    environ = os.environ if environ is None else environ
    name = next((name for name in names if environ.get(name, "").strip()), None)
    if name is None:
        return None
    found = json_object(environ[name])
    if found is None:
        _tell(name, f"{name} is no JSON object, and left out")
    return found


def _paths(environ: Mapping[str, str] | None, name: str) -> dict[str, str] | None:
    found = _object(environ, name)
    if found is not None and not all(isinstance(path, str) for path in found.values()):
        _tell(name, f"{name} is no JSON object of paths, and left out")
        return None
    return found


def _tell(name: str, text: str) -> None:
    if name not in _told:
        _told.add(name)
        _voice.say(text)


def _ask(job: Job, environ: Mapping[str, str]) -> dict[str, Any] | None:
    """The inputs of a run of 2.x."""
    if job.id in _inputs or is_offline(environ) or is_no_op(environ):
        return _inputs.get(job.id)
    try:
        with importing():
            from loghook.credentials import KeySource
            from loghook.transports.polyaxon.ask import inputs
        found = inputs(job, KeySource(environ=environ), environ, timeout=PATIENCE)
    except Exception as error:  # a question must not end a training, whatever is wrong with the answer
        found = f"{type(error).__name__}: {error}"
    if isinstance(found, str):
        _tell(job.id, f"the params of {job.name} can't be had: {found}")
        return None
    return _inputs.setdefault(job.id, found)
