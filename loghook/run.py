"""`Run`: one experiment, from its start to its end, and the threads that carry its events away."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from loghook.destinations import destination, destination_id, masked, masked_arguments
from loghook.environment import is_no_op, is_offline, launch_id, leads_its_machine, rank
from loghook.formatter import LogHookFormatter, encode
from loghook.job import in_project
from loghook.keyfile import key_files, keys_in
from loghook.metrics import numbers
from loghook.outages import outages
from loghook.redaction import NONE, Redaction
from loghook.repository import git_commit
from loghook.settings import Settings, main_script
from loghook.spool import LOCAL, Limits, Log, Nowhere, Spool
from loghook.spool.keeper import Keeper
from loghook.threads import importing
from loghook.voice import Voice
from loghook.waiting import Left, waiting

if TYPE_CHECKING:
    from loghook.listener import Listener

__all__ = ["Run"]

_SHORTEST_INTERVAL = 0.02
_LEARN_EVERY = 1.0
"""Seconds between two looks at the environment."""
_DISK_PATIENCE, _DISK_HASTE = 1.0, 0.2
"""Seconds, at most and at least, that the end of a program waits for a disk which may hang."""


class Run:
    """One experiment in this process: its id, its spool, its listeners, and its life.

    The first process of a launch (rank 0, or the one that had no run id in its environment) owns the run and says when
    it starts and ends; the others are writers of the same run. After a fork the child is a writer too. Where nothing
    names a launch on several machines, the ranks of each are a run, owned by the first of them.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        params: Mapping[str, Any] | None = None,
        api_key_getter: Callable[[], str | None] | None = None,
        environ: dict[str, str] | os._Environ[str] = os.environ,
        api: str = "",
    ) -> None:
        """Open the spool and start the threads; touches no network. Never raises for the disk's sake.

        `api` says what began the run where `install` did not: "experiment", "monitor", "cli_run", "cli_pipe" or
        "jupyter".
        """
        self.settings = settings
        self.redaction = Redaction.of(settings.redact_names) if settings.redact else NONE
        self._learn_secrets()
        for file in key_files(main_script(), settings.home):
            for key in keys_in(file):
                self.redaction.add_key(key)
        self.voice = Voice(quiet=settings.quiet, clean=self.redaction.text)
        self.rank = rank(environ)
        joined = environ.get("LOGHOOK_RUN_PARENT")
        self.id = settings.run_id or launch_id(environ) or _new_id()
        self.name = self.redaction.text(_readable(settings.name or _script_name()))
        self.project = self.redaction.text(_readable(settings.project))
        self.pid = os.getpid()
        is_split = not settings.run_id and leads_its_machine(environ)
        self.owner = (self.rank in (None, 0) or is_split) and (joined is None or joined == str(self.pid))
        self._formatters: list[LogHookFormatter] = []
        self.formatter = LogHookFormatter(message_limit=settings.message_limit)
        self.adopt(self.formatter)
        self.destinations = {destination_id(url): masked(url) for url in self._urls()} or {LOCAL: LOCAL}
        """Each destination's id and URL."""
        self.listeners: list[Listener] = []
        self.chores: list[Callable[[], None]] = []
        """Called by the keeper, every flush interval."""
        self.keeper: Keeper | None = None
        self._disk_answers = True
        self.api = api
        self._getter = api_key_getter
        self._params = dict(params or {})
        self._told_of: set[str] = set()
        self._trouble_told = ""
        self._last_heartbeat = time.monotonic()
        self._ended = False
        limits = Limits(settings.spool_limit, settings.memory_limit)
        self._offline = is_offline(environ)
        self.spool = (
            Nowhere(settings.home, self.id)
            if is_no_op(environ)
            else Spool(settings.home, self.id, limits, meta=self._meta, opened=self._opened, begun=self._begun)
        )
        if is_split and self.owner and not is_no_op(environ):
            self.voice.say(
                "nothing names this launch on several machines, so the ranks of each are a run of their own; for one "
                "run give torchrun an --rdzv-id, or set LOGHOOK_RUN_ID to the same on all"
            )
        environ["LOGHOOK_RUN_ID"] = self.id
        environ.setdefault("LOGHOOK_RUN_PARENT", str(self.pid))
        if not is_no_op(environ):
            self.spool.write = self.spool.log.write

    def __repr__(self) -> str:
        return f"<Run {self.name!r} {self.id}>"

    @property
    def patience(self) -> float:
        """How many seconds the end of a program may wait for delivery."""
        return self.settings.shutdown_timeout

    def _urls(self) -> list[str]:
        urls = (part.strip() for part in self.settings.url.split(",") if part.strip())
        return [in_project(url, self.settings.project) for url in urls]

    def _meta(self) -> dict[str, Any]:
        return {"name": self.name, "destinations": self.destinations, "started": time.time(), **self._process()}

    def _process(self) -> dict[str, Any]:
        process: dict[str, Any] = {"pid": os.getpid(), "host": os.uname().nodename}
        return process if self.rank is None else {**process, "rank": self.rank}

    # ---------------------------------------------------------------- the first event of a process

    def _opened(self, log: Log) -> None:
        """Begin a new log: this process's first, or a forked child's. Only the owner speaks on the terminal."""
        self.voice.quiet = self.settings.quiet or not self.is_owner
        log.put(encode({"time": time.time(), "event": "writer_started", "writer": self._process()}))
        if self.is_owner and not self._ended:  # a record that comes after the end must not start the run again
            started = {"name": self.name, **self._process(), "argv": masked_arguments(sys.argv)}
            commit = git_commit(None if self.api.startswith("cli_") else main_script())
            if commit:
                started["git"] = commit
            if self.project:
                started["project"] = self.project
            started["python"] = ".".join(map(str, sys.version_info[:3]))
            if self._params:
                started["params"] = self._params
            if self.api:
                started["api"] = self.api
            event = {"time": time.time(), "event": "run_started", "run": started}
            log.put(encode(event, clean=self.redaction.rewritten))

    @property
    def is_owner(self) -> bool:
        """Whether this very process owns the run; a forked child does not."""
        return self.owner and self.pid == os.getpid()

    def _begun(self, log: Log) -> None:
        """Start all threads now: once a short script has come to its end Python starts no more."""
        self._tell_trouble(log)
        interval = max(self.settings.flush_interval, _SHORTEST_INTERVAL)
        keeper = Keeper(lambda: self._keep(log), interval, self._keeper_failed, lambda: self._keep_at_the_end(log))
        log.wanted = keeper.wake.ring
        self.keeper = keeper
        self.listeners = []
        keeper.start()
        if LOCAL not in self.destinations and not self._offline:
            self._start_listeners(log, interval)

    def _start_listeners(self, log: Log, interval: float) -> None:
        with importing():  # and only where there is a URL: it takes a while
            from loghook.credentials import KeySource
            from loghook.listener import Listener
            from loghook.transports.base import DEADLINE_TIMES

        log.patience = (DEADLINE_TIMES + 1) * self.settings.timeout

        urls = self._urls()
        files = key_files(main_script(), self.settings.home)
        for number, url in enumerate(urls):
            share = (number, len(urls))
            keys = KeySource(
                self._getter,
                files=files,
                warn=self.voice.say,
                found=self.redaction.add_key,
                url=masked(url),
                share=share,
            )
            listener = Listener(
                destination(url, keys, self.settings.timeout),
                log,
                self.settings.home,
                interval=interval,
                batch_size=self.settings.batch_size,
                voice=self.voice,
                outages=outages,
            )
            self.listeners.append(listener)
            listener.start()

    # ---------------------------------------------------------------- the keeper's chores

    def _keep(self, log: Log) -> None:
        log.reserve()
        log.settle()
        self._tell_trouble(log)
        log.tidy(list(self.destinations))
        if log.full:
            self.voice.say("the spool is full: plain records are dropped until there is room again", about="drops")
        self._tell_drops(log)
        self._warn_of_odd_metrics()
        is_due = time.monotonic() - self._last_heartbeat >= self.settings.heartbeat_interval
        if is_due and self.is_owner and not self._ended:
            self.heartbeat()
        for chore in self.chores:
            chore()
        if time.monotonic() - self._learned_at >= _LEARN_EVERY:
            self._learn_secrets()

    def _learn_secrets(self) -> None:
        """Look at the environment, which the program may have filled since: `load_dotenv()`, say."""
        self._learned_at = time.monotonic()
        self.redaction.learn(os.environ)

    def _keeper_failed(self, error: Exception) -> None:
        self.voice.say(
            f"the spool's keeper met {type(error).__name__}: {error}; records are still taken", about="keeper"
        )

    def _tell_trouble(self, log: Log) -> None:
        """Say what keeps the disk from being used, when that is news."""
        if log.trouble in ("", self._trouble_told):
            return
        self._trouble_told = log.trouble
        survive = "the process" if LOCAL in self.destinations else "a crash"
        self.voice.say(
            f"{self.settings.home} can't hold a spool ({log.trouble}); events wait in memory, "
            f"{self.settings.memory_limit >> 20} MiB at most, and do not survive {survive}",
            about="disk",
        )

    def _tell_drops(self, log: Log, *, closing: bool = False) -> None:
        news = None if log.full and not closing else log.drops.untold()
        if news is None:
            return
        line = encode({"time": time.time(), "event": "dropped", **news})
        if log.offer(line):
            log.drops.told(news, log.end())

    def _warn_of_odd_metrics(self) -> None:
        odd: set[str] = set()
        for formatter in list(self._formatters):
            odd |= formatter.odd_metrics
            formatter.odd_metrics = set()
        new = sorted(odd - self._told_of)
        if new:
            self._told_of.update(new)
            names = ", ".join(repr(name) for name in new[:5]) + (f" and {len(new) - 5} more" if len(new) > 5 else "")
            self.voice.say(
                f"metrics {names}: no number, kept as an extra; log an int, a float or a 0-d array", about=names
            )

    # ---------------------------------------------------------------- what a run says

    def adopt(self, formatter: LogHookFormatter) -> None:
        """Have a formatter, a program's own say, replace secrets, and warn of what is no metric."""
        formatter.redact_with(self.redaction)
        if formatter not in self._formatters:
            self._formatters.append(formatter)

    def put(self, event: dict[str, Any]) -> None:
        """Record any event, with its secrets replaced."""
        self.spool.put(encode(event, clean=self.redaction.line))

    def take(self, record: logging.LogRecord) -> None:
        """Record what no handler sees."""
        self.spool.put(self.formatter.event(record))

    def heartbeat(self) -> None:
        """Say that the run lives."""
        self._last_heartbeat = time.monotonic()
        self.spool.put(b'{"time":%.6f,"event":"heartbeat"}\n' % time.time())

    def param(self, name: str, value: Any) -> None:
        """Add one param, any JSON value, to the run."""
        self.params({name: value})

    def params(self, params: Mapping[str, Any]) -> None:
        """Add params to the run; of one name the last value counts."""
        event = {"time": time.time(), "event": "params", "params": dict(params)}
        self.spool.put(encode(event, clean=self.redaction.rewritten))

    def metric(self, name: str, value: object, step: int | None = None) -> None:
        """Record one value of a metric; `step` may be left out, repeated, or out of order."""
        event: dict[str, Any] = {"time": time.time(), "level": "INFO", "logger": "loghook", "message": ""}
        found = numbers({name if isinstance(name, str) else str(name): value})
        event.update({"metrics": found.values} if found.values else {"extra": {"metrics": found.rest}})
        self.formatter.note_odd(found.rest)
        if step is not None:
            event["step"] = step
        self.put(event)

    def end(self, status: str = "success", *, exception: str = "", reason: str = "") -> None:
        """End the run as "success", "failure" or "stopped", once; only its owner does."""
        if self._ended or not self.is_owner:
            return
        self._ended = True
        event = {"time": time.time(), "event": "run_ended", "status": status}
        if exception:
            event["exception"] = exception
        if reason:
            event["reason"] = reason
        self.put(event)

    # ---------------------------------------------------------------- delivery

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until every destination has what was logged before this call; False after `timeout` seconds.

        With no destination but this machine there is nothing to wait for: events are safe as soon as they are logged.
        """
        if not self.spool.is_open:
            return True
        log = self.spool.log
        target = log.end()
        deadline = time.monotonic() + (self.settings.shutdown_timeout if timeout is None else timeout)
        for listener in self.listeners:
            listener.wake.ring()  # once: a platform in trouble is not asked all the time
        while any(log.acks.get(name).offset < target for name in self.destinations if name != LOCAL):
            if time.monotonic() >= deadline or self._offline:
                return False
            time.sleep(0.02)
        return True

    def stats(self) -> dict[str, Any]:
        """Return this process's counters: accepted = delivered + pending + refused + dropped, for each destination.

        {"run", "writer", "accepted", "dropped": {reason: count}, "destinations": {url: {"delivered", "pending",
        "refused", "error"}}}; the destination of the server on this machine is called "local".
        """
        if isinstance(self.spool, Nowhere):
            return {"run": self.id, "writer": "", "accepted": 0, "dropped": {}, "destinations": {}}
        log = self.spool.log
        known = {name: log.acks.get(name) for name in self.destinations}
        end = log.end()  # everything is counted up to here, however much comes meanwhile
        dropped = log.drops.counts()
        counters: dict[str, Any] = {"run": self.id, "writer": log.writer, "accepted": 0, "dropped": dropped}
        counters["destinations"] = {}
        errors = {listener.destination.id: listener.error for listener in self.listeners}
        for name, url in self.destinations.items():
            offset, delivered, refused = known[name]
            row = {"delivered": delivered, "pending": log.count_from(offset, end), "refused": refused}
            counters["destinations"][url] = {**row, "error": errors.get(name, "")}
        counters["accepted"] = log.accepted_below(end) + sum(dropped.values())
        return counters

    def hurry(self, timeout: float) -> None:
        """Begin to `close`, with `timeout` seconds for it; the listeners go on beside what else is to be closed."""
        deadline = time.monotonic() + timeout
        if self.keeper and self._disk_answers:
            end = self.keeper.finish if self.listeners else self.keeper.stop
            self._disk_answers = end(max(_DISK_HASTE, min(_DISK_PATIENCE, timeout)))
        for listener in self.listeners:
            listener.hurry(deadline)

    def close(self, timeout: float | None = None, *, goes_on: bool = False) -> None:
        """Deliver what there is, for `timeout` seconds at most, and note what had to stay: `waiting` tells of that.

        Where the process `goes_on` it is said at once what is in the way.
        """
        if not self.spool.is_open:
            return
        timeout = self.patience if timeout is None else timeout
        deadline = time.monotonic() + timeout
        self.hurry(timeout)
        for listener in self.listeners:
            listener.close(deadline)
        for listener in self.listeners if goes_on else ():
            listener.speak()
        if self.keeper and self.listeners and self._disk_answers:
            self._disk_answers = self.keeper.stop(_DISK_PATIENCE)
        if self._disk_answers:
            self._count_what_is_gone(self.spool.log, deadline)
            self._note_what_stays(self.spool.log)
        else:
            self.voice.say(f"{self.settings.home} does not answer; what is in its spool is sent later", about="disk")

    def drain(self, timeout: float = 1.0) -> None:
        """Deliver, on this thread and for `timeout` seconds at most, what came after `close`.

        Those are the last records of an interpreter that ends.
        """
        deadline = time.monotonic() + timeout
        if not self._disk_answers:
            return
        for listener in self.listeners:
            listener.drain(deadline)
        if self.spool.is_open:
            log = self.spool.log
            log.try_disk_again()
            log.settle()  # the keeper has gone home
            self._say_what_is_lost(log, log.give_up())
        if LOCAL not in self.destinations and self.spool.is_open:
            self.spool.remove_if_delivered(list(self.destinations))

    def _keep_at_the_end(self, log: Log) -> None:
        log.try_disk_again()
        self._keep(log)
        self._tell_drops(log, closing=True)

    def _count_what_is_gone(self, log: Log, deadline: float) -> None:
        """Count what went with files that somebody took away, now that nothing is under way, and have it told."""
        try:
            log.count_lost(now=True)
        except (LookupError, OSError) as error:
            self._keeper_failed(error)
        self._tell_drops(log, closing=True)
        for listener in self.listeners:  # which may have ended before the keeper told what it found
            if log.acks.get(listener.destination.id).offset < log.end():
                listener.drain(max(deadline, time.monotonic() + _DISK_HASTE))

    def _note_what_stays(self, log: Log) -> None:
        dropped, lost = log.drops.counts(), log.give_up()
        if dropped:
            reasons = ", ".join(f"{count} for {reason}" for reason, count in dropped.items())
            told = "" if any(lost.values()) else "; the run says so too"
            self.voice.say(f"{sum(dropped.values())} records were dropped ({reasons}){told}")
        self._say_what_is_lost(log, lost)
        for name, url in self.destinations.items():
            try:
                offset = log.acks.get(name).offset
                count = log.count_from(offset)
            except (LookupError, OSError) as error:
                self.voice.say(f"what waits for {url} in {log.directory} can't be counted ({error})")
                continue
            if count and name != LOCAL:
                why = self._untold(name).removeprefix(f"{url}: ")
                waiting.add(Left(name, url, self.settings.home, log.directory, offset, count, why, self.voice.quiet))

    def _say_what_is_lost(self, log: Log, lost: dict[str, int]) -> None:
        why = f" ({log.trouble})" if log.trouble else ""
        for name, count in lost.items():
            if count:
                url = self.destinations[name]
                self.voice.say(f"{count} events for {url} are lost: the disk could not hold them{why}")

    def _untold(self, name: str) -> str:
        """Return why a destination takes nothing, where no line has said so yet."""
        if outages.known(name, quiet=self.voice.quiet):
            return ""
        return next((listener.untold for listener in self.listeners if listener.destination.id == name), "")


def _readable(name: str) -> str:
    """Return a name as it can be stored anywhere: bytes that are no UTF-8 are shown as escapes."""
    return name.encode("utf-8", "backslashreplace").decode()


def _new_id() -> str:
    """Return the 32 hex digits of a new uuid4, which platforms that want a uuid then have as it is."""
    digits = os.urandom(16).hex()
    return f"{digits[:12]}4{digits[13:16]}{'89ab'[int(digits[16], 16) % 4]}{digits[17:]}"


def _script_name() -> str:
    script = main_script()
    return script.stem if script and script.stem != "__main__" else (script.parent.name if script else "python")
