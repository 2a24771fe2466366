"""An environment of its own for each peer, kept in a cache folder: peers need what would not go together in one."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

__all__ = ["Unavailable", "cache", "environment", "version"]

PATIENCE = 900


class Unavailable(Exception):
    """A peer cannot be measured here; the message says why."""


def cache() -> Path:
    """Return the folder that environments are kept in: LOGHOOK_BENCH_CACHE, or one in the user's cache folder."""
    named = os.environ.get("LOGHOOK_BENCH_CACHE")
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(named) if named else home / "loghook-bench"


def environment(name: str, requirements: Sequence[str], progress: TextIO, *, python: str = "") -> str:
    """Return a Python that has the packages, which are installed now where they are not there yet.

    `python` names the newest version ("3.10") that they run on. Raises Unavailable.
    """
    if not requirements:
        return sys.executable
    key = hashlib.sha256("\n".join([python, *requirements]).encode()).hexdigest()[:8]
    folder = cache() / f"{name}-{key}"
    program = folder / "bin" / "python"
    done = folder / "installed"
    if done.exists():
        return str(program)
    progress.write(f"installing {' '.join(requirements)}\n")
    progress.flush()
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        _run([_interpreter(python), "-m", "venv", str(folder)])
        _run([str(program), "-m", "pip", "install", "-q", "--disable-pip-version-check", *requirements])
    except (OSError, subprocess.SubprocessError) as error:
        raise Unavailable(f"{' '.join(requirements)} cannot be installed: {error}") from None
    done.touch()
    return str(program)


def version(python: str, package: str) -> str:
    """Return the version of a package in an environment, "" where it has none."""
    code = f"import importlib.metadata; print(importlib.metadata.version({package!r}))"
    return subprocess.run([python, "-c", code], capture_output=True, text=True).stdout.strip()


def _interpreter(wanted: str) -> str:
    here = "{}.{}".format(*sys.version_info)
    if wanted in ("", here):
        return sys.executable
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    found = [shutil.which(f"python{wanted}"), *map(str, sorted(pyenv.glob(f"{wanted}.*/bin/python")))]
    for program in found:
        if program and subprocess.run([program, "-c", "import venv"], capture_output=True).returncode == 0:
            return program
    raise Unavailable(f"there is no Python {wanted} here")


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise subprocess.SubprocessError(lines[-1])
