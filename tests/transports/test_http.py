"""One connection, real sockets, and every way in which the other side can misbehave."""

from __future__ import annotations

import gzip
import os
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from loghook.testing import Answer, AwkwardServer, Request
from loghook.transports.address import Address
from loghook.transports.base import TryLater
from loghook.transports.http import CA_FILES, LARGEST_REPLY, Http
from loghook.transports.reply import Reply


@pytest.fixture(autouse=True)
def no_certificates_of_this_machine(scrubbed_environment: None) -> None:
    """A test sets the variables that name certificates itself; they are put back with the rest."""
    for name in CA_FILES:
        os.environ.pop(name, None)


@pytest.fixture
def server() -> Iterator[AwkwardServer]:
    """A server that answers 200 to all."""
    with AwkwardServer() as running:
        yield running
    assert not running.errors


@pytest.fixture
def http(server: AwkwardServer) -> Iterator[Http]:
    """A connection to it."""
    made = Http(Address.parse(server.url), timeout=1.0)
    yield made
    made.close()


def reply(outcome: Reply | TryLater) -> Reply:
    """The answer, which there must be."""
    assert isinstance(outcome, Reply), outcome
    return outcome


def trouble(outcome: Reply | TryLater) -> str:
    """The words for why there was no answer."""
    assert isinstance(outcome, TryLater), outcome
    assert not outcome.key
    return outcome.reason


def test_a_request_goes_out_as_it_is_given(server: AwkwardServer, http: Http) -> None:
    """Method, path, query, headers and body arrive; no compression of the answer is asked for."""
    server.script(Answer(201, {"X-Answer": "yes"}, b"done"))
    answer = reply(http.request("PATCH", "/a", body=b"x" * 300_000, params={"b": "c d"}, headers={"X-Key": "1"}))
    assert (answer.status, answer.headers["x-answer"], answer.body, answer.whole) == (201, "yes", b"done", True)
    [request] = server.requests
    assert (request.method, request.path, request.query) == ("PATCH", "/a", {"b": "c d"})
    assert request.body == b"x" * 300_000
    assert request.headers["content-length"] == "300000"
    assert (request.headers["x-key"], request.headers["accept-encoding"]) == ("1", "identity")


def test_an_empty_body_has_a_length(server: AwkwardServer, http: Http) -> None:
    """A POST of nothing says so, and is not chunked."""
    reply(http.request("POST", "/"))
    assert server.requests[0].headers["content-length"] == "0"
    assert "transfer-encoding" not in server.requests[0].headers


def test_one_connection_serves_many_requests(server: AwkwardServer, http: Http) -> None:
    """The connection is kept alive from request to request, also after an error status."""
    server.script(Answer(500, body=b"oops"), Answer(302, {"Location": "/x"}, b"moved"), Answer(404, body=b"no"))
    for _ in range(20):
        reply(http.request("POST", "/", body=b"x"))
    assert server.connections == 1


def test_a_connection_that_the_server_dropped_is_made_anew(server: AwkwardServer, http: Http) -> None:
    """After a server closed an idle connection the next request goes through."""
    server.script(Answer(headers={"Connection": "close"}, body=b"bye"))
    reply(http.request("POST", "/"))
    reply(http.request("POST", "/"))
    assert server.connections == 2


def test_a_redirect_is_answered_not_followed(server: AwkwardServer, http: Http) -> None:
    """The answer is the redirect itself, even one to nonsense; nothing is sent elsewhere."""
    for location in ("/elsewhere", "http://[nonsense", "ftp://x", ""):
        server.script(Answer(307, {"Location": location}))
        assert reply(http.request("POST", "/", body=b"x")).status == 307
    assert {request.path for request in server.requests} == {"/"}


def test_cookies_are_not_kept(server: AwkwardServer, http: Http) -> None:
    """What a server sets it does not get back."""
    server.script(Answer(headers={"Set-Cookie": "a=b"}))
    reply(http.request("POST", "/"))
    reply(http.request("POST", "/"))
    assert "cookie" not in server.requests[1].headers


def test_netrc_does_not_replace_the_key(server: AwkwardServer, http: Http, tmp_path: Path) -> None:
    """A ~/.netrc entry for the host leaves our own Authorization header alone."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login someone password else\n")
    os.environ["NETRC"] = str(tmp_path / "netrc")
    reply(http.request("POST", "/", headers={"Authorization": "Bearer KEY"}))
    assert server.requests[0].headers["authorization"] == "Bearer KEY"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(cut=0), "ended without an answer"),
        (Answer(cut=0, reset=True), "reset"),
        (Answer(body=b"x" * 100, cut=80), "cut off"),
        (Answer(raw=b"SSH-2.0-OpenSSH\r\n"), "no HTTP: SSH-2.0"),
        (Answer(raw=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), "garbled"),
        (Answer(headers={"Content-Encoding": "gzip"}, body=b"not gzip"), "encoding is broken"),
        (Answer(raw=b"HTTP/1.1 200 OK\r\n: what\r\n\x00\r\nContent-Length: 0\r\n\r\n"), "garbled"),
        (Answer(raw=b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 2000 + b"\r\n"), "garbled: got more than 100 headers"),
        (Answer(raw=b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n"), "garbled: got more than 65536 bytes"),
    ],
)
def test_half_an_answer_is_none(
    server: AwkwardServer, http: Http, answer: Answer, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """An answer that is cut off or garbled is TryLater, says how, prints nothing, and spoils nothing."""
    server.script(answer)
    said = trouble(http.request("POST", "/", body=b"x"))
    assert said.startswith(server.url)
    assert words in said
    assert "\n" not in said
    assert "object at 0x" not in said
    assert reply(http.request("POST", "/")).status == 200
    assert capsys.readouterr().err == ""


def test_an_answer_without_length_ends_with_its_connection(server: AwkwardServer, http: Http) -> None:
    """HTTP/1.0 style answers are read to the end."""
    server.script(Answer(raw=b"HTTP/1.0 200 OK\r\n\r\nall of it"))
    assert reply(http.request("POST", "/")).body == b"all of it"


def test_a_compressed_answer_is_unpacked(server: AwkwardServer, http: Http) -> None:
    """A server that compresses without being asked is understood."""
    server.script(Answer(headers={"Content-Encoding": "gzip"}, body=gzip.compress(b"hello")))
    assert reply(http.request("POST", "/")).body == b"hello"


@pytest.mark.parametrize(
    "answer",
    [
        Answer(headers={"Content-Type": "text/plain"}, body=b"x" * 65536, endless=True),
        Answer(302, {"Location": "/x"}, b"x" * 65536, endless=True),
        Answer(headers={"Content-Encoding": "gzip"}, body=gzip.compress(bytes(50_000_000))),
    ],
    ids=["endless", "endless redirect", "bomb"],
)
def test_of_an_endless_answer_only_the_beginning_is_read(server: AwkwardServer, http: Http, answer: Answer) -> None:
    """At most 1 MiB is kept, the rest is not read, and the next request works."""
    server.script(answer)
    began = time.monotonic()
    got = reply(http.request("POST", "/"))
    assert time.monotonic() - began < 20
    assert not got.whole
    assert len(got.body) == LARGEST_REPLY
    assert reply(http.request("POST", "/")).whole


def test_silence_is_waited_for_no_longer_than_the_timeout(server: AwkwardServer) -> None:
    """A server that takes the request and says nothing is given up after the timeout."""
    http = Http(Address.parse(server.url), timeout=0.2)
    server.script(Answer(delay=30))
    assert trouble(http.request("POST", "/")).endswith("no answer within 0.2 s")
    http.close()


@pytest.mark.parametrize(
    "answer",
    [
        Answer(headers={"X": "y" * 5000}, pace=0.05),
        Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + b"y" * 5000, pace=0.02),
        Answer(raw=b"HTTP/1.1 100 Continue\r\n\r\n" * 500, pace=0.02),
    ],
    ids=["headers", "body", "100 again and again"],
)
def test_a_trickling_answer_is_ended_by_the_deadline(server: AwkwardServer, answer: Answer) -> None:
    """Bytes that come one by one, each within the timeout, do not hold the listener beyond the deadline."""
    http = Http(Address.parse(server.url), timeout=5.0, deadline=0.4)
    server.script(answer)
    began = time.monotonic()
    assert trouble(http.request("POST", "/", body=b"x")).endswith("the exchange was not over after 0.4 s")
    assert 0.3 < time.monotonic() - began < 20
    later = (http.request("POST", "/") for _ in range(50))  # one of them may take that long on a busy machine
    assert next(outcome for outcome in later if isinstance(outcome, Reply)).status == 200
    http.close()


def test_a_body_that_is_taken_slowly_is_ended_by_the_deadline(server: AwkwardServer) -> None:
    """A server that reads a kilobyte now and then does not hold the listener beyond the deadline."""
    http = Http(Address.parse(server.url), timeout=10.0, deadline=0.5)
    server.script(Answer(reading=0.01))
    began = time.monotonic()
    assert trouble(http.request("POST", "/", body=bytes(20_000_000))).endswith("not over after 0.5 s")
    assert time.monotonic() - began < 20
    http.close()


def test_an_answer_before_the_body_was_read_is_no_exception(server: AwkwardServer, http: Http) -> None:
    """A server that refuses early and hangs up gives its answer or a broken connection, never an exception."""
    server.script(Answer(413, body=b"too much", unread=True))
    outcome = http.request("POST", "/", body=os.urandom(20_000_000))
    assert isinstance(outcome, TryLater) or outcome.status == 413


def test_a_header_that_cannot_be_sent_is_not_quoted(http: Http) -> None:
    """A header with a line break is TryLater, and its value is not in the words."""
    said = trouble(http.request("POST", "/", headers={"Authorization": "Bearer SECRET\nX: y"}))
    assert "SECRET" not in said
    assert "header" in said


def test_proxies_come_from_the_environment() -> None:
    """An http_proxy takes the request for another host, with the proxy's own password; NO_PROXY goes around it."""
    with AwkwardServer(lambda request: Answer(body=b"proxied")) as proxy:
        os.environ["http_proxy"] = f"http://me:pass@127.0.0.1:{proxy.port}"
        http = Http(Address.parse("http://server.invalid:1234/prefix"), timeout=1.0)
        assert reply(http.request("POST", "/x", headers={"Authorization": "Bearer KEY"})).body == b"proxied"
        [request] = proxy.requests
        assert request.target == "http://server.invalid:1234/prefix/x"
        assert request.headers["proxy-authorization"] == "Basic bWU6cGFzcw=="
        assert request.headers["authorization"] == "Bearer KEY"
        os.environ["no_proxy"] = "server.invalid"
        assert "host name" in trouble(http.request("POST", "/x"))
        http.close()


def test_a_proxy_that_refuses_is_named_without_its_password() -> None:
    """A dead proxy is TryLater, in words about the proxy."""
    for scheme in ("http", "https"):
        os.environ[f"{scheme}_proxy"] = "http://me:pass-word@127.0.0.1:1"
        http = Http(Address.parse(f"{scheme}://server.invalid"), timeout=1.0)
        said = trouble(http.request("POST", "/"))
        assert "proxy" in said
        assert "pass-word" not in said
        http.close()


def test_a_proxy_that_tunnels_slowly_is_ended_by_the_deadline() -> None:
    """The deadline covers a proxy's answer to CONNECT too."""
    with AwkwardServer(lambda request: Answer(headers={"X": "y" * 5000}, pace=0.05)) as proxy:
        os.environ["https_proxy"] = f"http://127.0.0.1:{proxy.port}"
        http = Http(Address.parse("https://server.invalid"), timeout=5.0, deadline=0.4)
        began = time.monotonic()
        trouble(http.request("POST", "/"))
        assert time.monotonic() - began < 20
        assert proxy.requests[0].method == "CONNECT"
        http.close()


def test_this_machine_is_reached_without_a_proxy(server: AwkwardServer, http: Http) -> None:
    """A loopback address is never sent through a proxy."""
    for name in ("http_proxy", "all_proxy", "HTTP_PROXY"):
        os.environ[name] = "http://127.0.0.1:1"
    assert reply(http.request("POST", "/")).status == 200


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1, signed by itself, with its key in one file."""
    folder = tmp_path_factory.mktemp("tls")
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext"
    try:
        subprocess.run(
            [*command.split(), "subjectAltName=IP:127.0.0.1", "-keyout", folder / "key", "-out", folder / "cert"],
            check=True,
            capture_output=True,
        )
    except FileNotFoundError:
        pytest.skip("needs the openssl command")
    (folder / "both").write_bytes((folder / "key").read_bytes() + (folder / "cert").read_bytes())
    return folder / "both"


@pytest.fixture
def tls(certificate: Path) -> Iterator[AwkwardServer]:
    """A server with that certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with AwkwardServer(lambda request: Answer(body=b"secure"), tls=context) as running:
        yield running


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
def test_a_private_authority_is_trusted_through_the_environment(
    tls: AwkwardServer, certificate: Path, variable: str
) -> None:
    """A server with a private certificate is reached when a variable names its authority, and kept to."""
    os.environ[variable] = str(certificate)
    http = Http(Address.parse(tls.url), timeout=2.0)
    assert [reply(http.request("POST", "/", body=b"x" * 200_000)).body for _ in range(2)] == [b"secure", b"secure"]
    assert tls.connections == 1
    http.close()


def test_an_unknown_certificate_is_refused_in_words(tls: AwkwardServer) -> None:
    """A certificate of nobody that is trusted is TryLater, with the reason; nothing is sent."""
    http = Http(Address.parse(tls.url), timeout=2.0)
    said = trouble(http.request("POST", "/", headers={"Authorization": "Bearer KEY"}))
    assert "TLS: " in said
    assert "certificate verify failed" in said
    assert not tls.requests
    http.close()


def test_a_trickle_over_tls_is_ended_by_the_deadline(tls: AwkwardServer, certificate: Path) -> None:
    """The deadline holds on an encrypted connection too."""
    os.environ["SSL_CERT_FILE"] = str(certificate)
    http = Http(Address.parse(tls.url), timeout=5.0, deadline=0.5)
    tls.script(Answer(headers={"X": "y" * 5000}, pace=0.05))
    began = time.monotonic()
    assert "not over after 0.5 s" in trouble(http.request("POST", "/"))
    assert time.monotonic() - began < 20
    http.close()


def test_a_missing_authority_file_is_named(tls: AwkwardServer) -> None:
    """A variable that names no file is TryLater with the variable and the path."""
    os.environ["REQUESTS_CA_BUNDLE"] = "/nowhere/ca.pem"
    http = Http(Address.parse(tls.url), timeout=2.0)
    said = trouble(http.request("POST", "/"))
    assert "/nowhere/ca.pem" in said
    assert "REQUESTS_CA_BUNDLE" in said
    http.close()


def test_https_to_a_plain_server_is_said_so(server: AwkwardServer) -> None:
    """https where the server speaks http is TryLater, in words about TLS."""
    http = Http(Address.parse(server.url.replace("http", "https")), timeout=2.0)
    assert "TLS: " in trouble(http.request("POST", "/"))
    http.close()


def test_a_request_after_close_works_or_says_why(server: AwkwardServer, http: Http) -> None:
    """close() gives the connection back; a late request raises nothing."""
    reply(http.request("POST", "/"))
    http.close()
    http.close()
    assert isinstance(http.request("POST", "/"), Reply | TryLater)


def test_a_request_knows_its_content() -> None:
    """The recorded request unpacks a gzip body."""
    assert Request("POST", "/x?a=1", {"content-encoding": "gzip"}, gzip.compress(b"x")).content == b"x"


def test_where_nobody_is_the_outcome_says_so(server: AwkwardServer) -> None:
    """A refused connection and an unknown name are told from every trouble with somebody who is there."""
    server.script(Answer(cut=0))
    there = Http(Address.parse(server.url), timeout=5.0)
    outcome = there.request("POST", "/", body=b"x")
    assert isinstance(outcome, TryLater)
    assert not outcome.absent
    there.close()
    server.close()
    for url in (server.url, "http://nowhere.invalid"):
        http = Http(Address.parse(url), timeout=5.0)
        outcome = http.request("POST", "/", body=b"x")
        assert isinstance(outcome, TryLater)
        assert outcome.absent
        http.close()


def absent(http: Http) -> str:
    """Why nobody can be talked to there, as it has to be known."""
    outcome = http.request("POST", "/", body=b"x" * 300_000, headers={"Authorization": "Bearer KEY"})
    http.close()
    assert isinstance(outcome, TryLater)
    assert outcome.absent
    return outcome.reason


def test_who_can_not_be_talked_to_is_as_good_as_absent(server: AwkwardServer, tls: AwkwardServer) -> None:
    """A certificate without trust, none to trust at all, and https where http is spoken do not pass by waiting."""
    assert "certificate verify failed" in absent(Http(Address.parse(tls.url), timeout=5.0))
    assert "TLS: " in absent(Http(Address.parse(server.url.replace("http", "https")), timeout=5.0))
    os.environ["REQUESTS_CA_BUNDLE"] = "/nowhere/ca.pem"
    assert "/nowhere/ca.pem" in absent(Http(Address.parse(tls.url), timeout=5.0))


def test_http_to_a_server_of_tls_is_said_so(tls: AwkwardServer) -> None:
    """http where TLS is spoken is told from a connection that broke, though neither has an answer."""
    http = Http(Address.parse(tls.url.replace("https", "http")), timeout=5.0)
    assert "TLS is spoken there" in absent(http)
    assert not tls.requests


def test_a_connection_that_breaks_is_nothing_to_give_up_for(server: AwkwardServer, http: Http) -> None:
    """Who hangs up, by a reset too, or once answers were had, may well answer the next time."""
    for answer in (Answer(cut=0, reset=True), Answer(), Answer(cut=0)):
        server.script(answer)
        outcome = http.request("POST", "/", body=b"x")
        assert isinstance(outcome, Reply) or not outcome.absent


def test_who_is_in_a_hurry_waits_no_longer_than_that(server: AwkwardServer) -> None:
    """After `hurry` no exchange goes on beyond that moment, and none begins behind it."""
    http = Http(Address.parse(server.url), timeout=60.0)
    server.script(Answer(delay=60.0))
    began = time.monotonic()
    http.hurry(began + 0.3)
    assert isinstance(http.request("POST", "/", body=b"x"), TryLater)
    assert isinstance(http.request("POST", "/", body=b"x"), TryLater)
    assert time.monotonic() - began < 30
    assert len(server.requests) <= 1
    http.close()
