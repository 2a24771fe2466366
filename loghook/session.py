"""The runs of this process: opened once, found again by whoever asks for them, ended when the process ends."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from loghook.errors import ConfigurationError
from loghook.hooks import Hooks
from loghook.run import Run
from loghook.settings import main_script, resolve
from loghook.voice import Voice

__all__ = ["close", "current", "flush", "is_finished", "open_run", "stats"]

_runs: dict[str, tuple[Run, Hooks]] = {}
_EXPORTED = ("LOGHOOK_RUN_ID", "LOGHOOK_RUN_PARENT")


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
    wanted = str(arguments.get("name") or "")
    for name, (run, _) in _runs.items():
        if not wanted or wanted in (name, run.name):
            return run
    environ = {key: value for key, value in os.environ.items() if key not in _EXPORTED or not _runs}
    voice = Voice(quiet=environ.get("LOGHOOK_QUIET", "").lower() in ("1", "true", "yes", "on"))
    arguments = {**arguments, "url": _sound_url(arguments.get("url"), environ, voice)}
    settings = resolve(arguments, environ, script=main_script(), warn=voice.say)
    run = Run(settings, params=params, api_key_getter=api_key_getter, environ=environ)
    if not _runs:
        os.environ.update({name: environ[name] for name in _EXPORTED})
    hooks = Hooks(run)
    _runs[wanted] = (run, hooks)
    if settings.hooks:
        hooks.install()
    return run


def _sound_url(given: Any, environ: dict[str, str], voice: Voice) -> str | None:
    """Check the URLs that are given; a wrong one in the environment must not stop a program, so it is left out."""
    if not given and not environ.get("LOGHOOK_URL"):
        return None  # the usual case imports no transport
    if given is not None:
        mistakes = _url_mistakes(str(given))
        if mistakes:
            raise ConfigurationError(*mistakes)
        return str(given)
    mistakes = _url_mistakes(environ.get("LOGHOOK_URL", ""))
    if mistakes:
        voice.say(f"LOGHOOK_URL is left out, records stay on this machine: {'; '.join(mistakes)}")
        environ["LOGHOOK_URL"] = ""
    return None


def _url_mistakes(urls: str) -> list[str]:
    from loghook import transports

    mistakes = []
    for url in filter(None, (part.strip() for part in urls.split(","))):
        try:
            transports.check(url)
        except ConfigurationError as error:
            mistakes.append(str(error))
    return mistakes


def current() -> Run | None:
    """Return the run that was opened first in this process, None if there is none."""
    return next((run for run, _ in _runs.values()), None)


def is_finished(run: Run) -> bool:
    """Whether the process is ending and this run's end has been said."""
    return any(hooks.finished for own, hooks in _runs.values() if own is run)


def close(run: Run) -> None:
    """End a run now, deliver it within the shutdown timeout, and forget it."""
    for name, (own, hooks) in list(_runs.items()):
        if own is run:
            hooks.uninstall()
            hooks.finish()
            run.spool.close()
            del _runs[name]
            if os.environ.get("LOGHOOK_RUN_ID") == run.id:
                for variable in _EXPORTED:
                    os.environ.pop(variable, None)


def flush(timeout: float | None = None) -> bool:
    """Wait until everything logged so far is delivered; False after `timeout` seconds (the shutdown timeout if None).

    Where records only lie in the spool of this machine there is nothing to wait for, and the answer is True.
    """
    answers = [run.flush(timeout) for run, _ in _runs.values()]
    return all(answers)


def stats() -> dict[str, Any]:
    """Return the counters of this process's run, {} without one: accepted = delivered + pending + refused + dropped.

    {"run", "writer", "accepted", "dropped": {reason: count}, "destinations": {url: {"delivered", "pending", "refused",
    "error"}}}
    """
    run = current()
    return run.stats() if run else {}
