"""What a run's state is called, decided from its events and the clock; pure.

    last event of its life      last sign of life            status
    run_ended                   (any)                        what run_ended said: success, failure, stopped
    run_started, or none        within its patience          running
    run_started, or none        longer ago                   lost

The owner of a run sends a heartbeat every 10 s; a run that misses three of them, with a little time for the way,
is lost. Clients of other protocols have other habits: polyaxon-client sends one every 60 s. A lost run is running again
as soon as something is heard of it: a lost network is not a crashed run. A run_started that is later than the last
run_ended is a resumed run, and as alive as any other. Of what one writer tells, the order in its log says what is
later, whatever its clock does (`store.runs` sees to that); the times decide between writers.
"""

from __future__ import annotations

__all__ = ["ENDINGS", "HEARTBEAT", "LOST_AFTER", "is_ended", "patience", "seen_at", "status"]

HEARTBEAT = 10.0
LOST_AFTER = 3 * HEARTBEAT + 5.0
SLOW_HEARTBEATS = {"polyaxon": 60.0}
"""Seconds between heartbeats of runs from sources that send them at another pace."""
ENDINGS = ("success", "failure", "stopped")


def is_ended(began: float | None, ended: float | None) -> bool:
    """Tell whether the end at `ended` closes the start at `began`; both in epoch seconds, None where unheard of."""
    return ended is not None and (began is None or ended >= began)


def patience(source: str) -> float:
    """Return after how many seconds without a sign of life a run from a source is lost."""
    return 3 * SLOW_HEARTBEATS.get(source, HEARTBEAT) + 5.0


def status(
    began: float | None,
    ended: float | None,
    ending: str | None,
    last_seen: float,
    now: float,
    lost_after: float = LOST_AFTER,
) -> str:
    """Return running, success, failure, stopped or lost.

    Args:
        began: time of the latest run_started, epoch seconds; None when none was heard.
        ended: time of the latest run_ended; None when none was heard.
        ending: what that run_ended said.
        last_seen: time of the newest event, by this machine's clock.
        now: this machine's clock.
        lost_after: the run's patience, in seconds.
    """
    if ending is not None and is_ended(began, ended):
        return ending
    return "running" if now - last_seen <= lost_after else "lost"


def seen_at(time: float, sent: float | None, now: float) -> float:
    """Return an event's time by this machine's clock, never in the future.

    Args:
        time: the event's time by its sender's clock.
        sent: the sender's clock when it sent the event; None when it did not say.
        now: this machine's clock when the event came.
    """
    skew = now - sent if sent is not None else 0.0
    return min(time + skew, now)
