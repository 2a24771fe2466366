"""loghook, sending metrics to Polyaxon 0.x."""

from __future__ import annotations

from tests.bench.peers import loghook


class _Peer(loghook.PEER):
    """LogHookHandler with a URL of Polyaxon's; a record is a metric without words."""

    scheme = "polyaxon0+http"
    place = "/user/project"
    pattern = rb'"number":(\d+)'

    def log(self, number: int) -> None:
        self._log.info("", extra={"metrics": {"number": float(number)}})


PEER = _Peer
