"""Numbers and names of levels; pure."""

from __future__ import annotations

__all__ = ["LEVELS", "level_name", "level_number"]

LEVELS = {"NOTSET": 0, "DEBUG": 10, "INFO": 20, "WARN": 30, "WARNING": 30, "ERROR": 40, "FATAL": 50, "CRITICAL": 50}
# Names that libraries add, at the numbers that they give them.
LEVELS |= {"TRACE": 5, "VERBOSE": 15, "NOTICE": 25, "SUCCESS": 25}
DEFAULT_LEVEL = 20
NAMES = {0: "NOTSET", 10: "DEBUG", 20: "INFO", 30: "WARNING", 40: "ERROR", 50: "CRITICAL"}
LARGEST = 10**9


def level_number(level: object) -> int:
    """Return a level's number: a standard name's, the one in "Level 15", an integer itself, INFO's for others."""
    if isinstance(level, int) and abs(level) <= LARGEST:
        return int(level)
    if not isinstance(level, str):
        raise ValueError("level must be a name or a small integer")
    known = LEVELS.get(level.upper())
    if known is not None:
        return known
    word, _, digits = level.partition(" ")
    if word == "Level" and digits.isascii() and digits.isdigit() and len(digits) < 10:
        return int(digits)
    return DEFAULT_LEVEL


def level_name(level: object) -> str:
    """Return a level's name: a name itself, or a number's as `logging.getLevelName` has it."""
    if isinstance(level, str):
        return level
    number = level_number(level)
    return NAMES.get(number, f"Level {number}")
