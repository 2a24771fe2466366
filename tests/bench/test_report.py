"""What is said of measurements: which goal was missed and why, and which ratio got worse."""

from __future__ import annotations

from pathlib import Path

from . import light, report
from .peers import PEERS

RESULTS = {
    "call": {"plain ratio": 0.31, "metrics ratio": 0.39, "extras ratio": 0.52, "exception ratio": 1.1},
    "peers": {
        "loghook": {"title": "**loghook**", "us": 1.5, "ratio": 0.3, "rate": 30_000.0, "cpu_us": 9.0, "killed": 10_137},
        "loki": {"title": "loki", "unavailable": "it cannot be installed: no network"},
    },
}


def test_a_goal_that_is_missed_says_why() -> None:
    """Of several figures for one goal each has to meet it, and what was not measured has no row."""
    rows = report.goals_table(RESULTS).splitlines()[2:]
    assert len(rows) == 2
    assert "0.31 / 0.39 / 0.52" in rows[0]
    assert "**missed**, because" in rows[0]
    assert "missed" not in rows[1]


def test_a_peer_that_cannot_be_installed_has_a_row_that_says_so() -> None:
    """No peer's trouble stops the others."""
    table = report.peers_table(RESULTS)
    assert "| loki | it cannot be installed: no network |" in table
    assert "| **loghook** | 1.5 us, 0.3 x | 30,000, 9.0 us (0% arrived) | - | 10,137 |" in table


def test_readme_has_a_place_for_each_table(tmp_path: Path) -> None:
    """A table replaces what stands between its markers, and only that."""
    text = report.README.read_text(encoding="utf-8")
    copy = tmp_path / "README.md"
    copy.write_text(text, encoding="utf-8")
    report.into_readme([("goals", "one"), ("peers", "two")], copy)
    changed = copy.read_text(encoding="utf-8")
    assert "<!-- goals -->\none\n<!-- /goals -->" in changed
    assert changed.startswith(text.partition("<!-- goals -->")[0])
    assert changed.endswith(text.partition("<!-- /peers -->")[2])


def test_a_ratio_that_got_worse_by_a_quarter_is_put_into_words() -> None:
    """Less than that is noise; a ratio that is new has nothing to be compared with."""
    kept = {"ratios": {"a call": 0.4, "import": 1.0}}
    lines = light.compare({"a call": 0.52, "import": 1.2, "new": 3.0}, kept)
    assert lines[-1] == "worse by 30 %: a call, 0.400 before and 0.520 now"
    assert not [line for line in lines[:-1] if "worse" in line]


def test_each_peer_has_a_module() -> None:
    """The table of peers and the folder of their modules agree."""
    modules = {path.stem for path in Path(report.__file__).parent.glob("peers/*.py")} - {"__init__", "null_handler"}
    assert modules == set(PEERS)
