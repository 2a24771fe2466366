"""The guards that hold for every test."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import loghook

CHECKOUT = Path(__file__).resolve().parent.parent


def test_home_is_a_folder_of_the_test(home: Path, tmp_path: Path) -> None:
    """LOGHOOK_HOME lies in the test's own temporary folder."""
    assert os.environ["LOGHOOK_HOME"] == str(home)
    assert tmp_path in home.parents


def test_invalid_names_do_not_resolve() -> None:
    """A name under .invalid is answered as a resolver would, without asking one."""
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo("nowhere.invalid", 80)


@pytest.mark.skipif("TOX_ENV_NAME" not in os.environ, reason="tox installs the wheel; here it is the checkout")
def test_the_installed_wheel_is_tested() -> None:
    """Under tox, tests and their child processes import loghook from site-packages, not from the checkout."""
    code = "import loghook; print(loghook.__file__)"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    for file in (loghook.__file__, child.strip()):
        assert Path(sys.prefix) in Path(file).parents
        assert CHECKOUT / "loghook" not in Path(file).parents
