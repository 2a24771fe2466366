"""What happens around the opening of a log."""

from __future__ import annotations

import threading
from pathlib import Path

from loghook.spool import Log, Spool


def test_of_logs_opened_at_once_only_the_one_that_is_kept_begins(home: Path) -> None:
    """Eight threads that put the first event at the same moment begin one log, and leave one on disk."""
    begun: list[Log] = []
    opened: list[Log] = []
    start = threading.Barrier(8)
    spool = Spool(home, "run", opened=opened.append, begun=begun.append)

    def put() -> None:
        start.wait()
        spool.put(b"{}\n")

    threads = [threading.Thread(target=put) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert begun == [spool.log]
    assert spool.log in opened
    assert [path.name for path in (home / "spool" / "run").iterdir()] == [spool.log.writer]
    assert spool.log.accepted == 8
    spool.close()
