"""What the conformance suite needs to know of a platform's fake."""

from __future__ import annotations

from typing import ClassVar, Protocol

from loghook.testing import AwkwardServer

__all__ = ["BenchLike"]


class BenchLike(Protocol):
    """A strict fake of one platform, over real HTTP, and how to talk to it.

    server         answers well but for its script
    url            the destination: scheme, host, port and perhaps a path
    key            the key it takes
    exactly_once   whether a batch that is sent again is stored once
    needs_key      whether nothing is sent without a key
    nul            what a NUL in a text becomes, where the platform has no room for one
    """

    server: AwkwardServer
    url: str
    key: str
    exactly_once: ClassVar[bool]
    needs_key: ClassVar[bool]
    nul: ClassVar[str]

    def messages(self) -> list[str]:
        """The messages of all records that the platform holds, in order."""

    def values(self, name: str) -> list[float]:
        """The values of one metric that the platform holds, in order."""

    def violations(self) -> list[str]:
        """What was sent against the platform's protocol, in words."""

    def rotate(self, key: str) -> None:
        """Takes another key from now on, and no longer the old one."""

    def too_large(self) -> None:
        """Takes no body of more than 10,000 bytes from now on."""

    def close(self) -> None:
        """Ends the server."""
