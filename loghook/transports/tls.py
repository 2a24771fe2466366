"""Whether TLS is spoken at a port where plain HTTP gets no answer: whoever speaks it hangs up on HTTP in silence."""

from __future__ import annotations

import socket
import ssl

__all__ = ["speaks_tls"]


def speaks_tls(host: str, port: int, seconds: float) -> bool:
    """Whether who listens there takes part in a TLS handshake, or refuses it in the words of TLS.

    Nothing is sent but that, so nobody's certificate need be trusted. It may take `seconds` to connect, and as many for
    each silence. Raises nothing that the network can cause.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with (
            socket.create_connection((host, port), timeout=seconds) as plain,
            context.wrap_socket(plain, server_hostname=host),
        ):
            return True
    except ssl.SSLError as error:
        return "ALERT" in (error.reason or "")
    except (OSError, ValueError):  # a name that can't be looked up, or not be sent, is a ValueError
        return False
