"""`python -m loghook` is the command `loghook`."""

from __future__ import annotations

from loghook.cli import main

if __name__ == "__main__":
    main()
