"""Room for bodies: who gets it, and from whom it is taken."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from loghook.server.room import EACH, Full, Room, Upload

MINE, OTHERS = 1, 2


def test_as_much_as_there_is() -> None:
    """Bodies get room until there is none, and what ended leaves it to the next."""
    room = Room(4 * EACH)
    for _ in range(3):
        with room.upload(MINE) as one:
            one.add(b"x" * 3 * EACH)
            assert one.work() == [b"x" * 3 * EACH]


def test_the_oldest_of_the_largest_goes() -> None:
    """Room is taken from the oldest body of the account that has most, and that body ends."""
    room = Room(6 * EACH)
    with ExitStack() as stack:
        mine = [stack.enter_context(room.upload(MINE)) for _ in range(4)]
        others = [stack.enter_context(room.upload(OTHERS)) for _ in range(3)]
        assert [one.pushed_out for one in mine] == [True, False, False, False]
        others[1].add(b"x" * EACH)  # so that the others have most
        assert [one.pushed_out for one in others] == [True, False, False]
        with pytest.raises(Full):
            mine[0].add(b"x")
        with pytest.raises(Full):
            mine[0].work()


def test_who_has_most_pushes_out_oneself() -> None:
    """A body that is too large for the room that there is ends itself, and nobody else's."""
    room = Room(4 * EACH)
    with room.upload(OTHERS) as other, room.upload(MINE) as mine:
        with pytest.raises(Full):
            mine.add(b"x" * 3 * EACH)
        assert not other.pushed_out
        other.add(b"x" * 3 * EACH)


def test_what_is_worked_at_stays() -> None:
    """A body that is worked at is pushed out by none; where all are, there is no room."""
    room = Room(2 * EACH)
    with room.upload(MINE) as one, room.upload(MINE) as two:
        one.work()
        two.work()
        with pytest.raises(Full), room.upload(OTHERS):
            pass
        assert not one.pushed_out
        assert not two.pushed_out
    with room.upload(OTHERS) as three:
        three.add(b"x" * EACH)


def test_a_refused_body_leaves_no_trace() -> None:
    """A body that never got in holds no room."""
    room = Room(EACH)
    with room.upload(MINE) as one:
        one.work()
        for _ in range(3):
            refused = Upload(room, OTHERS)
            with pytest.raises(Full):
                refused.__enter__()
    with room.upload(OTHERS):
        pass
