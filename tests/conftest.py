"""What holds for every test: no outside network, a home folder of its own, nothing left behind.

- The environment is scrubbed of all that configures loghook, and LOGHOOK_HOME is a fresh folder.
- A connection to an address outside the loopback range is refused and fails the test. Names under `.invalid`
  are refused as a resolver would, so a test can name a server that does not exist.
- A test that leaves behind a child process, a loghook thread or a loghook handler on the root logger fails.
"""

from __future__ import annotations

import ipaddress
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent
ARTIFACTS = Path(os.environ.get("LOGHOOK_ARTIFACTS") or ROOT / "artifacts")

SCRUBBED = ("LOGHOOK_", "POLYAXON_", "HYPERDASH_", "SLURM_", "OMPI_", "PMI_", "PMIX_", "TORCHELASTIC_")
SCRUBBED_NAMES = {"RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_RANK", "MASTER_ADDR", "MASTER_PORT"}
SCRUBBED_NAMES |= {"TF_CONFIG", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"}

# The helpers that multiprocessing keeps for the life of the process are no strays.
KEPT_PROCESSES = ("multiprocessing.resource_tracker", "multiprocessing.forkserver")

_outside: list[str] = []


def is_scrubbed(name: str) -> bool:
    """Tell whether a variable could change what loghook does."""
    return name.startswith(SCRUBBED) or name.upper() in SCRUBBED_NAMES


def refuse_outside(event: str, args: tuple[Any, ...]) -> None:
    """Refuse, as an audit hook, to look up or reach any host but this one."""
    if event == "socket.getaddrinfo":
        host = args[0]
    elif event in ("socket.connect", "socket.sendto") and isinstance(args[1], tuple):
        host = args[1][0]
    else:
        return
    if isinstance(host, bytes):
        host = host.decode("idna")
    if host is None or is_here(host):
        return
    if host.rstrip(".").endswith(".invalid"):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    _outside.append(f"{event} {host}")
    raise OSError(f"the tests refuse the outside address {host}")


def is_here(host: str) -> bool:
    """Tell whether a host name or address is this machine's own."""
    if host in ("", "localhost", "localhost.localdomain", socket.gethostname()):
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


sys.addaudithook(refuse_outside)

# How long an example takes says how busy the machine is, and nothing about us.
settings.register_profile("loghook", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.load_profile("loghook")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts background jobs so, and children inherit it: tests that press Ctrl-C would wait in vain.
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGQUIT) is signal.SIG_IGN:
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)  # for the same reason
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    # So does nohup with this one.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(autouse=True)
def scrubbed_environment(tmp_path: Path) -> Iterator[None]:
    """Give each test an environment that configures nothing, and put the old one back afterwards."""
    before = dict(os.environ)
    for name in before:
        if is_scrubbed(name):
            del os.environ[name]
    os.environ["LOGHOOK_HOME"] = str(tmp_path / "home")
    yield
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)


@pytest.fixture(autouse=True)
def no_outside_network() -> Iterator[None]:
    """Fail a test that tried to reach another machine."""
    yield
    tried, _outside[:] = list(_outside), []
    assert not tried, f"the test tried to leave this machine: {tried}"


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """Fail a test that leaves a child process, a thread or a handler of loghook's behind."""
    processes, threads, handlers = children(), our_threads(), our_handlers()
    yield
    wait(lambda: not (children() - processes) and not (our_threads() - threads), 30.0)
    strays = {pid: command(pid) for pid in children() - processes}
    for pid in strays:
        os.kill(pid, signal.SIGKILL)
    left = [handler for handler in our_handlers() if handler not in handlers]
    for handler in left:
        logging.getLogger().removeHandler(handler)
    threads_left = [thread.name for thread in our_threads() - threads]
    assert not strays, f"the test left child processes: {strays}"
    assert not left, f"the test left handlers on the root logger: {left}"
    assert not threads_left, f"the test left threads: {threads_left}"


def children() -> set[int]:
    """Return the pids of this process's living children, but for multiprocessing's helpers (Linux only)."""
    pids: set[int] = set()
    for listing in Path("/proc/self/task").glob("*/children"):
        try:
            pids.update(int(pid) for pid in listing.read_text().split())
        except OSError:
            continue  # the thread ended while we looked
    return {pid for pid in pids if command(pid) and not any(kept in command(pid) for kept in KEPT_PROCESSES)}


def command(pid: int) -> str:
    """Return a process's command line, empty once it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def our_threads() -> set[threading.Thread]:
    """Return the living threads that loghook named."""
    return {thread for thread in threading.enumerate() if thread.name.startswith("loghook")}


def our_handlers() -> list[logging.Handler]:
    """Return the root logger's handlers that come from loghook."""
    return [handler for handler in logging.getLogger().handlers if type(handler).__module__.startswith("loghook")]


def wait(condition: Callable[[], object], timeout: float = 60.0) -> bool:
    """Wait until a condition is true and return whether it became so within `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The folder that LOGHOOK_HOME names in this test; it does not exist yet."""
    return tmp_path / "home"


@pytest.fixture
def wait_until() -> Callable[..., None]:
    """A function that waits until a condition holds, and fails the test when it does not in time."""

    def wait_until(condition: Callable[[], object], timeout: float = 60.0, what: str = "the condition") -> None:
        assert wait(condition, timeout), f"{what} did not come true within {timeout:g} s"

    return wait_until


@pytest.fixture(scope="session")
def artifacts() -> Path:
    """The folder where tests keep what a person may want to look at: screenshots, say."""
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    return ARTIFACTS
