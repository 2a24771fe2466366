"""The end of a program whose platform will take nothing, however long one waits for it."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from loghook.testing import Answer, AwkwardServer

from ..scripts import Script, messages

MakeScript = Callable[..., Script]

KEY = {"LOGHOOK_API_KEY": "a-key-for-tests-0001"}
TIMEOUT = 5.0
"""Seconds: the default, of which some are saved."""
CODE = """\
import atexit, logging, time
atexit.register(lambda: print(time.monotonic() - began))
import loghook
loghook.install("run")
logging.getLogger("train").info("hi")
began = time.monotonic()
"""


@pytest.fixture
def tls(tmp_path: Path) -> Iterator[AwkwardServer]:
    """A server whose certificate nobody trusts."""
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout key -out cert"
    try:
        subprocess.run(command.split(), check=True, capture_output=True, cwd=tmp_path)
    except FileNotFoundError:
        pytest.skip("needs the openssl command")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert", tmp_path / "key")
    with AwkwardServer(tls=context) as server:
        yield server


def end(script: MakeScript, url: str, why: str, **key: str) -> None:
    """See that a program ends before its timeout, that it says why its records stay, and that they do."""
    ended = script(CODE, install=False).run(LOGHOOK_URL=url, **key)
    assert ended.status == 0
    assert float(ended.out) < TIMEOUT - 0.5
    (line,) = (line for line in ended.ours if "loghook sync" in line)
    assert why in line


@pytest.mark.parametrize("answer", [Answer(401), Answer(403), Answer(404), Answer(302, {"Location": "/login"})])
def test_a_platform_that_refuses_is_not_waited_for(answer: Answer, script: MakeScript, home: Path) -> None:
    """Where the key is refused, or something else answers, the end does not cost the whole of the timeout."""
    with AwkwardServer(lambda request: answer) as server:
        end(script, server.url, str(answer.status), **KEY)
    assert messages(home) == ["hi"]


def test_without_a_key_there_is_no_waiting(script: MakeScript) -> None:
    """Where there is no key the end does not cost the whole of the timeout."""
    with AwkwardServer() as server:
        end(script, server.url, "there is no API key")
        assert not server.requests


@pytest.mark.parametrize(("scheme", "why"), [("https", "certificate verify failed"), ("http", "TLS is spoken there")])
def test_tls_that_can_not_be_is_not_waited_for(scheme: str, why: str, script: MakeScript, tls: AwkwardServer) -> None:
    """With a certificate that is not trusted, and with http where TLS is spoken, the end is as quick."""
    end(script, tls.url.replace("https", scheme), why, **KEY)
    assert not tls.requests
