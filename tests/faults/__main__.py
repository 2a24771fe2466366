"""The command: runs the rows, shows what goes on, prints the table, and exits with 1 if a row is not green."""

from __future__ import annotations

import argparse
import dataclasses
import faulthandler
import importlib
import importlib.util
import json
import os
import pkgutil
import shutil
import sys
import tempfile
import time
import traceback
from pathlib import Path

FOLDER = Path(__file__).resolve().parent


def _find_tests() -> None:
    """Let `tests` be the folder around this one, without the checkout, and so its loghook, on sys.path."""
    folder = FOLDER.parent
    spec = importlib.util.spec_from_file_location(
        "tests", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None
    sys.modules["tests"] = importlib.util.module_from_spec(spec)
    sys.path[:] = [entry for entry in sys.path if entry != str(FOLDER)]


if not __package__:  # run as a folder
    _find_tests()

from tests.conftest import is_scrubbed  # noqa: E402
from tests.faults import table  # noqa: E402
from tests.faults.campaign import Campaign, Figures, Row  # noqa: E402

ORDER = ("death", "memory", "power", "outage", "exits", "processes", "disk", "keys", "soak", "load")
"""The modules as README shows them; any others come behind, by name."""

HUNG = {False: 900.0, True: 3 * 3600.0}
"""Seconds after which a row, in the short and in the long form, is taken to hang: every thread's stack is shown."""


def load() -> list[Row]:
    """Return the rows of all modules in this folder; one that can't be imported is a row that fails."""
    found = [module.name for module in pkgutil.iter_modules([str(FOLDER)]) if not module.name.startswith("test_")]
    names = [name for name in ORDER if name in found] + [name for name in found if name not in ORDER]
    rows: list[Row] = []
    for name in names:
        if name == "__main__":
            continue
        try:
            rows += getattr(importlib.import_module(f"tests.faults.{name}"), "ROWS", [])
        except Exception:  # whatever is wrong with one module, the others' rows can be run
            traceback.print_exc()
            rows.append(Row(name, f"tests/faults/{name}.py", "can be imported", lambda _: Figures(0)))
    return rows


def run(row: Row, folder: Path, seed: int, *, long: bool) -> Figures:
    """Run one row in a folder of its own, which stays where it is if the row is not green."""
    folder.mkdir(parents=True)
    for name in filter(is_scrubbed, list(os.environ)):
        del os.environ[name]
    os.environ["LOGHOOK_HOME"] = str(folder / "home")
    faulthandler.dump_traceback_later(HUNG[long], exit=True)
    try:
        figures = row.run(Campaign(row, folder, seed, long=long))
    except Exception as error:
        traceback.print_exc()
        figures = Figures(0, wrong=(f"the row itself failed: {type(error).__name__}: {error}",))
    finally:
        faulthandler.cancel_dump_traceback_later()
    if figures.green:
        shutil.rmtree(folder, ignore_errors=True)
    return figures


def main() -> int:
    """Run what the command line says; return the exit code."""
    options = _options()
    rows = load()
    wanted = [row for row in rows if _is_wanted(row, options)]
    results: list[tuple[Row, Figures]] = []
    seconds: dict[str, float] = {}
    place = Path(tempfile.mkdtemp(prefix="loghook-faults-"))
    print(f"seed {options.seed}, {'long' if options.long else 'short'} form, in {place}", file=sys.stderr)
    for number, row in enumerate(wanted, 1):
        print(f"{number}/{len(wanted)} {row.group}: {row.fault}", file=sys.stderr, flush=True)
        began = time.monotonic()
        figures = run(row, place / f"{number}", options.seed, long=options.long)
        seconds[row.fault] = time.monotonic() - began
        results.append((row, figures))
        if options.readme:  # at once: what is run for hours may be stopped
            table.rewrite(rows, {row.fault: figures})
        for sentence in figures.wrong:
            print(f"    WRONG: {sentence}", file=sys.stderr)
        print(f"    {'ok' if figures.green else 'NOT OK'}, {seconds[row.fault]:.1f} s {figures.note}", file=sys.stderr)
    if options.json:
        print(json.dumps([_entry(row, figures, seconds[row.fault]) for row, figures in results], indent=1))
    else:
        print(table.render(results))
    red = [(row, figures) for row, figures in results if not figures.green]
    for row, figures in red:
        print(f"\nnot green: {row.group}: {row.fault} (seed {options.seed}, in {place})", file=sys.stderr)
        print(f"  lost {figures.lost}, twice {figures.twice}", *figures.wrong, sep="\n  ", file=sys.stderr)
    if not red:
        shutil.rmtree(place, ignore_errors=True)
    return 1 if red or not wanted else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--long", action="store_true", help="the long form: hours, and each fault many times")
    parser.add_argument("--row", action="append", default=[], metavar="TEXT", help="rows whose group or fault has this")
    parser.add_argument(
        "--seed", type=int, default=int(time.time()), help="what chance begins with; shown at the start"
    )
    parser.add_argument("--json", action="store_true", help="print JSON in place of the table")
    parser.add_argument("--readme", action="store_true", help="put the figures into README's table")
    return parser.parse_args()


def _is_wanted(row: Row, options: argparse.Namespace) -> bool:
    named = [text for text in options.row if text.lower() in f"{row.group}: {row.fault}".lower()]
    return (options.long or not row.long_only) and bool(named or not options.row)


def _entry(row: Row, figures: Figures, seconds: float) -> dict[str, object]:
    words = {"group": row.group, "fault": row.fault, "promise": row.promise}
    return {**words, **dataclasses.asdict(figures), "green": figures.green, "seconds": round(seconds, 1)}


if __name__ == "__main__":
    sys.exit(main())
