"""Imports run one way: a lower layer never imports a higher one, and what is heavy stays out of `import loghook`."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import loghook

PACKAGE = Path(loghook.__file__).parent

LAYERS = (
    "_version",
    "errors",
    "voice",
    "threads",
    "settings",
    "metrics",
    "redaction",
    "sites",
    "formatter",
    "job",
    "keyfile",
    "credentials",
    "spool",
    "transports",
    "retry",
    "delivery",
    "outages",
    "listener",
    "sync",
    "waiting",
    "destinations",
    "polyaxon",
    "environment",
    "repository",
    "run",
    "ending",
    "hooks",
    "session",
    "handler",
    "installation",
    "helper",
    "capture",
    "integrations",
    "experiment",
    "monitoring",
    "notebook",
    "sdk",
    "__init__",
    "testing",
    "server",
    "cli",
    "__main__",
)
"""The parts of the package, lowest first."""

HOMES = {
    "click": ("cli",),
    "plotly": ("server",),
    "pythonjsonlogger": ("formatter",),
    "requests": ("transports/http",),
    "sklearn": ("cli/demo_train",),
    "starlette": ("server",),
    "uvicorn": ("server",),
}
"""For each third-party package, the only places that import it."""

HEAVY = ("requests", "urllib3", "click", "starlette", "uvicorn", "plotly", "numpy", "importlib.metadata", "sqlite3")

LATE = (ast.FunctionDef, ast.AsyncFunctionDef, ast.If)

MODULES = sorted(PACKAGE.rglob("*.py"))


def name_of(file: Path) -> str:
    """Return a file's dotted module name."""
    parts = ("loghook", *file.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_ours(name: str) -> bool:
    """Tell whether a dotted name is the package's or below it."""
    return name == "loghook" or name.startswith("loghook.")


def imports(file: Path, *, at_head: bool = False) -> Iterator[str]:
    """Yield the absolute dotted names of all modules that a file imports.

    `at_head` leaves out what is imported in functions and under conditions, for the type checker alone say.
    """
    tree = ast.parse(file.read_text(encoding="utf-8"))
    late = [node for node in ast.walk(tree) if at_head and isinstance(node, LATE)]
    skipped = {id(inner) for node in late for inner in ast.walk(node)}
    package = (name_of(file) if file.name == "__init__.py" else name_of(file).rpartition(".")[0]).split(".")
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from (resolved(base, alias.name) for alias in node.names)


def resolved(base: str, name: str) -> str:
    """Return the module that `from base import name` reads: base.name where that is a module of ours, else base."""
    if is_ours(base):
        path = PACKAGE.joinpath(*base.split(".")[1:], name)
        if path.with_suffix(".py").exists() or (path / "__init__.py").exists():
            return f"{base}.{name}"
    return base


def part_of(module: str) -> str:
    """Return the part of the package that a module of ours belongs to."""
    return [*module.split("."), "__init__"][1]


@pytest.mark.parametrize("file", MODULES, ids=name_of)
def test_a_lower_layer_never_imports_a_higher_one(file: Path) -> None:
    """A module imports only from its own part of the package and from those below it."""
    level = LAYERS.index(part_of(name_of(file)))
    higher = {name for name in imports(file) if is_ours(name) and LAYERS.index(part_of(name)) > level}
    assert not higher


@pytest.mark.parametrize("file", MODULES, ids=name_of)
def test_a_third_party_package_has_its_place(file: Path) -> None:
    """A third-party package is imported only where the table says."""
    place = "/".join(file.relative_to(PACKAGE).with_suffix("").parts)
    for name in imports(file):
        top = name.partition(".")[0]
        if not is_ours(name) and top in HOMES:
            assert any(f"{place}/".startswith(f"{home}/") for home in HOMES[top]), f"{place} imports {name}"


def test_every_part_is_in_the_table() -> None:
    """Each module and folder of the package has its layer."""
    parts = {part_of(name_of(file)) for file in MODULES}
    assert parts <= set(LAYERS)


def test_there_is_no_import_cycle() -> None:
    """No chain of imports at the head of modules leads back to where it began."""
    graph = {name_of(file): {name for name in imports(file, at_head=True) if is_ours(name)} for file in MODULES}
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, f"import cycle: {' -> '.join((*path, name))}"
        if name not in done:
            for imported in graph.get(name, ()):
                visit(imported, (*path, name))
            done.add(name)

    for name in graph:
        visit(name, ())


def in_a_child(code: str) -> str:
    """Return what a fresh interpreter prints for some code."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_importing_loghook_imports_nothing_heavy() -> None:
    """`import loghook` and the names of the main path load no HTTP client, no server, no command line, no metadata."""
    names = "loghook.install, loghook.LogHookHandler, loghook.flush, loghook.stats, loghook.send_metrics"
    code = f"import sys; before = set(sys.modules); import loghook; {names}; print(*(set(sys.modules) - before))"
    loaded = set(in_a_child(code).split())
    assert not loaded & set(HEAVY)
    assert not {name for name in loaded if name.startswith(("loghook.server", "loghook.cli", "loghook.testing"))}


def test_importing_the_command_line_imports_nothing_heavy() -> None:
    """`loghook --help` needs no HTTP client and no server."""
    code = "import sys; before = set(sys.modules); import loghook.cli; print(*(set(sys.modules) - before))"
    loaded = set(in_a_child(code).split())
    assert not loaded & (set(HEAVY) - {"click"})
