"""What the environment tells a job: its level, its rank, and which processes belong together."""

from __future__ import annotations

import logging
import os
import subprocess
import sys

import pytest

import loghook
from loghook.environment import get_log_level, launch_id, leads_its_machine, rank

TORCHRUN = {
    "RANK": "0",
    "WORLD_SIZE": "4",
    "LOCAL_WORLD_SIZE": "2",
    "MASTER_ADDR": "node1",
    "MASTER_PORT": "29500",
    "TORCHELASTIC_RUN_ID": "job-7",
}
SLURM = {"SLURM_JOB_ID": "42", "SLURM_STEP_ID": "0", "SLURM_PROCID": "0", "SLURM_NTASKS": "4"}
OPEN_MPI = {"OMPI_COMM_WORLD_RANK": "0", "OMPI_MCA_ess_base_jobid": "12345"}


@pytest.mark.parametrize(
    ("environ", "level"),
    [
        ({}, logging.INFO),
        ({"POLYAXON_LOG_LEVEL": '"warning"'}, logging.WARNING),
        ({"POLYAXON_LOG_LEVEL": "10"}, logging.DEBUG),
        ({"POLYAXON_LOG_LEVEL": "nonsense"}, logging.INFO),
        ({"POLYAXON_LOG_LEVEL": "ERROR", "LOGHOOK_LOG_LEVEL": "debug"}, logging.DEBUG),
        ({"POLYAXON_LOG_LEVEL": "ERROR", "LOGHOOK_LOG_LEVEL": ""}, logging.ERROR),
    ],
    ids=str,
)
def test_the_level_that_the_job_asks_for(environ: dict[str, str], level: int) -> None:
    """`get_log_level` gives the level of LOGHOOK_LOG_LEVEL, else POLYAXON_LOG_LEVEL, INFO for none and for nonsense."""
    assert get_log_level(environ) == level


def test_the_level_is_read_from_the_process_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an argument `loghook.get_log_level` reads the variables as they are at that moment."""
    monkeypatch.setenv("POLYAXON_LOG_LEVEL", "ERROR")
    assert loghook.get_log_level() == logging.ERROR


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, None),
        ({"RANK": "3"}, 3),
        ({"RANK": ""}, None),
        ({"RANK": "first"}, None),
        ({"RANK": "-1"}, None),
        ({"RANK": "²"}, None),
        ({"SLURM_PROCID": "2", "SLURM_NTASKS": "4"}, 2),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "1"}, None),
        ({"SLURM_PROCID": "0"}, None),
        ({"OMPI_COMM_WORLD_RANK": "5"}, 5),
        ({"PMI_RANK": "6"}, 6),
        ({"RANK": "1", "SLURM_PROCID": "0", "SLURM_NTASKS": "2"}, 1),
    ],
    ids=str,
)
def test_a_rank_is_what_the_launcher_says(environ: dict[str, str], expected: int | None) -> None:
    """The rank is the launcher's own number, and there is none outside of a launch or in a job of one task."""
    assert rank(environ) == expected


@pytest.mark.parametrize(
    ("launch", "name", "other"),
    [(TORCHRUN, "RANK", "1"), (SLURM, "SLURM_PROCID", "3"), (OPEN_MPI, "OMPI_COMM_WORLD_RANK", "2")],
    ids=["torchrun", "slurm", "mpi"],
)
def test_all_ranks_of_a_launch_share_an_id(launch: dict[str, str], name: str, other: str) -> None:
    """Every rank of one launch finds the same id, fit for a run id."""
    first = launch_id(launch)
    assert first is not None
    assert launch_id({**launch, name: other}) == first
    assert len(first) == 32
    assert int(first, 16)


@pytest.mark.parametrize(
    ("launch", "change"),
    [
        (TORCHRUN, {"TORCHELASTIC_RUN_ID": "job-8"}),
        (TORCHRUN, {"TORCHELASTIC_RESTART_COUNT": "1"}),
        (SLURM, {"SLURM_JOB_ID": "43"}),
        (SLURM, {"SLURM_STEP_ID": "1"}),
        (SLURM, {"SLURM_RESTART_COUNT": "1"}),
        (OPEN_MPI, {"OMPI_MCA_ess_base_jobid": "12346"}),
    ],
    ids=str,
)
def test_two_launches_have_two_ids(launch: dict[str, str], change: dict[str, str]) -> None:
    """Another job, step or restart is another launch."""
    assert launch_id({**launch, **change}) != launch_id(launch)


UNNAMED = {**TORCHRUN, "TORCHELASTIC_RUN_ID": "none", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "2", "WORLD_SIZE": "4"}


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({**UNNAMED, "RANK": "2"}, True),
        ({**UNNAMED, "RANK": "3", "LOCAL_RANK": "1"}, False),
        ({**UNNAMED, "RANK": "0"}, True),
        ({**UNNAMED, "RANK": "0", "WORLD_SIZE": "2"}, False),
        ({**UNNAMED, "RANK": "2", "TORCHELASTIC_RUN_ID": "job-7"}, False),
        ({"PMI_RANK": "8", "PMI_SIZE": "16", "MPI_LOCALRANKID": "0", "MPI_LOCALNRANKS": "8"}, True),
        ({"PMI_RANK": "8", "PMI_SIZE": "16", "MPI_LOCALRANKID": "0", "MPI_LOCALNRANKS": "8", "PMI_JOBID": "7"}, False),
        ({"LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1", "WORLD_SIZE": "2"}, False),
    ],
    ids=str,
)
def test_who_leads_a_machine(environ: dict[str, str], expected: bool) -> None:
    """Of a launch on several machines that nothing names, the first process on each leads; of any other none does."""
    assert leads_its_machine(environ) is expected


def test_outside_of_a_launch_there_is_no_id() -> None:
    """A process that has no rank belongs to no launch."""
    assert launch_id({"SLURM_JOB_ID": "42"}) is None


def test_the_process_that_started_the_ranks_tells_launches_apart() -> None:
    """Where the launcher names no job, ranks with one parent share an id, and another parent's have another."""
    code = "import os; from loghook.environment import launch_id; print(launch_id(os.environ))"
    twice = f"import subprocess, sys; [subprocess.run([sys.executable, '-c', {code!r}]) for _ in range(2)]"
    env = {**os.environ, "RANK": "0", "WORLD_SIZE": "2"}
    launches = []
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", twice], env=env, capture_output=True, text=True, timeout=60)
        launches.append(done.stdout.split())
    assert [len(set(ids)) for ids in launches] == [1, 1]
    assert launches[0] != launches[1]
