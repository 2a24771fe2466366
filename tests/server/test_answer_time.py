"""How soon a small request on a kept-alive connection is answered."""

from __future__ import annotations

import http.client
import time

from loghook.server import Server


def test_no_answer_waits_for_an_acknowledgement(server: Server) -> None:
    """Of many requests on one connection the quickest takes less than the 40 ms of a delayed acknowledgement."""
    connection = http.client.HTTPConnection(server.url.rpartition("/")[2], timeout=60)
    times = []
    for _ in range(60):
        began = time.perf_counter()
        connection.request("GET", "/api/v1/runs")
        assert connection.getresponse().read()
        times.append(time.perf_counter() - began)
    connection.close()
    # The first few are acknowledged at once, by any system: it is the later ones that would wait.
    assert min(times[20:]) < 0.03
