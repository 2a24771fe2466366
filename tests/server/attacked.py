"""A server in a process of its own, to be attacked: python attacked.py HOME OPTIONS.

OPTIONS is JSON: arguments of `Server`, those of `Patience`, and `descriptors`, how many files it may have open. It
prints a line of JSON, `url`, `link`, `key` and `routes`, and serves until its standard input ends.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path
from typing import Any

from loghook.server import Server, own_log
from loghook.server.patience import Patience


def main(home: Path, options: dict[str, Any]) -> None:
    """Serve."""
    own_log.to_stderr()
    if "descriptors" in options:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (options.pop("descriptors"), hard))
    for name in ("certfile", "keyfile"):
        if name in options:
            options[name] = Path(options[name])
    patience = Patience(**options.pop("patience", {}))
    with Server(home, port=0, patience=patience, **options) as server:
        about = {"url": server.url, "link": server.sign_in_link, "key": server.key, "routes": server.routes}
        print(json.dumps(about), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
