"""The pages behind a proxy that gives the server a path of its own."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

PREFIX = "/user/ada/proxy/7707"
PASSED = {"content-type", "content-encoding", "content-security-policy", "set-cookie", "location", "cache-control"}


@pytest.fixture
def proxied(server: Any) -> Iterator[str]:
    """The address of the server through a proxy that takes a prefix off the path and knows nothing of the content."""

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if not self.path.startswith(PREFIX + "/"):
                self.send_error(404)
                return
            upstream = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
            headers = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
            upstream.request("GET", self.path.removeprefix(PREFIX), headers=headers)
            answer = upstream.getresponse()
            body = answer.read()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() in PASSED:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            upstream.close()

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

    proxy = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    thread = threading.Thread(target=proxy.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{proxy.server_port}{PREFIX}/"
    proxy.shutdown()
    thread.join()
    proxy.server_close()


def test_everything_works_below_a_path(server: Any, proxied: str, open_page: Any, expect: Any, until: Any) -> None:
    """Signing in, the list, a run, its chart and its log work under a path that the server knows nothing of."""
    begin = server.begin("proxied", "proxied")
    server.metric("proxied", "loss", [3.0, 2.0, 1.0], begin=begin)
    page = open_page(server, signed_in=False)
    page.goto(proxied + "runs/proxied?level=DEBUG")
    expect(page.get_by_label("API key")).to_be_visible()
    page.goto(proxied + "sign-in?token=" + server.link.partition("token=")[2])
    page.get_by_role("link", name="proxied").click()
    expect(page.locator("#name")).to_have_text("proxied")
    expect(page.locator(".record")).to_have_count(3)
    until(page, "document.querySelector('.card .chart').data[0].x.length === 3")
    assert page.url.startswith(proxied)
    page.get_by_role("link", name="all runs").click()
    expect(page.get_by_role("heading", name="Runs", level=1)).to_be_visible()
