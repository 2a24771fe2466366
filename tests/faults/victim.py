"""The program that faults are tried on: it numbers its records, and does what it is told on standard input.

log N            log N records as fast as it can; answers {"n": how many there are, "mb", "grown", "seconds"}
rate R S         log R records a second for S seconds, on a thread of its own; answers at once
rest             answers when that is over
memory           answers {"mb", "threads", "files"}
trim             gives back what the C library keeps for later; answers as memory does
end              leaves the loop, and so the program; the same happens at the end of the input
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import logging
import os
import select
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

__all__ = ["Victim"]

_SAMPLES = 20
_SETTLE = 0.05


def _memory() -> float:
    """Return the megabytes of memory that are this process's own; those of mapped files are the page cache's."""
    with open("/proc/self/statm", encoding="ascii") as file:
        _, resident, of_files = map(int, file.read().split()[:3])
    return (resident - of_files) * os.sysconf("SC_PAGE_SIZE") / 1e6


class _Program:
    """The program's own side."""

    def __init__(self) -> None:
        import loghook

        self.run = loghook.install("victim")
        self.log = logging.getLogger("count")
        self.number = 0

    def one(self) -> None:
        number = self.number
        if number % 10:
            self.log.info("record %d", number)
        else:
            self.log.info("record %d", number, extra={"metrics": {"number": float(number)}, "step": number})
        self.number = number + 1

    def log_many(self, count: int) -> dict[str, Any]:
        """Log, in pieces, and note how much more memory the second half takes at most than the first did."""
        seen: list[float] = []
        took = 0.0
        for piece in range(_SAMPLES):
            began = time.perf_counter()
            for _ in range(count * piece // _SAMPLES, count * (piece + 1) // _SAMPLES):
                self.one()
            took += time.perf_counter() - began
            time.sleep(_SETTLE)
            seen.append(_memory())
        first, second = max(seen[: _SAMPLES // 2]), max(seen[_SAMPLES // 2 :])
        return {"n": self.number, "mb": first, "grown": round(second - first, 1), "seconds": took}

    def rate(self, rate: float, seconds: float) -> dict[str, Any]:
        self._steady = threading.Thread(target=self._log_steadily, args=(rate, seconds))
        self._steady.start()
        return {"n": self.number}

    def _log_steadily(self, rate: float, seconds: float) -> None:
        began, first = time.monotonic(), self.number
        while (passed := time.monotonic() - began) < seconds:
            while self.number - first < passed * rate:
                self.one()
            time.sleep(0.005)

    def rest(self) -> dict[str, Any]:
        self._steady.join()
        return {"n": self.number}

    def trim(self) -> dict[str, Any]:
        gc.collect()
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL("libc.so.6").malloc_trim(0)
        return self.memory()

    def memory(self) -> dict[str, Any]:
        return {
            "mb": _memory(),
            "threads": threading.active_count(),
            "files": len(os.listdir("/proc/self/fd")) - 1,
        }

    def obey(self) -> None:
        self.say({"run": self.run.id, "writer": self.run.spool.log.writer})
        for line in sys.stdin:
            command, *arguments = line.split()
            if command == "log":
                self.say(self.log_many(int(arguments[0])))
            elif command == "rate":
                self.say(self.rate(float(arguments[0]), float(arguments[1])))
            elif command == "rest":
                self.say(self.rest())
            elif command == "memory":
                self.say(self.memory())
            elif command == "trim":
                self.say(self.trim())
            else:
                break

    def say(self, answer: dict[str, Any]) -> None:
        print(json.dumps(answer), flush=True)


class Victim:
    """The campaign's side: a process that runs this file."""

    def __init__(self, *prefix: str, python: str = sys.executable, **environ: str) -> None:
        """Start it; `prefix` is a command that runs commands, `environ` what its environment has beside ours."""
        self.process = subprocess.Popen(
            [*prefix, python, str(Path(__file__).resolve())],
            env={**os.environ, **environ},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.count = 0
        """How many records it had logged when it said so last."""
        self.run = str(self._answer()["run"])

    def tell(self, *words: object) -> dict[str, Any]:
        """Give it a command, and return what it answers."""
        assert self.process.stdin is not None
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        answer = self._answer()
        self.count = int(answer.get("n", self.count))
        return answer

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the program died: {self.process.communicate(timeout=60)[1]}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def wait_for_word(self, timeout: float) -> bool:
        """Wait until it has said something on stderr, `timeout` seconds at most; return whether it has."""
        assert self.process.stderr is not None
        return bool(select.select([self.process.stderr], [], [], timeout)[0])

    def end(self, timeout: float = 60.0) -> str:
        """Let it come to its end, and return what it said on stderr."""
        try:
            return self.process.communicate("end\n", timeout=timeout)[1]
        except BaseException:
            self.process.kill()
            raise

    def kill(self) -> None:
        """End it by SIGKILL, if it still lives."""
        self.process.kill()
        self.process.communicate()


if __name__ == "__main__":
    _Program().obey()
