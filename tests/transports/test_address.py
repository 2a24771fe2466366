"""A URL is taken apart without telling its secrets."""

from __future__ import annotations

import pytest

from loghook.errors import ConfigurationError
from loghook.transports.address import Address, masked, scheme_of


@pytest.mark.parametrize(
    ("url", "plain", "host"),
    [
        ("http://server", "http://server", "server"),
        ("HTTPS://Server:7707/", "https://server:7707", "server"),
        ("https://server/a/b/", "https://server/a/b", "server"),
        ("hyperdash+https://server/x", "https://server/x", "server"),
        ("http://[::1]:7707/x", "http://[::1]:7707/x", "::1"),
        (" http://server \n", "http://server", "server"),
    ],
)
def test_the_plain_url(url: str, plain: str, host: str) -> None:
    """The platform's name, a slash at the end and white space around go; the path stays."""
    address = Address.parse(url)
    assert (address.url, address.host, str(address)) == (plain, host, plain)
    assert (address.user, address.password) == (None, None)


def test_user_and_password_are_kept_apart() -> None:
    """They are decoded, and are neither in the plain URL nor in the repr."""
    address = Address.parse("https://me%40home:p%2Fw@server/x")
    assert (address.url, address.user, address.password) == ("https://server/x", "me@home", "p/w")
    assert "p/w" not in repr(address)
    assert "me" not in repr(address)


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("", "no URL"),
        ("server:7707", "no URL"),
        ("http://", "no host"),
        ("http://:7707", "no host"),
        ("http://server:99999", "Port"),
        ("http://server:port", "Port"),
        ("http://[::1", "no URL"),
        ("http://ser ver", "space"),
        ("http://server/\r\nX: y", "space"),
        ("ftp://server", "http or https"),
        ("x+ftp://server", "http or https"),
        ("http://server/?a=b", "take off"),
        ("http://server/#top", "take off"),
    ],
)
def test_what_is_no_address_is_refused_with_words(url: str, word: str) -> None:
    """The message shows the URL and says what is wrong with it."""
    with pytest.raises(ConfigurationError, match=word) as caught:
        Address.parse(url)
    assert url.strip()[:5] in str(caught.value)


@pytest.mark.parametrize("url", ["http://u:secret@server:99999", "ftp://u:secret@server", "http://u:secret@ser ver/?q"])
def test_a_refusal_does_not_tell_the_password(url: str) -> None:
    """The user and password are taken out of the URL in the message."""
    with pytest.raises(ConfigurationError) as caught:
        Address.parse(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://localhost:1", True),
        ("http://LOCALHOST", True),
        ("http://127.0.0.1", True),
        ("http://127.9.8.7", True),
        ("http://[::1]", True),
        ("http://localhost.example.invalid", False),
        ("http://10.0.0.1", False),
        ("http://127.0.0.1.example.invalid", False),
    ],
)
def test_loopback_is_known(url: str, expected: bool) -> None:
    """Names and addresses of this machine, and only they, are loopback."""
    assert Address.parse(url).is_loopback is expected


def test_the_scheme_is_in_lower_case() -> None:
    """The whole scheme, with the platform's name before the plus."""
    assert scheme_of("Hyperdash+HTTPS://x") == "hyperdash+https"


def test_masking_finds_every_url_in_a_text() -> None:
    """User and password go, also with an @ in them; the rest stays."""
    text = "tried http://a:b@c/x and socks5://p@ss:w@host:1, mail me@home"
    assert masked(text) == "tried http://c/x and socks5://host:1, mail me@home"
