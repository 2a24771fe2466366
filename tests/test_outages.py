"""Of a destination's trouble one line tells, and its end is news once."""

from __future__ import annotations

from loghook.outages import Outages


def test_trouble_is_news_once_until_it_ends() -> None:
    """What has begun is no news before it has ended; each destination has troubles of its own."""
    outages = Outages()
    assert [outages.begin("one"), outages.begin("one"), outages.begin("other")] == [True, False, True]
    assert [outages.known("one"), outages.known("another")] == [True, False]
    assert [outages.end("one"), outages.end("one"), outages.known("one")] == [True, False, False]
    assert [outages.begin("one"), outages.begin("other")] == [True, False]


def test_what_nobody_heard_is_news() -> None:
    """A run that is quiet does not keep another from telling."""
    outages = Outages()
    assert [outages.begin("one", quiet=True), outages.begin("one")] == [True, True]
    assert outages.end("one")
    assert outages.begin("one", quiet=True)
