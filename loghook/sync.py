"""Delivering what dead writers left behind, without a run of one's own."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from loghook.delivery import Delivery
from loghook.listener import Destination, claim, settle, wants
from loghook.retry import Wait
from loghook.spool import LOCAL, WriterSpool, sweep, writers
from loghook.threads import barred
from loghook.transports.base import Transport

__all__ = ["Synced", "pending", "sync"]


@dataclass
class Synced:
    """What one `sync` did: events delivered, events refused, and why spools were left, by destination URL."""

    delivered: int = 0
    refused: int = 0
    left: dict[str, str] = field(default_factory=dict)


def pending(home: Path) -> list[tuple[WriterSpool, str]]:
    """Return each (spool, destination id) of dead writers under `home` with something to deliver, but for LOCAL."""
    return [
        (spool, name)
        for spool in writers(home)
        if not spool.alive()
        for name in spool.destinations
        if name != LOCAL and wants(spool, name)
    ]


def sync(
    home: Path,
    open_destination: Callable[[str, str], Destination],
    *,
    batch_size: int = 1 << 20,
    patience: float = 0.0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Synced:
    """Deliver everything that dead writers under `home` left, and delete it; safe to repeat, and while live ones go on.

    `open_destination(id, url)` makes the destination of a spool. A platform that fails is tried again for `patience`
    seconds, then its spools are left as they are. `progress(done, total)` is told bytes, as they are delivered.
    """
    sweep(home)
    _clear(home)
    found = pending(home)
    done, total = 0, sum(spool.end() - spool.acknowledged(name) for spool, name in found)
    result = Synced()
    transports: dict[str, Transport] = {}
    progress(0, total)
    try:
        for spool, name in found:
            url = spool.destinations[name]
            if url in result.left or not claim(spool):
                continue
            before = spool.acks.get(name)
            with barred():
                try:
                    if name not in transports:
                        transports[name] = open_destination(name, url).open()
                    moved = functools.partial(_add, progress, done, total)
                    reason = _deliver(Delivery(spool, name, batch_size), transports[name], patience, moved)
                except Exception as error:  # that spool's trouble, and not the others'
                    reason = f"{type(error).__name__}: {error}"
            after = spool.acks.get(name)
            result.delivered += after.events - before.events
            result.refused += after.refused - before.refused
            if reason:
                result.left[url] = reason
            done += after.offset - before.offset
            settle(spool)
    finally:
        for transport in transports.values():
            transport.close()
    return result


def _clear(home: Path) -> None:
    """Delete what dead writers left that every destination has: their end came before they could do it."""
    for spool in writers(home):
        if spool.destinations and not spool.alive() and spool.complete() and claim(spool):
            settle(spool)


def _add(progress: Callable[[int, int], None], done: int, total: int, moved: int) -> None:
    progress(done + moved, total)


def _deliver(delivery: Delivery, transport: Transport, patience: float, moved: Callable[[int], None]) -> str:
    """Deliver one spool; return why it was given up, "" when all of it is there."""
    start = delivery.position
    deadline = time.monotonic() + patience
    while (decision := delivery.step(transport, urgent=True)) is not None:
        moved(max(0, delivery.position - start))
        if isinstance(decision, Wait):
            if time.monotonic() + decision.seconds > deadline:
                return decision.reason
        elif not decision.seconds:
            deadline = time.monotonic() + patience
        time.sleep(decision.seconds)
    return ""
