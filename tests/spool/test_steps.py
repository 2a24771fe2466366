"""Death by SIGKILL at every single step of one put, one acknowledge, one repair, one settling, one removal.

A forked child does the real thing and kills itself at its k-th line of Python, for every k until it gets through.
What it had said to have finished before that must be there afterwards, once.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from loghook.spool import Log, WriterSpool, repair, writers

from .tools import claimed, die_at, in_child, killed, line, numbers, only, open_log, read_all

Say = Callable[[int], int]

EVERY = pytest.mark.parametrize(
    "stride",
    [7, pytest.param(1, marks=[pytest.mark.slow, pytest.mark.timeout(900)])],
    ids=["some steps", "every step"],
)


def deaths(
    tmp_path: Path,
    prepare: Callable[[Path], Log],
    action: Callable[[Log, Say], object],
    *,
    opcodes: bool = False,
    stride: int = 1,
) -> Iterator[tuple[Path, list[int]]]:
    """Yield, for each step at which the child died, its home and what it had said; the last one is a clean run."""
    for step in range(1, 100_000, stride):
        home = tmp_path / f"home-{step}"

        def child(say: Say, home: Path = home, step: int = step) -> None:
            log = prepare(home)
            die_at(step, lambda: action(log, say), opcodes=opcodes)

        said, status = in_child(child)
        yield home, said
        shutil.rmtree(home, ignore_errors=True)
        if not killed(status):
            assert step > 10, "the action has steps"
            return
    raise AssertionError("the action never ends")


def filled(home: Path, *, mapped: bool = True, reserved: bool = False, lines: int = 39) -> Log:
    """Return a log whose segment of 4 KiB has no room for one more line of 100 bytes, if there are 40."""
    log = open_log(home, mapped=mapped)
    for number in range(lines):
        assert log.put(line(number, 100))
    if reserved:
        log.reserve()
    return log


def put_two(log: Log, say: Say) -> None:
    """Put the line that still fits, or not, and one more."""
    for number in (100, 101):
        assert log.put(line(number, 100))
        say(number)


@pytest.mark.parametrize("reserved", [True, False])
@pytest.mark.parametrize(
    "opcodes", [False, pytest.param(True, marks=[pytest.mark.slow, pytest.mark.timeout(900)])], ids=["lines", "opcodes"]
)
def test_death_while_rolling_over(tmp_path: Path, reserved: bool, opcodes: bool) -> None:
    """A line whose put returned is there once, and nothing else but the one in flight, wherever rolling over ends."""
    for home, said in deaths(
        tmp_path, lambda home: filled(home, reserved=reserved, lines=40), put_two, opcodes=opcodes
    ):
        found = numbers(read_all(claimed(only(home))))
        assert found[: 40 + len(said)] == [*range(40), *said]
        assert found[40 + len(said) :] in ([], [100 + len(said)])


@EVERY
def test_death_while_a_long_line_goes_to_a_segment_of_its_own(tmp_path: Path, stride: int) -> None:
    """A line longer than any segment is there as a whole or not at all."""

    def put_long(log: Log, say: Say) -> None:
        assert log.put(line(100, 20_000))
        say(100)
        assert log.put(line(101, 100))
        say(101)

    for home, said in deaths(tmp_path, lambda home: filled(home, lines=0), put_long, stride=stride):
        found = numbers(read_all(claimed(only(home))))
        assert found[: len(said)] == said
        assert found in ([], [100], [100, 101])


@EVERY
def test_death_while_settling(tmp_path: Path, stride: int) -> None:
    """Lines on their way from memory to disk are there in order, each once, whichever step was the last."""

    def settle(log: Log, say: Say) -> None:
        log.settle()
        say(1)
        for number in range(60, 70):
            assert log.put(line(number, 100))
        log.settle()
        say(2)

    def prepare(home: Path) -> Log:
        log = filled(home, mapped=False, lines=20)
        log.settle()
        for number in range(20, 60):
            assert log.put(line(number, 100))
        return log

    for home, said in deaths(tmp_path, prepare, settle, stride=stride):
        found = numbers(read_all(claimed(only(home))))
        assert found == list(range(len(found)))
        assert len(found) >= (20, 60, 70)[len(said)]


@pytest.mark.parametrize("opcodes", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["lines", "opcodes"])
def test_death_while_acknowledging(tmp_path: Path, opcodes: bool) -> None:
    """After a death in the middle of it an acknowledgement is the old one or the new one."""

    def prepare(home: Path) -> Log:
        log = filled(home, lines=1)
        log.acks.move("a", 1000, events=10)
        return log

    def acknowledge(log: Log, say: Say) -> None:
        log.acks.move("a", 2000, events=10, refused=1)
        say(1)
        log.acks.move("b", 700, events=7)
        say(2)

    for home, said in deaths(tmp_path, prepare, acknowledge, opcodes=opcodes, stride=2 if opcodes else 1):
        spool = claimed(only(home))
        a, b = spool.acks.get("a"), spool.acks.get("b")
        assert a in ([(2000, 20, 1)] if said else [(1000, 10, 0), (2000, 20, 1)])
        assert b in ([(700, 7, 0)] if len(said) > 1 else [(0, 0, 0), (700, 7, 0)])


@EVERY
def test_death_while_tidying(tmp_path: Path, stride: int) -> None:
    """What a destination lacks is there, wherever deleting what all have ends."""

    def prepare(home: Path) -> Log:
        log = filled(home, lines=150)
        log.acks.move("a", 15_000, events=150)
        log.acks.move("b", 9_000, events=90)
        return log

    for home, _ in deaths(tmp_path, prepare, lambda log, _: log.tidy(["a", "b"]), stride=stride):
        spool = claimed(only(home))
        assert spool.first <= 9_000
        assert numbers(read_all(spool, 9_000)) == list(range(90, 150))


@EVERY
def test_death_while_opening(tmp_path: Path, stride: int) -> None:
    """A log whose opening was cut short is not there yet, or whole and empty, and takes nobody's place."""

    homes: dict[int, Path] = {}

    def prepare(home: Path) -> Log:
        log = filled(home / "other", lines=1)
        homes[id(log)] = home
        return log

    def open_another(log: Log, say: Say) -> None:
        assert open_log(homes[id(log)]).put(line(7))
        say(7)

    for home, said in deaths(tmp_path, prepare, open_another, stride=stride):
        found = [numbers(read_all(claimed(spool))) for spool in writers(home)]
        assert found in ([[[7]]] if said else [[], [[]], [[7]]])


@EVERY
def test_death_while_removing(tmp_path: Path, stride: int) -> None:
    """A spool that is being removed is wholly there or not there at all: its acknowledgements never go alone."""

    def prepare(home: Path) -> Log:
        log = filled(home, lines=60)
        log.acks.move("a", 6000, events=60)
        log.acks.move("b", 6000, events=60)
        log.close()
        return log

    def remove(log: Log, say: Say) -> None:
        assert log.directory
        WriterSpool(log.directory, {}).remove()

    for home, _ in deaths(tmp_path, prepare, remove, stride=stride):
        for spool in writers(home):
            assert spool.complete()
            assert numbers(read_all(spool)) == list(range(60))


def test_death_while_closing(tmp_path: Path) -> None:
    """Everything put before a close is there, wherever the close ends."""
    for home, _ in deaths(tmp_path, lambda home: filled(home, reserved=True, lines=100), lambda log, _: log.close()):
        assert numbers(read_all(claimed(only(home)))) == list(range(100))


@EVERY
def test_death_while_repairing(tmp_path: Path, stride: int) -> None:
    """A repair that was cut short and done again leaves every whole line at its offset, and one event for each tear."""
    log = filled(tmp_path / "whole", lines=100)
    log.close()
    whole = read_all(only(tmp_path / "whole"))
    torn = tmp_path / "torn"
    shutil.copytree(tmp_path / "whole", torn)
    files = sorted(only(torn).directory.glob("*.seg"))
    with files[1].open("r+b") as file:
        file.seek(32 + 520)
        file.write(b"\0" * 7)
        file.seek(32 + 905)
        file.write(b"\0" * 1190)
    mended = tmp_path / "mended"
    shutil.copytree(torn, mended)
    assert repair(only(mended).directory) == 2
    expected = read_all(only(mended))
    assert len(expected) == len(whole)
    for step in range(1, 100_000, stride):
        home = tmp_path / "again"
        shutil.copytree(torn, home)
        directory = only(home).directory

        def mend(say: Say, step: int = step, directory: Path = directory) -> None:
            die_at(step, lambda: repair(directory))

        _, status = in_child(mend)
        repair(directory)
        assert repair(directory) == 0
        assert numbers(read_all(only(home))) == numbers(expected)
        assert len(read_all(only(home))) == len(whole)
        shutil.rmtree(home)
        if not killed(status):
            assert step > 20
            break


def test_a_reader_in_the_middle_of_it_sees_whole_lines(tmp_path: Path) -> None:
    """What another process reads before any repair, at every step of a roll-over, is a prefix of what there will be."""
    for home, said in deaths(tmp_path, lambda home: filled(home, lines=40), put_two, stride=5):
        spool: WriterSpool = only(home)
        found = numbers(read_all(spool))
        assert found[: 40 + len(said)] == [*range(40), *said]
