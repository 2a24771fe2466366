"""What the environment tells a job: its place among the processes of one launch, its level, and all that Polyaxon says.

The questions about Polyaxon are answered in polyaxon.py; what they share is that they never raise.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Mapping, Sequence
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
    "leads_its_machine",
    "rank",
]

_PLACES = (("LOCAL_RANK", "LOCAL_WORLD_SIZE", "WORLD_SIZE"), ("MPI_LOCALRANKID", "MPI_LOCALNRANKS", "PMI_SIZE"))
"""A process's rank on its machine, how many are there, and how many there are on all."""
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


_LOCAL_RANK = re.compile(r"--local[-_]rank[=\0]\d+")
"""What torch.distributed.launch adds to each process's command line."""


def rank(environ: Mapping[str, str]) -> int | None:
    """Return this process's rank in its launch (torchrun, SLURM, Open MPI, PMI), None outside of one."""
    for name in _RANKS:
        value = environ.get(name, "")
        if value.isdecimal() and (name != "SLURM_PROCID" or environ.get("SLURM_NTASKS", "1") != "1"):
            return int(value)
    return None


def launch_id(environ: Mapping[str, str], arguments: Sequence[str] | None = None) -> str | None:
    """Return an id that all processes of one launch share and no other launch has, None outside of one.

    A launcher that names its launch is believed: torchrun by --rdzv-id, SLURM by job and step, MPI by its job; what
    runs one after another in such a launch is told apart by its command line (`arguments`, sys.argv if None). Where
    nothing is named, an address least of all, the processes of one parent belong together: on several machines that
    is a run for each, unless LOGHOOK_RUN_ID or the launcher names one for all.
    """
    if rank(environ) is None or environ.get("WORLD_SIZE", "2") == "1":
        return None
    parts = _named(environ)
    if parts is None:
        parts = ["parent", os.uname().nodename, str(os.getppid()), _started(os.getppid())]
        parts.append(environ.get("TORCHELASTIC_RESTART_COUNT", ""))
    import hashlib

    command = _LOCAL_RANK.sub("", "\0".join(sys.argv if arguments is None else arguments))
    return hashlib.sha256("\0".join([*parts, command]).encode("utf-8", "backslashreplace")).hexdigest()[:32]


def leads_its_machine(environ: Mapping[str, str]) -> bool:
    """Whether this is the first process on its machine of a launch on several that nothing names.

    The ranks of each machine are a run then, see `launch_id`, and this is the one that owns it.
    """
    if rank(environ) is None or _named(environ) is not None:
        return False
    for local, here, everywhere in _PLACES:
        if environ.get(local) == "0" and environ.get(here, "").isdecimal() and environ.get(everywhere, "").isdecimal():
            return int(environ[here]) < int(environ[everywhere])
    return False


def _named(environ: Mapping[str, str]) -> list[str] | None:
    """What names the launch, None where nothing does."""
    name = environ.get("TORCHELASTIC_RUN_ID", "none")
    if name not in ("", "none"):
        return ["torch", name, environ.get("MASTER_ADDR", ""), environ.get("TORCHELASTIC_RESTART_COUNT", "")]
    if environ.get("SLURM_JOB_ID") and environ.get("SLURM_STEP_ID"):
        return ["slurm", environ["SLURM_JOB_ID"], environ["SLURM_STEP_ID"], environ.get("SLURM_RESTART_COUNT", "")]
    job = environ.get("OMPI_MCA_ess_base_jobid") or environ.get("PMIX_NAMESPACE") or environ.get("PMI_JOBID")
    return ["mpi", job] if job else None


def _started(pid: int) -> str:
    """Return when a process started, in the kernel's ticks since boot, so that a pid used again is told apart."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""
