"""A small line of a metric for the list of runs: an SVG polyline's points in a box of 100 x 24; pure."""

from __future__ import annotations

from math import isfinite

from loghook.server.store.points import Columns

__all__ = ["POINTS", "sparkline"]

WIDTH, HEIGHT = 100, 24
POINTS = 48
"""Points that a small line has room for."""


def sparkline(points: Columns) -> str:
    """Return "x,y x,y ..." for finite points in order, largest value at the top; "" when there are none."""
    kept = [(step, value) for step, value in zip(points.steps, points.values, strict=True) if isfinite(value)]
    if not kept:
        return ""
    left, right = kept[0][0], kept[-1][0]
    low, high = min(value for _, value in kept), max(value for _, value in kept)
    return " ".join(
        f"{_scaled(step, left, right, WIDTH):g},{HEIGHT - _scaled(value, low, high, HEIGHT):g}" for step, value in kept
    )


def _scaled(value: float, low: float, high: float, size: int) -> float:
    """Where a value lies between low and high, in tenths of a unit; the middle when they are one."""
    if high <= low:
        return size / 2
    # Halves, because the difference of two large numbers may be infinite.
    return round((value / 2 - low / 2) / (high / 2 - low / 2) * size, 1)
