"""One deadline for all that ends with the process."""

from __future__ import annotations

from loghook.ending import Ending
from loghook.testing import Clock


def test_all_share_the_patience_of_one() -> None:
    """What one took the next no longer has, and nobody has less than nothing."""
    clock = Clock()
    ending = Ending(clock)
    assert ending.left(5.0) == 5.0
    clock.advance(3.0)
    assert ending.left(5.0) == 2.0
    assert ending.left(10.0) == 7.0
    clock.advance(3.0)
    assert ending.left(5.0) == 0.0


def test_half_a_second_is_kept_for_each_of_the_others() -> None:
    """Who comes first leaves something to those that are still to come, but takes at least half."""
    assert Ending(Clock()).left(5.0, others=2) == 4.0
    assert Ending(Clock()).left(5.0, others=100) == 2.5


def test_a_forked_child_has_an_end_of_its_own() -> None:
    """In a child the end has not begun, whatever its parent is at."""
    clock = Clock()
    ending = Ending(clock)
    assert ending.left(5.0) == 5.0
    clock.advance(4.0)
    ending.forked()
    assert ending.left(5.0) == 5.0
