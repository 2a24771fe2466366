"""loghook's own voice: single lines, seldom, and never trouble."""

from __future__ import annotations

import io
import logging
import sys

import pytest

from loghook.testing import Clock
from loghook.voice import Voice


class Listening(logging.Handler):
    """Keeps what it is handed; or raises."""

    def __init__(self, level: int = logging.NOTSET, error: Exception | None = None) -> None:
        super().__init__(level)
        self.lines: list[str] = []
        self.error = error

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the message."""
        if self.error:
            raise self.error
        self.lines.append(record.getMessage())


@pytest.fixture
def clock() -> Clock:
    """A clock that is moved by hand."""
    return Clock()


def test_what_is_said_is_one_line_on_stderr(capfd: pytest.CaptureFixture[str], clock: Clock) -> None:
    """Whatever the text holds, it is a single ASCII line that begins with the library's name."""
    Voice(clock=clock).say("no room\nin  /höme \x1b[31m\ud800 \0")
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("loghook: no room in /h\\xf6me ")
    assert err.count("\n") == 1
    assert err.isascii()


def test_a_subject_is_spoken_of_every_thirty_seconds(capfd: pytest.CaptureFixture[str], clock: Clock) -> None:
    """About one subject there is a line at most once in 30 s; other subjects are not held back by it."""
    voice = Voice(clock=clock)
    for second in range(61):
        voice.say(f"down for {second} s", about="server")
        clock.advance(1)
    voice.say("full", about="disk")
    assert capfd.readouterr().err.splitlines() == [
        "loghook: down for 0 s",
        "loghook: down for 30 s",
        "loghook: down for 60 s",
        "loghook: full",
    ]


def test_a_text_is_its_own_subject(capfd: pytest.CaptureFixture[str], clock: Clock) -> None:
    """Without a subject the same text is not said twice in a row, another one is."""
    voice = Voice(clock=clock)
    for text in ("one", "one", "two"):
        voice.say(text)
    assert capfd.readouterr().err.splitlines() == ["loghook: one", "loghook: two"]


def test_a_quiet_voice_writes_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    """Told to be quiet, the voice leaves stdout and stderr alone and only tells the "loghook" logger's handlers."""
    logger, listening = logging.getLogger("loghook"), Listening()
    logger.addHandler(listening)
    Voice(quiet=True).say("down")
    logger.removeHandler(listening)
    assert capfd.readouterr() == ("", "")
    assert listening.lines == ["down"]


def test_the_loggers_own_handlers_hear_it_and_nobody_else(capfd: pytest.CaptureFixture[str]) -> None:
    """Handlers of the logger "loghook" get the line if their level lets it through; those of the root logger do not."""
    logger, heard, deaf, root = logging.getLogger("loghook"), Listening(), Listening(logging.ERROR), Listening()
    logger.addHandler(heard)
    logger.addHandler(deaf)
    logging.getLogger().addHandler(root)
    Voice().say("down")
    logging.getLogger().removeHandler(root)
    logger.removeHandler(deaf)
    logger.removeHandler(heard)
    assert (heard.lines, deaf.lines, root.lines) == (["down"], [], [])
    assert capfd.readouterr().err == "loghook: down\n"


class Broken(io.TextIOBase):
    """A stream that raises whatever one likes."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def write(self, text: str) -> int:
        """Raise."""
        raise self.error


@pytest.mark.parametrize(
    "stream",
    [None, object(), Broken(BrokenPipeError()), Broken(ValueError("closed")), Broken(RuntimeError("reentrant call"))],
    ids=["none", "object", "broken pipe", "closed", "reentrant"],
)
def test_a_broken_stderr_does_not_matter(stream: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stderr that is missing, closed, replaced or in use raises nothing."""
    monkeypatch.setattr(sys, "stderr", stream)
    Voice().say("down")


def test_a_broken_handler_does_not_matter(capfd: pytest.CaptureFixture[str]) -> None:
    """A handler of the user's that raises does not raise into whoever spoke, and the others still hear."""
    logger, broken, heard = logging.getLogger("loghook"), Listening(error=RuntimeError("no")), Listening()
    logger.addHandler(broken)
    logger.addHandler(heard)
    Voice().say("down")
    logger.removeHandler(heard)
    logger.removeHandler(broken)
    assert heard.lines == ["down"]
    assert capfd.readouterr().err == "loghook: down\n"
