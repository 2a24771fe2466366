"""What the commands share: tables, lengths of time, text that is safe on a terminal."""

from __future__ import annotations

import pytest

from loghook.cli import console


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-3, "0s"), (0.4, "0s"), (59.6, "1m00s"), (200, "3m20s"), (7500, "2h05m"), (356_400, "4d03h")],
)
def test_a_length_of_time_shows_its_two_largest_units(seconds: float, text: str) -> None:
    """Lengths of time are rounded to seconds and shown in at most two units."""
    assert console.age(seconds) == text


def test_clean_takes_out_what_a_terminal_would_obey() -> None:
    """Escape sequences, bells, line breaks and bidirectional marks are replaced; other text stays."""
    assert console.clean("loss\x1b[31m\a\n\u202e é 損") == "loss�[31m��� é 損"


def test_columns_line_up_with_wide_and_combining_characters() -> None:
    """A cell is padded by the columns that it takes, not by its number of characters."""
    lines = console.table([["A", "B"], ["損失", "x"], ["e\u0301", "y"]], columns=None)
    assert lines == ["A     B", "損失  x", "e\u0301     y"]


def test_the_last_column_is_cut_to_the_terminal() -> None:
    """A line is no wider than the terminal, and an ellipsis shows that it was cut."""
    assert console.table([["a", "0123456789"]], columns=11) == ["a  0123456…"]


def test_a_table_without_a_terminal_is_whole() -> None:
    """Without a terminal's width nothing is cut."""
    assert console.table([["a", "0" * 500]], columns=None) == ["a  " + "0" * 500]
