"""loghook, sending to a Hyperdash server."""

from __future__ import annotations

from tests.bench.peers.loghook import LoghookPeer


class _Peer(LoghookPeer):
    """LogHookHandler with a URL of Hyperdash's protocol."""

    scheme = "hyperdash+http"


PEER = _Peer
