"""The command as a whole: help, exit codes, errors on one line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from loghook.cli import cli

from .conftest import COMMAND, Command

COMMANDS = sorted(cli.commands)


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_help_with_an_example(loghook: Command, name: str) -> None:
    """`loghook NAME --help` explains the command and shows an example of it."""
    help_text = loghook(name, "--help").stdout
    assert "Example" in help_text
    assert f"loghook {name}" in help_text.partition("Example")[2]


def test_the_help_lists_every_command(loghook: Command) -> None:
    """`loghook --help` names each command, with what it does."""
    listed = loghook("--help").stdout.partition("Commands:")[2]
    assert [line.split()[0] for line in listed.strip().splitlines()] == COMMANDS


def test_no_arguments_shows_the_help_as_wrong_usage(loghook: Command) -> None:
    """`loghook` alone prints the help on stderr and exits with 2."""
    ended = loghook()
    assert ended.returncode == 2
    assert "Commands:" in ended.stderr
    assert ended.stdout == ""


@pytest.mark.parametrize("arguments", [["nonsense"], ["runs", "--nonsense"], ["runs", "-n", "many"], ["version", "x"]])
def test_wrong_usage_is_one_line_and_exit_code_2(loghook: Command, arguments: list[str]) -> None:
    """Wrong arguments are told in one line on stderr that says where the help is."""
    ended = loghook(*arguments)
    assert ended.returncode == 2
    assert ended.stdout == ""
    (line,) = ended.stderr.splitlines()
    assert line.startswith("loghook: ")
    assert "--help" in line


def test_the_module_is_the_command() -> None:
    """`python -m loghook` does what `loghook` does."""
    ended = subprocess.run([sys.executable, "-m", "loghook", "--version"], capture_output=True, text=True, check=True)
    assert ended.stdout.startswith("loghook ")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_for_the_shell(loghook: Command, shell: str) -> None:
    """`loghook completion SHELL` prints a script that asks loghook for completions."""
    ended = loghook("completion", shell)
    assert ended.returncode == 0
    assert f"_LOGHOOK_COMPLETE={shell}_complete" in ended.stdout


def test_bash_completes_a_command() -> None:
    """In bash, `loghook ver` and the Tab key give `version`."""
    script = f"""
        PATH={COMMAND.parent}:$PATH
        eval "$(loghook completion bash)"
        COMP_WORDS=(loghook ver) COMP_CWORD=1
        _loghook_completion loghook ver loghook
        echo "${{COMPREPLY[@]}}"
    """
    ended = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ["version"]


def test_a_reader_that_goes_away_is_no_error() -> None:
    """When the reader of the output has closed the pipe, nothing is said on stderr."""
    with subprocess.Popen([COMMAND, "version"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as command:
        assert command.stdout is not None
        assert command.stderr is not None
        command.stdout.close()
        assert command.stderr.read() == b""
    assert command.returncode == 128 + signal.SIGPIPE


def test_a_home_that_is_a_file_is_wrong_usage(loghook: Command, tmp_path: Path) -> None:
    """A --home that names a file is refused by name."""
    file = tmp_path / "file"
    file.touch()
    ended = loghook("runs", "--home", str(file))
    assert ended.returncode == 2
    assert os.fspath(file) in ended.stderr


@pytest.mark.parametrize("name", ["runs", "version", "sync", "--version"])
def test_closed_standard_streams_are_no_error(name: str) -> None:
    """With all standard streams closed a command does its work, and ends with its exit code."""
    ended = subprocess.run(
        ["bash", "-c", f"exec {COMMAND} {name} >&- 2>&- <&-"], capture_output=True, timeout=60, check=False
    )
    assert ended.returncode == (1 if name == "runs" else 0)


def test_a_closed_output_is_no_error() -> None:
    """`loghook version >&-` ends with 0 and says nothing."""
    ended = subprocess.run(["bash", "-c", f"{COMMAND} version >&-"], capture_output=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, b"")


INTERRUPTED = """
import sys, loghook
module = sys.argv.pop()
class Stop:
    def find_spec(self, name, path=None, target=None):
        if name == module:
            raise KeyboardInterrupt
sys.meta_path.insert(0, Stop())
from loghook.cli import main
main()
"""


@pytest.mark.parametrize("module", ["loghook.cli.console", "loghook.cli.version", "loghook.cli.api"])
def test_ctrl_c_while_a_command_loads_is_no_traceback(module: str) -> None:
    """Ctrl-C while the command's modules are loaded ends it with 130, in silence."""
    command = [sys.executable, "-c", INTERRUPTED, "runs", module]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (130, "")
