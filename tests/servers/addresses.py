"""What the SMTP servers answer to addresses that are there to be refused; the same for all servers.

=====================  ========================================================
address                answer
=====================  ========================================================
``tempfail@``          450 4.2.1 at RCPT
``full@``              452 4.2.2 at RCPT
``reject@``            550 5.1.1 at RCPT
``blocked@``           554 5.7.1 at RCPT
``drop@``              421 4.3.2 at RCPT and the connection closes
``greylist@``          451 4.7.1 the first time a sender asks, accepted later
``slow@``              accepted after three seconds
sender ``datatemp@``   451 4.3.0 after the final dot
sender ``datareject@`` 554 5.6.0 after the final dot
=====================  ========================================================
"""

from __future__ import annotations

import threading

__all__ = ["ACCEPTED_SPECIAL", "RECIPIENT_REFUSALS", "SENDER_REFUSALS_AFTER_DATA", "AddressPolicy"]

#: Answer at RCPT by the local part of the recipient.
RECIPIENT_REFUSALS = {
    "tempfail": "450 4.2.1 mailbox temporarily unavailable (test)",
    "full": "452 4.2.2 mailbox full (test)",
    "reject": "550 5.1.1 no such user (test)",
    "blocked": "554 5.7.1 blocked by policy (test)",
    "drop": "421 4.3.2 service closing the connection (test)",
}
#: Answer after the final dot by the local part of the sender.
SENDER_REFUSALS_AFTER_DATA = {
    "datatemp": "451 4.3.0 try again later, said after DATA (test)",
    "datareject": "554 5.6.0 content refused after DATA (test)",
}
#: Local parts without a mailbox of their own that are accepted sooner or later, for the first user.
ACCEPTED_SPECIAL = ("postmaster", "abuse", "greylist", "slow")

_SLOW_SECONDS = 3.0
_GREYLISTED = "451 4.7.1 greylisted, try again (test)"


class AddressPolicy:
    """The decisions, with the memory that greylisting needs."""

    def __init__(self) -> None:
        """Begin with nobody seen yet."""
        self._seen: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    def refuse_recipient(self, sender: str, recipient: str) -> str | None:
        """Return the refusal for a recipient, or None."""
        local = _local_part(recipient)
        if local == "greylist":
            with self._lock:
                known = (sender, recipient) in self._seen
                self._seen.add((sender, recipient))
            return None if known else _GREYLISTED
        return RECIPIENT_REFUSALS.get(local)

    @staticmethod
    def delay(recipient: str) -> float:
        """Return how long to think about a recipient, in seconds."""
        return _SLOW_SECONDS if _local_part(recipient) == "slow" else 0.0

    @staticmethod
    def refuse_content(sender: str) -> str | None:
        """Return the refusal after DATA for what this sender sent, or None."""
        return SENDER_REFUSALS_AFTER_DATA.get(_local_part(sender))


def _local_part(address: str) -> str:
    return address.partition("@")[0].partition("+")[0].lower()
