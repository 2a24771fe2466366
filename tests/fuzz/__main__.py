"""The command: atheris on each target for some seconds; keeps what broke a promise, and exits with 1 then."""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
CASES = FOLDER / "cases"
STARTING = 120
"""Seconds that a target may take to start and to end."""

CHILD = """
import importlib.util, sys
import atheris
with atheris.instrument_imports(include=["loghook"]):
    import loghook.server, loghook.spool, loghook.server.care.export
spec = importlib.util.spec_from_file_location("targets", sys.argv.pop(1))
targets = importlib.util.module_from_spec(spec)
spec.loader.exec_module(targets)
name = sys.argv.pop(1)
atheris.Setup(sys.argv, targets.TARGETS[name])
atheris.Fuzz()
"""


def main() -> int:
    """Run the targets that the arguments name; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=600, help="for each target (default: %(default)s)")
    parser.add_argument("--target", action="append", choices=sorted(targets()), help="only this one; may be repeated")
    parser.add_argument("--keep", type=Path, default=CASES, help="folder of what is found (default: %(default)s)")
    arguments = parser.parse_args()
    if importlib.util.find_spec("atheris") is None:
        print("atheris is not installed: pip install atheris", file=sys.stderr)
        return 2
    results = [fuzz(name, arguments.seconds, arguments.keep) for name in arguments.target or sorted(targets())]
    return 0 if all(results) else 1


def targets() -> dict[str, list[bytes]]:
    """Return the targets' names, each with what atheris begins with."""
    spec = importlib.util.spec_from_file_location("fuzz_targets", FOLDER / "targets.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    seeds: dict[str, list[bytes]] = module.SEEDS
    return seeds


def fuzz(name: str, seconds: int, keep: Path) -> bool:
    """Fuzz one target; true when nothing was found. What was found lies in `keep`, and is told."""
    found = Path(tempfile.mkdtemp(prefix="loghook-found-"))
    corpus = Path(tempfile.mkdtemp(prefix="loghook-corpus-"))
    try:
        for number, seed in enumerate(targets()[name]):
            (corpus / str(number)).write_bytes(seed)
        limits = [f"-max_total_time={seconds}", "-timeout=60", "-rss_limit_mb=4096", "-max_len=4096"]
        command = [sys.executable, "-c", CHILD, str(FOLDER / "targets.py"), name, *limits]
        command += [f"-artifact_prefix={found}/", "-print_final_stats=1", str(corpus)]
        environment = {**os.environ, "TMPDIR": str(found)}
        ended = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=seconds + STARTING, check=False
        )
        runs = re.search(r"number_of_executed_units: (\d+)", ended.stderr)
        coverage = re.findall(r" cov: (\d+)", ended.stderr)
        inputs = [path for path in found.iterdir() if path.name.startswith(("crash", "oom", "timeout", "leak"))]
        print(
            f"{name}: {runs[1] if runs else '?'} inputs in {seconds} s, {coverage[-1] if coverage else '?'} edges, "
            f"{len(inputs)} broke a promise",
            flush=True,
        )
        for path in inputs:
            keep.mkdir(parents=True, exist_ok=True)
            kept = keep / f"{name}-{path.name}"
            shutil.copyfile(path, kept)
            print(f"  kept as {kept}", flush=True)
        if ended.returncode or inputs:
            print("\n".join(ended.stderr.splitlines()[-60:]), file=sys.stderr)
        return not ended.returncode and not inputs
    finally:
        shutil.rmtree(found, ignore_errors=True)
        shutil.rmtree(corpus, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
