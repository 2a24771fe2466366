"""The settings: one table, five places to set them in, and mistakes that are told together."""

from __future__ import annotations

import json
import logging
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest

from loghook.errors import ConfigurationError
from loghook.settings import Settings, documentation, home_folder, parse_level, parse_size, resolve

LEVELS = {
    "DEBUG": 10,
    "debug": 10,
    "Warning": 30,
    "warn": 30,
    "FATAL": 50,
    "NOTSET": 0,
    "15": 15,
    " 20 ": 20,
    '"ERROR"': 40,
    "'critical'": 50,
    '"10"': 10,
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home folder that exists."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """A main script in a folder of its own."""
    path = tmp_path / "project" / "train.py"
    path.parent.mkdir()
    path.touch()
    return path


def settled(
    arguments: dict[str, Any] | None = None,
    environ: dict[str, str] | None = None,
    *,
    home: Path = Path("/nowhere"),
    script: Path | None = None,
) -> Settings:
    """Resolve settings that must hold no mistake."""

    def warn(text: str) -> None:
        raise AssertionError(text)

    return resolve(arguments or {}, {"LOGHOOK_HOME": str(home), **(environ or {})}, script=script, warn=warn)


def test_nothing_given_means_the_defaults(home: Path) -> None:
    """Without arguments, variables and files every setting has its default, but for the home folder."""
    defaults = Settings(home=home)
    assert settled(home=home) == defaults
    assert (defaults.level, defaults.flush_interval, defaults.shutdown_timeout) == (logging.INFO, 0.25, 5.0)


def test_each_place_wins_over_the_next(home: Path, script: Path) -> None:
    """An argument wins over a variable, that over the file beside the script, that over the one at home."""
    found = []
    (home / "loghook.json").write_text('{"name": "from home"}')
    found.append(settled(home=home, script=script).name)
    (script.parent / "loghook.json").write_text('{"name": "from beside"}')
    found.append(settled(home=home, script=script).name)
    found.append(settled({}, {"LOGHOOK_NAME": "from variable"}, home=home, script=script).name)
    found.append(settled({"name": "argued"}, {"LOGHOOK_NAME": "from variable"}, home=home, script=script).name)
    assert found == ["from home", "from beside", "from variable", "argued"]


def test_places_are_merged_setting_by_setting(home: Path, script: Path) -> None:
    """A setting that a stronger place leaves open comes from a weaker one."""
    (home / "loghook.json").write_text('{"timeout": 3, "quiet": true, "level": null}')
    (script.parent / "loghook.json").write_text('{"timeout": 4}')
    found = settled({"name": None}, {"LOGHOOK_BATCH_SIZE": "64KiB"}, home=home, script=script)
    assert (found.timeout, found.quiet, found.level, found.batch_size) == (4.0, True, logging.INFO, 65536)


def test_an_empty_argument_wins_and_an_empty_variable_does_not(home: Path) -> None:
    """`url=""` asks for no destination, while a variable that is set to nothing counts as not set."""
    (home / "loghook.json").write_text('{"url": "http://127.0.0.1:1"}')
    assert settled({"url": ""}, {"LOGHOOK_URL": "http://127.0.0.1:2"}, home=home).url == ""
    assert settled({}, {"LOGHOOK_URL": ""}, home=home).url == "http://127.0.0.1:1"


def test_all_wrong_arguments_are_told_together() -> None:
    """One ConfigurationError names every wrong value, what it was, what is expected, and every unknown name."""
    arguments = {"timeout": "soon", "level": "loud", "spool_limit": "1 PB", "shutdwon_timeout": 5, "run_id": "../x"}
    with pytest.raises(ConfigurationError) as caught:
        settled(arguments)
    assert len(caught.value.mistakes) == 5
    words = str(caught.value)
    for part in ("timeout='soon'", "level='loud'", "DEBUG, INFO", "spool_limit='1 PB'", "512MB", "shutdwon_timeout"):
        assert part in words


def test_wrong_variables_and_files_are_told_in_one_warning_and_left_out(home: Path, script: Path) -> None:
    """Wrong variables and file settings stop nothing: one warning names them all, weaker places or defaults serve."""
    (home / "loghook.json").write_text('{"timeout": 7, "hooks": "perhaps"}')
    warnings: list[str] = []
    environ = {"LOGHOOK_HOME": str(home), "LOGHOOK_TIMEOUT": "-1", "LOGHOOK_SPOOL_LIMIT": "9" * 400}
    found = resolve({}, environ, script=script, warn=warnings.append)
    assert (found.timeout, found.hooks, found.spool_limit) == (7.0, True, 1 << 30)
    assert len(warnings) == 1
    for part in ("LOGHOOK_TIMEOUT='-1'", "LOGHOOK_SPOOL_LIMIT", str(home / "loghook.json"), "hooks='perhaps'"):
        assert part in warnings[0]


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff\xfe", b"null", b'"text"', b"[" * 100_000])
def test_a_file_that_is_no_json_object_is_named_and_left_out(home: Path, content: bytes) -> None:
    """A settings file of any other content gives no settings, raises nothing, and is not passed over in silence."""
    (home / "loghook.json").write_bytes(content)
    warnings: list[str] = []
    assert resolve({"home": home}, {}, warn=warnings.append) == Settings(home=home)
    assert warnings == [f"left out: {home / 'loghook.json'}: it is not a JSON object"]


def test_a_file_that_is_empty_or_not_there_has_no_settings(home: Path) -> None:
    """A settings file need not be there, and may be empty."""
    assert settled(home=home) == Settings(home=home)
    (home / "loghook.json").write_bytes(b"\n")
    assert settled(home=home) == Settings(home=home)


def test_a_file_may_be_in_utf_16(home: Path) -> None:
    """A settings file is read in the encodings in which a key is."""
    (home / "loghook.json").write_bytes(json.dumps({"name": "wide"}).encode("utf-16"))
    assert settled(home=home).name == "wide"


def test_a_file_may_begin_with_a_byte_order_mark(home: Path) -> None:
    """A settings file that an editor began with a byte order mark is read all the same."""
    (home / "loghook.json").write_bytes(b"\xef\xbb\xbf" + json.dumps({"name": "bom"}).encode())
    assert settled(home=home).name == "bom"


def test_a_file_can_not_move_the_home_folder(home: Path) -> None:
    """The home folder is not read from a file, since it says where that file is."""
    (home / "loghook.json").write_text('{"home": "/elsewhere", "api_key": "k"}')
    assert settled(home=home).home == home


def test_a_check_speaks_for_itself(home: Path) -> None:
    """What a check of somebody else's says is told without the value, beside all other mistakes."""

    def check(value: str) -> None:
        if value:
            raise ConfigurationError("that will not do")

    with pytest.raises(ConfigurationError) as caught:
        resolve({"url": "http://me:secret@x", "timeout": 0}, {}, warn=print, checks={"url": check})
    assert "url: that will not do" in caught.value.mistakes
    assert len(caught.value.mistakes) == 2
    assert "secret" not in str(caught.value)

    warnings: list[str] = []
    (home / "loghook.json").write_text('{"url": "http://me:secret@x"}')
    assert resolve({}, {"LOGHOOK_HOME": str(home)}, warn=warnings.append, checks={"url": check}).url == ""
    assert warnings == [f"left out: {home / 'loghook.json'}: url: that will not do"]


@pytest.mark.parametrize(("text", "level"), LEVELS.items())
def test_a_level_is_understood_however_it_is_spelt(home: Path, text: str, level: int) -> None:
    """POLYAXON_LOG_LEVEL takes names in any case, numbers, and both in the quotes that JSON leaves around them."""
    assert settled({}, {"POLYAXON_LOG_LEVEL": text}, home=home).level == level


@pytest.mark.parametrize("text", ["loud", "INFO DEBUG", "10.5", "true", "{}", "\u0661x"])
def test_a_level_that_is_none_means_info_and_one_warning(home: Path, text: str) -> None:
    """Nonsense in POLYAXON_LOG_LEVEL means INFO and is told once."""
    warnings: list[str] = []
    environ = {"LOGHOOK_HOME": str(home), "POLYAXON_LOG_LEVEL": text}
    assert resolve({}, environ, warn=warnings.append).level == logging.INFO
    assert len(warnings) == 1
    assert "POLYAXON_LOG_LEVEL" in warnings[0]


def test_the_levels_have_an_order(home: Path) -> None:
    """LOGHOOK_LOG_LEVEL wins over POLYAXON_LOG_LEVEL, and an argument over both."""
    environ = {"POLYAXON_LOG_LEVEL": "ERROR"}
    assert settled({}, environ, home=home).level == logging.ERROR
    environ["LOGHOOK_LOG_LEVEL"] = "debug"
    assert settled({}, environ, home=home).level == logging.DEBUG
    assert settled({"level": "WARNING"}, environ, home=home).level == logging.WARNING
    assert settled({"level": 35}, environ, home=home).level == 35


def test_a_level_of_ones_own_has_a_name() -> None:
    """A level that the program added to logging is known by its name."""
    logging.addLevelName(23, "NOTICE")
    assert parse_level("notice") == 23


@pytest.mark.parametrize("value", [True, None, object(), b"INFO", 1.5])
def test_what_is_no_level_is_refused(value: object) -> None:
    """Only names and whole numbers are levels."""
    with pytest.raises(ValueError, match="a level is"):
        parse_level(value)


@pytest.mark.parametrize(
    ("text", "size"),
    [(7, 7), ("7", 7), ("2k", 2000), ("2 KiB", 2048), ("1.5MB", 1_500_000), ("1gib", 1 << 30), ("0", 0), ("3b", 3)],
)
def test_a_size_has_units(text: object, size: int) -> None:
    """A size is a number of bytes, with decimal or binary units in any case."""
    assert parse_size(text) == size


@pytest.mark.parametrize("value", ["", "-1", "1e5", "many", "1TB", "9" * 30, None, True])
def test_what_is_no_size_is_refused(value: object) -> None:
    """Anything else, and what no file can hold, raises ValueError."""
    with pytest.raises(ValueError, match="a size is"):
        parse_size(value)


@pytest.mark.parametrize("value", ["nan", "inf", "-1", "soon", "", True, None, 10**400])
def test_what_is_no_time_is_refused(value: object) -> None:
    """A time is a finite number of seconds, 0 or more, and nothing else."""
    arguments = {"flush_interval": "x" if value is None else value}
    with pytest.raises(ConfigurationError, match="a time is a number of seconds"):
        settled(arguments)


def test_a_request_takes_time() -> None:
    """A timeout of 0 would let no request through and is refused."""
    with pytest.raises(ConfigurationError, match="more than 0"):
        settled({"timeout": 0})


@pytest.mark.parametrize("text", ["1", "TRUE", "yes", "On", True])
def test_a_switch_is_on(text: object) -> None:
    """A switch is turned on by the usual words in any case."""
    assert settled({"quiet": text}).quiet


@pytest.mark.parametrize("text", ["0", "False", "no", "OFF", "", False])
def test_a_switch_is_off(text: object) -> None:
    """A switch is turned off by the usual words in any case."""
    assert not settled({"hooks": text}).hooks


@pytest.mark.parametrize("run", [".hidden", "a/b", "a b", "é", "x" * 129])
def test_a_run_id_is_fit_for_a_file_name(run: str) -> None:
    """A run id that could not name a folder is refused."""
    with pytest.raises(ConfigurationError, match="a run id holds"):
        settled({"run_id": run})


def test_the_home_folder_is_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home folder that is given relative to the working folder stays where it is when the program moves."""
    monkeypatch.chdir(tmp_path)
    assert home_folder({"LOGHOOK_HOME": "here"}) == tmp_path / "here"
    assert settled({"home": "there"}).home == tmp_path / "there"


def test_the_home_folder_is_in_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without LOGHOOK_HOME the home folder is .loghook in the user's, and a tilde means the user's."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert home_folder({}) == tmp_path / ".loghook"
    assert home_folder({"LOGHOOK_HOME": "~/x"}) == tmp_path / "x"


def test_a_user_without_a_home_gets_a_folder_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user whose home does not exist gets a folder among the temporary ones, named after the user."""
    monkeypatch.setenv("HOME", "/nonexistent")
    assert home_folder({}) == Path(tempfile.gettempdir()) / f"loghook-{os.getuid()}"


def test_each_setting_has_a_row_of_documentation() -> None:
    """The documentation has a row for each setting: argument, variables, default in readable units, help."""
    rows = {row[0]: row[1:] for row in documentation()}
    assert list(rows) == list(Settings.__dataclass_fields__)
    assert rows["level"][:2] == ("LOGHOOK_LOG_LEVEL, POLYAXON_LOG_LEVEL", "INFO")
    assert rows["home"][:2] == ("LOGHOOK_HOME", "~/.loghook")
    assert rows["spool_limit"][1] == "1 GiB"
    assert rows["memory_limit"][1] == "64 MiB"
    assert rows["shutdown_timeout"][1] == "5 s"
    assert (rows["hooks"][1], rows["quiet"][1], rows["name"][1]) == ("true", "false", "")
    assert all(text.endswith(".") for *_, text in rows.values())


def test_each_documented_variable_is_read(home: Path) -> None:
    """Every variable that the documentation names sets the setting in its row."""
    values = {
        "level": "DEBUG",
        "run_id": "r",
        "hooks": "off",
        "redact": "off",
        "quiet": "on",
        "name": "n",
        "url": "http://x",
        "home": "",
    }
    for name, variables, _, _ in documentation():
        for variable in variables.split(", "):
            value = str(home) if name == "home" else values.get(name, "12345")
            found = getattr(settled({}, {variable: value}, home=home), name)
            assert found != getattr(Settings(), name), variable
