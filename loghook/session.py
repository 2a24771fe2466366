"""The runs of this process: opened once, found again by whoever asks for them, ended when the process ends."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from loghook.errors import ConfigurationError
from loghook.hooks import Hooks
from loghook.job import default_url, job_of
from loghook.polyaxon import declared
from loghook.run import Run
from loghook.settings import main_script, resolve
from loghook.waiting import waiting

__all__ = ["close", "current", "flush", "is_finished", "new_run", "open_run", "stats"]

_runs: dict[str, tuple[Run, Hooks]] = {}
_EXPORTED = ("LOGHOOK_RUN_ID", "LOGHOOK_RUN_PARENT")
_environment_before: dict[str, str] = {}
_opening = [threading.RLock()]


def open_run(
    arguments: Mapping[str, Any],
    *,
    params: Mapping[str, Any] | None = None,
    api_key_getter: Callable[[], str | None] | None = None,
) -> Run:
    """Return this process's run, opened now if there is none yet; a name of its own asks for a run of its own.

    `arguments` are settings by name. Raises ConfigurationError for mistakes in them; what is wrong in the environment
    or in files is said once and left out.
    """
    with _opening[0]:
        return _open_run(arguments, params, api_key_getter)


def _open_run(
    arguments: Mapping[str, Any],
    params: Mapping[str, Any] | None,
    api_key_getter: Callable[[], str | None] | None,
) -> Run:
    wanted = str(arguments.get("name") or "")
    for name, (run, _) in _runs.items():
        if not wanted or wanted in (name, run.name):
            _say_what_is_ignored(run, arguments)
            return run
    environ = {key: value for key, value in os.environ.items() if key not in _EXPORTED or not _runs}
    job = job_of(environ)
    if job is not None and not _runs:
        environ.setdefault("LOGHOOK_RUN_ID", job.run_id)
    run = new_run(arguments, environ, params=params, api_key_getter=api_key_getter)
    if not _runs:
        _environment_before.clear()
        _environment_before.update({name: os.environ[name] for name in _EXPORTED if name in os.environ})
        os.environ.update({name: environ[name] for name in _EXPORTED})
    hooks = Hooks(run)
    _runs[wanted] = (run, hooks)
    if run.settings.hooks:
        hooks.install()
    return run


def _say_what_is_ignored(run: Run, arguments: Mapping[str, Any]) -> None:
    """Say which settings differ from those of a run that goes on with its own."""
    other = [
        name
        for name, value in arguments.items()
        if value is not None and name != "name" and str(getattr(run.settings, name, value)) != str(value)
    ]
    if other:
        run.voice.say(f"the run {run.name!r} goes on with its own settings; {', '.join(sorted(other))} changes nothing")


def new_run(
    arguments: Mapping[str, Any],
    environ: dict[str, str],
    *,
    params: Mapping[str, Any] | None = None,
    api_key_getter: Callable[[], str | None] | None = None,
    api: str = "",
) -> Run:
    """Return a run that nobody else finds and that no hook ends: its maker does.

    `environ` is told the run's id. Raises ConfigurationError for mistakes in `arguments`.
    """
    if params is not None and not isinstance(params, Mapping):
        raise ConfigurationError(f"params={params!r}: params are a mapping of names to values")
    if api_key_getter is not None and not callable(api_key_getter):
        raise ConfigurationError("api_key_getter: it is a function without arguments that returns the key")
    mistakes: list[str] = []
    settings = resolve(arguments, environ, script=main_script(), warn=mistakes.append, checks={"url": _check_urls})
    if not settings.url:
        settings = replace(settings, url=_default_url(environ, mistakes.append))
    params = {**(declared(environ) or {}), **(params or {})}
    run = Run(settings, params=params, api_key_getter=api_key_getter, environ=environ, api=api)
    for mistake in mistakes:
        run.voice.say(mistake)
    return run


def _default_url(environ: Mapping[str, str], warn: Callable[[str], None]) -> str:
    """Return the destination that the environment speaks of, "" where it is none that can be used."""
    url = default_url(environ)
    try:
        _check_urls(url)
    except ConfigurationError as mistake:
        warn(f"left out: {mistake}")
        return ""
    return url


def _check_urls(urls: str) -> None:
    """Raise ConfigurationError, with every mistake, for URLs that no transport takes."""
    mistakes = []
    for url in filter(None, (part.strip() for part in urls.split(","))):
        from loghook import transports  # heavy, and not needed where there is no URL

        try:
            transports.check(url)
        except ConfigurationError as error:
            mistakes.append(str(error))
    if mistakes:
        raise ConfigurationError(*mistakes)


def current() -> Run | None:
    """Return the run that was opened first in this process, None if there is none."""
    return next((run for run, _ in list(_runs.values())), None)


def is_finished(run: Run) -> bool:
    """Whether the process is ending and this run's end has been said."""
    return any(hooks.finished for own, hooks in list(_runs.values()) if own is run)


def close(run: Run) -> None:
    """End a run now, deliver it within the shutdown timeout, and forget it."""
    for name, (own, hooks) in list(_runs.items()):
        if own is run:
            hooks.uninstall()
            hooks.finish()
            waiting.tell()
            run.spool.close()
            del _runs[name]
            if os.environ.get("LOGHOOK_RUN_ID") == run.id:
                for variable in _EXPORTED:
                    os.environ.pop(variable, None)
                os.environ.update(_environment_before)


def flush(timeout: float | None = None) -> bool:
    """Wait until everything logged so far is delivered; False after `timeout` seconds (the shutdown timeout if None).

    Where records only lie in the spool of this machine there is nothing to wait for, and the answer is True.
    """
    began = time.monotonic()
    answers = []
    for run, _ in list(_runs.values()):  # which may come and go meanwhile
        left = None if timeout is None else max(0.0, timeout - (time.monotonic() - began))
        answers.append(run.flush(left))
    return all(answers)


def stats() -> dict[str, Any]:
    """Return the counters of this process's run, {} without one: accepted = delivered + pending + refused + dropped.

    {"run", "writer", "accepted", "dropped": {reason: count}, "destinations": {url: {"delivered", "pending", "refused",
    "error"}}}
    """
    run = current()
    return run.stats() if run else {}


def _forked() -> None:
    """In a forked child: whoever held the lock is not here."""
    _opening[0] = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
