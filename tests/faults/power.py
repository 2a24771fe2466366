"""Power loss, stood in for by copies of a spool as a disk may have it then: cut anywhere, with blocks of zeros."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from loghook.spool import writers

from .campaign import Campaign, Figures, Row
from .counting import WAIT, Counting, Sum, logs, serving, taken

__all__ = ["ROWS"]

BLOCK = 4096
HEADER = 32
RECORDS = 60


@dataclass(frozen=True)
class Lost:
    """What a power cut left out: a part of the last segment's file, its end, or another file."""

    start: int
    end: int | None = None
    cut: bool = False
    file: str = ""

    def __str__(self) -> str:
        if self.file:
            return f"{self.file} empty"
        return f"cut at byte {self.start}" if self.cut else f"zeros in bytes {self.start} to {self.end}"

    def inflict(self, directory: Path) -> None:
        """Make a copy what it would be."""
        if self.file:
            (directory / self.file).write_bytes(b"")
            return
        path = max(directory.glob("*.seg"))
        if self.cut:
            os.truncate(path, self.start)
            return
        with path.open("r+b") as file:
            file.seek(self.start)
            file.write(bytes((self.end or path.stat().st_size) - self.start))


def losses(content: bytes, step: int) -> Iterator[Lost]:
    """Yield each way to lose something of a segment: every `step`-th byte of its last two lines, and every block."""
    used = len(content.rstrip(b"\0"))
    last = content.rfind(b"\n", 0, content.rfind(b"\n", 0, used - 1)) + 1
    for position in range(last, used, step):
        yield Lost(position, cut=True)
        yield Lost(position, used)
    for start in range(0, used, BLOCK):
        yield Lost(start, cut=True)
        yield Lost(start, start + BLOCK)
    yield Lost(0, file="meta.json")
    yield Lost(0, file="local.ack")


def harmed(content: bytes, lost: Lost) -> set[int]:
    """Return the numbers of the records that touch what was lost."""
    if lost.file:
        return set()
    end = len(content) if lost.cut or lost.end is None else lost.end
    numbers, position = set(), HEADER
    for line in content[HEADER:].rstrip(b"\0").splitlines(keepends=True):
        if position < end and position + len(line) > lost.start and b'"count"' in line:
            numbers.add(int(line.partition(b'"message":"0 ')[2].partition(b" ")[0]))
        position += len(line)
    return numbers


def power_loss(campaign: Campaign) -> Figures:
    """Leave copies of one program's spool as power cuts may, have a server take them all, and compare."""
    program = Counting(campaign.folder / "program", threads=1, total=RECORDS, size=300, after=f"{WAIT}os._exit(0)\n")
    program.finish()
    [spool] = writers(campaign.home)
    content = max(spool.directory.glob("*.seg")).read_bytes()
    ways = list(losses(content, campaign.times(9, 1)))
    for number, lost in enumerate(ways):
        copy = spool.directory.parent.with_name(f"power-{number}") / spool.writer
        shutil.copytree(spool.directory, copy)
        lost.inflict(copy)
    total = Sum()
    returned = program.returned[0]
    with serving(campaign.home) as api:
        total.wrong += taken(campaign.home)
        for number, lost in enumerate(ways):
            total.compare(f"{lost}", [returned - harmed(content, lost)], logs(api, f"power-{number}"))
    note = f"{total.records:,} records"
    return Figures(len(ways), total.lost, total.twice, tuple(total.wrong), note)


ROWS = [
    Row(
        "Death",
        "a power cut: the last two records cut at every byte, every block cut off or zeros, meta.json empty",
        "all that had reached the disk is there, once",
        power_loss,
    ),
]
