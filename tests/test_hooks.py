"""The hooks at the end of a process, as far as they can be seen from within; the rest is in bad_days."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import pytest

import loghook

from .scripts import events, last_end, messages


@pytest.fixture(autouse=True)
def installed() -> Iterator[None]:
    """No installation stays behind, whatever happens."""
    yield
    loghook.uninstall()


def test_exit_does_what_it_did() -> None:
    """With the hooks in, sys.exit raises the same SystemExit as before."""
    loghook.install("run")
    for code in (None, 0, 3, "text", (1, 2)):
        with pytest.raises(SystemExit) as caught:
            sys.exit(code)  # type: ignore[arg-type]
        assert caught.value.code == code
    with pytest.raises(SystemExit) as caught:
        sys.exit()
    assert caught.value.code is None


def test_an_exit_that_was_caught_is_no_failure(home: Path) -> None:
    """A sys.exit that the program caught and outlived is not how its run ended."""
    loghook.install("run")
    with pytest.raises(SystemExit):
        sys.exit(3)
    loghook.uninstall()
    assert (last_end(home) or {})["status"] == "success"


def test_excepthooks_are_chained(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hook that was there is called with the very exception, after it was recorded."""
    seen: list[tuple[object, object, object]] = []

    def theirs(kind: type[BaseException], value: BaseException, trace: TracebackType | None) -> None:
        seen.append((kind, value, messages(home, "uncaught")))

    monkeypatch.setattr(sys, "excepthook", theirs)
    loghook.install("run")
    error = ValueError("no")
    sys.excepthook(ValueError, error, None)
    assert seen == [(ValueError, error, ["uncaught ValueError: no"])]
    loghook.uninstall()
    assert sys.excepthook is theirs
    assert (last_end(home) or {})["status"] == "failure"


def test_whoever_hooks_in_after_us_stays(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hook that somebody put over ours is left alone by uninstall, and ours then only passes on."""
    seen: list[object] = []
    monkeypatch.setattr(sys, "excepthook", lambda kind, value, trace: seen.append(value))
    loghook.install("run")
    ours = sys.excepthook
    theirs = lambda kind, value, trace: ours(kind, value, trace)  # noqa: E731
    monkeypatch.setattr(sys, "excepthook", theirs)
    loghook.uninstall()
    assert sys.excepthook is theirs
    count = len(events(home))
    error = ValueError("later")
    sys.excepthook(ValueError, error, None)
    assert seen == [error]
    assert len(events(home)) == count


def test_an_exception_that_can_not_be_shown_is_still_passed_on(
    home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """An exception whose text raises reaches the hook that was there, with no traceback of ours."""

    class Silent(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no")

    seen: list[object] = []
    monkeypatch.setattr(sys, "excepthook", lambda kind, value, trace: seen.append(kind))
    loghook.install("run")
    sys.excepthook(Silent, Silent(), None)
    assert seen == [Silent]
    assert "Traceback" not in capfd.readouterr().err


def test_signals_that_are_ignored_or_handled_elsewhere_are_left(home: Path) -> None:
    """SIG_IGN stays SIG_IGN, and a handler that somebody set after install stays after uninstall."""
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGHUP)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    loghook.install("run")
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    theirs = lambda number, frame: None  # noqa: E731
    signal.signal(signal.SIGTERM, theirs)
    loghook.uninstall()
    assert signal.getsignal(signal.SIGTERM) is theirs
    signal.signal(signal.SIGTERM, before[0])
    signal.signal(signal.SIGHUP, before[1])
