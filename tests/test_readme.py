"""README is true: its examples run, and every command, setting, transport and counter is in it."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

import loghook
from loghook import settings, spool, transports
from loghook.cli import cli

README = Path(__file__).resolve().parent.parent / "README.md"
TEXT = README.read_text(encoding="utf-8")

BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the word after it (a file's name, or `no-run`), and its text."""

    language: str
    word: str
    text: str

    def __str__(self) -> str:
        return f"line {TEXT[: TEXT.index(self.text)].count(chr(10)) + 1}"


BLOCKS = [Block(*found) for found in BLOCK.findall(TEXT)]
EXAMPLES = [block for block in BLOCKS if block.language == "python" and block.word != "no-run"]
CONSOLE = [
    line[2:] for block in BLOCKS if block.language == "console" for line in block.text.splitlines() if line[:2] == "$ "
]


@pytest.mark.parametrize("block", EXAMPLES, ids=str)
def test_each_python_example_runs_in_silence(block: Block, tmp_path: Path, home: Path) -> None:
    """A Python example of README runs to its end, and loghook says nothing on stderr."""
    for file in BLOCKS:
        if file.word and file.word != "no-run":
            (tmp_path / file.word).write_text(file.text, encoding="utf-8")
    script = tmp_path / "example.py"
    script.write_text(block.text, encoding="utf-8")
    ended = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    assert "loghook:" not in ended.stderr
    assert "Traceback" not in ended.stderr
    if "logging" in block.text.partition("import ")[2]:
        assert sum(1 for _ in spool.writers(home)) == 1


@pytest.mark.parametrize("line", CONSOLE)
def test_each_console_example_is_a_command_that_exists(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commands in README's console examples have the options that are shown."""
    for part in line.split("&&"):
        program, *arguments = shlex.split(part)
        assert program in ("loghook", "pip", "tox")
        if program == "loghook":
            command = cli.commands[arguments[0]]
            monkeypatch.chdir(tmp_path)
            for file in ("cert.pem", "key.pem"):
                Path(file).touch()
            command.make_context(arguments[0], arguments[1:]).close()


def test_the_two_commands_are_the_first_that_it_shows() -> None:
    """README's first console block is what installs and shows loghook, and what tests it."""
    assert CONSOLE[:2] == ["pip install '.[server,demo]' && loghook demo", "pip install tox && tox"]


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_each_command_is_in_the_table(name: str) -> None:
    """README's table of commands has each command."""
    assert f"\n| `loghook {name}` |" in TEXT


@pytest.mark.parametrize("scheme", sorted(transports.registered()))
def test_each_transport_is_in_the_table(scheme: str) -> None:
    """README's table of platforms has each scheme."""
    table = TEXT.partition("## Platforms")[2].partition("### ")[0]
    assert f"`{scheme}://`" in table or f"`{scheme}+" in table


def test_the_settings_table_is_the_one_in_the_code() -> None:
    """README's table of settings is what `loghook.settings` documents."""
    assert between("settings") == settings_table()


def test_each_counter_is_in_the_table() -> None:
    """README's table of counters has each key of `loghook.stats()`, and nothing else."""
    loghook.install("counted")
    try:
        counters = loghook.stats()
        (here,) = counters["destinations"].values()
    finally:
        loghook.uninstall()
    table = TEXT.partition("| counter |")[2].partition("\n\n")[0]
    named = {name for row in re.findall(r"^\|(.*?)\|", table, re.M) for name in re.findall(r"`(\w+)`", row)}
    assert named == {*counters, *here}


def settings_table() -> str:
    """Return the table of settings as README shows it."""
    rows = [
        f"| `{name}` | {', '.join(f'`{one}`' for one in variable.split(', '))} | {default or '(empty)'} | {text} |"
        for name, variable, default, text in settings.documentation()
    ]
    return "\n".join(["| argument | variable | default | what it is |", "|---|---|---|---|", *rows])


def between(mark: str) -> str:
    """Return the text of README between two comments."""
    return TEXT.partition(f"<!-- {mark} -->\n")[2].partition(f"\n<!-- /{mark} -->")[0]


def test_each_link_leads_somewhere() -> None:
    """Each relative link and picture of README is a file of the checkout or a heading of README."""
    titles = re.findall(r"^#+ (.*)$", TEXT, re.MULTILINE)
    headings = {re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-") for title in titles}
    for target in re.findall(r"\]\(([^)]+)\)", TEXT):
        if target.startswith("#"):
            assert target[1:] in headings
        elif "://" not in target:
            assert (README.parent / target).exists()


def test_each_option_of_the_commands_has_help() -> None:
    """Every option of every command says in its help what it is."""
    for command in cli.commands.values():
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, f"{command.name} {parameter.name}"


if __name__ == "__main__":
    before, _, rest = TEXT.partition("<!-- settings -->\n")
    after = rest[rest.index("<!-- /settings -->") :]
    README.write_text(f"{before}<!-- settings -->\n{settings_table()}\n{after}", encoding="utf-8")
    print("README.md has the table of settings that the code has")
