"""The table of what the rows came to, as it is printed and as README has it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from .campaign import Figures, Row

__all__ = ["README", "render", "rewrite"]

README = Path(__file__).resolve().parents[2] / "README.md"

_HEAD = ("", "what we try", "what has to happen", "tried", "lost", "twice", "seen")
_OPEN, _CLOSE = "<!-- faults -->\n", "<!-- /faults -->"


def render(results: Iterable[tuple[Row, Figures]]) -> str:
    """Return the table in Markdown."""
    return _table(_cells(row, figures) for row, figures in results)


def rewrite(rows: Iterable[Row], results: Mapping[str, Figures], readme: Path = README) -> None:
    """Put the results into README's table; rows that were not run keep their line, those that are no more lose it."""
    before, _, rest = readme.read_text(encoding="utf-8").partition(_OPEN)
    old, _, after = rest.partition(_CLOSE)
    kept = {cells[1]: cells for cells in map(_split, old.splitlines()) if len(cells) == len(_HEAD)}
    lines = []
    for row in rows:
        if row.fault in results:
            lines.append(_cells(row, results[row.fault]))
        elif row.fault in kept:
            lines.append((row.group, row.fault, row.promise, *kept[row.fault][3:]))
    readme.write_text(f"{before}{_OPEN}{_table(lines)}\n{_CLOSE}{after}", encoding="utf-8")


def _cells(row: Row, figures: Figures) -> tuple[str, ...]:
    tried = f"{figures.tried:,}" if figures.tried or figures.wrong else "not here"
    seen = figures.note if figures.green else f"**{len(figures.wrong)} wrong** {figures.note}".strip()
    return (row.group, row.fault, row.promise, tried, f"{figures.lost:,}", f"{figures.twice:,}", seen)


def _table(lines: Iterable[tuple[str, ...]]) -> str:
    rule = "|---|---|---|---:|---:|---:|---|"
    head, *body = (("| " + " | ".join(cells) + " |").replace("|  |", "| |") for cells in (_HEAD, *lines))
    return "\n".join([head, rule, *body])


def _split(line: str) -> tuple[str, ...]:
    return tuple(cell.strip() for cell in line.strip().strip("|").split("|")) if line.startswith("|") else ()
