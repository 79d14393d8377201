"""Mail servers that do not offer everything: a proxy that hides SASL mechanisms from what they offer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.servers.certificates import client_context
from tests.servers.faultproxy import FaultProxy

if TYPE_CHECKING:
    from tests.servers.base import MailboxServers
    from tests.servers.faults import Side

__all__ = ["hiding"]


def hiding(servers: MailboxServers, port: int, *mechanisms: str) -> FaultProxy:
    """Return a proxy, to be entered, in front of a port that begins with TLS; so does the proxy's.

    Each name becomes one of the same length that nobody knows, wherever the server says it. The server still
    takes the mechanism.

    :param port: the server's, such as ``servers.imaps_port``.
    :param mechanisms: such as ``OAUTHBEARER``.
    """

    def rewrite(side: Side, piece: bytes) -> bytes:
        if side == "server":
            for name in mechanisms:
                piece = piece.replace(name.encode("ascii"), b"X" * len(name))
        return piece

    return FaultProxy(
        port, certificate=servers.certificate, target_trust=client_context(servers.ca), rewrite=rewrite
    )
