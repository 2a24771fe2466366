"""Slowing down: free tries, growing pauses, forgetting."""

from __future__ import annotations

from loghook.server.brake import LONGEST, SLOTS, Brake
from loghook.testing import Clock


def test_free_tries() -> None:
    """The first failures cost nothing, and each further one doubles the pause."""
    clock = Clock()
    brake = Brake(3, clock)
    pauses = []
    for _ in range(8):
        pauses.append(brake.wait("anna"))
        clock.advance(pauses[-1])
        assert brake.wait("anna") == 0
        brake.failed("anna")
    assert pauses[:3] == [0, 0, 0]
    assert pauses[3:] == sorted(pauses[3:])
    assert pauses[3:7] == [4, 8, 16, 32]


def test_longest() -> None:
    """No pause is longer than a minute, however many failures there were."""
    brake = Brake(0, Clock())
    for _ in range(10_000):
        brake.failed("anna")
    assert brake.wait("anna") == LONGEST


def test_forgetting() -> None:
    """Failures are forgotten with time."""
    clock = Clock()
    brake = Brake(3, clock)
    for _ in range(10):
        brake.failed("anna")
    clock.advance(3600)
    assert brake.wait("anna") == 0
    brake.failed("anna")
    assert brake.wait("anna") == 0


def test_success() -> None:
    """A success takes its own try back, or all failures of a name."""
    brake = Brake(2, Clock())
    for _ in range(3):
        brake.failed("anna")
    brake.succeeded("anna", all_of_it=False)
    assert brake.wait("anna") > 0
    brake.succeeded("anna", all_of_it=True)
    assert brake.wait("anna") == 0


def test_bounded() -> None:
    """A million names take the memory of none."""
    brake = Brake(2, Clock())
    for number in range(100_000):
        brake.failed(str(number))
    assert len(brake._failures) == len(brake._last) == SLOTS
