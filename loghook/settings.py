"""Every setting, in one table: name, default, type, help; arguments, environment and documentation derive from it.

Arguments > environment > ``loghook.json`` beside the main script > ``loghook.json`` in the home folder > defaults.
"""

from __future__ import annotations

import json
import logging
import os
import re
import stat
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

from loghook.errors import ConfigurationError

__all__ = ["Settings", "documentation", "home_folder", "main_script", "parse_level", "parse_size", "resolve"]

_LARGEST = 1 << 63
_UNITS = {"": 1, "b": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}


def parse_level(value: object) -> int:
    """Return the number of a level given as name (any case) or number, JSON-quoted or not. ValueError for others."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    text = str(value).strip().strip("\"'").strip()
    if re.fullmatch(r"-?\d+", text):
        return int(text)
    level = logging.getLevelName(text.upper())
    if isinstance(level, int):
        return level
    raise ValueError("a level is DEBUG, INFO, WARNING, ERROR, CRITICAL or a number")


def parse_size(value: object) -> int:
    """Return a number of bytes given as a number or as text such as "512 MB" or "1GiB". ValueError for others."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?([kmg]i?|)b?", str(value).strip().lower())
    if not found:
        raise ValueError("a size is a number of bytes, or like 512MB or 1GiB")
    size = float(found[1]) * _UNITS[found[2]]
    if size >= _LARGEST:
        raise ValueError("a size is less than 8 EiB")
    return int(size)


def _seconds(value: object) -> float:
    try:
        seconds = float(str(value))
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise ValueError("a time is a number of seconds, 0 or more")
    return seconds


def _timeout(value: object) -> float:
    seconds = _seconds(value)
    if not seconds:
        raise ValueError("a timeout is a number of seconds, more than 0")
    return seconds


def _flag(value: object) -> bool:
    text = str(value).strip().lower()
    if text in ("1", "true", "yes", "on"):
        return True
    if text in ("0", "false", "no", "off", ""):
        return False
    raise ValueError("a switch is true or false")


def _path(value: object) -> Path:
    """Return an absolute path: a program may go to another folder later."""
    path = os.path.expanduser(str(value))
    try:
        return Path(os.path.abspath(path))
    except FileNotFoundError:  # the folder we are in was deleted
        return Path(path)


def _text(value: object) -> str:
    return str(value).strip()


def _run_id(value: object) -> str:
    text = str(value).strip()
    if text and not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}", text):
        raise ValueError("a run id holds letters, digits and ._- only, at most 128 of them, and begins with no dot")
    return text


def _setting(default: Any, kind: str, parse: Callable[[object], Any], text: str) -> Any:
    return field(default=default, metadata={"kind": kind, "parse": parse, "help": text})


# ruff: noqa: RUF009 - each default is a `field`
@dataclass(frozen=True, slots=True)
class Settings:
    """The settings that are in force; each field is one row of the table."""

    name: str = _setting("", "text", _text, "Name of the run; the script's file name if empty.")
    project: str = _setting("", "text", _text, "Project that the run is listed under.")
    url: str = _setting(
        "", "URLs", _text, "Where events go: one URL or several, separated by commas; none: this machine."
    )
    level: int = _setting(logging.INFO, "level", parse_level, "Lowest level that is sent, by name or number.")
    home: Path = _setting(Path("."), "path", _path, "Folder for credentials, spools, logs and the server's database.")
    run_id: str = _setting("", "text", _run_id, "Id of the run to join or go on with; a new one if empty.")
    flush_interval: float = _setting(0.25, "seconds", _seconds, "How often new events are sent.")
    heartbeat_interval: float = _setting(10.0, "seconds", _seconds, "How often a run says that it lives.")
    shutdown_timeout: float = _setting(
        5.0,
        "seconds",
        _seconds,
        "How long the end of a program may wait for delivery; 1 s where nobody answers or the key is refused, unless "
        "more than 5 s is set.",
    )
    timeout: float = _setting(10.0, "seconds", _timeout, "How long one request may take to connect, and between bytes.")
    spool_limit: int = _setting(1 << 30, "bytes", parse_size, "Most bytes of one process's spool on disk.")
    memory_limit: int = _setting(
        64 << 20, "bytes", parse_size, "Most bytes that wait in memory where the disk can't be used."
    )
    message_limit: int = _setting(
        1 << 20, "bytes", parse_size, "Longest event; of a longer one head and tail are kept."
    )
    batch_size: int = _setting(1 << 20, "bytes", parse_size, "Most bytes of events in one request, before compression.")
    hooks: bool = _setting(
        True, "switch", _flag, "Record uncaught exceptions, SIGTERM, SIGHUP, and the code of sys.exit()."
    )
    redact: bool = _setting(True, "switch", _flag, "Replace secrets in all that is recorded.")
    redact_names: str = _setting(
        "", "names", _text, "More variables whose values are secrets: names, separated by commas; * for any characters."
    )
    quiet: bool = _setting(False, "switch", _flag, "Say nothing on stderr.")


def home_folder(environ: Mapping[str, str]) -> Path:
    """Return LOGHOOK_HOME, else ~/.loghook, else (a user without a home) a private folder among the temporary ones."""
    if environ.get("LOGHOOK_HOME"):
        return _path(environ["LOGHOOK_HOME"])
    home = os.path.expanduser("~")
    if home in ("~", "", "/nonexistent"):
        return _temporary_home()
    return Path(home) / ".loghook"


def _temporary_home() -> Path:
    """Return a folder among the temporary ones that is this user's alone: somebody else may have made the usual one."""
    import tempfile

    path = Path(tempfile.gettempdir()) / f"loghook-{os.getuid()}"
    try:
        path.mkdir(mode=0o700, exist_ok=True)
        status = path.lstat()
        if stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o022:
            return path
    except OSError:
        return path  # the spool will say what is wrong with it
    return Path(tempfile.mkdtemp(prefix="loghook-"))


def main_script() -> Path | None:
    """Return the file that the interpreter was started with, None in a notebook or a prompt."""
    path = getattr(sys.modules.get("__main__"), "__file__", None)
    return Path(path) if path else None


def resolve(
    arguments: Mapping[str, Any],
    environ: Mapping[str, str],
    *,
    script: Path | None = None,
    warn: Callable[[str], None],
    checks: Mapping[str, Callable[[Any], None]] = MappingProxyType({}),
) -> Settings:
    """Return the settings in force.

    `arguments` are keyword arguments (None: not given); wrong ones and unknown names raise one ConfigurationError that
    names them all: that is the program's mistake and shows at once. A wrong value in the environment or in a file must
    not stop a training: it is left out, and all of those are named in one call of `warn`. `checks` raise ValueError for
    settings, by name, that others judge; their words are told without the value, which may hold a password.
    """
    table = {entry.name: entry.metadata for entry in fields(Settings)}
    unknown = [f"there is no setting {name!r}, only {', '.join(table)}" for name in arguments if name not in table]
    given, wrong = _parse({k: v for k, v in arguments.items() if v is not None and k in table}, table, "", checks)
    if unknown or wrong:
        raise ConfigurationError(*unknown, *wrong)
    home = given.get("home") or home_folder(environ)
    values: dict[str, Any] = {}
    mistakes: list[str] = []
    folders: Iterable[Path] = (home, *([script.parent] if script else []))
    for file in (folder / "loghook.json" for folder in folders):
        content, broken = _read(file, table)
        found, wrong = _parse(content, table, f"{file}: ", checks)
        values.update(found)
        mistakes += broken + wrong
    found, wrong = _parse(_from_environment(environ, table), table, "", checks)
    mistakes += wrong
    if mistakes:
        warn("left out: " + "; ".join(mistakes))
    return Settings(**{**values, **found, **given, "home": home})


def _from_environment(environ: Mapping[str, str], table: Mapping[str, Any]) -> dict[str, Any]:
    values = {f"LOGHOOK_{name.upper()}": environ.get(f"LOGHOOK_{name.upper()}") for name in table if name != "level"}
    level = "LOGHOOK_LOG_LEVEL" if environ.get("LOGHOOK_LOG_LEVEL") else "POLYAXON_LOG_LEVEL"
    values[level] = environ.get(level)
    return {variable: value for variable, value in values.items() if value}


def _parse(
    values: Mapping[str, Any],
    table: Mapping[str, Any],
    where: str,
    checks: Mapping[str, Callable[[Any], None]],
) -> tuple[dict[str, Any], list[str]]:
    parsed: dict[str, Any] = {}
    mistakes: list[str] = []
    for key, value in values.items():
        name = "level" if key.endswith("_LOG_LEVEL") else key.removeprefix("LOGHOOK_").lower()
        try:
            found = table[name]["parse"](value)
        except ValueError as error:
            mistakes.append(f"{where}{key}={value!r}: {error}")
            continue
        try:
            if name in checks:
                checks[name](found)
            parsed[name] = found
        except ValueError as error:
            mistakes.append(f"{where}{key}: {error}")
    return parsed, mistakes


def _read(file: Path, table: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the settings in a file, and what is wrong with the file itself; one that is not there has neither."""
    try:
        data = file.read_bytes()
        content = json.loads(data.decode(json.detect_encoding(data))) if data.strip() else {}
    except (FileNotFoundError, NotADirectoryError):
        return {}, []
    except OSError as error:
        return {}, [f"{file}: it cannot be read: {error.strerror}"]
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        return {}, [f"{file}: it is not a JSON object"]
    return {key: value for key, value in content.items() if key in table and key != "home" and value is not None}, []


def documentation() -> list[tuple[str, str, str, str]]:
    """Return the table as rows of (argument, environment variable, default, help), for README and `--help`."""
    rows = []
    for entry in fields(Settings):
        variable = "LOGHOOK_LOG_LEVEL, POLYAXON_LOG_LEVEL" if entry.name == "level" else f"LOGHOOK_{entry.name.upper()}"
        default: Any = entry.default
        if entry.name == "home":
            default = "~/.loghook"
        elif entry.name == "level":
            default = "INFO"
        elif entry.metadata["kind"] == "bytes":
            default = f"{default >> 30} GiB" if default >= 1 << 30 else f"{default >> 20} MiB"
        elif entry.metadata["kind"] == "seconds":
            default = f"{default:g} s"
        elif isinstance(default, bool):
            default = "true" if default else "false"
        rows.append((entry.name, variable, str(default), entry.metadata["help"]))
    return rows
