"""The campaign's own: when a row is green, what its table looks like, how README keeps it."""

from __future__ import annotations

from pathlib import Path

import pytest

from .campaign import Campaign, Figures, Row
from .table import render, rewrite


def row(fault: str) -> Row:
    """A row that tries nothing."""
    return Row("Death", fault, "nothing is lost", lambda campaign: Figures(1))


@pytest.mark.parametrize(
    ("figures", "green"),
    [
        (Figures(3), True),
        (Figures(3, note="quick"), True),
        (Figures(0, note="no cgroup here"), True),
        (Figures(0), False),
        (Figures(3, lost=1), False),
        (Figures(3, twice=1), False),
        (Figures(3, wrong=("a thread hung",)), False),
    ],
)
def test_when_a_row_is_green(figures: Figures, green: bool) -> None:
    """A row is green when nothing was lost, doubled or wrong, and it was tried or says why not."""
    assert figures.green is green


def test_the_table_has_a_line_for_each_row() -> None:
    """Each row is a line with what it came to."""
    lines = render(
        [(row("a fault"), Figures(1234, note="quick")), (row("another"), Figures(0, note="no"))]
    ).splitlines()
    assert lines[2] == "| Death | a fault | nothing is lost | 1,234 | 0 | 0 | quick |"
    assert lines[3] == "| Death | another | nothing is lost | not here | 0 | 0 | no |"
    assert len({line.count("|") for line in lines}) == 1


def test_readme_keeps_what_was_not_run_again(tmp_path: Path) -> None:
    """Writing some rows' figures leaves the others' lines, in the rows' order, and drops those of rows that went."""
    readme = tmp_path / "README.md"
    readme.write_text("before\n<!-- faults -->\n<!-- /faults -->\nafter\n")
    rewrite([row("one"), row("gone")], {"one": Figures(1), "gone": Figures(2)}, readme)
    rewrite([row("new"), row("one")], {"new": Figures(3, note="x")}, readme)
    text = readme.read_text()
    assert text.startswith("before\n<!-- faults -->\n| | what we try |")
    assert text.endswith("| Death | one | nothing is lost | 1 | 0 | 0 | |\n<!-- /faults -->\nafter\n")
    assert "| Death | new | nothing is lost | 3 | 0 | 0 | x |\n| Death | one |" in text
    assert "gone" not in text
    rewrite([row("new"), row("one")], {}, readme)
    assert readme.read_text() == text


def test_a_seed_gives_a_row_the_same_chance(tmp_path: Path) -> None:
    """One seed makes one row do the same, whichever rows are run beside it, and another row something else."""
    one, again, other = (Campaign(row(name), tmp_path, 7, long=False) for name in ("one", "one", "other"))
    assert one.random.random() == again.random.random() != other.random.random()
    assert (one.times(3, 1000), Campaign(row("one"), tmp_path, 7, long=True).times(3, 1000)) == (3, 1000)
