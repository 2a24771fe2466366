"""loghook version."""

from __future__ import annotations

import json
import platform

import loghook as package

from .conftest import Command


def test_version_names_loghook_and_python(loghook: Command) -> None:
    """`loghook version` prints loghook's version first, then Python's and the packages'."""
    lines = loghook("version").stdout.splitlines()
    assert lines[0] == f"loghook {package.__version__}"
    assert f"python {platform.python_version()}" in lines


def test_version_as_json_is_one_object(loghook: Command) -> None:
    """`loghook version --json` prints one object that a script can read."""
    found = json.loads(loghook("version", "--json").stdout)
    assert found["loghook"] == package.__version__
    assert found["requests"][0].isdigit()
