"""README's two tables: loghook beside its peers, and each goal with what was measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.peers import PEERS

__all__ = ["GOALS", "goals_table", "into_readme", "machine", "peers_table"]

README = Path(__file__).parents[2] / "README.md"

Results = dict[str, Any]


@dataclass(frozen=True)
class Goal:
    """What is to hold: `figures` finds what was measured, `met` judges each, `why` is for where not.

    `why` is of the run that README shows; whoever measures anew looks whether it still holds.
    """

    text: str
    figures: Callable[[Results], list[float]]
    met: Callable[[float], bool]
    shown: str
    why: str = ""
    peer: Callable[[Results], str] = lambda results: ""


def _best(key: str, *, largest: bool = False, unit: str = "") -> Callable[[Results], str]:
    """The best of the peers at something: its figure and its name."""

    def find(results: Results) -> str:
        peers = results.get("peers", {})
        found = [
            (row[key], name) for name, row in peers.items() if not name.startswith("loghook") and _has(row, key, name)
        ]
        if not found:
            return ""
        value, name = max(found) if largest else min(found)
        return f"{_number(value)}{unit} ({PEERS[name].title.replace('`', '')})"

    return find


def _has(row: Results, key: str, name: str) -> bool:
    sends = key not in ("rate", "cpu_us") or PEERS[name].delivers
    return bool(row.get(key)) and sends and float(row.get("arrived_share") or 0.0) > 0.99


def _at(section: str, *names: str) -> Callable[[Results], list[float]]:
    return lambda results: [float(results[section][name]) for name in names]


def _over(name: str, peer: str) -> Callable[[Results], list[float]]:
    return lambda results: [results["peers"][name]["rate"] / results["peers"][peer]["rate"]]


def _over_best(results: Results) -> list[float]:
    """To the peers' own sink, and to a real server."""
    peers = results["peers"]
    best = max(row["rate"] for name, row in peers.items() if not name.startswith("loghook") and _has(row, "rate", name))
    return [peers["loghook"]["rate"] / best, results["delivery"]["records/s"] / best]


GOALS = [
    Goal(
        "a call, plain / with metrics / with five extras: at most 0.4 of what the standard QueueHandler costs",
        _at("call", "plain ratio", "metrics ratio", "extras ratio"),
        lambda value: value <= 0.4,
        "{:.2f} / {:.2f} / {:.2f}",
        "what is left is Python's own work. Of 1.7 us for a plain record 0.25 put the arguments into the message, 0.2 "
        "see that the record lacks nothing, 0.35 make the event, 0.25 its JSON, 0.15 look for secrets, 0.15 copy it "
        "into the map; it would take a compiled encoder, as an optional wheel",
        _best("ratio"),
    ),
    Goal(
        "a call with an exception: at most 1.2 times the formatting of its traceback",
        _at("call", "exception ratio"),
        lambda value: value <= 1.2,
        "{:.2f}",
    ),
    Goal(
        "a call beside a busy Python thread, 99.9th percentile: under 0.2 ms",
        _at("latency", "busy loghook p99.9 us", "busy NullHandler p99.9 us"),
        lambda value: value < 200,
        "{:,.0f} us (NullHandler {:,.0f})",
        "the thread beside it holds the interpreter's lock for most of that: a NullHandler, which does nothing, takes "
        "three quarters of it, the standard QueueHandler more; `python -m tests.bench latency` prints the histograms",
    ),
    Goal(
        "the same while the listener ships what is logged flat out",
        _at("latency", "shipping loghook p99.9 us", "shipping NullHandler p99.9 us"),
        lambda value: value < 200,
        "{:,.0f} us (NullHandler {:,.0f})",
        "as above",
    ),
    Goal(
        "eight threads that log at once: not slower together than one",
        _at("threads", "ratio"),
        lambda value: value >= 1.0,
        "{:.2f}",
        "eight threads hand the interpreter's lock round; a call takes no other",
    ),
    Goal(
        "100,000 records flat out: stored 0.5 s after the last call",
        _at("delivery", "stored after s"),
        lambda value: value <= 0.5,
        "{:.2f} s",
        "the server needs 5 us for each of them, and what sends them has its share of the same two cores; an answer is "
        "waited for before the next batch goes",
    ),
    Goal(
        "delivered records/s: 2.2 times the best peer's",
        _over_best,
        lambda value: value >= 2.2,
        "{:.1f} times to the peers' sink, {:.1f} to a real server",
        "a hand-made sender that keeps nothing anywhere is limited by its calls, as ours is; a real server stores what "
        "the sink only counts, on the same two cores",
        _best("rate", largest=True, unit="/s"),
    ),
    Goal(
        "processor time besides the calls: at most 5 us a record",
        _at("delivery", "CPU beyond the calls us"),
        lambda value: value <= 5.0,
        "{:.1f} us",
        "",
        _best("cpu_us", unit=" us with the calls"),
    ),
    Goal(
        "on the wire: at most a quarter of the lines' bytes",
        _at("delivery", "wire share"),
        lambda value: value <= 0.25,
        "{:.2f}",
    ),
    Goal(
        "memory over the baseline, delivering / behind a dead server: at most 10 MB",
        _at("delivery", "memory MB", "backlog memory MB"),
        lambda value: value <= 10.0,
        "{:.1f} / {:.1f} MB",
    ),
    Goal(
        "from the call to the open page, 95th percentile: 1.5 s",
        _at("page", "p95 s"),
        lambda value: value <= 1.5,
        "{:.2f} s",
        "the browser, the server and the script shared two busy cores; half of the records took under 0.9 s",
    ),
    Goal(
        "a training loop on a CPU: slower by under 0.5 %; the calls' share of the thread's time / alternating epochs",
        _at("training", "calls' share %", "thread's CPU %"),
        lambda value: value < 0.5,
        "{:.2f} / {:.2f} %",
        "the loop made 97 steps a second, and eleven calls in each: at the 50 steps that were meant it would be half "
        "of that. The epochs differ by 0.6 to 2.0 % (quartiles)",
    ),
    Goal(
        "`import loghook`: under 40 ms over a bare interpreter",
        _at("startup", "import ms"),
        lambda value: value < 40,
        "{:.1f} ms",
    ),
    Goal(
        "the same with `install` named",
        _at("startup", "import and install named ms", "bare interpreter ms"),
        lambda value: value < 40,
        "{:.1f} ms (bare {:.1f})",
        "more than half of it is what orjson and python-json-logger import themselves: dataclasses, inspect, datetime",
    ),
    Goal(
        "`install()`, without / with a URL: under 5 ms",
        _at("startup", "install() ms", "install() with URL ms"),
        lambda value: value < 5,
        "{:.1f} / {:.1f} ms",
        "half of it with a URL is importing the listener and what finds the key",
    ),
    Goal("exit with the platform up: under 0.1 s", _at("startup", "exit ms"), lambda value: value < 100, "{:.0f} ms"),
    Goal(
        "server, records with metrics stored a second of one core, from 1 / 64 writers: 100,000",
        _at("server", "1 records/s of a core", "64 records/s of a core"),
        lambda value: value >= 100_000,
        "{:,.0f} / {:,.0f}",
        "each record's words go into the index that the search needs, about 1 us",
    ),
    Goal(
        "10 million points and lines: first page under 0.3 s",
        _at("large", "first page ms"),
        lambda value: value < 300,
        "{:.0f} ms",
    ),
    Goal(
        "a metric of 10 million points, thinned: under 50 ms",
        _at("large", "thinned metric ms"),
        lambda value: value < 50,
        "{:.0f} ms",
    ),
    Goal(
        "the server's memory meanwhile: under 300 MB", _at("large", "memory MB"), lambda value: value < 300, "{:.0f} MB"
    ),
    Goal(
        "cost of a record flat: the tenth million over the first",
        _at("large", "last million over first"),
        lambda value: value <= 1.15,
        "{:.2f}",
    ),
    Goal(
        "database over lines, with its indexes: at most 2.5",
        _at("large", "database over lines"),
        lambda value: value <= 2.5,
        "{:.2f}",
    ),
    Goal(
        "to a Hyperdash server: 3 times the original's records/s",
        _over("loghook_hyperdash", "hyperdash"),
        lambda value: value >= 3,
        "{:.1f} times",
        "each record becomes a line and is looked through for numbers, in Python, 3 us of the listener's thread",
    ),
    Goal(
        "to Polyaxon 0.x: 3 times the original's metrics/s",
        _over("loghook_polyaxon", "polyaxon"),
        lambda value: value >= 3,
        "{:.1f} times",
        "each point becomes an object with a date of its own, in Python, 4 us of the listener's thread",
    ),
]


def goals_table(results: Results) -> str:
    """Return the table of goals, as Markdown; what was not measured is left out."""
    lines = ["| goal | measured | |", "|---|---|---|"]
    for goal in GOALS:
        try:
            figures = goal.figures(results)
        except (KeyError, TypeError, ValueError, ZeroDivisionError):
            continue
        ours = figures[:1] if "NullHandler" in goal.shown or "bare" in goal.shown else figures
        met = all(goal.met(value) for value in ours)
        words = "" if met else f"**missed**, because {goal.why or 'we are not there yet'}"
        if best := goal.peer(results):
            words = f"{words}; best peer: {best}" if words else f"best peer: {best}"
        lines.append(f"| {goal.text} | {goal.shown.format(*figures)} | {words} |")
    return "\n".join(lines)


def peers_table(results: Results) -> str:
    """Return the table of peers, as Markdown."""
    lines = [
        "| | one call over NullHandler, and over QueueHandler's | delivered records/s, CPU a record | "
        "20 s outage, 10,000 logged: arrived | SIGKILL after 10,137: kept |",
        "|---|---|---|---|---|",
    ]
    for name, row in results["peers"].items():
        title = f"{row['title']} {row.get('version', '')}".strip()
        if "unavailable" in row:
            lines.append(f"| {title} | {row['unavailable']} | | | |")
            continue
        call = f"{_spread(row, 'us')} us, {row['ratio']:.1f} x" if row.get("us") is not None else "-"
        share = row.get("arrived_share") or 0.0
        rate = "-"
        if row.get("rate"):
            rate = f"{_spread(row, 'rate')}, {_spread(row, 'cpu_us')} us"
            rate += "" if PEERS[name].delivers else " (not sent)"
            rate += f" ({share:.0%} arrived)" if share < 0.99 else ""
        outage = f"{row['outage']:,}" if "outage" in row else "-"
        killed = "-" if row.get("killed") is None else f"{row['killed']:,.0f}"
        lines.append(f"| {title} | {call} | {rate} | {outage} | {killed} |")
    return "\n".join(lines)


def machine(results: Results) -> str:
    """Return what the machine was, and how busy before each measurement: its load, the least and the most."""
    loads = results.get("loads") or [0.0]
    return f"{results['machine']}; its load was {min(loads):.0f} to {max(loads):.0f}."


def _spread(row: Results, key: str) -> str:
    values = row.get(f"{key}_all") or [row[key]]
    low, high = _number(min(values)), _number(max(values))
    return low if low == high else f"{low} to {high}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 20 else f"{value:.1f}"


def into_readme(parts: Iterable[tuple[str, str]], readme: Path = README) -> None:
    """Put texts between README's markers of their names."""
    text = readme.read_text(encoding="utf-8")
    for name, part in parts:
        before, begin, rest = text.partition(f"<!-- {name} -->\n")
        _, end, after = rest.partition(f"<!-- /{name} -->")
        if not end:
            raise SystemExit(f"README has no markers <!-- {name} --> and <!-- /{name} -->")
        text = f"{before}{begin}{part}\n{end}{after}"
    readme.write_text(text, encoding="utf-8")
