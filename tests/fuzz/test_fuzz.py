"""Inputs that broke a promise once break none any more; and nothing new is found in some seconds."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .targets import SEEDS, TARGETS, database

FOLDER = Path(__file__).resolve().parent
CASES = sorted((FOLDER / "cases").glob("*-*"))


@pytest.fixture
def closed() -> Iterator[None]:
    """The database of `ingest` is closed afterwards."""
    yield
    database.close()


def test_what_was_found_once(closed: None) -> None:
    """The inputs that fuzzing has found so far are taken."""
    for case in CASES:
        TARGETS[case.name.partition("-")[0]](case.read_bytes())


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_what_fuzzing_begins_with(name: str, closed: None) -> None:
    """The inputs that fuzzing begins with are taken."""
    for seed in SEEDS[name]:
        TARGETS[name](seed)


@pytest.mark.slow
@pytest.mark.skipif(not importlib.util.find_spec("atheris"), reason="atheris has no package for this Python")
def test_some_seconds_find_nothing(tmp_path: Path) -> None:
    """Some seconds of fuzzing find no input that breaks a promise."""
    command = [sys.executable, str(FOLDER), "--seconds", "5", "--keep", str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert list(tmp_path.iterdir()) == []
