"""The family of errors."""

from __future__ import annotations

import pytest

from loghook import errors
from loghook.errors import ConfigurationError, LoghookError


@pytest.mark.parametrize("name", errors.__all__)
def test_every_error_is_one_of_the_family(name: str) -> None:
    """One except clause catches them all, and each is drawn in the module's head."""
    assert issubclass(getattr(errors, name), LoghookError)
    assert errors.__doc__ is not None
    assert name in errors.__doc__


def test_the_family_is_complete() -> None:
    """Every error class of the module is named in __all__."""
    classes = [thing for thing in vars(errors).values() if isinstance(thing, type)]
    assert {one.__name__ for one in classes if one.__module__ == errors.__name__} == set(errors.__all__)


def test_all_mistakes_are_reported_together() -> None:
    """A ConfigurationError holds each mistake and shows them in one line; it is a ValueError too."""
    error = ConfigurationError("the level is 'LOUD'", "the size is -1")
    assert error.mistakes == ("the level is 'LOUD'", "the size is -1")
    assert str(error) == "the level is 'LOUD'; the size is -1"
    assert isinstance(error, ValueError)
