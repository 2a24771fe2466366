"""Runs a server as a process of its own, as the command does: python serving_process.py HOME PORT."""

from __future__ import annotations

import sys
from pathlib import Path

from loghook.errors import LoghookError
from loghook.server import serve

if __name__ == "__main__":
    try:
        serve(Path(sys.argv[1]), "127.0.0.1", int(sys.argv[2]))
    except LoghookError as error:
        sys.exit(f"{type(error).__name__}: {error}")
