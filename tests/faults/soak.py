"""Hours in minutes: a steady stream of records while faults come and go at random; nothing may add up."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from .campaign import Campaign, Figures, Row
from .proxy import REFUSED, Proxy
from .serving import Platform
from .troubles import TROUBLES
from .victim import Victim

__all__ = ["ROWS"]

RATE = 1000
MOST = {"MB": 5.0, "kept MB": 32.0, "threads": 0, "files": 1, "spool MB": 4.3}
"""How much more there may be at the end: a connection that is kept open, a segment that is not full yet.

"kept MB" is memory with what is free in it: the C library keeps what batches of a megabyte took, for the next ones.
"""


def soak(campaign: Campaign) -> Figures:
    """Log at a steady rate while the platform is in trouble now and then, or killed; compare the end with the start."""
    seconds = campaign.times(20, 3600)
    with Platform(campaign.folder / "server") as platform, Proxy(platform.port) as proxy:
        victim = Victim(
            LOGHOOK_URL=f"http://127.0.0.1:{proxy.port}",
            LOGHOOK_API_KEY=platform.key,
            LOGHOOK_TIMEOUT="2",
            LOGHOOK_SHUTDOWN_TIMEOUT="60",
        )
        try:
            return _watch(campaign, platform, proxy, victim, seconds)
        finally:
            victim.kill()


def _watch(campaign: Campaign, platform: Platform, proxy: Proxy, victim: Victim, seconds: int) -> Figures:
    # What is there once is there after the first outages: buffers, spare segments, modules that are imported late.
    _one_outage(platform, proxy, victim)
    _stream(campaign, platform, proxy, victim, campaign.times(4, 300))
    before = _end_state(campaign, victim)
    campaign.say(f"before: {before}")
    warm = victim.count
    faults, late = _stream(campaign, platform, proxy, victim, seconds)
    _until(lambda: not _grown(before, _state(campaign, victim)), 60.0)
    after = _end_state(campaign, victim)
    campaign.say(f"after: {after}")
    victim.end(90.0)
    lost, twice = platform.compare([victim.run], victim.count)
    wrong = [
        f"{name} went from {before[name]} to {after[name]} (seed {campaign.seed})" for name in _grown(before, after)
    ]
    wrong += [f"{path} was left behind" for path in (campaign.home / "spool").rglob("*.seg")]
    note = (
        f"{victim.count - warm:,} records, {faults} faults; memory {after['MB'] - before['MB']:+.1f} MB "
        f"({after['kept MB'] - before['kept MB']:+.1f} MB with what the C library keeps for reuse), "
        f"threads {before['threads']:g} and {after['threads']:g}, files {before['files']:g} and {after['files']:g}, "
        f"spool {before['spool MB']:g} and {after['spool MB']:g} MB; "
        f"all there {late:.1f} s after the last"
    )
    return Figures(faults, lost, twice, tuple(wrong), note)


def _stream(campaign: Campaign, platform: Platform, proxy: Proxy, victim: Victim, seconds: float) -> tuple[int, float]:
    """Log at the steady rate through faults; return how many there were, and when all was there after the last."""
    began = time.monotonic()
    faults = 0
    victim.tell("rate", RATE, seconds)
    while (left := began + seconds - time.monotonic()) > 0:
        time.sleep(min(left, campaign.random.uniform(0.5, 8.0)))
        _fault(campaign, platform, proxy)
        faults += 1
        if faults % 25 == 0:
            campaign.say(f"{time.monotonic() - began:.0f} s, {faults} faults: {_state(campaign, victim)}")
    victim.tell("rest")
    return faults, platform.wait_for(victim.run, victim.count, 120.0)


def _one_outage(platform: Platform, proxy: Proxy, victim: Victim) -> None:
    proxy.set(REFUSED)
    victim.tell("log", 60_000)
    time.sleep(1.0)
    proxy.set(None)
    platform.wait_for(victim.run, victim.count, 60.0)


def _fault(campaign: Campaign, platform: Platform, proxy: Proxy) -> None:
    """One fault, for a while: of the network, or the server's own sudden death."""
    chance = campaign.random
    how_long = chance.choice([0.1, 0.5, 2.0, 4.0, 20.0 if campaign.long else 3.0])
    if chance.random() < 0.2:
        platform.kill()
        time.sleep(how_long)
        platform.start()
        return
    proxy.set(chance.choice(list(TROUBLES.values())))
    time.sleep(how_long)
    proxy.set(None)


def _end_state(campaign: Campaign, victim: Victim) -> dict[str, float]:
    """What must not add up, with "MB", the memory that is in use."""
    state = _state(campaign, victim)
    return {"MB": round(victim.tell("trim")["mb"], 1), **state}


def _state(campaign: Campaign, victim: Victim) -> dict[str, float]:
    """What must not add up, as can be seen without changing it."""
    said = victim.tell("memory")
    spool = sum(_size(path) for path in Path(campaign.home / "spool").rglob("*"))
    return {
        "kept MB": round(said["mb"], 1),
        "threads": said["threads"],
        "files": said["files"],
        "spool MB": round(spool / 1e6, 1),
    }


def _grown(before: dict[str, float], after: dict[str, float]) -> list[str]:
    return [name for name, most in MOST.items() if after.get(name, 0.0) > before[name] + most]


def _size(path: Path) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def _until(condition: Callable[[], bool], timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.1)


ROWS = [
    Row(
        "Soak",
        "1,000 records a second while the platform fails at random",
        "memory, threads, files and spool end where they began, and every record is there, once",
        soak,
    )
]
