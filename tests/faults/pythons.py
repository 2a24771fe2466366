"""Interpreters that can run loghook: this one, those of tox's other environments, and any that a machine has."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import loghook

__all__ = ["found", "siblings"]

VERSIONS = ("3.10", "3.11", "3.12", "3.13")
NEEDED = ("requests", "python-json-logger", "orjson", "click")


def siblings() -> list[str]:
    """Return the interpreters of tox's environments beside this one that have loghook, one for each other version."""
    mine = f"py{sys.version_info[0]}{sys.version_info[1]}"
    places = sorted(Path(sys.prefix).parent.glob("py3*/bin/python"))
    return [str(place) for place in places if place.parts[-3] != mine and _has_loghook(place)]


def found(folder: Path) -> list[str]:
    """Return an interpreter of each version that there is, other than this one's; virtual environments go to `folder`.

    What loghook needs is installed there, and loghook itself is copied as it is here.
    """
    known = {_version(place): place for place in siblings()}
    for version in VERSIONS:
        base = next(filter(_runs, [*_of_pyenv(version), shutil.which(f"python{version}")]), None)
        if version not in known and base and version != ".".join(map(str, sys.version_info[:2])):
            place = _environment(base, folder / version)
            if place:
                known[version] = place
    return [known[version] for version in sorted(known, key=lambda version: int(version.split(".")[1]))]


def _of_pyenv(version: str) -> Iterable[str]:
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    return (str(place) for place in sorted((root / "versions").glob(f"{version}.*/bin/python3")))


def _environment(base: str, folder: Path) -> str | None:
    place = folder / "bin" / "python"
    try:
        subprocess.run([base, "-m", "venv", str(folder)], check=True, capture_output=True)
        subprocess.run([str(place), "-m", "pip", "install", "-q", *NEEDED], check=True, capture_output=True)
    except subprocess.CalledProcessError as error:
        print(f"    {base} is left out: {error.stderr.decode(errors='replace')[-300:]}", file=sys.stderr)
        return None
    (packages,) = folder.glob("lib/python*/site-packages")
    shutil.copytree(Path(loghook.__file__).parent, packages / "loghook", ignore=shutil.ignore_patterns("__pycache__"))
    return str(place)


def _runs(base: str | None) -> bool:
    """Whether it is an interpreter, and not a stand-in for one that is not selected."""
    return base is not None and subprocess.run([base, "--version"], capture_output=True, check=False).returncode == 0


def _has_loghook(place: Path) -> bool:
    code = "import loghook, requests"
    return subprocess.run([str(place), "-c", code], capture_output=True, cwd="/", check=False).returncode == 0


def _version(place: str) -> str:
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    return subprocess.run([place, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
