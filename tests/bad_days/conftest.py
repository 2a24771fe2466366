"""What the tests of whole processes share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ..scripts import Script


@pytest.fixture
def script(tmp_path: Path) -> Callable[..., Script]:
    """A function that makes a script out of code."""

    def make(code: str, *, install: bool = True) -> Script:
        return Script(tmp_path, code, install=install)

    return make
