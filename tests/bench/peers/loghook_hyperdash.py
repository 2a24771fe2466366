"""loghook, sending to a Hyperdash server."""

from __future__ import annotations

from tests.bench.peers import loghook


class _Peer(loghook.PEER):
    """LogHookHandler with a URL of Hyperdash's protocol."""

    scheme = "hyperdash+http"


PEER = _Peer
