"""What the environment tells a job: its place among the processes of one launch, its level, and all that Polyaxon says.

The questions about Polyaxon are answered in polyaxon.py; what they share is that they never raise.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path

from loghook.job import default_url, is_no_op, is_offline
from loghook.polyaxon import (
    get_cluster_def,
    get_data_path,
    get_data_paths,
    get_declarations,
    get_experiment_info,
    get_job_info,
    get_outputs_path,
    get_outputs_refs_paths,
    get_params,
    get_task_info,
    get_tf_config,
)
from loghook.settings import parse_level

__all__ = [
    "default_url",
    "get_cluster_def",
    "get_data_path",
    "get_data_paths",
    "get_declarations",
    "get_experiment_info",
    "get_job_info",
    "get_log_level",
    "get_outputs_path",
    "get_outputs_refs_paths",
    "get_params",
    "get_task_info",
    "get_tf_config",
    "is_no_op",
    "is_offline",
    "launch_id",
    "rank",
]

_RANKS = ("RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK")


def get_log_level(environ: Mapping[str, str] | None = None) -> int:
    """Return the level that LOGHOOK_LOG_LEVEL or POLYAXON_LOG_LEVEL asks for; INFO when unset or not a level."""
    environ = os.environ if environ is None else environ
    for name in ("LOGHOOK_LOG_LEVEL", "POLYAXON_LOG_LEVEL"):
        if environ.get(name):
            try:
                return parse_level(environ[name])
            except ValueError:
                return logging.INFO
    return logging.INFO


def rank(environ: Mapping[str, str]) -> int | None:
    """Return this process's rank in its launch (torchrun, SLURM, Open MPI, PMI), None outside of one."""
    for name in _RANKS:
        value = environ.get(name, "")
        if value.isdecimal() and (name != "SLURM_PROCID" or environ.get("SLURM_NTASKS", "1") != "1"):
            return int(value)
    return None


def launch_id(environ: Mapping[str, str]) -> str | None:
    """Return an id that all processes of one launch share and no other launch has, None outside of one.

    torchrun names its launch by TORCHELASTIC_RUN_ID, or, when that is left at "none", by the agent process that
    started the ranks (one node) or by its master's address (several). SLURM and MPI number their jobs and steps.
    """
    if rank(environ) is None:
        return None
    parts: list[str] = []
    if environ.get("TORCHELASTIC_RUN_ID") or "MASTER_ADDR" in environ:
        name = environ.get("TORCHELASTIC_RUN_ID", "none")
        one_node = environ.get("LOCAL_WORLD_SIZE") == environ.get("WORLD_SIZE")
        parent = f"{os.getppid()} {_started(os.getppid())}" if name == "none" and one_node else ""
        address = f"{environ.get('MASTER_ADDR')}:{environ.get('MASTER_PORT')}"
        parts = ["torch", name, address, environ.get("TORCHELASTIC_RESTART_COUNT", ""), parent]
    elif environ.get("SLURM_JOB_ID"):
        parts = [
            "slurm",
            environ["SLURM_JOB_ID"],
            environ.get("SLURM_STEP_ID", ""),
            environ.get("SLURM_RESTART_COUNT", ""),
        ]
    else:
        job = environ.get("OMPI_MCA_ess_base_jobid") or environ.get("PMIX_NAMESPACE") or environ.get("PMI_JOBID")
        parts = ["mpi", job or f"{os.getppid()} {_started(os.getppid())}"]
    import hashlib

    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def _started(pid: int) -> str:
    """Return when a process started, in the kernel's ticks since boot, so that a pid used again is told apart."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""
