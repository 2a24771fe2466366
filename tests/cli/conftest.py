"""What the command's tests share: the installed command, run as a person would."""

from __future__ import annotations

import os
import subprocess
import sysconfig
import urllib.request
from pathlib import Path
from typing import Protocol

import pytest

COMMAND = Path(sysconfig.get_path("scripts")) / "loghook"


def browse(link: str) -> tuple[int, str]:
    """Open a link as a browser does, with cookies, and return the status and the address that it led to."""
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    with opener.open(link, timeout=60) as answer:
        return answer.status, answer.url


class Command(Protocol):
    """Runs `loghook` with arguments and variables, and returns what it said and its exit code."""

    def __call__(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run it."""


@pytest.fixture
def loghook() -> Command:
    """The installed command; it gets at most 60 s."""

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [COMMAND, *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
        )

    return run
