"""Tells people when a run ends, fails, is stopped or is lost: by ntfy, Slack, or any JSON webhook.

    watch          sees what has changed, once each, and writes it into the database in the transaction that notes it
    sender         sends what waits there to one address, again and again until it is taken; one thread an address
    destination    an address and how it wants to be told; pure
    notice         what is told of a run; pure

The server tells, not the script: so it tells of one that was killed too. What was not yet told when a server stops is
told by the next one. Each change is told once to each address; where a server dies between an answer and noting it,
that one notice is sent again, with the same `id`.
"""

from loghook.server.notify.destination import Destination, destinations, urls_in
from loghook.server.notify.sender import Sender
from loghook.server.notify.watch import Watch

__all__ = ["Destination", "Sender", "Watch", "destinations", "urls_in"]
