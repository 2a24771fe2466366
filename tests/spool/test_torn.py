"""What a death or a power cut can leave in the files, and what repair and readers make of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from loghook.spool import LOCAL, Log, WriterSpool, repair, writers
from loghook.spool.repair import filler, torn_ranges
from loghook.spool.segment import HEADER

from .tools import SMALL, line, numbers, only, open_log, read_all

BLOCK = 512


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """A home with one dead writer's log of 100 lines in several segments."""
    home = tmp_path / "whole"
    log = open_log(home)
    for number in range(100):
        assert log.put(line(number, 90 + number))
    log.close()
    return home


def segments(spool: WriterSpool) -> list[Path]:
    """Return the segment files, by offset."""
    return sorted(spool.directory.glob("*.seg"))


def check_mended(spool: WriterSpool, before: bytes) -> None:
    """Every line of `before` that is still there lies at its offset; the rest is filler; all of it is whole."""
    after = read_all(spool)
    numbers(after)
    position = 0
    for text in after.splitlines(keepends=True):
        if text.startswith(b'{"n"'):
            assert before[position : position + len(text)] == text
        position += len(text)
    sizes = [path.stat().st_size for path in segments(spool)]
    assert repair(spool.directory) == 0
    assert [path.stat().st_size for path in segments(spool)] == sizes
    assert read_all(spool) == after


def test_every_cut_of_the_last_two_records(whole: Path, tmp_path: Path) -> None:
    """A log that ends anywhere in its last two lines keeps every line before, and goes on to its old end at most."""
    before = read_all(only(whole))
    last = segments(only(whole))[-1]
    content = last.read_bytes()
    used = len(content.rstrip(b"\0"))
    lengths = [len(text) for text in before.splitlines(keepends=True)]
    for cut in range(used - lengths[-1] - lengths[-2], used):
        last.write_bytes(content[:cut].ljust(len(content), b"\0"))
        spool = only(whole)
        whole_lines = read_all(spool)
        assert before.startswith(whole_lines)
        assert len(numbers(whole_lines)) >= 98
        torn = repair(spool.directory)
        assert torn == (content[cut - 1 : cut] != b"\n")
        check_mended(spool, before)
        assert spool.end() == len(before) - (used - cut)
    last.write_bytes(content)


def test_the_newline_before_the_bytes_in_front_of_it(whole: Path) -> None:
    """A last line whose newline arrived before the rest is no line to a reader, and filler after repair."""
    before = read_all(only(whole))
    last = segments(only(whole))[-1]
    content = bytearray(last.read_bytes())
    used = len(content.rstrip(b"\0"))
    for missing in (1, 10, 188, 189):
        torn = bytearray(content)
        torn[used - 1 - missing : used - 1] = bytes(missing)
        last.write_bytes(torn)
        assert numbers(read_all(only(whole))) == list(range(98 if missing == 189 else 99))
        assert repair(only(whole).directory) == 1
        check_mended(only(whole), before)
        assert only(whole).end() == len(before)


def test_zeros_in_every_block(whole: Path) -> None:
    """Blocks of zeros anywhere, as after a power cut, cost the lines that they touch and no other."""
    before = read_all(only(whole))
    for path in segments(only(whole)):
        content = path.read_bytes()
        for start in range(0, len(content.rstrip(b"\0")), BLOCK):
            hurt = bytearray(content)
            hurt[max(start, HEADER) : start + BLOCK] = bytes(len(hurt[max(start, HEADER) : start + BLOCK]))
            path.write_bytes(hurt)
            spool = only(whole)
            assert b"\0" not in read_all(spool)
            repair(spool.directory)
            check_mended(spool, before)
            # the longest line has 189 bytes, the shortest 90: a block touches 7 at most
            assert len(numbers(read_all(spool))) >= 100 - 7
        path.write_bytes(content)


def test_a_lost_segment_in_the_middle(whole: Path, tmp_path: Path) -> None:
    """A whole segment that is gone, header and all, becomes filler; what follows it is delivered."""
    before = read_all(only(whole))
    for index, path in enumerate(segments(only(whole))[1:-1], 1):
        home = tmp_path / f"lost-{index}"
        shutil.copytree(whole, home)
        spool = only(home)
        lost = segments(spool)[index]
        lost.write_bytes(bytes(lost.stat().st_size))
        assert repair(spool.directory) == 1
        check_mended(spool, before)
        assert len(read_all(spool)) == len(before)
        assert numbers(read_all(spool))[-1] == 99
        assert path.exists()


def test_a_lost_segment_at_the_start(whole: Path) -> None:
    """Without its first segment a log begins later, and says so."""
    before = read_all(only(whole))
    segments(only(whole))[0].unlink()
    spool = only(whole)
    assert repair(spool.directory) == 0
    assert spool.first > 0
    with pytest.raises(LookupError):
        spool.read(0, 1000)
    assert read_all(spool, spool.first) == before[spool.first :]


def test_a_log_without_segments(whole: Path) -> None:
    """A writer that died before its first segment leaves nothing to mend, and is complete."""
    spool = only(whole)
    for path in segments(spool):
        path.unlink()
    assert repair(spool.directory) == 0
    assert (spool.first, spool.end(), spool.read(0, 100)) == (0, 0, b"")
    assert spool.complete()


def test_a_tear_in_front_of_whole_lines_is_not_the_end(whole: Path) -> None:
    """A spool whose next line is torn does not pass for complete, since whole lines follow."""
    spool = only(whole)
    end = spool.end()
    last = segments(spool)[-1]
    with last.open("r+b") as file:
        file.seek(HEADER)
        file.write(b"\0" * 3)
    assert spool.end() == end


def test_a_large_hole_is_filled_with_lines_that_fit_a_batch() -> None:
    """Filler of any length is whole lines of at most 64 KiB: one event, where it fits, and blank ones."""
    for size in (1, 2, 39, 40, 41, 42, 65_535, 65_536, 65_537, 1_000_000):
        lines = filler(size)
        assert len(lines) == size
        assert lines.endswith(b"\n")
        assert max(map(len, lines.splitlines(keepends=True))) <= 65_536
        assert lines.count(b"dropped") == (2 if size > 40 else 0)
        assert torn_ranges(lines, last=False) == []


def test_an_empty_segment_hides_nothing(tmp_path: Path) -> None:
    """A segment left empty for one with more room is read past, whichever name comes first."""
    for names in ((1, 2, 3), (2, 1, 3), (3, 1, 2), (1, 3, 2)):
        home = tmp_path / "".join(map(str, names))
        log = open_log(home)
        assert log.put(line(0, 9000))
        for number in range(1, 60):
            assert log.put(line(number, 100))
        log.close()
        spool = only(home)
        files = segments(spool)
        for path, name in zip(files[:3], names, strict=True):
            path.rename(path.with_name(f"x{name}.seg"))
        assert numbers(read_all(spool)) == list(range(60))
        assert repair(spool.directory) == 0
        assert numbers(read_all(only(home))) == list(range(60))


def test_lines_that_were_lost_with_the_memory(tmp_path: Path) -> None:
    """A log that dies with lines in memory ends where the disk ends: there is no hole in it."""
    home = tmp_path / "home"
    log = open_log(home, mapped=False)
    for number in range(50):
        assert log.put(line(number, 100))
    log.settle()
    for number in range(50, 90):
        assert log.put(line(number, 100))
    copy = tmp_path / "copy"
    shutil.copytree(home, copy)
    assert repair(only(copy).directory) == 0
    assert numbers(read_all(only(copy))) == list(range(50))
    log.close()
    assert numbers(read_all(only(home))) == list(range(90))


def test_what_is_read_is_bounded(tmp_path: Path) -> None:
    """A read returns at most the bytes asked for, or one line that is longer."""
    for mapped in (True, False):
        home = tmp_path / str(mapped)
        log = Log(home, "run", {}, SMALL, mapped=mapped)
        for number, size in enumerate((50, 3000, 50, 50, 9000, 50, 70_000, 50)):
            assert log.put(line(number, size))
        for source in (log, only(home)) if mapped else (log,):
            offset = 0
            for size in (50, 3000, 50, 50, 9000, 50, 70_000, 50):
                assert len(source.read(offset, 1)) == size
                assert len(source.read(offset, size)) == size
                assert len(source.read(offset, size + 49)) == size
                offset += size
        log.close()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", None])
def test_a_spool_without_a_meta_file_is_shown_here(whole: Path, content: bytes | None) -> None:
    """Where a power cut took meta.json the lines are still delivered, to the server of this machine."""
    meta = only(whole).directory / "meta.json"
    before = read_all(only(whole))
    if content is None:
        meta.unlink()
    else:
        meta.write_bytes(content)
    spool = only(whole)
    assert spool.destinations == {LOCAL: ""}
    assert not spool.complete()
    assert read_all(spool) == before
    meta.write_bytes(b'{"version": 999}')
    assert list(writers(whole)) == []


def test_a_header_that_was_lost_with_its_page(whole: Path, tmp_path: Path) -> None:
    """A last segment that lost its header is mended: what is left of its lines lies where it lay."""
    before = read_all(only(whole))
    last = segments(only(whole))[-1]
    lines = last.read_bytes()[HEADER:].rstrip(b"\0")
    with last.open("r+b") as file:
        file.write(bytes(HEADER + 10))
    assert repair(only(whole).directory) == 1
    after = read_all(only(whole))
    assert len(after) == len(before)
    assert numbers(after) == [n for n in range(100) if n != 100 - lines.count(b"\n")]
