"""What an answer's headers and body say."""

from __future__ import annotations

from email.utils import formatdate

import pytest

from loghook.transports.reply import Reply, printable, retry_after

NOW = 1_763_740_000.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("7", 7.0),
        (" 7 ", 7.0),
        ("0", 0.0),
        ("301", 300.0),
        ("9" * 500, 300.0),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("٣", None),
        (formatdate(NOW + 7, usegmt=True), 7.0),
        (formatdate(NOW - 7, usegmt=True), 0.0),
        (formatdate(NOW + 86400, usegmt=True), 300.0),
        ("Fri, 32 Foo 2025 99:99:99 GMT", None),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 300.0),
    ],
)
def test_retry_after(value: str | None, seconds: float | None) -> None:
    """Seconds and dates are read and kept within five minutes; a past date is 0, nonsense is nothing."""
    assert retry_after(value, NOW) == seconds


def test_a_date_is_counted_from_the_platforms_own_clock() -> None:
    """When this machine's clock is wrong, the Date header says what time it is there."""
    headers = {"date": formatdate(NOW + 5000, usegmt=True), "retry-after": formatdate(NOW + 5007, usegmt=True)}
    assert Reply(503, headers).after(NOW) == 7.0


def test_without_a_usable_date_header_this_machines_clock_counts() -> None:
    """A Date header that is none is passed over."""
    headers = {"date": "today", "retry-after": formatdate(NOW + 7, usegmt=True)}
    assert Reply(503, headers).after(NOW) == 7.0


@pytest.mark.parametrize("body", [b"", b"[]", b"1", b"{", b"<html>", b"\xff\xfe{", b"[" * 100_000])
def test_only_a_json_object_is_read(body: bytes) -> None:
    """Anything but a JSON object is None."""
    assert Reply(200, {}, body).json() is None


def test_half_an_answer_is_not_read() -> None:
    """What was longer than is read does not count, even if its beginning were JSON."""
    assert Reply(200, {}, b'{"offset": 1}', whole=False).json() is None
    assert Reply(200, {}, b'{"offset": 1}').json() == {"offset": 1}


def test_a_location_is_shown_without_its_secrets() -> None:
    """User, password and query of a redirect's target stay out of messages."""
    assert Reply(302, {"location": "http://a:b@host/x?token=1"}).location == "http://host/x"


def test_secrets_are_blotted_out() -> None:
    """A secret that a platform repeats is in neither body nor headers any more."""
    reply = Reply(400, {"x": "a KEY"}, b"bad KEY, bad WORD").without("KEY", "", "WORD")
    assert (reply.headers["x"], reply.body) == ("a ***", b"bad ***, bad ***")


def test_foreign_text_fits_a_line() -> None:
    """Control characters become spaces, and length is bounded."""
    assert printable("a\r\nb\x1b[31m\x00c") == "a b [31m c"
    assert len(printable("x" * 10_000)) == 200
