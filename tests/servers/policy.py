"""The policy service that Postfix asks about each recipient and each message.

The protocol is Postfix's own (SMTPD_POLICY_README): ``name=value`` lines up to an empty line, answered by
``action=...`` and an empty line.
"""

from __future__ import annotations

import contextlib
import socketserver
import threading
import time
from typing import TYPE_CHECKING

from tests.servers.addresses import AddressPolicy
from tests.servers.base import HOST

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["running_policy"]

_NO_OPINION = "DUNNO"


class _Handler(socketserver.StreamRequestHandler):
    """One connection of a Postfix ``smtpd``, which keeps it for many questions."""

    def handle(self) -> None:
        """Answer until Postfix hangs up."""
        asked: dict[str, str] = {}
        with contextlib.suppress(ConnectionError):
            for raw in self.rfile:
                line = raw.decode("utf-8", "replace").rstrip("\n")
                if line:
                    name, _, value = line.partition("=")
                    asked[name] = value
                else:
                    self.wfile.write(f"action={self._decide(asked)}\n\n".encode())
                    asked = {}

    def _decide(self, asked: dict[str, str]) -> str:
        assert isinstance(self.server, _Server)
        policy = self.server.policy
        sender, recipient = asked.get("sender", ""), asked.get("recipient", "")
        if asked.get("protocol_state") == "RCPT":
            time.sleep(policy.delay(recipient))
            return policy.refuse_recipient(sender, recipient) or _NO_OPINION
        if asked.get("protocol_state") == "END-OF-MESSAGE":
            return policy.refuse_content(sender) or _NO_OPINION
        return _NO_OPINION


class _Server(socketserver.ThreadingTCPServer):
    """The listener; a thread per connection."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False

    def __init__(self, port: int) -> None:
        self.policy = AddressPolicy()
        super().__init__((HOST, port), _Handler)


@contextlib.contextmanager
def running_policy(port: int) -> Iterator[None]:
    """Run the service on a port of loopback, in a thread of this process.

    :raises OSError: the port is taken.
    """
    with _Server(port) as server:
        thread = threading.Thread(
            target=server.serve_forever, args=(0.05,), daemon=True, name="postfix-policy"
        )
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join(5)
